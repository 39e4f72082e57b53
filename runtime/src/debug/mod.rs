//! Debug mode: what a program does wrong without anybody noticing, told while it happens.
//!
//! Each worker writes down what it polls and since when; a thread of its own, the *watchdog*, reads that and
//! reports a poll that takes long while it still does, with the stack of the thread that it blocks. It is not the
//! [monitor](crate::scheduler)'s work: finding the names of a stack takes long, and meanwhile blocked workers
//! would not be helped. The watchdog also looks for tasks that were cancelled and go on. What is lost in
//! other places (results, tasks that are left behind) is told by those places, see [`lost`].
//!
//! All of it is there only if the runtime was built for it. A worker knows from its birth whether it is watched,
//! so without debug mode a poll pays nothing.
//!
//! # What is written down
//!
//! One record for each seat, under a lock of its own that is held for some nanoseconds. Polls nest: a task may call
//! `block_on`, which runs other tasks. So whoever begins a poll keeps the record that it found and puts it back
//! at the end, as if that poll had just begun: what it did before was to wait. A seat that is given away in the
//! middle of a poll takes no record with it, and the end of that poll leaves the record alone.

pub(crate) mod lost;
pub(crate) mod relock;
mod slow;
#[cfg(target_os = "linux")]
#[path = "stack_linux.rs"]
mod stack;
#[cfg(not(target_os = "linux"))]
#[path = "stack_none.rs"]
mod stack;
mod watchdog;

use std::panic::Location;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) use relock::Relock;
use relock::Told as ToldRelocks;
pub(crate) use slow::SlowPoll;
use slow::{Stack, Told};
pub(crate) use watchdog::Ignores;

use crate::context;
use crate::scheduler::{Seat, Shared};
use crate::shim::lock_std;
use crate::task::{Ran, Task, TaskInfo};
use crate::unhandled::Unhandled;

/// What is being polled.
#[derive(Clone, Debug)]
pub(crate) enum Polled {
    Task(Box<TaskInfo>),
    /// The future of a `block_on` that was called there.
    BlockOn(&'static Location<'static>),
}

impl Polled {
    pub(crate) fn task(&self) -> Option<&TaskInfo> {
        match self {
            Self::Task(task) => Some(task),
            Self::BlockOn(_) => None,
        }
    }
}

/// A poll that is under way.
#[derive(Clone)]
struct Polling {
    what: Polled,
    began: Instant,
    /// The thread, as the system calls it.
    thread: u32,
    is_reported: bool,
}

pub(crate) struct Debug {
    slow_poll: Duration,
    /// One for each seat.
    records: Box<[Mutex<Option<Polling>>]>,
    watchdog: Mutex<Watchdog>,
    changed: Condvar,
    relocks: ToldRelocks,
}

#[derive(Default)]
struct Watchdog {
    is_started: bool,
    is_over: bool,
}

impl Debug {
    pub(crate) fn new(slow_poll: Duration, n_seats: usize) -> Self {
        Self {
            slow_poll,
            records: (0..n_seats).map(|_| Mutex::default()).collect(),
            watchdog: Mutex::default(),
            changed: Condvar::new(),
            relocks: ToldRelocks::default(),
        }
    }

    /// Runs a task on a seat under the eyes of the watchdog.
    pub(crate) fn run(&self, shared: &Shared, seat: &Seat, task: Task) -> Ran {
        let info = Box::new(task.header().info());
        self.watch(shared, seat, Polled::Task(info), || crate::task::run(task))
    }

    /// Calls `poll`, which polls `what` on a seat.
    pub(crate) fn watch<R>(
        &self,
        shared: &Shared,
        seat: &Seat,
        what: Polled,
        poll: impl FnOnce() -> R,
    ) -> R {
        self.ensure_started(shared);
        let polling = Polling {
            what,
            began: Instant::now(),
            thread: context::thread_id(),
            is_reported: false,
        };
        let before = lock_std(&self.records[seat.index()]).replace(polling);
        let ended = Ended {
            debug: self,
            seat,
            before,
        };
        let polled = poll();
        // It began anew if it waited in between.
        let polling = ended.put_back();
        if let Some(polling) = polling.filter(|polling| polling.began.elapsed() >= self.slow_poll) {
            shared.report(Unhandled::slow_poll(SlowPoll {
                lasted: polling.began.elapsed(),
                what: polling.what,
                told: Told::Over,
            }));
        }
        polled
    }

    /// Takes the record of a seat away for a while: whoever polls there waits, and others work meanwhile.
    pub(crate) fn set_aside(&self, seat: &Seat) -> Aside {
        Aside(lock_std(&self.records[seat.index()]).take())
    }

    /// Puts a record back, of a poll that goes on.
    pub(crate) fn put_back(&self, seat: &Seat, aside: Aside) {
        let resumed = aside.0.map(Polling::resumed);
        *lock_std(&self.records[seat.index()]) = resumed;
    }
}

/// The record of a poll that waits.
#[derive(Default)]
pub(crate) struct Aside(Option<Polling>);

impl Polling {
    /// The same, as if it had just begun.
    fn resumed(self) -> Self {
        Self {
            began: Instant::now(),
            is_reported: false,
            ..self
        }
    }
}

/// Puts the record of before back when a poll ends, also by a panic.
struct Ended<'a> {
    debug: &'a Debug,
    seat: &'a Seat,
    before: Option<Polling>,
}

impl Ended<'_> {
    /// Does so, and gives the record of the poll that has ended; none if the seat was given away meanwhile.
    fn put_back(mut self) -> Option<Polling> {
        self.exchange()
    }

    fn exchange(&mut self) -> Option<Polling> {
        let is_ours = context::with(|cx| std::ptr::eq(cx.seat.get(), self.seat));
        let before = self.before.take().map(Polling::resumed);
        let mut record = lock_std(&self.debug.records[self.seat.index()]);
        is_ours.then(|| std::mem::replace(&mut *record, before))?
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.exchange();
        }
    }
}

impl Debug {
    fn ensure_started(&self, shared: &Shared) {
        let mut watchdog = lock_std(&self.watchdog);
        if watchdog.is_started || watchdog.is_over {
            return;
        }
        watchdog.is_started = true;
        let runtime: Arc<Shared> = shared.to_arc();
        let started = shared.start_helper("watchdog", move || watchdog::watch(&runtime));
        drop(watchdog);
        if let Err(error) = started {
            shared.report(Unhandled::no_thread(error, 0));
        }
    }

    /// Has the watchdog end.
    pub(crate) fn end(&self) {
        lock_std(&self.watchdog).is_over = true;
        self.changed.notify_one();
    }
}
