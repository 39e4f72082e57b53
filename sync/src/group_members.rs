//! Who is in a group: the children that are not complete, and whoever waits for the last of them.
//!
//! Not generic, so that a scope that was dropped can leave the waiting to the scope around it.
//!
//! # Invariants
//!
//! 1. `children` holds exactly the children that are not complete: each is entered before it can run, under
//!    the lock, and leaves when it is complete. So it is empty only when nobody is left who could spawn more
//!    (rule G9).
//! 2. After `is_closing` no child begins to run: it is spawned cancelled. The group is closed in the same
//!    critical section in which it is seen empty.
//! 3. Wakers and cancellations are called outside the lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::{CancelHandle, JoinHandle};
use slab::Slab;

#[derive(Default)]
pub(crate) struct Members {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    children: Slab<CancelHandle>,
    is_closing: bool,
    /// The scope's.
    waker: Option<Waker>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        lock_std(&self.state).children.len()
    }

    pub(crate) fn is_closing(&self) -> bool {
        lock_std(&self.state).is_closing
    }

    /// Enters a child that `spawn` makes. It is told its key, and a reason if the child is to be cancelled from
    /// the beginning (Invariant 2).
    #[track_caller]
    pub(crate) fn enter<T>(
        &self,
        spawn: impl FnOnce(usize, Option<&'static str>) -> JoinHandle<T>,
    ) -> JoinHandle<T> {
        let mut state = lock_std(&self.state);
        let cancelled = state
            .is_closing
            .then_some("its group was closing when it was spawned");
        let entry = state.children.vacant_entry();
        let handle = spawn(entry.key(), cancelled);
        entry.insert(handle.cancel_handle());
        handle
    }

    /// A child is complete.
    pub(crate) fn leave(&self, key: usize) {
        let mut state = lock_std(&self.state);
        let child = state.children.remove(key);
        let waker = if state.children.is_empty() {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        drop(child);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the scope.
    pub(crate) fn wake(&self) {
        let waker = lock_std(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the scope polled again by `waker` when something changes.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut state = lock_std(&self.state);
        let is_same = state
            .waker
            .as_ref()
            .is_some_and(|before| before.will_wake(waker));
        let before = if is_same {
            None
        } else {
            state.waker.replace(waker.clone())
        };
        drop(state);
        drop(before);
    }

    /// Ready once no child is left; then the group is closed.
    pub(crate) fn poll_empty(&self, waker: &Waker) -> Poll<()> {
        self.watch(waker);
        let mut state = lock_std(&self.state);
        if !state.children.is_empty() {
            return Poll::Pending;
        }
        state.is_closing = true;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        Poll::Ready(())
    }

    /// Cancels every child, and lets none in any more.
    #[track_caller]
    pub(crate) fn cancel(&self, reason: &'static str) {
        let mut state = lock_std(&self.state);
        state.is_closing = true;
        let children: Vec<CancelHandle> = state
            .children
            .iter()
            .map(|(_, child)| child.clone())
            .collect();
        drop(state);
        for child in children {
            child.cancel_with(reason);
        }
    }
}

/// Waits until no child is left.
pub(crate) struct Empty(pub(crate) Arc<Members>);

impl Future for Empty {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_empty(cx.waker())
    }
}
