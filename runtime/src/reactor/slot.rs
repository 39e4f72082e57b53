//! What the reactor knows about one source: which directions are ready, and who waits for them.
//!
//! A source is registered once, edge-triggered, for both directions. From then on the system speaks only
//! when something *becomes* ready, so each edge must be kept until an operation has found it used up,
//! and an edge that comes while an operation finds the previous one used up must not be erased with it.
//!
//! # The protocol
//!
//! The operation, on a task:
//!
//! 1. *Look*: take a [`Snapshot`] of the state word. Not ready: go to 4.
//! 2. *Try* the system call. Anything but `WouldBlock` is the result.
//! 3. *Clear* the readiness **of the snapshot**: it goes only if the tick is still the one of step 1.
//! 4. *Register*: under the lock, store the waker, then set the waiting bit, which succeeds only while
//!    the direction is not ready. Succeeded: return `Pending`. Ready after all: go to 1.
//!
//! The reactor, with an event for the source:
//!
//! 1. *Mark*: in one exchange set the ready bits, advance the tick and take the waiting bits away.
//! 2. A waiting bit was there: under the lock take the wakers out; unlock; wake them.
//!
//! # Why no edge is lost
//!
//! The only places where readiness is forgotten and where a task decides to wait are steps 3 and 4.
//!
//! - *The edge is marked between look and clear.* The tick has moved, clear changes nothing, step 4 finds
//!   the direction ready and tries again. Clearing with a snapshot taken *after* the system call would
//!   erase this edge; `models/readiness.rs` shows that this mutant waits for ever.
//! - *The edge is marked between clear and register.* The waiting bit and the ready bit live in one word:
//!   either the mark comes first and step 4 sees it, or the waiting bit comes first and the mark sees that.
//! - *The mark saw the waiting bit, but is the waker there?* The bit is set under the lock after the waker
//!   was stored, and the reactor takes the lock after it saw the bit, so it comes after that section.
//! - *The edge was reported before the system call looked.* Then the call saw what the edge was about.
//!
//! Readiness is a hint: where it is set too often, a system call returns `WouldBlock` once more.
//!
//! # Rejected
//!
//! Readiness inside the mutex: two more locked instructions for each operation that need not wait.
//! A word for each direction: one more for each event, as an event nearly always reports both.
//!
//! # Generations
//!
//! Slots are used again. The generation stands in the state word, in the waiters and in the key the system
//! hands back; an event that was on its way while its source was dropped meets another generation and
//! is ignored, even if it is caught between mark and taking the wakers.
//!
//! # Memory ordering
//!
//! `readiness`: the mark releases, the look acquires: what was readable before the event was dispatched is
//! seen by the system call that follows the look. All else about the wakers is ordered by the lock.

use std::mem;
use std::ptr;
use std::task::{Context, Waker};

use crate::prefetch::{LINE, prefetch};
use crate::shim::atomic::{AtomicU64, Ordering};
use crate::shim::{Mutex, lock};

const READ_READY: u64 = 1;
const WRITE_READY: u64 = 1 << 1;
const READ_WAITING: u64 = 1 << 2;
const WRITE_WAITING: u64 = 1 << 3;
/// The peer hung up, there is an error or urgent data: a short read proves nothing any more.
const UNSURE: u64 = 1 << 4;
/// The reactor has been closed.
const CLOSED: u64 = 1 << 5;

/// Events are counted, so that clearing can tell the readiness it saw from a newer one.
///
/// 24 bits: to be mistaken, 16,777,216 events must hit one source during one system call.
const TICK_ONE: u64 = 1 << 8;
const TICK_MASK: u64 = 0x00ff_ffff << 8;

const GENERATION_SHIFT: u32 = 32;
const GENERATION_MASK: u64 = (u32::MAX as u64) << GENERATION_SHIFT;

/// One of the two directions in which a source can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Reading, accepting.
    Read,
    /// Writing, being connected.
    Write,
}

impl Direction {
    const fn ready(self) -> u64 {
        match self {
            Direction::Read => READ_READY,
            Direction::Write => WRITE_READY,
        }
    }

    const fn waiting(self) -> u64 {
        match self {
            Direction::Read => READ_WAITING,
            Direction::Write => WRITE_WAITING,
        }
    }
}

/// What an event of the system says about a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    /// It may be read.
    pub(crate) readable: bool,
    /// It may be written.
    pub(crate) writable: bool,
    /// It hung up, failed or has urgent data.
    pub(crate) unsure: bool,
    /// The system has disarmed the source: who still waits must be woken to arm it again.
    pub(crate) disarmed: bool,
}

impl Edge {
    fn sets(self) -> u64 {
        let mut bits = 0;
        if self.readable {
            bits |= READ_READY;
        }
        if self.writable {
            bits |= WRITE_READY;
        }
        if self.unsure {
            bits |= UNSURE;
        }
        bits
    }

    fn releases(self) -> u64 {
        let mut bits = 0;
        if self.readable || self.disarmed {
            bits |= READ_WAITING;
        }
        if self.writable || self.disarmed {
            bits |= WRITE_WAITING;
        }
        bits
    }
}

