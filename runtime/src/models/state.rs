//! Models of the state word of a task, in `task/state.rs`: no wake-up is lost, the result goes to one place,
//! and the cell is freed once.
//!
//! The cell here has the parts of a real one that the word guards; the steps are those of `task/harness.rs`
//! and `task/join.rs`.

use std::sync::atomic::AtomicUsize as Count;
use std::sync::atomic::Ordering::Relaxed;

use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::{Arc, UnsafeCell, thread};
use crate::task::state::{AfterPoll, State, Wake};

struct Cell {
    state: State,
    /// What a waker has to tell.
    is_ready: AtomicBool,
    result: UnsafeCell<Option<u32>>,
    join_waker: UnsafeCell<Option<u32>>,
    n_entries: Count,
    n_taken: Count,
    n_dropped: Count,
    n_joiners_woken: Count,
    n_freed: Count,
}

impl Cell {
    fn new() -> Arc<Self> {
        let cell = Self {
            state: State::dead(),
            is_ready: AtomicBool::new(false),
            result: UnsafeCell::new(None),
            join_waker: UnsafeCell::new(None),
            n_entries: Count::new(1),
            n_taken: Count::new(0),
            n_dropped: Count::new(0),
            n_joiners_woken: Count::new(0),
            n_freed: Count::new(0),
        };
        cell.state.init();
        Arc::new(cell)
    }

    fn wake(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
        if self.state.wake() == Wake::Submit {
            self.n_entries.fetch_add(1, Relaxed);
        }
    }

    /// One poll, as in `harness::run_in`; true if the body found what it waits for.
    fn poll_once(&self, after: impl FnOnce(AfterPoll) -> AfterPoll) -> bool {
        self.n_entries.fetch_sub(1, Relaxed);
        let _ = self.state.start();
        let is_ready = self.is_ready.load(Ordering::Relaxed);
        if after(self.state.pend()) == AfterPoll::Requeue {
            self.n_entries.fetch_add(1, Relaxed);
        }
        is_ready
    }

    fn put_result(&self) {
        self.n_entries.fetch_sub(1, Relaxed);
        let _ = self.state.start();
        // SAFETY: we have `RUNNING`; loom checks it.
        self.result.with_mut(|result| unsafe { *result = Some(7) });
    }

    fn drop_result(&self) {
        // SAFETY: the result is the caller's; loom checks it.
        let result = self.result.with_mut(|result| unsafe { (*result).take() });
        assert_eq!(result, Some(7), "dropped what is not there");
        self.n_dropped.fetch_add(1, Relaxed);
    }

    fn take_result(&self) {
        // SAFETY: the result is the caller's; loom checks it.
        let result = self.result.with_mut(|result| unsafe { (*result).take() });
        assert_eq!(result, Some(7), "took what is not there");
        self.n_taken.fetch_add(1, Relaxed);
    }

    fn free(&self) {
        // SAFETY: nobody else has the cell; loom checks it.
        self.join_waker.with_mut(|slot| unsafe { *slot = None });
        self.n_freed.fetch_add(1, Relaxed);
    }

    fn release(&self) {
        if self.state.release() {
            self.free();
        }
    }

    /// As `harness::complete`.
    fn complete(&self) {
        let mut result_dropped = false;
        let last = loop {
            let seen = self.state.load();
            if !seen.has_join_interest() && !result_dropped {
                self.drop_result();
                result_dropped = true;
            }
            if seen.has_join_waker() {
                if self.state.complete(seen) {
                    // SAFETY: `JOIN_WAKER` was set when we completed; loom checks it.
                    let waker = self.join_waker.with(|slot| unsafe { *slot });
                    assert!(waker.is_some(), "the slot of the join waker is empty");
                    self.n_joiners_woken.fetch_add(1, Relaxed);
                    break self.state.release();
                }
            } else if let Some(last) = self.state.complete_and_release(seen) {
                break last;
            }
        };
        if last {
            self.free();
        }
    }

    /// As `JoinHandle::poll_join`; true if it took the result.
    fn poll_join(&self, waker: u32) -> bool {
        let state = self.state.load();
        if !state.is_complete() {
            if state.has_join_waker() && self.state.unset_join_waker().is_complete() {
                self.take_result();
                return true;
            }
            // SAFETY: `JOIN_WAKER` is not set and the task was not complete; loom checks it.
            self.join_waker
                .with_mut(|slot| unsafe { *slot = Some(waker) });
            let _ = self.state.set_join_waker();
        }
        if self.state.load().is_complete() {
            self.take_result();
            return true;
        }
        false
    }

    /// As the drop of a `JoinHandle` that has not taken the result.
    fn drop_handle(&self) {
        if self.state.detach_fast() {
            return;
        }
        let before = self.state.drop_join_interest();
        if before.is_complete() {
            self.drop_result();
        } else if before.has_join_waker() {
            // SAFETY: not complete when `JOIN_WAKER` went, so the slot is ours; loom checks it.
            self.join_waker.with_mut(|slot| unsafe { *slot = None });
        }
        self.release();
    }

