//! What each subcommand prints, and its exit status.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::subject::{CROWD, Subject, printed, rt};

/// What a command printed, read as JSON.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Tries until a condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "never {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ps_lists_every_runtime_of_every_process() {
    let subject = Subject::start("idle");
    let text = printed(&subject.rt(&["ps"]), 0);
    let ours: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&subject.id()))
        .collect();
    assert_eq!(ours.len(), 2, "{text}");
    assert!(
        ours[0].contains(" one ") && ours[1].contains(" two "),
        "{text}"
    );
    assert!(text.starts_with("PID"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where nobody sees them");

    let list = json(&printed(&subject.rt(&["ps", "--json"]), 0));
    let list = list.as_array().unwrap();
    let ours = list
        .iter()
        .find(|process| process["process"].as_u64() == subject.id().parse().ok());
    let runtimes = ours.unwrap()["runtimes"].as_array().unwrap();
    assert_eq!(runtimes[1]["runtime"], "two");
    assert_eq!(runtimes[1]["tasks"], 2);
}

#[test]
fn ps_of_a_process_lists_its_tasks() {
    let subject = Subject::start("idle");
    let text = printed(&subject.rt(&["ps", &subject.id()]), 0);
    assert!(text.contains("runtime `one`: 2 tasks, 1 workers"), "{text}");
    let sleeper = text.lines().find(|line| line.contains("sleeper")).unwrap();
    assert!(
        sleeper.contains("waiting") && sleeper.contains("a timer, due in 59m"),
        "{text}"
    );
    assert!(sleeper.contains("subject.rs:"), "{text}");

    let dump = json(&printed(&subject.rt(&["ps", &subject.id(), "--json"]), 0));
    assert_eq!(dump["runtimes"][1]["dump"]["tasks"][0]["name"], "sleeper");
    assert_eq!(dump["runtimes"][0]["metrics"]["n_live"], 2);
}

#[test]
fn tree_shows_what_the_program_itself_would_print() {
    let subject = Subject::start("idle");
    let text = printed(&subject.rt(&["tree", &subject.id()]), 0);
    assert!(
        text.contains("runtime `one`: 2 tasks in 0 block_ons, 1 worker, up"),
        "{text}"
    );
    assert!(text.contains("`sleeper` at "), "{text}");
    let dump = json(&printed(&subject.rt(&["tree", &subject.id(), "--json"]), 0));
    assert_eq!(dump["runtimes"][0]["dump"]["runtime"], "one");
}

#[test]
fn two_locks_in_two_orders_are_named_and_set_the_status() {
    let subject = Subject::start("two_locks");
    let is_found = || subject.rt(&["deadlock", &subject.id()]).status.code() == Some(1);
    until("a deadlock", is_found);
    let text = printed(&subject.rt(&["deadlock", &subject.id()]), 1);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "deadlock:", "{text}");
    let step = |name: &str| lines.iter().find(|line| line.contains(name)).copied();
    for name in ["`transfer`", "`audit`"] {
        let line = step(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(
            line.contains("two_locks.rs:") && line.contains("a lock that #"),
            "{text}"
        );
    }

    let told = json(&printed(
        &subject.rt(&["deadlock", &subject.id(), "--json"]),
        1,
    ));
    let deadlock = &told["runtimes"][0]["deadlocks"][0];
    assert_eq!(deadlock["certain"], true);
    assert_eq!(deadlock["steps"].as_array().unwrap().len(), 2);
    assert_eq!(deadlock["steps"][0]["waiting_on"]["kind"], "a lock");

    let tree = printed(&subject.rt(&["tree", &subject.id()]), 0);
    assert!(tree.contains("deadlock:"), "{tree}");
}

#[test]
fn without_a_deadlock_the_status_is_zero() {
    let subject = Subject::start("idle");
    let text = printed(&subject.rt(&["deadlock", &subject.id()]), 0);
    assert!(
        text.starts_with("no deadlock among the tasks of "),
        "{text}"
    );
}

#[test]
fn a_tree_comes_within_a_second_while_every_worker_is_blocked() {
    let subject = Subject::start("blocked");
    let began = Instant::now();
    let text = printed(&subject.rt(&["tree", &subject.id()]), 0);
    let took = began.elapsed();
    eprintln!("a tree with every worker blocked in {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let n_running = text
        .lines()
        .filter(|line| line.contains("`blocks`") && line.contains(": running"));
    assert_eq!(n_running.count(), 58, "{text}");
    assert!(
        text.contains(": ready ("),
        "the others wait for a thread: {text}"
    );
}

/// With optimisation in a second; without, it may take ten times as long.
#[test]
fn a_hundred_thousand_tasks_are_shown_while_the_program_is_at_work() {
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    let subject = Subject::start("busy_crowd");
    let n_polls = || {
        let text = printed(&subject.rt(&["ps", &subject.id(), "--json"]), 0);
        let metrics = &json(&text)["runtimes"][0]["metrics"];
        metrics["n_polls"].as_u64().unwrap()
    };
    let before = n_polls();
    // The best of several: the machine may be busy with other things.
    let took = (0..3).map(|_| {
        let began = Instant::now();
        let text = printed(&subject.rt(&["tree", &subject.id()]), 0);
        let took = began.elapsed();
        let n_waiting = text.lines().filter(|line| line.contains("a timer, due in"));
        assert_eq!(n_waiting.count(), CROWD);
        assert!(text.contains("`busy`"));
        took
    });
    let best = took.min().unwrap();
    eprintln!("a tree of {CROWD} tasks in {best:?}");
    assert!(best < limit, "{best:?}");
    assert!(n_polls() > before, "it stood still");
}

#[test]
fn a_process_that_is_not_there_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["ps", "tree", "deadlock"] {
        let error = printed(&rt(folder.path(), &[command, "999999999"]), 2);
        assert!(error.contains("there is no process 999999999"), "{error}");
    }
}

#[test]
fn a_process_that_did_not_turn_it_on_is_told_how() {
    let subject = Subject::start_with("idle", |_| {});
    assert!(!subject.socket().exists());
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(
        error.contains("RT_INSPECT=1") && error.contains("Builder::inspect(true)"),
        "{error}"
    );
    let threads = subject.threads();
    assert!(!threads.contains(&"rt-inspect".to_owned()), "{threads:?}");
}

#[test]
fn a_runtime_decides_in_its_code_whatever_the_environment_says() {
    for environment in ["0", "1"] {
        let subject = Subject::start_with("by_code", |command| {
            command.env("RT_INSPECT", environment);
        });
        let text = printed(&subject.rt(&["tree", &subject.id()]), 0);
        assert!(
            text.contains("runtime `open`") && !text.contains("closed"),
            "{text}"
        );
    }
}

#[test]
fn a_process_that_is_stopped_is_said_to_be_silent() {
    let subject = Subject::start("idle");
    let id = rustix::process::Pid::from_raw(subject.id().parse().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::STOP).unwrap();
    // Its threads stop one after the other.
    let stopped = rustix::process::waitpid(Some(id), rustix::process::WaitOptions::UNTRACED);
    assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()));
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(
        error.contains("does not answer") && error.contains("kill -CONT"),
        "{error}"
    );
    let list = printed(&subject.rt(&["ps"]), 0);
    assert!(list.contains(&format!("\n{}", subject.id())), "{list}");
    assert!(list.contains("does not answer"), "{list}");
}

