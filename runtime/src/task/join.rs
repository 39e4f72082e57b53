//! Handles to a task: await it, ask it, cancel it.
//!
//! # Invariants
//!
//! 1. A `JoinHandle` owns one reference and, until it has taken the result, the join interest.
//! 2. `T` is the value type of the hook the task's cell was made with.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::cell::{Header, Retained};
use super::error::JoinError;
use super::harness;
use super::info::{TaskId, TaskInfo};
use crate::cancel::Cancelled;
use crate::scheduler::{self, Shared};
use crate::shim::lock_std;
use crate::wait::{self, WaitKind};
use crate::{context, coop, locals};

/// A handle to a spawned task: a future of its result.
///
/// Awaiting it never cancels the task, and neither does dropping it: the task runs on, detached. To tie the
/// task to the handle use [`cancel_on_drop`](Self::cancel_on_drop).
///
/// # Cancel safety
///
/// A dropped `&mut handle` future loses nothing: the result waits in the task.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let sum = rt::block_on(async {
///     let handle = rt::spawn(async { 1 + 1 });
///     handle.await.unwrap()
/// });
/// assert_eq!(sum, 2);
/// ```
#[doc(alias = "Task")]
pub struct JoinHandle<T> {
    header: NonNull<Header>,
    taken: bool,
    _value: PhantomData<T>,
}

// SAFETY: the handle gives out a `T`, by value or dropped, on whatever thread it is; the header is shared
// as its own table says.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: through a shared handle only the header can be reached, and `T` by callbacks, which ask for
// `T: Send` and are called by one thread at a time.
unsafe impl<T: Send> Sync for JoinHandle<T> {}
impl<T> Unpin for JoinHandle<T> {}

