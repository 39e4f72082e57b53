//! One value, sent once.
//!
//! The receiver is the only one who ever waits for the value, and it has to stay `Unpin`, so this does
//! without the wait list: one allocation holds the value and a waker for each side, and one word of flags
//! says who may touch what.
//!
//! # Invariants
//!
//! 1. Until `COMPLETE` is set `value` belongs to the sender, afterwards to the receiver. The sender sets
//!    it at most once, as its last step but one: then it may wake.
//! 2. With `CLOSED` set before `COMPLETE`, the value never passes: the sender keeps it.
//! 3. `receiver_waker` is written by the receiver only, while `RECEIVER_WAITS` is not set and `COMPLETE`
//!    has not been seen together with it. While the flag is set both sides may read it; the sender does
//!    so once, if it found the flag when it set `COMPLETE`.
//! 4. `sender_waker` is the mirror image, with `SENDER_WAITS` and `CLOSED`.
//!
//! # Memory ordering
//!
//! `value`: setting `COMPLETE` releases the value, and each look that may find the flag acquires it.
//! `receiver_waker` and `sender_waker`: setting `…_WAITS` releases the waker, and the operation that sets
//! the flag of the other side acquires it. `closed`: what the receiver did before it closed is seen by the
//! sender that finds it closed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use rt_tasks_runtime::shim::{Arc, UnsafeCell};
use rt_tasks_runtime::wait::{self, WaitKind};

use crate::park;
use crate::stats::OneshotStats;
use crate::wait_list::shielded;

/// The sender is through: the value is there, or never will be.
const COMPLETE: u8 = 1;
/// The receiver takes nothing more.
const CLOSED: u8 = 2;
/// There is a waker in `receiver_waker`.
const RECEIVER_WAITS: u8 = 4;
/// There is a waker in `sender_waker`.
const SENDER_WAITS: u8 = 8;

struct Shared<T> {
    flags: AtomicU8,
    value: UnsafeCell<Option<T>>,
    receiver_waker: UnsafeCell<Option<Waker>>,
    sender_waker: UnsafeCell<Option<Waker>>,
}

// SAFETY: Invariants 1, 3 and 4 say which side may touch which cell when: the value only moves from one
// to the other, and wakers are `Sync`.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Makes a channel for one value.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::oneshot;
///
/// # futures_lite::future::block_on(async {
/// let (sender, receiver) = oneshot::channel();
/// std::thread::spawn(|| sender.send(42));
/// assert_eq!(receiver.await, Ok(42));
/// # });
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        flags: AtomicU8::new(0),
        value: UnsafeCell::new(None),
        receiver_waker: UnsafeCell::new(None),
        sender_waker: UnsafeCell::new(None),
    });
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    let receiver = Receiver {
        shared: Some(shared),
    };
    (sender, receiver)
}

/// The end that sends; dropping it unused tells the receiver that nothing will come.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that receives, by being awaited.
///
/// # Cancel safety
///
/// A receiver that is dropped before it returned the value drops the value too. Await `&mut receiver` to
/// be able to stop waiting and to go on later.
///
/// # Errors
///
/// [`RecvError`] when the sender was dropped without sending.
///
/// # Panics
///
/// When it is polled after it returned.
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T> {
    /// Until the value or the error was returned.
    shared: Option<Arc<Shared<T>>>,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    ///
    /// The value, when the receiver was dropped or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send(1), Err(1));
    /// ```
    pub fn send(self, value: T) -> Result<(), T> {
        let shared = &*self.shared;
        shared.value.with_mut(|place| {
            // SAFETY: Invariant 1: only the sender sets `COMPLETE`, and it has not yet.
            unsafe { *place = Some(value) }
        });
        if shared.complete_unless_closed() {
            return Ok(());
        }
        let value = shared.value.with_mut(|place| {
            // SAFETY: Invariants 1 and 2: `COMPLETE` was not set.
            unsafe { (*place).take() }
        });
        Err(value.expect("it was put there above"))
    }

    /// Whether the receiver was dropped or closed, so that sending is of no use.
    pub fn is_closed(&self) -> bool {
        // ORDERING(closed): Acquire, for `close`.
        self.shared.flags.load(Acquire) & CLOSED != 0
    }

    /// A look at what both ends have done.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::oneshot::channel::<u32>();
    /// receiver.close();
    /// assert!(sender.stats().is_closed);
    /// ```
    #[must_use]
    pub fn stats(&self) -> OneshotStats {
        self.shared.stats()
    }

    /// Waits until the receiver is dropped or closed: then nobody wants the value any more.
    ///
    /// # Cancel safety
    ///
    /// A dropped call changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (mut sender, receiver) = rt_tasks_sync::oneshot::channel::<u32>();
    /// drop(receiver);
    /// sender.closed().await;
    /// # });
    /// ```
    pub fn closed(&mut self) -> Closed<'_, T> {
        Closed { sender: self }
    }
}

