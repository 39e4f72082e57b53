//! Telling somebody that there is something to do.
//!
//! A notification for one is never lost: if nobody waits it is kept for the next who comes, and who is
//! dropped with one in hand passes it on. There is one place for it: two that nobody has fetched are one.
//!
//! # The protocol
//!
//! One word holds a flag that a notification is kept (`PERMIT`), a flag that somebody may be waiting
//! (`WAITERS`), and above them how often all were notified (the round).
//!
//! 1. Who notifies one sets `PERMIT` in one exchange, if `WAITERS` is not set. Otherwise it takes the wait
//!    list's lock and grants the notification to the front of the line.
//! 2. Who waits takes `PERMIT` in one exchange. If it is not set it takes the lock, sets `WAITERS`, and
//!    looks at the word from before that same operation: so either 1 sees the flag or 2 sees the permit.
//! 3. Who notifies all counts the round up and grants the whole line, under one hold of the lock. A future
//!    remembers the round in which it was made: if that is over it need not wait.
//!
//! Both flags are set together only while the lock is held, by the one who holds it, and then the permit is
//! that one's to take: nobody takes it by an exchange while `WAITERS` is set.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
use crate::stats::NotifyStats;
use crate::wait_list::{Left, WaitList, Waiter};

/// A notification is kept for the next who comes.
const PERMIT: usize = 1;
/// Somebody may be waiting.
const WAITERS: usize = 2;
/// One round; the flags are below.
const ROUND: usize = 4;

/// What a waiter was woken by.
#[derive(Clone, Copy)]
enum Notice {
    /// A notification for one, which it has in hand.
    One,
    /// One for all: there is nothing to pass on.
    All,
}

/// Notifies one who waits, or all of them, without any data.
///
/// [`notify_one`](Self::notify_one) is kept until somebody takes it; [`notify_waiters`](Self::notify_waiters)
/// is for those who wait already. For a state that one may look at there is
/// [`Event`](crate::Event), for a change of data under a lock [`Condvar`](crate::Condvar).
///
/// # Memory ordering
///
/// `notice`: what was done before a notification is seen by whoever returns because of it. Setting `PERMIT`
/// and counting a round up release, taking the one and looking at the other acquire; through the line, the
/// wait list orders the two. So does the call that remembers the round: what was done before a notification for
/// all that it is too late for is seen after it.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::Notify;
///
/// static WORK: Notify = Notify::new();
/// # futures_lite::future::block_on(async {
/// let worker = std::thread::spawn(|| WORK.notified_blocking());
/// WORK.notify_one();
/// worker.join().unwrap();
/// # });
/// ```
pub struct Notify {
    state: AtomicUsize,
    line: WaitList<(), Notice>,
}

impl Notify {
    const_unless_loom! {
        /// Makes one for which nobody waits, and that keeps no notification.
        pub const fn new() -> Self {
            Self { state: AtomicUsize::new(0), line: WaitList::new(()) }
        }
    }

    /// Notifies the one who has waited longest, or else the next who comes.
    ///
    /// Only one notification is kept: calling it twice while nobody waits lets one go on, not two.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let work = rt_tasks_sync::Notify::new();
    /// work.notify_one();
    /// work.notified().await;
    /// # });
    /// ```
    #[inline]
    pub fn notify_one(&self) {
        // Relaxed: only the exchange below decides.
        let mut state = self.state.load(Relaxed);
        while state & WAITERS == 0 {
            // ORDERING(notice): Release, also where it was set already: who takes it sees what both did.
            // Relaxed on failure: we look again.
            match self
                .state
                .compare_exchange_weak(state, state | PERMIT, Release, Relaxed)
            {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
        self.notify_front();
    }

    #[cold]
    fn notify_front(&self) {
        let mut line = self.line.lock();
        let granted = line.grant(0, Notice::One);
        if !line.is_empty(0) {
            return;
        }
        // Relaxed: nothing is passed on.
        self.state.fetch_and(!WAITERS, Relaxed);
        if !granted {
            // ORDERING(notice): Release, as in `notify_one`.
            self.state.fetch_or(PERMIT, Release);
        }
    }

    /// Notifies everyone who waits, in the order in which they began to wait.
    ///
    /// That are those who have called [`notified`](Self::notified), whether or not they have been polled.
    /// Nothing is kept for those who come later.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let work = rt_tasks_sync::Notify::new();
    /// let (first, second) = (work.notified(), work.notified());
    /// work.notify_waiters();
    /// first.await;
    /// second.await;
    /// # });
    /// ```
    pub fn notify_waiters(&self) {
        let mut line = self.line.lock();
        // ORDERING(notice): Release, for the look at the round in `poll`.
        self.state.fetch_add(ROUND, Release);
        line.grant_all(0, Notice::All);
        // Relaxed: nothing is passed on.
        self.state.fetch_and(!WAITERS, Relaxed);
    }

    /// The same as [`notify_waiters`](Self::notify_waiters), by the name that a
    /// [`Condvar`](crate::Condvar) has for it.
    #[inline]
    pub fn notify_all(&self) {
        self.notify_waiters();
    }

    /// Waits for a notification.
    ///
    /// It counts as waiting for [`notify_waiters`](Self::notify_waiters) from this call on, and stands in
    /// line from its first poll on. So who calls it *before* looking at the state that the notification is
    /// about, and then awaits it, misses nothing.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. A notification that it had in hand goes to the next,
    /// or is kept for who comes.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let work = rt_tasks_sync::Notify::new();
    /// futures_lite::future::zip(work.notified(), async { work.notify_one() }).await;
    /// # });
    /// ```
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            // ORDERING(notice): Acquire: of a round that it comes too late for it sees what was done before.
            round: self.state.load(Acquire) / ROUND,
            waiter: Waiter::new(),
        }
    }

