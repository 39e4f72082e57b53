//! A flag that tasks wait for.
//!
//! `set` lets everyone go who is waiting *at that moment*: it takes them all out of the line under one
//! hold of the lock. What happens to the flag afterwards does not concern them any more, so that
//! `set(); clear()` is a pulse which nobody misses.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicBool;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
use crate::stats::EventStats;
use crate::wait_list::{WaitList, Waiter};

/// A flag that is set and cleared, and that any number of tasks and threads wait for.
///
/// # Memory ordering
///
/// `set`: what was done before [`set`](Self::set) is seen by whoever it lets go, and by whoever finds the
/// flag set. The flag is stored under the wait list's lock; only [`wait`](Self::wait)'s first look is
/// without it.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::Event;
///
/// static CONNECTED: Event = Event::new();
/// # futures_lite::future::block_on(async {
/// let worker = std::thread::spawn(|| CONNECTED.wait_blocking());
/// CONNECTED.set();
/// CONNECTED.wait().await;
/// worker.join().unwrap();
/// # });
/// ```
pub struct Event {
    is_set: AtomicBool,
    line: WaitList<(), ()>,
}

impl Event {
    const_unless_loom! {
        /// Makes an event that is not set.
        pub const fn new() -> Self {
            Self { is_set: AtomicBool::new(false), line: WaitList::new(()) }
        }
    }

    /// Sets the flag, and lets everyone go who waits for it, in the order in which they began to wait.
    ///
    /// That holds even if [`clear`](Self::clear) follows before they have run.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = rt_tasks_sync::Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// ```
    pub fn set(&self) {
        let mut line = self.line.lock();
        // ORDERING(set): Release, for the look in `wait` and in `is_set`.
        self.is_set.store(true, Release);
        line.grant_all(0, ());
    }

    /// Clears the flag: who waits from now on waits for the next [`set`](Self::set).
    ///
    /// # Examples
    ///
    /// ```
    /// let event = rt_tasks_sync::Event::new();
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    pub fn clear(&self) {
        let _line = self.line.lock();
        // Relaxed: nothing follows from a flag that is not set.
        self.is_set.store(false, Relaxed);
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        // ORDERING(set): Acquire, for the store in `set`.
        self.is_set.load(Acquire)
    }

    /// A look at the flag and at how many wait for it.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = rt_tasks_sync::Event::new();
    /// event.set();
    /// assert!(event.stats().is_set);
    /// ```
    #[must_use]
    pub fn stats(&self) -> EventStats {
        EventStats {
            is_set: self.is_set(),
            n_waiting: self.line.lock().len(0),
        }
    }

    /// Waits until the flag is set; returns at once if it is.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line; nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let event = rt_tasks_sync::Event::new();
    /// futures_lite::future::zip(event.wait(), async { event.set() }).await;
    /// # });
    /// ```
    #[inline]
    pub fn wait(&self) -> Wait<'_> {
        Wait {
            event: self,
            waiter: Waiter::new(),
        }
    }

    /// Waits on a plain thread, which sleeps meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// let event = rt_tasks_sync::Event::new();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| event.wait_blocking());
    ///     event.set();
    /// });
    /// ```
    pub fn wait_blocking(&self) {
        if !self.is_set() {
            park::block_on(self.wait());
        }
    }

    #[cold]
    fn poll_clear(&self, waiter: Pin<&Waiter<()>>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        // Relaxed: stores are made under the lock that is held.
        if self.is_set.load(Relaxed) {
            drop(line);
            return Poll::Ready(());
        }
        line.enqueue(WaitKind::Event, 0, waiter, (), waker);
        Poll::Pending
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .field("waiting", &self.line.lock().len(0))
            .finish()
    }
}

pin_project! {
    /// Waits for an [`Event`]; see [`Event::wait`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Wait<'a> {
        event: &'a Event,
        #[pin]
        waiter: Waiter<()>,
    }

    impl PinnedDrop for Wait<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                // Everyone who waited was let go: there is nothing to give on.
                let _ = this.event.line.lock().leave(this.waiter.as_ref());
            }
        }
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let polled = if !this.waiter.is_idle() {
            this.event.line.poll(this.waiter.as_ref(), cx)
        } else if this.event.is_set() {
            Poll::Ready(())
        } else {
            this.event.poll_clear(this.waiter.as_ref(), cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wait").field(&self.waiter).finish()
    }
}
