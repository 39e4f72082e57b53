//! The timers of one seat: a heap of deadlines, and slots for who is waiting.
//!
//! Each seat has its own, so setting and cancelling a timer where it belongs contends with nobody; the lock is
//! for the rare other: a future that moved to another worker and is dropped there, or the thread that fires
//! the timers of a stuck worker.
//!
//! Cancelling frees the slot at once and leaves the heap entry, which its generation makes void; when more
//! entries are void than not, the heap is rebuilt without them. So cancelling costs no search and a million
//! timers set and dropped leave the memory flat (rejected: a hashed wheel, which gives up the order of equal
//! deadlines and sub-millisecond precision; an indexed heap, which writes a slot for each step of a sift).
//!
//! # Invariants
//!
//! 1. A slot is armed while its generation is that of a heap entry.
//! 2. `next` is at most the earliest armed deadline, or `NEVER` if none is armed. It may be earlier, after a
//!    cancellation: then somebody looks once for nothing.
//! 3. Wakers are called and dropped outside the lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::platform::{Clock, NEVER, Nanos};
use crate::shim::lock_std;
use crate::task::ignore_panic;

/// Void entries that are left alone however few timers are armed.
const KEEP_VOID: usize = 64;

/// Wakers taken out under one lock.
const BATCH: usize = 32;

/// Entries order by deadline, and equal deadlines by the order in which they were set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    deadline: Nanos,
    number: u64,
    slot: u32,
    generation: u32,
}

struct Slot {
    generation: u32,
    waker: Option<Waker>,
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    n_void: usize,
    next_number: u64,
}

/// Names an armed timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerKey {
    slot: u32,
    generation: u32,
}

pub(crate) struct Timers {
    pub(crate) clock: Arc<Clock>,
    next: AtomicU64,
    state: Mutex<State>,
}

impl Timers {
    pub(crate) fn new(clock: Arc<Clock>) -> Self {
        Self {
            clock,
            next: AtomicU64::new(NEVER),
            state: Mutex::new(State::default()),
        }
    }

    /// The earliest deadline (Invariant 2).
    #[inline]
    pub(crate) fn next(&self) -> Nanos {
        self.next.load(Ordering::Relaxed)
    }

    /// Arms a timer; true if it is now the earliest.
    pub(crate) fn set(&self, deadline: Nanos, waker: Waker) -> (TimerKey, bool) {
        let mut state = lock_std(&self.state);
        let slot = state.free.pop().unwrap_or_else(|| {
            let slot = u32::try_from(state.slots.len()).expect("fewer than 2^32 timers");
            state.slots.push(Slot {
                generation: 0,
                waker: None,
            });
            slot
        });
        let in_slot = &mut state.slots[slot as usize];
        in_slot.waker = Some(waker);
        let generation = in_slot.generation;
        let number = state.next_number;
        state.next_number += 1;
        state.heap.push(Reverse(Entry {
            deadline,
            number,
            slot,
            generation,
        }));
        let is_earliest = deadline < self.next();
        if is_earliest {
            self.next.store(deadline, Ordering::Relaxed);
        }
        (TimerKey { slot, generation }, is_earliest)
    }

    /// Has another waker called; false if the timer has fired.
    pub(crate) fn update(&self, key: TimerKey, waker: &Waker) -> bool {
        let mut state = lock_std(&self.state);
        let slot = &mut state.slots[key.slot as usize];
        if slot.generation != key.generation {
            return false;
        }
        let before = match &slot.waker {
            Some(armed) if armed.will_wake(waker) => None,
            _ => slot.waker.replace(waker.clone()),
        };
        drop(state);
        drop(before);
        true
    }

    /// Disarms a timer, if it has not fired.
    pub(crate) fn cancel(&self, key: TimerKey) {
        let mut state = lock_std(&self.state);
        let waker = state.disarm(key.slot, key.generation);
        if waker.is_some() {
            state.n_void += 1;
            if state.n_void > KEEP_VOID && state.n_void > state.heap.len() / 2 {
                state.rebuild();
            }
        }
        drop(state);
        drop(waker);
    }

    /// Wakes whoever waits for a moment up to `now`, in the order of the deadlines; true if there was anybody.
    #[inline]
    pub(crate) fn fire(&self, now: Nanos) -> bool {
        self.next() <= now && self.fire_slow(now)
    }

