//! A seat: what one thread needs to work, and what the others may touch of it.
//!
//! A runtime has as many seats as workers. A thread that holds a seat runs tasks: a worker thread, the *home*
//! of the seat, or a guest that is inside `block_on` and took the seat while it was idle. So never do more
//! threads run tasks than there are workers, and what a guest spawns is local.
//!
//! # Invariants
//!
//! 1. A seat is held by one thread: the one that claimed its idle bit, or for which the bit was claimed,
//!    until it sets the bit again. Only the holder touches the fields under "the holder's".
//! 2. Whoever clears the bit of a seat to wake its sleeper hands over once, through the parker behind `sleeper`.
//!    A sleeper that finds its bit gone waits for that before it goes on, so the parker is there meanwhile.
//! 3. While the bit is set, `watch` says whether the home thread will look at it by itself: because it has not
//!    decided to sleep yet, because of a deadline, or because of the poller. A guest that claims a watched seat
//!    sends the home thread away and waits until it has gone. Otherwise the home thread could claim a bit that
//!    is no more its own, but that of the guest, which sleeps on the seat by then.
//! 4. `slot` holds a queue entry or null. The holder fills it only when it is empty or by a swap; anybody may
//!    take by a swap.
//!
//! # Memory ordering
//!
//! `slot`: filling releases the task, taking acquires it. `sleeper`: written before the bit is set, read after
//! it was claimed, ordered by the bit. `watched` (of `watch`): Release by the home thread that goes away, Acquire by the guest
//! that waits for it.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::look_ahead::LookAhead;
use super::run_queue::{RunQueue, Thief};
use super::samples::Samples;
use crate::context;
use crate::histogram::Buckets;
use crate::platform::{NEVER, Nanos, Parker, Platform, Random};
use crate::shim::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use crate::task::{Arena, Header, Task};
use crate::time::Timers;

/// Polls between two looks at injector, timers and poller; fewer when polls are long.
pub(super) const MAX_INTERVAL: u32 = 61;

/// Runs from the slot in a row, before the queue gets its turn.
const MAX_SLOT_RUNS: u32 = 3;

/// Ids taken from the process-wide counter at once.
const ID_BLOCK: u64 = 1024;

static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);

/// One id, for a thread without a seat.
pub(super) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

// What the home thread does about a bit that is set.
/// It sleeps until the seat is handed to it.
const UNWATCHED: u8 = 0;
/// It will look at the bit by itself.
const WATCHED: u8 = 1;
/// A guest has claimed the seat, and waits for the home thread to go to sleep.
const SENT_AWAY: u8 = 2;

pub(crate) struct Seat {
    pub(super) index: usize,
    pub(super) arena: ptr::NonNull<Arena>,
    pub(super) timers: Arc<Timers>,
    /// How long polls took; the holder writes.
    pub(super) poll_times: Buckets,
    /// How long it took from wake-ups to polls; the holder writes.
    pub(super) latencies: Buckets,
    shared: CachePadded<SharedPart>,
    holder: CachePadded<HolderPart>,
}

/// What other threads touch.
struct SharedPart {
    slot: AtomicPtr<Header>,
    thief: Thief,
    sleeper: AtomicPtr<Parker>,
    watch: AtomicU8,
    /// Guests that hold the seat or are trying to.
    n_guests: AtomicUsize,
    home: Parker,
    /// Polls begun: the monitor sees a stuck worker by it.
    n_polls: AtomicU64,
    n_spawned: AtomicU64,
    n_ended: AtomicU64,
    /// The thread that holds the seat, as the system calls it; zero if that is not known.
    thread: AtomicU32,
    /// A spare seat is to be closed.
    is_retiring: AtomicBool,
    /// Nobody helps for now; see [`restraint`](super::restraint).
    is_left_alone: AtomicBool,
    /// So many tasks may be queued before somebody is woken for them: the one that the holder runs next, or none.
    own_share: AtomicUsize,
}

/// The holder's (Invariant 1).
pub(super) struct HolderPart {
    queue: RunQueue,
    pub(super) random: Random,
    pub(super) until_maintenance: Cell<u32>,
    pub(super) interval: Cell<u32>,
    pub(super) maintained_at: Cell<Nanos>,
    pub(super) look_ahead: LookAhead,
    /// The next task is not just run: the seed disturbs it, or it is watched.
    pub(super) is_special: Cell<bool>,
    pub(super) samples: Samples,
    n_slot_runs: Cell<u32>,
    /// The holder is counted in `n_guests`.
    is_guests: Cell<bool>,
    /// The next id of the block, and its end.
    ids: Cell<(u64, u64)>,
}