    fn assert_ended_once(&self) {
        let n_ends = self.n_taken.load(Relaxed) + self.n_dropped.load(Relaxed);
        assert_eq!(n_ends, 1, "the result was leaked, or ended twice");
        assert_eq!(
            self.n_freed.load(Relaxed),
            1,
            "the cell was leaked, or freed twice"
        );
    }
}

fn a_waker_meets_a_poll(after: fn(AfterPoll) -> AfterPoll) {
    loom::model(move || {
        let cell = Cell::new();
        let theirs = cell.clone();
        let waker = thread::spawn(move || theirs.wake());
        let is_seen = cell.poll_once(after);
        waker.join().unwrap();
        let n_entries = cell.n_entries.load(Relaxed);
        assert!(n_entries <= 1, "queued twice");
        assert!(is_seen || n_entries == 1, "woken, and in no queue");
    });
}

#[test]
fn a_wake_up_during_a_poll_leads_to_another_poll() {
    a_waker_meets_a_poll(|after| after);
}

#[test]
#[should_panic(expected = "woken, and in no queue")]
fn mutant_resting_whatever_came_during_the_poll_loses_a_wake_up() {
    a_waker_meets_a_poll(|_| AfterPoll::Rest);
}

#[test]
fn two_wake_ups_and_a_cancellation_queue_a_task_once() {
    loom::model(|| {
        let cell = Cell::new();
        assert!(!cell.poll_once(|after| after));
        let (first, second) = (cell.clone(), cell.clone());
        let waker = thread::spawn(move || first.wake());
        let canceller = thread::spawn(move || {
            let (is_first, wake) = second.state.cancel();
            assert!(is_first);
            if wake == Wake::Submit {
                second.n_entries.fetch_add(1, Relaxed);
            }
        });
        cell.wake();
        waker.join().unwrap();
        canceller.join().unwrap();
        assert_eq!(
            cell.n_entries.load(Relaxed),
            1,
            "queued twice, or not at all"
        );
        assert!(cell.state.load().is_cancelled());
    });
}

#[test]
fn a_handle_dropped_during_completion_leaves_one_end_of_the_result() {
    loom::model(|| {
        let cell = Cell::new();
        let theirs = cell.clone();
        let worker = thread::spawn(move || {
            theirs.put_result();
            theirs.complete();
        });
        cell.drop_handle();
        worker.join().unwrap();
        cell.assert_ended_once();
    });
}

#[test]
fn a_handle_awaited_and_dropped_during_completion_leaves_one_end_of_the_result() {
    loom::model(|| {
        let cell = Cell::new();
        let theirs = cell.clone();
        let worker = thread::spawn(move || {
            theirs.put_result();
            theirs.complete();
        });
        if cell.poll_join(1) || cell.poll_join(2) {
            cell.release();
        } else {
            cell.drop_handle();
        }
        worker.join().unwrap();
        cell.assert_ended_once();
    });
}

fn a_handle_waits(complete: fn(&Cell)) {
    loom::model(move || {
        let cell = Cell::new();
        let theirs = cell.clone();
        let worker = thread::spawn(move || {
            theirs.put_result();
            complete(&theirs);
        });
        let is_taken = cell.poll_join(1);
        worker.join().unwrap();
        if !is_taken {
            assert_eq!(
                cell.n_joiners_woken.load(Relaxed),
                1,
                "complete, and the joiner sleeps on"
            );
            assert!(cell.poll_join(2));
        }
        cell.release();
        cell.assert_ended_once();
    });
}

#[test]
fn whoever_awaits_a_task_is_woken_when_it_completes() {
    a_handle_waits(Cell::complete);
}

#[test]
#[should_panic(expected = "complete, and the joiner sleeps on")]
fn mutant_completing_without_a_new_look_forgets_the_join_waker() {
    a_handle_waits(|cell| {
        let has_waker = cell.state.load().has_join_waker();
        while !cell.state.complete(cell.state.load()) {}
        if has_waker {
            cell.n_joiners_woken.fetch_add(1, Relaxed);
        }
        cell.release();
    });
}

#[test]
fn the_last_of_waker_handle_and_runtime_frees_the_cell() {
    loom::model(|| {
        let cell = Cell::new();
        cell.state.retain();
        let (waker, runner) = (cell.clone(), cell.clone());
        let waker = thread::spawn(move || {
            waker.wake();
            waker.release();
        });
        let worker = thread::spawn(move || {
            runner.put_result();
            runner.complete();
        });
        cell.drop_handle();
        waker.join().unwrap();
        worker.join().unwrap();
        cell.assert_ended_once();
        assert!(!cell.state.retain_if_live(), "a walker revived a dead cell");
    });
}
