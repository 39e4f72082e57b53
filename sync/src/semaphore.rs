//! Permits, handed out in order.
//!
//! Like the mutex, a semaphore is fair without a gap: permits that come back while somebody waits are
//! nobody else's. The line is served strictly from its front: a large request at the front is not
//! overtaken by small ones behind it, or it would wait for ever while they come and go.
//!
//! # The protocol
//!
//! One word holds the number of free permits and two flags. With nobody waiting, taking permits is one
//! exchange on it and giving them back one addition.
//!
//! 1. Whoever finds too few permits takes the wait list's lock, sets `WAITERS`, and looks at the number
//!    once more, at the number from before that same operation.
//! 2. Whoever gives permits back adds them, and if `WAITERS` was set by then, takes the lock and serves
//!    the line.
//!
//! Both are read-modify-write operations on one word, so one comes first: either 1 sees the permits, or 2
//! sees the flag. While the flag is set permits are subtracted under the lock only.

mod permits;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::{AtomicUsize, Ordering};

use crate::park;
use crate::stats::SemaphoreStats;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

pub use permits::{Acquire, AcquireOwned, OwnedPermit, Permit};

/// The semaphore is closed.
const CLOSED: usize = 1;
/// Somebody may be waiting.
const WAITERS: usize = 2;
/// One permit; the flags are below.
const ONE: usize = 4;

/// What a waiter asks for, and what it is told.
#[derive(Clone, Copy)]
enum Request {
    Wanted(usize),
    Granted(usize),
    Refused,
}

/// Limits how many do something at the same time.
///
/// # Memory ordering
///
/// `permit`: what was done before a permit was given back is seen by the one who gets it next. Giving back
/// releases, taking acquires; through the line, the wait list orders the two.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let seats = rt_tasks_sync::Semaphore::new(2);
/// let seat = seats.acquire().await?;
/// assert_eq!(seats.available(), 1);
/// drop(seat);
/// assert_eq!(seats.available(), 2);
/// # Ok::<(), rt_tasks_sync::Closed>(()) }).unwrap();
/// ```
pub struct Semaphore {
    state: AtomicUsize,
    /// Permits there are, free or not; bounds what `add_permits` may add.
    total: AtomicUsize,
    max: usize,
    line: WaitList<(), Request>,
}

