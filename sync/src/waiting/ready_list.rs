//! Which of many children want to be looked at.
//!
//! Each child is polled with a waker of its own, a [`Bell`], which puts the child's number into the list and
//! wakes whoever waits for them all. So a wake-up costs one look at one child. Everything is behind one lock,
//! which is held for a push or a pop and never while a waker is called.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::wait::{self, WaitKind};

/// The numbers of the children that want to be looked at, each at most once, and who is to be told.
#[derive(Default)]
pub(crate) struct ReadyList {
    state: Mutex<State>,
    /// The latest `watch` began to wait, and did not go on.
    is_new: AtomicBool,
}

#[derive(Default)]
struct State {
    ready: VecDeque<usize>,
    /// Whether a child, by its number, stands in `ready`.
    is_ready: Vec<bool>,
    waker: Option<Waker>,
}

impl ReadyList {
    /// Enters a child, and wakes who waits.
    pub(crate) fn push(&self, child: usize) {
        let mut state = lock_std(&self.state);
        if state.is_ready.len() <= child {
            state.is_ready.resize(child + 1, false);
        }
        if std::mem::replace(&mut state.is_ready[child], true) {
            return;
        }
        state.ready.push_back(child);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the child that has waited longest.
    pub(crate) fn pop(&self) -> Option<usize> {
        let mut state = lock_std(&self.state);
        let child = state.ready.pop_front()?;
        state.is_ready[child] = false;
        Some(child)
    }

    /// Has `cx` woken by the next push, and says how many children want to be looked at now. Those that ring
    /// while they are looked at are left for the next poll, so that one poll comes to an end.
    pub(crate) fn watch(&self, cx: &Context<'_>) -> usize {
        let mut state = lock_std(&self.state);
        let n_ready = state.ready.len();
        let is_same = state
            .waker
            .as_ref()
            .is_some_and(|before| before.will_wake(cx.waker()));
        let before = if is_same {
            None
        } else {
            state.waker.replace(cx.waker().clone())
        };
        self.is_new.store(!is_same, Ordering::Relaxed);
        drop(state);
        drop(before);
        n_ready
    }

    /// Says that the running task waits for the next push, and which children those may be: a group that they are in,
    /// or zero.
    pub(crate) fn note(&self, kind: WaitKind, group: u64) {
        let note = match self.is_new.load(Ordering::Relaxed) {
            true => wait::begins,
            false => wait::goes_on,
        };
        note(kind, group);
    }

    /// What tells it from every other list that there is meanwhile.
    pub(crate) fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    /// The waker of a child.
    pub(crate) fn bell(self: &Arc<Self>, child: usize) -> Waker {
        Waker::from(Arc::new(Bell {
            list: self.clone(),
            child,
        }))
    }
}

/// Puts one child into the list.
struct Bell {
    list: Arc<ReadyList>,
    child: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.push(self.child);
    }
}
