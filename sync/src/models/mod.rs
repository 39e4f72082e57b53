//! Models that loom runs under every schedule: one part and one property each, and beside each a
//! known-bad mutant that the same model must catch, or the model would prove nothing.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p rt-tasks-sync --lib models`

mod barrier;
mod broadcast;
mod channels;
mod condvar;
mod event;
mod members;
mod mpsc;
mod mutex;
mod notify;
mod once_cell;
mod oneshot;
mod promise;
mod queue;
mod rw_lock;
mod semaphore;
mod wait_list;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Notify;
use rt_tasks_runtime::shim::UnsafeCell;

/// Wakes a model's thread. (Not loom's `park`: it forgets an `unpark` that meets a thread inside a lock.)
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Runs a future on a model's thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.0.wait(),
        }
    }
}

/// A waker that does nothing: the model polls by hand.
struct Deaf;

impl Wake for Deaf {
    fn wake(self: Arc<Self>) {}
}

/// Polls once.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::new(Deaf))))
}

/// Polls a future once, then drops it; returns what it had by then.
fn poll_and_drop<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    match poll_once(future.as_mut()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Data of which loom checks that two never touch it at the same time, or without an order between them.
struct Watched(UnsafeCell<u32>);

// SAFETY: none is needed: loom panics where two accesses are not ordered, which is what it is for.
unsafe impl Sync for Watched {}

impl Watched {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    /// Adds one, as the only one who may.
    fn add(&self) -> u32 {
        self.0.with_mut(|count| {
            // SAFETY: loom has checked the access.
            let count = unsafe { &mut *count };
            *count += 1;
            *count
        })
    }

    /// Looks at it, beside others who do.
    fn get(&self) -> u32 {
        self.0.with(|count| {
            // SAFETY: loom has checked the access.
            unsafe { *count }
        })
    }
}
