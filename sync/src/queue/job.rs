//! An item together with the duty to say when it has been dealt with.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rt_tasks_runtime::wait::{self, Holders};

use super::shared::Shared;
use super::store::{Fifo, Lifo, Ranked};

/// An item that was taken from a queue, and counts as dealt with when it is dropped; see
/// [`Queue::take`](super::Queue::take).
///
/// It is the same type for all kinds of queue, so that whoever works on it need not know where it came from.
#[must_use = "an item counts as dealt with as soon as its job is dropped"]
pub struct Job<T> {
    // Dropped in this order: the work is done when the item is gone.
    item: T,
    _duty: Duty<T>,
}

/// Calls `task_done` on its queue when dropped.
pub enum Duty<T> {
    Fifo(Arc<Shared<Fifo<T>>>),
    Lifo(Arc<Shared<Lifo<T>>>),
    Ranked(Arc<Shared<Ranked<T>>>),
    /// One of these; who took the item is written down.
    Watched(Box<Watched<T>>),
}

/// A duty of a queue that knows who took its items.
pub struct Watched<T> {
    jobs: Arc<Holders>,
    /// Its number, or zero if that is no task.
    taker: u64,
    _duty: Duty<T>,
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.jobs.update(|shares| {
            shares.give(self.taker, 1);
            // Where one job is handed on, others may be on their way.
            if self.taker != wait::me() {
                shares.pass_on();
            }
        });
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl<T> Duty<T> {
    /// Writes down that what runs here has it.
    #[cold]
    pub(super) fn watched(self, jobs: &Arc<Holders>) -> Self {
        let taker = wait::me();
        jobs.update(|shares| shares.take(taker, 1, None));
        Self::Watched(Box::new(Watched {
            jobs: Arc::clone(jobs),
            taker,
            _duty: self,
        }))
    }
}

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        // An error means that somebody else called it once too often: they were told.
        let _ = match self {
            Self::Fifo(queue) => queue.task_done(),
            Self::Lifo(queue) => queue.task_done(),
            Self::Ranked(queue) => queue.task_done(),
            // By the one within.
            Self::Watched(_) => Ok(()),
        };
    }
}

impl<T> fmt::Debug for Duty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duty")
    }
}

impl<T> Job<T> {
    pub(super) fn new(item: T, duty: Duty<T>) -> Self {
        Self { item, _duty: duty }
    }

    /// Takes the item out; from then on it counts as dealt with.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Job<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}
