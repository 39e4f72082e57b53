//! The task that the code runs in, and what is around it.

use std::fmt;
use std::sync::Arc;

use super::cell::Retained;
use super::info::{TaskId, TaskInfo};
use crate::time::Instant;
use crate::{cancel, context};

/// The task that this code runs in, if it is one.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     assert!(rt::task::current().is_none(), "the future of block_on is no task");
///     let task = rt::task::Builder::new().name("worker-A").spawn(async {
///         rt::task::current().unwrap().name()
///     });
///     assert_eq!(task.await.unwrap().as_deref(), Some("worker-A"));
/// });
/// ```
#[must_use]
#[doc(alias = "current_task")]
pub fn current() -> Option<TaskRef> {
    let task = context::with_task(|task| task.map(Retained::of))?;
    Some(TaskRef {
        task,
        deadline: cancel::deadline(),
    })
}

/// The nearest deadline of all scopes around this code: of each `timeout`, `CancelScope` and group, also those around
/// the group that the task belongs to. What a client should pass on to its server.
///
/// None if there is none, and in cleanup, which no deadline of the scope around ends.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// # let runtime = rt::Builder::current_thread().virtual_time(true).build().unwrap();
/// # runtime.block_on(async {
/// let start = rt::Instant::now();
/// let (near, far) = (Duration::from_secs(1), Duration::from_secs(5));
/// let nearest = rt::timeout(far, rt::timeout(near, async { rt::task::deadline() })).await;
/// assert_eq!(nearest.unwrap().unwrap(), Some(start + near));
/// assert_eq!(rt::task::deadline(), None);
/// # });
/// ```
#[must_use]
pub fn deadline() -> Option<Instant> {
    cancel::deadline()
}

/// A task, as [`current`] found it. It may be kept and given to others.
#[derive(Clone)]
pub struct TaskRef {
    task: Retained,
    deadline: Option<Instant>,
}

impl TaskRef {
    /// Its identity.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.header().id()
    }

    /// The name that was given to it, if any.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.task.header().cold_if_any()?.name.get().cloned()
    }

    /// The nearest deadline around the code that called [`current`], as it was then.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A snapshot of it.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        self.task.header().info()
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("deadline", &self.deadline)
            .finish()
    }
}
