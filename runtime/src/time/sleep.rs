//! `sleep`: a future that is ready at a deadline.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Instant;
use super::timers::{TimerKey, Timers};
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
        deadline,
        armed: None,
    }
}

/// The future of [`sleep`]. It is `Unpin`, so `&mut sleep` works in `select!`.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    armed: Option<(Arc<Timers>, TimerKey)>,
}

impl Sleep {
    /// The moment it waits for.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits for another moment from now on.
    pub fn reset(&mut self, deadline: Instant) {
        self.disarm();
        self.deadline = deadline;
    }

    /// Whether the moment has come.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        match &self.armed {
            Some((timers, _)) => timers.clock.nanos_of(self.deadline.0) <= timers.clock.now(),
            None => self.deadline <= Instant::now(),
        }
    }

    fn disarm(&mut self) {
        if let Some((timers, key)) = self.armed.take() {
            timers.cancel(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        if let Some((timers, key)) = &self.armed {
            if timers.update(*key, cx.waker()) {
                wait::goes_on(WaitKind::Timer, timers.clock.nanos_of(self.deadline.0));
                coop::restore();
                return Poll::Pending;
            }
            self.armed = None;
            return Poll::Ready(());
        }
        let timers = scheduler::current_timers();
        let deadline = timers.clock.nanos_of(self.deadline.0);
        if deadline <= timers.clock.now() {
            return Poll::Ready(());
        }
        let key = scheduler::arm(&timers, deadline, cx.waker().clone());
        self.armed = Some((timers, key));
        wait::begins(WaitKind::Timer, deadline);
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
            .field("deadline", &self.deadline)
            .field("is_armed", &self.armed.is_some())
            .finish()
    }
}
