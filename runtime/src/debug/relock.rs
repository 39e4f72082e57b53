//! The report of a task that takes a lock which it has already.
//!
//! It is told when it happens, by the lock itself. A task may have several parts that run at the same time (`join!`), and
//! another part may give the lock up; nobody can know that. So two places are told once, and not each time.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::Mutex;

use super::Polled;
use crate::context;
use crate::shim::lock_std;
use crate::unhandled::Unhandled;

type Place = &'static Location<'static>;

/// The pairs of places that were told.
pub(super) type Told = Mutex<HashSet<(Place, Place)>>;

/// A task that waits for itself.
#[derive(Debug)]
pub(crate) struct Relock {
    pub(crate) what: Polled,
    held_since: Place,
    taken_again: Place,
}

/// Whether this thread works for a runtime in debug mode, so that locks have to say where they were taken.
#[must_use]
pub fn is_debugging() -> bool {
    context::with_runtime(|runtime| runtime.is_some_and(|shared| shared.debug.is_some()))
}

/// Reports that what runs here waits for a lock which it has had since `held_since`.
#[cold]
pub fn report_relock(held_since: Place, taken_again: Place) {
    let Some(what) = Polled::current() else {
        return;
    };
    let relock = Relock {
        what,
        held_since,
        taken_again,
    };
    context::with_runtime(|runtime| {
        let Some(shared) = runtime else { return };
        let Some(debug) = &shared.debug else { return };
        if lock_std(&debug.relocks).insert((held_since, taken_again)) {
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
        write!(
            f,
            "{} takes a lock at {} that it has already, since {}: it waits for itself, for ever unless another part of \
             it gives the lock up; drop the guard first, or hand it on",
            self.what, self.taken_again, self.held_since
        )
    }
}
