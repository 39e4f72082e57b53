//! The cooperative budget: a poll may complete so many leaf operations before it must let others run.
//!
//! A task that always finds its queue full, its lock free or its socket readable never returns
//! `Pending` by itself and would keep its worker for ever (rule C14). So every leaf operation first asks
//! [`poll_proceed`]; once the budget of the current poll is used up the answer is `Pending`, the task goes
//! to the back of the queue, and the reactor, the timers and the other tasks get their turn.

use std::cell::Cell;
use std::task::{Context, Poll};

/// Leaf operations a task may complete in one poll.
pub(crate) const BUDGET: u8 = 128;

/// What is left while no task is being polled: leaf operations are not counted there.
const UNLIMITED: u8 = u8::MAX;

thread_local! {
    static LEFT: Cell<u8> = const { Cell::new(UNLIMITED) };
}

/// Counts one leaf operation against the budget of the current poll.
///
/// Returns `Pending`, with the task already woken, when the budget is used up. Outside a task of this
/// runtime there is no budget and the answer is always `Ready`.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    LEFT.with(|left| match left.get() {
        UNLIMITED => Poll::Ready(()),
        0 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        n => {
            left.set(n - 1);
            Poll::Ready(())
        }
    })
}

/// Gives back what [`poll_proceed`] took, for an operation that then had to wait: only progress counts.
#[inline]
pub fn restore() {
    LEFT.with(|left| match left.get() {
        UNLIMITED => {}
        n => left.set((n + 1).min(BUDGET)),
    });
}

/// Runs `f`, one poll of a task, with a fresh budget; afterwards the budget of before holds again.
#[inline]
pub(crate) fn with_budget<R>(f: impl FnOnce() -> R) -> R {
    struct Reset<'a>(&'a Cell<u8>, u8);
    impl Drop for Reset<'_> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    LEFT.with(|left| {
        let _reset = Reset(left, left.replace(BUDGET));
        f()
    })
}
