//! What the tests share: servers that are there or not, and programs that are run.

use std::env;
use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::process::Output;
use std::time::Duration;

use rt::process::Command;

/// Nothing here takes longer, not even on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Says that a test is skipped, past the test harness, which keeps to itself what tests that pass print.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    // In one piece, since other tests write at the same time.
    let line = format!("SKIPPED {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What a variable says of a server that may be used.
pub(crate) fn server(variable: &str) -> Option<String> {
    let named = env::var(variable).ok().filter(|named| !named.is_empty());
    if named.is_none() {
        skipped(&format!("{variable} names no server"));
    }
    named
}

/// Runs a program to its end.
pub(crate) async fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Output {
    let output = try_run(program, arguments).await;
    output.unwrap_or_else(|| panic!("{program} is not there"))
}

/// Runs a program to its end; gives nothing, and says so, where there is none.
pub(crate) async fn try_run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let ended = rt::timeout(LONG, command.output()).await;
    match ended.unwrap_or_else(|_| panic!("{program} hangs")) {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skipped(&format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// What a program wrote, which must have succeeded.
pub(crate) fn written(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Tries until something is so at which a server arrives by itself.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let trying = async {
        while !is_so().await {
            rt::sleep(Duration::from_millis(5)).await;
        }
    };
    rt::timeout(LONG, trying)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
