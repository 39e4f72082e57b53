//! A queue between tasks, bounded or not, that also knows when the work taken from it is done.
//!
//! # The protocol
//!
//! All of a queue is one small state under the lock of one wait list with three lines: getters, putters,
//! and those who wait in `join`. An operation that need not wait is one short critical section. Nothing of
//! the user's runs in it: items are moved, never dropped, and wakers are called outside.
//!
//! What a waiter is granted is a *promise*: to a getter, that one of the items is for it; to a putter,
//! that one of the free slots is. The item itself moves when the waiter runs. So an operation that is
//! dropped in between has not happened: its item was never in the queue, or never left it, and the promise
//! goes to the next in line. Promised items and slots are not to be had by those who come later, and that
//! makes the lines fair.
//!
//! # Invariants
//!
//! Whenever the lock is free:
//!
//! 1. A getter is in line only while every item is promised, a putter only while every slot is filled or
//!    promised. Each step that adds an item or frees a slot promises it at once (`State::settle`).
//! 2. `promised_items` and `promised_slots` are the numbers of waiters that were granted and have not run
//!    since.
//! 3. `unfinished` counts the items that were put and for which `task_done` was not called: an item is
//!    counted before anyone can get it.
//! 4. After `shutdown` no putter is in line; once the items are gone no getter is.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;

use crate::exclusive::Exclusive;
use crate::park;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// The lines of the wait list.
const GETTERS: usize = 0;
const PUTTERS: usize = 1;
const JOINERS: usize = 2;

/// What a waiter carries: nothing while it waits, then the answer.
#[derive(Clone, Copy)]
enum Answer {
    /// No answer yet.
    None,
    /// An item or a slot is for this waiter; to a joiner: all is done.
    Promised,
    /// The queue is shut down.
    Refused,
}

type Lines<'a, T> = Locked<'a, State<T>, Answer, 3>;

struct Shared<T> {
    /// `usize::MAX` for an unbounded queue.
    capacity: usize,
    lines: WaitList<State<T>, Answer, 3>,
}

struct State<T> {
    items: VecDeque<T>,
    promised_items: usize,
    promised_slots: usize,
    unfinished: usize,
    is_shut_down: bool,
}

