//! The clock of a runtime: real, or one that stands still and jumps.
//!
//! With virtual time the clock stands still until every worker is idle and then jumps to the next deadline, so
//! that a test of an hour's timeouts takes a millisecond and its times are exact. A worker of such a runtime
//! never sleeps for a deadline, it jumps (see `park` in [`scheduler::worker`](crate::scheduler)).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds since the runtime was built, on its own clock.
pub(crate) type Nanos = u64;

/// No deadline.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// The clock of a runtime.
pub(crate) struct Clock {
    base: Instant,
    /// Added to the time that has really passed; for a paused clock, all there is.
    offset: AtomicU64,
    is_paused: AtomicBool,
    /// The clock jumps by itself when all is idle.
    jumps: AtomicBool,
}

impl Clock {
    pub(crate) fn new(is_virtual: bool) -> Self {
        Self {
            base: Instant::now(),
            offset: AtomicU64::new(0),
            is_paused: AtomicBool::new(is_virtual),
            jumps: AtomicBool::new(is_virtual),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        let offset = self.offset.load(Ordering::Relaxed);
        if self.is_paused() {
            offset
        } else {
            offset.wrapping_add(nanos(self.base.elapsed()))
        }
    }

    #[inline]
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Whether the clock shows anything but the real time.
    pub(crate) fn is_virtual(&self) -> bool {
        self.is_paused() || self.offset.load(Ordering::Relaxed) != 0
    }

    /// Whether the clock jumps to the next deadline when all is idle.
    pub(crate) fn jumps(&self) -> bool {
        self.jumps.load(Ordering::Relaxed)
    }

    /// Stops the clock where it is; from then on it jumps.
    pub(crate) fn pause(&self) {
        if !self.is_paused() {
            self.offset
                .fetch_add(nanos(self.base.elapsed()), Ordering::Relaxed);
            self.is_paused.store(true, Ordering::Relaxed);
        }
        self.jumps.store(true, Ordering::Relaxed);
    }

    /// Lets the clock go on from where it stands.
    pub(crate) fn resume(&self) {
        if self.is_paused() {
            self.offset
                .fetch_sub(nanos(self.base.elapsed()), Ordering::Relaxed);
            self.is_paused.store(false, Ordering::Relaxed);
        }
        self.jumps.store(false, Ordering::Relaxed);
    }

    /// Moves a paused clock forward to `to`, never back.
    pub(crate) fn advance_to(&self, to: Nanos) {
        self.offset.fetch_max(to, Ordering::Relaxed);
    }

    /// The instant a number stands for.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        self.base + Duration::from_nanos(at)
    }

    /// The number that stands for an instant; one before the runtime was built is zero.
    pub(crate) fn nanos_of(&self, at: Instant) -> Nanos {
        nanos(at.saturating_duration_since(self.base))
    }
}

/// A duration in nanoseconds; 584 years and more are `NEVER`.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
