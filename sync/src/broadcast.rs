//! Each value for every receiver.
//!
//! The last values are kept until every receiver has had them, or until there are too many: then the oldest
//! goes, and a receiver that had not had it is told how many it has missed. So a slow receiver neither holds
//! the senders up nor fills the memory.
//!
//! # The protocol
//!
//! All of a channel is one small state under the lock of one wait list. A value is put into an `Arc` before,
//! and cloned and dropped after, so that nothing of the user's runs under the lock.
//!
//! Values have numbers, counted from the first one sent. A receiver has the number of the next value that it
//! wants; a value, the number of receivers that still want it. Who waits for a value is let go with all
//! others when one is sent, and looks again: it was told nothing that it could lose.
//!
//! # Invariants
//!
//! Whenever the lock is free:
//!
//! 1. `kept` holds the values with the numbers from `first` on, at most `capacity` of them. Its front is still
//!    wanted by somebody.
//! 2. `wanted_by` of a value is the number of receivers whose `next` is not greater than its number. So it
//!    does not shrink from the front on.
//! 3. Somebody is in line only while no value is kept that it has not had, and a sender is left.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
pub use crate::send_error::SendError;
use crate::stats::BroadcastStats;
use crate::wait_list::{WaitList, Waiter};

struct Shared<T> {
    capacity: usize,
    line: WaitList<State<T>, ()>,
}

struct State<T> {
    /// The number of the oldest value that is kept, or of the next one.
    first: u64,
    kept: VecDeque<Kept<T>>,
    n_senders: usize,
    n_receivers: usize,
}

struct Kept<T> {
    value: Arc<T>,
    wanted_by: usize,
}

/// Makes a channel in which every receiver gets each value, and that keeps `capacity` of them.
///
/// # Panics
///
/// When `capacity` is 0.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::broadcast;
///
/// # futures_lite::future::block_on(async {
/// let (sender, mut first) = broadcast::channel(16);
/// let mut second = sender.subscribe();
/// sender.send("news").unwrap();
/// assert_eq!(first.recv().await, Ok("news"));
/// assert_eq!(second.recv().await, Ok("news"));
/// # });
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast channel keeps at least one value");
    let state = State {
        first: 0,
        kept: VecDeque::new(),
        n_senders: 1,
        n_receivers: 1,
    };
    let shared = Arc::new(Shared {
        capacity,
        line: WaitList::new(state),
    });
    let receiver = Receiver {
        shared: Arc::clone(&shared),
        next: 0,
    };
    (Sender { shared }, receiver)
}

/// The end that sends. When the last one is dropped the receivers are told.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that gets a clone of each value which is sent after it was made.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The number of the next value that it wants.
    next: u64,
}

impl<T> Sender<T> {
    /// Sends a value to every receiver there is, without waiting; returns how many that are.
    ///
    /// If as many values are kept as may be, the oldest goes: receivers that have not had it are told by
    /// [`RecvError::Lagged`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, when there is no receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::broadcast::channel(16);
    /// assert_eq!(sender.send(1).unwrap(), 1);
    /// drop(receiver);
    /// assert_eq!(sender.send(2).unwrap_err().into_inner(), 2);
    /// ```
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let value = Arc::new(value);
        let mut state = self.shared.line.lock();
        let n_receivers = state.n_receivers;
        if n_receivers == 0 {
            drop(state);
            let value = Arc::into_inner(value).expect("nobody else has had it");
            return Err(SendError::new(value));
        }
        let oldest = (state.kept.len() == self.shared.capacity)
            .then(|| state.pop_front())
            .flatten();
        state.kept.push_back(Kept {
            value,
            wanted_by: n_receivers,
        });
        state.grant_all(0, ());
        drop(state);
        drop(oldest);
        Ok(n_receivers)
    }

    /// Makes a receiver that gets what is sent from now on.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, _) = rt_tasks_sync::broadcast::channel(16);
    /// let mut receiver = sender.subscribe();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.recv().await, Ok(1));
    /// # });
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::subscribed(&self.shared)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.line.lock().n_receivers
    }

    /// How many values are kept for receivers that have not had them.
    pub fn len(&self) -> usize {
        self.shared.line.lock().kept.len()
    }

    /// Whether every receiver has had every value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at its numbers, taken in one moment.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = rt_tasks_sync::broadcast::channel(16);
    /// sender.send(1).unwrap();
    /// assert_eq!((sender.stats().len, sender.stats().n_receivers), (1, 1));
    /// ```
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.shared.stats()
    }
}

