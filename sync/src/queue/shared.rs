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
//!    since; slots that somebody keeps (`slot.rs`) count as promised too.
//! 3. `unfinished` counts the items that were put and for which `task_done` was not called: an item is
//!    counted before anyone can get it.
//! 4. After `shutdown` no putter is in line; once the items are gone no getter is.
//!
//! # Who has jobs
//!
//! A queue that is made in debug mode has a record of who took jobs of it that are not dropped, and those who wait in `join`
//! or for a slot give the number of that record instead of the queue's. Elsewhere there is none, and all that is
//! asked is whether there is one, where a job is made and where somebody waits.
//!
//! # The budget
//!
//! Only an operation that could go on counts against the budget of a poll: one that has to wait gets in line,
//! whatever is left. So a task that has filled the queue, or emptied it, with the last of its budget sleeps until
//! it is promised something. If it were sent to the back of the run queue instead, both ends of a queue could end
//! up there, and a second worker be woken to run them against each other, item by item.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::{self, Holders, Shares, WaitKind};

use super::store::Store;
use super::{ShutDown, TaskDoneError, TryGetError, TryPutError};
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

pub(super) type Lines<'a, S> = Locked<'a, State<S>, Answer, 3>;

/// All of a queue. Not to be used from outside: it is not exported.
pub struct Shared<S> {
    /// `usize::MAX` for an unbounded queue.
    pub(super) capacity: usize,
    /// Who has jobs; in debug mode.
    pub(super) jobs: Option<Arc<Holders>>,
    pub(super) lines: WaitList<State<S>, Answer, 3>,
}

pub(super) struct State<S> {
    items: S,
    pub(super) n_items: usize,
    promised_items: usize,
    pub(super) promised_slots: usize,
    pub(super) unfinished: usize,
    pub(super) is_shut_down: bool,
}

impl<S> State<S> {
    /// Whether there is a slot that is promised to nobody.
    #[inline]
    pub(super) fn has_slot(&self, capacity: usize) -> bool {
        self.n_items + self.promised_slots < capacity
    }

    /// Whether there is an item that is promised to nobody.
    #[inline]
    fn has_item(&self) -> bool {
        self.n_items > self.promised_items
    }

    /// Whether there is nothing left, and nothing will come.
    #[inline]
    fn is_at_end(&self) -> bool {
        self.is_shut_down && self.n_items == 0
    }

    /// Invariant 3: counted in the same step.
    #[inline]
    fn push<T>(&mut self, item: T)
    where
        S: Store<T>,
    {
        // First, because it may panic.
        self.items.push(item);
        self.n_items += 1;
        self.unfinished += 1;
    }

    #[inline]
    fn pop<T>(&mut self) -> Option<T>
    where
        S: Store<T>,
    {
        let item = self.items.pop()?;
        self.n_items -= 1;
        Some(item)
    }
}

impl<S> Shared<S> {
    pub(super) fn new(capacity: usize, items: S) -> Self {
        let state = State {
            items,
            n_items: 0,
            promised_items: 0,
            promised_slots: 0,
            unfinished: 0,
            is_shut_down: false,
        };
        Self {
            capacity,
            jobs: wait::is_debugging().then(watch_jobs),
            lines: WaitList::new(state),
        }
    }

