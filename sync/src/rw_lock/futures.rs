//! The futures that wait for a read-write lock.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::RwLock;
use super::guards::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};
use crate::mutex::Place;
use crate::semaphore::{Claim, Owner};
use crate::wait_list::Waiter;

pin_project! {
    /// Waits to read; see [`RwLock::read`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Read<'a, T: ?Sized> {
        lock: &'a RwLock<T>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for Read<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.lock.permits.leave(this.waiter.as_ref());
        }
    }
}

impl<'a, T: ?Sized> Read<'a, T> {
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>, at: Place) -> Self {
        Self {
            lock,
            at,
            waiter: Waiter::new(),
        }
    }
}

impl<'a, T: ?Sized> Future for Read<'a, T> {
    type Output = RwLockReadGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(
            this.lock
                .poll_read(Owner::Taker, this.at, this.waiter.as_ref(), cx)
        );
        Poll::Ready(RwLockReadGuard::new(this.lock))
    }
}

impl<T: ?Sized> fmt::Debug for Read<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Read").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits to write; see [`RwLock::write`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Write<'a, T: ?Sized> {
        lock: &'a RwLock<T>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for Write<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.lock.permits.leave(this.waiter.as_ref());
        }
    }
}

impl<'a, T: ?Sized> Write<'a, T> {
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>, at: Place) -> Self {
        Self {
            lock,
            at,
            waiter: Waiter::new(),
        }
    }
}

impl<'a, T: ?Sized> Future for Write<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(this.lock.poll_write(this.at, this.waiter.as_ref(), cx));
        Poll::Ready(RwLockWriteGuard::new(this.lock))
    }
}

impl<T: ?Sized> fmt::Debug for Write<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Write").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits to read; see [`RwLock::read_owned`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct ReadOwned<T: ?Sized> {
        // Until the guard is returned.
        lock: Option<Arc<RwLock<T>>>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for ReadOwned<T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(lock) = this.lock {
                lock.permits.leave(this.waiter.as_ref());
            }
        }
    }
}

impl<T: ?Sized> ReadOwned<T> {
    pub(super) fn new(lock: Arc<RwLock<T>>, at: Place) -> Self {
        Self {
            lock: Some(lock),
            at,
            waiter: Waiter::new(),
        }
    }
}

impl<T: ?Sized> Future for ReadOwned<T> {
    type Output = OwnedRwLockReadGuard<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let lock = this.lock.as_ref();
        let lock = lock.expect("polled after it returned the lock");
        ready!(lock.poll_read(Owner::Anybody, this.at, this.waiter.as_ref(), cx));
        let lock = this.lock.take().expect("it was there above");
        Poll::Ready(OwnedRwLockReadGuard::new(lock))
    }
}

impl<T: ?Sized> fmt::Debug for ReadOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOwned").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits to write; see [`RwLock::write_owned`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WriteOwned<T: ?Sized> {
        // Until the guard is returned.
        lock: Option<Arc<RwLock<T>>>,
        at: Place,
        #[pin]
        waiter: Waiter<Claim>,
    }

    impl<T: ?Sized> PinnedDrop for WriteOwned<T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(lock) = this.lock {
                lock.permits.leave(this.waiter.as_ref());
            }
        }
    }
}

impl<T: ?Sized> WriteOwned<T> {
    pub(super) fn new(lock: Arc<RwLock<T>>, at: Place) -> Self {
        Self {
            lock: Some(lock),
            at,
            waiter: Waiter::new(),
        }
    }
}

impl<T: ?Sized> Future for WriteOwned<T> {
    type Output = OwnedRwLockWriteGuard<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let lock = this.lock.as_ref();
        let lock = lock.expect("polled after it returned the lock");
        ready!(lock.poll_write(this.at, this.waiter.as_ref(), cx));
        let lock = this.lock.take().expect("it was there above");
        Poll::Ready(OwnedRwLockWriteGuard::new(lock))
    }
}

impl<T: ?Sized> fmt::Debug for WriteOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteOwned").field(&self.waiter).finish()
    }
}