impl<T> Receiver<T> {
    fn subscribed(shared: &Arc<Shared<T>>) -> Self {
        let mut state = shared.line.lock();
        state.n_receivers += 1;
        Self {
            shared: Arc::clone(shared),
            next: state.end(),
        }
    }

    /// Makes a receiver that gets what is sent from now on, whatever this one has had.
    pub fn resubscribe(&self) -> Self {
        Self::subscribed(&self.shared)
    }

    /// How many values are kept that this receiver has not had.
    pub fn len(&self) -> usize {
        let state = self.shared.line.lock();
        (state.end() - self.next.max(state.first)) as usize
    }

    /// Whether this receiver has had every value that is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look at its numbers, taken in one moment.
    #[must_use]
    pub fn stats(&self) -> BroadcastStats {
        self.shared.stats()
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has taken nothing: the next one returns the same value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] when values went before this receiver had them; the next call returns the
    /// oldest that is kept. [`RecvError::Closed`] when all senders are gone and all values were had.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use rt_tasks_sync::broadcast::{RecvError, channel};
    ///
    /// let (sender, mut receiver) = channel(2);
    /// (1..=5).for_each(|n| drop(sender.send(n)));
    /// drop(sender);
    /// assert_eq!(receiver.recv().await, Err(RecvError::Lagged(3)));
    /// assert_eq!(receiver.recv().await, Ok(4));
    /// assert_eq!(receiver.recv().await, Ok(5));
    /// assert_eq!(receiver.recv().await, Err(RecvError::Closed));
    /// # });
    /// ```
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv {
            receiver: self,
            waiter: Waiter::new(),
        }
    }

    /// Waits for the next value on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    #[doc(alias = "blocking_recv")]
    pub fn recv_blocking(&mut self) -> Result<T, RecvError> {
        park::block_on(self.recv())
    }

    /// Takes the next value if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when it has not been sent yet; otherwise as for [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::broadcast::channel(2);
    /// assert!(receiver.try_recv().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.shared.line.lock();
        let taken = state.take(&mut self.next);
        drop(state);
        taken.map(Arc::unwrap_or_clone)
    }
}

impl<T> State<T> {
    /// The number of the next value that will be sent.
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn pop_front(&mut self) -> Option<Arc<T>> {
        let kept = self.kept.pop_front()?;
        self.first += 1;
        Some(kept.value)
    }

    /// Takes out the value at the front if nobody wants it any more.
    fn pop_unwanted(&mut self) -> Option<Arc<T>> {
        let front = self.kept.front()?;
        (front.wanted_by == 0).then(|| self.pop_front()).flatten()
    }

    /// The value with the number `next`, which is then one further.
    fn take(&mut self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        if *next < self.first {
            let n_missed = self.first - *next;
            *next = self.first;
            return Err(TryRecvError::Lagged(n_missed));
        }
        let place = (*next - self.first) as usize;
        let Some(kept) = self.kept.get_mut(place) else {
            return Err(match self.n_senders {
                0 => TryRecvError::Closed,
                _ => TryRecvError::Empty,
            });
        };
        *next += 1;
        kept.wanted_by -= 1;
        let value = Arc::clone(&kept.value);
        // The one behind it is wanted by this receiver, so one look is enough. What is dropped is not the last
        // handle: there is the one above.
        drop(self.pop_unwanted());
        Ok(value)
    }
}

