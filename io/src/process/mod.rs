//! Other programs, as in [`std::process`], without blocking the task's worker.
//!
//! ```text
//!   Command ── spawn ──> Child ── wait, kill … ──┐
//!                          │                     ├──> Process: exit status, a descriptor that becomes readable
//!                          └ stdin, stdout …     │    at the exit
//!                              pipes             └ dropped by the last: if the program still runs, the reaper
//!                                                  waits for it, so that no zombie is left
//! ```
//!
//! # Cancel safety
//!
//! Dropping a future of this module never loses an exit status, and the program runs on, unless
//! [`Command::kill_on_drop`] was asked for. What a future says otherwise stands there.
//!
//! # Examples
//!
//! ```
//! # use rt_tasks_io as rt;
//! use rt::process::Command;
//! # rt_tasks_runtime::block_on(async {
//! let output = Command::new("echo").arg("hello").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"hello\n");
//!
//! let status = Command::new("sh").args(["-c", "exit 3"]).status().await?;
//! assert_eq!(status.code(), Some(3));
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod child;
mod command;
mod exit;
mod pipe;
mod reaper;
#[cfg_attr(all(target_os = "linux", not(rt_portable)), path = "system_linux.rs")]
#[cfg_attr(
    not(all(target_os = "linux", not(rt_portable))),
    path = "system_portable.rs"
)]
mod system;

pub use child::{Child, Wait};
pub use command::Command;
pub use pipe::{ChildStderr, ChildStdin, ChildStdout};
pub use std::process::{ExitStatus, Output, Stdio};
