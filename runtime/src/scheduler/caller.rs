//! A call of `block_on`, as dumps see it: it is no task, and may wait, hold locks, and be awaited like one.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;

use crate::context;
use crate::dump::CallerInfo;
use crate::task::TaskId;
use crate::trace::TaskSpan;
use crate::wait::Place;

/// What stands for a call of `block_on` while it lasts.
pub(crate) struct Caller {
    /// From the numbers of tasks, so that a lock's holder is told by one number.
    pub(crate) id: TaskId,
    pub(crate) called_at: &'static Location<'static>,
    thread: Thread,
    /// The task that called it, which cannot go on before.
    inside: Option<TaskId>,
    /// Its future is being polled, maybe without a seat.
    is_running: AtomicBool,
    kind: AtomicU8,
    since: AtomicU32,
    resource: AtomicU64,
    /// Of the call, if somebody made it, and not the runtime for itself.
    pub(super) span: TaskSpan,
}

impl Caller {
    /// For a call on this thread, whose context still says what it is inside of.
    pub(super) fn here(called_at: &'static Location<'static>) -> Self {
        Self {
            id: TaskId::new(super::seat::next_id()),
            called_at,
            thread: std::thread::current(),
            inside: context::with_task(|task| task.map(crate::task::Header::id)),
            is_running: AtomicBool::new(false),
            kind: AtomicU8::new(0),
            since: AtomicU32::new(0),
            resource: AtomicU64::new(0),
            span: Default::default(),
        }
    }

    /// Where the polling thread says what the call waits for.
    pub(crate) fn waits(&self) -> Place<'_> {
        Place {
            kind: &self.kind,
            since: &self.since,
            resource: &self.resource,
        }
    }

    /// A poll begins: what was waited for is over.
    pub(super) fn begin_poll(&self) {
        self.is_running.store(true, Ordering::Relaxed);
        self.kind.store(0, Ordering::Relaxed);
    }

    pub(super) fn end_poll(&self) {
        // ORDERING(main): Release, what the poll queued, for whoever sees that it is over.
        self.is_running.store(false, Ordering::Release);
    }

    pub(super) fn is_running(&self) -> bool {
        // ORDERING(main): Acquire, for what the poll queued.
        self.is_running.load(Ordering::Acquire)
    }

    /// What a dump says of the call; `now` is that of the runtime's clock, in milliseconds.
    pub(super) fn info(&self, now: u32) -> CallerInfo {
        let is_running = self.is_running();
        CallerInfo {
            id: self.id,
            called_at: self.called_at,
            thread: self.thread.name().map(Into::into),
            inside: self.inside,
            is_running,
            waiting_on: (!is_running)
                .then(|| self.waits().read(self.id.number(), now))
                .flatten(),
        }
    }
}
