//! Running a task: one poll, its cancellation, its cleanup and its end.
//!
//! The typed part (`poll_cell` and its neighbours) is compiled for each future and kept small; what does not
//! depend on the type is in plain functions.
//!
//! The life of a task: the body is polled until it is ready, panics, or is cancelled, which drops it where it
//! is suspended. Its outcome goes through the hook into the stage. Then the cleanup that the body registered
//! (`defer`, `finally`, `guard`) is polled until it is through, shielded from further cancellation. Only
//! then is the task complete and its handle resolves (rules C1, C4, C6, C16).
//!
//! # Invariants
//!
//! Those of [`cell`](super::cell). In addition:
//! 1. The functions of a table are called with the header of a cell made with that table, by the thread that
//!    has `RUNNING` (`poll`), or that owns the result (`take_result`, `drop_result`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use super::cell::{Header, Mode, Phase, Task, VTable, free};
use super::error::{JoinError, Panic};
use super::hook::{Hook, Keep};
use super::stage::{Outcome, TaskCell};
use super::state::AfterPoll;
use super::waker::borrowed_waker;
use super::watched::{is_due, special_mode};
use crate::cancel::{Cancelled, Surroundings};
use crate::context::{self, BUDGET, Restore};
use crate::prefetch::LINE;
use crate::scheduler;
use crate::shim::lock_std;
use crate::trace;
use crate::unhandled::Unhandled;

/// What a worker does with a task that it has run.
#[must_use]
pub(crate) enum Ran {
    /// The task waits, or is complete.
    Rest,
    /// The task was woken while it ran, or yielded: it goes to the back of a queue.
    Again(Task),
}

/// Runs a task once.
#[inline]
pub(crate) fn run(task: Task) -> Ran {
    run_in(task, None, BUDGET, false)
}

/// Runs a task once, with so many leaf operations, and woken for no reason if `is_woken`.
pub(crate) fn run_disturbed(task: Task, budget: u8, is_woken: bool) -> Ran {
    run_in(task, None, budget, is_woken)
}

/// Ends a task whose runtime is going away, on this thread.
pub(crate) fn abort(task: Task) {
    let ran = context::with(|cx| {
        // It may end inside another one's poll.
        let _frames = Restore::set(&cx.frames, std::ptr::null());
        run_in(task, Some(Mode::Abort), BUDGET, false)
    });
    if let Ran::Again(task) = ran {
        unreachable!("an aborted task is complete: {task:?}");
    }
}

#[inline]
fn run_in(task: Task, mode: Option<Mode>, budget: u8, is_woken: bool) -> Ran {
    let header = task.header();
    let before = header.state.start();
    let mode = match mode {
        Some(mode) => mode,
        None if before.is_special() => special_mode(header, before),
        None => Mode::Poll,
    };
    header.count_poll();
    let _span = trace::enter(header);
    let poll = context::with(|cx| {
        let _task = Restore::set(&cx.task, task.as_ptr().as_ptr().cast_const());
        let _scope = Restore::set(&cx.scope, std::ptr::null());
        let _budget = Restore::set(&cx.budget, budget);
        let outer_yield = cx.yielded.replace(is_woken);
        let (runtime, entry) = (cx.runtime.get(), cx.entry.get());
        // SAFETY: Invariant 1: the table of this very cell, and `start` gave us `RUNNING`.
        let poll = unsafe { (header.vtable().poll)(task.as_ptr(), mode) };
        cx.leave_stray(runtime, entry);
        (poll, cx.yielded.replace(outer_yield))
    });
    match poll {
        (Poll::Ready(()), _) => Ran::Rest,
        (Poll::Pending, true) => {
            header.state.pend_scheduled();
            Ran::Again(task)
        }
        (Poll::Pending, false) => match header.state.pend() {
            AfterPoll::Requeue => Ran::Again(task),
            AfterPoll::Rest => Ran::Rest,
        },
    }
}

/// How many cache lines so many bytes take, or 255.
const fn lines_of(bytes: usize) -> u8 {
    let n_lines = bytes.div_ceil(LINE);
    if n_lines < u8::MAX as usize {
        n_lines as u8
    } else {
        u8::MAX
    }
}

/// The table for the cells of one type.
pub(crate) struct Table<F, H, K>(std::marker::PhantomData<(F, H, K)>);

