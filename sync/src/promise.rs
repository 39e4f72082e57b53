//! One value, set once and awaited by many.
//!
//! The awaiters look at the value where it lies, all at the same time, and each clones it for itself. So
//! whatever a clone does, nobody else waits for it: no lock is held meanwhile. One word says whether the
//! promise is settled. It changes once, under the wait list's lock, in the same step that grants the
//! whole line; who comes later finds it changed and never takes the lock.
//!
//! A future of a promise has to stay `Unpin`, and the wait list's places are pinned. So the place is in a
//! box of its own, which is made when the future really has to wait.
//!
//! # Invariants
//!
//! 1. `state` leaves `PENDING` once, by the one [`Promise`], and does not change again.
//! 2. While it is `PENDING`, `value` belongs to the `Promise`, which sets it before `state`, or never. From
//!    then on it is only read, until the last handle drops it.
//! 3. Nobody is in line once `state` has left `PENDING`: it does so under the lock, under which the line
//!    is emptied, and under which those look once more who are about to join it.
//!
//! # Memory ordering
//!
//! `settled`: the store of the new state releases the value, and what was done before it was set; the
//! look that finds it acquires them.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::{Arc, UnsafeCell};
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
use crate::stats::PromiseStats;
use crate::wait_list::{WaitList, Waiter};

/// The promise can still be set.
const PENDING: u8 = 0;
/// The value is there.
const SET: u8 = 1;
/// The promise was dropped: no value will come.
const ABANDONED: u8 = 2;

struct Shared<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
    line: WaitList<(), ()>,
}

// SAFETY: Invariant 2: the value moves from one thread to another, and then several read it.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

/// Makes a promise, and a future that is ready when the promise is set.
///
/// It is the way from callbacks into `async`: whoever calls back sets the promise, on whatever thread. The
/// future can be cloned, and each clone awaited by itself. For a value that only one receives, and that
/// need not be cloned, there is [`oneshot`](crate::oneshot). To pass on errors, let the value be a
/// `Result`.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::promise;
///
/// # futures_lite::future::block_on(async {
/// let (promise, future) = promise();
/// std::thread::spawn(|| promise.set("ready"));
/// assert_eq!(future.clone().await, Ok("ready"));
/// assert_eq!(future.await, Ok("ready"));
/// # });
/// ```
#[doc(alias = "create_future")]
pub fn promise<T>() -> (Promise<T>, PromiseFuture<T>) {
    let promise = Promise {
        shared: Arc::new(Shared {
            state: AtomicU8::new(PENDING),
            value: UnsafeCell::new(None),
            line: WaitList::new(()),
        }),
    };
    let future = promise.future();
    (promise, future)
}

/// The end that sets the value; dropping it unused tells all who wait that nothing will come.
pub struct Promise<T> {
    shared: Arc<Shared<T>>,
}

/// Ready when its [`Promise`] is set, with a clone of the value.
///
/// Any number of clones may be awaited, by tasks and threads, before and after the promise is set. They are
/// woken in the order in which they began to wait. One that returned may be awaited again, through
/// `&mut future`, and returns the same.
///
/// # Cancel safety
///
/// A dropped future gives up its place in the line; the value stays for the others.
///
/// # Errors
///
/// [`Abandoned`] when the promise was dropped without being set.
#[must_use = "futures do nothing unless awaited"]
pub struct PromiseFuture<T> {
    shared: Arc<Shared<T>>,
    /// From the first time that it had to wait.
    waiter: Option<Pin<Box<Waiter<()>>>>,
}

impl<T> Promise<T> {
    /// Sets the value, and lets everyone go who waits for it.
    ///
    /// When all futures are gone the value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = rt_tasks_sync::promise();
    /// promise.set(7);
    /// assert_eq!(future.try_get(), Some(Ok(7)));
    /// ```
    pub fn set(self, value: T) {
        self.shared.value.with_mut(|place| {
            // SAFETY: Invariant 2: the state is pending, because this is what ends it.
            unsafe { *place = Some(value) }
        });
        self.shared.settle(SET);
    }

    /// Makes another future for the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, _) = rt_tasks_sync::promise();
    /// let future = promise.future();
    /// promise.set(7);
    /// assert_eq!(future.get_blocking(), Ok(7));
    /// ```
    pub fn future(&self) -> PromiseFuture<T> {
        PromiseFuture {
            shared: Arc::clone(&self.shared),
            waiter: None,
        }
    }

    /// How many wait for the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, _future) = rt_tasks_sync::promise::<u32>();
    /// assert_eq!(promise.stats().n_waiting, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> PromiseStats {
        self.shared.stats()
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // Relaxed: Invariant 1: only this end changes it.
        if self.shared.state.load(Relaxed) == PENDING {
            self.shared.settle(ABANDONED);
        }
    }
}

