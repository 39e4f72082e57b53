//! What a `CancelScope` and the future that runs its body share: requests on one side, the one who heeds them
//! on the other.
//!
//! # The protocol
//!
//! Whoever asks for something, on any thread: takes the lock; writes the request; raises the count of changes;
//! copies the waker; lets the lock go; wakes. Whoever runs the body, at the start of each poll: if its waker is
//! the one that is stored and the count is the one it saw last, there is nothing new, and no lock is taken.
//! Otherwise it takes the lock, stores its waker, and reads the requests, in this one critical section.
//!
//! No request is overlooked. Either the critical section of the asker came first: then the runner reads
//! the request in its own, or, if it skipped the lock, the waker that it compared was stored, and will be
//! woken. Or that of the runner came first: then the asker finds the waker of this poll, and the wake-up, which comes
//! after the poll's beginning, brings the next poll, whose look at the count comes after the raise.
//! The waker stays where it is, so that each request wakes (rejected: taking it out, so that the second of
//! two requests between two polls would find none, and the runner had to lock in every poll to put it back).
//!
//! A deadline can be moved until it is noted that it has passed, and both happen under the lock: so either
//! [`set_deadline`](Control::set_deadline) fails, or the old deadline has no effect any more.
//!
//! # Memory ordering
//!
//! `changes`: the count is raised under the lock and read outside it. The acquiring read orders nothing that the
//! lock does not order again; it says that what is new is behind the lock.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::Cancelled;
use super::signal::Signal;
use crate::shim::atomic::{AtomicUsize, Ordering};
use crate::shim::{Mutex, lock};
use crate::task::ignore_panic;
use crate::time::Instant;

pub(crate) struct Control {
    n_changes: AtomicUsize,
    state: Mutex<State>,
}

/// What a scope was asked for.
#[derive(Clone, Default)]
pub(crate) struct Requests {
    /// Drop the body.
    pub(crate) cancelled: Option<Cancelled>,
    /// Drop the body when so much time has passed, as soon as the runner knows.
    pub(crate) graceful: Option<(Duration, Cancelled)>,
    pub(crate) deadline: Option<Instant>,
}

impl Requests {
    fn is_asked(&self) -> bool {
        self.cancelled.is_some() || self.graceful.is_some()
    }
}

/// What of it takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    Cancel,
    Grace,
    Deadline,
}

/// Whom a change concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tells {
    Runner,
    Everybody,
}

struct State {
    requests: Requests,
    was_called: bool,
    is_expired: bool,
    is_caught: bool,
    /// A body runs, since the given line.
    runs_since: Option<&'static Location<'static>>,
    waker: Option<Waker>,
    /// Made when somebody first listens.
    signal: Option<Arc<Signal>>,
}

/// What the runner saw last.
#[derive(Default)]
pub(crate) struct Seen {
    n_changes: usize,
    waker: Option<Waker>,
}

impl Control {
    pub(crate) fn new(deadline: Option<Instant>) -> Self {
        Self {
            n_changes: AtomicUsize::new(0),
            state: Mutex::new(State {
                requests: Requests {
                    deadline,
                    ..Requests::default()
                },
                was_called: false,
                is_expired: false,
                is_caught: false,
                runs_since: None,
                waker: None,
                signal: None,
            }),
        }
    }

    /// Changes the requests and wakes the runner, and those who listen if `tells` says so. `None`: nothing changed.
    fn ask<R>(&self, tells: Tells, change: impl FnOnce(&mut State) -> Option<R>) -> Option<R> {
        let mut state = lock(&self.state);
        let listened = state.signal.as_ref();
        let listened = listened.filter(|_| tells == Tells::Everybody && !state.requests.is_asked());
        if let Some(signal) = listened {
            let functions = signal.take_functions();
            drop(state);
            functions.call();
            state = lock(&self.state);
        }
        let result = change(&mut state)?;
        // ORDERING(changes): Release, for the runner that looks without the lock.
        self.n_changes.fetch_add(1, Ordering::Release);
        let waker = state.waker.clone();
        let signal = state.signal.as_ref().filter(|_| tells == Tells::Everybody);
        let to_call = signal.map(|signal| signal.raise());
        drop(state);
        if let Some(waker) = waker {
            // A panic in it must not keep the others from hearing.
            ignore_panic(|| waker.wake());
        }
        if let Some(to_call) = to_call {
            to_call.call();
        }
        Some(result)
    }

    /// Asks for the body to be dropped; true if nobody has before.
    pub(crate) fn cancel(&self, cancelled: Cancelled) -> bool {
        let asked = self.ask(Tells::Everybody, |state| {
            state.was_called = true;
            let is_first = state.requests.cancelled.is_none();
            is_first.then(|| state.requests.cancelled = Some(cancelled))
        });
        asked.is_some()
    }

