//! What the parts of a server share: who is served, and who waits for what.
//!
//! # Invariants
//!
//! 1. `clients` holds every connection whose task is not complete: it is entered before it can run.
//! 2. After `is_stopped` no connection begins to run: it is spawned cancelled.
//! 3. No waker is called or dropped, and no scope cancelled, under the lock.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::{CancelScope, Panic, Surroundings, report_lost, sleep};

use super::server::ServeOptions;

/// What a server, the task that accepts for it, and its connections share.
pub(super) struct Shared {
    pub(super) options: ServeOptions,
    /// What is around the call that made the server.
    pub(super) surroundings: Surroundings,
    pub(super) place: &'static Location<'static>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By their numbers, which only grow.
    clients: BTreeMap<u64, CancelScope>,
    /// The number of the next connection.
    next: u64,
    n_cut_off: u64,
    is_stopped: bool,
    /// The listener is closed.
    is_closed: bool,
    /// Of the task that accepts, when it waits for a connection to end.
    acceptor: Option<Waker>,
    waiters: BTreeMap<u64, (Awaited, Waker)>,
    next_waiter: u64,
}

/// What somebody waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// That the listener is closed.
    Listener,
    /// That connections with smaller numbers are through.
    ClientsBefore(u64),
    /// That nothing is left.
    Everything,
}

/// How many connections have come to an end so far.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    pub(super) all: u64,
    /// How many of them were dropped where they waited.
    pub(super) cut_off: u64,
}

impl State {
    fn is_met(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Listener => self.is_closed,
            Awaited::ClientsBefore(next) => self.clients.range(..next).next().is_none(),
            Awaited::Everything => self.is_closed && self.clients.is_empty(),
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            all: self.next - self.clients.len() as u64,
            cut_off: self.n_cut_off,
        }
    }

    /// Takes out the wakers of those whose wait is over.
    fn met(&mut self) -> Vec<Waker> {
        let waiters = self.waiters.iter();
        let met: Vec<u64> = waiters
            .filter(|(_, (awaited, _))| self.is_met(*awaited))
            .map(|(id, _)| *id)
            .collect();
        let taken = met.iter().filter_map(|id| self.waiters.remove(id));
        taken.map(|(_, waker)| waker).collect()
    }
}

impl Shared {
    pub(super) fn new(
        options: ServeOptions,
        surroundings: Surroundings,
        place: &'static Location<'static>,
    ) -> Self {
        Self {
            options,
            surroundings,
            place,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock_std(&self.state)
    }

    /// The connections there are, and the number of the next one.
    pub(super) fn clients(&self) -> (Vec<CancelScope>, u64) {
        let state = self.state();
        (state.clients.values().cloned().collect(), state.next)
    }

    pub(super) fn n_clients(&self) -> usize {
        self.state().clients.len()
    }

    pub(super) fn tally(&self) -> Tally {
        self.state().tally()
    }

    pub(super) fn is_met(&self, awaited: Awaited) -> bool {
        self.state().is_met(awaited)
    }

    /// Waits for something; `id` is the waiter's, once it has one.
    pub(super) fn poll_met(
        &self,
        awaited: Awaited,
        id: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let mut state = self.state();
        if state.is_met(awaited) {
            return Poll::Ready(());
        }
        let id = *id.get_or_insert(state.next_waiter);
        state.next_waiter = state.next_waiter.max(id + 1);
        let before = state.waiters.insert(id, (awaited, cx.waker().clone()));
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Forgets a waiter.
    pub(super) fn forget(&self, id: u64) {
        let waiter = self.state().waiters.remove(&id);
        drop(waiter);
    }

    /// Waits until there is room for another connection.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let max = self.options.max_connections;
        self.poll_clients(cx, |state| state.clients.len() < max)
    }

    /// Waits for `pause`, or until a connection has ended and given its descriptor back.
    pub(super) async fn pause(&self, pause: Duration) {
        let before = self.tally();
        let mut sleep = sleep(pause);
        poll_fn(
            |cx| match self.poll_clients(cx, |state| state.tally().all > before.all) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => Pin::new(&mut sleep).poll(cx),
            },
        )
        .await;
    }

    /// Waits, in the task that accepts, for connections to end until `is_ready`.
    fn poll_clients(&self, cx: &Context<'_>, is_ready: impl FnOnce(&State) -> bool) -> Poll<()> {
        let mut state = self.state();
        if is_ready(&state) {
            return Poll::Ready(());
        }
        let before = state.acceptor.replace(cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Enters a connection that cannot run yet. Returns a reason if it is to be cancelled from the beginning
    /// (Invariant 2).
    pub(super) fn enter(&self, number: u64, scope: CancelScope) -> Option<&'static str> {
        let mut state = self.state();
        state.clients.insert(number, scope);
        state.next = number + 1;
        state.is_stopped.then_some("its server accepts no more")
    }

    /// Counts a connection that was dropped where it waited. It leaves later, after its cleanup.
    pub(super) fn cut_off(&self) {
        self.state().n_cut_off += 1;
    }

    /// A connection is through.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.state();
        let scope = state.clients.remove(&number);
        let (met, acceptor) = (state.met(), state.acceptor.take());
        drop(state);
        drop(scope);
        met.into_iter().chain(acceptor).for_each(wake);
    }

    /// No connection is to begin any more.
    pub(super) fn stop(&self) {
        self.state().is_stopped = true;
    }

    /// The listener is closed.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        state.is_closed = true;
        let met = state.met();
        drop(state);
        met.into_iter().for_each(wake);
    }
}

/// Wakes one of several. A waker is foreign code: its panic is told, and keeps nobody else from being woken.
fn wake(waker: Waker) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        report_lost(
            "a waker of a server".to_owned(),
            Box::new(Panic::new(panic)),
        );
    }
}
