//! A worker's run queue: first in first out for its owner, half of it at a time for thieves.
//!
//! The seam behind which `crossbeam_deque` stands, so that another queue could take its place. What the
//! scheduler relies on: a task that was pushed is popped or stolen exactly once; a thief takes at most half;
//! `is_empty` of a thief may be out of date, but not past the fences of the idle protocol.

use crossbeam_deque::{Steal, Stealer, Worker};

use super::upcoming::Upcoming;
use crate::task::Task;

/// Tasks a thief takes at most at once.
const STEAL_LIMIT: usize = 128;

/// The owner's end.
pub(crate) struct RunQueue {
    worker: Worker<Task>,
    upcoming: Upcoming,
}

impl RunQueue {
    pub(crate) fn new() -> (Self, Thief) {
        let worker = Worker::new_fifo();
        let stealer = worker.stealer();
        let upcoming = Upcoming::new();
        (Self { worker, upcoming }, Thief { stealer })
    }

    /// Queues a task that is in the cache: it was just made, run, or woken by one that was just run.
    #[inline]
    pub(crate) fn push(&self, task: Task) {
        self.upcoming.pass_over(1);
        self.worker.push(task);
    }

    /// Queues a task that has slept for a while: its memory is asked for before it is run.
    #[inline]
    pub(crate) fn push_cold(&self, task: Task) {
        self.upcoming.push_cold(task.header());
        self.worker.push(task);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Task> {
        self.worker.pop()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.worker.len()
    }

    /// Asks for the memory of the task that is popped next, with so many in the queue.
    #[inline]
    pub(crate) fn fetch_next(&self, n_queued: usize) {
        self.upcoming.fetch(n_queued);
    }
}

/// The thieves' end.
pub(crate) struct Thief {
    stealer: Stealer<Task>,
}

impl Thief {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.stealer.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.stealer.len()
    }

    /// Moves up to half of the queue to `into`, whose owner calls this, and gives one task of it to run.
    pub(crate) fn steal_half(&self, into: &RunQueue) -> Option<Task> {
        let n_before = into.len();
        loop {
            match self
                .stealer
                .steal_batch_with_limit_and_pop(&into.worker, STEAL_LIMIT)
            {
                Steal::Success(task) => {
                    into.upcoming.pass_over(into.len().saturating_sub(n_before));
                    return Some(task);
                }
                Steal::Empty => return None,
                Steal::Retry => std::hint::spin_loop(),
            }
        }
    }
}
