//! How programs end, and who hears of it.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use rt_tasks_io::process::{Child, Command};
use rt_tasks_io::signal::SignalKind;
use rt_tasks_runtime::{Builder, block_on, spawn, timeout};

use super::support::{children, eventually, expect_passed, is_inside, ms, this_test};
use super::{piped, shell};

/// Longer than any test takes.
const FOR_EVER: &str = "exec sleep 1000";

/// Waits until the program says something: it has done what comes before in its script.
async fn heard(child: &mut Child) -> String {
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    stdout.read_line(&mut line).await.unwrap();
    line
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    block_on(async {
        for code in [0, 1, 42, 255] {
            let status = shell(&format!("exit {code}")).status().await.unwrap();
            assert_eq!((status.code(), status.signal()), (Some(code), None));
        }
        // Not SIGINT: who was started in the background ignores it, and so do its children.
        for signal in [6, 9, 15] {
            let status = shell(&format!("kill -{signal} $$")).status().await.unwrap();
            assert_eq!((status.code(), status.signal()), (None, Some(signal)));
        }
    });
}

#[test]
fn what_cannot_be_started_says_which_and_why() {
    block_on(async {
        let error = Command::new("/no/such/program").spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let text = error.to_string();
        assert!(
            text.starts_with("cannot start /no/such/program: "),
            "{text}"
        );
        let error = Command::new("/dev/null").output().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let mut command = Command::new("true");
        let error = command.current_dir("/no/such/folder").status().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn outside_a_runtime_nothing_is_started() {
    let error = Command::new("true").spawn().unwrap_err();
    assert!(
        error.to_string().contains("there is no runtime here"),
        "{error}"
    );
}

#[test]
fn arguments_environment_and_folder_reach_the_program() {
    block_on(async {
        let mut command = shell("echo \"$1 $COLOUR ${HOME-none} $PWD\"");
        command.args(["name", "first"]);
        command
            .env("COLOUR", "red")
            .env_remove("HOME")
            .current_dir("/");
        let output = command.output().await.unwrap();
        assert_eq!(output.stdout, b"first red none /\n");
        // The same command, once more.
        assert_eq!(command.output().await.unwrap().stdout, output.stdout);
    });
}

#[test]
fn several_may_wait_and_who_gives_up_takes_nothing() {
    block_on(async {
        let mut child = piped("read line; exit 7");
        let mut stdin = child.stdin.take();
        let mut early = child.wait();
        assert!(poll_once(&mut early).await.is_none());
        drop(early);
        let in_task = spawn(child.wait());
        let beside = child.wait();
        let also = child.wait();
        assert!(child.try_wait().unwrap().is_none());
        drop(stdin.take());
        let (beside, also) = zip(beside, also).await;
        for status in [beside, also, in_task.await.unwrap(), child.wait().await] {
            assert_eq!(status.unwrap().code(), Some(7));
        }
        assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(7));
    });
}

#[test]
fn one_that_ended_before_anybody_waited_is_known_to_all_who_do() {
    block_on(async {
        let mut child = shell("exit 7").spawn().unwrap();
        eventually("it has ended", || child.try_wait().unwrap().is_some());
        let waiting = poll_once(child.wait()).await.expect("it is known");
        assert_eq!(waiting.unwrap().code(), Some(7));
        // Not even looked at.
        let mut child = shell("exit 8").spawn().unwrap();
        let id = child.id();
        eventually("it is a zombie", || children().contains(&(id, 'Z')));
        assert_eq!(child.wait().await.unwrap().code(), Some(8));
        assert!(!children().iter().any(|(other, _)| *other == id));
    });
}

#[test]
fn waiting_closes_the_input_so_that_nobody_waits_for_the_other() {
    block_on(async {
        let mut child = piped("cat >/dev/null; exit 5");
        assert_eq!(child.wait().await.unwrap().code(), Some(5));
        assert!(child.stdin.is_none());
    });
}

#[test]
fn killing_what_has_ended_is_no_error_and_reaches_nobody() {
    block_on(async {
        let mut child = shell("exit 3").spawn().unwrap();
        child.wait().await.unwrap();
        child.start_kill().unwrap();
        child.kill().await.unwrap();
        child.send_signal(SignalKind::TERMINATE).unwrap();
        assert_eq!(child.terminate(ms(1)).await.unwrap().code(), Some(3));
        assert_eq!(child.wait().await.unwrap().code(), Some(3), "as it was");
    });
}

#[test]
fn killing_what_ends_by_itself_at_the_same_time_is_no_error() {
    block_on(async {
        for _ in 0..50 {
            let mut child = shell("exit 3").spawn().unwrap();
            let ended = child.wait();
            child.start_kill().unwrap();
            let status = ended.await.unwrap();
            assert!(
                status.code() == Some(3) || status.signal() == Some(9),
                "{status}"
            );
        }
    });
}

#[test]
fn a_signal_that_is_none_is_refused() {
    block_on(async {
        let mut child = shell(FOR_EVER).kill_on_drop(true).spawn().unwrap();
        let error = child.send_signal(1234).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(child.try_wait().unwrap().is_none(), "it runs on");
    });
}

#[test]
fn terminate_asks_first_and_kills_when_the_grace_is_over() {
    block_on(async {
        let mut polite = piped("trap 'exit 4' TERM; echo ready; while :; do read line; done");
        // Kept, so that it does not read the end: waiting closes what is there.
        let _stdin = polite.stdin.take();
        assert_eq!(heard(&mut polite).await, "ready\n");
        let status = polite.terminate(Duration::from_secs(30)).await.unwrap();
        assert_eq!(status.code(), Some(4));

        let mut deaf = piped("trap '' TERM; echo ready; exec sleep 1000");
        assert_eq!(heard(&mut deaf).await, "ready\n");
        let began = Instant::now();
        let status = deaf.terminate(ms(50)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
        assert!(began.elapsed() >= ms(50), "{:?}", began.elapsed());
    });
}

#[test]
fn a_stopped_program_can_be_killed() {
    block_on(async {
        let mut child = shell(FOR_EVER).spawn().unwrap();
        child.send_signal(19).unwrap();
        let mut ended = child.wait();
        assert!(
            timeout(ms(20), &mut ended).await.is_err(),
            "stopped, not ended"
        );
        child.kill().await.unwrap();
        assert_eq!(ended.await.unwrap().signal(), Some(9));
    });
}

#[test]
fn output_is_still_there_when_the_program_has_gone() {
    block_on(async {
        let mut child = piped("echo last words");
        assert!(child.wait().await.unwrap().success());
        let mut words = String::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_string(&mut words).await.unwrap();
        assert_eq!(words, "last words\n");
    });
}

#[test]
fn many_at_once_on_every_kind_of_runtime() {
    let builders = [Builder::current_thread(), Builder::new().workers(4)];
    for runtime in builders.map(|builder| builder.build().unwrap()) {
        // Not on the main thread, as no test is.
        runtime.block_on(async {
            let children: Vec<_> = (0..100)
                .map(|i| shell(&format!("exit {i}")).status())
                .map(spawn)
                .collect();
            for (i, child) in children.into_iter().enumerate() {
                assert_eq!(child.await.unwrap().unwrap().code(), Some(i as i32));
            }
        });
    }
}

#[test]
fn a_child_outlives_its_runtime_and_waiting_for_it_says_so() {
    let runtime = Builder::new().workers(1).build().unwrap();
    let mut child = runtime.block_on(async { shell(FOR_EVER).kill_on_drop(true).spawn().unwrap() });
    runtime.shutdown(Duration::from_secs(10));
    assert!(child.try_wait().unwrap().is_none());
    let error = block_on(child.wait()).unwrap_err();
    assert!(error.to_string().contains("shut down"), "{error}");
    child.start_kill().unwrap();
    eventually("it is known when it has ended", || {
        block_on(child.wait()).is_ok_and(|status| status.signal() == Some(9))
    });
}

/// Nobody can tell how a child has ended if SIGCHLD is ignored, but nobody hangs.
#[test]
fn where_exits_are_ignored_waiting_fails_and_killing_is_safe() {
    let name = "ends::where_exits_are_ignored_waiting_fails_and_killing_is_safe";
    if !is_inside() {
        let test = this_test(name);
        let mut ignoring = std::process::Command::new("env");
        ignoring.arg("--ignore-signal=CHLD");
        ignoring.arg(test.get_program()).args(test.get_args());
        let variables = test.get_envs();
        ignoring.envs(variables.filter_map(|(key, value)| Some((key, value?))));
        return expect_passed(ignoring);
    }
    block_on(async {
        let mut child = shell("exit 3").spawn().unwrap();
        let error = child.wait().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(10), "ECHILD: {error}");
        child.start_kill().unwrap();
    });
}
