//! What tasks, wakers and spawns call: the ways into the scheduler.
//!
//! Each first asks what this thread is for the runtime in question. On one of its seats everything is local: the
//! seat's queue, arena, ids, counters and timers. Elsewhere it is the injector's, and what stands for the threads
//! without a seat.

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Seat, Shared, seat};
use crate::context;
use crate::platform::Nanos;
use crate::shim::lock_std;
use crate::task::{Arena, Header, Task, TaskId};
use crate::time::Timers;

/// Whether this thread holds the seat with this arena.
#[inline]
pub(crate) fn holds_arena(arena: NonNull<Arena>) -> bool {
    context::with(|cx| {
        let seat = cx.seat.get();
        // SAFETY: context invariant 2: it is null or a seat that this thread holds.
        !seat.is_null() && unsafe { (*seat).arena } == arena
    })
}

/// A number below `n`, for choices that are to be fair. Outside a runtime the numbers come in turn.
pub(crate) fn random_below(n: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    context::with(|cx| {
        // SAFETY: context invariant 2: it is null or a seat that this thread holds.
        match unsafe { cx.seat.get().as_ref() } {
            // SAFETY: as above.
            Some(seat) => unsafe { seat.holder() }.random.below(n),
            None => NEXT.fetch_add(1, Ordering::Relaxed) % n,
        }
    })
}

/// Gives `f` the seat this thread holds of a runtime, and whether what is woken now is to run next.
#[inline(always)]
pub(super) fn with_seat_of<R>(
    shared: *const Shared,
    f: impl FnOnce(Option<&Seat>, bool) -> R,
) -> R {
    context::with(|cx| {
        let seat = cx.seat.get();
        if seat.is_null() || !ptr::eq(cx.runtime.get(), shared) {
            return f(None, false);
        }
        // SAFETY: context invariant 2: a seat that this thread holds.
        let seat = unsafe { &*seat };
        f(Some(seat), !cx.task.get().is_null() && !cx.wakes_many.get())
    })
}

/// Queues a task that was just woken, or whose cancellation was asked for.
#[inline]
pub(crate) fn schedule(task: Task) {
    let shared = Arc::as_ptr(task.header().runtime());
    with_seat_of(shared, |seat, is_next| {
        // SAFETY: the arena of a task that is not complete keeps its runtime alive.
        let shared = unsafe { &*shared };
        let Some(seat) = seat else {
            shared.note_waker();
            return shared.inject(task);
        };
        let n_queued = if is_next {
            // SAFETY: this thread holds the seat.
            unsafe { seat.push_next(task) }
        } else {
            // It has slept: who wakes is no task, or wakes many.
            // SAFETY: this thread holds the seat.
            unsafe { seat.push_cold(task) }
        };
        if seat.wants_help(n_queued) {
            shared.wake_for_push(seat);
        }
    });
}

/// Where a new task lives, and its id.
#[inline]
pub(crate) fn alloc(shared: &Shared, class: u8) -> (NonNull<Header>, TaskId) {
    let (block, id) = with_seat_of(shared, |seat, _| match seat {
        Some(seat) => {
            // SAFETY: a seat that is held keeps its arena open.
            let arena = unsafe { seat.arena.as_ref() };
            // SAFETY: this thread holds the seat, so it owns the local part of its arena.
            let block = unsafe { arena.alloc(class) };
            // SAFETY: this thread holds the seat.
            unsafe { seat.count_spawn() };
            // SAFETY: this thread holds the seat.
            (block, unsafe { seat.next_id() })
        }
        None => {
            let arena = lock_std(&shared.outside_arena);
            shared.n_spawned_outside.fetch_add(1, Ordering::Relaxed);
            // SAFETY: an arena that is still there is not closed, and the lock is held.
            let block = arena.map(|arena| unsafe { arena.0.as_ref() }).map(|arena| {
                // SAFETY: the lock stands for the ownership of the local part.
                unsafe { arena.alloc(class) }
            });
            (
                block.unwrap_or_else(|| alloc_alone(shared, class)),
                seat::next_id(),
            )
        }
    });
    (block, TaskId::new(id))
}

/// A block in an arena of its own, for a task that is spawned after the end: it only says that it is cancelled.
#[cold]
fn alloc_alone(shared: &Shared, class: u8) -> NonNull<Header> {
    let arena = Arena::new();
    // SAFETY: it was just made, and lives until its one block is given back.
    let this = unsafe { arena.as_ref() };
    // SAFETY: nobody else has the arena yet.
    unsafe { this.attach(shared.to_arc()) };
    // SAFETY: as above, so this thread owns the local part.
    let block = unsafe { this.alloc(class) };
    // SAFETY: called once, and nobody allocates here afterwards.
    unsafe { Arena::close(arena) };
    block
}

/// Queues a task that was just spawned.
#[inline]
pub(crate) fn submit(shared: &Shared, task: Task) {
    with_seat_of(shared, |seat, _| {
        let Some(seat) = seat else {
            return shared.inject(task);
        };
        if shared.is_stopping() {
            return end_late(shared, task);
        }
        shared.monitor.ensure_started(shared);
        // SAFETY: this thread holds the seat.
        let n_queued = unsafe { seat.push(task) };
        if seat.wants_help(n_queued) {
            shared.wake_for_push(seat);
        }
    });
}

/// Ends a task that was spawned after shutdown had looked for the last time.
#[cold]
fn end_late(shared: &Shared, task: Task) {
    context::with(|cx| {
        let _runtime = context::Restore::set(&cx.runtime, ptr::from_ref(shared));
        crate::task::abort(task);
    });
}

/// Counts the end of a task.
#[inline]
pub(crate) fn count_end(header: &Header) {
    crate::trace::ended(header);
    let shared: &Shared = header.runtime();
    with_seat_of(shared, |seat, _| match seat {
        // SAFETY: this thread holds the seat.
        Some(seat) => unsafe { seat.count_end() },
        None => drop(shared.n_ended_outside.fetch_add(1, Ordering::Relaxed)),
    });
    if header.is_local() {
        shared.n_local.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells shutdown that a task is complete: after the state word says so, or it would look too early and then
/// wait for its grace.
#[inline]
pub(crate) fn tell_closer() {
    context::with_runtime(|shared| {
        if let Some(shared) = shared {
            if shared.is_closing() {
                shared.wake_closer();
            }
        }
    });
}

/// The timers that a future polled on this thread registers with.
///
/// # Panics
///
/// Outside a runtime.
pub(crate) fn current_timers() -> Arc<Timers> {
    context::with(|cx| {
        // SAFETY: context invariant 2.
        if let Some(seat) = unsafe { cx.seat.get().as_ref() } {
            return seat.timers.clone();
        }
        // SAFETY: context invariant 1.
        match unsafe { cx.runtime.get().as_ref() } {
            Some(shared) => shared.outside_timers.clone(),
            None => panic!(
                "a timer was polled outside a runtime: {}",
                crate::NO_RUNTIME
            ),
        }
    })
}

/// Arms a timer of this thread, and sees to it that somebody wakes for it.
pub(crate) fn arm(
    timers: &Timers,
    deadline: Nanos,
    waker: std::task::Waker,
) -> crate::time::TimerKey {
    let (key, is_earliest) = timers.set(deadline, waker);
    if is_earliest {
        context::with_runtime(|shared| {
            let Some(shared) = shared else { return };
            if std::ptr::eq(timers, &*shared.outside_timers) {
                // Whoever sleeps may sleep too long: one of them looks again.
                shared.idle.fence_after_push();
                shared.wake_one();
            }
        });
    }
    key
}
