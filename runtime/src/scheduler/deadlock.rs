//! A `block_on` that can never return says so, instead of hanging in silence.
//!
//! When is that known? A *standstill* is a runtime in which nobody can wake anybody: every seat is idle, nothing is
//! queued, no timer is armed, nobody waits for a descriptor or a signal, and no blocking job runs. What is left are threads
//! outside, which may hold a waker, a sender or a guard. So there are two cases:
//!
//! 1. What the call waits for leads to a circle of tasks that wait for one another. Then nobody outside can help,
//!    but by a cancellation. It is reported after the first look.
//! 2. It does not. Then it is reported only after it has lasted for a while, and not at all where a thread outside
//!    has woken a task of the runtime before: such a program may well wait for the next time.
//!
//! With a clock that jumps nothing can happen any more in either case, unless a thread outside does it: the call
//! panics, which ends the test that hangs. With the real clock it waits on.
//!
//! The thread inside `block_on` looks for itself: it sleeps at most until its next look, and looks no more once that
//! was of no use, until tasks have run again. So an idle runtime is woken twice, at the most. While somebody is at work,
//! who may end without waking anybody, the look comes again.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::guest::MainWaker;
use super::{Seat, Shared};
use crate::context;
use crate::dump::{Cycle, Dump};
use crate::platform::NEVER;
use crate::runtime::Builder;
use crate::shim::lock_std;

/// When a call looks, counted from the last poll of a task: first for circles, then for the second case too.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// The same where the clock jumps: nothing real is waited for.
const VIRTUAL_LOOKS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

impl Builder {
    /// Whether a `block_on` that can never return says so; on by default.
    ///
    /// If tasks wait for one another in a circle and nothing else goes on, that is reported after a second, to
    /// [`on_unhandled`](Self::on_unhandled) or the standard error output, with a [`Dump`](crate::Dump). If there is no circle, but
    /// nothing in the runtime can wake anybody, it is reported after ten seconds, and not at all once another
    /// thread has woken a task. The call waits on: another thread may yet end the wait. With `virtual_time` it
    /// panics instead, after 50 ms or five seconds of real time.
    pub fn report_deadlocks(mut self, report: bool) -> Self {
        self.config.report_deadlocks = report;
        self
    }
}

/// What is told of a call that can never return.
pub(crate) struct Deadlock {
    called_at: &'static Location<'static>,
    /// None in the second case.
    cycle: Option<Cycle>,
    dump: Dump,
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block_on at {} ", self.called_at)?;
        match self.cycle {
            Some(_) => f.write_str("can never return, because tasks wait for one another:")?,
            None => f.write_str(
                "waits, and nothing goes on in its runtime: no task is ready, no timer is set, no descriptor is \
                 awaited. Unless another thread does something it never returns:",
            )?,
        }
        write!(f, "\n{}", self.dump)
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlock")
            .field("called_at", &self.called_at)
            .field("cycle", &self.cycle)
            .finish_non_exhaustive()
    }
}

/// What keeps a runtime from being at a standstill.
enum Hope {
    /// Something that will wake a task when its time has come.
    Wake,
    /// Somebody who is at work, and may end without waking anybody.
    Work,
    None,
}

/// Looks of one call of `block_on`.
pub(super) struct Vigil {
    /// The polls of the runtime when this quiet began.
    n_polls: u64,
    since: Instant,
    n_looks: usize,
    is_over: bool,
}

impl Vigil {
    pub(super) fn new() -> Self {
        Self {
            n_polls: u64::MAX,
            since: Instant::now(),
            n_looks: 0,
            is_over: false,
        }
    }

    /// For how long the call may sleep before its next look; none if there is none.
    pub(super) fn patience(&mut self, shared: &Shared) -> Option<Duration> {
        if self.is_over || !shared.config.report_deadlocks || shared.platform.is_chaotic() {
            return None;
        }
        let homes = shared.seats.homes().iter();
        let n_polls = homes.map(Seat::n_polls).sum();
        if n_polls != self.n_polls {
            (self.n_polls, self.since, self.n_looks) = (n_polls, Instant::now(), 0);
        }
        let look = looks(shared).get(self.n_looks)?;
        Some(look.saturating_sub(self.since.elapsed()))
    }

    /// Looks, if it is time; the calling thread holds a seat and has found nothing to do.
    pub(super) fn look(&mut self, shared: &Shared, main: &MainWaker) -> Option<Deadlock> {
        if main.is_woken() || self.patience(shared) != Some(Duration::ZERO) {
            return None;
        }
        match shared.hope() {
            Hope::None => {}
            Hope::Wake => {
                self.n_looks = LOOKS.len();
                return None;
            }
            Hope::Work => {
                self.since = Instant::now();
                return None;
            }
        }
        self.n_looks += 1;
        let dump = Dump::take(shared);
        let cycle = dump.deadlock_of(main.caller.id);
        let is_helped = shared.is_woken_from_outside.load(Ordering::Relaxed);
        if cycle.is_none() && (is_helped || self.n_looks < LOOKS.len()) {
            return None;
        }
        self.is_over = true;
        Some(Deadlock {
            called_at: main.caller.called_at,
            cycle,
            dump,
        })
    }
}

fn looks(shared: &Shared) -> &'static [Duration] {
    if shared.clock.jumps() {
        &VIRTUAL_LOOKS
    } else {
        &LOOKS
    }
}

impl Shared {
    /// What may still happen, as a thread sees it that holds the only seat at work.
    fn hope(&self) -> Hope {
        let is_at_work = self.idle.n_idle() + 1 < self.idle.n_open()
            || self.has_work_left()
            || self.is_closing()
            || MainWaker::is_any_up(&lock_std(&self.guests));
        if is_at_work {
            return Hope::Work;
        }
        let is_listening = self
            .reactor
            .get()
            .is_some_and(|reactor| reactor.is_awaited());
        if is_listening
            || crate::interrupt::is_signal_awaited()
            || self.next_deadline() != NEVER
            || self.quiescent.is_any()
        {
            return Hope::Wake;
        }
        Hope::None
    }

    /// Whether something is queued, or about to be, or runs on a blocking thread. Ask after the seats were seen idle.
    pub(super) fn has_work_left(&self) -> bool {
        self.monitor.is_carrying() || self.has_work() || self.is_busy_blocking()
    }

    /// A task or a call of `block_on` is being woken: remembers if that comes from a thread that does not work for the
    /// runtime.
    pub(super) fn note_waker(&self) {
        if self.is_woken_from_outside.load(Ordering::Relaxed) {
            return;
        }
        if !context::with(|cx| std::ptr::eq(cx.runtime.get(), self)) {
            self.is_woken_from_outside.store(true, Ordering::Relaxed);
        }
    }
}
