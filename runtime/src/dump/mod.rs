//! A picture of a runtime: every task, what it waits for, and who waits for whom.
//!
//! It is taken from the registry of live tasks, which are the arenas they live in. Nothing is polled, no worker is
//! stopped, and the only locks are those that a worker holds for the allocation of a chunk. So it can be taken
//! while every worker is blocked. What it shows of one task is of one moment; two tasks may be shown at two.

mod cycles;
mod graph;
mod json;
mod tree;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

pub use cycles::{Cycle, Step};
#[cfg(unix)]
pub(crate) use json::whole_cycle;

use self::graph::Graph;
use crate::runtime::Handle;
use crate::scheduler::Shared;
use crate::task::{TaskId, TaskInfo, TaskState};
use crate::wait::Waiting;

/// A picture of a runtime at one moment: its tasks and calls of `block_on`, and what they wait for.
///
/// Made by [`dump`], [`Runtime::dump`](crate::Runtime::dump) and [`Handle::dump`](crate::Handle::dump), from any
/// thread and at any time, also while every worker is blocked. Its `Display` is a tree, each task under the one that
/// spawned it, with the deadlocks at the end.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let slow = rt::task::Builder::new().name("slow").spawn(std::future::pending::<()>());
///     let id = slow.id();
///     let waits = rt::task::Builder::new().name("waits").spawn(slow);
///     rt::test::quiescent().await;
///
///     let dump = rt::dump();
///     let info = dump.task(waits.id()).unwrap();
///     assert_eq!(info.waiting_on.as_ref().unwrap().on, Some(id));
///     assert!(dump.to_string().contains("`waits`"));
///     assert!(dump.cycles().is_empty());
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Dump {
    name: Arc<str>,
    n_workers: usize,
    uptime: Duration,
    tasks: Vec<TaskInfo>,
    callers: Vec<CallerInfo>,
}

/// A call of `block_on` that has not returned.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallerInfo {
    /// Its number, from those of tasks: that is how a lock names its holder.
    pub id: TaskId,
    /// The line of the call.
    pub called_at: &'static Location<'static>,
    /// The name of the thread that is inside.
    pub thread: Option<String>,
    /// The task that called it, and that cannot go on before it returns.
    pub inside: Option<TaskId>,
    /// Its future was being polled.
    pub is_running: bool,
    /// What its future waits for, if that is something of `rt`.
    pub waiting_on: Option<Waiting>,
}

/// A picture of the current runtime.
///
/// # Panics
///
/// Outside a runtime: there use [`Handle::dump`](crate::Handle::dump).
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let dump = rt::block_on(async { rt::dump() });
/// assert!(dump.tasks().is_empty());
/// assert_eq!(dump.callers().len(), 1, "the call of block_on");
/// ```
#[must_use]
#[track_caller]
#[doc(alias = "print_call_graph")]
pub fn dump() -> Dump {
    match crate::context::runtime() {
        Some(shared) => Dump::take(&shared),
        None => panic!("rt::dump: {}", crate::NO_RUNTIME),
    }
}

impl Handle {
    /// A picture of every task and what it waits for. From any thread, also while every worker is blocked.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let runtime = rt::Builder::new().build()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// assert_eq!(runtime.handle().dump().tasks().len(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn dump(&self) -> Dump {
        Dump::take(&self.shared)
    }
}

impl Dump {
    pub(crate) fn take(shared: &Shared) -> Self {
        let now = shared.clock.now();
        let millis = (now / 1_000_000) as u32;
        let mut tasks = Vec::new();
        shared.walk(|task| {
            let info = task.header().info_at(millis);
            if info.state != TaskState::Finished {
                tasks.push(info);
            }
        });
        tasks.sort_unstable_by_key(|info| info.id);
        Self {
            name: shared.config.name.clone(),
            n_workers: shared.config.workers,
            uptime: Duration::from_nanos(now),
            tasks,
            callers: shared.callers(millis),
        }
    }

    /// Every task that was not through, in the order of their numbers.
    #[must_use]
    pub fn tasks(&self) -> &[TaskInfo] {
        &self.tasks
    }

    /// Every call of `block_on` that had not returned, in the order in which they came.
    #[must_use]
    pub fn callers(&self) -> &[CallerInfo] {
        &self.callers
    }

    /// The task with this number.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&TaskInfo> {
        let found = self.tasks.binary_search_by_key(&id, |info| info.id);
        found.ok().map(|index| &self.tasks[index])
    }

    /// The tasks and calls of `block_on` that this one waits for, as far as that is known: those it joins, the
    /// children of its group, who has its lock or its permits.
    #[must_use]
    pub fn waits_for(&self, id: TaskId) -> Vec<TaskId> {
        let graph = self.graph();
        let Some(node) = graph.node(id) else {
            return Vec::new();
        };
        let mut targets: Vec<_> = graph.targets(node).collect();
        targets.sort_unstable();
        targets.dedup();
        targets.into_iter().map(|to| self.id_of(to)).collect()
    }

    /// The tasks and calls of `block_on` that wait for this one.
    #[must_use]
    pub fn awaited_by(&self, id: TaskId) -> Vec<TaskId> {
        let graph = self.graph();
        let Some(node) = graph.node(id) else {
            return Vec::new();
        };
        let waiters =
            (0..graph.n_waiters()).filter(|&from| graph.targets(from).any(|to| to == node));
        waiters.map(|from| self.id_of(from)).collect()
    }

    /// Tasks first, then callers: the nodes of the graph.
    fn id_of(&self, node: usize) -> TaskId {
        match self.tasks.get(node) {
            Some(task) => task.id,
            None => self.callers[node - self.tasks.len()].id,
        }
    }

    fn waiting_of(&self, node: usize) -> Option<&Waiting> {
        match self.tasks.get(node) {
            Some(task) => task.waiting_on.as_ref(),
            None => self.callers[node - self.tasks.len()].waiting_on.as_ref(),
        }
    }

    /// Who waits for whom.
    fn graph(&self) -> Graph {
        Graph::of(self)
    }
}
