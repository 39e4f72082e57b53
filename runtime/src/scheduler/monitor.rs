//! The monitor: finds work that waits behind a poll that takes long.
//!
//! The wake rule lets a single queued task wait for the poll that queued it. If that poll blocks, the task
//! would wait as long; so would timers of the seat, and the poller if nobody is in it. The monitor is a
//! thread that looks at each seat every few milliseconds while anybody works, and sleeps when all are idle. A
//! seat that is in the same poll as at the last look, and has work waiting, gets help: an idle worker is
//! woken to steal, the task that would run next and those that it was sent are for anybody, overdue timers are
//! fired. If no worker is idle, a [spare](super::spare) one is started.
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

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(5);

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

/// The life of the monitor.
fn watch(shared: &Arc<Shared>) {
    let mut seen = vec![0; shared.seats.homes().len() + MOST_SPARES];
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
pub(super) fn look(shared: &Shared, now: Nanos, seen: &mut [u64]) -> Found {
    // Of those who set a timer without a seat, when all seats are stuck: nobody else would fire it.
    let mut has_waited = !shared.clock.is_paused() && shared.outside_timers.fire(now);
    let mut stuck = Vec::new();
    for seat in shared.seats.in_use() {
        let n_polls = seat.n_polls();
        let before = std::mem::replace(&mut seen[seat.index], n_polls);
        let works = !shared.idle.is_idle(seat.index) && !shared.seats.is_closed(seat);
        let is_stuck = works && before == n_polls;
        // What was sent to who sleeps or is stuck is for anybody.
        let was_sent = (is_stuck || !works) && shared.injector.release_home(seat.index);
        if !is_stuck {
            continue;
        }
        stuck.push(seat);
        let had_next = shared.monitor.rescue_next(shared, seat);
        if had_next || was_sent || seat.has_stealable() {
            has_waited = true;
            seat.set_late(true);
        }
        if !shared.clock.is_paused() {
            has_waited |= seat.timers.fire(now);
        }
    }
    let is_unattended = shared.is_unattended() && shared.poller.is_due(now);
    let needs_help = has_waited || !shared.injector.is_empty() || is_unattended;
    if needs_help {
        shared
            .monitor
            .n_rescues
            .fetch_add(u32::from(has_waited), Ordering::Relaxed);
        shared.wake_one();
    }
    // Asking the system costs some microseconds a thread.
    let asks = needs_help && !stuck.is_empty() && !shared.idle.any();
    // A seat whose thread is yet to begin is not blocked.
    let is_blocked = |seat: &&&Seat| {
        let thread = seat.thread();
        thread.is_some_and(|thread| crate::sys::is_blocked(thread) != Some(false))
    };
    Found {
        n_stuck: stuck.len(),
        n_blocked: if asks {
            stuck.iter().filter(is_blocked).count()
        } else {
            0
        },
        needs_help,
    }
}
