//! Models of the run-next slot beside a queue, in `scheduler/seat.rs`: a task is taken once, by its holder, by
//! the monitor from the slot, or by a thief from the queue.
//!
//! Loom cannot see into `crossbeam_deque`; a queue under a lock keeps the same contract.

use std::collections::VecDeque;

use crate::shim::atomic::{AtomicUsize, Ordering};
use crate::shim::{Arc, Mutex, lock, thread};

/// The slot holds a number, zero for none, and the queue what was displaced.
struct Seat {
    slot: AtomicUsize,
    queue: Mutex<VecDeque<usize>>,
}

impl Seat {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: AtomicUsize::new(0),
            queue: Mutex::new(VecDeque::new()),
        })
    }

    fn take_slot(&self) -> Option<usize> {
        if self.slot.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(self.slot.swap(0, Ordering::Acquire)).filter(|task| *task != 0)
    }

    fn steal(&self) -> Option<usize> {
        lock(&self.queue).pop_front()
    }

    /// As `Seat::push_next`.
    fn push_next(&self, task: usize) {
        if self.slot.load(Ordering::Relaxed) == 0 {
            self.slot.store(task, Ordering::Release);
            return;
        }
        match self.slot.swap(task, Ordering::AcqRel) {
            0 => {}
            displaced => lock(&self.queue).push_back(displaced),
        }
    }

    /// The known-bad mutant: it moves what it saw, which somebody may have taken meanwhile.
    fn push_next_without_a_swap(&self, task: usize) {
        match self.slot.load(Ordering::Acquire) {
            0 => {}
            seen => lock(&self.queue).push_back(seen),
        }
        self.slot.store(task, Ordering::Release);
    }
}

fn holder_monitor_and_thief(push_next: fn(&Seat, usize)) {
    loom::model(move || {
        let seat = Seat::new();
        push_next(&seat, 1);
        let (watched, robbed) = (seat.clone(), seat.clone());
        let monitor = thread::spawn(move || watched.take_slot());
        let thief = thread::spawn(move || robbed.steal());
        push_next(&seat, 2);
        let mut taken: Vec<_> = seat.take_slot().into_iter().collect();
        taken.extend(monitor.join().unwrap());
        taken.extend(thief.join().unwrap());
        taken.extend(std::iter::from_fn(|| seat.steal()));
        taken.extend(seat.take_slot());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2], "lost, or taken twice");
    });
}

#[test]
fn a_task_is_taken_once_from_slot_or_queue() {
    holder_monitor_and_thief(Seat::push_next);
}

#[test]
#[should_panic(expected = "lost, or taken twice")]
fn mutant_displacing_without_a_swap_runs_a_task_twice() {
    holder_monitor_and_thief(Seat::push_next_without_a_swap);
}