/// Passes items from any number of producers to any number of consumers, first in, first out.
///
/// The value is a handle: a clone refers to the same queue. A bounded queue makes producers wait while it
/// is full, so that a slow consumer slows them down instead of filling the memory. It is fair on both
/// sides: a slot that becomes free belongs to the producer that has waited longest, an item to the
/// consumer that has.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::Queue;
///
/// # futures_lite::future::block_on(async {
/// let queue = Queue::bounded(5);
/// let producer = queue.clone();
/// std::thread::spawn(move || {
///     for n in 0..10 {
///         producer.put_blocking(n).unwrap();
///     }
///     producer.shutdown();
/// });
/// let mut sum = 0;
/// while let Ok(n) = queue.get().await {
///     sum += n;
/// }
/// assert_eq!(sum, 45);
/// # });
/// ```
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Queue<T> {
    /// Makes a queue that holds at most `capacity` items.
    ///
    /// # Panics
    ///
    /// When `capacity` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = rt_tasks_sync::Queue::bounded(1);
    /// assert!(queue.try_put('a').is_ok() && queue.try_put('b').is_err());
    /// ```
    #[track_caller]
    pub fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a bounded queue holds at least one item");
        Self::with_capacity(capacity)
    }

    /// Makes a queue that holds any number of items.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// (0..1000).for_each(|n| queue.try_put(n).unwrap());
    /// assert_eq!((queue.len(), queue.capacity()), (1000, None));
    /// ```
    pub fn unbounded() -> Self {
        Self::with_capacity(usize::MAX)
    }

    fn with_capacity(capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            promised_items: 0,
            promised_slots: 0,
            unfinished: 0,
            is_shut_down: false,
        };
        let lines = WaitList::new(state);
        Self {
            shared: Arc::new(Shared { capacity, lines }),
        }
    }

    /// Puts an item at the end of the queue, and waits while there is no slot for it.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line, and the item is dropped with it; it has not been
    /// put. The slot that it may have been promised goes to the next in line.
    ///
    /// # Errors
    ///
    /// [`ShutDown`], with the item, once [`shutdown`](Self::shutdown) has been called.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::bounded(1);
    /// queue.put("tea").await?;
    /// queue.shutdown();
    /// assert_eq!(queue.put("milk").await.unwrap_err().into_inner(), "milk");
    /// # Ok::<(), rt_tasks_sync::ShutDown<&str>>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put {
            shared: &self.shared,
            item: Some(item),
            waiter: Waiter::new(),
        }
    }

    /// Puts an item on a plain thread, which sleeps while there is no slot.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub fn put_blocking(&self, item: T) -> Result<(), ShutDown<T>> {
        match self.try_put(item) {
            Ok(()) => Ok(()),
            Err(TryPutError::ShutDown(item)) => Err(ShutDown::new(item)),
            Err(TryPutError::Full(item)) => park::block_on(self.put(item)),
        }
    }

    /// Puts an item at the end of the queue if there is a slot that is promised to nobody.
    ///
    /// # Errors
    ///
    /// [`TryPutError`], with the item, when the queue is full or shut down.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let mut lines = self.shared.lines.lock();
        if lines.is_shut_down {
            drop(lines);
            return Err(TryPutError::ShutDown(item));
        }
        if !lines.has_slot(self.shared.capacity) {
            drop(lines);
            return Err(TryPutError::Full(item));
        }
        lines.push(item);
        Shared::offer_item(&mut lines);
        Ok(())
    }

    /// Takes the item at the front of the queue, and waits while there is none.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has taken nothing. The item that it may have been promised goes to the next in line.
    ///
    /// # Errors
    ///
    /// [`ShutDown`] when the queue is [shut down](Self::shutdown) and empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// queue.put(1).await.unwrap();
    /// queue.shutdown();
    /// assert_eq!(queue.get().await, Ok(1));
    /// assert!(queue.get().await.is_err());
    /// # });
    /// ```
    #[inline]
    pub fn get(&self) -> Get<'_, T> {
        Get {
            shared: &self.shared,
            waiter: Waiter::new(),
        }
    }

    /// Takes an item on a plain thread, which sleeps while there is none.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn get_blocking(&self) -> Result<T, ShutDown> {
        match self.try_get() {
            Ok(item) => Ok(item),
            Err(TryGetError::ShutDown) => Err(ShutDown::new(())),
            Err(TryGetError::Empty) => park::block_on(self.get()),
        }
    }

    /// Takes the item at the front of the queue if there is one that is promised to nobody.
    ///
    /// # Errors
    ///
    /// [`TryGetError::Empty`] when there is none at this moment, [`TryGetError::ShutDown`] when there will
    /// be none any more.
    #[inline]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let mut lines = self.shared.lines.lock();
        self.shared.take_item(&mut lines)
    }

    /// Takes an item together with the duty to finish it: [`task_done`](Self::task_done) is called when
    /// the [`Job`] is dropped, however that comes about.
    ///
    /// # Cancel safety
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// queue.put(String::from("work")).await.unwrap();
    /// let job = queue.take().await.unwrap();
    /// assert_eq!(job.len(), 4);
    /// drop(job);
    /// queue.join().await;
    /// # });
    /// ```
    #[inline]
    pub fn take(&self) -> Take<'_, T> {
        Take {
            queue: self,
            get: self.get(),
        }
    }

    /// Says that one item that was taken from the queue has been dealt with.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] when it has been said for all items already.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut lines = self.shared.lines.lock();
        if lines.unfinished == 0 {
            return Err(TaskDoneError(()));
        }
        lines.unfinished -= 1;
        Shared::release_joiners(&mut lines);
        Ok(())
    }

    /// Waits until every item that was put has been dealt with: taken, and reported by
    /// [`task_done`](Self::task_done).
    ///
    /// # Cancel safety
    ///
    /// A dropped call changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// queue.put(1).await.unwrap();
    /// queue.get().await.unwrap();
    /// queue.task_done().unwrap();
    /// queue.join().await;
    /// # });
    /// ```
    pub fn join(&self) -> Join<'_, T> {
        Join {
            shared: &self.shared,
            waiter: Waiter::new(),
        }
    }

    /// Ends the queue: nothing can be put any more; what is in it can still be taken.
    ///
    /// Producers that wait get their items back. Consumers get [`ShutDown`] once the queue is empty.
    /// Doing it again changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.shutdown();
    /// assert!(queue.try_put(2).is_err());
    /// assert_eq!(queue.try_get(), Ok(1));
    /// ```
    pub fn shutdown(&self) {
        let mut lines = self.shared.lines.lock();
        lines.is_shut_down = true;
        lines.grant_all(PUTTERS, Answer::Refused);
        Shared::refuse_getters_at_the_end(&mut lines);
    }

    /// Ends the queue and empties it: what was in it is returned, and counts as dealt with.
    ///
    /// Items that were taken before still need their [`task_done`](Self::task_done).
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.try_put(2).unwrap();
    /// assert_eq!(queue.shutdown_now(), [1, 2]);
    /// assert!(queue.try_get().is_err());
    /// ```
    pub fn shutdown_now(&self) -> Vec<T> {
        self.shutdown();
        let mut lines = self.shared.lines.lock();
        let items = mem::take(&mut lines.items);
        lines.unfinished = lines.unfinished.saturating_sub(items.len());
        Shared::refuse_getters_at_the_end(&mut lines);
        Shared::release_joiners(&mut lines);
        drop(lines);
        items.into()
    }

    /// How many items are in the queue: a snapshot.
    pub fn len(&self) -> usize {
        self.shared.lines.lock().items.len()
    }

    /// Whether no item is in the queue: a snapshot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no slot for one more item: a snapshot.
    pub fn is_full(&self) -> bool {
        !self.shared.lines.lock().has_slot(self.shared.capacity)
    }

    /// How many items the queue can hold; `None` where there is no bound.
    pub fn capacity(&self) -> Option<usize> {
        (self.shared.capacity != usize::MAX).then_some(self.shared.capacity)
    }

    /// Whether [`shutdown`](Self::shutdown) has been called.
    pub fn is_shut_down(&self) -> bool {
        self.shared.lines.lock().is_shut_down
    }

    /// The items as a stream that ends when the queue is shut down and empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::StreamExt;
    ///
    /// # futures_lite::future::block_on(async {
    /// let queue = rt_tasks_sync::Queue::unbounded();
    /// (1..=3).for_each(|n| queue.try_put(n).unwrap());
    /// queue.shutdown();
    /// assert_eq!(queue.stream().collect::<Vec<_>>().await, [1, 2, 3]);
    /// # });
    /// ```
    pub fn stream(&self) -> Items<T> {
        Items {
            get: Box::pin(OwnedGet {
                shared: Arc::clone(&self.shared),
                waiter: Waiter::new(),
            }),
        }
    }
}

