//! Spare seats: somebody goes on working when every worker is blocked.
//!
//! A task that calls `std::thread::sleep(5s)` keeps its thread, and with it a seat, which nobody can take from
//! a thread that runs. What waits there can be taken: tasks in the queue are stolen, the slot is emptied and
//! timers are fired by the [`monitor`](super::monitor). But somebody must be there to run them. If
//! no seat is idle the monitor opens a *spare* seat and starts a thread for it, which works like any other:
//! it steals, it waits in the poller, it is woken by pushers. So with all workers blocked a runtime goes on at
//! the speed of one worker, and not at that of the monitor's looks (rejected: a helper without a seat, which runs
//! what the monitor finds every few milliseconds; a thread that takes the seat over, which would need a lock on
//! each access of its holder).
//!
//! The life of a spare seat:
//!
//! 1. *Closed*: its idle bit is clear, nobody holds it, its queue is empty. It does not count.
//! 2. *Open*: the monitor counts it, as searching, and starts its thread, which holds it from the beginning.
//!    From there on the rules of all seats hold; but guests do not sit on it, so that its thread need never be
//!    sent away.
//! 3. *Retiring*: the blocked have come back, and for a while there have been more seats fit to work than workers. The
//!    monitor marks one and wakes it if it sleeps. Mark and sleep are a store and a look on either side, with
//!    a fence between: the seat sees the mark before it sleeps, or the monitor sees it asleep.
//! 4. The thread ends its task, passes on what is queued, closes the seat and goes. It looks once more
//!    for what the others could miss: work that it was about to search for, a poller that it has left, timers, and
//!    that all are idle now.
//!
//! How many? As many seats are kept fit as there are workers, and each look of the monitor opens one at
//! most, so a program that blocks all the time gets about 200 threads a second up to [`MOST_SPARES`]. A poll that takes
//! long because it computes needs its core; more threads would only share the cores with it. So, where the system
//! tells the one from the other, at most one thread more than there are workers runs without being blocked. And a poll
//! that takes long because its thread waits for a processor needs what one more thread would take from it. So its seat
//! is as fit as any until the poll has used some milliseconds of processor time: beside programs that use all
//! processors there are no more threads than workers.
//!
//! Timers set on a spare seat are those of the threads without a seat: everybody who sleeps waits for them, so
//! they need not outlive the seat.
//!
//! # Memory ordering
//!
//! `retiring`: the two fences of step 3.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::guest::give_seat_up;
use super::worker::Worker;
use super::{AbortOnUnwind, ArenaPointer, Seat, Shared, work};
use crate::context;
use crate::metrics::WorkerMetrics;
use crate::platform::{NEVER, Nanos};
use crate::shim::lock_std;
use crate::unhandled::Unhandled;

/// Threads that are started at most beside the workers. With eight workers, all idle bits are in one word.
pub(super) const MOST_SPARES: usize = 56;

/// Looks of the monitor in a row that find more seats fit to work than there are workers, before one retires.
const PATIENCE: u32 = 20;

/// A thread could not be started: the next try comes so much later.
const RETRY: Nanos = 1_000_000_000;

/// The seats of a runtime: one for each worker, then the spare ones.
pub(crate) struct Seats {
    homes: Box<[Seat]>,
    /// Each is made when it is first opened, and kept.
    spares: Box<[OnceLock<Box<Seat>>]>,
    /// All spare seats from this number on are closed.
    n_in_use: AtomicUsize,
    is_open: Mutex<Vec<bool>>,
}

impl Seats {
    pub(super) fn new(homes: Box<[Seat]>) -> Self {
        Self {
            homes,
            spares: (0..MOST_SPARES).map(|_| OnceLock::new()).collect(),
            n_in_use: AtomicUsize::new(0),
            is_open: Mutex::new(Vec::new()),
        }
    }

    /// Those of the workers: as many as there are workers.
    #[inline]
    pub(crate) fn homes(&self) -> &[Seat] {
        &self.homes
    }

    /// The spare ones that may be open.
    #[inline]
    pub(super) fn spares(&self) -> impl Iterator<Item = &Seat> {
        let n_in_use = self.n_in_use.load(Ordering::Relaxed);
        self.spares[..n_in_use]
            .iter()
            .filter_map(|spare| spare.get().map(|seat| &**seat))
    }

