//! The task cell: one block that holds a task's header, its hook, and its future or result.
//! The part whose types are the task's own is in [`stage`](super::stage).
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
//! - `wait_kind`, `wait_since`, `wait_resource`: written by the polling thread, read by dumps, which look at the state
//!   word and the count of polls before and after. From a wake-up to the poll after it the last one is the moment
//!   of the wake-up, if the task is watched: written by who has the duty to queue it, read by the polling thread.
//! - `awaited_by`: written by the handle before it sets `JOIN_WAKER`, and says something only while that is set.
//! - `group`: written before the task is shared, read by anybody after.
//!
//! # Invariants
//!
//! 1. A `Task` (queue entry) is made from `Wake::Submit`, `AfterPoll::Requeue` or a spawn, and is used up by
//!    one `run`; until then the cell is alive (state invariant 1).
//! 2. A `Retained` owns one reference of the count.
//! 3. The table at `vtable` was made for the types the cell was made with.
//! 4. The stage holds the future until the phase is `Cleanup`, and the result from then on until it is taken.

use std::cell::Cell;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::arena::Arena;
use super::cold::Cold;
use super::info::{TaskId, TaskInfo, TaskState};
use super::returns::Node;
use super::state::{Snapshot, State};
use crate::cancel::{Signal, Surroundings};
use crate::platform::Nanos;
use crate::scheduler::Shared;
use crate::shim::atomic::{AtomicPtr, Ordering, fence};
use crate::shim::{UnsafeCell, lock_std};
use crate::wait::{Place, Waiting};

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
    /// How many cache lines the cell has; 255 also stands for more.
    pub(crate) n_lines: u8,
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
    id: Cell<TaskId>,
    parent: Cell<Option<TaskId>>,
    location: Cell<&'static Location<'static>>,
    group: AtomicU64,
    awaited_by: AtomicU64,
    wait_resource: AtomicU64,
    n_polls: AtomicU32,
    wait_since: AtomicU32,
    /// Milliseconds of the runtime's coarse clock.
    born: Cell<u32>,
    wait_kind: AtomicU8,
    class: Cell<u8>,
    pub(crate) phase: Cell<Phase>,
    is_local: Cell<bool>,
}

/// So the future of a task with a small hook begins on a cache line.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() <= 120);

// SAFETY: the module's table says who touches which field when; the plain cells are written before the
// task is shared, or by the one thread that the table names.
unsafe impl Sync for Header {}

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
        write!(id, Cell::new(birth.id));
        write!(parent, Cell::new(birth.parent));
        write!(location, Cell::new(birth.location));
        write!(group, AtomicU64::new(0));
        write!(n_polls, AtomicU32::new(0));
        write!(wait_kind, AtomicU8::new(0));
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

    /// Counts a poll; only the polling thread calls it. What the task waited for is over.
    #[inline]
    pub(crate) fn count_poll(&self) {
        let n = self.n_polls.load(Ordering::Relaxed);
        self.n_polls.store(n.wrapping_add(1), Ordering::Relaxed);
        self.wait_kind.store(0, Ordering::Relaxed);
    }

    /// Where the polling thread says what the task waits for.
    #[inline]
    pub(crate) fn waits(&self) -> Place<'_> {
        Place {
            kind: &self.wait_kind,
            since: &self.wait_since,
            resource: &self.wait_resource,
        }
    }

    /// Says when the task was woken, zero for never; whoever has to queue it calls it, or has just polled it.
    #[inline]
    pub(crate) fn set_woken_at(&self, at: Nanos) {
        self.wait_kind.store(0, Ordering::Relaxed);
        // ORDERING(stamp): Release, the wake-up, for a dump that takes this for what the task waits for.
        self.wait_resource.store(at, Ordering::Release);
    }

    /// When a watched task was woken, zero for never; the thread that polls it calls it before that.
    #[inline]
    pub(crate) fn woken_at(&self) -> Nanos {
        match self.wait_kind.load(Ordering::Relaxed) {
            0 => self.wait_resource.load(Ordering::Relaxed),
            // It was queued in another way, and this is what it waited for.
            _ => 0,
        }
    }

    /// Says who awaits the handle, by the number of [`wait::me`](crate::wait::me); the handle calls it before it
    /// sets `JOIN_WAKER`.
    #[inline]
    pub(crate) fn set_awaited_by(&self, id: u64) {
        self.awaited_by.store(id, Ordering::Relaxed);
    }

    /// Says which group the task is in; called before the task is shared.
    #[inline]
    pub(crate) fn set_group(&self, number: u64) {
        self.group.store(number, Ordering::Relaxed);
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
        self.info_at(self.runtime().coarse_millis())
    }

    /// A snapshot for people; `now` is that of the runtime's clock, in milliseconds.
    pub(crate) fn info_at(&self, now: u32) -> TaskInfo {
        let (snapshot, waiting_on) = self.waiting(now);
        let state = task_state(snapshot);
        // Whoever read the clock may have done so before the task was born.
        let age = now.wrapping_sub(self.born.get());
        let age = if age > u32::MAX / 2 { 0 } else { age };
        let awaited_by = match snapshot.has_join_waker() {
            true => TaskId::from_number(self.awaited_by.load(Ordering::Relaxed)),
            false => None,
        };
        let cold = self.cold_if_any();
        TaskInfo {
            id: self.id(),
            name: cold.and_then(|cold| cold.name.get().cloned()),
            spawned_at: self.location(),
            parent: self.parent.get(),
            state,
            waiting_on,
            awaited_by,
            group: self.group.load(Ordering::Relaxed),
            polls: u64::from(self.n_polls.load(Ordering::Relaxed)),
            busy: Duration::from_micros(
                cold.map_or(0, |cold| cold.busy_micros.load(Ordering::Relaxed)),
            ),
            age: Duration::from_millis(u64::from(age)),
        }
    }

    /// What the task does, and what it waits for, of one moment.
    fn waiting(&self, now: u32) -> (Snapshot, Option<Waiting>) {
        loop {
            let n_polls = self.n_polls.load(Ordering::Relaxed);
            let snapshot = self.state.load();
            if task_state(snapshot) != TaskState::Waiting {
                return (snapshot, None);
            }
            let waiting = self.waits().read(self.id().number(), now);
            // ORDERING(stamp): Acquire, for the wake-up whose moment was read instead of a resource.
            fence(Ordering::Acquire);
            // A poll that began meanwhile may have written half of its own reason. That is rare; and what is told
            // is for people.
            let is_same = n_polls == self.n_polls.load(Ordering::Relaxed);
            if is_same && task_state(self.state.load()) == TaskState::Waiting {
                return (snapshot, waiting);
            }
        }
    }
}