impl<T> State<T> {
    /// Whether there is a slot that is promised to nobody.
    #[inline]
    fn has_slot(&self, capacity: usize) -> bool {
        self.items.len() + self.promised_slots < capacity
    }

    /// Invariant 3: counted, then visible.
    #[inline]
    fn push(&mut self, item: T) {
        self.unfinished += 1;
        self.items.push_back(item);
    }
}

impl<T> Shared<T> {
    /// Takes an item that is promised to nobody.
    #[inline]
    fn take_item(&self, lines: &mut Lines<'_, T>) -> Result<T, TryGetError> {
        if lines.items.len() > lines.promised_items {
            if let Some(item) = lines.items.pop_front() {
                self.after_taking(lines);
                return Ok(item);
            }
        }
        Err(if lines.is_shut_down && lines.items.is_empty() {
            TryGetError::ShutDown
        } else {
            TryGetError::Empty
        })
    }

    /// Promises the slot that an item has just left.
    #[inline]
    fn after_taking(&self, lines: &mut Lines<'_, T>) {
        if lines.is_shut_down {
            Self::refuse_getters_at_the_end(lines);
        } else {
            self.offer_slot(lines);
        }
    }

    /// Promises a slot, if one is free, to the putter that has waited longest.
    #[inline]
    fn offer_slot(&self, lines: &mut Lines<'_, T>) {
        if !lines.is_empty(PUTTERS)
            && lines.has_slot(self.capacity)
            && lines.grant(PUTTERS, Answer::Promised)
        {
            lines.promised_slots += 1;
        }
    }

