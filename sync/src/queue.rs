//! A queue between tasks, bounded or not, that also knows when the work taken from it is done.
//!
//! This is its surface; how it keeps its promises is written in `queue/shared.rs`.

mod errors;
mod futures;
mod shared;

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::park;
use crate::stats::QueueStats;

pub use errors::{ShutDown, TaskDoneError, TryGetError, TryPutError};
pub use futures::{Get, Items, Join, Put, Take};
use shared::{Answer, GETTERS, PUTTERS, Shared};

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
        Self {
            shared: Arc::new(Shared::new(capacity)),
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
        Put::new(&self.shared, item)
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
        Get::new(&self.shared)
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
        Take::new(self)
    }

    /// Says that one item that was taken from the queue has been dealt with.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] when it has been said for all items already.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut lines = self.shared.lines.lock();
        if lines.unfinished == 0 {
            return Err(TaskDoneError::new());
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
        Join::new(&self.shared)
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

    /// A look at its numbers, taken in one moment.
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = rt_tasks_sync::Queue::bounded(2);
    /// queue.try_put("item").unwrap();
    /// let stats = queue.stats();
    /// assert_eq!((stats.len, stats.capacity, stats.n_unfinished), (1, Some(2), 1));
    /// ```
    #[must_use]
    pub fn stats(&self) -> QueueStats {
        self.shared.stats()
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
        Items::new(&self.shared)
    }
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
    fn new(item: T, queue: Queue<T>) -> Self {
        Self {
            item,
            duty: Duty(queue),
        }
    }

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
