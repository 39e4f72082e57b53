//! Waiting, with a mutex, for others to change what it protects.
//!
//! # The protocol
//!
//! 1. Who waits stands in line *before* it unlocks the mutex. So whoever changes the data under the mutex
//!    afterwards finds it there: no notification is lost between the look at the data and the wait.
//! 2. A notification takes the front out of the line; it goes on from there by locking the mutex, in the
//!    mutex's own line. Nothing else takes a waiter out: none returns without a notification.
//! 3. Who is dropped after it was notified, and before it has returned with the lock, passes the
//!    notification on to the next.
//!
//! To whom may it pass it on? Somebody who has begun to wait since the notification was given has seen the
//! data as they were after that, and was not meant: to be woken would be a wake-up for no reason. So each
//! waiter has a number, counted up in the order of waiting, and a notification carries the number of the
//! first waiter that is too late for it. It goes on only to those before that. One that was given to all
//! has nobody left to go on to.

use std::fmt;
use std::future::Future;
use std::ops::DerefMut;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::WaitKind;

use crate::mutex::{Lock, LockOwned, MutexGuard, OwnedMutexGuard};
use crate::park;
use crate::stats::CondvarStats;
use crate::wait_list::{Left, WaitList, Waiter};

/// What a waiter is, and what it becomes.
#[derive(Clone, Copy)]
enum Place {
    /// It waits; its number.
    Waiting(u64),
    /// It was notified.
    Notified(Notice),
}

/// A notification that somebody has in hand.
#[derive(Clone, Copy)]
struct Notice {
    /// The number of the first waiter that came too late for it.
    too_late: u64,
}

/// What is kept beside the line.
struct State {
    /// The number that the next waiter gets.
    next: u64,
}

/// Lets tasks and threads wait until others have changed what a [`Mutex`](crate::Mutex) protects.
///
/// A wait gives the mutex up and returns with it locked again. It returns only when it was notified; but
/// others may have had the lock in between, so that what one waits for is looked at once more, as
/// [`wait_while`](Self::wait_while) does.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::{Condvar, Mutex};
///
/// static BALANCE: Mutex<u32> = Mutex::new(0);
/// static CHANGED: Condvar = Condvar::new();
/// # futures_lite::future::block_on(async {
/// let saver = std::thread::spawn(|| {
///     *BALANCE.lock_blocking() += 10;
///     CHANGED.notify_one();
/// });
/// let mut balance = CHANGED.wait_while(BALANCE.lock().await, |balance| *balance < 10).await;
/// *balance -= 10;
/// # saver.join().unwrap(); });
/// ```
#[doc(alias = "Condition")]
pub struct Condvar {
    line: WaitList<State, Place>,
}

impl Condvar {
    const_unless_loom! {
        /// Makes a condition variable for which nobody waits.
        pub const fn new() -> Self {
            Self { line: WaitList::new(State { next: 0 }) }
        }
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again.
    ///
    /// It takes both kinds of guard, and returns the kind it was given. The mutex is unlocked when the
    /// future is first polled.
    ///
    /// There is no waiting without the lock:
    ///
    /// ```compile_fail,E0061
    /// let condvar = rt_tasks_sync::Condvar::new();
    /// let _ = condvar.wait();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line, and the mutex with it: the lock is not held. If it
    /// had been notified, the notification goes to the next of those who waited then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_sync::{Condvar, Mutex};
    /// # futures_lite::future::block_on(async {
    /// let (done, changed) = (Mutex::new(false), Condvar::new());
    /// let wait = async {
    ///     let guard = done.lock().await;
    ///     *changed.wait(guard).await
    /// };
    /// let notify = async {
    ///     *done.lock().await = true;
    ///     changed.notify_one();
    /// };
    /// assert_eq!(futures_lite::future::zip(wait, notify).await, (true, ()));
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait<G: Guard>(&self, guard: G) -> Wait<'_, G> {
        Wait {
            condvar: self,
            at: Location::caller(),
            waiter: Waiter::new(),
            guard: Some(guard),
            notice: None,
            lock: None,
        }
    }