impl<T> Drop for Sender<T> {
    #[inline]
    fn drop(&mut self) {
        // Relaxed: this end's own flag.
        if self.shared.flags.load(Relaxed) & COMPLETE == 0 {
            self.shared.complete();
        }
    }
}

impl<T> Receiver<T> {
    /// Takes the value if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] when it has not been sent yet, [`TryRecvError::Closed`] when it never will
    /// be, or has been taken already.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::oneshot::channel();
    /// assert!(receiver.try_recv().is_err());
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let shared = self.shared.as_ref().ok_or(TryRecvError::Closed)?;
        // ORDERING(value): Acquire, for the exchange in `complete_unless_closed`.
        let flags = shared.flags.load(Acquire);
        let result = shared.outcome(flags).ok_or(TryRecvError::Empty)?;
        self.shared = None;
        result.map_err(|_| TryRecvError::Closed)
    }

    /// Waits on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when the sender was dropped without sending.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::oneshot::channel();
    /// std::thread::spawn(|| sender.send("done"));
    /// assert_eq!(receiver.recv_blocking(), Ok("done"));
    /// ```
    pub fn recv_blocking(self) -> Result<T, RecvError> {
        park::block_on(self)
    }

    /// A look at what both ends have done; `None` once the value or the error was returned.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::oneshot::channel();
    /// sender.send(7).unwrap();
    /// assert!(receiver.stats().unwrap().is_complete);
    /// ```
    #[must_use]
    pub fn stats(&self) -> Option<OneshotStats> {
        self.shared.as_ref().map(|shared| shared.stats())
    }

    /// Refuses a value that has not been sent yet; one that has been can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(1), Err(1));
    /// assert!(receiver.try_recv().is_err());
    /// ```
    pub fn close(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_proceed(cx));
        let shared = self
            .shared
            .as_ref()
            .expect("a oneshot receiver was polled after it had returned");
        match shared.poll_recv(cx) {
            Poll::Ready(result) => {
                self.shared = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                coop::restore();
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let flags = shared.close();
            drop(shared.outcome(flags));
        }
    }
}

impl<T> Shared<T> {
    fn stats(&self) -> OneshotStats {
        // Relaxed: a snapshot.
        let flags = self.flags.load(Relaxed);
        OneshotStats {
            is_complete: flags & COMPLETE != 0,
            is_closed: flags & CLOSED != 0,
            is_awaited: flags & RECEIVER_WAITS != 0,
        }
    }

    /// Hands the value over; says whether the receiver was still there to take it.
    #[inline]
    fn complete_unless_closed(&self) -> bool {
        // Relaxed: only the exchange below decides.
        let mut flags = self.flags.load(Relaxed);
        loop {
            if flags & CLOSED != 0 {
                return false;
            }
            // ORDERING(value): Release. ORDERING(receiver_waker): Acquire. Relaxed on failure: we look
            // again.
            match self
                .flags
                .compare_exchange_weak(flags, flags | COMPLETE, AcqRel, Relaxed)
            {
                Ok(_) => break,
                Err(now) => flags = now,
            }
        }
        self.wake_receiver(flags);
        true
    }

    /// Tells the receiver that nothing will come.
    #[cold]
    fn complete(&self) {
        // ORDERING(value): Release. ORDERING(receiver_waker): Acquire.
        let flags = self.flags.fetch_or(COMPLETE, AcqRel);
        if flags & CLOSED == 0 {
            self.wake_receiver(flags);
        }
    }

    /// Wakes the receiver, if it waited when `COMPLETE` was set.
    #[inline]
    fn wake_receiver(&self, flags_before: u8) {
        if flags_before & RECEIVER_WAITS != 0 {
            self.receiver_waker.with(|waker| {
                // SAFETY: Invariant 3: the flag was found when `COMPLETE` was set.
                if let Some(waker) = unsafe { &*waker } {
                    shielded(|| waker.wake_by_ref());
                }
            });
        }
    }

    /// Sets `CLOSED`; returns the flags from before, without it.
    fn close(&self) -> u8 {
        // ORDERING(value): Acquire. ORDERING(closed): Release. ORDERING(sender_waker): Acquire.
        let flags = self.flags.fetch_or(CLOSED, AcqRel);
        if flags & (SENDER_WAITS | COMPLETE | CLOSED) == SENDER_WAITS {
            self.sender_waker.with(|waker| {
                // SAFETY: Invariant 4: the flag was found when `CLOSED` was set.
                if let Some(waker) = unsafe { &*waker } {
                    shielded(|| waker.wake_by_ref());
                }
            });
        }
        flags
    }