impl<F: Future, H: Hook<F::Output>, K: Keep> Table<F, H, K> {
    pub(crate) const VTABLE: VTable = VTable {
        poll: poll_cell::<F, H, K>,
        take_result: take_result::<F, H, K>,
        peek_result: peek_result::<F, H, K>,
        drop_result: drop_result::<F, H, K>,
        surroundings: surroundings::<F, H, K>,
        is_alone: !H::IS_FOLLOWED,
        n_lines: lines_of(size_of::<TaskCell<F, H, K>>()),
    };
}

/// Polls a cell; see [`VTable::poll`].
unsafe fn poll_cell<F: Future, H: Hook<F::Output>, K: Keep>(
    header: NonNull<Header>,
    mode: Mode,
) -> Poll<()> {
    // SAFETY: Invariant 1: a cell of these types; the shared reference covers the header and the cells only.
    let cell = unsafe { header.cast::<TaskCell<F, H, K>>().as_ref() };
    if cell.header.phase.get() == Phase::Body {
        // SAFETY: Invariant 1: we have `RUNNING`, and the stage holds the future (cell invariant 4).
        let began = busy_since(&cell.header);
        // SAFETY: as above.
        let polled = unsafe { poll_body(cell, mode) };
        if let Some(began) = began {
            count_busy(&cell.header, began);
        }
        if polled.is_pending() {
            poll_cleanup_beside(&cell.header);
            return Poll::Pending;
        }
        cell.header.phase.set(Phase::Cleanup);
    }
    if let Some(cold) = cell.header.cold_if_any() {
        if mode == Mode::Abort {
            cold.scope.abandon(&cell.header);
        } else if poll_cleanup(&cell.header).is_pending() {
            return Poll::Pending;
        }
        cold.locals.clear();
    }
    // SAFETY: Invariant 1: the hook is ours until we complete.
    let hook = unsafe { (*cell.hook.get()).take() };
    // SAFETY: we have `RUNNING` and the result is in place. The cell may be gone afterwards.
    unsafe { complete(header) };
    if H::IS_FOLLOWED {
        // Whoever asks for the current task in there would find a cell that may be gone.
        outside_any_task(|| ignore_panic(|| hook.into_iter().for_each(Hook::finished)));
    }
    Poll::Ready(())
}

/// When this poll began, in debug mode: two readings of the clock are too much for every poll otherwise.
#[inline]
fn busy_since(header: &Header) -> Option<Instant> {
    header.runtime().config.debug.then(Instant::now)
}

/// Adds a poll to the time that the task was busy.
#[cold]
fn count_busy(header: &Header, began: Instant) {
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    header
        .cold()
        .busy_micros
        .fetch_add(micros, Ordering::Relaxed);
}

/// Polls or drops the body. `Ready`: the stage holds the result.
///
/// # Safety
///
/// The caller has `RUNNING`, and the stage holds the future.
#[inline]
unsafe fn poll_body<F: Future, H: Hook<F::Output>, K: Keep>(
    cell: &TaskCell<F, H, K>,
    mode: Mode,
) -> Poll<()> {
    if mode != Mode::Poll && (mode == Mode::Abort || deliver(&cell.header)) {
        // SAFETY: by the caller's promise.
        unsafe { end_cancelled(cell) };
        return Poll::Ready(());
    }
    let waker = borrowed_waker(NonNull::from(&cell.header));
    // Outside the landing pad: if the future's destructor panics, and then the output's, that must not abort.
    let mut output = None;
    // One landing pad for all that may panic: the poll, the destructor, the hook.
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(&waker);
        // SAFETY: by the caller's promise.
        match unsafe { cell.with_body(|future| future.poll(cx)) } {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(value) => output = Some(value),
        }
        // SAFETY: by the caller's promise; a poll leaves the future where it is.
        unsafe { cell.drop_body() };
        // SAFETY: by the caller's promise; the stage is empty.
        unsafe { store_result(cell, Ok(output.take().expect("it was just put there"))) };
        Poll::Ready(())
    }));
    match polled {
        Ok(Poll::Ready(())) => Poll::Ready(()),
        Ok(Poll::Pending) => Poll::Pending,
        Err(payload) => {
            ignore_panic(|| drop(output));
            let error = JoinError::panic(Panic::new(payload), cell.header.info());
            // SAFETY: by the caller's promise.
            unsafe { end_body(cell, error) };
            Poll::Ready(())
        }
    }
}