    /// `None` where there is no bound.
    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    /// What the queue's `Debug` writes.
    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct(name)
            .field("len", &stats.len)
            .field("capacity", &stats.capacity)
            .field("unfinished", &stats.n_unfinished)
            .field("shut_down", &stats.is_shut_down)
            .field("waiting_getters", &stats.n_waiting_get)
            .field("waiting_putters", &stats.n_waiting_put)
            .finish()
    }

    /// Its numbers, under one hold of the lock.
    pub(super) fn stats(&self) -> QueueStats {
        let lines = self.lines.lock();
        QueueStats {
            len: lines.n_items,
            capacity: self.capacity(),
            n_unfinished: lines.unfinished,
            n_waiting_get: lines.len(GETTERS),
            n_waiting_put: lines.len(PUTTERS),
            n_waiting_join: lines.len(JOINERS),
            is_shut_down: lines.is_shut_down,
        }
    }

    /// Promises a slot, if one is free, to the putter that has waited longest.
    #[inline]
    pub(super) fn offer_slot(&self, lines: &mut Lines<'_, S>) {
        if !lines.is_empty(PUTTERS)
            && lines.has_slot(self.capacity)
            && lines.grant(PUTTERS, Answer::Promised)
        {
            lines.promised_slots += 1;
        }
    }

    /// Promises an item, if one is promised to nobody, to the getter that has waited longest.
    #[inline]
    fn offer_item(lines: &mut Lines<'_, S>) {
        if !lines.is_empty(GETTERS) && lines.has_item() && lines.grant(GETTERS, Answer::Promised) {
            lines.promised_items += 1;
        }
    }

    /// Tells those who wait for an item that none will come, if that is so (Invariant 4).
    #[inline]
    fn refuse_getters_at_the_end(lines: &mut Lines<'_, S>) {
        if lines.is_at_end() {
            lines.grant_all(GETTERS, Answer::Refused);
        }
    }

    #[inline]
    fn release_joiners(lines: &mut Lines<'_, S>) {
        if lines.unfinished == 0 {
            lines.grant_all(JOINERS, Answer::Promised);
        }
    }

    pub(super) fn shut_down(&self) {
        let mut lines = self.lines.lock();
        lines.is_shut_down = true;
        lines.grant_all(PUTTERS, Answer::Refused);
        Self::refuse_getters_at_the_end(&mut lines);
    }

    /// Shuts down and takes all items out: they are returned, and count as dealt with.
    pub(super) fn shut_down_now<T>(&self) -> Vec<T>
    where
        S: Store<T>,
    {
        self.shut_down();
        let mut lines = self.lines.lock();
        let items = std::mem::take(&mut lines.items);
        let n_items = std::mem::take(&mut lines.n_items);
        lines.unfinished = lines.unfinished.saturating_sub(n_items);
        Self::refuse_getters_at_the_end(&mut lines);
        Self::release_joiners(&mut lines);
        drop(lines);
        items.into_vec()
    }

    pub(super) fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut lines = self.lines.lock();
        if lines.unfinished == 0 {
            return Err(TaskDoneError::new());
        }
        lines.unfinished -= 1;
        Self::release_joiners(&mut lines);
        Ok(())
    }

    /// Enqueues whoever waits until all is done.
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
        self.enqueue(&mut lines, WaitKind::QueueDone, JOINERS, waiter, waker);
        Poll::Pending
    }

    /// Gets in line, and says what for: with who has jobs, if that is known.
    fn enqueue(
        &self,
        lines: &mut Lines<'_, S>,
        kind: WaitKind,
        line: usize,
        waiter: Pin<&Waiter<Answer>>,
        waker: Waker,
    ) {
        match &self.jobs {
            Some(jobs) => {
                wait::begins(kind, jobs.number());
                lines.enqueue(None, line, waiter, Answer::None, waker);
            }
            None => lines.enqueue(kind, line, waiter, Answer::None, waker),
        }
    }

    /// Asks for the answer to one who got in line by `enqueue`.
    #[inline]
    pub(super) fn poll_line(
        &self,
        kind: WaitKind,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Answer> {
        let polled = self.lines.poll(waiter, cx);
        if let (Poll::Pending, Some(jobs)) = (&polled, &self.jobs) {
            wait::goes_on(kind, jobs.number());
        }
        polled
    }

    /// What a `get` does that is dropped half-way.
    #[inline]
    pub(super) fn leave_get(&self, waiter: Pin<&Waiter<Answer>>) {
        if !waiter.is_idle() {
            self.leave_getters(waiter);
        }
    }

    #[cold]
    fn leave_getters(&self, waiter: Pin<&Waiter<Answer>>) {
        let mut lines = self.lines.lock();
        if let Left::Granted(Answer::Promised) = lines.leave(waiter) {
            lines.promised_items -= 1;
            Self::offer_item(&mut lines);
        }
    }

    /// What a `put` does that is dropped half-way.
    #[inline]
    pub(super) fn leave_put(&self, waiter: Pin<&Waiter<Answer>>) {
        if !waiter.is_idle() {
            self.leave_putters(waiter);
        }
    }

    #[cold]
    fn leave_putters(&self, waiter: Pin<&Waiter<Answer>>) {
        let mut lines = self.lines.lock();
        if let Left::Granted(Answer::Promised) = lines.leave(waiter) {
            lines.promised_slots -= 1;
            self.offer_slot(&mut lines);
        }
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("Shared", f)
    }
}

