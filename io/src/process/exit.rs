//! A process as all who wait for it share it.
//!
//! There is a descriptor that becomes readable when the process exits, so waiting is waiting for that, as for a
//! socket. Its exit status is asked for under a lock, and only there: while the lock is held and the status is not
//! known the process, dead or alive, keeps its number, so that a signal reaches it or nobody.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::Mutex;

use rt_tasks_runtime::reactor::{Direction, Source};
use rt_tasks_runtime::shim::lock_std;
use rustix::process::{Pid, Signal};

use super::{reaper, system};
use crate::signal::SignalKind;

/// Of what is missing in [`Process`] only while it is dropped.
const HELD: &str = "a process is watched until it is dropped";

/// A process that was started here and that nobody else waits for.
pub(super) struct Process {
    id: u32,
    /// Both are missing only while it is dropped.
    child: Mutex<Option<Child>>,
    exit: Option<Source<OwnedFd>>,
}

impl Process {
    /// Watches what has just been started. If that cannot be done it is killed.
    pub(super) fn new(mut child: Child) -> io::Result<Self> {
        let watched = system::watch(pid(child.id())).and_then(Source::new);
        match watched {
            Ok(exit) => Ok(Self {
                id: child.id(),
                child: Mutex::new(Some(child)),
                exit: Some(exit),
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    fn exit(&self) -> &Source<OwnedFd> {
        self.exit.as_ref().expect(HELD)
    }

    /// Its exit status, if it has one. The first time that it has, it ceases to be.
    pub(super) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        lock_std(&self.child).as_mut().expect(HELD).try_wait()
    }

    /// Waits for its exit status. Any number of tasks may.
    pub(super) async fn exit_status(&self) -> io::Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            // Also when the runtime that watches it is no more.
            return Ok(status);
        }
        let ask = |_: &OwnedFd| self.try_wait()?.ok_or(io::ErrorKind::WouldBlock.into());
        self.exit().run(Direction::Read, ask).await
    }

    /// Sends it a signal, if it still runs.
    pub(super) fn send(&self, signal: SignalKind) -> io::Result<()> {
        let number = signal.as_raw();
        let signal = Signal::from_named_raw(number).ok_or_else(|| {
            let what = format!("signal {number} cannot be sent to a child");
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        let mut child = lock_std(&self.child);
        match child.as_mut().expect(HELD).try_wait() {
            Ok(None) => system::send(self.exit().io(), pid(self.id), signal),
            // It has ended. Or somebody else has waited for it: its number may be another's.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = lock_std(&self.child).take();
        let (Some(mut child), Some(exit)) = (child, self.exit.take()) else {
            return;
        };
        if let Ok(None) = child.try_wait() {
            reaper::adopt(child, exit.into_inner());
        }
    }
}

/// The number of a child as the system's calls take it.
fn pid(id: u32) -> Pid {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.expect("the numbers of processes are positive")
}
