//! Watching a process and sending it signals where nothing but its number stands for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

#[path = "by_thread.rs"]
mod by_thread;

pub(super) use self::by_thread::watch;

/// Sends a signal to a child that has not been waited for.
pub(super) fn send(_exit: &OwnedFd, pid: Pid, signal: Signal) -> io::Result<()> {
    match kill_process(pid, signal) {
        // Somebody else has waited for it.
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}