    /// What the receiver returns when it has found these flags, if it returns; for the receiver only.
    #[inline]
    fn outcome(&self, flags: u8) -> Option<Result<T, RecvError>> {
        if flags & COMPLETE == 0 {
            return (flags & CLOSED != 0).then_some(Err(RecvError(())));
        }
        let value = self.value.with_mut(|place| {
            // SAFETY: Invariant 1: `COMPLETE` is set, and the caller has acquired it.
            unsafe { (*place).take() }
        });
        Some(value.ok_or(RecvError(())))
    }

    #[inline]
    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        // ORDERING(value): Acquire, for the exchange in `complete_unless_closed`.
        let mut flags = self.flags.load(Acquire);
        if let Some(result) = self.outcome(flags) {
            return Poll::Ready(result);
        }
        if flags & RECEIVER_WAITS != 0 {
            let same = self.receiver_waker.with(|waker| {
                // SAFETY: Invariant 3: this is the receiver, the only one who writes it.
                unsafe { &*waker }
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(cx.waker()))
            });
            if same {
                wait::goes_on(WaitKind::Channel, self.number());
                return Poll::Pending;
            }
            // ORDERING(value): Acquire, as above.
            flags = self.flags.fetch_and(!RECEIVER_WAITS, Acquire);
            if let Some(result) = self.outcome(flags) {
                return Poll::Ready(result);
            }
        }
        let waker = cx.waker().clone();
        let old = self.receiver_waker.with_mut(|place| {
            // SAFETY: Invariant 3: the flag is not set, and was cleared before `COMPLETE` was set.
            unsafe { (*place).replace(waker) }
        });
        drop(old);
        // ORDERING(receiver_waker): Release, for `wake_receiver`. ORDERING(value): Acquire, as above.
        flags = self.flags.fetch_or(RECEIVER_WAITS, AcqRel);
        match self.outcome(flags) {
            Some(result) => Poll::Ready(result),
            None => {
                wait::begins(WaitKind::Channel, self.number());
                Poll::Pending
            }
        }
    }

    /// What tells it from every other channel that there is meanwhile.
    fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        // ORDERING(closed): Acquire, for `close`.
        let flags = self.flags.load(Acquire);
        if flags & CLOSED != 0 {
            return Poll::Ready(());
        }
        if flags & SENDER_WAITS != 0 {
            let same = self.sender_waker.with(|waker| {
                // SAFETY: Invariant 4: this is the sender, the only one who writes it.
                unsafe { &*waker }
                    .as_ref()
                    .is_some_and(|waker| waker.will_wake(cx.waker()))
            });
            if same {
                wait::goes_on(WaitKind::Channel, self.number());
                return Poll::Pending;
            }
            // ORDERING(closed): Acquire, as above.
            if self.flags.fetch_and(!SENDER_WAITS, Acquire) & CLOSED != 0 {
                return Poll::Ready(());
            }
        }
        let waker = cx.waker().clone();
        let old = self.sender_waker.with_mut(|place| {
            // SAFETY: Invariant 4: the flag is not set, and was cleared before `CLOSED` was set.
            unsafe { (*place).replace(waker) }
        });
        drop(old);
        // ORDERING(sender_waker): Release, for `close`. ORDERING(closed): Acquire, as above.
        if self.flags.fetch_or(SENDER_WAITS, AcqRel) & CLOSED != 0 {
            return Poll::Ready(());
        }
        wait::begins(WaitKind::Channel, self.number());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = match &self.shared {
            // Relaxed: a snapshot.
            Some(shared) => shared.flags.load(Relaxed) & COMPLETE != 0,
            None => true,
        };
        f.debug_struct("Receiver")
            .field("complete", &complete)
            .finish()
    }
}

/// Waits until the receiver is gone; see [`Sender::closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Closed<'a, T> {
    sender: &'a mut Sender<T>,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let polled = self.sender.shared.poll_closed(cx);
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closed").field(&self.sender).finish()
    }
}

/// The sender was dropped without sending, or the receiver was closed before it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvError(());

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing will be sent")
    }
}

impl std::error::Error for RecvError {}

/// Why [`Receiver::try_recv`] has returned no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not been sent yet.
    Empty,
    /// It never will be sent, or has been received already.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing has been sent yet",
            Self::Closed => "nothing will be sent",
        })
    }
}

impl std::error::Error for TryRecvError {}
