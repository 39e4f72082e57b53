//! What can be told about a task from outside: its id, and a snapshot of its header.

use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::wait::Waiting;

/// The identity of a task, never used twice within a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) NonZeroU64);

impl TaskId {
    /// # Panics
    ///
    /// If the number is zero: the counter begins at one and does not wrap within a process's life.
    #[inline]
    pub(crate) fn new(id: u64) -> Self {
        Self::from_number(id).expect("ids begin at one")
    }

    /// None for zero.
    #[inline]
    pub(crate) fn from_number(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TaskState {
    /// In a run queue.
    Scheduled,
    /// Being polled.
    Running,
    /// Suspended at an `.await`.
    Waiting,
    /// Through.
    Finished,
}

impl TaskState {
    /// One word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "ready",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Finished => "finished",
        }
    }
}

/// A snapshot of a task: who it is, where it came from and what it is doing.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let task = rt::task::Builder::new().name("worker-A").spawn(std::future::pending::<()>());
///     rt::yield_now().await;
///     let all = rt::task::all();
///     assert!(all.iter().any(|info| info.name.as_deref() == Some("worker-A")));
///     task.cancel();
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its identity.
    pub id: TaskId,
    /// The name given to `task::Builder::name`.
    pub name: Option<Arc<str>>,
    /// The line that spawned it.
    pub spawned_at: &'static Location<'static>,
    /// The task that spawned it; none if that was no task.
    pub parent: Option<TaskId>,
    /// What it was doing when the snapshot was taken.
    pub state: TaskState,
    /// What it waits for, if it waits for something of `rt`.
    pub waiting_on: Option<Waiting>,
    /// Who polled its handle last, and keeps it: a task, or a call of `block_on`.
    pub(crate) awaited_by: Option<TaskId>,
    /// The number of the group that it is in, or zero.
    pub(crate) group: u64,
    /// How often it has been polled.
    pub polls: u64,
    /// Time spent in polls. Measured in debug mode only, since it costs two clock readings a poll; zero
    /// otherwise.
    pub busy: Duration,
    /// Time since it was spawned, to about a millisecond.
    pub age: Duration,
}

impl TaskInfo {
    /// The name in quotes, or the number: how messages call the task.
    pub(crate) fn label(&self) -> Label<'_> {
        Label(self)
    }
}

pub(crate) struct Label<'a>(&'a TaskInfo);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            Some(name) => write!(f, "`{name}`"),
            None => write!(f, "#{}", self.0.id),
        }
    }
}
