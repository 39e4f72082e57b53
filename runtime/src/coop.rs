//! The cooperative budget: a poll may complete so many leaf operations before it must let others run.
//!
//! A task that always finds its queue full, its lock free or its socket readable never returns
//! `Pending` by itself and would keep its worker for ever (rule C14). So every leaf operation first asks
//! [`poll_proceed`]; once the budget of the current poll is used up the answer is `Pending`, the task goes
//! to the back of the queue, and the reactor, the timers and the other tasks get their turn.

use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};

use crate::context::{self, BUDGET, Restore, UNLIMITED};

/// Counts one leaf operation against the budget of the current poll.
///
/// Returns `Pending`, with the task already woken, when the budget is used up. Outside a task of this
/// runtime there is no budget and the answer is always `Ready`.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if try_proceed() {
        return Poll::Ready(());
    }
    again(cx);
    Poll::Pending
}

/// Counts one leaf operation against the budget of the current poll; false if the budget is used up.
///
/// For operations that look whether they have to wait anyhow before they send the task to the back of the
/// queue, which is what [`again_later`] does.
#[inline]
pub fn try_proceed() -> bool {
    context::with(|current| {
        let left = current.budget.get().wrapping_sub(1);
        // One comparison tells both that it was not used up, and that there is one.
        if left < BUDGET {
            current.budget.set(left);
            return true;
        }
        left == UNLIMITED - 1
    })
}

/// Has the running task polled again after the others got their turn. Always `Pending`.
pub fn again_later<T>(cx: &mut Context<'_>) -> Poll<T> {
    again(cx);
    Poll::Pending
}

/// Gives back what [`poll_proceed`] took, for an operation that then had to wait: only progress counts.
#[inline]
pub fn restore() {
    context::with(|current| match current.budget.get() {
        UNLIMITED => {}
        n => current.budget.set((n + 1).min(BUDGET)),
    });
}

/// Calls `f`, which wakes several tasks: they are queued in the order in which it wakes them, behind those that are
/// ready. Else the last one would run first.
pub fn waking_many<R>(f: impl FnOnce() -> R) -> R {
    context::with(|current| {
        let _many = Restore::set(&current.wakes_many, true);
        f()
    })
}

/// A number below `n`, from the runtime's random numbers: with whom a fair choice begins.
#[must_use]
pub fn random_below(n: usize) -> usize {
    crate::scheduler::random_below(n)
}

/// Has the running task polled again, after the others got their turn.
pub(crate) fn again(cx: &mut Context<'_>) {
    context::with(|current| reschedule(current, cx));
}

/// Has the running task queued again at the back.
fn reschedule(current: &context::Context, cx: &mut Context<'_>) {
    // A waker of the task itself: a mark is enough, the worker reads it after the poll. A waker of some
    // combinator inside the task has to be called, or the combinator would not poll us again.
    if ptr::eq(cx.waker().data().cast(), current.task.get()) {
        current.yielded.set(true);
    } else {
        cx.waker().wake_by_ref();
    }
}

/// Lets the others run: the task goes to the back of the queue, and I/O and timers get their turn.
///
/// # Cancel safety
///
/// Nothing can be lost. It is a suspension point, so a pending cancellation takes effect here.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::{Arc, Mutex};
/// let log = Arc::new(Mutex::new(vec![]));
/// let runtime = rt::Builder::current_thread().build().unwrap();
/// runtime.block_on(async {
///     let theirs = log.clone();
///     let other = rt::spawn(async move { theirs.lock().unwrap().push("other") });
///     rt::yield_now().await;
///     log.lock().unwrap().push("main");
///     other.await.unwrap();
/// });
/// assert_eq!(*log.lock().unwrap(), ["other", "main"]);
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        context::with(|current| reschedule(current, cx));
        Poll::Pending
    }
}