    /// Asks for the body to end by itself, and to be dropped after `grace`. Of several graces the shortest counts.
    pub(crate) fn cancel_gracefully(&self, grace: Duration, cancelled: Cancelled) -> bool {
        let asked = self.ask(Tells::Everybody, |state| {
            state.was_called = true;
            let requests = &mut state.requests;
            let is_first = requests.cancelled.is_none() && requests.graceful.is_none();
            let is_shorter = match &requests.graceful {
                Some((before, _)) => grace < *before,
                None => requests.cancelled.is_none(),
            };
            is_shorter.then(|| {
                requests.graceful = Some((grace, cancelled));
                is_first
            })
        });
        asked.unwrap_or(false)
    }

    /// Moves the deadline; false if it has passed and taken effect.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) -> bool {
        let moved = self.ask(Tells::Runner, |state| {
            (!state.is_expired).then(|| state.requests.deadline = deadline)
        });
        moved.is_some()
    }

    /// The runner looks for what is new, and has `waker` woken by what comes. `None`: nothing is.
    pub(crate) fn look(&self, seen: &mut Seen, waker: &Waker) -> Option<Requests> {
        let is_same = seen
            .waker
            .as_ref()
            .is_some_and(|before| before.will_wake(waker));
        // ORDERING(changes): Acquire, for `ask`.
        if is_same && self.n_changes.load(Ordering::Acquire) == seen.n_changes {
            return None;
        }
        let (ours, theirs) = (waker.clone(), waker.clone());
        let mut state = lock(&self.state);
        let before = (state.waker.replace(theirs), seen.waker.replace(ours));
        // Under the lock under which it is raised.
        seen.n_changes = self.n_changes.load(Ordering::Relaxed);
        let requests = state.requests.clone();
        drop(state);
        drop(before);
        Some(requests)
    }

    /// Notes that the deadline has passed; false if it was moved meanwhile and has not.
    pub(crate) fn expire(&self, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let has_passed = state
            .requests
            .deadline
            .is_some_and(|deadline| deadline <= now);
        state.is_expired |= has_passed;
        let signal = state.signal.as_ref().filter(|_| has_passed);
        let to_call = signal.map(|signal| signal.raise());
        drop(state);
        if let Some(to_call) = to_call {
            to_call.call();
        }
        has_passed
    }

    /// A region inside caught what was asked: the body goes on until it is asked again.
    pub(crate) fn passed_on(&self, asked: Asked) {
        let mut state = lock(&self.state);
        let requests = &mut state.requests;
        let mut gone = (None, None);
        match asked {
            Asked::Cancel => gone = (requests.cancelled.take(), requests.graceful.take()),
            Asked::Grace => gone.1 = requests.graceful.take(),
            Asked::Deadline => requests.deadline = None,
        }
        let is_asked = state.requests.is_asked();
        // ORDERING(changes): Release, for the runner itself: it looks again.
        self.n_changes.fetch_add(1, Ordering::Release);
        if let Some(signal) = state.signal.as_ref().filter(|_| !is_asked) {
            signal.lower();
        }
        drop(state);
        drop(gone);
    }

    /// A body begins to run. The line at which another one does, if that is so.
    pub(crate) fn begin(
        &self,
        at: &'static Location<'static>,
    ) -> Option<&'static Location<'static>> {
        let mut state = lock(&self.state);
        if state.runs_since.is_some() {
            return state.runs_since;
        }
        state.runs_since = Some(at);
        state.is_caught = false;
        None
    }

    /// The body is over; `is_caught`: because it was asked for.
    pub(crate) fn end(&self, is_caught: bool) {
        let mut state = lock(&self.state);
        state.runs_since = None;
        state.is_caught = is_caught;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        lock(&self.state).requests.deadline
    }

    /// Whether something was asked that takes effect at the next poll.
    pub(crate) fn has_request(&self) -> bool {
        lock(&self.state).requests.cancelled.is_some()
    }

    pub(crate) fn was_asked(&self) -> bool {
        let state = lock(&self.state);
        state.was_called || state.is_expired
    }

    pub(crate) fn is_caught(&self) -> bool {
        lock(&self.state).is_caught
    }

    pub(crate) fn is_expired(&self) -> bool {
        lock(&self.state).is_expired
    }

    /// The signal, made now if nobody listened before.
    pub(crate) fn signal(&self) -> Arc<Signal> {
        let mut state = lock(&self.state);
        let is_asked = state.requests.is_asked() || state.is_expired;
        Signal::of(&mut state.signal, is_asked)
    }
}
