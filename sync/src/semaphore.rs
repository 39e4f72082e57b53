//! Permits, handed out in order.
//!
//! Like the mutex, a semaphore is fair without a gap: permits that come back while somebody waits are
//! nobody else's. The line is served strictly from its front: a large request at the front is not
//! overtaken by small ones behind it, or it would wait for ever while they come and go.
//!
//! How that is kept is written in `semaphore/raw.rs`. A read-write lock counts by the same rules, and stands
//! on the same file.

mod claim;
mod own;
mod permits;
mod raw;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::shim::atomic::{AtomicUsize, Ordering};
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
use crate::stats::SemaphoreStats;

pub(crate) use claim::{Claim, Owner};
pub(crate) use raw::RawSemaphore;

pub use permits::{Acquire, AcquireOwned, OwnedPermit, Permit};

/// Limits how many do something at the same time.
///
/// What was done before a permit was given back is seen by the one who gets it next.
///
/// A task that waits for permits which it has itself waits for ever. In debug mode that is reported, with both places, if
/// the others do not have enough for it.
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
    pub(crate) raw: RawSemaphore,
    /// Permits there are, free or not; bounds what `add_permits` may add.
    total: AtomicUsize,
    max: usize,
}

impl Semaphore {
    /// The greatest number of permits a semaphore can have.
    pub const MAX_PERMITS: usize = RawSemaphore::MAX_PERMITS;

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
        /// [forgotten](Permit::forget); asking for more is an error.
        ///
        /// # Panics
        ///
        /// When that is more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        ///
        /// ```
        /// let seats = rt_tasks_sync::Semaphore::bounded(2);
        /// assert!(seats.add_permits(1).is_err());
        /// seats.try_acquire().unwrap().forget();
        /// assert!(seats.add_permits(1).is_ok());
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
                raw: RawSemaphore::new(n_permits, WaitKind::Permit),
                total: AtomicUsize::new(n_permits),
                max,
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
    #[track_caller]
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
    #[track_caller]
    pub fn acquire_many(&self, n_permits: usize) -> Acquire<'_> {
        Acquire::new(self, n_permits, Location::caller())
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
    #[track_caller]
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
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, n_permits: usize) -> AcquireOwned {
        AcquireOwned::new(self, n_permits, Location::caller())
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
    #[track_caller]
    pub fn acquire_blocking(&self) -> Result<Permit<'_>, Closed> {
        park::block_on(self.acquire())
    }

    /// Waits for `n_permits` permits on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// [`Closed`] once [`close`](Self::close) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(3);
    /// let taken = seats.acquire_many_blocking(2)?;
    /// assert_eq!((seats.available(), taken.count()), (1, 2));
    /// # Ok::<(), rt_tasks_sync::Closed>(())
    /// ```
    #[track_caller]
    pub fn acquire_many_blocking(&self, n_permits: usize) -> Result<Permit<'_>, Closed> {
        park::block_on(self.acquire_many(n_permits))
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
    #[track_caller]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n_permits` permits if so many are free and nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(&self, n_permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        let at = Location::caller();
        self.raw.try_take(n_permits, Owner::Taker, at)?;
        Ok(Permit::new(self, n_permits))
    }

    /// Takes a permit that keeps the semaphore alive, if one is free and nobody waits.
    ///
    /// # Errors
    ///
    /// As for [`try_acquire`](Self::try_acquire).
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.raw.try_take(1, Owner::Anybody, Location::caller())?;
        Ok(OwnedPermit::new(self, 1))
    }

    /// How many permits are free: a snapshot.
    ///
    /// While a request for many waits at the front of the line, permits gather here that are meant for it.
    #[inline]
    pub fn available(&self) -> usize {
        self.raw.available()
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
            n_waiting: self.raw.n_waiting(),
        }
    }

    /// Adds permits, and serves the line with them, unless there would be too many.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] when there would be more than the semaphore can or [may](Self::bounded) have;
    /// then none is added.
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = rt_tasks_sync::Semaphore::new(0);
    /// seats.add_permits(2)?;
    /// assert_eq!(seats.available(), 2);
    /// # Ok::<(), rt_tasks_sync::TooManyPermits>(())
    /// ```
    #[doc(alias = "release")]
    pub fn add_permits(&self, n_permits: usize) -> Result<(), TooManyPermits> {
        let max = self.max;
        // Relaxed: a count and nothing else.
        self.total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| {
                total.checked_add(n_permits).filter(|sum| *sum <= max)
            })
            .map_err(|_| TooManyPermits { max })?;
        self.raw.add(n_permits);
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
        self.raw.close();
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }

    fn forget(&self, n_permits: usize, owner: Owner) {
        // Relaxed: a count and nothing else.
        self.total.fetch_sub(n_permits, Ordering::Relaxed);
        self.raw.forget(n_permits, owner);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .field("waiting", &self.raw.n_waiting())
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
