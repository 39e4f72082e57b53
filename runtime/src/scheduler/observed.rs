//! Polls that are more than polls: recorded, measured, watched by debug mode, or disturbed; and wake-ups of watched
//! tasks.
//!
//! All of it is off the fast path. A worker comes here because its seat says that the next task is special, a
//! wake-up and the beginning of a poll because the task's state word has `WATCHED`.

use std::sync::Arc;

use super::Shared;
use super::worker::{Turn, Worker};
use crate::record::{Event, Kind};
use crate::task::state::Snapshot;
use crate::task::{Header, Ran, Task};

impl Shared {
    /// Whether no task is just run.
    fn is_watchful(&self) -> bool {
        self.debug.is_some() || self.recorder.is_some() || self.platform.is_chaotic()
    }

    /// Does for a new task what is not done for every one.
    #[cold]
    pub(crate) fn attend(&self, task: &Header) {
        if let Some(recorder) = &self.recorder {
            task.state.watch();
            task.set_woken_at(0);
            recorder.spawned(self, task);
        }
        if self.is_closing() {
            crate::task::harness::cancel_for_shutdown(task);
        }
    }
}

/// A watched task was woken, or asked to end. True: the caller has to queue it.
#[cold]
pub(crate) fn woken_watched(task: &Header, before: Snapshot) -> bool {
    if before.is_scheduled() || before.is_complete() {
        return false;
    }
    // Whoever calls this keeps the cell, and that its runtime, also when the task ends meanwhile.
    let shared: &Arc<Shared> = task.runtime();
    if let Some(recorder) = &shared.recorder {
        recorder.woken(shared, task);
    }
    let is_due = before.is_idle();
    if is_due {
        task.set_woken_at(shared.clock.now());
    }
    is_due
}

/// A poll of a watched task begins.
#[cold]
pub(crate) fn begins_watched(task: &Header) {
    let woken_at = task.woken_at();
    if woken_at == 0 {
        // It is watched from this poll on.
        return;
    }
    let shared: &Arc<Shared> = task.runtime();
    let passed = shared.clock.now().saturating_sub(woken_at);
    super::entry::with_seat_of(Arc::as_ptr(shared), |seat, _| {
        if let Some(seat) = seat {
            // SAFETY: this thread holds the seat.
            unsafe { seat.count_latency(passed, shared.recorder.is_some()) };
        }
    });
    task.set_woken_at(0);
    if shared.recorder.is_none() {
        task.state.unwatch();
    }
}

impl Worker<'_> {
    #[cold]
    pub(super) fn turn_specially(&self) -> Turn {
        self.holder().is_special.set(self.shared.is_watchful());
        if self.shared.platform.is_chaotic() {
            return self.turn_in_chaos();
        }
        self.turn_by(|task| {
            self.measured(task, |task| {
                self.recorded(task, |task| match &self.shared.debug {
                    Some(debug) => debug.run(self.shared, self.seat, task),
                    None => crate::task::run(task),
                })
            })
        })
    }

    /// Runs a task by `run`, and has the flight recorder note it, if there is one.
    pub(super) fn recorded(&self, task: Task, run: impl FnOnce(Task) -> Ran) -> Ran {
        // SAFETY: worker invariant 1.
        let n_queued = unsafe { self.seat.n_queued() };
        self.shared.recorded(n_queued, task, run)
    }
}

impl Shared {
    /// Runs a task by `run` where so many are queued, and has the flight recorder note it, if there is one.
    pub(crate) fn recorded(
        &self,
        n_queued: usize,
        task: Task,
        run: impl FnOnce(Task) -> Ran,
    ) -> Ran {
        match &self.recorder {
            Some(recorder) => recorder.run(self, n_queued, task, run),
            None => run(task),
        }
    }

    /// Has the flight recorder note what this thread does now, if there is one.
    #[inline]
    pub(super) fn note(&self, kind: Kind, number: usize) {
        if let Some(recorder) = &self.recorder {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let event = recorder.event(kind, 0);
            recorder.here(self, Event { number, ..event });
        }
    }

    /// Does `act`, and has the flight recorder note how long that took if it says that there was something to do.
    #[inline]
    pub(super) fn note_if(&self, kind: Kind, act: impl FnOnce() -> bool) -> bool {
        let Some(recorder) = &self.recorder else {
            return act();
        };
        let began = recorder.now();
        let is_done = act();
        if is_done {
            recorder.here(self, recorder.event(kind, began));
        }
        is_done
    }
}
