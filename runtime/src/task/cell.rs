//! The task cell: one block that holds a task's header, its hook, and its future or result.
//!
//! The header is the same for every task and is all that queues, wakers, timers and dumps know; a table of
//! functions leads from it to the typed rest.
//!
//! # Who may touch what, when
//!
//! - `state`: anybody with a reference, see [`state`](super::state).
//! - `home`, `class`: written when the block is first handed out, read by anybody (arena invariant 3).
//! - `next`: the owner of a dead block, or the one queue that holds the task.
//! - `vtable`, `id`, `parent`, `location`, `born`: written before `State::init`, read by anybody after.
//! - `phase`, the hook and the stage: the thread that has `RUNNING`; the stage also by the handle once
//!   `COMPLETE` is set and the interest is the handle's.
//! - `join_waker`: see `JOIN_WAKER` in [`state`](super::state).
//! - `cold`: anybody with a reference; see [`Cold`] for its parts.
//!
//! # Invariants
//!
//! 1. A `Task` (queue entry) is made from `Wake::Submit`, `AfterPoll::Requeue` or a spawn, and is used up by
//!    one `run`; until then the cell is alive (state invariant 1).
//! 2. A `Retained` owns one reference of the count.
//! 3. The table at `vtable` was made for the types the cell was made with.
//! 4. The stage holds the future until the phase is `Cleanup`, and the result from then on until it is taken.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::arena::Arena;
use super::info::{TaskId, TaskInfo, TaskState};
use super::returns::Node;
use super::state::State;
use crate::cancel::{Cancelled, Scope, Signal, Surroundings};
use crate::locals::{Locals, Snapshot};
use crate::scheduler::Shared;
use crate::shim::atomic::{AtomicPtr, Ordering};
use crate::shim::{UnsafeCell, lock_std};

/// What the caller of [`VTable::poll`] wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// An ordinary poll.
    Poll,
    /// Deliver the cancellation, unless it is shielded or the body is through.
    Cancel,
    /// End now, whatever is unfinished: the runtime is going away.
    Abort,
}

/// The functions that know a cell's types.
pub(crate) struct VTable {
    /// Polls the body or the cleanup. `Ready`: the task is complete and the cell may be gone.
    pub(crate) poll: unsafe fn(NonNull<Header>, Mode) -> Poll<()>,
    /// Moves the result out, to a place for a `Result<T, JoinError>` of the handle's `T`.
    pub(crate) take_result: unsafe fn(NonNull<Header>, *mut ()),
    /// Where the result is, as long as nobody takes it: a `Result<T, JoinError>` of the handle's `T`; null if
    /// there is none (any more).
    pub(crate) peek_result: unsafe fn(NonNull<Header>) -> *const (),
    /// Drops the result.
    pub(crate) drop_result: unsafe fn(NonNull<Header>),
    /// What is around the group that the task belongs to, for the thread that has `RUNNING`.
    pub(crate) surroundings: unsafe fn(NonNull<Header>) -> Surroundings,
    /// Nobody but the holder of a handle follows the task: no group.
    pub(crate) is_alone: bool,
}

/// How far a task is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The stage holds the future.
    Body,
    /// The stage holds the result, and the cleanup of the body may still be running.
    Cleanup,
}

#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    vtable: Cell<&'static VTable>,
    next: Cell<*mut Header>,
    home: Cell<NonNull<Arena>>,
    pub(crate) join_waker: UnsafeCell<Option<Waker>>,
    cold: AtomicPtr<Cold>,
    wait_reason: AtomicPtr<&'static str>,
    id: Cell<TaskId>,
    parent: Cell<Option<TaskId>>,
    location: Cell<&'static Location<'static>>,
    n_polls: AtomicU32,
    /// Milliseconds of the runtime's coarse clock.
    born: Cell<u32>,
    class: Cell<u8>,
    pub(crate) phase: Cell<Phase>,
    is_local: Cell<bool>,
}

// SAFETY: the module's table says who touches which field when; the plain cells are written before the
// task is shared, or by the one thread that the table names.
unsafe impl Sync for Header {}

