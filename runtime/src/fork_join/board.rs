//! The board of one `fork_join`: the jobs that nobody runs yet, and how many have not ended.
//!
//! Everything is under one lock, which is held for a few instructions: a job of a few microseconds is much
//! longer (rejected: a deque for each thread, which pays off for jobs under a microsecond).
//!
//! # Invariants
//!
//! 1. A job is taken at most once: whoever takes its work out of the queue runs it.
//! 2. `n_unfinished` counts a job from before it is in the queue until `finish`, which whoever took it calls
//!    when nothing of it is left.
//! 3. Who waits has counted itself in `n_waiting` under the lock under which it looked: every change after
//!    that look wakes it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::shim::{Condvar, Mutex, MutexGuard, lock};

pub(crate) struct Board<W> {
    jobs: Mutex<Jobs<W>>,
    changed: Condvar,
}

struct Jobs<W> {
    /// With rising numbers. A job that was taken out of turn leaves its place empty.
    queue: VecDeque<(u64, Option<W>)>,
    n_queued: usize,
    next_number: u64,
    n_unfinished: usize,
    n_waiting: usize,
    n_helpers: usize,
}

/// A job that was added.
pub(crate) struct Added {
    /// Its name for `claim`.
    pub(crate) number: u64,
    /// One more helper may find something to do: those there are may all be busy. It is counted already.
    pub(crate) wants_helper: bool,
}

/// What there is to do at the end of a scope.
#[must_use]
pub(crate) enum Next<W> {
    /// Run this.
    Work(W),
    /// Others run the rest.
    Wait,
    /// Every job has ended.
    Over,
}

impl<W> Board<W> {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Mutex::new(Jobs {
                queue: VecDeque::new(),
                n_queued: 0,
                next_number: 0,
                n_unfinished: 0,
                n_waiting: 0,
                n_helpers: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// Queues the job that `make` makes for its number.
    pub(crate) fn add(&self, max_helpers: usize, make: impl FnOnce(u64) -> W) -> Added {
        let mut jobs = lock(&self.jobs);
        let number = jobs.next_number;
        let work = make(number);
        jobs.next_number += 1;
        jobs.n_unfinished += 1;
        jobs.n_queued += 1;
        jobs.queue.push_back((number, Some(work)));
        let wants_helper = jobs.n_helpers < max_helpers;
        if wants_helper {
            jobs.n_helpers += 1;
        }
        self.tell(jobs);
        Added {
            number,
            wants_helper,
        }
    }

    /// The next job for a helper. None: there is none, and the helper is no more.
    pub(crate) fn take_or_leave(&self) -> Option<W> {
        let mut jobs = lock(&self.jobs);
        let work = jobs.take();
        if work.is_none() {
            jobs.n_helpers -= 1;
        }
        work
    }

    /// A helper goes.
    pub(crate) fn leave(&self) {
        lock(&self.jobs).n_helpers -= 1;
    }

    /// The work of a job, if nobody has taken it.
    pub(crate) fn claim(&self, number: u64) -> Option<W> {
        let mut jobs = lock(&self.jobs);
        let index = jobs.queue.binary_search_by_key(&number, |job| job.0);
        let work = jobs.queue[index.ok()?].1.take();
        if work.is_some() {
            jobs.n_queued -= 1;
        }
        // Most are claimed in the reverse order of their spawns: what they leave must not pile up.
        while jobs.queue.back().is_some_and(|job| job.1.is_none()) {
            jobs.queue.pop_back();
        }
        work
    }

    /// What there is to do until every job has ended.
    pub(crate) fn next(&self) -> Next<W> {
        let mut jobs = lock(&self.jobs);
        match jobs.take() {
            Some(work) => Next::Work(work),
            None if jobs.n_unfinished == 0 => Next::Over,
            None => Next::Wait,
        }
    }

    /// A job that was taken has ended, and nothing of it is left.
    pub(crate) fn finish(&self) {
        let mut jobs = lock(&self.jobs);
        jobs.n_unfinished -= 1;
        self.tell(jobs);
    }

    /// Waits until [`next`](Self::next) has something else to say than to wait; false: not within
    /// `limit`.
    pub(crate) fn wait_for_next(&self, limit: Option<Duration>) -> bool {
        self.wait(limit, |jobs| jobs.n_queued > 0 || jobs.n_unfinished == 0)
    }

    /// Waits until `is_over`, which some job makes true before it is finished; false: not within `limit`.
    pub(crate) fn wait_for(&self, limit: Option<Duration>, is_over: impl Fn() -> bool) -> bool {
        self.wait(limit, |_| is_over())
    }

    fn wait(&self, limit: Option<Duration>, is_over: impl Fn(&Jobs<W>) -> bool) -> bool {
        let mut jobs = lock(&self.jobs);
        while !is_over(&jobs) {
            jobs.n_waiting += 1;
            let (guard, is_late) = self.sleep(jobs, limit);
            jobs = guard;
            jobs.n_waiting -= 1;
            if is_late && !is_over(&jobs) {
                return false;
            }
        }
        true
    }

    fn sleep<'a>(
        &self,
        jobs: MutexGuard<'a, Jobs<W>>,
        limit: Option<Duration>,
    ) -> (MutexGuard<'a, Jobs<W>>, bool) {
        let Some(limit) = limit else {
            let jobs = self.changed.wait(jobs);
            return (jobs.unwrap_or_else(|poisoned| poisoned.into_inner()), false);
        };
        let waited = self.changed.wait_timeout(jobs, limit);
        let (jobs, result) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        (jobs, result.timed_out())
    }

    /// Tells whoever waits.
    fn tell(&self, jobs: MutexGuard<'_, Jobs<W>>) {
        let is_awaited = jobs.n_waiting > 0;
        drop(jobs);
        if is_awaited {
            self.changed.notify_all();
        }
    }
}

impl<W> Jobs<W> {
    /// The job that has waited longest.
    fn take(&mut self) -> Option<W> {
        while let Some((_, work)) = self.queue.pop_front() {
            if work.is_some() {
                self.n_queued -= 1;
                return work;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_claimed_at_once_leave_no_places_behind() {
        let board = Board::new();
        for _ in 0..1_000 {
            let added = board.add(0, |number| number);
            assert_eq!(board.claim(added.number), Some(added.number));
        }
        assert!(lock(&board.jobs).queue.is_empty());
    }
}
