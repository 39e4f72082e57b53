//! What the handles, children and scope of a group share: its policy, and the failures on their way to whoever
//! hears of them.
//!
//! A failure goes to the error of the group, or to the handler of a group that has one. If the scope is not
//! there to return its error (it was dropped half-way, or its body panicked), the runtime's `on_unhandled` is
//! told: none is lost.

use std::any::{Any, type_name};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::{JoinError, Panic, Surroundings, report_lost};

use crate::group::BoxError;
use crate::group_error::{FailureKind, TaskFailure, same};
use crate::group_members::Members;
use crate::group_start::StartError;
use crate::semaphore::Semaphore;

/// What the end of one child means for the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The first failure cancels the other children and the body.
    #[default]
    FailFast,
    /// Failures cancel nobody; they are all reported at the end.
    CollectAll,
    /// The first child that succeeds cancels the others; failures count only if no child succeeds.
    FirstSuccess,
}

/// Takes the failures of children instead of the error of their group.
pub(crate) type Handler<E> = Box<dyn Fn(TaskFailure<E>) + Send + Sync>;

/// What a group's handles, children and scope share.
pub(crate) struct Core<E> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) members: Arc<Members>,
    policy: Policy,
    pub(crate) limit: Option<Arc<Semaphore>>,
    handler: Option<Handler<E>>,
    /// What is around the scope, from its first poll on.
    pub(crate) surroundings: OnceLock<Surroundings>,
    /// The body is to be dropped where it is suspended.
    is_failing: AtomicBool,
    outcome: Mutex<Outcome<E>>,
}

struct Outcome<E> {
    failures: Vec<TaskFailure<E>>,
    has_succeeded: bool,
    /// Nobody will return the failures any more.
    is_unheard: bool,
}

impl<E> Core<E> {
    pub(crate) fn new(
        name: Option<Arc<str>>,
        policy: Policy,
        limit: Option<usize>,
        handler: Option<Handler<E>>,
    ) -> Self {
        Self {
            name,
            members: Arc::default(),
            policy,
            limit: limit.map(|limit| Arc::new(Semaphore::new(limit))),
            handler,
            surroundings: OnceLock::new(),
            is_failing: AtomicBool::new(false),
            outcome: Mutex::new(Outcome {
                failures: Vec::new(),
                has_succeeded: false,
                is_unheard: false,
            }),
        }
    }

    /// Whether the body is to be dropped.
    pub(crate) fn is_failing(&self) -> bool {
        // ORDERING(failing): Acquire, for the failure that set it.
        self.is_failing.load(Ordering::Acquire)
    }

    /// Cancels every child, and has the body dropped; the failure is kept already.
    #[track_caller]
    fn fail(&self, reason: &'static str) {
        // ORDERING(failing): Release, the failure for the scope.
        self.is_failing.store(true, Ordering::Release);
        self.members.cancel(reason);
        self.members.wake();
    }

    /// The time of the group is up.
    #[track_caller]
    pub(crate) fn strike(&self, failure: TaskFailure<E>) {
        lock_std(&self.outcome).failures.push(failure);
        self.fail("the time of its group was up");
    }

    /// The body failed.
    pub(crate) fn body_failed(&self) {
        if self.policy == Policy::FailFast {
            self.members.cancel("the body of its group failed");
        }
    }

    /// A child gave its value.
    pub(crate) fn child_succeeded(&self) {
        if self.policy == Policy::FirstSuccess {
            lock_std(&self.outcome).has_succeeded = true;
            self.members
                .cancel("another task of its group succeeded first");
        }
    }

    /// The failures, for the end of the scope; without those of children that do not count, because one succeeded.
    pub(crate) fn take_failures(&self) -> Vec<TaskFailure<E>> {
        let mut outcome = lock_std(&self.outcome);
        let mut failures = std::mem::take(&mut outcome.failures);
        // With a handler what is here are its own panics.
        if outcome.has_succeeded && self.handler.is_none() {
            failures.retain(|failure| failure.id.is_none());
        }
        failures
    }
}

impl<E: 'static> Core<E> {
    /// A child failed.
    pub(crate) fn child_failed(&self, failure: TaskFailure<E>) {
        let Some(handler) = &self.handler else {
            self.keep(failure);
            if self.policy == Policy::FailFast {
                self.fail("another task of its group failed");
            }
            return;
        };
        let (name, id, spawned_at) = (failure.name.clone(), failure.id, failure.spawned_at);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| handler(failure))) {
            self.keep(TaskFailure {
                kind: FailureKind::Panic(Panic::new(payload)),
                name,
                id,
                spawned_at,
            });
            self.fail("the error handler of its group panicked");
        }
    }

    /// Keeps a failure for the error of the group, if there will be one.
    fn keep(&self, failure: TaskFailure<E>) {
        let mut outcome = lock_std(&self.outcome);
        if outcome.is_unheard {
            drop(outcome);
            report(failure);
        } else {
            outcome.failures.push(failure);
        }
    }
}

/// What a scope does with its failures when it cannot return them. A function that the scope keeps as a pointer,
/// because a `'static` bound on the scope would break the `Send` of futures around it.
pub(crate) fn give_up<E: 'static>(core: &Core<E>) {
    lock_std(&core.outcome).is_unheard = true;
    core.take_failures().into_iter().for_each(report);
}

/// Tells the runtime of a failure that nobody returns.
pub(crate) fn report<E: 'static>(failure: TaskFailure<E>) {
    let place = failure.spawned_at;
    let what = match (&failure.name, failure.id) {
        (Some(name), _) => format!("task `{name}` spawned at {place}"),
        (None, Some(id)) => format!("task #{id} spawned at {place}"),
        (None, None) => format!("the group at {place}"),
    };
    let error: BoxError = match failure.kind {
        FailureKind::Error(error) => boxed(error),
        FailureKind::Panic(panic) => Box::new(panic),
        FailureKind::Cancelled(cancelled) => Box::new(cancelled),
        FailureKind::Elapsed(elapsed) => Box::new(elapsed),
        FailureKind::Cleanup(error) => error,
    };
    report_lost(what, error);
}

/// An error of a usual type as it is; otherwise nothing is known of it but its type: a bound would turn it away.
fn boxed<E: 'static>(error: E) -> BoxError {
    same(error)
        .or_else(|error| same::<E, io::Error>(error).map(Into::into))
        .or_else(|error| same::<E, String>(error).map(Into::into))
        .or_else(|error| same::<E, &'static str>(error).map(Into::into))
        .unwrap_or_else(|_| format!("an error of type {}", type_name::<E>()).into())
}

/// Whether an error of the body only passes on that a child failed, whose failure is there already (rule G12).
pub(crate) fn is_echo<E: 'static>(failures: &[TaskFailure<E>], error: &E) -> bool {
    let any: &dyn Any = error;
    let join_error = join_error_in(any).or_else(|| {
        any.downcast_ref::<BoxError>().and_then(|boxed| {
            let start = boxed
                .downcast_ref::<StartError>()
                .and_then(StartError::join_error);
            start.or_else(|| boxed.downcast_ref::<JoinError>())
        })
    });
    join_error.is_some_and(|error| {
        error.is_failed()
            && failures
                .iter()
                .any(|failure| failure.id == Some(error.task().id))
    })
}

fn join_error_in(error: &dyn Any) -> Option<&JoinError> {
    let start = error.downcast_ref::<StartError>();
    start.map_or_else(|| error.downcast_ref(), StartError::join_error)
}
