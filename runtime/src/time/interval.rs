//! `interval`: ticks at a fixed rate.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{Instant, Sleep, sleep_until};

/// What an interval does when ticks were missed because nobody asked in time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum MissedTick {
    /// Gives the missed ticks at once, one after another, until it has caught up.
    #[default]
    Burst,
    /// Goes on a full period after the late tick.
    Delay,
    /// Drops the missed ticks and stays on the grid of the first one.
    Skip,
}

/// Ticks every `period`, the first time at once.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// let runtime = rt::Builder::current_thread().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = rt::Instant::now();
///     let mut ticks = rt::interval(Duration::from_secs(1));
///     for _ in 0..4 {
///         ticks.tick().await;
///     }
///     assert_eq!(start.elapsed(), Duration::from_secs(3));
/// });
/// ```
#[track_caller]
#[must_use]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first time at `start`; see [`interval`].
///
/// # Panics
///
/// If `period` is zero.
#[track_caller]
#[must_use]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "the period of an interval has to be longer than zero"
    );
    Interval {
        sleep: sleep_until(start),
        period,
        missed: MissedTick::default(),
    }
}

/// A series of ticks; made by [`interval`]. It is `Unpin`.
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTick,
}

impl Interval {
    /// Says what to do about missed ticks.
    #[must_use]
    pub fn missed(mut self, missed: MissedTick) -> Self {
        self.missed = missed;
        self
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Waits for the next tick, and gives the moment it was due.
    ///
    /// # Cancel safety
    ///
    /// A dropped call loses no tick.
    pub fn tick(&mut self) -> Tick<'_> {
        Tick { interval: self }
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = match self.missed {
            MissedTick::Burst => due.saturating_add(self.period),
            MissedTick::Delay => Instant::now().saturating_add(self.period),
            MissedTick::Skip => {
                let late = Instant::now().duration_since(due).as_nanos();
                let n_periods = late / self.period.as_nanos() + 1;
                let n_periods = u32::try_from(n_periods).unwrap_or(u32::MAX);
                due.saturating_add(self.period.saturating_mul(n_periods))
            }
        };
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    /// Begins anew: the next tick comes a full period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(Instant::now().saturating_add(self.period));
    }
}

/// The future of [`Interval::tick`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Tick<'a> {
    interval: &'a mut Interval,
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.interval.poll_tick(cx)
    }
}
