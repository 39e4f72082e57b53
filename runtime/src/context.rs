//! What the current thread is doing for a runtime: the one thread-local of the crate.
//!
//! Everything hot is a plain cell in one thread-local without a destructor, so that an access is one
//! address computation. Pointers in it are lent: whoever sets one restores the old value before what it
//! points to goes away (the guards below do that on unwinding too).

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cancel::Scope;
use crate::locals::Frame;
use crate::reactor::Reactor;
use crate::scheduler::{Caller, Seat, Shared};
use crate::task::Header;

/// Leaf operations a task may complete in one poll, see [`coop`](crate::coop).
pub(crate) const BUDGET: u8 = 128;

/// The budget while no task is being polled: leaf operations are not counted.
pub(crate) const UNLIMITED: u8 = u8::MAX;

/// # Invariants
///
/// 1. `runtime` is null or points to a `Shared` that the setter keeps alive until it restores the cell.
/// 2. `seat` is null or points to a seat of `runtime` that this thread holds.
/// 3. `task` is null or points to the header of the task that this thread is polling, alive meanwhile.
/// 4. `scope` is null or points to a scope whose owner is being polled or dropped on this thread.
/// 5. `frames` is null or points to a frame that its maker takes away before it goes.
/// 6. `caller` is null or points to what stands for a call of `block_on` on this thread, alive until that returns.
pub(crate) struct Context {
    pub(crate) runtime: Cell<*const Shared>,
    pub(crate) seat: Cell<*const Seat>,
    pub(crate) task: Cell<*const Header>,
    /// The innermost `block_on` of this thread: what runs if it is no task.
    pub(crate) caller: Cell<*const Caller>,
    pub(crate) scope: Cell<*const Scope>,
    /// Values of task-locals may be set on this thread outside any task.
    pub(crate) has_locals: Cell<bool>,
    /// The innermost value of a task-local that is not inherited.
    pub(crate) frames: Cell<*const Frame>,
    /// The running task asked to be queued again at the back.
    pub(crate) yielded: Cell<bool>,
    pub(crate) budget: Cell<u8>,
    /// What is woken is one of several: none of them runs next, they are queued in order.
    pub(crate) wakes_many: Cell<bool>,
    /// Which `Handle::enter` or `block_on` set `runtime`, by a number that this thread never uses again.
    pub(crate) entry: Cell<u64>,
    last_entry: Cell<u64>,
    /// The seat that this thread still holds while another runtime is entered on top.
    pub(crate) seat_behind: Cell<*const Seat>,
    /// On a blocking thread inside a job: the pool's count of those.
    n_running: Cell<*const AtomicUsize>,
    /// This thread's number among those that inject, from one; zero until it first does.
    producer: Cell<usize>,
    /// What the system calls this thread; zero until somebody asks.
    thread_id: Cell<u32>,
}

thread_local! {
    static CONTEXT: Context = const {
        Context {
            runtime: Cell::new(ptr::null()),
            seat: Cell::new(ptr::null()),
            task: Cell::new(ptr::null()),
            caller: Cell::new(ptr::null()),
            scope: Cell::new(ptr::null()),
            has_locals: Cell::new(false),
            frames: Cell::new(ptr::null()),
            yielded: Cell::new(false),
            budget: Cell::new(UNLIMITED),
            wakes_many: Cell::new(false),
            entry: Cell::new(0),
            last_entry: Cell::new(0),
            seat_behind: Cell::new(ptr::null()),
            n_running: Cell::new(ptr::null()),
            producer: Cell::new(0),
            thread_id: Cell::new(0),
        }
    };
}

impl Context {
    /// A number for one more entry; the one of before.
    pub(crate) fn begin_entry(&self) -> (u64, u64) {
        let entry = self.last_entry.get() + 1;
        self.last_entry.set(entry);
        (entry, self.entry.replace(entry))
    }

    /// Leaves what a future entered and did not leave before it was suspended.
    #[inline]
    pub(crate) fn leave_stray(&self, runtime: *const Shared, entry: u64) {
        if self.entry.get() != entry {
            self.leave_stray_slow(runtime, entry);
        }
    }

    #[cold]
    fn leave_stray_slow(&self, runtime: *const Shared, entry: u64) {
        self.entry.set(entry);
        self.runtime.set(runtime);
        let seat = self.seat_behind.replace(ptr::null());
        if !seat.is_null() {
            self.seat.set(seat);
        }
    }
}

/// Gives `f` the context of this thread. It has no destructor, so it is there as long as the thread.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Context) -> R) -> R {
    CONTEXT.with(f)
}