    /// Waits for a notification on a plain thread, which sleeps meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// let work = rt_tasks_sync::Notify::new();
    /// work.notify_one();
    /// work.notified_blocking();
    /// ```
    pub fn notified_blocking(&self) {
        park::block_on(self.notified());
    }

    /// A look at whether a notification is kept, and at how many wait for one.
    ///
    /// # Examples
    ///
    /// ```
    /// let work = rt_tasks_sync::Notify::new();
    /// work.notify_one();
    /// assert!(work.stats().has_permit);
    /// ```
    #[must_use]
    pub fn stats(&self) -> NotifyStats {
        let line = self.line.lock();
        NotifyStats {
            // Relaxed: a snapshot.
            has_permit: self.state.load(Relaxed) & PERMIT != 0,
            n_waiting: line.len(0),
        }
    }

    /// Takes the notification that is kept, if there is one, or finds that the round is over.
    #[inline]
    fn try_take(&self, round: usize) -> bool {
        // ORDERING(notice): Acquire, for a round that is over.
        let mut state = self.state.load(Acquire);
        loop {
            if state / ROUND != round {
                return true;
            }
            if state & (PERMIT | WAITERS) != PERMIT {
                return false;
            }
            // ORDERING(notice): Acquire, for the exchange in `notify_one`; and on failure for the round.
            match self
                .state
                .compare_exchange_weak(state, state & !PERMIT, Acquire, Acquire)
            {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    #[cold]
    fn poll_without(
        &self,
        round: usize,
        waiter: Pin<&Waiter<Notice>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        // ORDERING(notice): Acquire: what came meanwhile is found right here.
        let before = self.state.fetch_or(WAITERS, Acquire);
        if before / ROUND == round && before & PERMIT == 0 {
            line.enqueue(WaitKind::Notification, 0, waiter, Notice::All, waker);
            return Poll::Pending;
        }
        let mut taken = 0;
        if before / ROUND == round {
            taken |= PERMIT;
        }
        if before & WAITERS == 0 {
            taken |= WAITERS;
        }
        // Relaxed: what came with the permit was acquired above.
        self.state.fetch_and(!taken, Relaxed);
        drop(line);
        Poll::Ready(())
    }

    /// What a future does that is dropped while it stands in line or with a notification in hand.
    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<Notice>>) {
        let left = self.line.lock().leave(waiter);
        match left {
            Left::Granted(Notice::One) => self.notify_one(),
            // `WAITERS` may now be wrong: who notifies one finds nobody and clears it.
            Left::Granted(Notice::All) | Left::Waiting | Left::Idle => {}
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Notify")
            .field("has_permit", &stats.has_permit)
            .field("waiting", &stats.n_waiting)
            .finish()
    }
}

pin_project! {
    /// Waits for a notification; see [`Notify::notified`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Notified<'a> {
        notify: &'a Notify,
        // The round in which it was made.
        round: usize,
        #[pin]
        waiter: Waiter<Notice>,
    }

    impl PinnedDrop for Notified<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                this.notify.leave_line(this.waiter.as_ref());
            }
        }
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let waiter = this.waiter.as_ref();
        let polled = if !waiter.is_idle() {
            this.notify.line.poll(waiter, cx).map(|_| ())
        } else if this.notify.try_take(*this.round) {
            Poll::Ready(())
        } else {
            this.notify.poll_without(*this.round, waiter, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notified").field(&self.waiter).finish()
    }
}
