//! What a task waits for: how a leaf says it, and what can be told about it.
//!
//! A leaf operation that is about to return `Pending` says what it waits for, in the header of the task that polls
//! it. That is a few plain stores, made only where a task waits anyhow; spawning, polling and waking know nothing
//! of it, but that each poll begins with one store that makes the reason of the poll before void. So a reason
//! cannot leak: it is over as soon as the task runs again (rule N15).
//!
//! Outside a task and outside `block_on` nothing is written: whoever calls this needs no runtime.
//!
//! # One reason for several waits
//!
//! A task may wait for several things at once (`select!`, `join!`). There is room for one: the first that says so in
//! a poll, and a small count of the others. A timer, and whatever only collects what others wait for, is *weak*:
//! it gives way, because what is behind a time limit is more telling than the limit.
//!
//! # Since when
//!
//! A leaf says whether it begins to wait or still does. The moment is taken from the clock that workers set when
//! they look around, because reading the real one costs more than all the rest. Weak reasons have no moment.

mod holders;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::context::{self, Context};
use crate::task::TaskId;

pub(crate) use holders::Held;
pub use holders::{Holder, Holders, Shares, Since};

/// What something of `rt` waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitKind {
    /// One task to finish, by its handle.
    Task = 1,
    /// All of several tasks to finish: `join_all`, `gather`, `wait`.
    AllTasks,
    /// One of several tasks to finish: `TaskSet::next`, `as_completed`, `wait`.
    AnyTask,
    /// The children of a group that ends.
    Group,
    /// A lock.
    Lock,
    /// A permit of a semaphore.
    Permit,
    /// An event.
    Event,
    /// A condition variable.
    Condition,
    /// The others at a barrier.
    Barrier,
    /// An item of a queue.
    QueueItem,
    /// A free slot in a queue.
    QueueSlot,
    /// The items of a queue to be dealt with: `join`, until `task_done` was called for each.
    QueueDone,
    /// The other end of a channel.
    Channel,
    /// A promise.
    Promise,
    /// Another task that fills a once-cell.
    Init,
    /// A notification.
    Notification,
    /// A read-write lock.
    RwLock,
    /// A descriptor to be readable.
    Readable,
    /// A descriptor to be writable.
    Writable,
    /// A signal of the system.
    Signal,
    /// What runs in the same task: racers, the children of a local group.
    Parts,
    /// A moment.
    Timer,
    /// Being asked to end.
    Request,
    /// The cleanup of a scope.
    Cleanup,
    /// Every other task to wait.
    Quiet,
}

impl WaitKind {
    const ALL: [Self; 25] = [
        Self::Task,
        Self::AllTasks,
        Self::AnyTask,
        Self::Group,
        Self::Lock,
        Self::Permit,
        Self::Event,
        Self::Condition,
        Self::Barrier,
        Self::QueueItem,
        Self::QueueSlot,
        Self::QueueDone,
        Self::Channel,
        Self::Promise,
        Self::Init,
        Self::Notification,
        Self::RwLock,
        Self::Readable,
        Self::Writable,
        Self::Signal,
        Self::Parts,
        Self::Timer,
        Self::Request,
        Self::Cleanup,
        Self::Quiet,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }

    /// Whether it gives way to anything else that the same task waits for.
    #[inline]
    const fn is_weak(self) -> bool {
        matches!(
            self,
            Self::Parts | Self::Timer | Self::Request | Self::Cleanup
        )
    }

    /// Whether somebody can have it, so that the others wait.
    const fn has_holders(self) -> bool {
        matches!(self, Self::Lock | Self::RwLock | Self::Permit)
    }

    /// Whether those who took jobs of a queue are known: they may have handed them on.
    pub(crate) const fn has_takers(self) -> bool {
        matches!(self, Self::QueueDone | Self::QueueSlot)
    }

    /// What a sentence calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "a task to finish",
            Self::AllTasks => "tasks to finish",
            Self::AnyTask => "one of several tasks to finish",
            Self::Group => "the children of its group",
            Self::Lock => "a lock",
            Self::Permit => "a permit of a semaphore",
            Self::Event => "an event",
            Self::Condition => "a condition variable",
            Self::Barrier => "the others at a barrier",
            Self::QueueItem => "an item of a queue",
            Self::QueueSlot => "a free slot in a queue",
            Self::QueueDone => "the items of a queue to be done",
            Self::Channel => "the other end of a channel",
            Self::Promise => "a promise",
            Self::Init => "a cell that another one fills",
            Self::Notification => "a notification",
            Self::RwLock => "a read-write lock",
            Self::Readable => "a descriptor to be readable",
            Self::Writable => "a descriptor to be writable",
            Self::Signal => "a signal",
            Self::Parts => "what runs inside it",
            Self::Timer => "a timer",
            Self::Request => "being asked to end",
            Self::Cleanup => "cleanup",
            Self::Quiet => "the others to wait",
        }
    }
}

