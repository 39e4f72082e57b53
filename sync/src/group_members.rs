//! Who is in a group: the children that are not complete, and whoever waits for the last of them.
//!
//! Not generic, so that a scope that was dropped can leave the waiting to the scope around it.
//!
//! A child that ends only counts down; it takes the lock when it was the last. Its entry stays in the list until a
//! spawn finds more entries than twice the live children, and drops those that are through: so spawner and
//! children do not meet on the lock (rejected: a slab under the lock, from which each child removed itself;
//! two workers then spent most of their time waiting for each other), and the memory is that of the live ones.
//!
//! # Invariants
//!
//! 1. `n_live` counts the children that are not complete: each is counted before it can run, under the lock. So
//!    it is zero only when nobody is left who could spawn more (rule G9), but for those who were given a handle
//!    to the group from outside.
//! 2. `children` holds every child that is not complete and not cancelled.
//! 3. After `is_closing` no child begins to run: it is spawned cancelled. The group is closed in the same
//!    critical section in which it is seen empty.
//! 4. Nobody spawns, wakes or cancels under the lock: a spawn that comes too late for its runtime ends the child at
//!    once, with its destructors and its count down.
//!
//! # Memory ordering
//!
//! `empty`: each count down releases what the child did, and whoever sees zero acquires it. That the last child
//! finds a scope that waits, or the scope the count at zero, is up to the lock: the scope says that it waits and
//! looks at the count in one critical section, and the child looks for the scope in one after it has counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rt_tasks_runtime::shim::atomic::{AtomicUsize, Ordering};
use rt_tasks_runtime::shim::{Mutex, lock};
use rt_tasks_runtime::wait::{self, WaitKind};
use rt_tasks_runtime::{CancelHandle, JoinHandle, cleanup_now};

/// Entries of children that are through which are left alone however few are live.
const KEEP: usize = 64;

/// What is known of a child: a model has none of the runtime's.
pub(crate) trait Entry: Clone {
    fn is_finished(&self) -> bool;

    #[track_caller]
    fn cancel_all(entries: Vec<Self>, reason: &'static str);
}

impl Entry for CancelHandle {
    fn is_finished(&self) -> bool {
        CancelHandle::is_finished(self)
    }

    #[track_caller]
    fn cancel_all(entries: Vec<Self>, reason: &'static str) {
        CancelHandle::cancel_all(entries, reason);
    }
}

pub(crate) struct Members<C = CancelHandle> {
    n_live: AtomicUsize,
    state: Mutex<State<C>>,
}

struct State<C> {
    children: Vec<C>,
    is_closing: bool,
    /// One of the children that were cancelled: it knows who can run them.
    cancelled: Option<C>,
    /// The scope's.
    waker: Option<Waker>,
    /// The scope waits for the last child, and for nothing else.
    is_waiting: bool,
}

impl<C> Default for Members<C> {
    fn default() -> Self {
        Self {
            n_live: AtomicUsize::new(0),
            state: Mutex::new(State {
                children: Vec::new(),
                is_closing: false,
                cancelled: None,
                waker: None,
                is_waiting: false,
            }),
        }
    }
}

impl<C: Entry> Members<C> {
    pub(crate) fn len(&self) -> usize {
        // ORDERING(empty): Acquire, for what the children did.
        self.n_live.load(Ordering::Acquire)
    }

    /// What tells it from every other group that there is meanwhile.
    fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.state).is_closing
    }

    /// Enters a child that nobody can run yet. Returns a reason if it is to be cancelled from the beginning
    /// (Invariant 3).
    pub(crate) fn enter(&self, child: C) -> Option<&'static str> {
        let mut state = lock(&self.state);
        let n_live = self.n_live.fetch_add(1, Ordering::Relaxed);
        if state.is_closing {
            return Some("its group was closing when it was spawned");
        }
        let mut gone = Vec::new();
        if state.children.len() > KEEP + 2 * n_live {
            let (through, live): (Vec<_>, Vec<_>) = std::mem::take(&mut state.children)
                .into_iter()
                .partition(C::is_finished);
            state.children = live;
            gone = through;
        }
        state.children.push(child);
        drop(state);
        drop(gone);
        None
    }

    /// A child is complete.
    pub(crate) fn leave(&self) {
        // ORDERING(empty): Release, what the child did; Acquire, what the others did.
        if self.n_live.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let mut state = lock(&self.state);
        let waker = if state.is_waiting {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the scope.
    pub(crate) fn wake(&self) {
        let waker = lock(&self.state).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has the scope polled again by `waker` when something changes.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut state = lock(&self.state);
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
        let mut state = lock(&self.state);
        let waited = std::mem::replace(&mut state.is_waiting, true);
        if self.len() > 0 {
            drop(state);
            let note = if waited { wait::goes_on } else { wait::begins };
            note(WaitKind::Group, self.number());
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
        let mut state = lock(&self.state);
        state.is_closing = true;
        let children = std::mem::take(&mut state.children);
        if state.cancelled.is_none() {
            state.cancelled = children.first().cloned();
        }
        drop(state);
        C::cancel_all(children, reason);
    }
}

impl Members {
    /// Enters a task that was spawned and is not queued yet.
    pub(crate) fn enter_task<T>(&self, task: &JoinHandle<T>) -> Option<&'static str> {
        task.belongs_to(self.number());
        self.enter(task.cancel_handle())
    }
}

/// Cancels every child, and has the scope around this place wait for them.
#[track_caller]
pub(crate) fn give_up_on(members: &Arc<Members>, reason: &'static str) {
    members.cancel(reason);
    let cancelled = lock(&members.state).cancelled.clone();
    cleanup_now(Empty(members.clone()), cancelled.as_ref());
}

/// Waits until no child is left.
pub(crate) struct Empty<C = CancelHandle>(pub(crate) Arc<Members<C>>);

impl<C: Entry> Future for Empty<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_empty(cx.waker())
    }
}