    fn fire_slow(&self, now: Nanos) -> bool {
        let mut has_fired = false;
        loop {
            let mut wakers: Vec<Waker> = Vec::with_capacity(BATCH);
            let mut state = lock_std(&self.state);
            let next = loop {
                let Some(Reverse(entry)) = state.heap.peek().copied() else {
                    break NEVER;
                };
                let is_armed = state.slots[entry.slot as usize].generation == entry.generation;
                if is_armed && (entry.deadline > now || wakers.len() == BATCH) {
                    break entry.deadline;
                }
                state.heap.pop();
                match state.disarm(entry.slot, entry.generation) {
                    Some(waker) => wakers.push(waker),
                    None => state.n_void -= 1,
                }
            };
            self.next.store(next, Ordering::Relaxed);
            drop(state);
            has_fired |= !wakers.is_empty();
            for waker in wakers {
                ignore_panic(|| waker.wake());
            }
            if next > now {
                return has_fired;
            }
        }
    }

    /// The earliest armed deadline itself, without the void entries before it: a clock that jumps must not stop
    /// at a timer that was cancelled.
    pub(crate) fn settle(&self) -> Nanos {
        let mut state = lock_std(&self.state);
        let next = loop {
            let Some(Reverse(entry)) = state.heap.peek().copied() else {
                break NEVER;
            };
            if state.slots[entry.slot as usize].generation == entry.generation {
                break entry.deadline;
            }
            state.heap.pop();
            state.n_void -= 1;
        };
        self.next.store(next, Ordering::Relaxed);
        next
    }

    /// How many timers are armed.
    #[cfg(test)]
    fn len(&self) -> usize {
        let state = lock_std(&self.state);
        state.heap.len() - state.n_void
    }
}

impl State {
    /// Frees the slot of a timer; its waker, if it was armed.
    fn disarm(&mut self, slot: u32, generation: u32) -> Option<Waker> {
        let in_slot = &mut self.slots[slot as usize];
        if in_slot.generation != generation {
            return None;
        }
        in_slot.generation = generation.wrapping_add(1);
        let waker = in_slot.waker.take();
        self.free.push(slot);
        waker
    }

    /// Drops the void entries. The order of the others is in their keys.
    fn rebuild(&mut self) {
        let slots = &self.slots;
        self.heap
            .retain(|Reverse(entry)| slots[entry.slot as usize].generation == entry.generation);
        self.n_void = 0;
        if self.heap.capacity() > 4 * self.heap.len().max(KEEP_VOID) {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    struct Log(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Log {
        fn wake(self: Arc<Self>) {
            lock_std(&self.1).push(self.0);
        }
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn timers() -> Timers {
        Timers::new(Arc::new(Clock::new(true)))
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_they_were_set() {
        let (timers, log) = (timers(), Arc::default());
        for (number, deadline) in [(0, 20), (1, 10), (2, 20), (3, 10), (4, 30)] {
            timers.set(
                deadline,
                Waker::from(Arc::new(Log(number, Arc::clone(&log)))),
            );
        }
        assert!(!timers.fire(9));
        assert!(timers.fire(20));
        assert_eq!(*lock_std(&log), [1, 3, 0, 2]);
        assert_eq!(timers.next(), 30);
    }

    #[test]
    fn a_million_set_and_dropped_timers_leave_the_heap_small() {
        let timers = timers();
        let waker = Waker::from(Arc::new(Count(AtomicUsize::new(0))));
        for round in 0..1_000_000 {
            let (key, _) = timers.set(1_000_000_000 + round, waker.clone());
            timers.cancel(key);
        }
        assert_eq!(timers.len(), 0);
        let state = lock_std(&timers.state);
        assert!(
            state.heap.capacity() < 1024,
            "{} entries",
            state.heap.capacity()
        );
        assert!(state.slots.len() < 16, "{} slots", state.slots.len());
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_though_its_slot_is_used_again() {
        let timers = timers();
        let (first, second) = (
            Arc::new(Count(AtomicUsize::new(0))),
            Arc::new(Count(AtomicUsize::new(0))),
        );
        let (key, _) = timers.set(10, Waker::from(first.clone()));
        timers.cancel(key);
        timers.set(20, Waker::from(second.clone()));
        assert!(!timers.update(key, &Waker::from(first.clone())));
        timers.fire(15);
        assert_eq!(
            (
                first.0.load(Ordering::Relaxed),
                second.0.load(Ordering::Relaxed)
            ),
            (0, 0)
        );
        timers.fire(25);
        assert_eq!(
            (
                first.0.load(Ordering::Relaxed),
                second.0.load(Ordering::Relaxed)
            ),
            (0, 1)
        );
    }
}
