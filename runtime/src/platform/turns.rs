//! One thread at a time, in an order drawn from a seed.
//!
//! With real threads a race that a test ran into is gone when the test runs again. Here the threads of a
//! runtime take turns: exactly one of them runs, the others wait, and who runs next is decided by a random
//! number at the places where it can make a difference (between two tasks, and where a thread goes to sleep).
//! As the seats' random numbers come from the same seed and the clock is virtual, the same seed gives
//! the same run: N logical workers that are as good as on one thread.
//!
//! Threads that the runtime does not own (blocking jobs, other runtimes, the test itself outside `block_on`) run
//! as they like. What they wake is ready from then on, at a moment that no seed decides.
//!
//! # Invariants
//!
//! 1. `running` names a member that is ready, or nobody; it is nobody only while nobody is ready.
//! 2. A member works only while `running` names it. It gives the turn up in [`Turns::pass_on`] and
//!    [`Turns::sleep`], and when it leaves; no lock of the runtime is held there.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Random;
use crate::shim::lock_std;
use crate::shim::thread::{self, Thread, ThreadId};

pub(crate) struct Turns {
    state: Mutex<State>,
}

struct State {
    random: Random,
    members: Vec<Member>,
    running: Option<u64>,
    n_members: u64,
}

struct Member {
    number: u64,
    /// None until the thread has begun.
    thread: Option<Thread>,
    is_ready: bool,
    /// It was woken before it slept: it does not sleep.
    is_woken: bool,
}

impl State {
    fn add(&mut self, thread: Option<Thread>) -> u64 {
        self.n_members += 1;
        let number = self.n_members;
        self.members.push(Member {
            number,
            thread,
            is_ready: true,
            is_woken: false,
        });
        if self.running.is_none() {
            self.running = Some(number);
        }
        number
    }

    fn remove(&mut self, number: u64) {
        self.members.retain(|member| member.number != number);
        if self.running == Some(number) {
            self.choose();
        }
    }

    fn of_thread(&mut self, id: ThreadId) -> Option<&mut Member> {
        let is_its = |member: &&mut Member| {
            let thread = member.thread.as_ref();
            thread.is_some_and(|thread| thread.id() == id)
        };
        self.members.iter_mut().find(is_its)
    }

    fn of_this_thread(&mut self) -> Option<&mut Member> {
        self.of_thread(thread::current().id())
    }

    /// Gives the turn to anybody who is ready.
    fn choose(&mut self) {
        let n_ready = self.members.iter().filter(|member| member.is_ready).count();
        let chosen = match n_ready {
            0 => None,
            _ => {
                let nth = self.random.below(n_ready);
                self.members
                    .iter()
                    .filter(|member| member.is_ready)
                    .nth(nth)
            }
        };
        self.running = chosen.map(|member| member.number);
        if let Some(thread) = chosen.and_then(|member| member.thread.as_ref()) {
            thread.unpark();
        }
    }
}

impl Turns {
    pub(super) fn new(random: Random) -> Self {
        Self {
            state: Mutex::new(State {
                random,
                members: Vec::new(),
                running: None,
                n_members: 0,
            }),
        }
    }

    /// Waits until it is this member's turn.
    fn await_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, number: u64) {
        while state.running != Some(number) {
            drop(state);
            thread::park();
            state = lock_std(&self.state);
        }
    }

    /// Makes this thread a member; false if it is one already.
    fn enter(&self) -> bool {
        let mut state = lock_std(&self.state);
        if state.of_this_thread().is_some() {
            return false;
        }
        let number = state.add(Some(thread::current()));
        self.await_turn(state, number);
        true
    }

    /// Takes this thread out; false if it was no member.
    fn leave(&self) -> bool {
        let mut state = lock_std(&self.state);
        let Some(number) = state.of_this_thread().map(|member| member.number) else {
            return false;
        };
        state.remove(number);
        true
    }

    /// Lets anybody who is ready go on, this thread among them.
    pub(super) fn pass_on(&self) {
        let mut state = lock_std(&self.state);
        let Some(number) = state.of_this_thread().map(|member| member.number) else {
            drop(state);
            return thread::yield_now();
        };
        state.choose();
        self.await_turn(state, number);
    }

    /// Gives the turn up until this thread is woken. It may come back without that.
    pub(super) fn sleep(&self) {
        let mut state = lock_std(&self.state);
        let Some(member) = state.of_this_thread() else {
            drop(state);
            return thread::park();
        };
        if std::mem::take(&mut member.is_woken) {
            return;
        }
        member.is_ready = false;
        let number = member.number;
        state.choose();
        self.await_turn(state, number);
    }

    /// Has a thread go on when its turn comes. Nothing, if it is no member.
    pub(super) fn wake(&self, id: ThreadId) {
        let mut state = lock_std(&self.state);
        let Some(member) = state.of_thread(id) else {
            return;
        };
        if member.is_ready {
            member.is_woken = true;
            return;
        }
        member.is_ready = true;
        if state.running.is_none() {
            state.choose();
        }
    }
}

/// A thread that works for the runtime, until this is dropped.
pub(crate) struct Inside {
    /// None if there are no turns, or the thread was inside before.
    turns: Option<Arc<Turns>>,
}

impl Inside {
    pub(super) fn new(turns: Option<&Arc<Turns>>) -> Self {
        Self {
            turns: turns.filter(|turns| turns.enter()).cloned(),
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(turns) = &self.turns {
            turns.leave();
        }
    }
}

/// A place among the members for a thread that is yet to start. Dropped before that, it is given up.
pub(crate) struct Newcomer {
    place: Option<(Arc<Turns>, u64)>,
}

impl Newcomer {
    pub(super) fn new(turns: Option<Arc<Turns>>) -> Self {
        Self {
            place: turns.map(|turns| {
                let number = lock_std(&turns.state).add(None);
                (turns, number)
            }),
        }
    }

    /// This is the thread; it goes on when its turn comes.
    pub(crate) fn arrive(mut self) -> Inside {
        let turns = self.place.take().map(|(turns, number)| {
            let mut state = lock_std(&turns.state);
            let mut members = state.members.iter_mut();
            if let Some(member) = members.find(|member| member.number == number) {
                member.thread = Some(thread::current());
            }
            turns.await_turn(state, number);
            turns
        });
        Inside { turns }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some((turns, number)) = &self.place {
            lock_std(&turns.state).remove(*number);
        }
    }
}

/// Runs `f` outside the turns.
pub(super) fn block<R>(turns: Option<&Turns>, f: impl FnOnce() -> R) -> R {
    let _outside = Outside {
        turns: turns.filter(|turns| turns.leave()),
    };
    f()
}

/// A member that is outside for a while.
struct Outside<'a> {
    turns: Option<&'a Turns>,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.turns {
            turns.enter();
        }
    }
}
