//! `sleep`: a future that is ready at a deadline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Instant;
use super::timers::{TimerKey, Timers};
use crate::platform::Nanos;
use crate::wait::{self, WaitKind};
use crate::{coop, scheduler};

/// Waits until `duration` has passed since this call.
///
/// On an idle Linux machine it is late by at most 0.3 ms. Equal deadlines fire in the order in which they were
/// first polled.
///
/// # Cancel safety
///
/// Dropping it disarms the timer; nothing can be lost.
///
/// # Panics
///
/// When it is polled outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::{Duration, Instant};
/// let start = Instant::now();
/// rt::block_on(rt::sleep(Duration::from_millis(5)));
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now().saturating_add(duration))
}

/// Waits until a moment; see [`sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        timer: Timer::Idle(deadline),
    }
}

/// The future of [`sleep`]. It is `Unpin`, so `&mut sleep` works in `select!`.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    timer: Timer,
}

enum Timer {
    /// Not armed yet, or not any more.
    Idle(Instant),
    /// The deadline as the clock of the timers has it: half the size.
    Armed(Arc<Timers>, TimerKey, Nanos),
}

/// A task that sleeps and does nothing else fits the smallest block.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Sleep>() <= 24);

impl Sleep {
    /// The moment it waits for.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.timer {
            Timer::Idle(deadline) => *deadline,
            Timer::Armed(timers, _, deadline) => Instant(timers.clock.instant(*deadline)),
        }
    }

    /// Waits for another moment from now on.
    pub fn reset(&mut self, deadline: Instant) {
        self.disarm();
        self.timer = Timer::Idle(deadline);
    }

    /// Whether the moment has come.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        match &self.timer {
            Timer::Idle(deadline) => *deadline <= Instant::now(),
            Timer::Armed(timers, _, deadline) => *deadline <= timers.clock.now(),
        }
    }

    /// Arms the timer without a look at the clock: if the moment has come already, it fires when the worker looks next.
    pub(super) fn arm_unseen(&mut self, cx: &Context<'_>) {
        if let Timer::Idle(deadline) = self.timer {
            let timers = scheduler::current_timers();
            let deadline = timers.clock.nanos_of(deadline.0);
            self.arm(timers, deadline, cx);
        }
    }

    fn arm(&mut self, timers: Arc<Timers>, deadline: Nanos, cx: &Context<'_>) {
        let key = scheduler::arm(&timers, deadline, cx.waker().clone());
        self.timer = Timer::Armed(timers, key, deadline);
        wait::begins(WaitKind::Timer, deadline);
    }

    fn disarm(&mut self) {
        if let Timer::Armed(timers, key, _) = &self.timer {
            timers.cancel(*key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let at = match &self.timer {
            Timer::Idle(deadline) => *deadline,
            Timer::Armed(timers, key, deadline) => {
                if timers.update(*key, cx.waker()) {
                    wait::goes_on(WaitKind::Timer, *deadline);
                    coop::restore();
                    return Poll::Pending;
                }
                self.timer = Timer::Idle(self.deadline());
                return Poll::Ready(());
            }
        };
        let timers = scheduler::current_timers();
        let deadline = timers.clock.nanos_of(at.0);
        if deadline <= timers.clock.now() {
            return Poll::Ready(());
        }
        self.arm(timers, deadline, cx);
        coop::restore();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline())
            .field("is_armed", &matches!(self.timer, Timer::Armed(..)))
            .finish()
    }
}
