//! `curl`, a client that is not ours.

use std::io::{ErrorKind, Write};
use std::process::Output;
use std::time::Duration;

use rt::process::Command;

const LONG: Duration = Duration::from_secs(60);

/// Runs `curl`; gives nothing, and says so aloud, where there is none.
pub(crate) async fn curl(arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("curl");
    // Whatever the environment says about proxies is not for these.
    command.args(["--silent", "--show-error", "--noproxy", ""]);
    command.args(arguments).kill_on_drop(true);
    match rt::timeout(LONG, command.output())
        .await
        .expect("curl hangs")
    {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Past the test harness, which keeps to itself what tests that pass print.
            let line = b"SKIPPED: curl is not installed, so it is not asked\n";
            let _ = std::io::stderr().write_all(line);
            None
        }
        Err(error) => panic!("curl: {error}"),
    }
}

/// What `curl` got, which must have succeeded.
pub(crate) async fn curled(arguments: &[&str]) -> Option<String> {
    let output = curl(arguments).await?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}