impl<T> Shared<T> {
    fn stats(&self) -> BroadcastStats {
        let state = self.line.lock();
        BroadcastStats {
            len: state.kept.len(),
            capacity: self.capacity,
            n_senders: state.n_senders,
            n_receivers: state.n_receivers,
            n_waiting: state.len(0),
        }
    }

    fn poll_take(
        &self,
        next: &mut u64,
        waiter: Pin<&Waiter<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arc<T>, RecvError>> {
        if !waiter.is_idle() {
            ready!(self.line.poll(waiter, cx));
        }
        let taken = self.line.lock().take(next);
        match RecvError::unless_empty(taken) {
            Some(taken) => Poll::Ready(taken),
            None => self.wait_for_value(next, waiter, cx),
        }
    }

    #[cold]
    fn wait_for_value(
        &self,
        next: &mut u64,
        waiter: Pin<&Waiter<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Arc<T>, RecvError>> {
        let waker = cx.waker().clone();
        let mut state = self.line.lock();
        let Some(taken) = RecvError::unless_empty(state.take(next)) else {
            state.enqueue(WaitKind::Channel, 0, waiter, (), waker);
            return Poll::Pending;
        };
        drop(state);
        Poll::Ready(taken)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.line.lock().n_senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.line.lock();
        state.n_senders -= 1;
        if state.n_senders == 0 {
            state.grant_all(0, ());
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut unwanted = Vec::new();
        let mut state = self.shared.line.lock();
        state.n_receivers -= 1;
        let had = self.next.saturating_sub(state.first) as usize;
        for kept in state.kept.iter_mut().skip(had) {
            kept.wanted_by -= 1;
        }
        while let Some(value) = state.pop_unwanted() {
            unwanted.push(value);
        }
        drop(state);
        drop(unwanted);
    }
}

pin_project! {
    /// Waits for a value; see [`Receiver::recv`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Recv<'a, T> {
        receiver: &'a mut Receiver<T>,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for Recv<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                // Everyone who waits is let go: there is nothing to give on.
                let _ = this.receiver.shared.line.lock().leave(this.waiter.as_ref());
            }
        }
    }
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let Receiver { shared, next } = &mut **this.receiver;
        let polled = shared.poll_take(next, this.waiter.as_ref(), cx);
        if polled.is_pending() {
            coop::restore();
        }
        // Without the lock: cloning it may run any code.
        polled.map_ok(Arc::unwrap_or_clone)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recv").field(&self.waiter).finish()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Sender")
            .field("len", &stats.len)
            .field("receivers", &stats.n_receivers)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .field("senders", &self.stats().n_senders)
            .finish_non_exhaustive()
    }
}

/// Why [`Receiver::recv`] has returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone, and everything was received.
    Closed,
    /// So many values went before this receiver had them.
    Lagged(u64),
}

impl RecvError {
    /// What waiting returns, if it need not wait.
    fn unless_empty<V>(taken: Result<V, TryRecvError>) -> Option<Result<V, Self>> {
        match taken {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Closed) => Some(Err(Self::Closed)),
            Err(TryRecvError::Lagged(n_missed)) => Some(Err(Self::Lagged(n_missed))),
            Err(TryRecvError::Empty) => None,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("no sender is left"),
            Self::Lagged(n_missed) => write!(f, "too slow: {n_missed} values were missed"),
        }
    }
}

impl std::error::Error for RecvError {}

/// Why [`Receiver::try_recv`] has returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not been sent yet.
    Empty,
    /// All senders are gone, and everything was received.
    Closed,
    /// So many values went before this receiver had them.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing has been sent yet"),
            Self::Closed => f.write_str("no sender is left"),
            Self::Lagged(n_missed) => write!(f, "too slow: {n_missed} values were missed"),
        }
    }
}

impl std::error::Error for TryRecvError {}
