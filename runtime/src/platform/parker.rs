//! Putting a thread to sleep, on its own or inside the poller, and waking it with one token.
//!
//! One word per sleeper. Waking swaps in the token, and what was there says how to wake: not at all (`AWAKE`),
//! the thread (`PARKED`), or the poller it waits in (`POLLING`). So a wake-up of somebody who is awake costs
//! one swap, and one of a sleeper costs the swap and one system call.
//!
//! A token alone says "look around". Whoever claimed the idle bit of the sleeper's seat *hands over*: token
//! first, then the `handed` flag as the last touch, so that a sleeper that has seen the flag may go away with
//! its parker, and knows that the seat was claimed for it. The system call comes after that, by a handle of its own.
//! Rejected: the flag after the call. The system may have the sleeper run at once, in the waker's place, and it then
//! yielded the processor again and again until the waker had come to the flag.
//!
//! # Memory ordering
//!
//! `handed`: Release by the one who hands over, Acquire by the sleeper: the parker may be dropped afterwards.
//! `token`: the swap of `unpark` releases what the waker wrote, and taking the token acquires it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::turns::{self, Turns};
use crate::shim::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::shim::{self, hint, thread};

const AWAKE: u32 = 0;
const PARKED: u32 = 1;
const POLLING: u32 = 2;
const TOKEN: u32 = 3;

/// Looks for a token between two looks at the clock.
const PAUSES: u32 = 16;

/// What `unpark` needs of the poller.
pub(crate) trait Interrupt {
    fn interrupt(&self);
}

pub(crate) struct Parker {
    state: AtomicU32,
    handed: AtomicBool,
    thread: OnceLock<thread::Thread>,
    /// Where only one thread may run at a time.
    turns: Option<Arc<Turns>>,
}

impl Parker {
    /// A parker whose thread is not known yet; see [`bind`](Self::bind).
    pub(crate) fn new(turns: Option<Arc<Turns>>) -> Self {
        Self {
            state: AtomicU32::new(AWAKE),
            handed: AtomicBool::new(false),
            thread: OnceLock::new(),
            turns,
        }
    }

    /// Makes this thread the one that sleeps here.
    pub(crate) fn bind(&self) {
        let _ = self.thread.set(thread::current());
    }

    /// Whether a thread sleeps here, ever.
    pub(crate) fn is_bound(&self) -> bool {
        self.thread.get().is_some()
    }

    /// Whether there is a token.
    pub(crate) fn has_token(&self) -> bool {
        self.state.load(Ordering::Relaxed) == TOKEN
    }

    /// Takes the token if it is there.
    pub(crate) fn take_token(&self) -> bool {
        // ORDERING(token): Acquire, for what the waker wrote.
        self.state.swap(AWAKE, Ordering::Acquire) == TOKEN
    }

    /// Sleeps until there is a token, or until the time is up. True: the token was taken.
    pub(crate) fn park(&self, timeout: Option<Duration>) -> bool {
        // ORDERING(token): Acquire on failure: there is a token already.
        let began =
            self.state
                .compare_exchange(AWAKE, PARKED, Ordering::Relaxed, Ordering::Acquire);
        if began.is_ok() {
            match timeout {
                // A stray wake-up of the thread is no token: sleep on.
                None => loop {
                    self.sleep();
                    // ORDERING(token): Acquire, for what the waker wrote.
                    if self.state.load(Ordering::Acquire) == TOKEN {
                        break;
                    }
                },
                Some(limit) => turns::block(self.turns.as_deref(), || shim::park_timeout(limit)),
            }
        }
        self.take_token()
    }

    /// Sleeps until it is woken, or for no reason.
    fn sleep(&self) {
        match &self.turns {
            Some(turns) => turns.sleep(),
            None => thread::park(),
        }
    }

    /// Sleeps inside `wait`, which waits in the poller, until there is a token or `wait` returns.
    /// True: the token was taken.
    pub(crate) fn park_polling(
        &self,
        wait: impl FnOnce() -> io::Result<()>,
    ) -> (bool, io::Result<()>) {
        // ORDERING(token): Acquire on failure: there is a token already.
        let began =
            self.state
                .compare_exchange(AWAKE, POLLING, Ordering::Relaxed, Ordering::Acquire);
        let waited = match began {
            Ok(_) => turns::block(self.turns.as_deref(), wait),
            Err(_) => Ok(()),
        };
        (self.take_token(), waited)
    }

    /// Wakes the sleeper, whose seat the caller has claimed for it. The parker may be gone afterwards.
    pub(crate) fn hand_over(&self, poller: Option<&impl Interrupt>) {
        let asleep = self.leave_token();
        // ORDERING(handed): Release, our use of the parker comes before its owner goes on.
        self.handed.store(true, Ordering::Release);
        asleep.wake(poller);
    }

    /// Waits for a hand-over that is under way, and takes its token too.
    pub(crate) fn wait_handed(&self) {
        while !self.take_handed() {
            thread::yield_now();
        }
        self.take_token();
    }

    /// Takes the flag of a hand-over if it is there.
    pub(crate) fn take_handed(&self) -> bool {
        // ORDERING(handed): Acquire, for the other's use of this parker.
        self.handed.swap(false, Ordering::Acquire)
    }

    /// Stays awake until there is a token, `look` finds something, or the time is up; returns how much of it is.
    pub(crate) fn wait_awake(&self, limit: Duration, mut look: impl FnMut() -> bool) -> Duration {
        let began = Instant::now();
        loop {
            if look() {
                return began.elapsed();
            }
            // The clock takes as long as a few pauses.
            for _ in 0..PAUSES {
                if self.has_token() {
                    return began.elapsed();
                }
                hint::spin_loop();
            }
            let passed = began.elapsed();
            if passed >= limit {
                return passed;
            }
        }
    }

    /// Sleeps until the seat is handed over.
    pub(crate) fn sleep_until_handed(&self) {
        self.park(None);
        self.wait_handed();
    }

    /// Leaves a token and wakes the sleeper, if it sleeps.
    pub(crate) fn unpark(&self, poller: Option<&impl Interrupt>) {
        self.leave_token().wake(poller);
    }

    /// Leaves a token; what is returned does not need the parker any more.
    fn leave_token(&self) -> Asleep {
        // ORDERING(token): Release, for whoever takes the token.
        match self.state.swap(TOKEN, Ordering::AcqRel) {
            PARKED => match self.thread.get() {
                Some(thread) => Asleep::Parked(thread.clone(), self.turns.clone()),
                None => Asleep::No,
            },
            POLLING => Asleep::Polling,
            _ => Asleep::No,
        }
    }
}

/// How somebody sleeps who was left a token.
#[must_use]
enum Asleep {
    No,
    /// As a thread, which takes turns with others or not.
    Parked(thread::Thread, Option<Arc<Turns>>),
    /// In the poller.
    Polling,
}

impl Asleep {
    /// Asks the system to wake it.
    fn wake(self, poller: Option<&impl Interrupt>) {
        match self {
            Self::No => {}
            Self::Parked(thread, turns) => {
                thread.unpark();
                if let Some(turns) = turns {
                    turns.wake(thread.id());
                }
            }
            Self::Polling => {
                if let Some(poller) = poller {
                    poller.interrupt();
                }
            }
        }
    }
}