/// Taking items.
impl<S> Shared<S> {
    /// Takes an item that is promised to nobody.
    #[inline]
    pub(super) fn try_get<T>(&self) -> Result<T, TryGetError>
    where
        S: Store<T>,
    {
        let mut lines = self.lines.lock_quietly();
        if !lines.has_item() {
            return Err(if lines.is_at_end() {
                TryGetError::ShutDown
            } else {
                TryGetError::Empty
            });
        }
        let taken = if lines.is_shut_down || !lines.is_empty(PUTTERS) {
            self.take_item(&mut lines.into_granting())
        } else {
            lines.pop()
        };
        taken.ok_or(TryGetError::Empty)
    }

    /// Takes the next item, and promises the slot that it leaves.
    #[inline]
    fn take_item<T>(&self, lines: &mut Lines<'_, S>) -> Option<T>
    where
        S: Store<T>,
    {
        let item = lines.pop()?;
        if lines.is_shut_down {
            Self::refuse_getters_at_the_end(lines);
        } else {
            self.offer_slot(lines);
        }
        Some(item)
    }

    #[inline]
    pub(super) fn poll_get<T>(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ShutDown>>
    where
        S: Store<T>,
    {
        if !waiter.is_idle() {
            return self.poll_promised_item(waiter, cx);
        }
        if !coop::try_proceed() {
            return self.wait_for_item(waiter, cx, Budget::Spent);
        }
        match self.try_get() {
            Ok(item) => Poll::Ready(Ok(item)),
            Err(TryGetError::ShutDown) => Poll::Ready(Err(ShutDown::new(()))),
            Err(TryGetError::Empty) => {
                coop::restore();
                self.wait_for_item(waiter, cx, Budget::Left)
            }
        }
    }

    /// Gets in line, unless the look under the same lock finds an item.
    #[cold]
    fn wait_for_item<T>(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
        budget: Budget,
    ) -> Poll<Result<T, ShutDown>>
    where
        S: Store<T>,
    {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if !lines.has_item() && !lines.is_at_end() {
            lines.enqueue(WaitKind::QueueItem, GETTERS, waiter, Answer::None, waker);
            return Poll::Pending;
        }
        if let Budget::Spent = budget {
            drop(lines);
            return coop::again_later(cx);
        }
        let taken = if lines.has_item() {
            self.take_item(&mut lines)
        } else {
            None
        };
        drop(lines);
        Poll::Ready(taken.ok_or_else(|| ShutDown::new(())))
    }

    fn poll_promised_item<T>(
        &self,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ShutDown>>
    where
        S: Store<T>,
    {
        ready!(coop::poll_proceed(cx));
        match self.lines.poll(waiter, cx) {
            Poll::Ready(Answer::Promised) => Poll::Ready(self.redeem_item()),
            Poll::Ready(Answer::Refused | Answer::None) => Poll::Ready(Err(ShutDown::new(()))),
            Poll::Pending => {
                coop::restore();
                Poll::Pending
            }
        }
    }

    /// Takes the item that was promised.
    fn redeem_item<T>(&self) -> Result<T, ShutDown>
    where
        S: Store<T>,
    {
        let mut lines = self.lines.lock();
        lines.promised_items -= 1;
        // None: `shutdown_now` took it.
        self.take_item(&mut lines).ok_or_else(|| ShutDown::new(()))
    }
}

/// Putting items.
impl<S> Shared<S> {
    /// Puts an item into a slot that is promised to nobody.
    #[inline]
    pub(super) fn try_put<T>(&self, item: T) -> Result<(), TryPutError<T>>
    where
        S: Store<T>,
    {
        let mut lines = self.lines.lock_quietly();
        if lines.is_shut_down {
            drop(lines);
            return Err(TryPutError::ShutDown(item));
        }
        if !lines.has_slot(self.capacity) {
            drop(lines);
            return Err(TryPutError::Full(item));
        }
        lines.push(item);
        if !lines.is_empty(GETTERS) {
            Self::offer_item(&mut lines.into_granting());
        }
        Ok(())
    }

    #[inline]
    pub(super) fn poll_put<T>(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ShutDown<T>>>
    where
        S: Store<T>,
    {
        if !waiter.is_idle() {
            return self.poll_promised_slot(item, waiter, cx);
        }
        if !coop::try_proceed() {
            return self.wait_for_slot(item, waiter, cx, Budget::Spent);
        }
        match self.try_put(taken(item)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(TryPutError::ShutDown(item)) => Poll::Ready(Err(ShutDown::new(item))),
            Err(TryPutError::Full(back)) => {
                *item = Some(back);
                coop::restore();
                self.wait_for_slot(item, waiter, cx, Budget::Left)
            }
        }
    }

    /// Gets in line, unless the look under the same lock finds a slot.
    #[cold]
    fn wait_for_slot<T>(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
        budget: Budget,
    ) -> Poll<Result<(), ShutDown<T>>>
    where
        S: Store<T>,
    {
        let waker = cx.waker().clone();
        let mut lines = self.lines.lock();
        if !lines.is_shut_down && !lines.has_slot(self.capacity) {
            self.enqueue(&mut lines, WaitKind::QueueSlot, PUTTERS, waiter, waker);
            return Poll::Pending;
        }
        if let Budget::Spent = budget {
            drop(lines);
            return coop::again_later(cx);
        }
        if lines.is_shut_down {
            drop(lines);
            return Poll::Ready(Err(ShutDown::new(taken(item))));
        }
        lines.push(taken(item));
        Self::offer_item(&mut lines);
        Poll::Ready(Ok(()))
    }

    fn poll_promised_slot<T>(
        &self,
        item: &mut Option<T>,
        waiter: Pin<&Waiter<Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ShutDown<T>>>
    where
        S: Store<T>,
    {
        ready!(coop::poll_proceed(cx));
        match self.poll_line(WaitKind::QueueSlot, waiter, cx) {
            Poll::Ready(Answer::Promised) => Poll::Ready(self.redeem_slot(taken(item))),
            Poll::Ready(Answer::Refused | Answer::None) => {
                Poll::Ready(Err(ShutDown::new(taken(item))))
            }
            Poll::Pending => {
                coop::restore();
                Poll::Pending
            }
        }
    }

    /// Fills the slot that was promised.
    pub(super) fn redeem_slot<T>(&self, item: T) -> Result<(), ShutDown<T>>
    where
        S: Store<T>,
    {
        let mut lines = self.lines.lock();
        lines.promised_slots -= 1;
        if lines.is_shut_down {
            drop(lines);
            return Err(ShutDown::new(item));
        }
        // The store may panic in a comparison; the slot is the next one's then.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lines.push(item))) {
            self.offer_slot(&mut lines);
            drop(lines);
            resume_unwind(panic);
        }
        Self::offer_item(&mut lines);
        Ok(())
    }
}

/// A record of those who have jobs. Others than they may well end a wait: a job is handed on, or an item taken.
fn watch_jobs() -> Arc<Holders> {
    let jobs = Holders::enter();
    jobs.update(Shares::open);
    Arc::new(jobs)
}

/// What the current poll may still do.
#[derive(Clone, Copy)]
enum Budget {
    Left,
    /// Nothing but wait.
    Spent,
}

/// The item of a `put` that is not through.
#[track_caller]
fn taken<T>(item: &mut Option<T>) -> T {
    item.take().expect("polled after it had put its item")
}
