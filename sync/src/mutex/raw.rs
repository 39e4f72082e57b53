//! The lock of a mutex, without the value: its word, and the line before it.
//!
//! # The protocol
//!
//! One word says whether the lock is `LOCKED`, whether it is `SLOW`, and who has it: the number of the task, so that a
//! deadlock can be named. While it is not slow, locking and unlocking are one exchange each on that word. `SLOW` is
//! set and cleared under the wait list's lock only; while it is set locking and unlocking both go that way. It is set
//! while somebody waits: then unlocking grants the lock to the front of the line. The word stays `LOCKED`, and what
//! changes is who may use it.
//!
//! Once somebody had to wait, the lock is in the table of [`Holder`]s, which says who has it while others wait.
//!
//! # Debug mode
//!
//! A task that takes its own lock once more waits for itself, and is told where it took it first. To write that down at
//! each locking would cost those who do not debug. So a mutex begins as `NEW`, which keeps the short way barred, and whoever
//! locks it first decides. In debug mode it becomes slow for good, and each holder writes its place down under the
//! wait list's lock; else the flag goes, and nothing is left of all this.

use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU64;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::{self, Holder, WaitKind};

use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// Where a lock was asked for.
pub(crate) type Place = &'static Location<'static>;

const LOCKED: u64 = 1;
/// Locking and unlocking go by the wait list: somebody waits, or the mutex is watched.
const SLOW: u64 = 2;
/// Nobody has ever had the lock: it is still open whether it is to be watched.
const NEW: u64 = 4;
/// The bits from here on are the number of the task that has the lock, or zero.
const HOLDER: u32 = 3;

/// The word while `id` has the lock and it is not slow.
#[inline]
fn held_by(id: u64) -> u64 {
    id << HOLDER | LOCKED
}

/// The lock without its value.
///
/// # Memory ordering
///
/// `unlock`: what happened under the lock is seen under the next one. The exchange that unlocks releases,
/// the one that locks acquires; where the lock is handed over, the wait list orders the two.
pub(crate) struct RawMutex {
    state: AtomicU64,
    line: WaitList<Ledger, Claim>,
}

/// What is known of the holder besides its number.
struct Ledger {
    /// Entered when somebody first waits.
    holder: Option<Holder>,
    /// Where the lock was taken by whoever has it, or had it last; if the mutex is watched.
    since: Option<Place>,
}

/// Who waits, and where it asked for the lock.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    id: u64,
    at: Place,
}

impl Ledger {
    /// From now on this one has the lock.
    fn hold_from(&mut self, claim: Claim) {
        self.since = self.since.map(|_| claim.at);
    }
}

