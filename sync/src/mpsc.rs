//! Values from many senders to one receiver.
//!
//! It is a [`Queue`] that ends by itself, because its ends are told apart: when the last sender
//! is dropped nothing more can come, and the queue is shut down; when the receiver is dropped nobody wants
//! what would come. Order, fairness and what becomes of an operation that is dropped are the queue's, and
//! there is no second one here.

mod permit;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{AcqRel, Relaxed};

use crate::event::{Event, Wait};
use crate::queue::{Get, Items, Put, Queue, TryGetError, TryPutError};
use crate::stats::MpscStats;

pub use crate::send_error::SendError;
pub use permit::{Permit, Reserving};

struct Shared<T> {
    queue: Queue<T>,
    n_senders: AtomicUsize,
    /// Set when the receiver is closed.
    closed: Event,
}

/// Makes a channel that holds at most `capacity` values: senders wait while it is full.
///
/// # Panics
///
/// When `capacity` is 0.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::mpsc;
///
/// # futures_lite::future::block_on(async {
/// let (sender, mut receiver) = mpsc::channel(8);
/// for n in [1, 2] {
///     let sender = sender.clone();
///     std::thread::spawn(move || sender.send_blocking(n));
/// }
/// drop(sender);
/// let mut sum = 0;
/// while let Some(n) = receiver.recv().await {
///     sum += n;
/// }
/// assert_eq!(sum, 3);
/// # });
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_queue(Queue::bounded(capacity))
}

/// Makes a channel that holds any number of values: sending never waits.
///
/// # Examples
///
/// ```
/// let (sender, mut receiver) = rt_tasks_sync::mpsc::unbounded();
/// (0..1000).for_each(|n| sender.try_send(n).unwrap());
/// assert_eq!(receiver.try_recv(), Ok(0));
/// ```
#[doc(alias = "unbounded_channel")]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    with_queue(Queue::unbounded())
}

fn with_queue<T>(queue: Queue<T>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue,
        n_senders: AtomicUsize::new(1),
        closed: Event::new(),
    });
    let receiver = Receiver {
        shared: Arc::clone(&shared),
        items: None,
    };
    (Sender { shared }, receiver)
}

/// The end that sends; clones send into the same channel. When the last one is dropped the receiver gets what
/// is left, and then the end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that receives: with [`recv`](Self::recv), or as a stream. When it is dropped, so are the values
/// that it has not received, and the senders are told.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// While it is used as a stream. It has a place in the queue's line of its own, and is dropped before
    /// anything else is done, so that no value is promised to a stream that nobody polls.
    items: Option<Items<T>>,
}

impl<T> Sender<T> {
    /// Sends a value, and waits while there is no room for it.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line, and the value is dropped with it; it was not sent.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, when the receiver was dropped or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(1);
    /// sender.send("letter").await.unwrap();
    /// assert_eq!(receiver.recv().await, Some("letter"));
    /// drop(receiver);
    /// assert_eq!(sender.send("late").await.unwrap_err().into_inner(), "late");
    /// # });
    /// ```
    #[inline]
    pub fn send(&self, value: T) -> Sending<'_, T> {
        Sending {
            put: self.shared.queue.put(value),
        }
    }

    /// Sends a value on a plain thread, which sleeps while there is no room.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[doc(alias = "blocking_send")]
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        self.shared.queue.put_blocking(value).map_err(SendError::of)
    }

    /// Sends a value if there is room that is promised to nobody.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value, when the channel is full or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = rt_tasks_sync::mpsc::channel(1);
    /// assert!(sender.try_send(1).is_ok());
    /// assert_eq!(sender.try_send(2).unwrap_err().into_inner(), 2);
    /// ```
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.shared
            .queue
            .try_put(value)
            .map_err(|error| match error {
                TryPutError::Full(value) => TrySendError::Full(value),
                TryPutError::ShutDown(value) => TrySendError::Closed(value),
            })
    }

    /// Whether the receiver was dropped or closed, so that sending is of no use.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.is_set()
    }

    /// Waits until the receiver is dropped or closed.
    ///
    /// # Cancel safety
    ///
    /// A dropped call changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, receiver) = rt_tasks_sync::mpsc::channel::<u32>(1);
    /// drop(receiver);
    /// sender.closed().await;
    /// # });
    /// ```
    pub fn closed(&self) -> Wait<'_> {
        self.shared.closed.wait()
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// How many values there is room for in all; `None` where there is no bound.
    pub fn capacity(&self) -> Option<usize> {
        self.shared.queue.capacity()
    }

    /// A look at its numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = rt_tasks_sync::mpsc::channel(4);
    /// sender.try_send(1).unwrap();
    /// assert_eq!((sender.stats().len, sender.stats().capacity), (1, Some(4)));
    /// ```
    #[must_use]
    pub fn stats(&self) -> MpscStats {
        self.shared.stats()
    }
}