/// Ends the body by cancellation.
///
/// # Safety
///
/// The caller has `RUNNING`, and the stage holds the future.
#[cold]
unsafe fn end_cancelled<F: Future, H: Hook<F::Output>, K: Keep>(cell: &TaskCell<F, H, K>) {
    let error = JoinError::cancelled(why(&cell.header), cell.header.info());
    // SAFETY: by the caller's promise.
    unsafe { end_body(cell, error) };
}

/// Drops the body, if it is still there, and stores that it gave no value.
///
/// # Safety
///
/// The caller has `RUNNING`, and the stage holds no result.
#[cold]
unsafe fn end_body<F: Future, H: Hook<F::Output>, K: Keep>(
    cell: &TaskCell<F, H, K>,
    error: JoinError,
) {
    // SAFETY: by the caller's promise.
    let error = unsafe { drop_body(cell, error) };
    let stored = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: by the caller's promise; the stage is empty.
        unsafe { store_result(cell, Err(error)) };
    }));
    if let Err(payload) = stored {
        let error = JoinError::panic(Panic::new(payload), cell.header.info());
        // SAFETY: by the caller's promise; nothing was stored.
        unsafe { cell.put_result(Err(error)) };
    }
}

/// Drops the future; a panic in its destructor replaces the error, so that nobody overlooks it.
///
/// # Safety
///
/// The caller has `RUNNING`, and the stage holds no result.
unsafe fn drop_body<F: Future, H: Hook<F::Output>, K: Keep>(
    cell: &TaskCell<F, H, K>,
    error: JoinError,
) -> JoinError {
    let drop_it = || {
        // SAFETY: by the caller's promise nobody else touches the stage.
        unsafe { cell.clear() };
    };
    let is_suspended = error.is_cancelled();
    let dropped = catch_unwind(AssertUnwindSafe(|| match is_suspended {
        // Where it is suspended destructors may register cleanup, which then runs in the order of the drops.
        true => cell.header.cold().scope.unwind(drop_it),
        false => drop_it(),
    }));
    match dropped {
        Ok(()) => error,
        Err(payload) => JoinError::panic(Panic::new(payload), cell.header.info()),
    }
}

/// Sends the outcome through the hook into the stage.
///
/// # Safety
///
/// The caller has `RUNNING`, and the stage is empty.
#[inline]
unsafe fn store_result<F: Future, H: Hook<F::Output>, K: Keep>(
    cell: &TaskCell<F, H, K>,
    outcome: Result<F::Output, JoinError>,
) {
    // SAFETY: by the caller's promise nobody else touches the hook.
    let hook = unsafe { &*cell.hook.get() };
    let hook = hook
        .as_ref()
        .expect("the hook stays until the task is complete");
    let result = hook.outcome(outcome);
    // SAFETY: by the caller's promise nobody else touches the stage.
    unsafe { cell.put_result(result) };
}

/// See [`VTable::take_result`].
unsafe fn take_result<F: Future, H: Hook<F::Output>, K: Keep>(
    header: NonNull<Header>,
    to: *mut (),
) {
    // SAFETY: Invariant 1.
    let cell = unsafe { header.cast::<TaskCell<F, H, K>>().as_ref() };
    // SAFETY: Invariant 1: the result is ours.
    let result = unsafe { cell.take_result() };
    // SAFETY: by the caller's promise it points to a place for just this type.
    unsafe { to.cast::<Outcome<F, H>>().write(result) };
}

/// See [`VTable::peek_result`].
unsafe fn peek_result<F: Future, H: Hook<F::Output>, K: Keep>(
    header: NonNull<Header>,
) -> *const () {
    // SAFETY: Invariant 1.
    let cell = unsafe { header.cast::<TaskCell<F, H, K>>().as_ref() };
    // SAFETY: Invariant 1: nobody takes the result meanwhile.
    let result = unsafe { cell.result() };
    result.map_or(std::ptr::null(), |result| std::ptr::from_ref(result).cast())
}

/// See [`VTable::drop_result`].
unsafe fn drop_result<F: Future, H: Hook<F::Output>, K: Keep>(header: NonNull<Header>) {
    // SAFETY: Invariant 1.
    let cell = unsafe { header.cast::<TaskCell<F, H, K>>().as_ref() };
    // SAFETY: Invariant 1: the result is ours.
    if let Some(result) = unsafe { cell.result() } {
        if H::may_be_lost(result) && cell.header.runtime().debug.is_some() {
            report_lost::<F, H>(&cell.header, result);
        }
    }
    // SAFETY: Invariant 1: the result is ours.
    ignore_panic(|| unsafe { cell.clear() });
}

