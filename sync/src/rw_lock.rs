//! A lock that many may hold to read, or one to write, handed over in order.
//!
//! It is a number of permits, of which a reader takes one and a writer all. So its line is the
//! semaphore's, with the same promise: it is served strictly from its front. A writer that waits is not
//! overtaken by readers that come after it, and readers that wait behind it get in before the next writer:
//! neither side starves. Readers that stand next to each other in line are let in together.
//!
//! # Invariants
//!
//! 1. Who holds all permits writes, and nobody else has one. Who holds one reads, and nobody holds all.
//! 2. The permits are never closed, and none is added: taking them does not fail.

mod futures;
mod guards;

use std::cell::UnsafeCell;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rt_tasks_runtime::const_unless_loom;

use crate::mutex::Place;
use crate::park;
use crate::semaphore::{Claim, Owner, RawSemaphore};
use crate::stats::RwLockStats;
use crate::wait_list::Waiter;

pub use futures::{Read, ReadOwned, Write, WriteOwned};
pub use guards::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard};

/// A lock for data that tasks and threads share: many read at the same time, or one writes.
///
/// It is fair: readers and writers stand in one line and are let in in the order in which they began to
/// wait. A reader that comes while a writer waits gets in after that writer. It is not poisoned by a panic:
/// the guard unlocks it, and the data is as the panic left it.
///
/// Reading while the same task reads already waits for ever if a writer has begun to wait in between; so does writing while
/// it reads or writes. In debug mode that is reported, with both places.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::RwLock;
///
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
/// # futures_lite::future::block_on(async {
/// NAMES.write().await.push("Ada");
/// let (first, second) = (NAMES.read().await, NAMES.read().await);
/// assert_eq!(first[0], second[0]);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    pub(crate) permits: RawSemaphore,
    value: UnsafeCell<T>,
}