    /// Promises an item, if one is promised to nobody, to the getter that has waited longest.
    #[inline]
    fn offer_item(lines: &mut Lines<'_, T>) {
        if !lines.is_empty(GETTERS)
            && lines.items.len() > lines.promised_items
            && lines.grant(GETTERS, Answer::Promised)
        {
            lines.promised_items += 1;
        }
    }

    /// Tells those who wait for an item that none will come, if that is so (Invariant 4).
    #[inline]
    fn refuse_getters_at_the_end(lines: &mut Lines<'_, T>) {
        if lines.is_shut_down && lines.items.is_empty() {
            lines.grant_all(GETTERS, Answer::Refused);
        }
    }

    #[inline]
    fn release_joiners(lines: &mut Lines<'_, T>) {
        if lines.unfinished == 0 {
            lines.grant_all(JOINERS, Answer::Promised);
        }
    }

    #[inline]
    fn poll_get(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ShutDown>> {
        ready!(coop::poll_proceed(cx));
        let polled = if waiter.is_idle() {
            self.poll_new_get(waiter, cx)
        } else {
            self.lines.poll(waiter, cx).map(|answer| match answer {
                Answer::Promised => self.redeem_item(),
                Answer::Refused | Answer::None => Err(ShutDown::new(())),
            })
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[inline]
    fn poll_new_get(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ShutDown>> {
        let taken = {
            let mut lines = self.lines.lock();
            self.take_item(&mut lines)
        };
        match taken {
            Ok(item) => Poll::Ready(Ok(item)),
            Err(TryGetError::ShutDown) => Poll::Ready(Err(ShutDown::new(()))),
            Err(TryGetError::Empty) => self.wait_for_item(waiter, cx),
        }
    }

    #[cold]
    fn wait_for_item(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ShutDown>> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        let taken = self.take_item(&mut lines);
        if let Err(TryGetError::Empty) = taken {
            lines.enqueue(GETTERS, waiter, Answer::None, waker);
            return Poll::Pending;
        }
        drop(lines);
        Poll::Ready(taken.map_err(|_| ShutDown::new(())))
    }

    /// Takes the item that was promised.
    fn redeem_item(&self) -> Result<T, ShutDown> {
        let mut lines = self.lines.lock();
        lines.promised_items -= 1;
        match lines.items.pop_front() {
            Some(item) => {
                self.after_taking(&mut lines);
                Ok(item)
            }
            // `shutdown_now` took it.
            None => Err(ShutDown::new(())),
        }
    }

    fn leave_get(&self, waiter: Pin<&Waiter<Answer>>) {
        if waiter.is_idle() {
            return;
        }
        let mut lines = self.lines.lock();
        if let Left::Granted(Answer::Promised) = lines.leave(waiter) {
            lines.promised_items -= 1;
            Self::offer_item(&mut lines);
        }
    }

    #[inline]
    fn poll_put(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ShutDown<T>>> {
        ready!(coop::poll_proceed(cx));
        let polled = if waiter.is_idle() {
            self.poll_new_put(item, waiter, cx)
        } else {
            self.lines
                .poll(waiter, cx)
                .map(|answer| self.redeem_slot(answer, item))
        };
        match polled {
            Poll::Ready(true) => Poll::Ready(Ok(())),
            Poll::Ready(false) => Poll::Ready(Err(ShutDown::new(taken(item)))),
            Poll::Pending => {
                coop::restore();
                Poll::Pending
            }
        }
    }

    /// Ready with whether the item was put.
    #[inline]
    fn poll_new_put(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        {
            let mut lines = self.lines.lock();
            if lines.is_shut_down {
                return Poll::Ready(false);
            }
            if lines.has_slot(self.capacity) {
                lines.push(taken(item));
                Self::offer_item(&mut lines);
                return Poll::Ready(true);
            }
        }
        self.wait_for_slot(item, waiter, cx)
    }

    #[cold]
    fn wait_for_slot(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if lines.is_shut_down || lines.has_slot(self.capacity) {
            drop(lines);
            return self.poll_new_put(item, waiter, cx);
        }
        lines.enqueue(PUTTERS, waiter, Answer::None, waker);
        Poll::Pending
    }

    /// Fills the slot that was promised; says whether it could.
    fn redeem_slot(&self, answer: Answer, item: &mut Option<T>) -> bool {
        if let Answer::Refused | Answer::None = answer {
            return false;
        }
        let mut lines = self.lines.lock();
        lines.promised_slots -= 1;
        if lines.is_shut_down {
            return false;
        }
        lines.push(taken(item));
        Self::offer_item(&mut lines);
        true
    }

    fn leave_put(&self, waiter: Pin<&Waiter<Answer>>) {
        if waiter.is_idle() {
            return;
        }
        let mut lines = self.lines.lock();
        if let Left::Granted(Answer::Promised) = lines.leave(waiter) {
            lines.promised_slots -= 1;
            self.offer_slot(&mut lines);
        }
    }

    #[cold]
    fn poll_unfinished(&self, waiter: Pin<&Waiter<Answer>>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if lines.unfinished == 0 {
            drop(lines);
            return Poll::Ready(());
        }
        lines.enqueue(JOINERS, waiter, Answer::None, waker);
        Poll::Pending
    }
}

/// The item of a `put` that is not through.
#[track_caller]
fn taken<T>(item: &mut Option<T>) -> T {
    item.take().expect("polled after it had put its item")
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.shared.lines.lock();
        f.debug_struct("Queue")
            .field("len", &lines.items.len())
            .field("capacity", &self.capacity())
            .field("unfinished", &lines.unfinished)
            .field("shut_down", &lines.is_shut_down)
            .field("waiting_getters", &lines.len(GETTERS))
            .field("waiting_putters", &lines.len(PUTTERS))
            .finish()
    }
}

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

impl<T> Future for Take<'_, T> {
    type Output = Result<Job<T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let item = ready!(this.get.poll(cx))?;
        Poll::Ready(Ok(Job {
            duty: Duty(this.queue.clone()),
            item,
        }))
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

/// An item that was taken from a [`Queue`], and counts as dealt with when it is dropped.
#[must_use = "an item counts as dealt with as soon as its job is dropped"]
pub struct Job<T> {
    // Dropped in this order: the work is done when the item is gone.
    item: T,
    duty: Duty<T>,
}

/// Calls `task_done` when dropped.
struct Duty<T>(Queue<T>);

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        // An error means that somebody else called it once too often: they were told.
        let _ = self.0.task_done();
    }
}

impl<T> Job<T> {
    /// Takes the item out; from then on it counts as dealt with.
    pub fn into_inner(self) -> T {
        self.item
    }

    /// The queue that it came from.
    pub fn queue(&self) -> &Queue<T> {
        &self.duty.0
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Job<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// The queue is shut down; with the item that could not be put.
pub struct ShutDown<T = ()> {
    item: Exclusive<T>,
}

impl<T> ShutDown<T> {
    pub(crate) const fn new(item: T) -> Self {
        Self {
            item: Exclusive::new(item),
        }
    }

    /// Returns the item that could not be put.
    pub fn into_inner(self) -> T {
        self.item.into_inner()
    }
}

impl Default for ShutDown {
    fn default() -> Self {
        Self::new(())
    }
}

impl PartialEq for ShutDown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ShutDown {}

impl<T> fmt::Debug for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutDown").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl<T> std::error::Error for ShutDown<T> {}

/// Why [`Queue::try_put`] has not put the item, which is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no slot at this moment.
    Full(T),
    /// The queue is shut down.
    ShutDown(T),
}

impl<T> TryPutError<T> {
    /// Returns the item that could not be put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue is shut down",
        })
    }
}

impl<T> std::error::Error for TryPutError<T> {}

/// Why [`Queue::try_get`] has returned no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is none at this moment that is promised to nobody.
    Empty,
    /// The queue is shut down and empty.
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue is shut down",
        })
    }
}

impl std::error::Error for TryGetError {}

/// [`Queue::task_done`] was called more often than items were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneError(());

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put")
    }
}

impl std::error::Error for TaskDoneError {}
