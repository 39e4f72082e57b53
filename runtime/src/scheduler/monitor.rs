//! The monitor: finds work that waits behind a poll that takes long.
//!
//! The wake rule lets a single queued task wait for the poll that queued it. If that poll blocks, the task
//! would wait as long; so would timers of the seat, and the poller if nobody is in it. The monitor is a
//! thread that looks at each seat every few milliseconds while anybody works, and sleeps when all are idle. A
//! seat that is in the same poll as at the last look, and has work waiting, gets help: an idle worker is
//! woken to steal, the task that would run next and those that it was sent are for anybody, overdue timers are
//! fired. If no worker is idle, a [spare](super::spare) one may be started.
//!
//! On a busy machine a poll may last because its thread waits for a processor. Such a seat is *starved*: it gets help
//! too, but it goes on as soon as its turn comes, so it keeps what it was sent, and nobody is started in its place. The
//! system tells who is blocked, and how much processor time a thread has had; a poll that computes has had some when it
//! is looked at for the second time. A thread that is blocked is found at the first look.
//!
//! A poll that was found this way may go on to queue tasks and block again, as the body of a `block_on` does that
//! talks with its tasks over a channel of the standard library. So its seat is *late* from then until some polls later,
//! and whoever queues a task on it wakes a worker at once. With 1,000 pairs of tasks for each time that the thread
//! blocks, that is 0.22 ms instead of 5.1. It is a hint: unset, the monitor helps; set too long, a worker is woken for a
//! task that the holder would have run. (Rejected: waking somebody for each task that a `block_on` queues, which costs a
//! system call where the body goes on to wait and the thread runs the task itself. Looking more often, which costs
//! all programs that never block.)
//!
//! The monitor is not started before there is something to watch, and an idle runtime does not wake it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::spare::{Found, MOST_SPARES, Staff};
use super::{Seat, Shared};
use crate::platform::Nanos;
use crate::shim::lock_std;
use crate::sys;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(5);

/// A poll that has used so much processor time is long. Half of [`PERIOD`], since the system counts in ticks of some
/// milliseconds.
const LONG: Duration = Duration::from_micros(2_500);

/// Looks that find all seats idle before the monitor sleeps for good.
const IDLE_LOOKS: u32 = 40;

pub(super) struct Monitor {
    is_started: AtomicBool,
    /// Sleeping until somebody works again.
    is_asleep: AtomicBool,
    /// It has taken a task from a seat, and not queued it again yet.
    is_carrying: AtomicBool,
    n_rescues: AtomicU32,
    wake: Mutex<bool>,
    changed: Condvar,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self {
            is_started: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
            is_carrying: AtomicBool::new(false),
            n_rescues: AtomicU32::new(0),
            wake: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// How often it helped.
    pub(super) fn n_rescues(&self) -> u32 {
        self.n_rescues.load(Ordering::Relaxed)
    }

    /// Whether it has a task in its hands: one that is in no queue though it is to run. Ask after the seats were seen
    /// idle, and before looking at the queues.
    pub(super) fn is_carrying(&self) -> bool {
        // ORDERING(carry): SeqCst, between seeing a seat idle, which found its slot empty, and the load; mirrors the one
        // in `rescue_next`.
        fence(Ordering::SeqCst);
        // ORDERING(carry): Acquire, for what was queued before the hands were empty again.
        self.is_carrying.load(Ordering::Acquire)
    }

    /// Moves the task that would run next on `seat` to the injector.
    fn rescue_next(&self, shared: &Shared, seat: &Seat) -> bool {
        if !seat.has_next() {
            return false;
        }
        self.is_carrying.store(true, Ordering::Relaxed);
        // ORDERING(carry): SeqCst, between the store and the taking; mirrors the one in `is_carrying`: whoever sees idle
        // a seat that misses the task sees the store.
        fence(Ordering::SeqCst);
        let task = seat.take_slot();
        let has_taken = task.is_some();
        if let Some(task) = task {
            shared.inject(task);
        }
        // ORDERING(carry): Release, what was queued, for `is_carrying`.
        self.is_carrying.store(false, Ordering::Release);
        has_taken
    }

    /// A task was queued on a seat: from now on there is something to watch.
    #[inline]
    pub(super) fn ensure_started(&self, shared: &Shared) {
        if !self.is_started.load(Ordering::Relaxed) {
            self.start(shared);
        }
    }

    /// It is never to start.
    #[cfg(all(test, unix))]
    pub(super) fn stay_away(&self) {
        self.is_started.store(true, Ordering::Relaxed);
    }

    /// A seat was left from idleness.
    pub(super) fn attend(&self) {
        // ORDERING(monitor): SeqCst, between the claim of the idle bit and this look; mirrors `sleep`.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed) {
            self.rouse();
        }
    }

    #[cold]
    fn start(&self, shared: &Shared) {
        // Where the seed decides who runs, nobody is helped.
        let needs_none = shared.is_current_thread() || shared.platform.is_chaotic();
        if needs_none || self.is_started.swap(true, Ordering::Relaxed) {
            return;
        }
        let runtime = shared.to_arc();
        if let Err(error) = shared.start_helper("monitor", move || watch(&runtime)) {
            shared.report(crate::unhandled::Unhandled::no_thread(error, 0));
        }
    }

    #[cold]
    pub(super) fn rouse(&self) {
        *lock_std(&self.wake) = true;
        self.changed.notify_one();
    }