impl<T> PromiseFuture<T> {
    /// Whether the value is there. It is not, and never will be, when the promise was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = rt_tasks_sync::promise();
    /// assert!(!future.is_set());
    /// promise.set(());
    /// assert!(future.is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        self.shared.state() == SET
    }

    /// Returns what awaiting would, if that would not have to wait.
    ///
    /// # Errors
    ///
    /// [`Abandoned`] when the promise was dropped without being set.
    ///
    /// # Examples
    ///
    /// ```
    /// use rt_tasks_sync::{Abandoned, promise};
    ///
    /// let (promise, future) = promise::<u32>();
    /// assert_eq!(future.try_get(), None);
    /// drop(promise);
    /// assert_eq!(future.try_get(), Some(Err(Abandoned)));
    /// ```
    pub fn try_get(&self) -> Option<Result<T, Abandoned>>
    where
        T: Clone,
    {
        self.shared.outcome()
    }

    /// Waits on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// [`Abandoned`] when the promise was dropped without being set.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = rt_tasks_sync::promise();
    /// std::thread::spawn(|| promise.set("done"));
    /// assert_eq!(future.get_blocking(), Ok("done"));
    /// ```
    pub fn get_blocking(&self) -> Result<T, Abandoned>
    where
        T: Clone,
    {
        match self.try_get() {
            Some(outcome) => outcome,
            None => park::block_on(self.clone()),
        }
    }

    /// A look at the promise and at how many wait for it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = rt_tasks_sync::promise();
    /// promise.set(7);
    /// assert!(future.stats().is_set);
    /// ```
    #[must_use]
    pub fn stats(&self) -> PromiseStats {
        self.shared.stats()
    }

    #[cold]
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let waiter = self.waiter.get_or_insert_with(|| Box::pin(Waiter::new()));
        let mut line = self.shared.line.lock();
        // Relaxed: Invariant 3: it changes under the lock, which is held.
        if self.shared.state.load(Relaxed) != PENDING {
            drop(line);
            return Poll::Ready(());
        }
        line.enqueue(WaitKind::Promise, 0, waiter.as_ref(), (), waker);
        Poll::Pending
    }
}

impl<T: Clone> Future for PromiseFuture<T> {
    type Output = Result<T, Abandoned>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_proceed(cx));
        let this = self.get_mut();
        let polled = match &this.waiter {
            Some(waiter) if !waiter.is_idle() => this.shared.line.poll(waiter.as_ref(), cx),
            _ if this.shared.state() != PENDING => Poll::Ready(()),
            _ => this.poll_pending(cx),
        };
        if polled.is_pending() {
            coop::restore();
            return Poll::Pending;
        }
        let outcome = this.shared.outcome();
        Poll::Ready(outcome.expect("who does not wait finds the promise settled"))
    }
}

/// A clone waits by itself, at the end of the line.
impl<T> Clone for PromiseFuture<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            waiter: None,
        }
    }
}

impl<T> Drop for PromiseFuture<T> {
    fn drop(&mut self) {
        if let Some(waiter) = &self.waiter {
            if !waiter.is_idle() {
                // Everyone is let go at once: there is nothing to give on.
                let _ = self.shared.line.lock().leave(waiter.as_ref());
            }
        }
    }
}

impl<T> Shared<T> {
    #[inline]
    fn state(&self) -> u8 {
        // ORDERING(settled): Acquire, for the store in `settle`.
        self.state.load(Acquire)
    }

    /// Ends the pending state, for the `Promise`, which has set the value if there is one.
    fn settle(&self, state: u8) {
        let mut line = self.line.lock();
        // ORDERING(settled): Release, for the looks without the lock.
        self.state.store(state, Release);
        line.grant_all(0, ());
    }

    /// What a future returns, if the promise is settled.
    fn outcome(&self) -> Option<Result<T, Abandoned>>
    where
        T: Clone,
    {
        match self.state() {
            PENDING => None,
            SET => {
                let value = self.value.with(|value| {
                    // SAFETY: Invariant 2: it is set, so that it is only read.
                    unsafe { &*value }.clone()
                });
                Some(Ok(value.expect("it was put there before the state")))
            }
            _ => Some(Err(Abandoned)),
        }
    }

    fn stats(&self) -> PromiseStats {
        PromiseStats {
            is_set: self.state() == SET,
            n_waiting: self.line.lock().len(0),
        }
    }

    fn state_name(&self) -> &'static str {
        match self.state() {
            PENDING => "pending",
            SET => "set",
            _ => "abandoned",
        }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("waiting", &self.stats().n_waiting)
            .finish()
    }
}

impl<T> fmt::Debug for PromiseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromiseFuture")
            .field("state", &format_args!("{}", self.shared.state_name()))
            .field("waiting", &self.stats().n_waiting)
            .finish()
    }
}

/// The [`Promise`] was dropped without being set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned;

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the promise was dropped without being set")
    }
}

impl Error for Abandoned {}
