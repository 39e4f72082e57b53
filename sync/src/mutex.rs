//! A mutual exclusion lock that is handed over, in order.
//!
//! Unlocking gives the lock to whoever has waited longest, in the same step: it is never free while
//! somebody waits, so that nobody can slip in between and nobody starves. The price is that a lock over
//! which tasks really fight changes hands at the speed of the scheduler; the gain is that the longest wait
//! is bounded by the number of those ahead.
//!
//! # The protocol
//!
//! One word says whether the lock is `LOCKED`, whether it is `SLOW`, and who has it: the number of the task, so that a
//! deadlock can be named. While it is not slow, locking and unlocking are one exchange each on that word. `SLOW` is
//! set and cleared under the wait list's lock only; while it is set locking and unlocking both go that way. It is set
//! while somebody waits: then unlocking grants the lock to the front of the line. The word stays `LOCKED`, and what
//! changes is who may use it.
//!
//! Once somebody had to wait, the lock is in the table of [`Holder`]s, which says who has it while others wait.
//!
//! # Debug mode
//!
//! A task that takes its own lock once more waits for itself, and is told where it took it first. To write that down at
//! each locking would cost those who do not debug. So a mutex begins as `NEW`, which keeps the short way barred, and whoever
//! locks it first decides. In debug mode it becomes slow for good, and each holder writes its place down under the
//! wait list's lock; else the flag goes, and nothing is left of all this.

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
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU64;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::{self, Holder, WaitKind};

use crate::park;
use crate::stats::MutexStats;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

const LOCKED: u64 = 1;
/// Locking and unlocking go by the wait list: somebody waits, or the mutex is watched.
const SLOW: u64 = 2;
/// Nobody has ever had the lock: it is still open whether it is to be watched.
const NEW: u64 = 4;
/// The bits from here on are the number of the task that has the lock, or zero.
const HOLDER: u32 = 3;

/// The word while `id` has the lock and it is not slow.
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

/// The lock without its value.
///
/// # Memory ordering
///
/// `unlock`: what happened under the lock is seen under the next one. The exchange that unlocks releases,
/// the one that locks acquires; where the lock is handed over, the wait list orders the two.
pub(crate) struct RawMutex {
    state: AtomicU64,
    line: WaitList<Ledger, Claim>,
}

/// What is known of the holder besides its number.
struct Ledger {
    /// Entered when somebody first waits.
    holder: Option<Holder>,
    /// Where the lock was taken by whoever has it, or had it last; if the mutex is watched.
    since: Option<Place>,
}

type Place = &'static Location<'static>;

/// Who waits, and where it asked for the lock.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    id: u64,
    at: Place,
}

impl Ledger {
    /// From now on this one has the lock.
    fn hold_from(&mut self, claim: Claim) {
        self.since = self.since.map(|_| claim.at);
    }
}

impl RawMutex {
    const_unless_loom! {
        const fn new() -> Self {
            let ledger = Ledger { holder: None, since: None };
            Self { state: AtomicU64::new(NEW), line: WaitList::new(ledger) }
        }
    }

    #[inline]
    fn try_lock(&self, at: Place) -> bool {
        let me = wait::me();
        self.try_exchange(0, me) || self.try_slowly(Claim { id: me, at })
    }

    /// Locks without the wait list, if the word is `free`.
    #[inline]
    fn try_exchange(&self, free: u64, me: u64) -> bool {
        // ORDERING(unlock): Acquire, for the exchange in `unlock`. Relaxed on failure: nothing is read.
        self.state
            .compare_exchange(free, held_by(me), Acquire, Relaxed)
            .is_ok()
    }

    /// Locks where one exchange does not do, without waiting.
    #[cold]
    fn try_slowly(&self, claim: Claim) -> bool {
        // Relaxed: only `take` decides.
        self.try_first(claim)
            || self.state.load(Relaxed) & LOCKED == 0
                && self.take(&mut self.line.lock(), claim) & LOCKED == 0
    }

    /// Locks a mutex that nobody has ever locked; in debug mode it is watched from now on instead.
    fn try_first(&self, claim: Claim) -> bool {
        // Relaxed: only the exchange decides.
        if self.state.load(Relaxed) != NEW {
            return false;
        }
        if wait::is_debugging() {
            self.watch(claim.at);
            return false;
        }
        self.try_exchange(NEW, claim.id)
    }