/// Reports an error or a panic that nobody looked at.
#[cold]
fn report_lost<F: Future, H: Hook<F::Output>>(header: &Header, result: &Outcome<F, H>) {
    let is_seen = |cold: &super::cold::Cold| lock_std(&cold.on_finish).is_looking;
    if header.cold_if_any().is_some_and(is_seen) {
        return;
    }
    let lost = catch_unwind(AssertUnwindSafe(|| H::lost(result)));
    if let Ok(Some(how)) = lost {
        let unhandled = Unhandled::lost_result(header.info(), how);
        header.runtime().report(unhandled);
    }
}

/// Why the task is cancelled; the request stored it before it set the bit.
fn why(header: &Header) -> Cancelled {
    let stored = header
        .cold_if_any()
        .and_then(|cold| lock_std(&cold.request).cancelled.clone());
    stored.unwrap_or_else(|| Cancelled::by_shutdown(header.location()))
}

/// Delivers a request to cancel. True: the body is to be dropped. False: a shield holds that back, and the task
/// is woken when it does not any more; or regions inside the body have caught it.
#[cold]
fn deliver(header: &Header) -> bool {
    let Some(cold) = header.cold_if_any() else {
        return true;
    };
    let waker = borrowed_waker(NonNull::from(header));
    let cx = &mut Context::from_waker(&waker);
    if cold
        .scope
        .poll_unshielded(cx, header.location())
        .is_pending()
    {
        return false;
    }
    if !cold.scope.is_caught_inside() {
        return true;
    }
    let mut request = lock_std(&cold.request);
    header.state.uncancel();
    let cancelled = request.cancelled.take();
    if let Some(signal) = &request.signal {
        signal.lower();
    }
    drop(request);
    let cancelled = cancelled.unwrap_or_else(|| Cancelled::by_shutdown(header.location()));
    !cold.scope.pass_on(&cancelled)
}

/// See [`VTable::surroundings`].
unsafe fn surroundings<F: Future, H: Hook<F::Output>, K: Keep>(
    header: NonNull<Header>,
) -> Surroundings {
    // SAFETY: Invariant 1.
    let hook = unsafe { header.cast::<TaskCell<F, H, K>>().as_ref() }
        .hook
        .get();
    // SAFETY: the caller has `RUNNING`; hooks are looked at, and taken out when nothing of the task runs.
    let hook = unsafe { &*hook };
    hook.as_ref().map(H::surroundings).unwrap_or_default()
}

/// Polls the cleanup that was started while the body goes on.
#[inline]
fn poll_cleanup_beside(header: &Header) {
    if let Some(cold) = header.cold_if_any() {
        let waker = borrowed_waker(NonNull::from(header));
        cold.scope.poll_beside(&mut Context::from_waker(&waker));
        if cold.scope.is_given_back() {
            if let Some(cancelled) = cold.scope.take_given_back() {
                // It runs, so this only has it polled once more.
                cancel(header, || cancelled);
            }
        }
    }
}

/// Polls the cleanup that the body left behind.
fn poll_cleanup(header: &Header) -> Poll<()> {
    let Some(cold) = header.cold_if_any() else {
        return Poll::Ready(());
    };
    let waker = borrowed_waker(NonNull::from(header));
    cold.scope
        .poll_end(&mut Context::from_waker(&waker), header.location())
}

/// Completes a task whose result is in place: callbacks, the state word, the join waker.
///
/// # Safety
///
/// The caller has `RUNNING`, and gives up the reference of the runtime.
unsafe fn complete(header: NonNull<Header>) {
    // SAFETY: the reference of the runtime is ours until it is released below.
    let this = unsafe { header.as_ref() };
    scheduler::count_end(this);
    let mut result_dropped = false;
    let last = loop {
        let seen = this.state.load();
        if seen.has_callbacks() {
            this.state.clear_callbacks();
            outside_any_task(|| call_back(header));
            continue;
        }
        if !seen.has_join_interest() && !result_dropped {
            // SAFETY: Invariant 1: without a handle the result is ours; nobody can make a new handle.
            outside_any_task(|| unsafe { (this.vtable().drop_result)(header) });
            result_dropped = true;
        }
        if seen.has_join_waker() {
            if this.state.complete(seen) {
                break wake_joiner(this);
            }
        } else if let Some(last) = this.state.complete_and_release(seen) {
            break last;
        }
    };
    scheduler::tell_closer();
    if last {
        // SAFETY: that was the last reference.
        unsafe { free(header) };
    }
}

