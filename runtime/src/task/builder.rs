//! Spawning with a name, or with the first poll at once.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use super::{JoinHandle, Plain, Ran, Task, harness};
use crate::context::{self, Restore};
use crate::scheduler;
use crate::spawn::{self, Spec, Work};

/// Spawns tasks with a name.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let task = rt::task::Builder::new().name("worker-A").spawn(async { 1 });
///     assert_eq!(task.name().as_deref(), Some("worker-A"));
///     assert_eq!(task.await.unwrap(), 1);
/// });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Arc<str>>,
    is_eager: bool,
}

impl Builder {
    /// A builder without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task, for errors, dumps and traces.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Polls the task once before `spawn` returns, on this thread (asyncio's eager tasks). One that is through
    /// by then never saw a queue.
    pub fn eager(mut self) -> Self {
        self.is_eager = true;
        self
    }

    /// Spawns; see [`spawn`](crate::spawn()).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let spec = Spec {
            name: self.name.as_ref(),
            ..Spec::at(Location::caller())
        };
        spawn::on_current("spawning a task", |shared| {
            spawn::spawn_cell(shared, future, Plain, spec, |task| {
                if self.is_eager {
                    run_now(task)
                } else {
                    scheduler::submit(shared, task)
                }
            })
        })
    }

    /// Spawns a task that need not be `Send`; see [`spawn_local`](crate::spawn_local).
    ///
    /// # Panics
    ///
    /// As `spawn_local`.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn::spawn_local_named(future, self.name.as_ref(), Location::caller())
    }

    /// Spawns a blocking function; see [`spawn_blocking`](crate::spawn_blocking).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn::spawn_work(
            function,
            Plain,
            Work::Blocking,
            self.name.as_ref(),
            Location::caller(),
            |_| None,
        )
    }
}

/// The first poll, here.
fn run_now(task: Task) {
    let ran = context::with(|cx| {
        // The spawner's own task-locals are not the task's.
        let _frames = Restore::set(&cx.frames, std::ptr::null());
        harness::run(task)
    });
    if let Ran::Again(task) = ran {
        scheduler::schedule(task);
    }
}
