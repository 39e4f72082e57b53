//! A slot that is promised before there is an item for it: what the permits of a channel stand on.
//!
//! It is the promise that a waiting `put` is granted, in the hands of its owner instead of a future's: counted in
//! `promised_slots`, void after a shutdown, and given on to the next in line when it is dropped.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::WaitKind;

use super::shared::{Answer, PUTTERS, Shared};
use super::store::Fifo;
use super::{Queue, ShutDown, TryPutError};
use crate::wait_list::Waiter;

/// A slot of a queue, for its owner alone.
pub(crate) struct Slot<'a, T> {
    shared: &'a Shared<Fifo<T>>,
}

impl<T> Slot<'_, T> {
    /// Puts an item into it.
    pub(crate) fn fill(self, item: T) -> Result<(), ShutDown<T>> {
        ManuallyDrop::new(self).shared.redeem_slot(item)
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        self.shared.give_slot_back();
    }
}

impl<T> Queue<T> {
    /// Waits for a slot, in the line of those who put.
    pub(crate) fn reserve(&self) -> Reserve<'_, T> {
        Reserve {
            shared: &self.shared,
            waiter: Waiter::new(),
        }
    }

    /// A slot that is promised to nobody, if there is one.
    pub(crate) fn try_reserve(&self) -> Result<Slot<'_, T>, TryPutError<()>> {
        self.shared.try_reserve()?;
        Ok(Slot {
            shared: &self.shared,
        })
    }
}

impl<S> Shared<S> {
    fn try_reserve(&self) -> Result<(), TryPutError<()>> {
        let mut lines = self.lines.lock_quietly();
        if lines.is_shut_down {
            return Err(TryPutError::ShutDown(()));
        }
        if !lines.has_slot(self.capacity) {
            return Err(TryPutError::Full(()));
        }
        lines.promised_slots += 1;
        Ok(())
    }

    fn poll_reserve(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ShutDown>> {
        ready!(coop::poll_proceed(cx));
        let polled = if !waiter.is_idle() {
            self.lines.poll(waiter, cx).map(|answer| match answer {
                Answer::Promised => Ok(()),
                Answer::Refused | Answer::None => Err(ShutDown::new(())),
            })
        } else {
            match self.try_reserve() {
                Ok(()) => Poll::Ready(Ok(())),
                Err(TryPutError::ShutDown(())) => Poll::Ready(Err(ShutDown::new(()))),
                Err(TryPutError::Full(())) => self.wait_to_reserve(waiter, cx),
            }
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    /// Gets in line, unless the look under the same lock finds a slot.
    #[cold]
    fn wait_to_reserve(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ShutDown>> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        let reserved = if lines.is_shut_down {
            Err(ShutDown::new(()))
        } else if lines.has_slot(self.capacity) {
            lines.promised_slots += 1;
            Ok(())
        } else {
            lines.enqueue(WaitKind::QueueSlot, PUTTERS, waiter, Answer::None, waker);
            return Poll::Pending;
        };
        drop(lines);
        Poll::Ready(reserved)
    }

    fn give_slot_back(&self) {
        let mut lines = self.lines.lock();
        lines.promised_slots -= 1;
        self.offer_slot(&mut lines);
    }
}

pin_project! {
    /// Waits for a slot.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Reserve<'a, T> {
        shared: &'a Shared<Fifo<T>>,
        #[pin]
        waiter: Waiter<Answer>,
    }

    impl<T> PinnedDrop for Reserve<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave_put(this.waiter.as_ref());
        }
    }
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Slot<'a, T>, ShutDown>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let reserved = ready!(this.shared.poll_reserve(this.waiter.as_ref(), cx));
        Poll::Ready(reserved.map(|()| Slot {
            shared: this.shared,
        }))
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reserve").field(&self.waiter).finish()
    }
}
