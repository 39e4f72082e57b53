//! Waiting for a future from wherever this is: inside a runtime, or on a thread that works for none.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::guest::block_on;
use crate::context;

/// Runs a future to its end from wherever this is: as a guest inside a runtime, else just on this thread.
#[track_caller]
pub(crate) fn block_on_anywhere<F: Future>(future: F) -> F::Output {
    match context::runtime() {
        Some(shared) => block_on(&shared, future),
        None => park_until(future, None).expect("there is no limit"),
    }
}

/// Like `block_on_anywhere`, for at most so long.
pub(crate) fn block_on_within<F: Future + Unpin>(future: F, limit: Duration) -> Option<F::Output> {
    let Some(shared) = context::runtime() else {
        return park_until(future, Some(limit));
    };
    let mut future = future;
    let mut sleep = crate::time::sleep(limit);
    block_on(
        &shared,
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(cx) {
                return Poll::Ready(Some(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| None)
        }),
    )
}

/// Polls a future on a plain thread that sleeps in between.
fn park_until<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                std::thread::park_timeout(left);
            }
        }
    }
}
