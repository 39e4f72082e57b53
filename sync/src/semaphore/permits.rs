//! Permits, and the futures that wait for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Claim, Closed, Owner, Semaphore};
use crate::mutex::Place;
use crate::wait_list::Waiter;

pin_project! {
    /// Waits for permits; see [`Semaphore::acquire`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Acquire<'a> {
        semaphore: &'a Semaphore,
        n_permits: usize,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl PinnedDrop for Acquire<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.semaphore.raw.leave(this.waiter.as_ref());
        }
    }
}

impl<'a> Acquire<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, n_permits: usize, at: Place) -> Self {
        Self {
            semaphore,
            n_permits,
            at,
            waiter: Waiter::new(),
        }
    }
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<Permit<'a>, Closed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (semaphore, n_permits) = (*this.semaphore, *this.n_permits);
        let waiter = this.waiter.as_ref();
        ready!(
            semaphore
                .raw
                .poll_acquire(n_permits, Owner::Taker, this.at, waiter, cx)
        )?;
        Poll::Ready(Ok(Permit::new(semaphore, n_permits)))
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("n_permits", &self.n_permits)
            .field("waiter", &self.waiter)
            .finish()
    }
}

pin_project! {
    /// Waits for permits; see [`Semaphore::acquire_owned`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct AcquireOwned {
        // Until the permits are returned.
        semaphore: Option<Arc<Semaphore>>,
        n_permits: usize,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl PinnedDrop for AcquireOwned {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(semaphore) = this.semaphore {
                semaphore.raw.leave(this.waiter.as_ref());
            }
        }
    }
}

impl AcquireOwned {
    pub(super) fn new(semaphore: Arc<Semaphore>, n_permits: usize, at: Place) -> Self {
        Self {
            semaphore: Some(semaphore),
            n_permits,
            at,
            waiter: Waiter::new(),
        }
    }
}

impl Future for AcquireOwned {
    type Output = Result<OwnedPermit, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (n_permits, waiter) = (*this.n_permits, this.waiter.as_ref());
        let semaphore = this.semaphore.as_ref().expect("polled after it returned");
        ready!(
            semaphore
                .raw
                .poll_acquire(n_permits, Owner::Anybody, this.at, waiter, cx)
        )?;
        let semaphore = this.semaphore.take().expect("it was there above");
        Poll::Ready(Ok(OwnedPermit::new(semaphore, n_permits)))
    }
}

impl fmt::Debug for AcquireOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOwned")
            .field("n_permits", &self.n_permits)
            .field("waiter", &self.waiter)
            .finish()
    }
}

/// Permits of a [`Semaphore`], given back when dropped.
#[derive(Debug)]
#[must_use = "permits are given back as soon as they are dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n_permits: usize,
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, n_permits: usize) -> Self {
        Self {
            semaphore,
            n_permits,
        }
    }

    /// How many permits this is.
    pub fn count(&self) -> usize {
        self.n_permits
    }

    /// Takes the permits out of circulation.
    pub fn forget(mut self) {
        let n_permits = std::mem::take(&mut self.n_permits);
        self.semaphore.forget(n_permits, Owner::Taker);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw.give_back(self.n_permits, Owner::Taker);
    }
}

/// Permits of a [`Semaphore`] that keep it alive, given back when dropped.
#[derive(Debug)]
#[must_use = "permits are given back as soon as they are dropped"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n_permits: usize,
}

impl OwnedPermit {
    pub(super) fn new(semaphore: Arc<Semaphore>, n_permits: usize) -> Self {
        Self {
            semaphore,
            n_permits,
        }
    }

    /// How many permits this is.
    pub fn count(&self) -> usize {
        self.n_permits
    }

    /// Takes the permits out of circulation.
    pub fn forget(mut self) {
        let n_permits = std::mem::take(&mut self.n_permits);
        self.semaphore.forget(n_permits, Owner::Anybody);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.raw.give_back(self.n_permits, Owner::Anybody);
    }
}
