//! Room for a value, had before there is one.
//!
//! Who makes a value only when it can be sent waits for a permit first: then neither the value nor the work on it is lost
//! with a `send` that is given up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::{SendError, Sender, TrySendError};
use crate::queue::{Reserve, Slot, TryPutError};

impl<T> Sender<T> {
    /// Waits for room for one value, in the line of those who [`send`](Self::send), and keeps it for the caller.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives up its place in the line. Room that it may have been given goes to the next.
    ///
    /// # Errors
    ///
    /// [`SendError`], when the receiver was dropped or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(1);
    /// let permit = sender.reserve().await.unwrap();
    /// assert!(sender.try_send("barged in").is_err());
    /// permit.send("made in the meantime").unwrap();
    /// assert_eq!(receiver.recv().await, Some("made in the meantime"));
    /// # });
    /// ```
    pub fn reserve(&self) -> Reserving<'_, T> {
        Reserving {
            reserve: self.shared.queue.reserve(),
        }
    }

    /// Keeps room for one value, if there is some that is promised to nobody.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], when the channel is full or closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::mpsc::channel(1);
    /// let permit = sender.try_reserve().unwrap();
    /// assert!(sender.try_reserve().is_err());
    /// drop(permit);
    /// sender.try_reserve().unwrap().send(7).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// ```
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        let slot = self
            .shared
            .queue
            .try_reserve()
            .map_err(|error| match error {
                TryPutError::Full(()) => TrySendError::Full(()),
                TryPutError::ShutDown(()) => TrySendError::Closed(()),
            })?;
        Ok(Permit { slot })
    }
}

/// Room for one value in a channel. Dropped unused, it goes to the sender that has waited longest.
#[must_use = "the room is given back as soon as its permit is dropped"]
pub struct Permit<'a, T> {
    slot: Slot<'a, T>,
}

impl<T> Permit<'_, T> {
    /// Sends the value, without waiting.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, when the receiver was dropped or closed since.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::mpsc::channel(1);
    /// let permit = sender.try_reserve().unwrap();
    /// drop(receiver);
    /// assert_eq!(permit.send(1).unwrap_err().into_inner(), 1);
    /// ```
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        self.slot.fill(value).map_err(SendError::of)
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits for room; see [`Sender::reserve`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Reserving<'a, T> {
        #[pin]
        reserve: Reserve<'a, T>,
    }
}

impl<'a, T> Future for Reserving<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reserved = self.project().reserve.poll(cx);
        reserved
            .map_ok(|slot| Permit { slot })
            .map_err(SendError::of)
    }
}

impl<T> fmt::Debug for Reserving<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reserving").field(&self.reserve).finish()
    }
}