    /// Sleeps a period, or until roused if there is nothing to watch.
    fn sleep(&self, for_good: bool, is_idle: impl Fn() -> bool) {
        let mut wake = lock_std(&self.wake);
        if for_good {
            self.is_asleep.store(true, Ordering::Relaxed);
            // ORDERING(monitor): SeqCst, between the store and the look; mirrors `attend`.
            fence(Ordering::SeqCst);
            while !*wake && is_idle() {
                wake = match self.changed.wait(wake) {
                    Ok(wake) => wake,
                    Err(poisoned) => poisoned.into_inner(),
                };
            }
            self.is_asleep.store(false, Ordering::Relaxed);
        } else if !*wake {
            wake = match self.changed.wait_timeout(wake, PERIOD) {
                Ok((wake, _)) => wake,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        *wake = false;
    }
}

/// What a seat was seen in at the last look.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    /// How many polls it had begun.
    n_polls: u64,
    /// How long its thread had had a processor when the system was first asked in this poll.
    had: Option<Duration>,
}

impl Seen {
    /// Takes note of a seat; true if it is in the poll in which it was at the last look.
    fn is_same_poll(&mut self, n_polls: u64) -> bool {
        let is_same = self.n_polls == n_polls;
        if !is_same {
            *self = Self { n_polls, had: None };
        }
        is_same
    }

    /// Whether the poll of a stuck seat, whose thread has had a processor for so long by now, may be a short one that
    /// waits for a processor. A poll that computes is found out at the second time, or soon after.
    fn may_be_starved(&mut self, has_had: Duration) -> bool {
        let had = *self.had.get_or_insert(has_had);
        has_had.saturating_sub(had) < LONG
    }
}

/// Why a poll lasts.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    /// The thread waits in the system, as far as that tells.
    Blocked,
    /// The poll may be a short one whose thread waits for a processor.
    Starved,
    /// It computes, or its thread is yet to begin.
    Other,
}

impl Cause {
    /// Asks the system, which costs some microseconds.
    fn find(seat: &Seat, seen: &mut Seen) -> Self {
        let Some(thread) = seat.thread() else {
            return Self::Other;
        };
        if sys::is_blocked(thread) != Some(false) {
            return Self::Blocked;
        }
        match sys::processor_time_of(thread) {
            Some(had) if seen.may_be_starved(had) => Self::Starved,
            _ => Self::Other,
        }
    }
}

/// The life of the monitor.
fn watch(shared: &Arc<Shared>) {
    let mut seen = vec![Seen::default(); shared.seats.homes().len() + MOST_SPARES];
    let mut staff = Staff::default();
    let mut n_idle_looks = 0;
    while !shared.is_stopping() {
        let for_good = n_idle_looks > IDLE_LOOKS && shared.n_spares() == 0;
        shared.monitor.sleep(for_good, || shared.idle.all());
        n_idle_looks = match shared.idle.all() {
            true => n_idle_looks + 1,
            false => 0,
        };
        if n_idle_looks == 0 || shared.n_spares() > 0 {
            let now = shared.clock.now();
            shared.set_coarse(now);
            let found = look(shared, now, &mut seen);
            staff.adapt(shared, now, &found);
        }
    }
}

/// One look at all seats.
pub(super) fn look(shared: &Shared, now: Nanos, seen: &mut [Seen]) -> Found {
    // Of those who set a timer without a seat, when all seats are stuck: nobody else would fire it.
    let mut has_waited = !shared.clock.is_paused() && shared.outside_timers.fire(now);
    let mut stuck = Vec::new();
    for seat in shared.seats.in_use() {
        let is_same_poll = seen[seat.index].is_same_poll(seat.n_polls());
        if shared.idle.is_idle(seat.index) || shared.seats.is_closed(seat) {
            // What was sent to who sleeps is for anybody.
            shared.injector.release_home(seat.index);
        } else if is_same_poll {
            let had_next = shared.monitor.rescue_next(shared, seat);
            let has_tasks = had_next || seat.has_stealable();
            has_waited |= has_tasks;
            if !shared.clock.is_paused() {
                has_waited |= seat.timers.fire(now);
            }
            stuck.push((seat, has_tasks));
        }
    }
    let is_unattended = shared.is_unattended() && shared.poller.is_due(now);
    let needs_help = has_waited || !shared.injector.is_empty() || is_unattended;
    let mut found = Found {
        n_stuck: stuck.len(),
        n_blocked: 0,
        n_starved: 0,
        needs_help,
    };
    if !needs_help {
        return found;
    }
    // Before the system is asked, which takes a while for many threads.
    shared.wake_one();
    for (seat, has_tasks) in stuck {
        let cause = Cause::find(seat, &mut seen[seat.index]);
        found.n_blocked += usize::from(cause == Cause::Blocked);
        found.n_starved += usize::from(cause == Cause::Starved);
        // Who is starved goes on as soon as it has a processor.
        if cause != Cause::Starved {
            // What was sent to who is stuck is for anybody.
            let was_sent = shared.injector.release_home(seat.index);
            has_waited |= was_sent;
            if has_tasks || was_sent {
                seat.set_late(true);
            }
        }
    }
    shared
        .monitor
        .n_rescues
        .fetch_add(u32::from(has_waited), Ordering::Relaxed);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_may_be_starved_until_it_has_used_much_processor_time() {
        let mut seen = Seen::default();
        let had = Duration::from_millis(70);
        assert!(seen.is_same_poll(0));
        for used in [Duration::ZERO, LONG / 2, LONG / 2] {
            assert!(seen.is_same_poll(0));
            assert!(seen.may_be_starved(had + used));
        }
        assert!(!seen.may_be_starved(had + LONG));
        assert!(!seen.is_same_poll(1));
        assert!(seen.may_be_starved(had + LONG));
        assert!(seen.may_be_starved(had + LONG + LONG / 2));
        assert!(!seen.may_be_starved(had + LONG + LONG));
    }
}
