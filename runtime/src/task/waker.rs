//! The wakers of tasks: pointers to a header, each with one reference of its count.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::{Header, Retained, Task};
use super::watched::is_due;
use crate::scheduler::{self, Shared};
use crate::trace;

/// A waker that borrows: valid as long as the caller may use the header, and never dropped.
pub(super) fn borrowed_waker(header: NonNull<Header>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(header.as_ptr().cast_const().cast(), &WAKER);
    // SAFETY: the functions of the table keep the contract; not dropping it makes up for the reference that
    // was not taken.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// One table for all tasks, so that `will_wake` is exact.
static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned keeps the cell alive.
    let this = unsafe { &*data.cast::<Header>() };
    trace::waker(this, "waker.clone");
    this.state.retain();
    RawWaker::new(data, &WAKER)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker that is used up owns a reference.
    let task = unsafe { Retained::from_raw(header_of(data)) };
    trace::waker(task.header(), "waker.wake");
    wake_task(task.header());
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps the cell alive.
    let this = unsafe { &*data.cast::<Header>() };
    trace::waker(this, "waker.wake_by_ref");
    wake_task(this);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker owned a reference.
    let task = unsafe { Retained::from_raw(header_of(data)) };
    trace::waker(task.header(), "waker.drop");
}

fn header_of(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast::<Header>().cast_mut()).expect("made from a reference")
}

#[inline]
fn wake_task(header: &Header) {
    if is_due(header, header.state.wake()) {
        // SAFETY: the task became scheduled by this call.
        scheduler::schedule(unsafe { Task::new(NonNull::from(header)) });
    }
}

/// Whether it is the waker of a task, of any runtime.
#[inline]
pub(crate) fn is_waker_of_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &raw const WAKER)
}

/// Wakes a task of this runtime, and leaves it to the caller to queue it, if it is to be queued.
///
/// # Errors
///
/// The waker, if it is not that of such a task.
pub(crate) fn wake_unqueued(waker: Waker, runtime: *const Shared) -> Result<Option<Task>, Waker> {
    if !is_waker_of_task(&waker) {
        return Err(waker);
    }
    let header = header_of(waker.data());
    // SAFETY: the waker keeps the cell alive.
    if !std::ptr::eq(Arc::as_ptr(unsafe { header.as_ref() }.runtime()), runtime) {
        return Err(waker);
    }
    // SAFETY: the waker owns a reference, which is given up here: it is forgotten.
    let task = unsafe { Retained::from_raw(header) };
    std::mem::forget(waker);
    trace::waker(task.header(), "waker.wake");
    let is_due = is_due(task.header(), task.header().state.wake());
    // SAFETY: the task became scheduled by this call.
    Ok(is_due.then(|| unsafe { Task::new(header) }))
}

/// Gives up the reference of a task's waker, if it is one. The task, if that was the last: the caller frees it.
pub(super) fn release_of(waker: Waker) -> Result<Option<NonNull<Header>>, Waker> {
    if !is_waker_of_task(&waker) {
        return Err(waker);
    }
    let waker = ManuallyDrop::new(waker);
    let header = header_of(waker.data());
    // SAFETY: the waker owned a reference, which is given up here.
    let is_last = unsafe { header.as_ref() }.state.release();
    Ok(is_last.then_some(header))
}
