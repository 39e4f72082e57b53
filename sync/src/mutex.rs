//! A mutual exclusion lock that is handed over, in order.
//!
//! Unlocking gives the lock to whoever has waited longest, in the same step: it is never free while
//! somebody waits, so that nobody can slip in between and nobody starves. The price is that a lock over
//! which tasks really fight changes hands at the speed of the scheduler; the gain is that the longest wait
//! is bounded by the number of those ahead.
//!
//! # The protocol
//!
//! One word says whether the lock is `LOCKED`, whether there may be `WAITERS`, and who has it: the number of the
//! task, so that a deadlock can be named. With nobody waiting, locking and unlocking are one exchange each on that
//! word. `WAITERS` is set and cleared under the wait list's lock only; while it is set every unlocking goes that way
//! too, and grants the lock to the front of the line: the word stays `LOCKED`, and what changes is who may use it.
//!
//! Once somebody had to wait, the lock is in the table of [`Holder`]s, which says who has it while others wait.

use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU64;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::{self, Holder, WaitKind};

use crate::park;
use crate::stats::MutexStats;
use crate::wait_list::{Left, WaitList, Waiter};

const LOCKED: u64 = 1;
const WAITERS: u64 = 2;
/// The bits from here on are the number of the task that has the lock, or zero.
const HOLDER: u32 = 2;

/// The word while `id` has the lock and nobody waits.
#[inline]
fn held_by(id: u64) -> u64 {
    id << HOLDER | LOCKED
}

/// A lock for data that tasks and threads share, held across `.await` if need be.
///
/// It is fair: whoever waits gets it in the order in which they began to wait, and unlocking hands it
/// over directly. It is not poisoned by a panic: the guard unlocks it, and the data is as the panic left
/// it.
///
/// Locking it twice in one task waits for ever, like any other lock.
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
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of the lock gets at the value, so that sharing the mutex is passing the value on.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// The lock without its value.
///
/// # Memory ordering
///
/// `unlock`: what happened under the lock is seen under the next one. The exchange that unlocks releases,
/// the one that locks acquires; where the lock is handed over, the wait list orders the two.
struct RawMutex {
    state: AtomicU64,
    /// Each waiter carries its number. Entered among the holders when somebody first waits.
    line: WaitList<Option<Holder>, u64>,
}

impl RawMutex {
    const_unless_loom! {
        const fn new() -> Self {
            Self { state: AtomicU64::new(0), line: WaitList::new(None) }
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        // ORDERING(unlock): Acquire, for the exchange in `unlock`. Relaxed on failure: nothing is read.
        self.state
            .compare_exchange(0, held_by(wait::me()), Acquire, Relaxed)
            .is_ok()
    }

    #[inline]
    fn poll_lock(&self, waiter: Pin<&Waiter<u64>>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let polled = if !waiter.is_idle() {
            self.poll_line(waiter, cx)
        } else if self.try_lock() {
            Poll::Ready(())
        } else {
            self.poll_contended(waiter, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[inline]
    fn poll_line(&self, waiter: Pin<&Waiter<u64>>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.line.poll(waiter, cx).map(|_| ());
        if polled.is_pending() {
            self.note_waiting();
        }
        polled
    }

    #[cold]
    fn note_waiting(&self) {
        if let Some(holder) = &*self.line.lock() {
            wait::goes_on(WaitKind::Lock, holder.number());
        }
    }

    #[cold]
    fn poll_contended(&self, waiter: Pin<&Waiter<u64>>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let me = wait::me();
        let mut line = self.line.lock();
        // Relaxed: the exchange below tells what is true.
        let mut before = self.state.load(Relaxed);
        loop {
            let after = match before {
                0 => held_by(me),
                _ => before | WAITERS,
            };
            // ORDERING(unlock): Acquire: if it was unlocked meanwhile, this is what locks it. Relaxed on
            // failure: nothing is read.
            match self
                .state
                .compare_exchange_weak(before, after, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(changed) => before = changed,
            }
        }
        if before == 0 {
            drop(line);
            return Poll::Ready(());
        }
        let has_it = before >> HOLDER;
        let holder = line.get_or_insert_with(|| Holder::enter(has_it));
        holder.set(has_it);
        wait::begins(WaitKind::Lock, holder.number());
        line.enqueue(None, 0, waiter, me, waker);
        Poll::Pending
    }

    #[inline]
    fn unlock(&self) {
        // Relaxed: what the holder sees here it wrote itself, but for `WAITERS`; the exchange checks it.
        let state = self.state.load(Relaxed);
        // ORDERING(unlock): Release, for the exchanges that lock. Relaxed on failure: the wait list's lock
        // orders the rest.
        if state & WAITERS != 0
            || self
                .state
                .compare_exchange(state, 0, Release, Relaxed)
                .is_err()
        {
            self.hand_over();
        }
    }

    #[cold]
    fn hand_over(&self) {
        let mut line = self.line.lock();
        let next = line.front(0);
        if let Some(holder) = &*line {
            holder.set(next.unwrap_or(0));
        }
        let state = match next {
            Some(next) => {
                line.grant(0, next);
                let waiters = if line.is_empty(0) { 0 } else { WAITERS };
                held_by(next) | waiters
            }
            None => 0,
        };
        // Whoever was granted the lock may unlock it before this: then it finds `WAITERS`, and waits for the list.
        // ORDERING(unlock): Release, as in `unlock`: with nobody in line this is the unlocking.
        self.state.store(state, Release);
    }

    /// What a future does that is dropped before it returned the lock.
    #[inline]
    fn leave(&self, waiter: Pin<&Waiter<u64>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<u64>>) {
        let left = self.line.lock().leave(waiter);
        match left {
            Left::Granted(_) => self.unlock(),
            // `WAITERS` may now be wrong: the next unlocking finds nobody and clears it.
            Left::Waiting | Left::Idle => {}
        }
    }
}

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
    pub fn lock(&self) -> Lock<'_, T> {
        Lock {
            mutex: self,
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
    pub fn lock_owned(self: Arc<Self>) -> LockOwned<T> {
        LockOwned {
            mutex: Some(self),
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
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Not `then_some`: dropping a guard that should not exist would unlock.
        self.raw.try_lock().then(|| MutexGuard { mutex: self })
    }

    /// Takes the lock if it is free, and returns a guard that keeps the mutex alive.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = std::sync::Arc::new(rt_tasks_sync::Mutex::new(7));
    /// assert_eq!(*mutex.try_lock_owned().unwrap(), 7);
    /// ```
    pub fn try_lock_owned(self: Arc<Self>) -> Option<OwnedMutexGuard<T>> {
        self.raw.try_lock().then(|| OwnedMutexGuard { mutex: self })
    }

    /// Whether somebody holds the lock, or is about to be handed it.
    pub fn is_locked(&self) -> bool {
        // Relaxed: a snapshot, out of date when it is returned.
        self.raw.state.load(Relaxed) & LOCKED != 0
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
            n_waiting: self.raw.line.lock().len(0),
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
        #[pin]
        waiter: Waiter<u64>,
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
        ready!(this.mutex.raw.poll_lock(this.waiter.as_ref(), cx));
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
        #[pin]
        waiter: Waiter<u64>,
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
        if mutex.raw.poll_lock(this.waiter.as_ref(), cx).is_pending() {
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