    /// All seats that may be open.
    #[inline]
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Seat> {
        self.homes.iter().chain(self.spares())
    }

    /// All seats that ever were open.
    pub(super) fn ever_used(&self) -> impl Iterator<Item = &Seat> {
        let spares = self.spares.iter().filter_map(OnceLock::get);
        self.homes.iter().chain(spares.map(|seat| &**seat))
    }

    pub(super) fn get(&self, index: usize) -> &Seat {
        match index.checked_sub(self.homes.len()) {
            None => &self.homes[index],
            Some(spare) => self.spares[spare].get().expect("it was opened once"),
        }
    }

    pub(super) fn is_spare(&self, seat: &Seat) -> bool {
        seat.index >= self.homes.len()
    }

    /// Takes a closed seat; `make` makes it, if it was never opened.
    fn take(&self, make: impl FnOnce(usize) -> Seat) -> Option<&Seat> {
        let mut is_open = lock_std(&self.is_open);
        let number = is_open
            .iter()
            .position(|open| !open)
            .unwrap_or(is_open.len());
        let place = self.spares.get(number)?;
        if number == is_open.len() {
            is_open.push(false);
        }
        is_open[number] = true;
        let seat = place.get_or_init(|| Box::new(make(self.homes.len() + number)));
        self.n_in_use.fetch_max(number + 1, Ordering::Relaxed);
        Some(seat)
    }

    /// Whether it is a spare seat that is not open.
    pub(super) fn is_closed(&self, seat: &Seat) -> bool {
        let number = seat.index.checked_sub(self.homes.len());
        number.is_some_and(|number| !lock_std(&self.is_open)[number])
    }

    /// Takes it back; it is empty.
    fn give_back(&self, seat: &Seat) {
        let mut is_open = lock_std(&self.is_open);
        is_open[seat.index - self.homes.len()] = false;
        let n_in_use = is_open
            .iter()
            .rposition(|open| *open)
            .map_or(0, |last| last + 1);
        self.n_in_use.store(n_in_use, Ordering::Relaxed);
    }
}

/// What the monitor remembers about spare seats from one look to the next.
#[derive(Default)]
pub(super) struct Staff {
    n_surplus_looks: u32,
    retry_at: Nanos,
}

/// What one look has found.
pub(super) struct Found {
    /// Seats whose poll lasts.
    pub(super) n_stuck: usize,
    /// Of those, the ones whose thread is blocked, as far as the system tells.
    pub(super) n_blocked: usize,
    /// Of the others, the ones that may be in a short poll, and wait for a processor.
    pub(super) n_starved: usize,
    /// Something waits that none of the others has time for.
    pub(super) needs_help: bool,
}

impl Staff {
    /// Opens a spare seat, or has one retire, if it is time.
    pub(super) fn adapt(&mut self, shared: &Arc<Shared>, now: Nanos, found: &Found) {
        let n_workers = shared.seats.homes().len();
        let n_open = shared.idle.n_open();
        let n_fit = n_open.saturating_sub(found.n_stuck - found.n_starved);
        if n_fit > n_workers {
            self.n_surplus_looks += 1;
            if self.n_surplus_looks > PATIENCE {
                self.n_surplus_looks = 0;
                shared.retire_one();
            }
            return;
        }
        self.n_surplus_looks = 0;
        let n_running = n_open.saturating_sub(found.n_blocked);
        let most_running = n_workers + usize::from(n_fit == 0);
        if found.needs_help
            && n_running < most_running
            && !shared.idle.any()
            && now >= self.retry_at
            && !shared.open_spare()
        {
            self.retry_at = now + RETRY;
        }
    }
}

impl Shared {
    /// The numbers of each seat that was ever open.
    pub(crate) fn worker_metrics(&self) -> Vec<WorkerMetrics> {
        let of = |seat: &Seat| WorkerMetrics {
            n_polls: seat.n_polls(),
            n_spawned: seat.n_spawned(),
            n_ended: seat.n_ended(),
        };
        self.seats.ever_used().map(of).collect()
    }

