//! Whose turn it is to wait in the poller: one thread at a time, by a flag that is tried and never waited for.
//!
//! # Memory ordering
//!
//! `turn`: leaving releases, entering acquires: the reactor's wait is never entered twice.

use crate::platform::Nanos;
use crate::reactor::Events;
use crate::shim::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::shim::lock_std;

/// A busy runtime looks into the poller this often.
const POLL_NANOS: u64 = 200_000;

pub(crate) struct Poller {
    is_taken: AtomicBool,
    /// The seat that is in the poller; a hint for wake-ups.
    seat: AtomicUsize,
    polled_at: AtomicU64,
    buffers: std::sync::Mutex<Vec<Events>>,
}

impl Poller {
    pub(super) fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            seat: AtomicUsize::new(usize::MAX),
            polled_at: AtomicU64::new(0),
            buffers: std::sync::Mutex::new(Vec::new()),
        }
    }

    /// Takes the turn, if nobody has it.
    pub(super) fn try_enter(&self, seat: usize) -> Option<PollerTurn<'_>> {
        if self.is_taken.load(Ordering::Relaxed) {
            return None;
        }
        // ORDERING(turn): Acquire, for the one before us.
        if self.is_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        self.seat.store(seat, Ordering::Relaxed);
        Some(PollerTurn { poller: self })
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }

    /// The seat to wake last.
    pub(super) fn seat(&self) -> usize {
        self.seat.load(Ordering::Relaxed)
    }

    /// Whether a busy runtime should look again.
    pub(super) fn is_due(&self, now: Nanos) -> bool {
        self.since_polled(now) >= POLL_NANOS
    }

    pub(super) fn since_polled(&self, now: Nanos) -> Nanos {
        now.saturating_sub(self.polled_at.load(Ordering::Relaxed))
    }

    pub(super) fn set_polled(&self, now: Nanos) {
        self.polled_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn take_buffer(&self) -> Events {
        lock_std(&self.buffers).pop().unwrap_or_default()
    }

    pub(super) fn give_buffer(&self, events: Events) {
        lock_std(&self.buffers).push(events);
    }
}

/// The turn in the poller; dropping it lets the next one in.
pub(super) struct PollerTurn<'a> {
    poller: &'a Poller,
}

impl Drop for PollerTurn<'_> {
    fn drop(&mut self) {
        self.poller.seat.store(usize::MAX, Ordering::Relaxed);
        // ORDERING(turn): Release, for the next one.
        self.poller.is_taken.store(false, Ordering::Release);
    }
}
