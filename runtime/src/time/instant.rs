//! Moments on the runtime's clock, real or virtual, and the controls of the virtual one.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use crate::context;
use crate::platform::nanos;

/// A moment on the clock of the runtime: like `std::time::Instant`, and virtual where the time is.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// let runtime = rt::Builder::current_thread().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = rt::Instant::now();
///     rt::sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
/// });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(pub(crate) std::time::Instant);

impl Instant {
    /// The moment that is now: on the clock of the current runtime, or on the real one outside any.
    #[must_use]
    pub fn now() -> Self {
        context::with_runtime(|runtime| match runtime {
            Some(runtime) if runtime.clock.is_virtual() => {
                Self(runtime.clock.instant(runtime.clock.now()))
            }
            _ => Self(std::time::Instant::now()),
        })
    }

    /// Time that has passed since this moment; zero if it is still to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// This moment moved forward; none if that is beyond what the clock can say.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    /// This moment moved forward, to the far future if need be.
    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
        Self(self.0.checked_add(duration.min(FAR)).unwrap_or(self.0))
    }

    /// The moment as the standard library has it. On a virtual clock it means nothing outside.
    #[must_use]
    pub fn into_std(self) -> std::time::Instant {
        self.0
    }
}

impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        Self(instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        self.0 -= duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// Stops the clock of the current runtime. It jumps to the next deadline when every worker is idle.
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn pause() {
    with_clock_of_runtime(|runtime| runtime.clock.pause());
}

/// Lets the clock of the current runtime go on, from where it stands.
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn resume() {
    with_clock_of_runtime(|runtime| {
        runtime.clock.resume();
        runtime.wake_all();
    });
}

/// Moves the stopped clock of the current runtime forward and fires what becomes due.
///
/// # Panics
///
/// Outside a runtime, or if its clock is not stopped.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// let runtime = rt::Builder::current_thread().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let start = rt::Instant::now();
///     rt::time::advance(Duration::from_secs(5));
///     assert_eq!(start.elapsed(), Duration::from_secs(5));
/// });
/// ```
#[track_caller]
pub fn advance(duration: Duration) {
    let is_paused = with_clock_of_runtime(|runtime| {
        if runtime.clock.is_paused() {
            runtime.advance_to(runtime.clock.now().saturating_add(nanos(duration)));
        }
        runtime.clock.is_paused()
    });
    assert!(
        is_paused,
        "rt::time::advance on a running clock: pause it first, or build the runtime with virtual_time"
    );
}

#[track_caller]
fn with_clock_of_runtime<R>(f: impl FnOnce(&crate::scheduler::Shared) -> R) -> R {
    // Not in the closure: there the panic would not be the caller's.
    match context::with_runtime(|runtime| runtime.map(f)) {
        Some(result) => result,
        None => panic!(
            "the clock of a runtime can only be set inside one: {}",
            crate::NO_RUNTIME
        ),
    }
}
