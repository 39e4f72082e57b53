//! Staying awake for a moment before going to sleep, where the next work comes soon.
//!
//! To wake a thread takes the system tens of microseconds. Where work comes and goes with a thread that is none of the
//! workers, both of them would pay that in each round. A worker that looks at its own word for [`LIMIT`] instead, about
//! as long as the other one takes to wake up, is woken by one store; and when its answer is there soon, the other one
//! need not sleep either.
//!
//! It is the processor time of others, so it has to be earned. One number stands for the hope that it pays:
//!
//! - A sleep that was ended by work within [`SHORT`] adds one. A longer one sets it to zero, so that a runtime with
//!   nothing to do stays awake once at most.
//! - Staying awake for nothing, because the work came later or because there was none, takes two.
//! - With less than two nobody stays awake. If that comes of staying awake for nothing, it takes [`REST`] more short
//!   sleeps until the next try. So what is lost where each sleep is just too long is about one part in a hundred.
//!
//! One worker at a time stays awake, and none where there is one processor, or where time or the order of threads is
//! not real. Nothing else changes: its idle bit is set as if it slept, and who has to wake somebody takes it first.
//! Nobody stays awake in place of waiting in the poller, where sockets would be late, or during a nap (see
//! [`restraint`](super::restraint)).
//!
//! The numbers are hints that several threads write, one after the other or at once. What they are worth the next moment
//! shows.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use super::idle::NO_SEAT;
use crate::platform::{Nanos, Parker, Platform};

/// How long to stay awake.
pub(super) const LIMIT: Duration = Duration::from_micros(25);

/// A sleep that was hardly worth it.
const SHORT: Nanos = 100_000;

/// Short sleeps without trying, after staying awake has not paid.
const REST: i32 = 64;

/// The least hope with which somebody stays awake.
const ENOUGH: i32 = 2;

/// The most that short sleeps add up to.
const MOST: i32 = 8;

/// Who stays awake, and whether that pays.
pub(super) struct Spin {
    /// The seat whose sleeper is awake.
    seat: AtomicUsize,
    hope: AtomicI32,
    is_possible: bool,
}

impl Spin {
    pub(super) fn new(platform: &Platform, n_cores: usize) -> Self {
        let is_real = !platform.is_chaotic() && !platform.clock.is_virtual();
        Self {
            seat: AtomicUsize::new(NO_SEAT),
            hope: AtomicI32::new(0),
            is_possible: is_real && n_cores > 1,
        }
    }

    /// The seat to wake first: its sleeper is awake.
    pub(super) fn seat(&self) -> usize {
        self.seat.load(Ordering::Relaxed)
    }

    /// Stays awake for as long as it is worth it, or until there is a token. Returns for how long, if at all.
    pub(super) fn wait(&self, seat: usize, parker: &Parker) -> Option<Duration> {
        if !self.is_possible || self.hope.load(Ordering::Relaxed) < ENOUGH {
            return None;
        }
        // Relaxed: it keeps others from doing the same, and guards nothing.
        self.seat
            .compare_exchange(NO_SEAT, seat, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        let passed = parker.wait_awake(LIMIT);
        self.seat.store(NO_SEAT, Ordering::Relaxed);
        if !parker.has_token() {
            self.has_not_paid();
        }
        Some(passed)
    }

    /// A sleep, awake or not, was over after so long.
    pub(super) fn slept(&self, passed: Nanos) {
        let hope = self.hope.load(Ordering::Relaxed);
        let hope = match passed < SHORT {
            true => (hope + 1).min(MOST),
            false => 0,
        };
        self.hope.store(hope, Ordering::Relaxed);
    }

    /// Somebody stayed awake for nothing, or was woken for nothing.
    pub(super) fn has_not_paid(&self) {
        let hope = self.hope.load(Ordering::Relaxed) - 2;
        let hope = if hope < ENOUGH { -REST } else { hope };
        self.hope.store(hope, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: usize = 3;

    fn spin_on(n_cores: usize) -> (Spin, Parker) {
        let platform = Platform::new(false);
        (Spin::new(&platform, n_cores), platform.parker())
    }

    fn stays_awake(spin: &Spin, parker: &Parker) -> bool {
        spin.wait(SEAT, parker).is_some()
    }

    fn sleep_shortly(spin: &Spin, times: i32) {
        (0..times).for_each(|_| spin.slept(SHORT - 1));
    }

    #[test]
    fn staying_awake_is_earned_by_short_sleeps_and_lost_by_a_long_one() {
        let (spin, parker) = spin_on(2);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, ENOUGH - 1);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, MOST);
        assert!(stays_awake(&spin, &parker));
        spin.slept(SHORT);
        assert!(!stays_awake(&spin, &parker));
    }

    #[test]
    fn who_has_stayed_awake_for_nothing_rests() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, ENOUGH);
        assert!(stays_awake(&spin, &parker));
        sleep_shortly(&spin, REST);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, ENOUGH);
        assert!(stays_awake(&spin, &parker));
    }

    #[test]
    fn staying_awake_until_there_is_a_token_has_paid() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, ENOUGH);
        for _ in 0..2 * REST {
            parker.unpark(None::<&crate::reactor::Reactor>);
            assert!(stays_awake(&spin, &parker));
            assert!(parker.take_token());
        }
        assert!(stays_awake(&spin, &parker));
    }

    #[test]
    fn one_stays_awake_at_a_time_and_is_known() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, MOST);
        assert_eq!(spin.seat(), NO_SEAT);
        spin.seat.store(SEAT + 1, Ordering::Relaxed);
        assert!(!stays_awake(&spin, &parker));
        assert_eq!(spin.seat(), SEAT + 1);
    }

    #[test]
    fn on_one_processor_nobody_stays_awake() {
        let (spin, parker) = spin_on(1);
        sleep_shortly(&spin, MOST);
        assert!(!stays_awake(&spin, &parker));
    }
}