#[test]
fn a_wrong_command_line_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let error = printed(&rt(folder.path(), &["tree"]), 2);
    assert!(error.contains("Usage: rt tree"), "{error}");
    let error = printed(&rt(folder.path(), &["top", "1", "--interval", "0"]), 2);
    assert!(error.contains("between 0.1 and 3600"), "{error}");
    let help = printed(&rt(folder.path(), &["--help"]), 0);
    for command in [
        "ps",
        "tree",
        "top",
        "deadlock",
        "RT_INSPECT=1",
        "Exit status",
    ] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn the_socket_comes_with_the_first_runtime_and_goes_with_the_last() {
    let mut subject = Subject::start("comes_and_goes");
    let has_thread = |subject: &Subject| {
        let threads = subject.threads();
        threads.is_empty() || threads.contains(&"rt-inspect".to_owned())
    };
    assert!(subject.socket().exists());
    // A thread gives itself its name, some time after it was started.
    until("a thread", || has_thread(&subject));
    subject.go_on();
    assert!(!subject.socket().exists());
    assert!(subject.threads().is_empty() || !has_thread(&subject));
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(error.contains("cannot be inspected"), "{error}");
    subject.go_on();
    assert!(subject.socket().exists());
    let text = printed(&subject.rt(&["ps", &subject.id()]), 0);
    assert_eq!(text.matches("runtime `rt`").count(), 2, "{text}");
}

#[test]
fn what_a_killed_process_left_behind_is_swept_out_by_the_next() {
    let mut first = Subject::start("idle");
    first.kill();
    assert!(first.socket().exists(), "nobody was left to remove it");
    let text = printed(&first.rt(&["ps"]), 0);
    assert!(!text.contains(&first.id()), "{text}");
    let folder = first.folder().to_owned();
    let _second = Subject::start_with("idle", |command| {
        command
            .env("XDG_RUNTIME_DIR", folder)
            .env("RT_INSPECT", "1");
    });
    assert!(!first.socket().exists());
}