impl fmt::Display for WaitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a task waits for, as of the moment of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// What kind of thing it is.
    pub kind: WaitKind,
    /// Which one: two tasks that wait for the same thing have the same number. It says no more than that.
    pub resource: u64,
    /// For how long, to about a millisecond; none for timers, and what only collects what others wait for.
    pub for_long: Option<Duration>,
    /// When a timer is due; zero if it is overdue.
    pub due_in: Option<Duration>,
    /// The task that is awaited, or that alone holds the lock or the permits, or fills the cell, where that is known.
    pub on: Option<TaskId>,
    /// Who is first in line and has to be served before, where the thing is not wholly taken: a writer that waits for
    /// readers.
    pub behind: Option<TaskId>,
    /// Everyone who is known to have a part of the thing, where several can.
    pub(crate) held: Option<Arc<Held>>,
    /// It has a limit of time, or another part of the task waits for a moment or the like.
    pub(crate) is_limited: bool,
    /// How many other things the task waits for at the same time; three may be more.
    pub n_others: u8,
}

/// So many holders are named in a sentence.
const MAX_NAMED: usize = 4;

impl Waiting {
    /// Those who are known to have what is waited for: the lock, or a part of the permits. Who reads, and who has a
    /// permit, is known in debug mode only. Of a queue, who took jobs that are not done; they may have handed them on.
    #[must_use]
    pub fn holders(&self) -> &[TaskId] {
        match &self.held {
            Some(held) => held.holders(),
            None if self.kind.has_holders() => self.on.as_slice(),
            None => &[],
        }
    }

    /// Whose it is, as the end of a sentence; nothing if nobody is known.
    fn write_holders(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (that, has, have) = match self.kind.has_takers() {
            true => (", with jobs that ", "took", "took"),
            false => (" that ", "has", "have"),
        };
        let holders = self.holders();
        let n_more = holders.len().saturating_sub(MAX_NAMED);
        if holders.is_empty() {
            return Ok(());
        }
        f.write_str(that)?;
        let named = &holders[..holders.len() - n_more];
        holders::write_series(f, ("#", "and"), named, n_more > 0)?;
        match (holders.len(), n_more) {
            (1, _) => write!(f, " {has}"),
            (_, 0) => write!(f, " {have}"),
            _ => write!(f, " and {n_more} more {have}"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.on) {
            (WaitKind::Task, Some(task)) => write!(f, "task #{task} to finish")?,
            (WaitKind::Init, Some(maker)) => write!(f, "a cell that #{maker} fills")?,
            (kind, _) => {
                f.write_str(kind.as_str())?;
                self.write_holders(f)?;
            }
        }
        if let Some(front) = self.behind {
            write!(f, ", behind #{front}")?;
        }
        if self.n_others > 0 {
            f.write_str(" and more")?;
        }
        match (self.for_long, self.due_in) {
            (Some(long), _) => write!(f, ", for {long:.1?}"),
            (None, Some(due)) => write!(f, ", due in {due:.1?}"),
            (None, None) => Ok(()),
        }
    }
}

/// The low bits of the byte: a kind, or zero.
const KIND: u8 = 0b0001_1111;

/// Something weak has given way, or was not let in.
const LIMITED: u8 = 0b0010_0000;

/// One more thing that the task waits for.
const OTHER: u8 = 0b0100_0000;

/// As many others as there is room for.
const MAX_OTHERS: u8 = u8::MAX / OTHER;

/// Where one waiter's reason is kept: the fields of a header, or of a caller of `block_on`.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) kind: &'a AtomicU8,
    pub(crate) since: &'a AtomicU32,
    pub(crate) resource: &'a AtomicU64,
}

