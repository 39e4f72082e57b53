//! Waiting on a plain thread: what the `…_blocking` methods stand on.
//!
//! A future is polled with a waker that unparks this thread. So a thread waits in the same line, by the
//! same rules, as the tasks do, and there is no second protocol to get right.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicBool;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Release};
use rt_tasks_runtime::shim::thread::{self, Thread};

/// Wakes one thread.
///
/// # Memory ordering
///
/// `woken`: what happened before the wake-up is seen after the wait. The thread's own token would do for
/// that too, but others may take or leave it: the flag says what was meant.
struct ThreadWaker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING(woken): Release, for the swap in `block_on`.
        self.woken.store(true, Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// What is known of the waker of the call of `block_on` that was made last.
    static LATEST: Cell<*const ()> = const { Cell::new(ptr::null()) };
}

/// Whether this is the waker of a call of `block_on` on this thread, which sleeps until that call is through.
pub(crate) fn is_here(waker: &Waker) -> bool {
    ptr::eq(LATEST.get(), waker.data())
}

/// Runs a future of this crate on the calling thread, which sleeps while it is pending.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(ThreadWaker {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let task_waker = Waker::from(Arc::clone(&waker));
    LATEST.set(task_waker.data());
    let mut cx = Context::from_waker(&task_waker);
    loop {
        // A blocking call inside a task is not counted: with an empty budget it would spin for ever.
        coop::restore();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        // ORDERING(woken): Acquire, for the store in `wake_by_ref`.
        while !waker.woken.swap(false, Acquire) {
            thread::park();
        }
    }
}
