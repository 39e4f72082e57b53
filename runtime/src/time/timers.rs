//! The timers of one seat: a heap of deadlines, and slots for who is waiting.
//!
//! Each seat has its own, so setting and cancelling a timer where it belongs contends with nobody; the lock is
//! for the rare other: a future that moved to another worker and is dropped there, or the thread that fires
//! the timers of a stuck worker.
//!
//! Cancelling frees the slot at once and leaves the heap entry, which is void because the slot has another
//! number by then; when more entries are void than not, the heap is rebuilt without them. So cancelling costs
//! no search and a million timers set and dropped leave the memory flat (rejected: a hashed wheel, which gives
//! up the order of equal deadlines and sub-millisecond precision; an indexed heap, which writes a slot for each
//! step of a sift).
//!
//! A timer takes 36 bytes: its entry in the heap, its number and its waker. The numbers lie apart from the
//! wakers, so that finding an entry void touches four bytes, and no padding is between them.
//!
//! # Invariants
//!
//! 1. A slot is armed while it has the number of a heap entry, and then it has a waker; a slot that is not
//!    has the number `VACANT`.
//! 2. `next` is at most the earliest armed deadline, or `NEVER` if none is armed. It may be earlier, after a
//!    cancellation: then somebody looks once for nothing.
//! 3. Wakers are called and dropped outside the lock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::platform::{Clock, NEVER, Nanos};
use crate::shim::lock_std;
use crate::task::ignore_panic;

/// Void entries that are left alone however few timers are armed.
const KEEP_VOID: usize = 64;

/// Wakers taken out under one lock.
const BATCH: usize = 32;

/// Timers are numbered in the order in which they are set. The numbers begin anew after so many that those still
/// armed are few, and the order of two is that of the shorter way from one to the other.
type Number = u32;

/// The number of a slot that is not armed.
const VACANT: Number = Number::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    deadline: Nanos,
    number: Number,
    slot: u32,
}

impl Ord for Entry {
    /// By deadline, and equal deadlines by the order in which they were set.
    fn cmp(&self, other: &Self) -> Ordering {
        let in_order = || (self.number.wrapping_sub(other.number) as i32).cmp(&0);
        self.deadline.cmp(&other.deadline).then_with(in_order)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Default)]
struct State {
    heap: BinaryHeap<Reverse<Entry>>,
    /// By slot, like `wakers`.
    numbers: Vec<Number>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
    n_void: usize,
    next_number: Number,
}

/// Names an armed timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerKey {
    slot: u32,
    number: Number,
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
        self.next.load(Relaxed)
    }

    /// Arms a timer; true if it is now the earliest.
    pub(crate) fn set(&self, deadline: Nanos, waker: Waker) -> (TimerKey, bool) {
        let mut state = lock_std(&self.state);
        let number = state.next_number;
        state.next_number = match number.wrapping_add(1) {
            VACANT => 0,
            next => next,
        };
        let slot = state.take_slot(number, waker);
        state.heap.push(Reverse(Entry {
            deadline,
            number,
            slot,
        }));
        let is_earliest = deadline < self.next();
        if is_earliest {
            self.next.store(deadline, Relaxed);
        }
        (TimerKey { slot, number }, is_earliest)
    }

    /// Has another waker called; false if the timer has fired.
    pub(crate) fn update(&self, key: TimerKey, waker: &Waker) -> bool {
        let mut state = lock_std(&self.state);
        if !state.is_armed(key.slot, key.number) {
            return false;
        }
        let in_slot = &mut state.wakers[key.slot as usize];
        let before = match in_slot {
            Some(armed) if armed.will_wake(waker) => None,
            _ => in_slot.replace(waker.clone()),
        };
        drop(state);
        drop(before);
        true
    }

    /// Disarms a timer, if it has not fired.
    pub(crate) fn cancel(&self, key: TimerKey) {
        let mut state = lock_std(&self.state);
        let waker = state.disarm(key.slot, key.number);
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
                let is_armed = state.is_armed(entry.slot, entry.number);
                if is_armed && (entry.deadline > now || wakers.len() == BATCH) {
                    break entry.deadline;
                }
                state.heap.pop();
                match state.disarm(entry.slot, entry.number) {
                    Some(waker) => wakers.push(waker),
                    None => state.n_void -= 1,
                }
            };
            self.next.store(next, Relaxed);
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
            if state.is_armed(entry.slot, entry.number) {
                break entry.deadline;
            }
            state.heap.pop();
            state.n_void -= 1;
        };
        self.next.store(next, Relaxed);
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
    /// A slot for a timer, the one that was freed last if there is one.
    fn take_slot(&mut self, number: Number, waker: Waker) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.numbers[slot as usize] = number;
            self.wakers[slot as usize] = Some(waker);
            return slot;
        }
        let slot = u32::try_from(self.numbers.len()).expect("fewer than 2^32 timers");
        self.numbers.push(number);
        self.wakers.push(Some(waker));
        slot
    }

    fn is_armed(&self, slot: u32, number: Number) -> bool {
        self.numbers[slot as usize] == number
    }

    /// Frees the slot of a timer; its waker, if it was armed.
    fn disarm(&mut self, slot: u32, number: Number) -> Option<Waker> {
        if !self.is_armed(slot, number) {
            return None;
        }
        self.numbers[slot as usize] = VACANT;
        self.free.push(slot);
        self.wakers[slot as usize].take()
    }

    /// Drops the void entries. The order of the others is in their keys.
    fn rebuild(&mut self) {
        let numbers = &self.numbers;
        self.heap
            .retain(|Reverse(entry)| numbers[entry.slot as usize] == entry.number);
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
            self.0.fetch_add(1, Relaxed);
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
    fn equal_deadlines_keep_their_order_where_the_numbers_begin_anew() {
        let (timers, log) = (timers(), Arc::default());
        lock_std(&timers.state).next_number = VACANT - 2;
        for number in 0..5 {
            timers.set(10, Waker::from(Arc::new(Log(number, Arc::clone(&log)))));
        }
        assert!(timers.fire(10));
        assert_eq!(*lock_std(&log), [0, 1, 2, 3, 4]);
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
        assert!(state.numbers.len() < 16, "{} slots", state.numbers.len());
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
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (0, 0));
        timers.fire(25);
        assert_eq!((first.0.load(Relaxed), second.0.load(Relaxed)), (0, 1));
    }
}