/// What few tasks have: made on first use.
///
/// Each part is under its own lock or set once, except `scope` and `locals`, which belong to the thread that
/// has `RUNNING`; what is inherited is written before the task is shared.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: OnceLock<Arc<str>>,
    pub(crate) request: Mutex<Request>,
    pub(crate) on_finish: Mutex<Callbacks>,
    pub(crate) scope: Scope,
    pub(crate) locals: Locals,
    pub(crate) busy_micros: AtomicU64,
}

/// The request to cancel a task.
///
/// `CANCELLED` in the state word is set and cleared under the lock of this, together with `cancelled`; so
/// whoever listens first finds the request, or the request finds the signal.
#[derive(Default)]
pub(crate) struct Request {
    /// Why, until a region catches it.
    pub(crate) cancelled: Option<Cancelled>,
    /// Made when somebody first listens.
    pub(crate) signal: Option<Arc<Signal>>,
    /// The task was told that its runtime shuts down, which happens once.
    pub(crate) is_shutdown: bool,
}

/// The done callbacks that were not called yet.
#[derive(Default)]
pub(crate) struct Callbacks {
    pub(crate) waiting: VecDeque<(Snapshot, Callback)>,
    /// A thread is calling them, and looks for more before it stops.
    pub(crate) is_calling: bool,
    /// One of them looks at the result.
    pub(crate) is_looking: bool,
}

/// A done callback. It gets the header while the result is in place and nobody else touches it, and runs with the
/// task-locals of the place where it was registered.
pub(crate) type Callback = Box<dyn FnOnce(NonNull<Header>, &TaskInfo) + Send>;

impl Node for Header {
    fn next(&self) -> *mut Self {
        self.next.get()
    }
    fn set_next(&self, next: *mut Self) {
        self.next.set(next);
    }
}

/// What a spawn writes into the header.
pub(crate) struct Birth {
    pub(crate) vtable: &'static VTable,
    pub(crate) id: TaskId,
    pub(crate) parent: Option<TaskId>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) born: u32,
    pub(crate) is_local: bool,
}

impl Header {
    /// Writes what a block keeps for ever: where it belongs. Everything else stays zero.
    ///
    /// # Safety
    ///
    /// The block is the caller's, all zeros, big enough for a header and aligned for one.
    pub(crate) unsafe fn settle(block: NonNull<Self>, home: NonNull<Arena>, class: u8) {
        let block = block.as_ptr();
        // SAFETY: by the caller's promise; no reference is made to the rest.
        let to_home = unsafe { &raw mut (*block).home };
        // SAFETY: the field lies in the caller's block.
        unsafe { to_home.write(Cell::new(home)) };
        // SAFETY: by the caller's promise; no reference is made to the rest.
        let to_class = unsafe { &raw mut (*block).class };
        // SAFETY: the field lies in the caller's block.
        unsafe { to_class.write(Cell::new(class)) };
    }

    /// Writes everything else but the state word, which stays dead.
    ///
    /// # Safety
    ///
    /// The block is the caller's: it came from `Arena::alloc`.
    #[inline]
    pub(crate) unsafe fn bear(block: NonNull<Self>, birth: &Birth) {
        let block = block.as_ptr();
        // SAFETY: the block is the caller's; each field is written without reading what was there, because a
        // block that is handed out for the first time holds zeros, which are no values of these types.
        macro_rules! write {
            ($field:ident, $value:expr) => {
                // SAFETY: the block is the caller's; no reference is made to the rest.
                let field = unsafe { &raw mut (*block).$field };
                // SAFETY: the field lies in the caller's block.
                unsafe { field.write($value) }
            };
        }
        write!(vtable, Cell::new(birth.vtable));
        write!(next, Cell::new(ptr::null_mut()));
        write!(join_waker, UnsafeCell::new(None));
        write!(cold, AtomicPtr::new(ptr::null_mut()));
        write!(wait_reason, AtomicPtr::new(ptr::null_mut()));
        write!(id, Cell::new(birth.id));
        write!(parent, Cell::new(birth.parent));
        write!(location, Cell::new(birth.location));
        write!(n_polls, AtomicU32::new(0));
        write!(born, Cell::new(birth.born));
        write!(phase, Cell::new(Phase::Body));
        write!(is_local, Cell::new(birth.is_local));
    }