    /// Waits as long as the condition holds; returns at once if it does not.
    ///
    /// The condition is looked at under the lock: at the beginning, and after each notification.
    ///
    /// # Cancel safety
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_sync::{Condvar, Mutex};
    /// # futures_lite::future::block_on(async {
    /// let (jobs, changed) = (Mutex::new(vec!["tidy"]), Condvar::new());
    /// let mut jobs = changed.wait_while(jobs.lock().await, |jobs| jobs.is_empty()).await;
    /// assert_eq!(jobs.pop(), Some("tidy"));
    /// # });
    /// ```
    #[doc(alias = "wait_for")]
    #[inline]
    #[track_caller]
    pub fn wait_while<G, F>(&self, guard: G, condition: F) -> WaitWhile<'_, G, F>
    where
        G: Guard,
        F: FnMut(&mut G::Target) -> bool,
    {
        WaitWhile {
            wait: self.wait(guard),
            condition,
        }
    }

    /// Waits on a plain thread, which sleeps meanwhile.
    ///
    /// It stands in the same line as the tasks do. Inside a task it blocks that task's worker.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_sync::{Condvar, Mutex};
    /// let (done, changed) = (Mutex::new(false), Condvar::new());
    /// std::thread::scope(|threads| {
    ///     let guard = done.lock_blocking();
    ///     threads.spawn(|| {
    ///         *done.lock_blocking() = true;
    ///         changed.notify_one();
    ///     });
    ///     assert!(*changed.wait_blocking(guard));
    /// });
    /// ```
    #[track_caller]
    pub fn wait_blocking<G: Guard>(&self, guard: G) -> G {
        park::block_on(self.wait(guard))
    }

    /// Waits on a plain thread as long as the condition holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_sync::{Condvar, Mutex};
    /// let (count, changed) = (Mutex::new(1), Condvar::new());
    /// let count = changed.wait_while_blocking(count.lock_blocking(), |count| *count == 0);
    /// assert_eq!(*count, 1);
    /// ```
    #[track_caller]
    pub fn wait_while_blocking<G, F>(&self, guard: G, condition: F) -> G
    where
        G: Guard,
        F: FnMut(&mut G::Target) -> bool,
    {
        park::block_on(self.wait_while(guard, condition))
    }

    /// Notifies the one who has waited longest. If nobody waits, nothing happens.
    ///
    /// The mutex need not be locked; but what the waiters wait for has to be changed under it.
    ///
    /// # Examples
    ///
    /// ```
    /// let changed = rt_tasks_sync::Condvar::new();
    /// changed.notify_one();
    /// assert_eq!(changed.stats().n_waiting, 0);
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Notifies so many of those who wait, the longest waiting first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_sync::{Condvar, Mutex};
    /// # futures_lite::future::block_on(async {
    /// let (count, changed) = (Mutex::new(0), Condvar::new());
    /// let wait = || async { changed.wait(count.lock().await).await; };
    /// let both = futures_lite::future::zip(wait(), wait());
    /// futures_lite::future::zip(both, async { changed.notify(2) }).await;
    /// # });
    /// ```
    pub fn notify(&self, n_waiters: usize) {
        let mut line = self.line.lock();
        let notice = line.notice();
        for _ in 0..n_waiters.min(line.len(0)) {
            line.grant(0, Place::Notified(notice));
        }
    }

    /// Notifies everyone who waits at this moment, the longest waiting first.
    ///
    /// # Examples
    ///
    /// ```
    /// let changed = rt_tasks_sync::Condvar::new();
    /// changed.notify_all();
    /// assert_eq!(changed.stats().n_waiting, 0);
    /// ```
    pub fn notify_all(&self) {
        let mut line = self.line.lock();
        let notice = line.notice();
        line.grant_all(0, Place::Notified(notice));
    }

    /// A look at how many wait for a notification.
    ///
    /// Who was notified and waits for the mutex is not among them.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(rt_tasks_sync::Condvar::new().stats().n_waiting, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> CondvarStats {
        CondvarStats {
            n_waiting: self.line.lock().len(0),
        }
    }

    /// Gives a notification to the next of those who waited when it was given.
    #[cold]
    fn pass_on(&self, notice: Notice) {
        let mut line = self.line.lock();
        if matches!(line.front(0), Some(Place::Waiting(number)) if number < notice.too_late) {
            line.grant(0, Place::Notified(notice));
        }
    }
}

impl State {
    /// A notification for those who are in line now.
    fn notice(&self) -> Notice {
        Notice {
            too_late: self.next,
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar")
            .field("waiting", &self.stats().n_waiting)
            .finish()
    }
}

/// A guard of a [`Mutex`](crate::Mutex), borrowed or owned: what a [`Condvar`] waits with.
pub trait Guard: DerefMut + Sized + sealed::Relock {}

impl<T: ?Sized> Guard for MutexGuard<'_, T> {}
impl<T: ?Sized> Guard for OwnedMutexGuard<T> {}

mod sealed {
    use std::future::Future;
    use std::panic::Location;

