//! Numbers about a runtime, put together from those that each seat counts.

use std::sync::atomic::Ordering;

use super::{Seat, Shared};
use crate::histogram::Histogram;

impl Shared {
    pub(crate) fn n_spawned(&self) -> u64 {
        let on_seats: u64 = self.seats.ever_used().map(Seat::n_spawned).sum();
        on_seats + self.n_spawned_outside.load(Ordering::Relaxed)
    }

    pub(crate) fn n_ended(&self) -> u64 {
        let on_seats: u64 = self.seats.ever_used().map(Seat::n_ended).sum();
        on_seats + self.n_ended_outside.load(Ordering::Relaxed)
    }

    pub(crate) fn n_injected(&self) -> usize {
        self.injector.len()
    }

    pub(crate) fn n_rescues(&self) -> u32 {
        self.monitor.n_rescues()
    }

    pub(crate) fn n_polls(&self) -> u64 {
        self.seats.ever_used().map(Seat::n_polls).sum()
    }

    /// How long polls took, and wake-ups until the poll.
    pub(crate) fn times(&self) -> (Histogram, Histogram) {
        let (mut polls, mut latencies) = (Histogram::default(), Histogram::default());
        for seat in self.seats.ever_used() {
            polls.merge(&seat.poll_times);
            latencies.merge(&seat.latencies);
        }
        (polls, latencies)
    }
}