/// Whether the task of a handle is through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Through,
    /// Not yet, and from now on a waker is there.
    Awaited,
    /// Not yet, and the waker was there before.
    StillAwaited,
}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// The caller gives a reference and the join interest away, and `T` fits (Invariant 2).
    #[inline]
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self {
            header,
            taken: false,
            _value: PhantomData,
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: Invariant 1.
        unsafe { self.header.as_ref() }
    }

    /// Asks the task to end at its next suspension point.
    ///
    /// The future is dropped where it is suspended, then the async cleanup it registered runs, and then the
    /// handle resolves. True if this was the first request and the task had not finished.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// rt::block_on(async {
    ///     let task = rt::spawn(std::future::pending::<()>());
    ///     assert!(task.cancel());
    ///     assert!(!task.cancel());
    ///     assert!(task.await.unwrap_err().is_cancelled());
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        let at = Location::caller();
        harness::cancel(self.header(), || Cancelled::new(None, at))
    }

    /// Like [`cancel`](Self::cancel), with a reason that the error of the join tells. The first one is kept.
    #[track_caller]
    pub fn cancel_with(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        let at = Location::caller();
        harness::cancel(self.header(), || Cancelled::new(Some(reason.into()), at))
    }

    /// Whether the task is through, its cleanup included.
    #[must_use]
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// Whether cancellation was asked for, and not caught by a [`catch_cancel`](crate::catch_cancel()) inside.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.header().state.load().is_cancelled()
    }

    /// The identity of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.header().id()
    }

    /// The name that was given to the task, if any.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.header().cold_if_any()?.name.get().cloned()
    }

    /// The result, if the task is through and nobody took it yet. Never waits.
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        (!self.taken && self.is_finished()).then(|| self.take())
    }

    /// Takes the result.
    #[inline]
    fn take(&mut self) -> Result<T, JoinError> {
        debug_assert!(!self.taken && self.is_finished());
        self.taken = true;
        let mut result = MaybeUninit::<Result<T, JoinError>>::uninit();
        let vtable = self.header().vtable();
        // SAFETY: Invariants 1 and 2: the task is complete and the result is ours, of this type.
        unsafe { (vtable.take_result)(self.header, result.as_mut_ptr().cast()) };
        // SAFETY: `take_result` wrote it.
        unsafe { result.assume_init() }
    }

    /// Calls `f` when the task is through, before whoever awaits it goes on; at once if it is through already.
    ///
    /// A panic in `f` is reported and harms nobody. `f` runs on a worker and must not block.
    pub fn on_finish(&self, f: impl FnOnce(&TaskInfo) + Send + 'static) {
        self.add_callback(Box::new(move |_, info| f(info)));
    }

    /// Like [`on_finish`](Self::on_finish), with a look at the result. Not called if the result was taken
    /// before the callback was registered.
    pub fn on_result(&self, f: impl FnOnce(Result<&T, &JoinError>) + Send + 'static)
    where
        T: Send + 'static,
    {
        if self.taken {
            return;
        }
        lock_std(&self.header().cold().on_finish).is_looking = true;
        self.add_callback(Box::new(move |header, _| {
            // SAFETY: callbacks run while the cell is alive.
            let vtable = unsafe { header.as_ref() }.vtable();
            // SAFETY: the result is in place and nobody touches it while callbacks run.
            let result = unsafe { (vtable.peek_result)(header) };
            // SAFETY: Invariant 2: it points to a result of this type, or is null.
            if let Some(result) = unsafe { result.cast::<Result<T, JoinError>>().as_ref() } {
                f(result.as_ref());
            }
        }));
    }

    fn add_callback(&self, callback: super::cold::Callback) {
        let header = self.header();
        lock_std(&header.cold().on_finish)
            .waiting
            .push_back((locals::current(), callback));
        if header.state.set_callbacks().is_complete() {
            harness::call_back(self.header);
        }
    }

    /// Waits for the task from a plain thread (asyncio's `run_coroutine_threadsafe(…).result()`).
    ///
    /// On a thread that works for a runtime it helps to run tasks meanwhile.
    ///
    /// # Errors
    ///
    /// As awaiting the handle.
    pub fn join_blocking(self) -> Result<T, JoinError> {
        match self.awaited_itself() {
            Some(error) => Err(error),
            None => scheduler::block_on_anywhere(self),
        }
    }

    /// Waits for the task from a plain thread, at most `limit`.
    ///
    /// # Errors
    ///
    /// The handle, if the time is up first.
    pub fn join_blocking_timeout(self, limit: Duration) -> Result<Result<T, JoinError>, Self> {
        if let Some(error) = self.awaited_itself() {
            return Ok(Err(error));
        }
        let mut handle = self;
        match scheduler::block_on_within(&mut handle, limit) {
            Some(result) => Ok(result),
            None => Err(handle),
        }
    }

    /// A handle that can cancel the task and nothing else, cheap to clone.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {
            task: self.task_ref(),
        }
    }

    pub(crate) fn task_ref(&self) -> Retained {
        Retained::of(self.header())
    }

    /// Ties the task to the handle: dropping the result cancels it.
    #[must_use]
    pub fn cancel_on_drop(self) -> OwnedTask<T> {
        OwnedTask { handle: self }
    }

    /// The error of a join that could never resolve, because this is the task's own code (rule C9).
    fn awaited_itself(&self) -> Option<JoinError> {
        let is_own = context::with(|current| {
            std::ptr::eq(current.task.get(), self.header.as_ptr()) && !self.is_finished()
        });
        is_own.then(|| {
            let info = self.header().info();
            JoinError::awaited_itself(info.spawned_at, info)
        })
    }

    #[inline]
    fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let number = self.id().number();
        match self.poll_end(cx) {
            End::Through => return Poll::Ready(self.take()),
            End::Awaited => wait::begins(WaitKind::Task, number),
            End::StillAwaited => wait::goes_on(WaitKind::Task, number),
        }
        Poll::Pending
    }

    /// Asks whether the task is through, and has `cx` woken if it is not.
    #[inline]
    fn poll_end(&mut self, cx: &mut Context<'_>) -> End {
        assert!(
            !self.taken,
            "a JoinHandle was polled after it gave its result"
        );
        let header = self.header();
        let state = header.state.load();
        if !state.is_complete() {
            if state.has_join_waker() {
                let same = header.join_waker.with(|slot| {
                    // SAFETY: nobody writes the slot while `JOIN_WAKER` is set and the handle is ours alone.
                    unsafe { (*slot).as_ref() }.is_some_and(|waker| waker.will_wake(cx.waker()))
                });
                if same || header.state.unset_join_waker().is_complete() {
                    return self.end_or(End::StillAwaited);
                }
            }
            let waker = cx.waker().clone();
            header.set_awaited_by(wait::me());
            // SAFETY: `JOIN_WAKER` is not set and the task was not complete, so the slot is ours.
            header
                .join_waker
                .with_mut(|slot| unsafe { *slot = Some(waker) });
            header.state.set_join_waker();
        }
        self.end_or(End::Awaited)
    }

    #[inline]
    fn end_or(&self, before: End) -> End {
        if self.is_finished() {
            End::Through
        } else {
            before
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(error) = self.awaited_itself() {
            return Poll::Ready(Err(error));
        }
        ready!(coop::poll_proceed(cx));
        let poll = self.poll_join(cx);
        if poll.is_pending() {
            coop::restore();
        }
        poll
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let header = self.header();
        if !self.taken {
            if header.state.detach_fast() {
                return;
            }
            let before = header.state.drop_join_interest();
            if before.is_complete() {
                // SAFETY: Invariant 1: the result is ours.
                unsafe { (header.vtable().drop_result)(self.header) };
            } else if before.has_join_waker() {
                // SAFETY: the task was not complete when `JOIN_WAKER` went, so the slot is ours.
                let waker = header.join_waker.with_mut(|slot| unsafe { (*slot).take() });
                harness::ignore_panic(|| drop(waker));
            }
        }
        // SAFETY: Invariant 1.
        drop(unsafe { Retained::from_raw(self.header) });
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("JoinHandle");
        out.field("id", &self.id());
        if let Some(name) = self.name() {
            out.field("name", &name);
        }
        out.field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// A task that ends with its handle: dropping it asks for cancellation.
///
/// Awaiting it and being cancelled meanwhile cancels the task too; the scope that was cancelled, or timed out,
/// then ends after the task, within the grace.
#[derive(Debug)]
pub struct OwnedTask<T> {
    handle: JoinHandle<T>,
}

impl<T> OwnedTask<T> {
    /// Asks the task to end; see [`JoinHandle::cancel`].
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Whether the task is through.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The identity of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// The name that was given to the task, if any.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.handle.name()
    }
}

impl<T> Future for OwnedTask<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> Drop for OwnedTask<T> {
    #[track_caller]
    fn drop(&mut self) {
        if self.handle.taken || self.is_finished() {
            return;
        }
        self.handle.cancel_with("its handle was dropped");
        if self.handle.awaited_itself().is_none() {
            // Rule W2: a scope that gives up with the task in its hands ends after the task.
            crate::cancel::add_while_unwinding(|| self.handle.end());
        }
    }
}

/// Plumbing for the structured forms, which wait for many tasks at once.
#[doc(hidden)]
impl<T> JoinHandle<T> {
    /// Ready once awaiting the handle would not wait; the result stays where it is, no budget is used, and it is up to
    /// the caller to note what it waits for.
    pub fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.taken || self.awaited_itself().is_some() {
            return Poll::Ready(());
        }
        match self.poll_end(cx) {
            End::Through => Poll::Ready(()),
            End::Awaited | End::StillAwaited => Poll::Pending,
        }
    }

    /// Says which group the task is in, by a number that no other has meanwhile; called before the task can run.
    pub fn belongs_to(&self, group: u64) {
        self.header().set_group(group);
    }

    /// Takes back the waker that a poll left, so that nobody is called any more.
    pub fn stop_waiting(&mut self) {
        let header = self.header();
        if self.taken || !header.state.load().has_join_waker() {
            return;
        }
        if !header.state.unset_join_waker().is_complete() {
            // SAFETY: the task was not complete when `JOIN_WAKER` went, so the slot is ours.
            let waker = header.join_waker.with_mut(|slot| unsafe { (*slot).take() });
            harness::ignore_panic(|| drop(waker));
        }
    }

    /// A look at the result, if the task is through and nobody took it.
    pub fn peek(&mut self) -> Option<Result<&T, &JoinError>> {
        if self.taken || !self.is_finished() {
            return None;
        }
        // SAFETY: Invariant 1: the task is complete and the result is ours; `&mut self` keeps callbacks, which
        // look at it too, from running meanwhile: they are added through a handle.
        let result = unsafe { (self.header().vtable().peek_result)(self.header) };
        // SAFETY: Invariant 2: it points to a result of this type, or is null.
        let result = unsafe { result.cast::<Result<T, JoinError>>().as_ref() };
        result.map(Result::as_ref)
    }
}