    #[inline]
    pub(crate) fn vtable(&self) -> &'static VTable {
        self.vtable.get()
    }

    #[inline]
    pub(crate) fn class(&self) -> u8 {
        self.class.get()
    }

    #[inline]
    pub(crate) fn home(&self) -> NonNull<Arena> {
        self.home.get()
    }

    #[inline]
    pub(crate) fn runtime(&self) -> &Arc<Shared> {
        // SAFETY: a block in use keeps its arena alive (arena invariant 4).
        unsafe { self.home.get().as_ref() }.runtime()
    }

    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        self.id.get()
    }

    #[inline]
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location.get()
    }

    #[inline]
    pub(crate) fn is_local(&self) -> bool {
        self.is_local.get()
    }

    /// Counts a poll; only the polling thread calls it.
    #[inline]
    pub(crate) fn count_poll(&self) {
        let n = self.n_polls.load(Ordering::Relaxed);
        self.n_polls.store(n.wrapping_add(1), Ordering::Relaxed);
    }

    /// Says what the task is about to wait for; only the polling thread calls it.
    #[inline]
    pub(crate) fn set_wait_reason(&self, reason: Option<&'static &'static str>) {
        let pointer = reason.map_or(ptr::null_mut(), |reason| ptr::from_ref(reason).cast_mut());
        self.wait_reason.store(pointer, Ordering::Relaxed);
    }

    /// Whether the cold part was ever needed.
    #[inline]
    pub(crate) fn has_cold(&self) -> bool {
        !self.cold.load(Ordering::Relaxed).is_null()
    }

    /// The cold part, if it was ever needed.
    #[inline]
    pub(crate) fn cold_if_any(&self) -> Option<&Cold> {
        // ORDERING(cold): Acquire, for the exchange that put it there.
        let cold = self.cold.load(Ordering::Acquire);
        // SAFETY: set once and freed with the cell, which the reference to the header keeps alive.
        unsafe { cold.as_ref() }
    }

    /// The cold part, made now if it was not there.
    pub(crate) fn cold(&self) -> &Cold {
        if let Some(cold) = self.cold_if_any() {
            return cold;
        }
        let fresh = Box::into_raw(Box::<Cold>::default());
        // ORDERING(cold): Release, the part is whole before anybody finds it; Acquire, somebody else's.
        let winner = match self.cold.compare_exchange(
            ptr::null_mut(),
            fresh,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => fresh,
            Err(theirs) => {
                // SAFETY: nobody but us has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                theirs
            }
        };
        // SAFETY: set once and freed with the cell, which the reference to the header keeps alive.
        unsafe { &*winner }
    }

    /// What tells of requests to cancel the task, made now if nobody listened before.
    pub(crate) fn signal(&self) -> Arc<Signal> {
        let mut request = lock_std(&self.cold().request);
        let is_asked = request.cancelled.is_some();
        Signal::of(&mut request.signal, is_asked)
    }

    /// A snapshot for people.
    pub(crate) fn info(&self) -> TaskInfo {
        let state = self.state.load();
        let reason = self.wait_reason.load(Ordering::Relaxed);
        let state = if state.is_complete() {
            TaskState::Finished
        } else if state.is_running() {
            TaskState::Running
        } else if state.is_scheduled() {
            TaskState::Scheduled
        } else {
            TaskState::Waiting
        };
        let age = self.runtime().coarse_millis().wrapping_sub(self.born.get());
        let cold = self.cold_if_any();
        TaskInfo {
            id: self.id(),
            name: cold.and_then(|cold| cold.name.get().cloned()),
            spawned_at: self.location(),
            parent: self.parent.get(),
            state,
            // SAFETY: null or a pointer to a static, see `set_wait_reason`.
            waiting_on: unsafe { reason.as_ref() }
                .copied()
                .filter(|_| state == TaskState::Waiting),
            polls: u64::from(self.n_polls.load(Ordering::Relaxed)),
            busy: Duration::from_micros(
                cold.map_or(0, |cold| cold.busy_micros.load(Ordering::Relaxed)),
            ),
            age: Duration::from_millis(u64::from(age)),
        }
    }
}

