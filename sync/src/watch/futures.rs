//! Waiting for a change, for a condition, or until nobody watches any more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::Ordering::Acquire;
use rt_tasks_runtime::wait::WaitKind;

use super::{CHANGE, CLOSED, NO_RECEIVER, ONE, RecvError, Ref, Shared};
use crate::wait_list::Waiter;

impl<T> Shared<T> {
    /// The version that is another than the one seen, or that there will be none.
    fn version_after(&self, seen: usize) -> Option<Result<usize, RecvError>> {
        // ORDERING(version): Acquire, for counting up and for the end of the last sender.
        let version = self.version.load(Acquire);
        if version / ONE != seen {
            Some(Ok(version / ONE))
        } else if version & CLOSED != 0 {
            Some(Err(RecvError(())))
        } else {
            None
        }
    }

    fn poll_version(
        &self,
        seen: usize,
        waiter: Pin<&Waiter<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, RecvError>> {
        ready!(coop::poll_proceed(cx));
        let is_in_line = !waiter.is_idle() && self.lines.poll(waiter, cx).is_pending();
        let found = match is_in_line {
            true => None,
            false => self.version_after(seen),
        };
        let polled = match found {
            Some(version) => Poll::Ready(version),
            None if is_in_line => Poll::Pending,
            None => self.wait_for_version(seen, waiter, cx),
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[cold]
    fn wait_for_version(
        &self,
        seen: usize,
        waiter: Pin<&Waiter<()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, RecvError>> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if let Some(version) = self.version_after(seen) {
            drop(lines);
            return Poll::Ready(version);
        }
        lines.enqueue(WaitKind::Channel, CHANGE, waiter, (), waker);
        Poll::Pending
    }

    /// What a future does that is dropped: everyone who waits is let go, so there is nothing to give on.
    fn leave(&self, waiter: Pin<&Waiter<()>>) {
        if !waiter.is_idle() {
            let _ = self.lines.lock().leave(waiter);
        }
    }

    fn has_no_receiver(&self) -> bool {
        // ORDERING(receivers): Acquire, for the drop of the last one.
        self.n_receivers.load(Acquire) == 0
    }

    #[cold]
    fn wait_for_no_receiver(&self, waiter: Pin<&Waiter<()>>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if self.has_no_receiver() {
            drop(lines);
            return Poll::Ready(());
        }
        lines.enqueue(WaitKind::Channel, NO_RECEIVER, waiter, (), waker);
        Poll::Pending
    }
}

pin_project! {
    /// Waits for a change; see [`Receiver::changed`](super::Receiver::changed).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Changed<'a, T> {
        shared: &'a Shared<T>,
        seen: &'a mut usize,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for Changed<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave(this.waiter.as_ref());
        }
    }
}

impl<'a, T> Changed<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, seen: &'a mut usize) -> Self {
        Self {
            shared,
            seen,
            waiter: Waiter::new(),
        }
    }
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        **this.seen = ready!(this.shared.poll_version(**this.seen, waiter, cx))?;
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changed").field(&self.waiter).finish()
    }
}

pin_project! {
    /// Waits until a condition holds; see [`Receiver::wait_for`](super::Receiver::wait_for).
    #[must_use = "futures do nothing unless awaited"]
    pub struct WaitFor<'a, T, F> {
        condition: F,
        // Whether the value that counts as seen was looked at by this call.
        has_looked: bool,
        #[pin]
        changed: Changed<'a, T>,
    }
}

impl<'a, T, F> WaitFor<'a, T, F> {
    pub(super) fn new(shared: &'a Shared<T>, seen: &'a mut usize, condition: F) -> Self {
        Self {
            condition,
            has_looked: false,
            changed: Changed::new(shared, seen),
        }
    }
}

impl<'a, T, F: FnMut(&T) -> bool> Future for WaitFor<'a, T, F> {
    type Output = Result<Ref<'a, T>, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let changed = this.changed.project();
        let (shared, seen) = (*changed.shared, changed.seen);
        let waiter = changed.waiter.as_ref();
        loop {
            if *this.has_looked {
                ready!(shared.poll_version(**seen, waiter, cx))?;
            } else {
                // The first look counts too: the condition may hold each time.
                ready!(coop::poll_proceed(cx));
                *this.has_looked = true;
            }
            let (value, version) = shared.look(**seen);
            **seen = version;
            if (this.condition)(&value) {
                return Poll::Ready(Ok(value));
            }
        }
    }
}

impl<T, F> fmt::Debug for WaitFor<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WaitFor")
            .field(&self.changed.waiter)
            .finish()
    }
}

pin_project! {
    /// Waits until no receiver is left; see [`Sender::closed`](super::Sender::closed).
    #[must_use = "futures do nothing unless awaited"]
    pub struct Closed<'a, T> {
        shared: &'a Shared<T>,
        #[pin]
        waiter: Waiter<()>,
    }

    impl<T> PinnedDrop for Closed<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.shared.leave(this.waiter.as_ref());
        }
    }
}

impl<'a, T> Closed<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Self {
            shared,
            waiter: Waiter::new(),
        }
    }
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let waiter = this.waiter.as_ref();
        let polled = if !waiter.is_idle() {
            this.shared.lines.poll(waiter, cx)
        } else if this.shared.has_no_receiver() {
            Poll::Ready(())
        } else {
            this.shared.wait_for_no_receiver(waiter, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Closed").field(&self.waiter).finish()
    }
}