/// Whether a task is through, and whom to tell.
type Ending = Mutex<(bool, Option<Waker>)>;

impl<T> JoinHandle<T> {
    /// Resolves when the task is through, whatever its result, and does not need the handle.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let end: Arc<Ending> = Arc::default();
        let theirs = end.clone();
        self.on_finish(move |_| {
            let mut end = lock_std(&theirs);
            end.0 = true;
            let waker = end.1.take();
            drop(end);
            waker.into_iter().for_each(Waker::wake);
        });
        Box::pin(poll_fn(move |cx| {
            let mut end = lock_std(&end);
            let before = end.1.replace(cx.waker().clone());
            let poll = if end.0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
            drop(end);
            drop(before);
            poll
        }))
    }
}

/// Cancels a task, and can do nothing else with it.
#[derive(Clone)]
pub struct CancelHandle {
    task: Retained,
}

impl CancelHandle {
    /// Asks the task to end; see [`JoinHandle::cancel`].
    #[track_caller]
    pub fn cancel(&self) -> bool {
        let at = Location::caller();
        harness::cancel(self.task.header(), || Cancelled::new(None, at))
    }

    /// Like [`cancel`](Self::cancel), with a reason. The first one is kept.
    #[track_caller]
    pub fn cancel_with(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        let at = Location::caller();
        harness::cancel(self.task.header(), || {
            Cancelled::new(Some(reason.into()), at)
        })
    }

    /// Cancels all of them: the reason is made once and shared, which is what costs most.
    #[doc(hidden)]
    #[track_caller]
    pub fn cancel_all(handles: Vec<Self>, reason: &'static str) {
        if handles.is_empty() {
            return;
        }
        let cancelled = Cancelled::new(Some(reason.into()), Location::caller());
        for handle in handles {
            harness::cancel(handle.task.header(), || cancelled.clone());
        }
    }

    pub(crate) fn runtime(&self) -> &Arc<Shared> {
        self.task.header().runtime()
    }

    /// Whether the task is through.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.header().state.load().is_complete()
    }

    /// The identity of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.header().id()
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