impl RawMutex {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            let ledger = Ledger { holder: None, since: None };
            Self { state: AtomicU64::new(NEW), line: WaitList::new(ledger) }
        }
    }

    #[inline]
    pub(super) fn try_lock(&self, at: Place) -> bool {
        let me = wait::me();
        self.try_exchange(0, me) || self.try_slowly(Claim { id: me, at })
    }

    /// Locks without the wait list, if the word is `free`.
    #[inline]
    fn try_exchange(&self, free: u64, me: u64) -> bool {
        // ORDERING(unlock): Acquire, for the exchange in `unlock`. Relaxed on failure: nothing is read.
        self.state
            .compare_exchange(free, held_by(me), Acquire, Relaxed)
            .is_ok()
    }

    /// Locks where one exchange does not do, without waiting.
    #[cold]
    fn try_slowly(&self, claim: Claim) -> bool {
        // Relaxed: only `take` decides.
        self.try_first(claim)
            || self.state.load(Relaxed) & LOCKED == 0
                && self.take(&mut self.line.lock(), claim) & LOCKED == 0
    }

    /// Locks a mutex that nobody has ever locked; in debug mode it is watched from now on instead.
    fn try_first(&self, claim: Claim) -> bool {
        // Relaxed: only the exchange decides.
        if self.state.load(Relaxed) != NEW {
            return false;
        }
        if wait::is_debugging() {
            self.watch(claim.at);
            return false;
        }
        self.try_exchange(NEW, claim.id)
    }

    /// Has the place of each holder written down, if nobody has ever had the lock. `at` is where it is about to be
    /// taken.
    pub(crate) fn watch(&self, at: Place) {
        let mut line = self.line.lock();
        // Relaxed: the word guards nothing yet.
        let decided = self.state.compare_exchange(NEW, SLOW, Relaxed, Relaxed);
        if decided.is_ok() {
            line.since = Some(at);
        }
    }

    #[inline]
    pub(super) fn poll_lock(
        &self,
        waiter: Pin<&Waiter<Claim>>,
        at: Place,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let polled = if !waiter.is_idle() {
            self.poll_line(waiter, cx)
        } else if self.try_exchange(0, wait::me()) {
            Poll::Ready(())
        } else {
            self.poll_slowly(waiter, at, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[inline]
    fn poll_line(&self, waiter: Pin<&Waiter<Claim>>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.line.poll(waiter, cx).map(|_| ());
        if polled.is_pending() {
            self.note_waiting();
        }
        polled
    }

    #[cold]
    fn note_waiting(&self) {
        if let Some(holder) = &self.line.lock().holder {
            wait::goes_on(WaitKind::Lock, holder.number());
        }
    }

    #[cold]
    fn poll_slowly(
        &self,
        waiter: Pin<&Waiter<Claim>>,
        at: Place,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let id = wait::me();
        let claim = Claim { id, at };
        if self.try_first(claim) {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        let before = self.take(&mut line, claim);
        if before & LOCKED == 0 {
            drop(line);
            return Poll::Ready(());
        }
        let has_it = before >> HOLDER;
        let holder = line.holder.get_or_insert_with(|| Holder::enter(has_it));
        holder.set(has_it);
        wait::begins(WaitKind::Lock, holder.number());
        line.enqueue(None, 0, waiter, claim, waker);
        let since = line.since.filter(|_| has_it == id);
        drop(line);
        if let Some(since) = since {
            // Without the lock: it calls the user's code.
            wait::report_relock(since, at);
        }
        Poll::Pending
    }

    /// Takes the lock if it is free; else it is slow from now on. Returns the word of before.
    ///
    /// If it is free nobody is in line, and nobody can get in before the lock of the list is released.
    fn take(&self, line: &mut Locked<'_, Ledger, Claim, 1>, claim: Claim) -> u64 {
        let slow = if line.since.is_some() { SLOW } else { 0 };
        // Relaxed: the exchange below tells what is true.
        let mut before = self.state.load(Relaxed);
        loop {
            let after = match before & LOCKED {
                0 => held_by(claim.id) | slow,
                _ => before | SLOW,
            };
            // ORDERING(unlock): Acquire: if it was unlocked meanwhile, this is what locks it. Relaxed on
            // failure: nothing is read.
            match self
                .state
                .compare_exchange_weak(before, after, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(changed) => before = changed,
            }
        }
        if before & LOCKED == 0 {
            line.hold_from(claim);
        }
        before
    }

    #[inline]
    pub(super) fn unlock(&self) {
        // Relaxed: what the holder sees here it wrote itself, but for `SLOW`; the exchange checks it.
        let state = self.state.load(Relaxed);
        // ORDERING(unlock): Release, for the exchanges that lock. Relaxed on failure: the wait list's lock
        // orders the rest.
        if state & SLOW != 0
            || self
                .state
                .compare_exchange(state, 0, Release, Relaxed)
                .is_err()
        {
            self.hand_over();
        }
    }

    #[cold]
    fn hand_over(&self) {
        let mut line = self.line.lock();
        let next = line.front(0);
        if let Some(holder) = &line.holder {
            holder.set(next.map_or(0, |next| next.id));
        }
        let holder = match next {
            Some(next) => {
                line.grant(0, next);
                line.hold_from(next);
                held_by(next.id)
            }
            None => 0,
        };
        let is_slow = line.since.is_some() || !line.is_empty(0);
        let slow = if is_slow { SLOW } else { 0 };
        // Whoever was granted the lock may unlock it before this: then it finds `SLOW`, and waits for the list.
        // ORDERING(unlock): Release, as in `unlock`: with nobody in line this is the unlocking.
        self.state.store(holder | slow, Release);
    }

    /// What a future does that is dropped before it returned the lock.
    #[inline]
    pub(super) fn leave(&self, waiter: Pin<&Waiter<Claim>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<Claim>>) {
        let left = self.line.lock().leave(waiter);
        match left {
            Left::Granted(_) => self.unlock(),
            // `SLOW` may now be wrong: the next unlocking finds nobody and clears it.
            Left::Waiting | Left::Idle => {}
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        // Relaxed: a snapshot, out of date when it is returned.
        self.state.load(Relaxed) & LOCKED != 0
    }

    pub(super) fn n_waiting(&self) -> usize {
        self.line.lock().len(0)
    }
}
