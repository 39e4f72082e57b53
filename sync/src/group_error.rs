//! What a group returns when not everything in it succeeded: every failure, with its task and place.

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Display};
use std::panic::Location;
use std::sync::Arc;

use rt_tasks_runtime::{Cancelled, Elapsed, Panic, TaskId};

use crate::group::BoxError;

/// How one task of a group failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailureKind<E = BoxError> {
    /// It returned an error.
    Error(E),
    /// It panicked.
    Panic(Panic),
    /// It was cancelled where that is a failure.
    Cancelled(Cancelled),
    /// The time of the group was up.
    Elapsed(Elapsed),
}

impl<E: Display> Display for FailureKind<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(panic) => panic.fmt(f),
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::Elapsed(elapsed) => elapsed.fmt(f),
        }
    }
}

/// One failure of a group.
#[derive(Debug)]
#[non_exhaustive]
pub struct TaskFailure<E = BoxError> {
    /// What happened.
    pub kind: FailureKind<E>,
    /// The name of the task; of the group, if its body failed.
    pub name: Option<Arc<str>>,
    /// The identity of the child; none if the body of the group failed.
    pub id: Option<TaskId>,
    /// The line that spawned the child, or that opened the group.
    pub spawned_at: &'static Location<'static>,
}

impl<E: Display> Display for TaskFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_label(f)?;
        write!(f, ": {}", self.kind)
    }
}

impl<E> TaskFailure<E> {
    fn write_label(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.id) {
            (Some(name), Some(_)) => write!(f, "task `{name}`"),
            (None, Some(id)) => write!(f, "task #{id}"),
            (_, None) => f.write_str("the body"),
        }
    }
}

/// Every failure of a group, in the order of completion, that of the body last.
///
/// Its `Display` is a report: a line for each failure with task and place, groups inside groups indented.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use rt::TaskGroup;
/// # runtime::block_on(async {
/// let error = TaskGroup::options()
///     .name("numbers")
///     .scope(async |group| {
///         group.spawn_named("third", async { "x".parse::<u32>() });
///         Ok(())
///     })
///     .await
///     .unwrap_err();
/// let report = error.to_string();
/// assert!(report.starts_with("group `numbers` failed (1 error)"));
/// assert!(report.contains("task `third`: invalid digit found in string"));
/// # });
/// ```
#[derive(Debug)]
pub struct GroupError<E = BoxError> {
    name: Option<Arc<str>>,
    failures: Vec<TaskFailure<E>>,
    at: &'static Location<'static>,
}

impl<E> GroupError<E> {
    pub(crate) fn new(
        name: Option<Arc<str>>,
        failures: Vec<TaskFailure<E>>,
        at: &'static Location<'static>,
    ) -> Self {
        Self { name, failures, at }
    }

    /// The failures.
    #[must_use]
    pub fn errors(&self) -> &[TaskFailure<E>] {
        &self.failures
    }

    /// The first failure; none only for a group whose body was dropped by a failure that did not count.
    #[must_use]
    pub fn first(&self) -> Option<&TaskFailure<E>> {
        self.failures.first()
    }

    /// The failures, by value.
    #[must_use]
    pub fn into_errors(self) -> Vec<TaskFailure<E>> {
        self.failures
    }

    /// How many failures there are, groups inside groups counted as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Whether there is no failure.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Divides the failures: those for which `pred` holds, and the others. A side without any is `None`.
    #[must_use]
    pub fn split(
        self,
        mut pred: impl FnMut(&TaskFailure<E>) -> bool,
    ) -> (Option<Self>, Option<Self>) {
        let (matching, rest): (Vec<_>, Vec<_>) =
            self.failures.into_iter().partition(|failure| pred(failure));
        let part = |failures: Vec<_>| {
            (!failures.is_empty()).then(|| Self {
                name: self.name.clone(),
                failures,
                at: self.at,
            })
        };
        (part(matching), part(rest))
    }

    /// The failures for which `pred` holds, if there are any.
    #[must_use]
    pub fn subgroup(self, pred: impl FnMut(&TaskFailure<E>) -> bool) -> Option<Self> {
        self.split(pred).0
    }
}

impl<E: 'static> GroupError<E> {
    /// The failures at the ends of the tree: those of groups inside groups instead of the groups.
    #[must_use]
    pub fn leaves(&self) -> Vec<&TaskFailure<E>> {
        let mut leaves = Vec::new();
        for failure in &self.failures {
            match failure.inner() {
                Some(inner) => leaves.extend(inner.leaves()),
                None => leaves.push(failure),
            }
        }
        leaves
    }
}

impl<E: 'static> TaskFailure<E> {
    /// The error of a group inside the group, if that is what failed.
    fn inner(&self) -> Option<&GroupError<E>> {
        let FailureKind::Error(error) = &self.kind else {
            return None;
        };
        let any: &dyn Any = error;
        let inner: &dyn Any = any
            .downcast_ref::<BoxError>()?
            .downcast_ref::<GroupError>()?;
        inner.downcast_ref()
    }
}

impl GroupError<BoxError> {
    /// Divides the failures by the type of their error: those whose error is a `T`, and the others.
    #[must_use]
    pub fn split_type<T: Error + 'static>(self) -> (Option<Self>, Option<Self>) {
        self.split(|failure| matches!(&failure.kind, FailureKind::Error(error) if error.is::<T>()))
    }
}

impl<E: Display> GroupError<E> {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "group `{name}` failed")?,
            None => write!(f, "group at {} failed", self.at)?,
        }
        match self.len() {
            1 => write!(f, " (1 error)")?,
            n => write!(f, " ({n} errors)")?,
        }
        for failure in &self.failures {
            write!(f, "\n{:indent$}  ", "")?;
            let text = failure.to_string();
            // What a group inside the group reports is indented as a whole.
            for (number, line) in text.lines().enumerate() {
                if number > 0 {
                    write!(f, "\n{:indent$}  ", "")?;
                }
                f.write_str(line)?;
            }
            if text.lines().count() <= 1 {
                write!(f, " (spawned at {})", failure.spawned_at)?;
            }
        }
        Ok(())
    }
}

impl<E: Display> Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl<E: fmt::Debug + Display> Error for GroupError<E> {}
