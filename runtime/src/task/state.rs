//! The state word of a task: every transition of its life, each by name and one atomic operation.
//!
//! # Bits
//!
//! - `RUNNING`: a thread is polling (or dropping) the future; it alone touches the stage.
//! - `SCHEDULED`: the task is in a run queue, or, beside `RUNNING`, has to be queued again after this poll.
//! - `COMPLETE`: the result is in place (or was dropped); the task is in no queue and never will be.
//! - `CANCELLED`: somebody asked for cancellation; delivered at the next suspension point.
//! - `JOIN_INTEREST`: a join handle exists; whoever drops last between handle and task drops the result.
//! - `JOIN_WAKER`: the waker slot of the handle is filled, and belongs to the completing thread.
//! - `CALLBACKS`: done callbacks are in the list; set after each registration, so that none falls between
//!   the completing thread's last look and `COMPLETE`.
//! - `WATCHED`: somebody wants to know when the task is woken and polled: both leave their fast path.
//! - the rest counts references: one of the runtime until completion, one of the handle, one for each waker.
//!
//! # Invariants
//!
//! 1. `SCHEDULED` without `RUNNING` and `COMPLETE` means: exactly one queue entry, or one thread about to
//!    make it. The entry owns no reference: the one of the runtime keeps the cell until `COMPLETE`.
//! 2. `RUNNING` is set by one thread at a time, the one that took the queue entry.
//! 3. `COMPLETE` is set once, by the thread that holds `RUNNING`, and never cleared.
//! 4. A cell whose count is zero is dead: nobody but its arena may touch it, and a walker may not revive it.
//!
//! # Memory ordering
//!
//! `poll`: whoever wakes releases what it wrote, and `start` acquires it; the end of a poll releases and
//! the next `start` acquires, so that polls on different threads follow one another.
//! `result`: `complete` releases the result, `load` and the handle's transitions acquire it.
//! `refs`: each release of a reference publishes its holder's uses to the thread that frees the cell.

use crate::shim::atomic::{AtomicU64, Ordering, fence};
use Ordering::{AcqRel, Acquire, Relaxed, Release};

const RUNNING: u64 = 1;
const SCHEDULED: u64 = 1 << 1;
const COMPLETE: u64 = 1 << 2;
const CANCELLED: u64 = 1 << 3;
const JOIN_INTEREST: u64 = 1 << 4;
const JOIN_WAKER: u64 = 1 << 5;
const CALLBACKS: u64 = 1 << 6;
const WATCHED: u64 = 1 << 7;
const REF_ONE: u64 = 1 << 8;

/// More references than memory could hold wakers: somebody leaks them in a loop.
const REF_LIMIT: u64 = u64::MAX / 2;

/// One reading of the state word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline]
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }
    #[inline]
    pub(crate) fn is_scheduled(self) -> bool {
        self.0 & SCHEDULED != 0
    }
    #[inline]
    pub(crate) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }
    #[inline]
    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }
    #[inline]
    pub(crate) fn has_join_interest(self) -> bool {
        self.0 & JOIN_INTEREST != 0
    }
    #[inline]
    pub(crate) fn has_join_waker(self) -> bool {
        self.0 & JOIN_WAKER != 0
    }
    #[inline]
    pub(crate) fn has_callbacks(self) -> bool {
        self.0 & CALLBACKS != 0
    }
    #[inline]
    pub(crate) fn is_dead(self) -> bool {
        self.0 < REF_ONE
    }
    /// Whether a wake-up is to queue the task.
    #[inline]
    pub(crate) fn is_idle(self) -> bool {
        self.0 & (RUNNING | SCHEDULED | COMPLETE) == 0
    }
    #[inline]
    pub(crate) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }
    /// Whether a poll has to do more than to poll: the task is watched, or was asked to end.
    #[inline]
    pub(crate) fn is_special(self) -> bool {
        self.0 & (CANCELLED | WATCHED) != 0
    }

    /// What a waking transition from here makes the caller's duty.
    #[inline]
    fn wake(self) -> Wake {
        if self.0 & (RUNNING | SCHEDULED | COMPLETE | WATCHED) == 0 {
            Wake::Submit
        } else if self.is_watched() {
            Wake::Watched(self)
        } else {
            Wake::Nothing
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (RUNNING, "running"),
            (SCHEDULED, "scheduled"),
            (COMPLETE, "complete"),
            (CANCELLED, "cancelled"),
            (JOIN_INTEREST, "join-interest"),
            (JOIN_WAKER, "join-waker"),
            (CALLBACKS, "callbacks"),
            (WATCHED, "watched"),
        ];
        f.debug_list()
            .entries(
                names
                    .iter()
                    .filter(|(bit, _)| self.0 & bit != 0)
                    .map(|(_, name)| name),
            )
            .entry(&(self.0 / REF_ONE))
            .finish()
    }
}