// SAFETY: Invariant 1: a writer has the value for itself, which is passing it on; readers share it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// Makes an unlocked lock.
        pub const fn new(value: T) -> Self {
            Self { permits: RawSemaphore::new_lock(), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, and nobody who came before waits to write.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. If it had already been let in, that is undone, and
    /// the next in line gets its chance.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// assert_eq!(*limit.read().await, 5);
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn read(&self) -> Read<'_, T> {
        Read::new(self, Location::caller())
    }

    /// Waits until nobody else reads or writes.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// *limit.write().await += 1;
    /// assert_eq!(limit.into_inner(), 6);
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn write(&self) -> Write<'_, T> {
        Write::new(self, Location::caller())
    }

    /// Waits to read, and returns a guard that keeps the lock alive instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let limit = Arc::new(rt_tasks_sync::RwLock::new(5));
    /// let guard = Arc::clone(&limit).read_owned().await;
    /// std::thread::spawn(move || assert_eq!(*guard, 5)).join().unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> ReadOwned<T> {
        ReadOwned::new(self, Location::caller())
    }

    /// Waits to write, and returns a guard that keeps the lock alive instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let limit = Arc::new(rt_tasks_sync::RwLock::new(5));
    /// let mut guard = Arc::clone(&limit).write_owned().await;
    /// std::thread::spawn(move || *guard = 6).join().unwrap();
    /// assert_eq!(*limit.read().await, 6);
    /// # });
    /// ```
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> WriteOwned<T> {
        WriteOwned::new(self, Location::caller())
    }

    /// Waits to read on a plain thread, which sleeps meanwhile.
    ///
    /// It stands in the same line as the tasks do. Inside a task it blocks that task's worker.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// assert_eq!(*limit.read_blocking(), 5);
    /// ```
    #[doc(alias = "blocking_read")]
    #[track_caller]
    pub fn read_blocking(&self) -> RwLockReadGuard<'_, T> {
        match self.try_read() {
            Some(guard) => guard,
            None => park::block_on(self.read()),
        }
    }

    /// Waits to write on a plain thread, which sleeps meanwhile.
    ///
    /// It stands in the same line as the tasks do. Inside a task it blocks that task's worker.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// *limit.write_blocking() = 6;
    /// assert_eq!(limit.into_inner(), 6);
    /// ```
    #[doc(alias = "blocking_write")]
    #[track_caller]
    pub fn write_blocking(&self) -> RwLockWriteGuard<'_, T> {
        match self.try_write() {
            Some(guard) => guard,
            None => park::block_on(self.write()),
        }
    }

    /// Reads if nobody writes and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// let (first, second) = (limit.try_read(), limit.try_read());
    /// assert!(first.is_some() && second.is_some() && limit.try_write().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        // Not `then_some`: dropping a guard that should not exist would unlock.
        self.try_take_one(Owner::Taker, Location::caller())
            .then(|| RwLockReadGuard::new(self))
    }

    /// Writes if nobody else reads or writes, and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// let writer = limit.try_write();
    /// assert!(writer.is_some() && limit.try_read().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.try_take_all(Location::caller())
            .then(|| RwLockWriteGuard::new(self))
    }

    /// Reads if nobody writes and nobody waits, with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = std::sync::Arc::new(rt_tasks_sync::RwLock::new(5));
    /// assert_eq!(*limit.try_read_owned().unwrap(), 5);
    /// ```
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Option<OwnedRwLockReadGuard<T>> {
        self.try_take_one(Owner::Anybody, Location::caller())
            .then(|| OwnedRwLockReadGuard::new(self))
    }

    /// Writes if nobody else reads or writes, and nobody waits, with a guard that keeps the lock alive.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = std::sync::Arc::new(rt_tasks_sync::RwLock::new(5));
    /// *limit.clone().try_write_owned().unwrap() = 6;
    /// assert_eq!(*limit.try_read().unwrap(), 6);
    /// ```
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Option<OwnedRwLockWriteGuard<T>> {
        self.try_take_all(Location::caller())
            .then(|| OwnedRwLockWriteGuard::new(self))
    }

    /// A look at who holds it and who waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rt_tasks_sync::RwLock::new(5);
    /// let readers = (limit.try_read(), limit.try_read());
    /// assert_eq!((limit.stats().n_readers, limit.stats().is_write_locked), (2, false));
    /// # drop(readers);
    /// ```
    #[must_use]
    pub fn stats(&self) -> RwLockStats {
        let is_write_locked = self.permits.is_written();
        let taken = RawSemaphore::MAX_PERMITS - self.permits.available();
        RwLockStats {
            n_readers: if is_write_locked { 0 } else { taken },
            is_write_locked,
            n_waiting: self.permits.n_waiting(),
        }
    }

    /// Gives access to the value without locking: the borrow proves that nobody else has it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut limit = rt_tasks_sync::RwLock::new(5);
    /// *limit.get_mut() = 6;
    /// assert_eq!(limit.into_inner(), 6);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[inline]
    fn try_take_one(&self, owner: Owner, at: Place) -> bool {
        self.permits.try_take(1, owner, at).is_ok()
    }

    #[inline]
    fn try_take_all(&self, at: Place) -> bool {
        self.permits.try_take_all(at).is_ok()
    }

    #[inline]
    fn poll_read(
        &self,
        owner: Owner,
        at: Place,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        // Invariant 2: it does not fail.
        let polled = self.permits.poll_acquire(1, owner, at, waiter, cx);
        polled.map(|_| ())
    }

    #[inline]
    fn poll_write(&self, at: Place, waiter: Pin<&Waiter<Claim>>, cx: &mut Context<'_>) -> Poll<()> {
        // Invariant 2: it does not fail.
        self.permits.poll_acquire_all(at, waiter, cx).map(|_| ())
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("RwLock")
            .field("readers", &stats.n_readers)
            .field("write_locked", &stats.is_write_locked)
            .field("waiting", &stats.n_waiting)
            .finish_non_exhaustive()
    }
}