    /// Has the place of each holder written down, if nobody has ever had the lock. `at` is where it is about to be
    /// taken.
    pub(crate) fn watch(&self, at: Place) {
        let mut line = self.line.lock();
        // Relaxed: the word guards nothing yet.
        let decided = self.state.compare_exchange(NEW, SLOW, Relaxed, Relaxed);
        if decided.is_ok() {
            line.since = Some(at);
        }
    }

    #[inline]
    fn poll_lock(&self, waiter: Pin<&Waiter<Claim>>, at: Place, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let polled = if !waiter.is_idle() {
            self.poll_line(waiter, cx)
        } else if self.try_exchange(0, wait::me()) {
            Poll::Ready(())
        } else {
            self.poll_slowly(waiter, at, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[inline]
    fn poll_line(&self, waiter: Pin<&Waiter<Claim>>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.line.poll(waiter, cx).map(|_| ());
        if polled.is_pending() {
            self.note_waiting();
        }
        polled
    }

    #[cold]
    fn note_waiting(&self) {
        if let Some(holder) = &self.line.lock().holder {
            wait::goes_on(WaitKind::Lock, holder.number());
        }
    }

    #[cold]
    fn poll_slowly(
        &self,
        waiter: Pin<&Waiter<Claim>>,
        at: Place,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let id = wait::me();
        let claim = Claim { id, at };
        if self.try_first(claim) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        let before = self.take(&mut line, claim);
        if before & LOCKED == 0 {
            drop(line);
            return Poll::Ready(());
        }
        let has_it = before >> HOLDER;
        let holder = line.holder.get_or_insert_with(|| Holder::enter(has_it));
        holder.set(has_it);
        wait::begins(WaitKind::Lock, holder.number());
        line.enqueue(None, 0, waiter, claim, waker);
        let since = line.since.filter(|_| has_it == id);
        drop(line);
        if let Some(since) = since {
            // Without the lock: it calls the user's code.
            wait::report_relock(since, at);
        }
        Poll::Pending
    }

    /// Takes the lock if it is free; else it is slow from now on. Returns the word of before.
    ///
    /// If it is free nobody is in line, and nobody can get in before the lock of the list is released.
    fn take(&self, line: &mut Locked<'_, Ledger, Claim, 1>, claim: Claim) -> u64 {
        let slow = if line.since.is_some() { SLOW } else { 0 };
        // Relaxed: the exchange below tells what is true.
        let mut before = self.state.load(Relaxed);
        loop {
            let after = match before & LOCKED {
                0 => held_by(claim.id) | slow,
                _ => before | SLOW,
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
        if before & LOCKED == 0 {
            line.hold_from(claim);
        }
        before
    }

    #[inline]
    fn unlock(&self) {
        // Relaxed: what the holder sees here it wrote itself, but for `SLOW`; the exchange checks it.
        let state = self.state.load(Relaxed);
        // ORDERING(unlock): Release, for the exchanges that lock. Relaxed on failure: the wait list's lock
        // orders the rest.
        if state & SLOW != 0
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
        if let Some(holder) = &line.holder {
            holder.set(next.map_or(0, |next| next.id));
        }
        let holder = match next {
            Some(next) => {
                line.grant(0, next);
                line.hold_from(next);
                held_by(next.id)
            }
            None => 0,
        };
        let is_slow = line.since.is_some() || !line.is_empty(0);
        let slow = if is_slow { SLOW } else { 0 };
        // Whoever was granted the lock may unlock it before this: then it finds `SLOW`, and waits for the list.
        // ORDERING(unlock): Release, as in `unlock`: with nobody in line this is the unlocking.
        self.state.store(holder | slow, Release);
    }

    /// What a future does that is dropped before it returned the lock.
    #[inline]
    fn leave(&self, waiter: Pin<&Waiter<Claim>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<Claim>>) {
        let left = self.line.lock().leave(waiter);
        match left {
            Left::Granted(_) => self.unlock(),
            // `SLOW` may now be wrong: the next unlocking finds nobody and clears it.
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
