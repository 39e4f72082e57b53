//! How long polls take, and how long tasks stand in a queue, by samples that cost next to nothing.
//!
//! When a worker looks around, with the time at hand, and its last sample is long ago, it has its next poll measured: two
//! readings of the clock. The task of that poll is *watched*: its next wake-up notes the moment, and the poll after
//! that, on whatever worker, how long that is ago. Then the task is as any other. So neither a poll nor a wake-up has to
//! ask whether it is to be measured: a poll goes by a word of its seat that is read for other reasons too, and
//! wake-ups by the state word.
//!
//! Polls are not measured at equal distances, but at about equal times; so a sample of a time when there were many
//! polls stands for more of them. It is counted as often as there were polls since the one before.

use std::cell::Cell;

use super::Seat;
use super::worker::Worker;
use crate::platform::Nanos;
use crate::task::{Ran, Task};

/// Between two samples of a worker: a sample takes about 0.2 µs, so all of them 0.1 % of its time.
const PERIOD: Nanos = 200_000;

/// What the holder of a seat knows of its samples.
#[derive(Default)]
pub(super) struct Samples {
    /// The next poll is to be measured.
    is_wanted: Cell<bool>,
    taken_at: Cell<Nanos>,
    /// Polls of the seat at the last sample.
    n_polls: Cell<u64>,
    /// What the last sample stood for.
    weight: Cell<u64>,
}

impl Worker<'_> {
    /// Has the next poll measured, if it is time; `now` was just read.
    #[inline]
    pub(super) fn consider_sample(&self, now: Nanos) {
        let holder = self.holder();
        let passed = now.saturating_sub(holder.samples.taken_at.get());
        if passed < PERIOD || self.shared.clock.is_paused() {
            return;
        }
        if holder.random.below(2) == 0 {
            // After one more poll, so as not to be in step with tasks that take turns.
            holder.until_maintenance.set(0);
            holder.interval.set(1);
            return;
        }
        holder.samples.taken_at.set(now);
        holder.samples.is_wanted.set(true);
        holder.is_special.set(true);
    }

    /// Runs a task by `run`, and measures that if it is to be: as a sample, or because every poll is recorded.
    pub(super) fn measured(&self, task: Task, run: impl FnOnce(Task) -> Ran) -> Ran {
        let shared = self.shared;
        let is_sample = self.holder().samples.is_wanted.replace(false);
        if !(is_sample || shared.recorder.is_some()) || shared.clock.is_paused() {
            return run(task);
        }
        let header = task.header();
        if !header.state.load().is_watched() {
            header.set_woken_at(0);
            header.state.watch();
        }
        let began = shared.clock.now();
        let ran = run(task);
        let ended = shared.clock.now();
        if let Ran::Again(task) = &ran {
            task.header().set_woken_at(ended);
        }
        if self.has_seat() {
            // SAFETY: worker invariant 1: the task has not given the seat away.
            unsafe { self.seat.count_poll_time(ended.saturating_sub(began)) };
        }
        ran
    }
}

/// What only the holder may call.
impl Seat {
    /// # Safety
    ///
    /// The calling thread holds the seat.
    unsafe fn count_poll_time(&self, passed: Nanos) {
        // SAFETY: by the caller's promise.
        let samples = unsafe { &self.holder().samples };
        let n_polls = self.n_polls();
        let weight = n_polls.wrapping_sub(samples.n_polls.replace(n_polls));
        samples.weight.set(weight);
        self.poll_times.add(passed, weight);
    }

    /// Counts the time from a wake-up to a poll: one of as many as the last poll that was measured stood for, unless
    /// each is counted.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    pub(super) unsafe fn count_latency(&self, passed: Nanos, is_each: bool) {
        // SAFETY: by the caller's promise.
        let samples = unsafe { &self.holder().samples };
        let weight = if is_each {
            1
        } else {
            samples.weight.get().max(1)
        };
        self.latencies.add(passed, weight);
    }
}
