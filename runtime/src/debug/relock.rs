//! The report of a task that waits for what it has already.
//!
//! It is told when it happens, by the lock or the semaphore itself. A task may have several parts that run at the same time
//! (`join!`), and another part may give back what it has; nobody can know that. So two places are told once, and not
//! each time. A part that has a waker of its own is seen, and those who have reason to expect that ask for it
//! ([`is_whole`]).

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::Mutex;
use std::task::Waker;

use super::Polled;
use crate::context;
use crate::scheduler;
use crate::shim::lock_std;
use crate::unhandled::Unhandled;
use crate::wait::Since;

type Place = &'static Location<'static>;

/// The pairs of places that were told.
pub(super) type Told = Mutex<HashSet<(Place, Place)>>;

/// What a task has and waits for.
#[derive(Clone, Copy, Debug)]
pub enum Own {
    /// A lock that one at a time can have.
    Lock,
    /// A read-write lock, which it writes.
    Written,
    /// A read-write lock, which it reads and wants to write.
    ReadToWrite,
    /// A read-write lock, which it reads and wants to read again, behind one that waits to write.
    ReadAgain,
    /// So many of the permits of a semaphore that those who have the others cannot give it enough.
    Permits {
        /// What it asks for.
        n_wanted: usize,
        /// What is asked for by who is in line before it, where the others cannot give that one enough.
        n_before: Option<usize>,
        /// What it has.
        n_had: usize,
        /// What there is.
        n_permits: usize,
    },
}

/// A task that waits for itself.
#[derive(Debug)]
pub(crate) struct Relock {
    pub(crate) what: Polled,
    own: Own,
    held_since: Since,
    taken_again: Place,
}

/// Whether this thread works for a runtime in debug mode, so that locks have to say where they were taken.
#[must_use]
pub fn is_debugging() -> bool {
    context::with_runtime(|runtime| runtime.is_some_and(|shared| shared.debug.is_some()))
}

/// Whether this is the waker of the task, or of the call of `block_on`, that runs here. Another one was made for a part of
/// it, and then there are more of them.
#[must_use]
pub fn is_whole(waker: &Waker) -> bool {
    let of_task = context::with_task(|task| {
        task.map(|task| ptr::eq(ptr::from_ref(task).cast(), waker.data()))
    });
    of_task.unwrap_or_else(|| {
        context::with_caller(|caller| {
            caller.is_some_and(|caller| scheduler::is_waker_of(caller, waker))
        })
    })
}

/// Reports that what runs here waits for a lock which it has had since `held_since`.
#[cold]
pub fn report_relock(held_since: Place, taken_again: Place) {
    report_own(Own::Lock, Since::at(held_since), taken_again);
}

/// Reports that what runs here waits for what it has had since `held_since`.
#[cold]
pub fn report_own(own: Own, held_since: Since, taken_again: Place) {
    let (Some(what), Some(first)) = (Polled::current(), held_since.first()) else {
        return;
    };
    let relock = Relock {
        what,
        own,
        held_since,
        taken_again,
    };
    context::with_runtime(|runtime| {
        let Some(shared) = runtime else { return };
        let Some(debug) = &shared.debug else { return };
        if lock_std(&debug.relocks).insert((first, taken_again)) {
            shared.report(Unhandled::relock(relock));
        }
    });
}

impl Polled {
    /// What is being polled on this thread.
    fn current() -> Option<Self> {
        let task = context::with_task(|task| task.map(|task| Box::new(task.info())));
        match task {
            Some(task) => Some(Self::Task(task)),
            None => context::with_caller(|caller| Some(Self::BlockOn(caller?.called_at))),
        }
    }
}

impl fmt::Display for Relock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (again, since) = (self.taken_again, &self.held_since);
        write!(f, "{} ", self.what)?;
        match self.own {
            Own::Lock => write!(
                f,
                "takes a lock at {again} that it has already, since {since}: {ITSELF}, or hand it on"
            ),
            Own::Written => write!(
                f,
                "takes a read-write lock at {again} that it writes already, since {since}: {ITSELF}, or hand it on"
            ),
            Own::ReadToWrite => write!(
                f,
                "takes a lock at {again} to write that it reads already, since {since}: {ITSELF}, or hand it on"
            ),
            Own::ReadAgain => write!(
                f,
                "reads a lock at {again} that it reads already, since {since}, and in between another one has begun to \
                 wait to write: it waits for that one, and so {ITSELF}, or hand it on"
            ),
            Own::Permits {
                n_wanted,
                n_before,
                n_had,
                n_permits,
            } => {
                write!(
                    f,
                    "waits for permits that it holds itself: at {again} it asks for {n_wanted}"
                )?;
                if let Some(n_before) = n_before {
                    write!(f, ", behind one who asks for {n_before}")?;
                }
                write!(
                    f,
                    ", and of all {n_permits} it has {n_had}, since {since}; that is for ever unless another part of \
                     it gives some back, or new ones are added; give them back first, or take all at once"
                )
            }
        }
    }
}

const ITSELF: &str = "it waits for itself, for ever unless another part of it gives the lock up; drop the guard first";