/// Calls what comes after a task, whose scope is over: cleanup that is registered now would wait there for ever.
pub(super) fn outside_any_task(f: impl FnOnce()) {
    context::with(|cx| {
        let _task = Restore::set(&cx.task, std::ptr::null());
        f();
    });
}

/// Wakes whoever awaits the task that was just completed; true if the reference of the runtime was the last.
fn wake_joiner(this: &Header) -> bool {
    this.join_waker.with(|slot| {
        // SAFETY: the slot is ours: `JOIN_WAKER` was set when we completed.
        if let Some(waker) = unsafe { (*slot).as_ref() } {
            ignore_panic(|| waker.wake_by_ref());
        }
    });
    this.state.release()
}

/// Calls the done callbacks that are in the list, each with its own panic isolation.
///
/// One thread at a time, and one callback after the other: they look at a result that may not be `Sync`. Who
/// comes while another thread is calling leaves its callback to that one.
pub(crate) fn call_back(header: NonNull<Header>) {
    // SAFETY: the caller has a reference.
    let this = unsafe { header.as_ref() };
    let list = &this.cold().on_finish;
    if std::mem::replace(&mut lock_std(list).is_calling, true) {
        return;
    }
    let mut info = this.info();
    info.state = super::TaskState::Finished;
    loop {
        let mut callbacks = lock_std(list);
        let Some((locals, callback)) = callbacks.waiting.pop_front() else {
            callbacks.is_calling = false;
            return;
        };
        drop(callbacks);
        let call = AssertUnwindSafe(|| crate::locals::within(locals, || callback(header, &info)));
        if let Err(payload) = catch_unwind(call) {
            this.runtime()
                .report(Unhandled::callback(Panic::new(payload), info.clone()));
        }
    }
}

/// Calls foreign code whose panic has nowhere to go: it must not take the worker with it (rule C13).
pub(crate) fn ignore_panic(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        // What was thrown may throw again when it is dropped: that one is kept for good.
        let told = catch_unwind(AssertUnwindSafe(|| {
            context::with_runtime(|runtime| {
                let unhandled = Unhandled::stray(Panic::new(payload));
                match runtime {
                    Some(runtime) => runtime.report(unhandled),
                    None => unhandled.print(),
                }
            });
        }));
        if let Err(payload) = told {
            std::mem::forget(payload);
        }
    }
}

/// Asks for the cancellation of a task; true if it was the first request and in time.
pub(crate) fn cancel(header: &Header, cancelled: impl FnOnce() -> Cancelled) -> bool {
    let state = header.state.load();
    if state.is_complete() || state.is_cancelled() {
        return false;
    }
    // Not under the lock: it runs code of the caller.
    let cancelled = cancelled();
    let mut request = lock_std(&header.cold().request);
    if let (None, Some(signal)) = (&request.cancelled, &request.signal) {
        let functions = signal.take_functions();
        drop(request);
        functions.call();
        request = lock_std(&header.cold().request);
    }
    if request.cancelled.is_some() {
        // The first reason is kept (rule C8).
        return false;
    }
    request.cancelled = Some(cancelled);
    let to_call = request.signal.as_ref().map(|signal| signal.raise());
    let (first, wake) = header.state.cancel();
    drop(request);
    if is_due(header, wake) {
        // SAFETY: the task became scheduled by this call.
        scheduler::schedule(unsafe { Task::new(NonNull::from(header)) });
    }
    if let Some(to_call) = to_call {
        to_call.call();
    }
    first
}

/// The end of the runtime will be no reason to cancel this task, which nobody else knows yet.
pub(crate) fn spare_from_shutdown(header: &Header) {
    lock_std(&header.cold().request).is_shutdown = true;
}

/// Cancels a task because its runtime shuts down, once: what it goes on with after it has caught that is left
/// alone until the grace is over.
pub(crate) fn cancel_for_shutdown(header: &Header) {
    if header.state.load().is_complete() {
        return;
    }
    let is_told = std::mem::replace(&mut lock_std(&header.cold().request).is_shutdown, true);
    if !is_told {
        cancel(header, || Cancelled::by_shutdown(header.location()));
    }
}