impl<T> Receiver<T> {
    /// Waits for the next value; `None` when there will be none any more.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has taken nothing: the next one returns the same value.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(1);
    /// sender.send(1).await.unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv().await, Some(1));
    /// assert_eq!(receiver.recv().await, None);
    /// # });
    /// ```
    #[inline]
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv {
            get: self.queue().get(),
        }
    }

    /// Waits for the next value on a plain thread, which sleeps meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(1);
    /// std::thread::spawn(move || sender.send_blocking(1));
    /// assert_eq!(receiver.recv_blocking(), Some(1));
    /// assert_eq!(receiver.recv_blocking(), None);
    /// ```
    #[doc(alias = "blocking_recv")]
    pub fn recv_blocking(&mut self) -> Option<T> {
        self.queue().get_blocking().ok()
    }

    /// Takes the next value if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when none is there at this moment, [`TryRecvError::Closed`] when none will be
    /// any more.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.queue().try_get().map_err(|error| match error {
            TryGetError::Empty => TryRecvError::Empty,
            TryGetError::ShutDown => TryRecvError::Closed,
        })
    }

    /// Waits for one value at least, and puts what is there at the end of `buffer`, `limit` values at most;
    /// returns how many that were.
    ///
    /// It is 0 when there will be none any more, or `limit` is 0.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has taken nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::unbounded();
    /// (1..=5).for_each(|n| sender.try_send(n).unwrap());
    /// let mut values = vec![];
    /// assert_eq!(receiver.recv_many(&mut values, 3).await, 3);
    /// assert_eq!(values, [1, 2, 3]);
    /// # });
    /// ```
    pub fn recv_many<'a>(&'a mut self, buffer: &'a mut Vec<T>, limit: usize) -> RecvMany<'a, T> {
        let queue = self.queue();
        RecvMany {
            queue,
            buffer,
            limit,
            get: queue.get(),
        }
    }

    /// Refuses what has not been sent yet; what has been can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(2);
    /// sender.try_send(1).unwrap();
    /// receiver.close();
    /// assert!(sender.try_send(2).is_err());
    /// assert_eq!(receiver.recv_blocking(), Some(1));
    /// assert_eq!(receiver.recv_blocking(), None);
    /// ```
    pub fn close(&mut self) {
        self.shared.queue.shutdown();
        self.shared.closed.set();
    }

    /// How many values are there: a snapshot.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// Whether no value is there: a snapshot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at its numbers.
    #[must_use]
    pub fn stats(&self) -> MpscStats {
        self.shared.stats()
    }

    /// The queue, for other uses than as a stream.
    #[inline]
    fn queue(&mut self) -> &Queue<T> {
        self.items = None;
        &self.shared.queue
    }
}

impl<T> Shared<T> {
    fn stats(&self) -> MpscStats {
        let queue = self.queue.stats();
        MpscStats {
            len: queue.len,
            capacity: queue.capacity,
            // Relaxed: a count and nothing else.
            n_senders: self.n_senders.load(Relaxed),
            n_waiting_send: queue.n_waiting_put,
            is_closed: queue.is_shut_down,
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // Relaxed: a count and nothing else.
        self.shared.n_senders.fetch_add(1, Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // ORDERING(mpsc-senders): Release, for the last one. ORDERING(mpsc-senders): Acquire, in case this is
        // it: the queue ends after all that was put.
        if self.shared.n_senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.queue.shutdown();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.items = None;
        // No sender may find the channel open after the values are gone.
        let unreceived = self.shared.queue.shutdown_now();
        self.shared.closed.set();
        drop(unreceived);
    }
}

/// The values as they come; it ends when there will be none any more.
///
/// # Cancel safety
///
/// A stream that is polled no more keeps its place in the line, and nothing is lost: any other call of the
/// receiver takes up from there.
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { shared, items } = self.get_mut();
        let items = items.get_or_insert_with(|| shared.queue.stream());
        Pin::new(items).poll_next(cx)
    }
}

pin_project! {
    /// Sends a value; see [`Sender::send`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sending<'a, T> {
        #[pin]
        put: Put<'a, T>,
    }
}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().put.poll(cx).map_err(SendError::of)
    }
}

impl<T> fmt::Debug for Sending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").field(&self.put).finish()
    }
}

pin_project! {
    /// Receives a value; see [`Receiver::recv`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Recv<'a, T> {
        #[pin]
        get: Get<'a, T>,
    }
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.project().get.poll(cx).map(Result::ok)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recv").field(&self.get).finish()
    }
}

pin_project! {
    /// Receives several values; see [`Receiver::recv_many`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct RecvMany<'a, T> {
        queue: &'a Queue<T>,
        buffer: &'a mut Vec<T>,
        limit: usize,
        #[pin]
        get: Get<'a, T>,
    }
}

impl<T> Future for RecvMany<'_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.project();
        if *this.limit == 0 {
            return Poll::Ready(0);
        }
        let Ok(first) = ready!(this.get.poll(cx)) else {
            return Poll::Ready(0);
        };
        let others = std::iter::from_fn(|| this.queue.try_get().ok());
        let before = this.buffer.len();
        this.buffer.push(first);
        this.buffer.extend(others.take(*this.limit - 1));
        Poll::Ready(this.buffer.len() - before)
    }
}

impl<T> fmt::Debug for RecvMany<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMany")
            .field("limit", &self.limit)
            .field("get", &self.get)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Sender")
            .field("len", &stats.len)
            .field("capacity", &stats.capacity)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Receiver")
            .field("len", &stats.len)
            .field("capacity", &stats.capacity)
            .field("senders", &stats.n_senders)
            .finish_non_exhaustive()
    }
}

/// Why [`Sender::try_send`] has not sent the value, which is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room at this moment.
    Full(T),
    /// The receiver is gone or closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Closed(_) => "nobody receives",
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}

/// Why [`Receiver::try_recv`] has returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// None is there at this moment.
    Empty,
    /// None is there, and none will be any more.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing is there at this moment",
            Self::Closed => "nothing will be sent any more",
        })
    }
}

impl std::error::Error for TryRecvError {}
