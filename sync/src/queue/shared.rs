//! What a queue's handles share, and the steps that keep it in order.
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
//!    promised. Each step that adds an item or frees a slot promises it at once (`offer_item`,
//!    `offer_slot`).
//! 2. `promised_items` and `promised_slots` are the numbers of waiters that were granted and have not run
//!    since.
//! 3. `unfinished` counts the items that were put and for which `task_done` was not called: an item is
//!    counted before anyone can get it.
//! 4. After `shutdown` no putter is in line; once the items are gone no getter is.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::coop;

use super::{ShutDown, TryGetError};
use crate::stats::QueueStats;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// The lines of the wait list.
pub(super) const GETTERS: usize = 0;
pub(super) const PUTTERS: usize = 1;
pub(super) const JOINERS: usize = 2;

/// What a waiter carries: nothing while it waits, then the answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// No answer yet.
    None,
    /// An item or a slot is for this waiter; to a joiner: all is done.
    Promised,
    /// The queue is shut down.
    Refused,
}

pub(super) type Lines<'a, T> = Locked<'a, State<T>, Answer, 3>;

pub(super) struct Shared<T> {
    /// `usize::MAX` for an unbounded queue.
    pub(super) capacity: usize,
    pub(super) lines: WaitList<State<T>, Answer, 3>,
}

pub(super) struct State<T> {
    pub(super) items: VecDeque<T>,
    promised_items: usize,
    promised_slots: usize,
    pub(super) unfinished: usize,
    pub(super) is_shut_down: bool,
}

impl<T> State<T> {
    /// Whether there is a slot that is promised to nobody.
    #[inline]
    pub(super) fn has_slot(&self, capacity: usize) -> bool {
        self.items.len() + self.promised_slots < capacity
    }

    /// Invariant 3: counted, then visible.
    #[inline]
    pub(super) fn push(&mut self, item: T) {
        self.unfinished += 1;
        self.items.push_back(item);
    }
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            promised_items: 0,
            promised_slots: 0,
            unfinished: 0,
            is_shut_down: false,
        };
        Self {
            capacity,
            lines: WaitList::new(state),
        }
    }

    /// Its numbers, under one hold of the lock.
    pub(super) fn stats(&self) -> QueueStats {
        let lines = self.lines.lock();
        QueueStats {
            len: lines.items.len(),
            capacity: (self.capacity != usize::MAX).then_some(self.capacity),
            n_unfinished: lines.unfinished,
            n_waiting_get: lines.len(GETTERS),
            n_waiting_put: lines.len(PUTTERS),
            n_waiting_join: lines.len(JOINERS),
            is_shut_down: lines.is_shut_down,
        }
    }

    /// Takes an item that is promised to nobody.
    #[inline]
    pub(super) fn take_item(&self, lines: &mut Lines<'_, T>) -> Result<T, TryGetError> {
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
    pub(super) fn offer_item(lines: &mut Lines<'_, T>) {
        if !lines.is_empty(GETTERS)
            && lines.items.len() > lines.promised_items
            && lines.grant(GETTERS, Answer::Promised)
        {
            lines.promised_items += 1;
        }
    }

    /// Tells those who wait for an item that none will come, if that is so (Invariant 4).
    #[inline]
    pub(super) fn refuse_getters_at_the_end(lines: &mut Lines<'_, T>) {
        if lines.is_shut_down && lines.items.is_empty() {
            lines.grant_all(GETTERS, Answer::Refused);
        }
    }

    #[inline]
    pub(super) fn release_joiners(lines: &mut Lines<'_, T>) {
        if lines.unfinished == 0 {
            lines.grant_all(JOINERS, Answer::Promised);
        }
    }

    #[inline]
    pub(super) fn poll_get(
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

    pub(super) fn leave_get(&self, waiter: Pin<&Waiter<Answer>>) {
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
    pub(super) fn poll_put(
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

    pub(super) fn leave_put(&self, waiter: Pin<&Waiter<Answer>>) {
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
    pub(super) fn poll_unfinished(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
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