impl Place<'_> {
    /// Notes a reason; `begins_at` is none where the wait began before.
    #[inline]
    fn note(self, kind: WaitKind, resource: u64, begins_at: Option<u32>) {
        let limited = match self.kind.load(Ordering::Relaxed) {
            0 => 0,
            _ if self.gives_way(kind) => LIMITED,
            _ => return,
        };
        self.resource.store(resource, Ordering::Relaxed);
        if let (Some(now), false) = (begins_at, kind.is_weak()) {
            self.since.store(now, Ordering::Relaxed);
        }
        self.kind.store(kind as u8 | limited, Ordering::Relaxed);
    }

    /// Whether the reason that is there gives way to another; if not, that is counted.
    #[cold]
    fn gives_way(self, kind: WaitKind) -> bool {
        let before = self.kind.load(Ordering::Relaxed);
        if kind.is_weak() {
            self.kind.store(before | LIMITED, Ordering::Relaxed);
            return false;
        }
        let is_weak = WaitKind::from_byte(before & KIND).is_some_and(WaitKind::is_weak);
        if !is_weak && before / OTHER < MAX_OTHERS {
            self.kind.store(before + OTHER, Ordering::Relaxed);
        }
        is_weak
    }

    /// What `me` waits for, if that is anything; `now` in milliseconds of the runtime's clock.
    pub(crate) fn read(self, me: u64, now: u32) -> Option<Waiting> {
        let byte = self.kind.load(Ordering::Relaxed);
        let kind = WaitKind::from_byte(byte & KIND)?;
        let resource = self.resource.load(Ordering::Relaxed);
        let since = self.since.load(Ordering::Relaxed);
        // The clock that workers set may be behind or ahead of the one that `now` was read from.
        let millis = now.wrapping_sub(since).min(u32::MAX / 2);
        let held = match kind {
            WaitKind::RwLock | WaitKind::Permit => Holders::look_up(resource),
            kind if kind.has_takers() => Holders::look_up(resource),
            _ => None,
        };
        let on = match (kind, &held) {
            (WaitKind::Task, _) => TaskId::from_number(resource),
            (_, Some(held)) => held.only_holder(),
            (WaitKind::Lock | WaitKind::Init | WaitKind::RwLock, None) => Holder::look_up(resource),
            _ => None,
        };
        let due =
            Duration::from_nanos(resource).saturating_sub(Duration::from_millis(u64::from(now)));
        Some(Waiting {
            kind,
            resource,
            due_in: (kind == WaitKind::Timer).then_some(due),
            for_long: (!kind.is_weak()).then(|| Duration::from_millis(u64::from(millis))),
            on,
            behind: held.as_ref().and_then(|held| held.ahead_of(me)),
            held,
            is_limited: byte & LIMITED != 0,
            n_others: byte / OTHER,
        })
    }
}

/// The place of whoever is being polled on this thread.
#[inline]
fn place(cx: &Context) -> Option<Place<'_>> {
    // SAFETY: context invariant 3.
    if let Some(task) = unsafe { cx.task.get().as_ref() } {
        return Some(task.waits());
    }
    // SAFETY: context invariant 6.
    Some(unsafe { cx.caller.get().as_ref() }?.waits())
}

/// Says that the running task is about to wait for something, from now on.
#[inline]
pub fn begins(kind: WaitKind, resource: u64) {
    context::with(|cx| {
        if let Some(place) = place(cx) {
            // SAFETY: context invariant 1.
            let now = unsafe { cx.runtime.get().as_ref() }.map(|runtime| runtime.coarse_millis());
            place.note(kind, resource, Some(now.unwrap_or(0)));
        }
    });
}

/// Says that the running task goes on waiting for something that it waited for before this poll.
#[inline]
pub fn goes_on(kind: WaitKind, resource: u64) {
    context::with(|cx| {
        if let Some(place) = place(cx) {
            place.note(kind, resource, None);
        }
    });
}

/// The number of what runs here: that of the task, or of the call of `block_on`; zero if it is neither.
#[must_use]
#[inline]
pub fn me() -> u64 {
    context::with(|cx| {
        // SAFETY: context invariant 3.
        if let Some(task) = unsafe { cx.task.get().as_ref() } {
            return task.id().number();
        }
        // SAFETY: context invariant 6.
        unsafe { cx.caller.get().as_ref() }.map_or(0, |caller| caller.id.number())
    })
}

pub use crate::debug::relock::{Own, is_debugging, is_whole, report_own, report_relock};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_its_own_byte() {
        for kind in WaitKind::ALL {
            assert_eq!(WaitKind::from_byte(kind as u8), Some(kind));
            assert_eq!(kind as u8 & !KIND, 0, "{kind:?} leaves the count alone");
        }
        assert_eq!(WaitKind::from_byte(0), None);
        assert_eq!(WaitKind::from_byte(KIND), None);
    }

    #[test]
    fn the_first_strong_reason_stays_and_weak_ones_give_way() {
        let (kind, since, resource) = Default::default();
        let place = Place {
            kind: &kind,
            since: &since,
            resource: &resource,
        };
        assert_eq!(place.read(0, 0), None);
        place.note(WaitKind::Timer, 1, Some(10));
        place.note(WaitKind::Request, 2, Some(20));
        let first = place.read(0, 50).unwrap();
        assert!(first.is_limited);
        assert_eq!((first.kind, first.resource), (WaitKind::Timer, 1));
        assert_eq!(first.for_long, None);
        place.note(WaitKind::Event, 3, Some(30));
        place.note(WaitKind::Timer, 1, None);
        for _ in 0..5 {
            place.note(WaitKind::Barrier, 4, Some(40));
        }
        let last = place.read(0, 50).unwrap();
        assert_eq!((last.kind, last.resource), (WaitKind::Event, 3));
        assert_eq!(last.for_long, Some(Duration::from_millis(20)));
        assert_eq!((last.n_others, last.is_limited), (3, true));
        kind.store(0, Ordering::Relaxed);
        place.note(WaitKind::Event, 3, Some(60));
        assert!(!place.read(0, 60).unwrap().is_limited);
        place.note(WaitKind::Timer, 1, None);
        let limited = place.read(0, 60).unwrap();
        assert!(limited.is_limited && limited.kind == WaitKind::Event);
    }
}
