//! Restraint: leaving a seat alone whose tasks are so short, and so few, that help costs more than it gives.
//!
//! A task that goes to another core takes half a dozen cache lines with it: its cell, what it waits for, the lock
//! under that. That is some 200 ns of both cores' time, and its neighbours pay again for each line that they share.
//! Tasks that work for microseconds are worth it. A burst of 256 that are woken together and need 60 ns each is through
//! in 16 µs if nobody helps, and in twice that on two cores.
//!
//! How long a poll takes cannot be known before, and nobody reads the clock for each. But a searcher has nothing else to
//! do, so it finds out. Before the first theft after it got up it watches its victim, a microsecond at a time:
//!
//! - Polls are few: they are long, or one is stuck. It steals at once.
//! - Polls are many, and the queue is used up within 50 µs, about what it takes to wake a thread: its tasks did not need
//!   help. The searcher leaves the seat alone for now.
//! - Polls are many, and so are the tasks, or they come back as they are run: it steals. From then on it does so without
//!   watching, until it has gone to sleep again.
//!
//! A seat that is left alone says so. Its own pushes wake nobody, others do not steal there, and who is about to
//! sleep does not count its queue as work. Whoever leaves it alone takes a *nap*: it sleeps like any idle seat, so
//! that pushes of others wake it, but not for longer than 100 µs. When it gets up it takes its word back and searches,
//! so that it looks at all that was passed over because of it; and so does whoever it wakes when it is the last searcher
//! to find work. So the worst that comes of a wrong guess is that a task waits 100 µs for help.
//!
//! Rejected: the same judgement by the seat itself, from the time that its last polls took. It is out of date when it
//! matters, where long polls follow short ones, and then nobody looks again. Rejected: stealing nothing from a seat with
//! short polls. Tasks that yield all the time run twice as fast on two cores, once they have moved there.

use std::time::Duration;

use super::worker::Worker;
use super::{Seat, Shared};
use crate::platform::Nanos;

/// How long one look at a victim takes.
const LOOK: Nanos = 1_000;

/// Tasks that are run or queued in one look by a seat whose polls are short: they take less than what moving one costs.
const MANY: u64 = 4;

/// A queue that is used up within this time needs no help.
const WATCH: Nanos = 50_000;

/// A queue is as good as used up when so much less than what was seen in it is left.
const USED_UP: usize = 8;

/// How long a seat is left alone.
pub(super) const NAP: Duration = Duration::from_micros(100);

/// What comes of watching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Watched {
    /// What is queued there waits for long.
    NeedsHelp,
    /// What was queued there did not need any.
    NeedsNone,
    /// There is something else to do.
    Interrupted,
}

impl Shared {
    /// Another worker may help with what is queued on a seat, whose holder calls this.
    #[inline]
    pub(super) fn wake_for_local(&self, seat: &Seat) {
        if self.idle.wants_wake() && !seat.is_left_alone() {
            self.wake_one();
        }
    }

    /// A seat that was left alone is so no more, and whoever did that does not search.
    #[cold]
    pub(super) fn wake_for_passed_over(&self) {
        self.idle.fence_after_push();
        if self.has_work_to_share() {
            self.wake_one();
        }
    }

    /// Whether a searcher would find a task: the parker's look, step 3.
    pub(super) fn has_work_to_share(&self) -> bool {
        let is_open = |seat: &Seat| !seat.is_left_alone() && seat.has_stealable();
        !self.injector.is_empty() || self.seats.in_use().any(is_open)
    }
}

impl Worker<'_> {
    /// Watches a seat that has something to steal.
    pub(super) fn watch(&self, victim: &Seat) -> Watched {
        let clock = &self.shared.clock;
        if clock.is_virtual() || self.shared.platform.is_chaotic() {
            return Watched::NeedsHelp;
        }
        let began = clock.now();
        let mut looked_at = began;
        let (mut n_polls, mut n_queued) = (victim.n_polls(), victim.n_stealable());
        let mut most = n_queued;
        while looked_at - began < WATCH {
            let elapsed = loop {
                std::hint::spin_loop();
                let elapsed = clock.now() - looked_at;
                if elapsed >= LOOK {
                    break elapsed;
                }
            };
            looked_at += elapsed;
            let (polls_now, queued_now) = (victim.n_polls(), victim.n_stealable());
            if queued_now * USED_UP <= most {
                return Watched::NeedsNone;
            }
            let progress = polls_now - n_polls + queued_now.saturating_sub(n_queued) as u64;
            if progress * LOOK < MANY * elapsed {
                return Watched::NeedsHelp;
            }
            if self.is_wanted_elsewhere() {
                return Watched::Interrupted;
            }
            (n_polls, n_queued, most) = (polls_now, queued_now, most.max(queued_now));
        }
        Watched::NeedsHelp
    }
}
