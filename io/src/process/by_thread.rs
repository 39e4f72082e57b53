//! A thread that waits for the exit of one child, and closes a pipe when it comes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What the thread needs is next to nothing.
const STACK_SIZE: usize = 64 * 1024;

/// A descriptor that becomes readable when the child exits.
///
/// The thread leaves the exit status for whoever asks for it: so the child keeps its number until then.
pub(in crate::process) fn watch(pid: Pid) -> io::Result<OwnedFd> {
    let (exit, running) = UnixStream::pair()?;
    exit.set_nonblocking(true)?;
    thread::Builder::new()
        .name(format!("rt-child-{}", pid.as_raw_nonzero()))
        .stack_size(STACK_SIZE)
        .spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
            drop(running);
        })?;
    Ok(exit.into())
}