    /// What can be unlocked and locked again.
    pub trait Relock: Sized {
        /// Waits for the lock.
        type Lock: Future<Output = Self>;

        /// Unlocks the mutex; the future locks it again, once it is polled, on behalf of `at`.
        fn unlock(self, at: &'static Location<'static>) -> Self::Lock;
    }
}

impl<'a, T: ?Sized> sealed::Relock for MutexGuard<'a, T> {
    type Lock = Lock<'a, T>;

    fn unlock(self, at: &'static Location<'static>) -> Lock<'a, T> {
        MutexGuard::mutex(&self).lock_for(at)
    }
}

impl<T: ?Sized> sealed::Relock for OwnedMutexGuard<T> {
    type Lock = LockOwned<T>;

    fn unlock(self, at: &'static Location<'static>) -> LockOwned<T> {
        Arc::clone(OwnedMutexGuard::mutex(&self)).lock_owned_for(at)
    }
}

pin_project! {
    /// Waits for a notification; see [`Condvar::wait`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Wait<'a, G: Guard> {
        condvar: &'a Condvar,
        // Where the wait was asked for.
        at: &'static Location<'static>,
        #[pin]
        waiter: Waiter<Place>,
        // Until it stands in line.
        guard: Option<G>,
        // From when it has seen that it is notified until it has the lock.
        notice: Option<Notice>,
        // From when it stands in line until it has the lock.
        #[pin]
        lock: Option<G::Lock>,
    }

    impl<G: Guard> PinnedDrop for Wait<'_, G> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !this.waiter.is_idle() {
                let left = this.condvar.line.lock().leave(this.waiter.as_ref());
                if let Left::Granted(Place::Notified(notice)) = left {
                    *this.notice = Some(notice);
                }
            }
            if let Some(notice) = this.notice.take() {
                // The lock first, if it was handed over: the next one will want it.
                this.lock.set(None);
                this.condvar.pass_on(notice);
            }
        }
    }
}

impl<G: Guard> Wait<'_, G> {
    /// Stands in line, then unlocks the mutex.
    fn begin(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let guard = this
            .guard
            .take()
            .expect("polled after it returned the lock");
        // Cloned without the lock: it may run any code.
        let waker = cx.waker().clone();
        let mut line = this.condvar.line.lock();
        let number = line.next;
        line.next += 1;
        line.enqueue(
            WaitKind::Condition,
            0,
            this.waiter.as_ref(),
            Place::Waiting(number),
            waker,
        );
        drop(line);
        this.lock.set(Some(guard.unlock(this.at)));
    }
}

impl<G: Guard> Future for Wait<'_, G> {
    type Output = G;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        let is_notified = self.notice.is_some();
        if !is_notified {
            ready!(coop::poll_proceed(cx));
            if self.waiter.is_idle() {
                self.begin(cx);
                coop::restore();
                return Poll::Pending;
            }
        }
        let mut this = self.as_mut().project();
        if !is_notified {
            match this.condvar.line.poll(this.waiter.as_ref(), cx) {
                Poll::Ready(Place::Notified(notice)) => *this.notice = Some(notice),
                Poll::Ready(Place::Waiting(_)) => unreachable!("who leaves the line is notified"),
                Poll::Pending => {
                    coop::restore();
                    return Poll::Pending;
                }
            }
        }
        let lock = this.lock.as_mut().as_pin_mut();
        let guard = ready!(lock.expect("it is kept until it is ready").poll(cx));
        *this.notice = None;
        this.lock.set(None);
        Poll::Ready(guard)
    }
}

impl<G: Guard> fmt::Debug for Wait<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wait").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits as long as a condition holds; see [`Condvar::wait_while`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WaitWhile<'a, G: Guard, F> {
        #[pin]
        wait: Wait<'a, G>,
        condition: F,
    }
}

impl<G, F> Future for WaitWhile<'_, G, F>
where
    G: Guard,
    F: FnMut(&mut G::Target) -> bool,
{
    type Output = G;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        let mut this = self.project();
        loop {
            let guard = this.wait.as_mut().project().guard;
            if let Some(held) = guard.take_if(|held| !(this.condition)(held)) {
                return Poll::Ready(held);
            }
            let locked = ready!(this.wait.as_mut().poll(cx));
            // As at the beginning: it is looked at with the lock held.
            *this.wait.as_mut().project().guard = Some(locked);
        }
    }
}

impl<G: Guard, F> fmt::Debug for WaitWhile<'_, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitWhile").field(&self.wait.waiter).finish()
    }
}
