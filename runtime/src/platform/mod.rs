//! What a runtime takes from the world: time, random numbers, sleeping threads, and the poller. Chosen once,
//! when the runtime is built.
//!
//! | built with | clock | random numbers | threads | poller |
//! |---|---|---|---|---|
//! | nothing | real | spread | run as they like | waits |
//! | `virtual_time` | jumps when all is idle | spread | run as they like | looks before a jump |
//! | `chaos(seed)` | jumps when all is idle | drawn from the seed | one at a time, in an order drawn from the seed | looks before a jump |
//!
//! Everybody else in the crate asks the [`Platform`] and does not know which it is. A [`Parker`] is made here
//! because how a thread sleeps depends on it, and so is the reactor, whose poller is the system's in all three.

mod clock;
mod parker;
mod random;
mod turns;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use clock::{Clock, NEVER, Nanos, nanos};
pub(crate) use parker::{Interrupt, Parker};
pub(crate) use random::Random;
pub(crate) use turns::{Inside, Newcomer};

use crate::reactor::Reactor;
use turns::Turns;

pub(crate) struct Platform {
    pub(crate) clock: Arc<Clock>,
    /// What every sequence of random numbers begins from.
    seed: u64,
    /// Who runs, where only one thread may at a time.
    turns: Option<Arc<Turns>>,
}

impl Platform {
    /// The real world, or one whose clock jumps.
    pub(crate) fn new(is_virtual: bool) -> Self {
        Self {
            clock: Arc::new(Clock::new(is_virtual)),
            seed: 0,
            turns: None,
        }
    }

    /// One whose clock jumps, where the seed decides who runs.
    pub(crate) fn chaos(seed: u64) -> Self {
        Self {
            clock: Arc::new(Clock::new(true)),
            seed,
            turns: Some(Arc::new(Turns::new(Random::new(seed)))),
        }
    }

    /// Whether the seed decides what happens next.
    #[inline]
    pub(crate) fn is_chaotic(&self) -> bool {
        self.turns.is_some()
    }

    /// The random numbers of one seat.
    pub(crate) fn random(&self, seat: usize) -> Random {
        Random::new(self.seed.wrapping_mul(0x100).wrapping_add(seat as u64 + 1))
    }

    /// Where one thread will sleep.
    pub(crate) fn parker(&self) -> Parker {
        Parker::new(self.turns.clone())
    }

    /// The reactor, with a poller of the system.
    pub(crate) fn reactor(&self) -> io::Result<Reactor> {
        Reactor::new()
    }

    /// How long a thread that waits for `deadline` may sleep; none: until it is woken.
    pub(crate) fn sleep_limit(&self, now: Nanos, deadline: Nanos) -> Option<Duration> {
        if deadline == NEVER || self.clock.is_paused() {
            return None;
        }
        Some(Duration::from_nanos(deadline.saturating_sub(now)))
    }

    /// This thread works for the runtime from now on, until the guard is dropped.
    pub(crate) fn come_in(&self) -> Inside {
        Inside::new(self.turns.as_ref())
    }

    /// A thread is about to be started that will work for the runtime; see [`Newcomer::arrive`].
    pub(crate) fn expect_thread(&self) -> Newcomer {
        Newcomer::new(self.turns.clone())
    }

    /// Runs `f`, which blocks this thread, while the others go on.
    pub(crate) fn block<R>(&self, f: impl FnOnce() -> R) -> R {
        turns::block(self.turns.as_deref(), f)
    }

    /// Another thread may go on here: waiting for one, or between two tasks.
    pub(crate) fn yield_thread(&self) {
        match &self.turns {
            Some(turns) => turns.pass_on(),
            None => std::thread::yield_now(),
        }
    }
}
