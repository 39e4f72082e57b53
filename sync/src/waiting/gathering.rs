//! What `join_all`, `gather` and `try_gather` share: children that are tasks, and the first failure among them.
//!
//! Each child is a task with a hook. A failure is kept here if it is the first, and otherwise given to the
//! runtime's unhandled hook: no error is silent. The last child that ends wakes whoever gathers, the others only
//! count down.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::task::{self, Hook};
use rt_tasks_runtime::{JoinError, JoinHandle, Surroundings, spawn_hooked};

use crate::group_core::report;
use crate::group_error::{FailureKind, TaskFailure};
use crate::group_members::{Members, give_up_on};

/// What the first error means for the other children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnError {
    /// They run on, and nobody waits for them.
    RunOn,
    /// They are cancelled and awaited.
    Cancel,
}

/// What the children and whoever gathers them share.
pub(crate) struct Team<E> {
    members: Arc<Members>,
    on_error: OnError,
    /// What is around whoever gathers them, from the first poll on.
    surroundings: OnceLock<Surroundings>,
    first: Mutex<First<E>>,
}

/// The first failure.
struct First<E> {
    failure: Option<TaskFailure<E>>,
    /// There was one, or nobody will ask any more: from now on failures are reported.
    is_past: bool,
}

impl<E: 'static> Team<E> {
    /// Keeps the first failure, and reports a later one. What the child's handle gives instead.
    #[track_caller]
    fn fail(&self, kind: FailureKind<E>) -> JoinError {
        let info = task::current()
            .expect("the outcome is told where the task runs")
            .info();
        let others_run_on =
            self.on_error == OnError::RunOn && matches!(kind, FailureKind::Error(_));
        let failure = TaskFailure {
            kind,
            name: info.name.clone(),
            id: Some(info.id),
            spawned_at: info.spawned_at,
        };
        let mut first = lock_std(&self.first);
        if first.is_past {
            drop(first);
            report(failure);
            return JoinError::failed(info);
        }
        first.failure = Some(failure);
        first.is_past = true;
        drop(first);
        if !others_run_on {
            self.members
                .cancel("another one that was gathered with it failed");
        }
        self.members.wake();
        JoinError::failed(info)
    }

    /// A child ended without an output.
    #[track_caller]
    fn ended(&self, error: JoinError) -> JoinError {
        if error.is_panic() {
            return self.fail(FailureKind::Panic(error.into_panic()));
        }
        // Cancelled, by us or at the end of the runtime.
        if self.members.is_closing() {
            return error;
        }
        match error.into_parts() {
            (Some(cancelled), ..) => self.fail(FailureKind::Cancelled(cancelled)),
            (.., info) => JoinError::failed(info),
        }
    }
}

/// The hook of a child whose output is a value, whatever its type.
pub(crate) struct Whole(pub(crate) Arc<Team<Infallible>>);

impl<T> Hook<T> for Whole {
    type Value = T;

    fn outcome(&self, result: Result<T, JoinError>) -> Result<T, JoinError> {
        result.map_err(|error| self.0.ended(error))
    }

    fn surroundings(&self) -> Surroundings {
        self.0.surroundings.get().cloned().unwrap_or_default()
    }

    fn finished(self) {
        self.0.members.leave();
    }
}

/// The hook of a child that may fail.
pub(crate) struct Fallible<E>(pub(crate) Arc<Team<E>>);

impl<T, E: 'static> Hook<Result<T, E>> for Fallible<E> {
    type Value = T;

    fn outcome(&self, result: Result<Result<T, E>, JoinError>) -> Result<T, JoinError> {
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.0.fail(FailureKind::Error(error))),
            Err(error) => Err(self.0.ended(error)),
        }
    }

    fn surroundings(&self) -> Surroundings {
        self.0.surroundings.get().cloned().unwrap_or_default()
    }

    fn finished(self) {
        self.0.members.leave();
    }
}

