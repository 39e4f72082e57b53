//! Other programs: what comes in, what goes out, how they end, and what is left of them.
#![cfg(target_os = "linux")]

mod ends;
mod groups;
mod left;
mod pipes;
#[path = "../support/mod.rs"]
mod support;

use rt_tasks_io::process::{Child, Command, Stdio};

/// A shell with this script.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A shell with this script, all of whose ends are pipes.
fn piped(script: &str) -> Child {
    let mut command = shell(script);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}
