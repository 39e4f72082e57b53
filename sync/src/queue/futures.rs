//! The futures of a queue, and the stream of its items.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::WaitKind;

use super::shared::{Answer, Shared};
use super::store::{Fifo, Store};
use super::{Job, ShutDown};
use crate::wait_list::Waiter;

pin_project! {
    /// Puts an item; see [`Queue::put`](super::Queue::put).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Put<'a, T, S = Fifo<T>> {
        shared: &'a Shared<S>,
        // Until it is put or given back.
        item: Option<T>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T, S> PinnedDrop for Put<'_, T, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_put(this.waiter.as_ref());
        }
    }
}

impl<'a, T, S> Put<'a, T, S> {
    #[inline]
    pub(super) fn new(shared: &'a Shared<S>, item: T) -> Self {
        Self {
            shared,
            item: Some(item),
            waiter: Waiter::new(),
        }
    }
}

impl<T, S: Store<T>> Future for Put<'_, T, S> {
    type Output = Result<(), ShutDown<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.shared.poll_put(this.item, this.waiter.as_ref(), cx)
    }
}

impl<T, S> fmt::Debug for Put<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Put").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Takes an item; see [`Queue::get`](super::Queue::get).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Get<'a, T, S = Fifo<T>> {
        shared: &'a Shared<S>,
        #[pin]
        waiter: Waiter<Answer>,
        item: PhantomData<fn() -> T>,
    }

    impl<T, S> PinnedDrop for Get<'_, T, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_get(this.waiter.as_ref());
        }
    }
}

impl<'a, T, S> Get<'a, T, S> {
    #[inline]
    pub(super) fn new(shared: &'a Shared<S>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
            item: PhantomData,
        }
    }
}

impl<T, S: Store<T>> Future for Get<'_, T, S> {
    type Output = Result<T, ShutDown>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.shared.poll_get(this.waiter.as_ref(), cx)
    }
}

impl<T, S> fmt::Debug for Get<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Get").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Takes a job; see [`Queue::take`](super::Queue::take).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Take<'a, T, S = Fifo<T>> {
        shared: &'a Arc<Shared<S>>,
        #[pin]
        get: Get<'a, T, S>,
    }
}

impl<'a, T, S> Take<'a, T, S> {
    #[inline]
    pub(super) fn new(shared: &'a Arc<Shared<S>>) -> Self {
        Self {
            shared,
            get: Get::new(shared),
        }
    }
}

impl<T, S: Store<T>> Future for Take<'_, T, S> {
    type Output = Result<Job<T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let item = ready!(this.get.poll(cx))?;
        let duty = S::duty(Arc::clone(this.shared));
        let duty = match &this.shared.jobs {
            Some(jobs) => duty.watched(jobs),
            None => duty,
        };
        Poll::Ready(Ok(Job::new(item, duty)))
    }
}

impl<T, S> fmt::Debug for Take<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Take").field(&self.get.waiter).finish()
    }
}

pin_project! {
    /// Waits until all items are dealt with; see [`Queue::join`](super::Queue::join).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Join<'a, T, S = Fifo<T>> {
        shared: &'a Shared<S>,
        #[pin]
        waiter: Waiter<Answer>,
        item: PhantomData<fn() -> T>,
    }

    impl<T, S> PinnedDrop for Join<'_, T, S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                // Whoever waited was told: there is nothing to give on.
                let _ = this.shared.lines.lock().leave(this.waiter.as_ref());
            }
        }
    }
}

impl<'a, T, S> Join<'a, T, S> {
    pub(super) fn new(shared: &'a Shared<S>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
            item: PhantomData,
        }
    }
}

impl<T, S> Future for Join<'_, T, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let waiter = this.waiter.as_ref();
        let polled = if waiter.is_idle() {
            this.shared.poll_unfinished(waiter, cx)
        } else {
            this.shared
                .poll_line(WaitKind::QueueDone, waiter, cx)
                .map(|_| ())
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl<T, S> fmt::Debug for Join<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Join").field(&self.waiter).finish()
    }
}

pin_project! {
    /// A `Get` that keeps the queue alive, boxed in [`Items`].
    struct OwnedGet<S> {
        shared: Arc<Shared<S>>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<S> PinnedDrop for OwnedGet<S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_get(this.waiter.as_ref());
        }
    }
}

/// The items of a queue, as they come; see [`Queue::stream`](super::Queue::stream).
#[must_use = "streams do nothing unless polled"]
pub struct Items<T, S = Fifo<T>> {
    get: Pin<Box<OwnedGet<S>>>,
    item: PhantomData<fn() -> T>,
}

impl<T, S> Items<T, S> {
    pub(super) fn new(shared: &Arc<Shared<S>>) -> Self {
        let get = OwnedGet {
            shared: Arc::clone(shared),
            waiter: Waiter::new(),
        };
        Self {
            get: Box::pin(get),
            item: PhantomData,
        }
    }
}

impl<T, S: Store<T>> Items<T, S> {
    /// Waits for the next item; `None` when the queue is shut down and empty.
    ///
    /// It goes before the function of the same name that all streams have from a library. That one does not tell the stream
    /// when it is given up.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. An item that was for it goes to the next in line.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// let mut items = queue.stream();
    /// queue.try_put("letter").unwrap();
    /// assert_eq!(items.next().await, Some("letter"));
    /// queue.shutdown();
    /// assert_eq!(items.next().await, None);
    /// # });
    /// ```
    #[allow(clippy::should_implement_trait)] // It is awaited.
    pub fn next(&mut self) -> NextItem<'_, T, S> {
        NextItem { items: self }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let get = self.get.as_mut().project();
        get.shared.poll_get(get.waiter.as_ref(), cx).map(Result::ok)
    }
}

impl<T, S: Store<T>> Stream for Items<T, S> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(cx)
    }
}

impl<T, S> fmt::Debug for Items<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Items").field(&self.get.waiter).finish()
    }
}

/// Takes the next item; made by [`Items::next`].
#[must_use = "futures do nothing unless awaited"]
pub struct NextItem<'a, T, S = Fifo<T>> {
    items: &'a mut Items<T, S>,
}

impl<T, S: Store<T>> Future for NextItem<'_, T, S> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll(cx)
    }
}

impl<T, S> Drop for NextItem<'_, T, S> {
    fn drop(&mut self) {
        let get = self.items.get.as_mut().project();
        get.shared.leave_get(get.waiter.as_ref());
    }
}

impl<T, S> fmt::Debug for NextItem<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NextItem").field(&self.items).finish()
    }
}