/// The state of a slot as it was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    pub(crate) fn is_ready(self, direction: Direction) -> bool {
        self.0 & direction.ready() != 0
    }

    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether a short read means that there is nothing left to read.
    pub(crate) fn is_sure(self) -> bool {
        self.0 & UNSURE == 0
    }

    /// The directions somebody waits for: (read, write).
    pub(crate) fn waiting(self) -> (bool, bool) {
        (self.0 & READ_WAITING != 0, self.0 & WRITE_WAITING != 0)
    }
}

/// Readiness of and waiters for one source; see the protocol at the head of this file.
#[derive(Debug)]
pub(crate) struct Slot {
    state: AtomicU64,
    waiters: Mutex<Waiters>,
}

/// Who waits. All of it is under the slot's lock.
#[derive(Debug, Default)]
struct Waiters {
    /// The generation these waiters belong to.
    generation: u32,
    /// The seat on which the last of them began to wait.
    seat: usize,
    /// Wakers of the poll-style operations: at most one task for each direction.
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Futures waiting for readiness, as many as there are.
    listeners: Vec<Listener>,
    next_id: u64,
}

#[derive(Debug)]
struct Listener {
    id: u64,
    direction: Direction,
    waker: Waker,
}

impl Waiters {
    fn task(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }

    /// Takes out everyone who waits for the directions whose waiting bits are set in `bits`.
    fn take(&mut self, bits: u64) -> Wakers {
        let mut wakers = Wakers {
            seat: self.seat,
            ..Wakers::default()
        };
        if bits & READ_WAITING != 0 {
            wakers.reader = self.reader.take();
        }
        if bits & WRITE_WAITING != 0 {
            wakers.writer = self.writer.take();
        }
        if !self.listeners.is_empty() {
            let (woken, rest) = mem::take(&mut self.listeners)
                .into_iter()
                .partition(|listener| bits & listener.direction.waiting() != 0);
            self.listeners = rest;
            wakers.listeners = woken;
        }
        wakers
    }
}

/// Wakers taken out of a slot, to be called where no lock is held.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Wakers {
    seat: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    listeners: Vec<Listener>,
}

impl Wakers {
    /// The seat on which the last of them began to wait; none has this number if that was elsewhere.
    pub(crate) fn seat(&self) -> usize {
        self.seat
    }

    /// Asks for the memory that waking them needs.
    pub(crate) fn fetch(&self) {
        for waker in self.reader.iter().chain(&self.writer) {
            prefetch(waker.data().cast(), 1);
        }
    }

    /// All of them, to be woken one by one.
    pub(crate) fn each(self) -> impl Iterator<Item = Waker> {
        let listeners = self.listeners.into_iter().map(|listener| listener.waker);
        self.reader.into_iter().chain(self.writer).chain(listeners)
    }

    /// Wakes them all and returns how many there were.
    pub(crate) fn wake(self) -> usize {
        let mut n_woken = 0;
        for waker in self.each() {
            // A foreign waker that panics must not keep the others from being woken.
            crate::task::ignore_panic(|| waker.wake());
            n_woken += 1;
        }
        n_woken
    }
}

impl Slot {
    /// Asks for the memory of the slot.
    #[inline]
    pub(crate) fn fetch(&self) {
        let n_lines = const { size_of::<Self>().div_ceil(LINE) };
        prefetch(ptr::from_ref(self).cast(), n_lines);
    }

    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// Begins the life of a source in this slot; its generation is returned.
    ///
    /// A source that need not wait for its first edge begins `ready`: most sockets can be written at once,
    /// and an accepted one has often been sent its first request already.
    ///
    /// The slot is not in use: the table hands it out to one source at a time.
    pub(crate) fn open(&self, ready: bool, generation_mask: u32) -> u32 {
        let mut waiters = lock(&self.waiters);
        waiters.generation = waiters.generation.wrapping_add(1) & generation_mask;
        let bits = if ready { READ_READY | WRITE_READY } else { 0 };
        let word = u64::from(waiters.generation) << GENERATION_SHIFT | bits;
        // Relaxed: the key reaches the system, and through it the reactor, after this. A swap, as in
        // `vacate`: loom lets an exchange that races with a plain store come after it.
        self.state.swap(word, Ordering::Relaxed);
        waiters.generation
    }

    /// Ends the life of the source in this slot: events still on their way find another generation.
    pub(crate) fn vacate(&self) {
        let mut waiters = lock(&self.waiters);
        waiters.generation = waiters.generation.wrapping_add(1);
        let word = u64::from(waiters.generation) << GENERATION_SHIFT;
        // Relaxed: a mark that came before finds the new generation under the lock.
        self.state.swap(word, Ordering::Relaxed);
        let dropped = waiters.take(READ_WAITING | WRITE_WAITING);
        drop(waiters);
        // Out of the lock: what a waker drops with it may be anything.
        drop(dropped);
    }

    /// Step 1 of an operation.
    #[inline]
    pub(crate) fn look(&self) -> Snapshot {
        // ORDERING(readiness): Acquire, for the mark that set the bits seen here.
        Snapshot(self.state.load(Ordering::Acquire))
    }

