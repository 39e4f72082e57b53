//! A mutual exclusion lock that is handed over, in order.
//!
//! Unlocking gives the lock to whoever has waited longest, in the same step: it is never free while
//! somebody waits, so that nobody can slip in between and nobody starves. The price is that a lock over
//! which tasks really fight changes hands at the speed of the scheduler; the gain is that the longest wait
//! is bounded by the number of those ahead.
//!
//! How it is handed over stands in `mutex/raw.rs`.

mod raw;

use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;

pub(crate) use self::raw::Place;
use self::raw::{Claim, RawMutex};
use crate::park;
use crate::stats::MutexStats;
use crate::wait_list::Waiter;

/// A lock for data that tasks and threads share, held across `.await` if need be.
///
/// It is fair: whoever waits gets it in the order in which they began to wait, and unlocking hands it
/// over directly. It is not poisoned by a panic: the guard unlocks it, and the data is as the panic left
/// it.
///
/// Locking it twice in one task waits for ever, like any other lock. In debug mode that is reported, with both
/// places.
///
/// # Examples
///
/// ```
/// # use rt_tasks_sync as rt_sync;
/// use rt_sync::Mutex;
///
/// static COUNT: Mutex<u32> = Mutex::new(0);
/// # futures_lite::future::block_on(async {
/// *COUNT.lock().await += 1;
/// assert_eq!(*COUNT.lock().await, 1);
/// # });
/// ```
#[doc(alias = "Lock")]
pub struct Mutex<T: ?Sized> {
    pub(crate) raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of the lock gets at the value, so that sharing the mutex is passing the value on.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// Makes an unlocked mutex.
        pub const fn new(value: T) -> Self {
            Self { raw: RawMutex::new(), value: UnsafeCell::new(value) }
        }
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. If it had already been handed the lock, the next in
    /// line gets it.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let names = rt_tasks_sync::Mutex::new(vec!["Ada"]);
    /// names.lock().await.push("Grace");
    /// assert_eq!(names.into_inner(), ["Ada", "Grace"]);
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> Lock<'_, T> {
        self.lock_for(Location::caller())
    }

    /// Waits for the lock on behalf of `at`.
    #[inline]
    pub(crate) fn lock_for(&self, at: Place) -> Lock<'_, T> {
        Lock {
            mutex: self,
            at,
            waiter: Waiter::new(),
        }
    }

    /// Waits for the lock, and returns a guard that keeps the mutex alive instead of borrowing it.
    ///
    /// # Cancel safety
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(rt_tasks_sync::Mutex::new(1));
    /// let guard = Arc::clone(&mutex).lock_owned().await;
    /// std::thread::spawn(move || assert_eq!(*guard, 1)).join().unwrap();
    /// assert!(mutex.try_lock().is_some());
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> LockOwned<T> {
        self.lock_owned_for(Location::caller())
    }

    /// Waits for the lock on behalf of `at`, for a guard that keeps the mutex alive.
    #[inline]
    pub(crate) fn lock_owned_for(self: Arc<Self>, at: Place) -> LockOwned<T> {
        LockOwned {
            mutex: Some(self),
            at,
            waiter: Waiter::new(),
        }
    }

    /// Waits for the lock on a plain thread, which sleeps meanwhile.
    ///
    /// It stands in the same line as the tasks do. Inside a task it blocks that task's worker.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = rt_tasks_sync::Mutex::new(1);
    /// *mutex.lock_blocking() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[track_caller]
    pub fn lock_blocking(&self) -> MutexGuard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => park::block_on(self.lock()),
        }
    }

    /// Takes the lock if it is free.
    ///
    /// It is not free while somebody waits for it: then it is about to be handed over.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = rt_tasks_sync::Mutex::new(());
    /// let guard = mutex.try_lock();
    /// assert!(guard.is_some() && mutex.try_lock().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let locked = self.raw.try_lock(Location::caller());
        // Not `then_some`: dropping a guard that should not exist would unlock.
        locked.then(|| MutexGuard { mutex: self })
    }

    /// Takes the lock if it is free, and returns a guard that keeps the mutex alive.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = std::sync::Arc::new(rt_tasks_sync::Mutex::new(7));
    /// assert_eq!(*mutex.try_lock_owned().unwrap(), 7);
    /// ```
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Option<OwnedMutexGuard<T>> {
        let locked = self.raw.try_lock(Location::caller());
        locked.then(|| OwnedMutexGuard { mutex: self })
    }

    /// Whether somebody holds the lock, or is about to be handed it.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// A look at who holds it and who waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let count = rt_tasks_sync::Mutex::new(0);
    /// let held = count.try_lock();
    /// assert!(count.stats().is_locked);
    /// drop(held);
    /// assert!(!count.stats().is_locked);
    /// ```
    #[must_use]
    pub fn stats(&self) -> MutexStats {
        MutexStats {
            is_locked: self.is_locked(),
            n_waiting: self.raw.n_waiting(),
        }
    }

    /// Gives access to the value without locking: the borrow proves that nobody else has it.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = rt_tasks_sync::Mutex::new(1);
    /// *mutex.get_mut() = 2;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("locked", &self.is_locked())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits for a [`Mutex`]; see [`Mutex::lock`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Lock<'a, T: ?Sized> {
        mutex: &'a Mutex<T>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for Lock<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.mutex.raw.leave(this.waiter.as_ref());
        }
    }
}

impl<'a, T: ?Sized> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(this.mutex.raw.poll_lock(this.waiter.as_ref(), this.at, cx));
        Poll::Ready(MutexGuard { mutex: this.mutex })
    }
}

impl<T: ?Sized> fmt::Debug for Lock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits for a [`Mutex`]; see [`Mutex::lock_owned`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct LockOwned<T: ?Sized> {
        // Until the guard is returned.
        mutex: Option<Arc<Mutex<T>>>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for LockOwned<T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(mutex) = this.mutex {
                mutex.raw.leave(this.waiter.as_ref());
            }
        }
    }
}

impl<T: ?Sized> Future for LockOwned<T> {
    type Output = OwnedMutexGuard<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mutex = this
            .mutex
            .take()
            .expect("polled after it returned the lock");
        let polled = mutex.raw.poll_lock(this.waiter.as_ref(), this.at, cx);
        if polled.is_pending() {
            *this.mutex = Some(mutex);
            return Poll::Pending;
        }
        Poll::Ready(OwnedMutexGuard { mutex })
    }
}

impl<T: ?Sized> fmt::Debug for LockOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockOwned").field(&self.waiter).finish()
    }
}

/// Access to what a [`Mutex`] protects; unlocks it when dropped.
#[must_use = "the mutex is unlocked as soon as its guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

// SAFETY: a shared guard gives out `&T`, hence `Sync`, and the mutex, by which a thread gets at the value for
// itself once the guard is gone, hence `Send`. (It is `Send` where the mutex is `Sync`: any thread may unlock.)
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex that is locked.
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so the lock is held, and for as long as the borrow lasts.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Access to what a [`Mutex`] protects, for as long as one likes; unlocks it when dropped.
#[must_use = "the mutex is unlocked as soon as its guard is dropped"]
pub struct OwnedMutexGuard<T: ?Sized> {
    mutex: Arc<Mutex<T>>,
}

// SAFETY: as for `MutexGuard`.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The mutex that is locked.
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        &this.mutex
    }
}

impl<T: ?Sized> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so the lock is held, and for as long as the borrow lasts.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
