//! What tests share that look at a whole process: they run in one of their own.
#![allow(dead_code)] // Each test binary uses its part of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process that a test starts for itself.
const INSIDE: &str = "RT_TEST_INSIDE";

/// Whether this is the process that a test has started for itself.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The program of this very test, to be run in a process of its own, with its output as it comes.
pub(crate) fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null());
    command
}

/// Runs the body of the test `name` in a process of its own, where nobody else has children, files or signals.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if is_inside() {
        return body();
    }
    expect_passed(this_test(name));
}

/// Runs a test in a process of its own and fails if it does.
pub(crate) fn expect_passed(mut test: Command) {
    let output = test.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}: {text}",
        output.status
    );
}

/// How many descriptors this process has open, but for files of `/proc`: one of those is the list that is read here, and
/// the monitor of a runtime looks there too when a machine is busy.
pub(crate) fn n_open() -> usize {
    let list = std::fs::read_dir("/proc/self/fd").unwrap();
    // One that is closed meanwhile leads nowhere.
    let leads = list.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    leads.filter(|lead| !lead.starts_with("/proc")).count()
}

/// How many threads this process has.
pub(crate) fn n_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// The children of this process, running or zombies, by their states.
pub(crate) fn children() -> Vec<(u32, char)> {
    let me = std::process::id();
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent: u32 = fields.next()?.parse().ok()?;
        (parent == me).then_some((id, state))
    })
    .collect()
}

/// Waits until something is so that takes place on another thread, which nobody tells of.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Milliseconds.
pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