/// What the caller of a waking transition has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Wake {
    /// The task became scheduled by this call: put it into a queue.
    Submit,
    /// Somebody else already has, or will.
    Nothing,
    /// The task is watched: one of the two, by what the word was before.
    Watched(Snapshot),
}

/// What the thread that ends a poll has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum AfterPoll {
    /// Woken while it ran: queue it again.
    Requeue,
    /// Nobody woke it: leave it.
    Rest,
}

/// The state word; by default that of a cell that holds no task.
#[derive(Default)]
pub(crate) struct State(AtomicU64);

impl State {
    /// The word of a cell that holds no task: all zeros, as a fresh block has it.
    #[cfg(test)]
    pub(crate) fn dead() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Brings a dead cell to life: scheduled, one reference for the runtime and one for the handle.
    #[inline]
    pub(crate) fn init(&self) {
        // ORDERING(poll): Release, so that a walker of the registry that sees the count sees the header.
        self.0
            .store(SCHEDULED | JOIN_INTEREST | (2 * REF_ONE), Release);
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        // ORDERING(result): Acquire, for `complete`: who sees `COMPLETE` may read the result.
        Snapshot(self.0.load(Acquire))
    }

    /// Wakes the task.
    #[inline]
    pub(crate) fn wake(&self) -> Wake {
        // ORDERING(poll): Release publishes what the waker wrote, also when the task is scheduled already.
        Snapshot(self.0.fetch_or(SCHEDULED, AcqRel)).wake()
    }

    /// Asks for cancellation. The first value says whether this was the first request and in time.
    #[inline]
    pub(crate) fn cancel(&self) -> (bool, Wake) {
        // ORDERING(poll): Release publishes the reason to the thread that delivers the cancellation.
        let before = Snapshot(self.0.fetch_or(CANCELLED | SCHEDULED, AcqRel));
        let is_first = !before.is_cancelled() && !before.is_complete();
        (is_first, before.wake())
    }

    /// Has wake-ups and polls tell that they happen.
    #[inline]
    pub(crate) fn watch(&self) {
        self.0.fetch_or(WATCHED, Relaxed);
    }

    /// Has them not tell any more. Only the polling thread calls it.
    #[inline]
    pub(crate) fn unwatch(&self) {
        self.0.fetch_and(!WATCHED, Relaxed);
    }

    /// Takes a request for cancellation back: it was caught. Only the polling thread calls it, under the lock under
    /// which requests are made.
    #[inline]
    pub(crate) fn uncancel(&self) {
        self.0.fetch_and(!CANCELLED, Relaxed);
    }

    /// Begins a poll: the caller took the queue entry.
    #[inline]
    pub(crate) fn start(&self) -> Snapshot {
        // ORDERING(poll): Acquire, for the wake and for the end of the poll before.
        let before = Snapshot(self.0.fetch_xor(SCHEDULED | RUNNING, Acquire));
        debug_assert!(before.is_scheduled() && !before.is_running(), "{before:?}");
        debug_assert!(!before.is_complete() && !before.is_dead(), "{before:?}");
        before
    }

    /// Ends a poll whose task is not through.
    #[inline]
    pub(crate) fn pend(&self) -> AfterPoll {
        // ORDERING(poll): Release, for the next `start` on whatever thread.
        let before = Snapshot(self.0.fetch_and(!RUNNING, AcqRel));
        debug_assert!(before.is_running(), "{before:?}");
        if before.is_scheduled() {
            AfterPoll::Requeue
        } else {
            AfterPoll::Rest
        }
    }

    /// Ends a poll after which the task wants to be queued again at once, whether or not it was woken.
    #[inline]
    pub(crate) fn pend_scheduled(&self) {
        let mut current = self.0.load(Relaxed);
        loop {
            let next = (current & !RUNNING) | SCHEDULED;
            // ORDERING(poll): Release, for the next `start` on whatever thread.
            match self
                .0
                .compare_exchange_weak(current, next, Release, Relaxed)
            {
                Ok(_) => return,
                Err(seen) => current = seen,
            }
        }
    }

    /// Completes the task and gives up the reference of the runtime in one step, if the word is still as the
    /// caller saw it. `Some(true)`: that was the last reference. `None`: it changed; look again.
    #[inline]
    pub(crate) fn complete_and_release(&self, seen: Snapshot) -> Option<bool> {
        let next = (seen.0 ^ (RUNNING | COMPLETE)) - REF_ONE;
        // ORDERING(result): Release, the result is in place. ORDERING(refs): AcqRel, as in `release`.
        self.0
            .compare_exchange(seen.0, next, AcqRel, Relaxed)
            .ok()?;
        Some(next < REF_ONE)
    }