/// Children whose values are gathered. Dropped before it is over, it cancels them, and the scope around awaits
/// them.
pub(crate) struct Gathering<T, E> {
    team: Arc<Team<E>>,
    /// Spawns the children, at the first poll. Boxed, so that nobody has to name the type of the futures.
    start: Option<Start<T, E>>,
    handles: Vec<JoinHandle<T>>,
    /// A pointer, because a `'static` bound on the type would break the `Send` of futures around it.
    report: fn(TaskFailure<E>),
    is_over: bool,
}

type Start<T, E> = Box<dyn FnOnce(&Arc<Team<E>>) -> Vec<JoinHandle<T>> + Send>;

impl<T, E> Gathering<T, E> {
    pub(crate) fn new<F, H>(
        futures: impl IntoIterator<Item = F>,
        on_error: OnError,
        hook: fn(Arc<Team<E>>) -> H,
        location: &'static Location<'static>,
    ) -> Self
    where
        F: Future + Send + 'static,
        H: Hook<F::Output, Value = T> + Send + 'static,
        T: Send,
        E: 'static,
    {
        let futures: Vec<F> = futures.into_iter().collect();
        let spawn_all = move |team: &Arc<Team<E>>| {
            let spawn = |future| {
                let hook = hook(team.clone());
                let enter = |child: &_| team.members.enter_task(child);
                spawn_hooked(future, hook, None, location, enter)
            };
            futures.into_iter().map(spawn).collect()
        };
        Self {
            team: Arc::new(Team {
                members: Arc::default(),
                on_error,
                surroundings: OnceLock::new(),
                first: Mutex::new(First {
                    failure: None,
                    is_past: false,
                }),
            }),
            report,
            start: Some(Box::new(spawn_all)),
            handles: Vec::new(),
            is_over: false,
        }
    }

    /// The values in the order of the children, or the first error.
    pub(crate) fn poll_values(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<T>, E>> {
        assert!(
            !self.is_over,
            "what gathers children was polled after it was over"
        );
        if let Some(start) = self.start.take() {
            let around = || Surroundings::current(None);
            self.team.surroundings.get_or_init(around);
            self.handles = start(&self.team);
        }
        let is_pending = self.team.members.poll_empty(cx.waker()).is_pending();
        let mut first = lock_std(&self.team.first);
        let is_early = self.team.on_error == OnError::RunOn
            && matches!(
                first.failure,
                Some(TaskFailure {
                    kind: FailureKind::Error(_),
                    ..
                })
            );
        if is_pending && !is_early {
            return Poll::Pending;
        }
        let failure = first.failure.take();
        drop(first);
        self.is_over = true;
        Poll::Ready(match failure.map(|failure| failure.kind) {
            None => Ok(self.handles.drain(..).map(value).collect()),
            Some(FailureKind::Error(error)) => Err(error),
            Some(FailureKind::Panic(panic)) => panic.resume(),
            Some(FailureKind::Cancelled(cancelled)) => {
                panic!("a task that was gathered has no value: {cancelled}")
            }
            Some(FailureKind::Elapsed(_) | FailureKind::Cleanup(_)) => {
                unreachable!("only a group has a deadline and a body")
            }
        })
    }
}

/// The value of a child that did not fail.
fn value<T>(mut handle: JoinHandle<T>) -> T {
    match handle.try_join() {
        Some(Ok(value)) => value,
        _ => unreachable!("all children are through and none of them failed"),
    }
}

impl<T, E> Drop for Gathering<T, E> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let members = &self.team.members;
        if members.len() > 0 {
            give_up_on(members, "what gathered it was dropped");
        }
        let mut first = lock_std(&self.team.first);
        first.is_past = true;
        let failure = first.failure.take();
        drop(first);
        failure.into_iter().for_each(self.report);
    }
}

impl<T, E> fmt::Debug for Gathering<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathering")
            .field("on_error", &self.team.on_error)
            .field("n_children", &self.team.members.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