// SAFETY: the holder's part by Invariant 1, the rest is atomic or locks.
unsafe impl Sync for Seat {}
// SAFETY: as above; a seat goes from holder to holder.
unsafe impl Send for Seat {}

impl Seat {
    pub(super) fn new(index: usize, timers: Arc<Timers>, platform: &Platform) -> Self {
        let (queue, thief) = RunQueue::new();
        Self {
            index,
            arena: Arena::new(),
            timers,
            poll_times: Buckets::new(),
            latencies: Buckets::new(),
            shared: CachePadded::new(SharedPart {
                slot: AtomicPtr::new(ptr::null_mut()),
                thief,
                sleeper: AtomicPtr::new(ptr::null_mut()),
                watch: AtomicU8::new(UNWATCHED),
                n_guests: AtomicUsize::new(0),
                home: platform.parker(),
                n_polls: AtomicU64::new(0),
                n_spawned: AtomicU64::new(0),
                n_ended: AtomicU64::new(0),
                thread: AtomicU32::new(0),
                is_retiring: AtomicBool::new(false),
                is_left_alone: AtomicBool::new(false),
                own_share: AtomicUsize::new(1),
            }),
            holder: CachePadded::new(HolderPart {
                queue,
                random: platform.random(index),
                // The first looks come soon, for a program may have few polls, and each of them long.
                until_maintenance: Cell::new(0),
                interval: Cell::new(1),
                maintained_at: Cell::new(NEVER),
                look_ahead: LookAhead::default(),
                // The first turn finds out.
                is_special: Cell::new(true),
                samples: Samples::default(),
                n_slot_runs: Cell::new(0),
                is_guests: Cell::new(false),
                ids: Cell::new((0, 0)),
            }),
        }
    }

    /// The holder's part.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat (Invariant 1).
    #[inline]
    pub(super) unsafe fn holder(&self) -> &HolderPart {
        &self.holder
    }

