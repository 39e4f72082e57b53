//! Numbers of permits in one word, and those who wait for them: what a semaphore and a read-write lock do.
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

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::WaitKind;

use super::{Closed, TryAcquireError};
use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// Nothing is handed out any more.
const CLOSED: usize = 1;
/// Somebody may be waiting.
const WAITERS: usize = 2;
/// One permit; the flags are below.
const ONE: usize = 4;

/// What a waiter asks for, and what it is told.
#[derive(Clone, Copy)]
pub(crate) enum Request {
    Wanted(usize),
    Granted(usize),
    Refused,
}

/// Permits, and the line before them.
///
/// # Memory ordering
///
/// `permit`: what was done before a permit was given back is seen by the one who gets it next. Giving back
/// releases, taking acquires; through the line, the wait list orders the two.
pub(crate) struct RawSemaphore {
    /// What dumps say that waiters wait for.
    kind: WaitKind,
    state: AtomicUsize,
    line: WaitList<(), Request>,
}

impl RawSemaphore {
    /// The greatest number of permits there can be.
    pub(crate) const MAX_PERMITS: usize = usize::MAX >> 3;

    const_unless_loom! {
        /// Makes a line in which nobody waits for so many permits, at most `MAX_PERMITS`; dumps call what they stand
        /// for `kind`.
        pub(crate) const fn new(n_permits: usize, kind: WaitKind) -> Self {
            Self {
                kind,
                state: AtomicUsize::new(n_permits * ONE),
                line: WaitList::new(()),
            }
        }
    }

    #[inline]
    pub(crate) fn available(&self) -> usize {
        // Relaxed: a snapshot, out of date when it is returned.
        self.state.load(Relaxed) / ONE
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.line.lock().len(0)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: the flag carries no data.
        self.state.load(Relaxed) & CLOSED != 0
    }

    pub(crate) fn close(&self) {
        let mut line = self.line.lock();
        // Relaxed: the flag carries no data, and waiters are told under the lock.
        self.state.fetch_or(CLOSED, Relaxed);
        line.grant_all(0, Request::Refused);
        // Relaxed: as above.
        self.state.fetch_and(!WAITERS, Relaxed);
    }

    /// Takes permits if so many are free and nobody waits.
    #[inline]
    pub(crate) fn try_take(&self, n_permits: usize) -> Result<(), TryAcquireError> {
        // Relaxed: only the exchange below decides.
        let mut state = self.state.load(Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if state & WAITERS != 0 || state / ONE < n_permits {
                return Err(TryAcquireError::NoPermits);
            }
            // ORDERING(permit): Acquire, for the addition in `give_back`. Relaxed on failure: we look
            // again.
            match self
                .state
                .compare_exchange_weak(state, state - n_permits * ONE, Acquire, Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    #[inline]
    pub(crate) fn give_back(&self, n_permits: usize) {
        // ORDERING(permit): Release, for the exchange in `try_take` and for `serve`.
        let before = self.state.fetch_add(n_permits * ONE, Release);
        if before & WAITERS != 0 {
            self.serve(&mut self.line.lock());
        }
    }

    /// Grants from the front of the line what the free permits suffice for.
    #[cold]
    fn serve(&self, line: &mut Locked<'_, (), Request, 1>) {
        while let Some(Request::Wanted(n_permits)) = line.front(0) {
            // Relaxed: others only add, while `WAITERS` is set; what they add they come and serve.
            if self.state.load(Relaxed) / ONE < n_permits {
                return;
            }
            // ORDERING(permit): Acquire, for the addition in `give_back`; the grant passes it on.
            self.state.fetch_sub(n_permits * ONE, Acquire);
            line.grant(0, Request::Granted(n_permits));
        }
        // Relaxed: the flag carries no data.
        self.state.fetch_and(!WAITERS, Relaxed);
    }

    #[inline]
    pub(crate) fn poll_acquire(
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
        let before = self.state.fetch_or(WAITERS, Acquire);
        if before & CLOSED == 0 && (before & WAITERS != 0 || before / ONE < n_permits) {
            line.enqueue(self.kind, 0, waiter, Request::Wanted(n_permits), waker);
            return Poll::Pending;
        }
        // Nobody waits: `WAITERS` was not set, or the semaphore is closed, which emptied the line.
        if before & CLOSED != 0 {
            // Relaxed: the flag carries no data.
            self.state.fetch_and(!WAITERS, Relaxed);
            drop(line);
            return Poll::Ready(Err(Closed(())));
        }
        // Relaxed: what these permits bring with them was acquired above.
        self.state.fetch_sub(n_permits * ONE + WAITERS, Relaxed);
        drop(line);
        Poll::Ready(Ok(()))
    }

    /// What a future does that is dropped before it returned its permits.
    #[inline]
    pub(crate) fn leave(&self, waiter: Pin<&Waiter<Request>>) {
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