    /// Spare seats that are open.
    pub(crate) fn n_spares(&self) -> usize {
        self.idle.n_open().saturating_sub(self.seats.homes().len())
    }

    /// Starts a thread on a spare seat. False: there was none.
    fn open_spare(self: &Arc<Self>) -> bool {
        let Some(seat) = self.seats.take(|index| self.make_spare(index)) else {
            // As many as there may be.
            return true;
        };
        // The mark may have come when it was being closed for another reason.
        seat.set_retiring(false);
        seat.forget_thread();
        self.idle.open();
        let mut threads = lock_std(&self.threads);
        threads.handles.retain(|thread| !thread.is_finished());
        let n_running = threads.handles.len();
        let index = seat.index;
        let mut error = None;
        if !self.is_stopping() {
            let shared = self.clone();
            let builder = self.config.thread(&format!("spare-{index}"));
            match builder.spawn(move || spare_thread(&shared, shared.seats.get(index))) {
                Ok(handle) => {
                    threads.handles.push(handle);
                    return true;
                }
                Err(refused) => error = Some(refused),
            }
        }
        drop(threads);
        self.idle.stop_searching();
        self.close(seat);
        if let Some(error) = error {
            self.report(Unhandled::no_thread(error, n_running));
        }
        false
    }

    fn make_spare(&self, index: usize) -> Seat {
        if let Some(recorder) = &self.recorder {
            recorder.open(index);
        }
        let seat = Seat::new(index, self.outside_timers.clone(), &self.platform);
        let arena = ArenaPointer(seat.arena);
        // SAFETY: it was just made, and `close` comes when the monitor, which calls this, has ended.
        let this = unsafe { arena.0.as_ref() };
        // SAFETY: called once, before anybody else has the arena.
        unsafe { this.attach(self.to_arc()) };
        lock_std(&self.arenas).push(arena);
        seat
    }

    /// Has a spare seat go, if possible one that is idle. One that was lent goes when it comes back.
    fn retire_one(&self) {
        let may_go =
            |seat: &&Seat| !self.seats.is_closed(seat) && !seat.has_guest() && !seat.is_retiring();
        let candidates = || self.seats.spares().filter(may_go);
        let idle = candidates().find(|seat| self.idle.is_idle(seat.index));
        let Some(seat) = idle.or_else(|| candidates().last()) else {
            return;
        };
        seat.set_retiring(true);
        // Before the look at its bit: it looks at the mark after its own fence.
        self.idle.fence_after_push();
        if self.idle.claim_counted(seat.index) {
            self.wake_claimed(seat.index);
        }
    }

    /// Closes a spare seat, which is empty and held by this thread, whose context does not name it any more.
    pub(super) fn close(&self, seat: &Seat) {
        self.seats.give_back(seat);
        self.idle.close();
        let waits_for_time = self.outside_timers.next() != NEVER;
        if self.has_work() || self.is_unattended() || waits_for_time {
            self.wake_one();
        }
        self.settle_if_idle();
    }

    /// Passes on what is queued on a spare seat, which is closed next.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    pub(super) unsafe fn empty_spare(&self, seat: &Seat) {
        // SAFETY: by the caller's promise.
        while let Some(task) = unsafe { seat.pop() } {
            self.inject(task);
        }
    }
}

/// The life of the thread of a spare seat, which was opened for it.
fn spare_thread(shared: &Arc<Shared>, seat: &Seat) {
    // A broken invariant of the scheduler ends the process: the seat would be lost, and its count with it.
    let abort_on_unwind = AbortOnUnwind;
    let parker = shared.platform.parker();
    parker.bind();
    shared.config.thread_started();
    context::with(|cx| {
        let _runtime = context::Restore::set(&cx.runtime, Arc::as_ptr(shared));
        cx.seat.set(ptr::from_ref(seat));
        // SAFETY: the seat was opened for this thread.
        let worker = unsafe { Worker::spare(shared, seat, &parker) };
        work(&worker, || shared.is_stopping() || seat.is_retiring());
        if worker.has_seat() {
            worker.rest();
            give_seat_up(shared);
        }
    });
    shared.config.thread_stopped();
    std::mem::forget(abort_on_unwind);
}
