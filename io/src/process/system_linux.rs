//! Watching a process and sending it signals through a descriptor that stands for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

#[path = "by_thread.rs"]
mod by_thread;

/// A descriptor that becomes readable when the child exits.
pub(super) fn watch(pid: Pid) -> io::Result<OwnedFd> {
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        // Before Linux 5.3 and 5.10, and where a sandbox forbids it. Or it has gone already: SIGCHLD is ignored.
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::SRCH) => by_thread::watch(pid),
        watched => Ok(watched?),
    }
}

/// Sends a signal to a child that has not been waited for.
pub(super) fn send(exit: &OwnedFd, pid: Pid, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(exit, signal) {
        // It is the descriptor of a thread that waits.
        Err(Errno::BADF | Errno::NOSYS | Errno::PERM) => Ok(kill_process(pid, signal)?),
        // Somebody else has waited for it.
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What older systems do instead must not wait for them to be tried.
    #[test]
    fn a_thread_tells_the_exit_as_well() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let exit = by_thread::watch(pid).unwrap();
        let mut buffer = [0; 1];
        let early = rustix::io::read(&exit, &mut buffer);
        assert_eq!(early, Err(Errno::AGAIN), "it runs");
        send(&exit, pid, Signal::KILL).unwrap();
        let mut watched = [rustix::event::PollFd::new(
            &exit,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut watched, None).unwrap();
        // Told, and still there to be waited for.
        assert!(child.try_wait().unwrap().is_some());
    }
}