    /// Completes the task, if the word is still as the caller saw it; the caller keeps the reference of the
    /// runtime until it has called the join waker.
    #[must_use]
    #[inline]
    pub(crate) fn complete(&self, seen: Snapshot) -> bool {
        let next = seen.0 ^ (RUNNING | COMPLETE);
        // ORDERING(result): Release, the result is in place; Acquire, for the join waker.
        self.0
            .compare_exchange(seen.0, next, AcqRel, Relaxed)
            .is_ok()
    }

    /// Hands the filled waker slot to the completing thread. The snapshot of before says whether it is too
    /// late: then nobody will ever call the waker, and the result is there.
    #[inline]
    pub(crate) fn set_join_waker(&self) -> Snapshot {
        // ORDERING(result): Release publishes the waker slot, Acquire the result.
        Snapshot(self.0.fetch_or(JOIN_WAKER, AcqRel))
    }

    /// Takes the waker slot back, unless the snapshot says that the task completed: then the completing
    /// thread may be reading the slot.
    #[inline]
    pub(crate) fn unset_join_waker(&self) -> Snapshot {
        // ORDERING(result): Acquire, the result, if it is there.
        Snapshot(self.0.fetch_and(!JOIN_WAKER, AcqRel))
    }

    /// Drops handle and interest in one step where nothing else has to be done.
    #[inline]
    pub(crate) fn detach_fast(&self) -> bool {
        let current = self.0.load(Relaxed);
        if current & (COMPLETE | JOIN_WAKER) != 0 || current < 2 * REF_ONE {
            return false;
        }
        let next = current - REF_ONE - JOIN_INTEREST;
        // ORDERING(refs): Release, as in `release`; it is not the last one.
        self.0
            .compare_exchange(current, next, Release, Relaxed)
            .is_ok()
    }

    /// Gives up the interest in the result. If the snapshot says complete, the caller drops the result; if
    /// not, the slot of the join waker belongs to the caller again.
    #[inline]
    pub(crate) fn drop_join_interest(&self) -> Snapshot {
        // ORDERING(result): Acquire, the result that the caller may have to drop.
        Snapshot(self.0.fetch_and(!(JOIN_INTEREST | JOIN_WAKER), AcqRel))
    }

    /// Says that a done callback is in the list. The snapshot of before says whether it is too late: then the
    /// caller makes sure that the list is empty.
    #[inline]
    pub(crate) fn set_callbacks(&self) -> Snapshot {
        // ORDERING(result): Acquire, the result that the callback may look at.
        Snapshot(self.0.fetch_or(CALLBACKS, AcqRel))
    }

    /// Says that the caller is about to empty the list of callbacks.
    #[inline]
    pub(crate) fn clear_callbacks(&self) {
        self.0.fetch_and(!CALLBACKS, Relaxed);
    }

    /// Takes one more reference.
    #[inline]
    pub(crate) fn retain(&self) {
        let before = self.0.fetch_add(REF_ONE, Relaxed);
        debug_assert!(before >= REF_ONE, "retained a dead task");
        if before > REF_LIMIT {
            std::process::abort();
        }
    }

    /// Takes one more reference to a cell that may be dead, as a walker of the registry finds it.
    #[inline]
    pub(crate) fn retain_if_live(&self) -> bool {
        let mut current = self.0.load(Relaxed);
        loop {
            if current < REF_ONE {
                return false;
            }
            // ORDERING(poll): Acquire, for `init`: the header fields of this task, not of the one before.
            match self
                .0
                .compare_exchange_weak(current, current + REF_ONE, Acquire, Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
    }

    /// Gives up a reference; true if it was the last one, and the caller frees the cell.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        // ORDERING(refs): Release, our uses of the cell come before it is freed.
        let before = self.0.fetch_sub(REF_ONE, Release);
        debug_assert!(before >= REF_ONE, "released a dead task");
        if before >= 2 * REF_ONE {
            return false;
        }
        // ORDERING(refs): Acquire, everybody else's uses of the cell came before.
        fence(Acquire);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_cell_is_not_revived_and_a_live_one_dies_with_its_last_reference() {
        let state = State::dead();
        assert!(!state.retain_if_live());
        state.init();
        assert!(state.retain_if_live());
        assert!(!state.release());
        assert!(!state.release());
        assert!(state.release());
        assert!(state.load().is_dead());
    }
}