/// A queue entry: the right and the duty to run the task once (Invariant 1).
#[derive(Debug)]
pub(crate) struct Task(NonNull<Header>);

// SAFETY: a task that is not `Send` is only run by the thread that spawned it; the entry itself is a pointer.
unsafe impl Send for Task {}

impl Task {
    /// # Safety
    ///
    /// The caller has just made the task scheduled (Invariant 1).
    #[inline]
    pub(crate) unsafe fn new(header: NonNull<Header>) -> Self {
        Self(header)
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: Invariant 1: the cell is alive until the entry is run.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// The pointer came from `into_raw` and is given back once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: *mut Header) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }
}

/// A counted reference to a task (Invariant 2).
pub(crate) struct Retained(NonNull<Header>);

// SAFETY: everything that can be reached through it is in the table above.
unsafe impl Send for Retained {}
// SAFETY: as above.
unsafe impl Sync for Retained {}

impl Retained {
    /// # Safety
    ///
    /// The caller gives a reference of the count away.
    #[inline]
    pub(crate) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// Takes a reference to a task that is alive.
    pub(crate) fn of(header: &Header) -> Self {
        header.state.retain();
        Self(NonNull::from(header))
    }

    /// Takes a reference to whatever lives in a block.
    ///
    /// # Safety
    ///
    /// `block` points to a block of an arena that is alive during the call.
    pub(crate) unsafe fn from_block(block: *mut Header) -> Option<Self> {
        // SAFETY: arena invariant 3: the state word can be read, whatever the block is used for.
        let state = unsafe { &(*block).state };
        state
            .retain_if_live()
            .then(|| Self(NonNull::new(block).expect("inside a chunk")))
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: Invariant 2.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }
}

impl Clone for Retained {
    fn clone(&self) -> Self {
        Self::of(self.header())
    }
}

impl Drop for Retained {
    #[inline]
    fn drop(&mut self) {
        if self.header().state.release() {
            // SAFETY: that was the last reference.
            unsafe { free(self.0) };
        }
    }
}

/// Gives the block of a dead task back to its arena.
///
/// # Safety
///
/// The count dropped to zero by the caller's release.
pub(crate) unsafe fn free(header: NonNull<Header>) {
    // SAFETY: the caller is the last to have the cell.
    let this = unsafe { header.as_ref() };
    // SAFETY: as above; nobody reads the slot any more.
    let waker = this.join_waker.with_mut(|slot| unsafe { (*slot).take() });
    let cold = this.cold.load(Ordering::Relaxed);
    if waker.is_some() || !cold.is_null() {
        // Destructors that ask for the current task must not find this one.
        super::harness::outside_any_task(|| {
            super::harness::ignore_panic(|| drop(waker));
            // SAFETY: null, or `Header::cold` made it with a box; nobody else has the cell.
            let cold = (!cold.is_null()).then(|| unsafe { Box::from_raw(cold) });
            super::harness::ignore_panic(|| drop(cold));
        });
    }
    let home = this.home();
    if crate::scheduler::holds_arena(home) {
        // SAFETY: this thread holds the seat of the arena; its block keeps it alive.
        let arena = unsafe { home.as_ref() };
        // SAFETY: this thread is the owner of its local part, and the block is ours and dead.
        unsafe { arena.free_local(header) };
    } else {
        // SAFETY: the block is ours and dead.
        unsafe { Arena::free_remote(home, header) };
    }
}

/// What is told about a task's result before it is stored, and about its end after.
///
/// A group's child uses it to pass its error on and to be counted; a plain task has [`Plain`].
#[doc(hidden)]
pub trait Hook<O> {
    /// What the join handle gives.
    type Value;

    /// Whether anybody wants to hear of the end.
    const IS_FOLLOWED: bool = true;

    /// Turns the outcome of the body into that of the handle. Runs where the body ran, after it was dropped
    /// and before its cleanup.
    fn outcome(&self, result: Result<O, super::JoinError>)
    -> Result<Self::Value, super::JoinError>;