fn task_state(snapshot: Snapshot) -> TaskState {
    if snapshot.is_complete() {
        TaskState::Finished
    } else if snapshot.is_running() {
        TaskState::Running
    } else if snapshot.is_scheduled() {
        TaskState::Scheduled
    } else {
        TaskState::Waiting
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
    // SAFETY: by the caller's promise.
    let parts = unsafe { Parts::take(header) };
    if parts.waker.is_some() || !parts.cold.is_null() {
        parts.drop_all();
    }
    // SAFETY: by the caller's promise.
    unsafe { give_back(header) };
}

/// What a dead task leaves to be dropped.
struct Parts {
    waker: Option<Waker>,
    cold: *mut Cold,
}

impl Parts {
    /// # Safety
    ///
    /// The count of the task dropped to zero, and the caller was the last.
    #[inline]
    unsafe fn take(header: NonNull<Header>) -> Self {
        // SAFETY: by the caller's promise nobody else has the cell.
        let this = unsafe { header.as_ref() };
        Self {
            // SAFETY: as above; nobody reads the slot any more.
            waker: this.join_waker.with_mut(|slot| unsafe { (*slot).take() }),
            cold: this.cold.load(Ordering::Relaxed),
        }
    }

    /// Drops them, and what they alone kept alive: another dead task, perhaps, whose waker keeps the next. One
    /// after the other, for a chain of joins may be longer than the stack.
    #[inline(never)]
    fn drop_all(self) {
        let mut dead = self.drop_one();
        while let Some(header) = dead {
            // SAFETY: its count dropped to zero by `release_of`.
            let parts = unsafe { Self::take(header) };
            // SAFETY: as above.
            unsafe { give_back(header) };
            dead = parts.drop_one();
        }
    }

    /// Returns the task whose last reference was the waker, for the caller to free.
    #[inline]
    fn drop_one(self) -> Option<NonNull<Header>> {
        let foreign = match self.waker.map(super::waker::release_of) {
            Some(Ok(dead)) if self.cold.is_null() => return dead,
            Some(Ok(dead)) => {
                drop_outside(None, self.cold);
                return dead;
            }
            Some(Err(foreign)) => Some(foreign),
            None => None,
        };
        drop_outside(foreign, self.cold);
        None
    }
}

/// Drops parts of a dead task: destructors that ask for the current task must not find that one.
fn drop_outside(waker: Option<Waker>, cold: *mut Cold) {
    super::harness::outside_any_task(|| {
        super::harness::ignore_panic(|| drop(waker));
        if !cold.is_null() {
            // SAFETY: `Header::cold` made it with a box; nobody else has the cell.
            let cold = unsafe { Box::from_raw(cold) };
            super::harness::ignore_panic(|| drop(cold));
        }
    });
}

/// Gives a block back to its arena.
///
/// # Safety
///
/// The count of its task dropped to zero, the caller was the last, and has taken its [`Parts`].
#[inline]
unsafe fn give_back(header: NonNull<Header>) {
    // SAFETY: the block is the caller's.
    let home = unsafe { header.as_ref() }.home();
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
