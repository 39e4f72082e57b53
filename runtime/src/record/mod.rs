//! The flight recorder: the last things that each worker did, in memory of a fixed size, to be looked at when
//! something has gone wrong or is slow.
//!
//! Each seat has a [ring] of events, written by whoever holds the seat, with no lock and no allocation; the threads
//! that hold none share one, under a lock. [`Trace`] is a copy of them all, taken at any time, which writes itself in a
//! format that trace viewers read.
//!
//! All of it is there only if the runtime was built for it, and costs nothing where it is not. A worker knows by the
//! word that says whether it is chaotic or watched. A spawn looks at the word that says whether the runtime is
//! closing. And a task that is recorded has a bit in its state word (`WATCHED`), which keeps its wake-ups and polls
//! from the fast path: they look at that word anyhow.
//!
//! Times are real ones, also where the runtime's own clock stands still.

mod chrome;
mod event;
pub(crate) mod ring;
mod trace;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

pub(crate) use event::{Event, Kind, Left};
pub use trace::Trace;

use crate::context;
use crate::platform::{Nanos, nanos};
use crate::runtime::{Builder, Config};
use crate::scheduler::{Caller, Seat, Shared};
use crate::shim::lock_std;
use crate::task::{Header, Ran, Retained, Task};
use event::Name;

type Ring = ring::Ring<6>;

/// Events kept for each worker, where only a file was asked for.
const DEFAULT_EVENTS: usize = 16_384;

pub(crate) struct Recorder {
    epoch: Instant,
    n_events: usize,
    /// One for each seat; those of spare seats are made when they are opened.
    seats: Box<[OnceLock<Ring>]>,
    /// What threads without a seat do. The lock is held while one of them writes.
    outside: Ring,
    writing: Mutex<()>,
}

impl Recorder {
    /// None if the runtime is to have none.
    pub(crate) fn new(config: &Config, n_seats: usize) -> Option<Self> {
        let is_asked = config.trace_file.is_some() || file_of_environment().is_some();
        let n_events = match config.n_events {
            0 if is_asked => DEFAULT_EVENTS,
            0 => return None,
            n_events => n_events,
        };
        let recorder = Self {
            epoch: Instant::now(),
            n_events,
            seats: (0..n_seats).map(|_| OnceLock::new()).collect(),
            outside: Ring::new(n_events),
            writing: Mutex::new(()),
        };
        (0..config.workers).for_each(|index| recorder.open(index));
        Some(recorder)
    }

    /// A seat is about to be used.
    pub(crate) fn open(&self, seat: usize) {
        self.seats[seat].get_or_init(|| Ring::new(self.n_events));
    }

    /// Nanoseconds since the recorder was made.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }

    /// Something that happens now.
    #[inline]
    pub(crate) fn event(&self, kind: Kind, subject: u64) -> Event {
        Event::new(self.now(), kind, subject)
    }

    /// Notes what the holder of a seat does; called by that one.
    #[inline]
    fn on_seat(&self, seat: &Seat, event: Event) {
        if let Some(ring) = self.seats[seat.index()].get() {
            ring.write(&event.to_entry());
        }
    }

    /// Notes what this thread does, whether or not it holds a seat of the runtime.
    pub(crate) fn here(&self, shared: &Shared, mut event: Event) {
        let is_noted = context::with(|cx| {
            // SAFETY: context invariant 2.
            let seat = unsafe { cx.seat.get().as_ref() };
            let is_ours = std::ptr::eq(cx.runtime.get(), shared);
            let seat = seat.filter(|_| is_ours);
            seat.map(|seat| self.on_seat(seat, event)).is_some()
        });
        if !is_noted {
            event.thread = context::thread_id();
            let _writing = lock_std(&self.writing);
            self.outside.write(&event.to_entry());
        }
    }

    /// A task was spawned.
    pub(crate) fn spawned(&self, shared: &Shared, task: &Header) {
        self.here(shared, self.about(Kind::Spawned, task));
    }

    /// A task was woken.
    pub(crate) fn woken(&self, shared: &Shared, task: &Header) {
        self.here(shared, self.event(Kind::Woken, task.id().number()));
    }