    /// Whether it may be worth telling that nobody looked at the result. Quick: it is asked without debug mode too.
    #[inline(always)]
    fn may_be_lost(_result: &Result<Self::Value, super::JoinError>) -> bool {
        false
    }

    /// What is lost, in words, if nobody looks at the result.
    fn lost(_result: &Result<Self::Value, super::JoinError>) -> Option<String> {
        None
    }

    /// What is around the group that the task belongs to.
    fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }

    /// Called once the task is complete, cleanup included, and its handle resolves.
    fn finished(self);
}

/// The hook of a task that nobody follows.
#[derive(Debug)]
#[doc(hidden)]
pub struct Plain;

impl<O: 'static> Hook<O> for Plain {
    type Value = O;
    const IS_FOLLOWED: bool = false;

    #[inline]
    fn outcome(&self, result: Result<O, super::JoinError>) -> Result<O, super::JoinError> {
        result
    }

    #[inline(always)]
    fn may_be_lost(result: &Result<O, super::JoinError>) -> bool {
        result.is_err() || crate::debug::lost::is_result::<O>()
    }

    fn lost(result: &Result<O, super::JoinError>) -> Option<String> {
        match result {
            Ok(value) => {
                crate::debug::lost::error_in(value).map(|error| format!("failed: {error}"))
            }
            Err(error) => error
                .panic_message()
                .map(|text| format!("panicked: {text}")),
        }
    }

    fn finished(self) {}
}

/// How a cell keeps a result: in itself, or on the heap if it is too big or too strictly aligned for a block.
pub(crate) trait Keep {
    type Kept<T>;

    fn keep<T>(value: T) -> Self::Kept<T>;
    fn give<T>(kept: Self::Kept<T>) -> T;
    fn look<T>(kept: &Self::Kept<T>) -> &T;
}

/// Kept in the cell.
pub(crate) struct Inline;

impl Keep for Inline {
    type Kept<T> = T;

    #[inline(always)]
    fn keep<T>(value: T) -> T {
        value
    }

    #[inline(always)]
    fn give<T>(kept: T) -> T {
        kept
    }

    #[inline(always)]
    fn look<T>(kept: &T) -> &T {
        kept
    }
}

/// Kept on the heap.
pub(crate) struct Boxed;

impl Keep for Boxed {
    type Kept<T> = Box<T>;

    fn keep<T>(value: T) -> Box<T> {
        Box::new(value)
    }

    fn give<T>(kept: Box<T>) -> T {
        *kept
    }

    fn look<T>(kept: &Box<T>) -> &T {
        kept
    }
}

/// The future or the result (Invariant 4).
pub(crate) enum Stage<F, R> {
    Body(F),
    Result(R),
    Taken,
}

/// What the handle of a task gives.
pub(crate) type Outcome<F, H> = Result<<H as Hook<<F as Future>::Output>>::Value, super::JoinError>;

/// The stage of a cell of these types.
type StageOf<F, H, K> = Stage<F, <K as Keep>::Kept<Outcome<F, H>>>;

/// The whole cell.
#[repr(C)]
pub(crate) struct TaskCell<F: Future, H: Hook<F::Output>, K: Keep> {
    pub(crate) header: Header,
    pub(crate) hook: std::cell::UnsafeCell<Option<H>>,
    pub(crate) stage: std::cell::UnsafeCell<StageOf<F, H, K>>,
}

impl<F: Future, H: Hook<F::Output>, K: Keep> TaskCell<F, H, K> {
    /// Writes what comes behind the header.
    ///
    /// # Safety
    ///
    /// The block is the caller's, and its class fits the cell.
    #[inline]
    pub(crate) unsafe fn fill(cell: NonNull<Self>, future: F, hook: H) {
        let cell = cell.as_ptr();
        // SAFETY: by the caller's promise; no reference is made to the rest.
        let to_hook = unsafe { &raw mut (*cell).hook };
        // SAFETY: the field lies in the caller's block.
        unsafe { to_hook.write(Some(hook).into()) };
        // SAFETY: as for the hook.
        let to_stage = unsafe { &raw mut (*cell).stage };
        // SAFETY: as for the hook.
        unsafe { to_stage.write(Stage::Body(future).into()) };
    }
}
