//! A copy of what the flight recorder holds, for users.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::event::Event;
use super::{Ring, chrome};
use crate::platform::Nanos;
use crate::runtime::{Handle, Runtime};
use crate::scheduler::Shared;

/// What a runtime did last: a copy of its flight recorder, made by [`Runtime::trace`] and [`Handle::trace`].
///
/// It can be taken from any thread and at any time, also while every worker is blocked, and no worker waits for it.
/// In the trace each worker has a track with the polls of tasks, by their name or by the line that spawned them, with
/// its sleep, timers and sockets; arrows lead from what woke a task, or spawned it, to the poll that followed. Threads
/// that are no workers have tracks of their own, where blocking jobs are.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let runtime = rt::Builder::new().flight_recorder(1024).build()?;
/// runtime.block_on(async {
///     rt::task::Builder::new().name("fetch").spawn(async {}).await.unwrap();
/// });
/// let trace = runtime.trace().expect("the recorder is on");
/// assert!(trace.n_events() > 0);
/// assert!(trace.to_json().contains(r#""name":"fetch""#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) runtime: Arc<str>,
    pub(super) n_workers: usize,
    pub(super) taken_at: Nanos,
    /// What happened on each seat that was ever used, by its number.
    pub(super) seats: Vec<(usize, Vec<Event>)>,
    /// What threads without a seat did.
    pub(super) outside: Vec<Event>,
    n_lost: u64,
}

impl Trace {
    /// None if nothing is recorded.
    pub(crate) fn take(shared: &Shared) -> Option<Self> {
        let recorder = shared.recorder.as_ref()?;
        let mut n_lost = 0;
        let mut read = |ring: &Ring| {
            let reading = ring.read();
            n_lost += reading.n_lost;
            let entries = reading.entries.into_iter();
            entries.filter_map(Event::from_entry).collect::<Vec<_>>()
        };
        let used = recorder.seats.iter().enumerate();
        let seats = used.filter_map(|(index, ring)| Some((index, read(ring.get()?))));
        let seats = seats.collect();
        let outside = read(&recorder.outside);
        Some(Self {
            runtime: shared.config.name.clone(),
            n_workers: shared.config.workers,
            taken_at: recorder.now(),
            seats,
            outside,
            n_lost,
        })
    }

    /// Events that are in it.
    #[must_use]
    pub fn n_events(&self) -> usize {
        let on_seats: usize = self.seats.iter().map(|(_, events)| events.len()).sum();
        on_seats + self.outside.len()
    }

    /// Events that were recorded and have been overwritten by later ones.
    #[must_use]
    pub fn n_lost(&self) -> u64 {
        self.n_lost
    }

    /// The trace in the JSON format of Chrome's trace viewer, which <https://ui.perfetto.dev> opens.
    ///
    /// Times are in microseconds since the runtime was built. The fields of each entry are described in the
    /// [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
    #[must_use]
    pub fn to_json(&self) -> String {
        chrome::write(self)
    }

    /// Writes it to a file, as JSON.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::write`].
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        std::fs::write(path, self.to_json())
    }
}

impl Handle {
    /// What the runtime did last; none if it was built without
    /// [`Builder::flight_recorder`](crate::Builder::flight_recorder).
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        Trace::take(&self.shared)
    }
}

impl Runtime {
    /// What the runtime did last; none if it was built without
    /// [`Builder::flight_recorder`](crate::Builder::flight_recorder).
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        self.handle().trace()
    }
}