impl Semaphore {
    /// The greatest number of permits a semaphore can have.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    const_unless_loom! {
        /// Makes a semaphore with `n_permits` permits.
        ///
        /// # Panics
        ///
        /// When that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        #[track_caller]
        pub const fn new(n_permits: usize) -> Self {
            Self::with_limit(n_permits, Self::MAX_PERMITS)
        }
    }

    const_unless_loom! {
        /// Makes a semaphore that never has more than `n_permits` permits.
        ///
        /// [`add_permits`](Self::add_permits) then only replaces permits that were
        /// [forgotten](Permit::forget); asking for more is a mistake, and is treated as one.
        ///
        /// # Panics
        ///
        /// When that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        ///
        /// ```
        /// let seats = rt_tasks_sync::Semaphore::bounded(2);
        /// assert!(seats.try_add_permits(1).is_err());
        /// seats.try_acquire().unwrap().forget();
        /// assert!(seats.try_add_permits(1).is_ok());
        /// ```
        #[doc(alias = "BoundedSemaphore")]
        #[track_caller]
        pub const fn bounded(n_permits: usize) -> Self {
            Self::with_limit(n_permits, n_permits)
        }
    }

    const_unless_loom! {
        #[track_caller]
        const fn with_limit(n_permits: usize, max: usize) -> Self {
            assert!(n_permits <= Self::MAX_PERMITS, "a semaphore has at most MAX_PERMITS permits");
            Self {
                state: AtomicUsize::new(n_permits * ONE),
                total: AtomicUsize::new(n_permits),
                max,
                line: WaitList::new(()),
            }
        }
    }

    /// Waits for a permit.
    ///
    /// Permits are handed out in the order in which tasks began to wait.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. It never takes a permit with it.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let seats = rt_tasks_sync::Semaphore::new(1);
    /// let seat = seats.acquire().await?;
    /// assert!(seats.try_acquire().is_err());
    /// # drop(seat); Ok::<(), rt_tasks_sync::Closed>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Waits for `n_permits` permits at once.
    ///
    /// Nobody behind it is served before it, however little they ask for. More permits than there are is
    /// waited for until they are [added](Self::add_permits).
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire): all of the permits go to the next in line.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let seats = rt_tasks_sync::Semaphore::new(3);
    /// let table = seats.acquire_many(2).await?;
    /// assert_eq!((table.count(), seats.available()), (2, 1));
    /// # drop(table); Ok::<(), rt_tasks_sync::Closed>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn acquire_many(&self, n_permits: usize) -> Acquire<'_> {
        Acquire::new(self, n_permits)
    }

    /// Waits for a permit that keeps the semaphore alive instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let seats = Arc::new(rt_tasks_sync::Semaphore::new(1));
    /// let seat = Arc::clone(&seats).acquire_owned().await?;
    /// std::thread::spawn(move || drop(seat)).join().unwrap();
    /// assert_eq!(seats.available(), 1);
    /// # Ok::<(), rt_tasks_sync::Closed>(()) }).unwrap();
    /// ```
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// Waits for `n_permits` permits at once, which keep the semaphore alive instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`acquire_many`](Self::acquire_many).
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    pub fn acquire_many_owned(self: Arc<Self>, n_permits: usize) -> AcquireOwned {
        AcquireOwned::new(self, n_permits)
    }

    /// Waits for a permit on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(1);
    /// drop(seats.acquire_blocking()?);
    /// # Ok::<(), rt_tasks_sync::Closed>(())
    /// ```
    pub fn acquire_blocking(&self) -> Result<Permit<'_>, Closed> {
        park::block_on(self.acquire())
    }

    /// Takes a permit if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] when there is none to be had at this moment,
    /// [`TryAcquireError::Closed`] when there never will be.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(1);
    /// let seat = seats.try_acquire();
    /// assert!(seat.is_ok() && seats.try_acquire().is_err());
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n_permits` permits if so many are free and nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, n_permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(n_permits)?;
        Ok(Permit::new(self, n_permits))
    }

    /// Takes a permit that keeps the semaphore alive, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_take(1)?;
        Ok(OwnedPermit::new(self, 1))
    }

    /// How many permits are free: a snapshot.
    ///
    /// While a request for many waits at the front of the line, permits gather here that are meant for it.
    #[inline]
    pub fn available(&self) -> usize {
        // Relaxed: a snapshot, out of date when it is returned.
        self.state.load(Ordering::Relaxed) / ONE
    }

    /// A look at its numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(2);
    /// let _seat = seats.try_acquire()?;
    /// assert_eq!((seats.stats().n_available, seats.stats().n_waiting), (1, 0));
    /// # Ok::<(), rt_tasks_sync::TryAcquireError>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> SemaphoreStats {
        SemaphoreStats {
            n_available: self.available(),
            n_waiting: self.line.lock().len(0),
        }
    }

    /// Adds permits, and serves the line with them.
    ///
    /// # Panics
    ///
    /// When there would be more of them than the semaphore can or [may](Self::bounded) have.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(0);
    /// seats.add_permits(2);
    /// assert_eq!(seats.available(), 2);
    /// ```
    #[doc(alias = "release")]
    #[track_caller]
    pub fn add_permits(&self, n_permits: usize) {
        if let Err(too_many) = self.try_add_permits(n_permits) {
            panic!("{too_many}");
        }
    }

    /// Adds permits, unless there would be too many.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] when there would be more than the semaphore can or [may](Self::bounded) have;
    /// then none is added.
    pub fn try_add_permits(&self, n_permits: usize) -> Result<(), TooManyPermits> {
        let max = self.max;
        // Relaxed: a count and nothing else.
        self.total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| {
                total.checked_add(n_permits).filter(|sum| *sum <= max)
            })
            .map_err(|_| TooManyPermits { max })?;
        self.give_back(n_permits);
        Ok(())
    }

    /// Closes the semaphore: those who wait and those who come get [`Closed`].
    ///
    /// Permits that are out stay valid. Doing it again changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let seats = rt_tasks_sync::Semaphore::new(1);
    /// seats.close();
    /// assert!(seats.acquire().await.is_err());
    /// # });
    /// ```
    pub fn close(&self) {
        let mut line = self.line.lock();
        // Relaxed: the flag carries no data, and waiters are told under the lock.
        self.state.fetch_or(CLOSED, Ordering::Relaxed);
        line.grant_all(0, Request::Refused);
        // Relaxed: as above.
        self.state.fetch_and(!WAITERS, Ordering::Relaxed);
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        // Relaxed: the flag carries no data.
        self.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    #[inline]
    fn try_take(&self, n_permits: usize) -> Result<(), TryAcquireError> {
        // Relaxed: only the exchange below decides.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if state & WAITERS != 0 || state / ONE < n_permits {
                return Err(TryAcquireError::NoPermits);
            }
            // ORDERING(permit): Acquire, for the addition in `give_back`. Relaxed on failure: we look
            // again.
            match self.state.compare_exchange_weak(
                state,
                state - n_permits * ONE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    #[inline]
    fn give_back(&self, n_permits: usize) {
        // ORDERING(permit): Release, for the exchange in `try_take` and for `serve`.
        let before = self.state.fetch_add(n_permits * ONE, Ordering::Release);
        if before & WAITERS != 0 {
            self.serve(&mut self.line.lock());
        }
    }

    /// Grants from the front of the line what the free permits suffice for.
    #[cold]
    fn serve(&self, line: &mut Locked<'_, (), Request, 1>) {
        while let Some(Request::Wanted(n_permits)) = line.front(0) {
            // Relaxed: others only add, while `WAITERS` is set; what they add they come and serve.
            if self.state.load(Ordering::Relaxed) / ONE < n_permits {
                return;
            }
            // ORDERING(permit): Acquire, for the addition in `give_back`; the grant passes it on.
            self.state.fetch_sub(n_permits * ONE, Ordering::Acquire);
            line.grant(0, Request::Granted(n_permits));
        }
        // Relaxed: the flag carries no data.
        self.state.fetch_and(!WAITERS, Ordering::Relaxed);
    }

    #[inline]
    fn poll_acquire(
        &self,
        n_permits: usize,
        waiter: Pin<&Waiter<Request>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        ready!(coop::poll_proceed(cx));
        let polled = if !waiter.is_idle() {
            self.line.poll(waiter, cx).map(|answer| match answer {
                Request::Refused => Err(Closed(())),
                Request::Granted(_) | Request::Wanted(_) => Ok(()),
            })
        } else {
            match self.try_take(n_permits) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(TryAcquireError::Closed) => Poll::Ready(Err(Closed(()))),
                Err(TryAcquireError::NoPermits) => self.poll_contended(n_permits, waiter, cx),
            }
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[cold]
    fn poll_contended(
        &self,
        n_permits: usize,
        waiter: Pin<&Waiter<Request>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        // ORDERING(permit): Acquire: permits that came back meanwhile are taken right here.
        let before = self.state.fetch_or(WAITERS, Ordering::Acquire);
        if before & CLOSED == 0 && (before & WAITERS != 0 || before / ONE < n_permits) {
            line.enqueue(0, waiter, Request::Wanted(n_permits), waker);
            return Poll::Pending;
        }
        // Nobody waits: `WAITERS` was not set, or the semaphore is closed, which emptied the line.
        if before & CLOSED != 0 {
            // Relaxed: the flag carries no data.
            self.state.fetch_and(!WAITERS, Ordering::Relaxed);
            drop(line);
            return Poll::Ready(Err(Closed(())));
        }
        // Relaxed: what these permits bring with them was acquired above.
        self.state
            .fetch_sub(n_permits * ONE + WAITERS, Ordering::Relaxed);
        drop(line);
        Poll::Ready(Ok(()))
    }

    fn forget(&self, n_permits: usize) {
        // Relaxed: a count and nothing else.
        self.total.fetch_sub(n_permits, Ordering::Relaxed);
    }

    /// What a future does that is dropped before it returned its permits.
    #[inline]
    fn leave(&self, waiter: Pin<&Waiter<Request>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<Request>>) {
        let mut line = self.line.lock();
        match line.leave(waiter) {
            Left::Granted(Request::Granted(n_permits)) => {
                drop(line);
                self.give_back(n_permits);
            }
            // It may have been the front, and those behind it content with less.
            Left::Waiting => self.serve(&mut line),
            Left::Granted(_) | Left::Idle => {}
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .field("waiting", &self.line.lock().len(0))
            .finish()
    }
}

/// The semaphore is closed: it hands out no more permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(());

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl std::error::Error for Closed {}

/// Why [`Semaphore::try_acquire`] has returned no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// Too few are free at this moment, or others wait for them.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "no permit is free",
            Self::Closed => "the semaphore is closed",
        })
    }
}

impl std::error::Error for TryAcquireError {}

/// A semaphore would have had more permits than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPermits {
    max: usize,
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the semaphore has at most {} permits", self.max)
    }
}

impl std::error::Error for TooManyPermits {}
