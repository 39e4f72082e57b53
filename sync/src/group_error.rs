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
    /// Cleanup of the body failed or panicked, in a group that failed. If nothing else fails, the runtime's
    /// `on_unhandled` is told instead.
    Cleanup(BoxError),
}

impl<E: Display> Display for FailureKind<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(panic) => panic.fmt(f),
            Self::Cancelled(cancelled) => cancelled.fmt(f),
            Self::Elapsed(elapsed) => elapsed.fmt(f),
            Self::Cleanup(error) => write!(f, "cleanup failed: {error}"),
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

/// Who failed and how; not where, which is `spawned_at`.
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
            (_, None) if matches!(self.kind, FailureKind::Elapsed(_)) => f.write_str("the group"),
            (_, None) => f.write_str("the body"),
        }
    }

    fn write_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(_) => write!(f, " (spawned at {})", self.spawned_at),
            None => write!(f, " (group at {})", self.spawned_at),
        }
    }
}

/// Every failure of a group, in the order of completion, that of the body last.
///
/// Its `Display` is a report: a line for each failure with task and place, groups inside groups indented.
///
/// A group inside a group is one failure of the outer one, whose error is a `GroupError` in its box. Errors of
/// other types than [`BoxError`] are not looked into.
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

    /// The first failure. The error of a scope always has one.
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

    /// Divides the failures: those for which `pred` holds, and the others. A side without any is `None`.
    ///
    /// Groups inside the group keep their place in the tree: one for which `pred` holds goes as a whole, another is
    /// divided in turn.
    #[must_use]
    pub fn split(
        self,
        mut pred: impl FnMut(&TaskFailure<E>) -> bool,
    ) -> (Option<Self>, Option<Self>) {
        self.split_by(&mut pred)
    }

    /// The failures for which `pred` holds, if there are any; divided as by [`split`](Self::split).
    #[must_use]
    pub fn subgroup(self, pred: impl FnMut(&TaskFailure<E>) -> bool) -> Option<Self> {
        self.split(pred).0
    }

    fn split_by(
        self,
        pred: &mut dyn FnMut(&TaskFailure<E>) -> bool,
    ) -> (Option<Self>, Option<Self>) {
        let (mut matching, mut rest) = (Vec::new(), Vec::new());
        for failure in self.failures {
            if pred(&failure) {
                matching.push(failure);
            } else if failure.inner().is_some() {
                let (yes, no) = failure.split_inner(pred);
                matching.extend(yes);
                rest.extend(no);
            } else {
                rest.push(failure);
            }
        }
        let part = |failures: Vec<_>| {
            (!failures.is_empty()).then(|| Self {
                name: self.name.clone(),
                failures,
                at: self.at,
            })
        };
        (part(matching), part(rest))
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

    /// Divides the group inside the group that failed.
    fn split_inner(
        self,
        pred: &mut dyn FnMut(&TaskFailure<E>) -> bool,
    ) -> (Option<Self>, Option<Self>) {
        const BOXED: &str = "`inner` found a group in a box";
        let FailureKind::Error(error) = self.kind else {
            unreachable!("{BOXED}")
        };
        let boxed: Option<BoxError> = same(error).ok();
        let inner = boxed.and_then(|boxed| boxed.downcast::<GroupError>().ok());
        let inner: Option<GroupError<E>> = inner.and_then(|inner| same(*inner).ok());
        let (yes, no) = inner.expect(BOXED).split_by(pred);
        let part = |part: GroupError<E>| {
            let inner: Option<GroupError> = same(part).ok();
            let boxed: BoxError = Box::new(inner.expect(BOXED));
            Self {
                kind: FailureKind::Error(same(boxed).expect(BOXED)),
                name: self.name.clone(),
                id: self.id,
                spawned_at: self.spawned_at,
            }
        };
        (yes.map(part), no.map(part))
    }
}

/// The value by another name of its type; the value back if it is of another type.
pub(crate) fn same<A: 'static, B: 'static>(value: A) -> Result<B, A> {
    let mut value = Some(value);
    let any: &mut dyn Any = &mut value;
    if let Some(same) = any.downcast_mut::<Option<B>>().and_then(Option::take) {
        return Ok(same);
    }
    Err(value.expect("it is of another type, so it was not taken"))
}

impl GroupError<BoxError> {
    /// Divides the failures by the type of their error: those whose error is a `T`, and the others.
    ///
    /// Groups inside the group are divided in turn, as by [`split`](Self::split).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # use rt::{Policy, TaskGroup};
    /// # use std::num::{ParseFloatError, ParseIntError};
    /// # runtime::block_on(async {
    /// let error = TaskGroup::options()
    ///     .policy(Policy::CollectAll)
    ///     .scope(async |group| {
    ///         group.spawn(async { "x".parse::<u32>() });
    ///         group.spawn(async { "y".parse::<f32>() });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap_err();
    /// let (integers, rest) = error.split_type::<ParseIntError>();
    /// assert_eq!(integers.unwrap().len(), 1);
    /// assert!(rest.unwrap().split_type::<ParseFloatError>().1.is_none());
    /// # });
    /// ```
    #[must_use]
    #[doc(alias = "except*")]
    pub fn split_type<T: Error + 'static>(self) -> (Option<Self>, Option<Self>) {
        self.split(|failure| match &failure.kind {
            FailureKind::Error(error) | FailureKind::Cleanup(error) => error.is::<T>(),
            _ => false,
        })
    }
}

impl<E: Display> Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "group `{name}` failed")?,
            None => write!(f, "group at {} failed", self.at)?,
        }
        match self.len() {
            1 => write!(f, " (1 error)")?,
            n => write!(f, " ({n} errors)")?,
        }
        for failure in &self.failures {
            let text = failure.to_string();
            // What a group inside the group reports is indented as a whole.
            for (number, line) in text.lines().enumerate() {
                write!(f, "\n  {line}")?;
                if number == 0 {
                    failure.write_place(f)?;
                }
            }
        }
        Ok(())
    }
}

impl<E: fmt::Debug + Display> Error for GroupError<E> {}
