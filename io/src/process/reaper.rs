//! Waits for programs that run on when nobody here wants to know of them any more.
//!
//! A program that has ended stays in the system's table until its parent asks for its exit status. Who drops a `Child` will
//! not ask, and his runtime may end before the program does. So a thread of the process adopts it. There is at most
//! one such thread, and none while it has nobody to wait for.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Mutex;
use std::thread;

use rt_tasks_runtime::shim::lock_std;
use rustix::event::{PollFd, PollFlags, poll};

static REAPER: Mutex<Reaper> = Mutex::new(Reaper {
    newcomers: Vec::new(),
    bell: None,
});

struct Reaper {
    /// Whom the thread has not taken over yet.
    newcomers: Vec<Orphan>,
    /// Wakes the thread; present while there is one.
    bell: Option<UnixStream>,
}

struct Orphan {
    child: Child,
    /// Becomes readable when it exits.
    exit: OwnedFd,
}

impl Orphan {
    /// Asks for the exit status. An error says that nobody will ever have it.
    fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Sees to it that the exit status of a child is asked for once it has one.
pub(super) fn adopt(child: Child, exit: OwnedFd) {
    let mut reaper = lock_std(&REAPER);
    reaper.newcomers.push(Orphan { child, exit });
    if let Some(mut bell) = reaper.bell.as_ref() {
        // Full means that it rings already.
        let _ = bell.write(&[0]);
    } else if let Ok(bell) = start() {
        // Without a descriptor or a thread, the next who comes tries again.
        reaper.bell = Some(bell);
    }
}

fn start() -> io::Result<UnixStream> {
    let (bell, ringing) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ringing.set_nonblocking(true)?;
    thread::Builder::new()
        .name("rt-reaper".to_owned())
        .spawn(move || reap(&ringing))?;
    Ok(bell)
}

/// The life of the thread, until there is nobody to wait for.
fn reap(mut ringing: &UnixStream) {
    let mut orphans = Vec::new();
    loop {
        {
            let mut reaper = lock_std(&REAPER);
            orphans.append(&mut reaper.newcomers);
            if orphans.is_empty() {
                reaper.bell = None;
                return;
            }
        }
        let exits = orphans
            .iter()
            .map(|orphan| PollFd::new(&orphan.exit, PollFlags::IN));
        let mut watched: Vec<_> = exits
            .chain([PollFd::new(&ringing, PollFlags::IN)])
            .collect();
        // An error is an interruption: it looks, and waits again.
        let _ = poll(&mut watched, None);
        while matches!(ringing.read(&mut [0; 64]), Ok(n) if n > 0) {}
        orphans.retain_mut(|orphan| !orphan.is_gone());
    }
}