    /// Its number among the seats of the runtime.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn home(&self) -> &Parker {
        &self.shared.home
    }

    pub(super) fn thief(&self) -> &Thief {
        &self.shared.thief
    }

    pub(super) fn has_stealable(&self) -> bool {
        !self.shared.thief.is_empty()
    }

    pub(super) fn n_stealable(&self) -> usize {
        self.shared.thief.len()
    }

    /// Whether there seems to be a task that would run next.
    #[inline]
    pub(super) fn has_next(&self) -> bool {
        !self.shared.slot.load(Ordering::Relaxed).is_null()
    }

    /// Takes the task that would run next: its holder is stuck, or gone.
    pub(super) fn take_slot(&self) -> Option<Task> {
        if !self.has_next() {
            return None;
        }
        // ORDERING(slot): Acquire, for the task that was put there.
        let raw = self.shared.slot.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: Invariant 4: a queue entry went in by `into_raw`; the swap gave it to us alone.
        unsafe { Task::from_raw(raw) }
    }

    // ---- sleeping and waking ----

    /// Says who sleeps on the seat from now on; the holder calls it before it sets the bit.
    pub(super) fn set_sleeper(&self, parker: &Parker) {
        self.shared
            .sleeper
            .store(ptr::from_ref(parker).cast_mut(), Ordering::Relaxed);
    }

    /// The home thread sleeps on the seat from now on, if it was ever started.
    pub(super) fn set_sleeper_home(&self) {
        let home = if self.home().is_bound() {
            &raw const self.shared.home
        } else {
            ptr::null()
        };
        self.shared
            .sleeper
            .store(home.cast_mut(), Ordering::Relaxed);
    }

    /// Who sleeps on the seat; null if no thread was ever started for it.
    ///
    /// # Safety
    ///
    /// The caller has claimed the bit and has not handed over yet (Invariant 2).
    pub(super) unsafe fn sleeper(&self) -> Option<&Parker> {
        // SAFETY: Invariant 2.
        unsafe { self.shared.sleeper.load(Ordering::Relaxed).as_ref() }
    }

    /// A guest tries to take the seat; raised before the claim, so that shutdown, which claims first and looks
    /// second, cannot miss it. It is no proof of anything else: others try too.
    pub(super) fn guest_comes(&self) {
        // ORDERING(guests): AcqRel, before the claim of the bit; mirrors `has_guest`.
        self.shared.n_guests.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn guest_goes(&self) {
        // ORDERING(guests): Release, the guest's use of the seat.
        self.shared.n_guests.fetch_sub(1, Ordering::Release);
    }

    pub(super) fn has_guest(&self) -> bool {
        // ORDERING(guests): Acquire, for the guest's use of the seat.
        self.shared.n_guests.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_watched(&self) -> bool {
        // ORDERING(watched): Acquire, for the home thread's going away.
        self.shared.watch.load(Ordering::Acquire) != UNWATCHED
    }

    /// The home thread is about to set the bit, and will look at it again by itself.
    pub(super) fn set_watched(&self) {
        self.shared.watch.store(WATCHED, Ordering::Relaxed);
    }

    /// The home thread will not look at the bit before the seat is handed to it.
    pub(super) fn set_unwatched(&self) {
        // ORDERING(watched): Release, the home thread touches the seat no more.
        self.shared.watch.store(UNWATCHED, Ordering::Release);
    }

    /// The home thread goes to sleep until the seat is handed to it. False: a guest has claimed the seat and is
    /// sending it away.
    pub(super) fn stop_watching(&self) -> bool {
        // ORDERING(watched): Release, the home thread touches the seat no more.
        self.shared
            .watch
            .compare_exchange(WATCHED, UNWATCHED, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Asks the home thread of a watched seat to go away; the caller holds the seat. False: it sleeps already.
    /// If true the caller hands over, and waits until the seat is not watched any more.
    pub(super) fn send_home_away(&self) -> bool {
        // ORDERING(watched): Acquire on failure, for the home thread's going away.
        self.shared
            .watch
            .compare_exchange(WATCHED, SENT_AWAY, Ordering::Relaxed, Ordering::Acquire)
            .is_ok()
    }

    /// What the home thread asks once something was handed to it: false means the seat.
    pub(super) fn was_sent_away(&self) -> bool {
        self.shared.watch.load(Ordering::Relaxed) == SENT_AWAY
    }

    // ---- who sits here ----

    /// This thread is the holder from now on.
    pub(super) fn set_thread(&self) {
        self.shared
            .thread
            .store(context::thread_id(), Ordering::Relaxed);
    }

    /// The holder is not known yet.
    pub(super) fn forget_thread(&self) {
        self.shared.thread.store(0, Ordering::Relaxed);
    }

    /// The thread of the holder, as the system calls it; none if that is not known. A hint: it may have changed.
    pub(super) fn thread(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.shared.thread.load(Ordering::Relaxed))
    }

    /// Whether the seat, a spare one, is to be closed.
    pub(super) fn is_retiring(&self) -> bool {
        self.shared.is_retiring.load(Ordering::Relaxed)
    }

    pub(super) fn set_retiring(&self, is_retiring: bool) {
        self.shared
            .is_retiring
            .store(is_retiring, Ordering::Relaxed);
    }

    pub(super) fn is_left_alone(&self) -> bool {
        self.shared.is_left_alone.load(Ordering::Relaxed)
    }

    pub(super) fn set_left_alone(&self, is_left_alone: bool) {
        self.shared
            .is_left_alone
            .store(is_left_alone, Ordering::Relaxed);
    }

    // ---- how soon it needs help ----

    /// Whether others are to help, with so many tasks queued.
    #[inline]
    pub(super) fn wants_help(&self, n_queued: usize) -> bool {
        n_queued > self.shared.own_share.load(Ordering::Relaxed)
    }

    /// Whether the poll of its holder is known to last, so that nothing queued is run soon. A hint: it is set late, and
    /// taken back late.
    #[inline]
    pub(super) fn is_late(&self) -> bool {
        self.shared.own_share.load(Ordering::Relaxed) == 0
    }

    pub(super) fn set_late(&self, is_late: bool) {
        let own_share = usize::from(!is_late);
        self.shared.own_share.store(own_share, Ordering::Relaxed);
    }

    // ---- numbers ----

    pub(super) fn n_polls(&self) -> u64 {
        self.shared.n_polls.load(Ordering::Relaxed)
    }

    pub(super) fn n_spawned(&self) -> u64 {
        self.shared.n_spawned.load(Ordering::Relaxed)
    }

    pub(super) fn n_ended(&self) -> u64 {
        self.shared.n_ended.load(Ordering::Relaxed)
    }
}

/// Adds one to a counter that only the holder writes.
#[inline]
fn count(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// What only the holder may call. All of it is `unsafe` for the same reason: Invariant 1.
impl Seat {
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn count_poll(&self) {
        count(&self.shared.n_polls);
    }

    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn count_spawn(&self) {
        count(&self.shared.n_spawned);
    }

    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn count_end(&self) {
        count(&self.shared.n_ended);
    }

    /// From now on a guest holds the seat; false if one did already. The one who got true says `guest_left`,
    /// or whoever takes the seat over from it.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    pub(super) unsafe fn guest_holds(&self) -> bool {
        let is_new = !self.holder.is_guests.replace(true);
        if is_new {
            self.guest_comes();
        }
        is_new
    }

    /// A guest has claimed the seat after `guest_comes`. False if another guest sleeps on it: then the claim is
    /// a wake-up for that one.
    ///
    /// # Safety
    ///
    /// The calling thread has claimed the seat.
    pub(super) unsafe fn guest_came(&self) -> bool {
        !self.holder.is_guests.replace(true)
    }

    /// The guest is about to leave the seat, or its holder is on its own again.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat, and after this call only sets its bit, if it leaves.
    pub(super) unsafe fn guest_left(&self) {
        if self.holder.is_guests.replace(false) {
            self.guest_goes();
        }
    }

    /// A new id, from the holder's block.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn next_id(&self) -> u64 {
        let (id, end) = self.holder.ids.get();
        if id == end {
            let block = NEXT_ID.fetch_add(ID_BLOCK, std::sync::atomic::Ordering::Relaxed);
            self.holder.ids.set((block + 1, block + ID_BLOCK));
            return block;
        }
        self.holder.ids.set((id + 1, end));
        id
    }

    /// Queues a task at the back; returns how many are queued now.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn push(&self, task: Task) -> usize {
        self.holder.queue.push(task);
        self.holder.queue.len()
    }

    /// Like [`push`](Self::push), for a task that has slept for a while.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn push_cold(&self, task: Task) -> usize {
        self.holder.queue.push_cold(task);
        self.holder.queue.len()
    }

    /// Puts a task where it runs next, and moves the one that was there to the back of the queue; returns how
    /// many are queued now.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn push_next(&self, task: Task) -> usize {
        let slot = &self.shared.slot;
        if slot.load(Ordering::Relaxed).is_null() {
            // Nobody else fills it, so it stays empty until here.
            // ORDERING(slot): Release, the task for whoever takes it.
            slot.store(task.into_raw(), Ordering::Release);
            return 0;
        }
        // ORDERING(slot): Release, the task for whoever takes it; Acquire, the one that was there.
        let before = slot.swap(task.into_raw(), Ordering::AcqRel);
        // SAFETY: Invariant 4: a queue entry went in by `into_raw`; the swap gave it to us alone.
        match unsafe { Task::from_raw(before) } {
            // SAFETY: by the caller's promise.
            Some(displaced) => unsafe { self.push(displaced) },
            None => 0,
        }
    }

    /// The next task of the seat itself.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn pop(&self) -> Option<Task> {
        let n_slot_runs = self.holder.n_slot_runs.get();
        if n_slot_runs < MAX_SLOT_RUNS {
            if let Some(task) = self.take_slot() {
                self.holder.n_slot_runs.set(n_slot_runs + 1);
                return Some(task);
            }
        }
        self.holder.n_slot_runs.set(0);
        self.holder.queue.pop().or_else(|| self.take_slot())
    }

    /// How many tasks are queued, the slot not counted.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn n_queued(&self) -> usize {
        self.holder.queue.len()
    }

    /// Asks for the memory of the task that is next in the queue, with so many queued.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    #[inline]
    pub(super) unsafe fn fetch_next(&self, n_queued: usize) {
        self.holder.queue.fetch_next(n_queued);
    }

    /// Takes half of another seat's queue and gives one task of it to run.
    ///
    /// # Safety
    ///
    /// The calling thread holds this seat.
    pub(super) unsafe fn steal_from(&self, victim: &Seat) -> Option<Task> {
        victim.thief().steal_half(&self.holder.queue)
    }
}