    /// Step 3 of an operation: what was `seen` is used up, unless there has been an event since.
    #[inline]
    pub(crate) fn clear(&self, direction: Direction, seen: Snapshot) {
        let mut current = seen.0;
        loop {
            if (current ^ seen.0) & (TICK_MASK | GENERATION_MASK) != 0 {
                return;
            }
            // Relaxed: nothing is published; were this to happen before the system call it follows, an
            // edge in between would set the bit again, and the next look would try once too often.
            match self.state.compare_exchange(
                current,
                current & !direction.ready(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(changed) => current = changed,
            }
        }
    }

    /// Step 4 of an operation: stores the waker of the polling task, if the direction is still not ready.
    ///
    /// There is one place for each direction. Whoever held it is woken and looks for itself: a task that
    /// handed the source on loses nothing, and two tasks that poll the same direction make progress,
    /// if at a price. `seat` is where the task runs. `arm` runs under the lock once the waiting bit is set.
    ///
    /// Returns the snapshot in which the direction was ready, or the reactor closed, instead.
    pub(crate) fn register(
        &self,
        direction: Direction,
        cx: &Context<'_>,
        seat: usize,
        arm: impl FnOnce(Snapshot),
    ) -> Result<(), Snapshot> {
        let mut waiters = lock(&self.waiters);
        waiters.seat = seat;
        let place = waiters.task(direction);
        let displaced = match place {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => place.replace(cx.waker().clone()),
        };
        let answer = self.set_waiting(direction).map(arm);
        let unused = match answer {
            Ok(()) => None,
            Err(_) => waiters.task(direction).take(),
        };
        drop(waiters);
        drop(unused);
        if let Some(waker) = displaced {
            waker.wake();
        }
        answer
    }

    /// Like [`register`](Self::register), for a future that has an entry of its own in the list.
    ///
    /// `id` names the entry; it stays set until [`forget`](Self::forget) or until the future is ready.
    pub(crate) fn listen(
        &self,
        id: &mut Option<u64>,
        direction: Direction,
        cx: &Context<'_>,
        seat: usize,
        arm: impl FnOnce(Snapshot),
    ) -> Result<(), Snapshot> {
        let mut waiters = lock(&self.waiters);
        waiters.seat = seat;
        let place = id.and_then(|id| waiters.listeners.iter_mut().find(|entry| entry.id == id));
        let mut displaced = None;
        match place {
            Some(entry) if entry.waker.will_wake(cx.waker()) => {}
            Some(entry) => displaced = Some(mem::replace(&mut entry.waker, cx.waker().clone())),
            None => {
                waiters.next_id += 1;
                let entry = Listener {
                    id: waiters.next_id,
                    direction,
                    waker: cx.waker().clone(),
                };
                *id = Some(entry.id);
                waiters.listeners.push(entry);
            }
        }
        let answer = self.set_waiting(direction).map(arm);
        drop(waiters);
        drop(displaced);
        answer
    }

    /// Takes the entry `id` out of the list, if it is still there.
    pub(crate) fn forget(&self, id: u64) {
        let mut waiters = lock(&self.waiters);
        let place = waiters.listeners.iter().position(|entry| entry.id == id);
        let entry = place.map(|place| waiters.listeners.swap_remove(place));
        drop(waiters);
        drop(entry);
    }

    /// Sets the waiting bit in a word in which the direction is not ready.
    fn set_waiting(&self, direction: Direction) -> Result<Snapshot, Snapshot> {
        let mut current = self.state.load(Ordering::Relaxed);
        loop {
            if current & (direction.ready() | CLOSED) != 0 {
                return Err(self.look());
            }
            let waiting = current | direction.waiting();
            // Relaxed: the waker is published by the lock, which is held here.
            match self.state.compare_exchange(
                current,
                waiting,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(Snapshot(waiting)),
                Err(changed) => current = changed,
            }
        }
    }

    /// Both steps of the reactor for an event of the source with this `generation`.
    #[inline]
    pub(crate) fn mark(&self, generation: u32, edge: Edge) -> Option<Wakers> {
        let releases = edge.releases();
        let mut current = self.state.load(Ordering::Relaxed);
        loop {
            if (current >> GENERATION_SHIFT) as u32 != generation {
                return None;
            }
            let tick = current.wrapping_add(TICK_ONE) & TICK_MASK;
            let marked = (current & !TICK_MASK & !releases) | tick | edge.sets();
            // ORDERING(readiness): Release: who looks from now on also sees what the event was about.
            match self
                .state
                .compare_exchange(current, marked, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(changed) => current = changed,
            }
        }
        let released = current & releases;
        if released == 0 {
            return None;
        }
        let mut waiters = lock(&self.waiters);
        (waiters.generation == generation).then(|| waiters.take(released))
    }

    /// Marks the slot as closed for good and takes everyone out who waits.
    pub(crate) fn close(&self) -> Wakers {
        // ORDERING(readiness): Release, as a mark: who looks from now on sees the end.
        self.state.fetch_or(CLOSED, Ordering::Release);
        lock(&self.waiters).take(READ_WAITING | WRITE_WAITING)
    }
}
