//! The futures of a queue, and the stream of its items.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;

use super::shared::{Answer, Shared};
use super::{Job, Queue, ShutDown};
use crate::wait_list::Waiter;

pin_project! {
    /// Puts an item; see [`Queue::put`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Put<'a, T> {
        shared: &'a Shared<T>,
        // Until it is put or given back.
        item: Option<T>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T> PinnedDrop for Put<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_put(this.waiter.as_ref());
        }
    }
}

impl<'a, T> Put<'a, T> {
    #[inline]
    pub(super) fn new(shared: &'a Shared<T>, item: T) -> Self {
        Self {
            shared,
            item: Some(item),
            waiter: Waiter::new(),
        }
    }
}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), ShutDown<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.shared.poll_put(this.item, this.waiter.as_ref(), cx)
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Put").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Takes an item; see [`Queue::get`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Get<'a, T> {
        shared: &'a Shared<T>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T> PinnedDrop for Get<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_get(this.waiter.as_ref());
        }
    }
}

impl<'a, T> Get<'a, T> {
    #[inline]
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
        }
    }
}

impl<T> Future for Get<'_, T> {
    type Output = Result<T, ShutDown>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.shared.poll_get(this.waiter.as_ref(), cx)
    }
}

impl<T> fmt::Debug for Get<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Get").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Takes an item as a [`Job`]; see [`Queue::take`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Take<'a, T> {
        queue: &'a Queue<T>,
        #[pin]
        get: Get<'a, T>,
    }
}

impl<'a, T> Take<'a, T> {
    #[inline]
    pub(super) fn new(queue: &'a Queue<T>) -> Self {
        Self {
            queue,
            get: queue.get(),
        }
    }
}

impl<T> Future for Take<'_, T> {
    type Output = Result<Job<T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let item = ready!(this.get.poll(cx))?;
        Poll::Ready(Ok(Job::new(item, this.queue.clone())))
    }
}

impl<T> fmt::Debug for Take<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Take").field(&self.get.waiter).finish()
    }
}

pin_project! {
    /// Waits until all items are dealt with; see [`Queue::join`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Join<'a, T> {
        shared: &'a Shared<T>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T> PinnedDrop for Join<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                // Whoever waited was told: there is nothing to give on.
                let _ = this.shared.lines.lock().leave(this.waiter.as_ref());
            }
        }
    }
}

impl<'a, T> Join<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
        }
    }
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let waiter = this.waiter.as_ref();
        let polled = if waiter.is_idle() {
            this.shared.poll_unfinished(waiter, cx)
        } else {
            this.shared.lines.poll(waiter, cx).map(|_| ())
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Join").field(&self.waiter).finish()
    }
}

pin_project! {
    /// A `Get` that keeps the queue alive, boxed in [`Items`].
    struct OwnedGet<T> {
        shared: Arc<Shared<T>>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T> PinnedDrop for OwnedGet<T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_get(this.waiter.as_ref());
        }
    }
}

/// The items of a queue, as they come; see [`Queue::stream`].
#[must_use = "streams do nothing unless polled"]
pub struct Items<T> {
    get: Pin<Box<OwnedGet<T>>>,
}

impl<T> Items<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self {
            get: Box::pin(OwnedGet {
                shared: Arc::clone(shared),
                waiter: Waiter::new(),
            }),
        }
    }
}

impl<T> Stream for Items<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let get = self.get.as_mut().project();
        get.shared.poll_get(get.waiter.as_ref(), cx).map(Result::ok)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Items").field(&self.get.waiter).finish()
    }
}
