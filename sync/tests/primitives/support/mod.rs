//! A hand that polls: tests decide when a future runs, and see whether it was woken.
#![allow(dead_code)] // Each test file uses its part of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A future with a waker of its own.
pub(crate) struct Polled<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

/// Counts wake-ups, and writes them down in an order shared with others.
struct Wakes {
    count: AtomicUsize,
    name: usize,
    log: Log,
}

/// Names in the order in which they were woken.
pub(crate) type Log = Arc<Mutex<Vec<usize>>>;

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(self.name);
    }
}

/// Wraps a future to be polled by hand.
pub(crate) fn polled<F: Future>(future: F) -> Polled<F> {
    named(future, 0, &Log::default())
}

/// Wraps a future whose wake-ups are written into `log` under `name`.
pub(crate) fn named<F: Future>(future: F, name: usize, log: &Log) -> Polled<F> {
    let wakes = Wakes {
        count: AtomicUsize::new(0),
        name,
        log: Arc::clone(log),
    };
    Polled {
        future: Box::pin(future),
        wakes: Arc::new(wakes),
    }
}

impl<F: Future> Polled<F> {
    /// Polls once.
    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls once and expects the end.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it is still pending"),
        }
    }

    /// Polls once and expects it to wait.
    #[track_caller]
    pub(crate) fn pending(&mut self) {
        assert!(self.poll().is_pending(), "it did not wait");
    }

    /// How often it has been woken.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.count.load(Ordering::SeqCst)
    }
}

/// Wraps a future and polls it once; it has to wait.
#[track_caller]
pub(crate) fn waiting<F: Future>(future: F) -> Polled<F> {
    let mut polled = polled(future);
    polled.pending();
    polled
}

/// A small generator of pseudo-random numbers (Marsaglia's xorshift64), so that a failure can be repeated.
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Whether a coin shows heads.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Polls a future so often, then drops it, wherever it is. Returns its output if it got there.
pub(crate) fn poll_then_drop<F: Future>(future: F, n_polls: u64) -> Option<F::Output> {
    let mut polled = polled(future);
    for _ in 0..n_polls {
        if let Poll::Ready(output) = polled.poll() {
            return Some(output);
        }
        std::thread::yield_now();
    }
    None
}