/// This thread begins a blocking job: it counts in `n_running` until the guard is dropped, or the work itself is
/// done before.
pub(crate) fn enter_blocking_job(n_running: &AtomicUsize) -> BlockingJob<'_> {
    n_running.fetch_add(1, Ordering::Relaxed);
    with(|cx| cx.n_running.set(ptr::from_ref(n_running)));
    BlockingJob {
        _n_running: n_running,
    }
}

/// The work of this thread's blocking job is done: the thread is as good as free.
pub(crate) fn blocking_work_is_done() {
    let n_running = with(|cx| cx.n_running.replace(ptr::null()));
    // SAFETY: null, or set by `enter_blocking_job`, whose guard borrows it and takes the pointer away.
    if let Some(n_running) = unsafe { n_running.as_ref() } {
        n_running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A blocking job of this thread.
pub(crate) struct BlockingJob<'a> {
    _n_running: &'a AtomicUsize,
}

impl Drop for BlockingJob<'_> {
    fn drop(&mut self) {
        blocking_work_is_done();
    }
}

/// This thread's number as a producer for injectors.
pub(crate) fn producer() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    with(|cx| {
        if cx.producer.get() == 0 {
            cx.producer.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        cx.producer.get()
    })
}

/// The number of the seat that this thread holds; no seat has it if there is none.
#[inline]
pub(crate) fn seat_number() -> usize {
    with(|cx| {
        // SAFETY: context invariant 2.
        let seat = unsafe { cx.seat.get().as_ref() };
        seat.map_or(usize::MAX, Seat::index)
    })
}

/// What the system calls this thread; zero where it does not tell.
pub(crate) fn thread_id() -> u32 {
    with(|cx| {
        if cx.thread_id.get() == 0 {
            cx.thread_id.set(crate::sys::thread_id());
        }
        cx.thread_id.get()
    })
}

/// The runtime of this thread, if it is inside one.
pub(crate) fn runtime() -> Option<Arc<Shared>> {
    with(|cx| {
        let shared = cx.runtime.get();
        if shared.is_null() {
            return None;
        }
        // SAFETY: Context invariant 1: it points into an `Arc` that is alive now.
        unsafe { Arc::increment_strong_count(shared) };
        // SAFETY: the count taken above is given to this `Arc`.
        Some(unsafe { Arc::from_raw(shared) })
    })
}

/// Gives `f` the runtime of this thread without touching its count.
#[inline(always)]
pub(crate) fn with_runtime<R>(f: impl FnOnce(Option<&Shared>) -> R) -> R {
    with(|cx| {
        // SAFETY: Context invariant 1.
        f(unsafe { cx.runtime.get().as_ref() })
    })
}

/// Gives `f` the header of the task being polled on this thread.
#[inline(always)]
pub(crate) fn with_task<R>(f: impl FnOnce(Option<&Header>) -> R) -> R {
    with(|cx| {
        // SAFETY: Context invariant 3.
        f(unsafe { cx.task.get().as_ref() })
    })
}

/// Gives `f` the innermost call of `block_on` on this thread.
#[inline]
pub(crate) fn with_caller<R>(f: impl FnOnce(Option<&Caller>) -> R) -> R {
    with(|cx| {
        // SAFETY: Context invariant 6.
        f(unsafe { cx.caller.get().as_ref() })
    })
}

/// The reactor of the current runtime, made on first use.
///
/// # Errors
///
/// If there is no runtime on this thread, or the system gives no poller.
pub(crate) fn current_reactor() -> io::Result<Arc<Reactor>> {
    with_runtime(|shared| match shared {
        Some(shared) => shared.reactor(),
        None => Err(io::Error::other(
            "there is no runtime here: call this inside rt::block_on, #[rt::main] or with Handle::enter",
        )),
    })
}

/// Restores a cell of the context when it goes out of scope, also by unwinding.
pub(crate) struct Restore<'a, T: Copy> {
    cell: &'a Cell<T>,
    before: T,
}

impl<'a, T: Copy> Restore<'a, T> {
    /// Sets `cell` until the guard is dropped.
    #[inline]
    pub(crate) fn set(cell: &'a Cell<T>, value: T) -> Self {
        Self {
            cell,
            before: cell.replace(value),
        }
    }

    /// What the cell is restored to.
    #[inline]
    pub(crate) fn before(&self) -> T {
        self.before
    }
}

impl<T: Copy> Drop for Restore<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.cell.set(self.before);
    }
}