    /// Runs a task by `run` and notes that.
    pub(crate) fn run(
        &self,
        shared: &Shared,
        n_queued: usize,
        task: Task,
        run: impl FnOnce(Task) -> Ran,
    ) -> Ran {
        // It may be gone when it was run.
        let kept = Retained::of(task.header());
        let mut began = self.about(Kind::PollBegan, task.header());
        began.number = u32::try_from(n_queued).unwrap_or(u32::MAX);
        self.here(shared, began);
        let ran = run(task);
        let left = match &ran {
            Ran::Again(_) => Left::Queued,
            Ran::Rest if kept.header().state.load().is_complete() => Left::Finished,
            Ran::Rest => Left::Waiting,
        };
        let mut ended = self.event(Kind::PollEnded, began.subject);
        ended.number = left as u32;
        self.here(shared, ended);
        ran
    }

    /// Polls the future of a `block_on` by `poll` and notes that.
    pub(crate) fn poll_call<R>(
        &self,
        shared: &Shared,
        caller: &Caller,
        poll: impl FnOnce() -> R,
    ) -> R {
        let mut began = self.event(Kind::CallBegan, caller.id.number());
        began.place = Some(caller.called_at);
        self.here(shared, began);
        let polled = poll();
        self.here(shared, self.event(Kind::CallEnded, began.subject));
        polled
    }

    /// This thread gives its seat away in the middle of a poll, and goes on with that.
    pub(crate) fn leave_seat(&self, seat: &Seat) {
        self.on_seat(seat, self.event(Kind::SeatLeft, 0));
    }

    /// An event about a task, with what it is called.
    fn about(&self, kind: Kind, task: &Header) -> Event {
        let mut event = self.event(kind, task.id().number());
        event.place = Some(task.location());
        if let Some(name) = task.cold_if_any().and_then(|cold| cold.name.get()) {
            event.name = Name::new(name);
        }
        event
    }
}

impl Builder {
    /// Keeps the last `n_events` things that each worker did, rounded up to a power of two: polls, wake-ups, spawns,
    /// sleep, timers, sockets, stolen work; zero, the default, keeps none. [`Runtime::trace`](crate::Runtime::trace)
    /// gives them.
    ///
    /// An event takes 64 bytes. That memory is all there is: nothing is allocated later but for spare workers. A poll
    /// that is recorded takes about 0.2 µs longer.
    pub fn flight_recorder(mut self, n_events: usize) -> Self {
        self.config.n_events = n_events;
        self
    }

    /// Writes the [`Trace`] to a file when the runtime ends, and turns the flight recorder on for it, with 16,384
    /// events if nothing else was said.
    ///
    /// `RT_RECORD=FILE` in the environment does so where the builder says nothing; from the second runtime of a process
    /// on, the name of the file gets a number.
    pub fn trace_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.trace_file = Some(path.into());
        self
    }
}

/// Writes the trace of a runtime that has ended to the file that was asked for, if any.
pub(crate) fn save(shared: &Shared) {
    /// Runtimes of this process that were recorded to a file.
    static N_SAVED: AtomicUsize = AtomicUsize::new(0);
    if shared.recorder.is_none() {
        return;
    }
    let of_environment = || {
        Some(numbered(
            &file_of_environment()?,
            N_SAVED.fetch_add(1, Ordering::Relaxed),
        ))
    };
    let Some(path) = shared.config.trace_file.clone().or_else(of_environment) else {
        return;
    };
    let saved = Trace::take(shared).map_or(Ok(()), |trace| trace.save(&path));
    if let Err(error) = saved {
        eprintln!("rt: cannot write a trace to {}: {error}", path.display());
    }
}

/// Where the user of the program wants traces to go.
fn file_of_environment() -> Option<PathBuf> {
    std::env::var_os("RT_RECORD").map(PathBuf::from)
}

/// The path itself, and from the second on with a number before its ending.
fn numbered(path: &Path, n_before: usize) -> PathBuf {
    if n_before == 0 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{}", n_before + 1));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_runtime_does_not_overwrite_the_file_of_the_first() {
        let path = Path::new("out/trace.json");
        assert_eq!(numbered(path, 0), path);
        assert_eq!(numbered(path, 1), Path::new("out/trace-2.json"));
        assert_eq!(numbered(Path::new("trace"), 2), Path::new("trace-3"));
    }
}
