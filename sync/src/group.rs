//! `TaskGroup`: tasks that end together.
//!
//! A group is a scope: its body spawns children, and the scope does not return before every child is through,
//! cleanup included. A child that fails cancels the others and the body; every error is kept. If the scope
//! itself is dropped half-way, by cancellation or otherwise, it cancels its children, and the scope around it
//! awaits them: no child is ever orphaned.
//!
//! Who is in the group is in [`group_members`](crate::group_members); here are the failures, the policies and the
//! handles.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::task::{self, Hook};
use rt_tasks_runtime::{JoinError, JoinHandle, TaskId, Work, spawn_hooked, spawn_work};

use crate::group_error::{FailureKind, TaskFailure};
use crate::group_members::Members;
use crate::group_scope::{GroupBuilder, GroupScope};
use crate::semaphore::Semaphore;

/// An error of any type: what `?` makes of everything.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// `Ok(value)` with [`BoxError`] as the error type, for the end of an async block that uses `?`.
///
/// # Errors
///
/// Never.
///
/// # Examples
///
/// ```
/// # use rt_tasks_sync as rt;
/// # futures_lite::future::block_on(async {
/// let number = async { rt::ok("7".parse::<u32>()?) };
/// assert_eq!(number.await.unwrap(), 7);
/// # });
/// ```
pub fn ok<T>(value: T) -> Result<T, BoxError> {
    Ok(value)
}

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

/// What a child of a group may return.
///
/// `Result<T, F>` with an error that converts into the group's, `()`, or `!` (it loops for ever). For any other
/// output use [`TaskGroup::spawn_ok`].
#[diagnostic::on_unimplemented(
    message = "a child of this group returns `{Self}`, which is no `Result` with an error that converts into `{E}`",
    label = "this child's output",
    note = "return a `Result`, or use `spawn_ok` for a child that cannot fail"
)]
pub trait ChildOutput<E> {
    /// What the child's handle gives.
    type Value;

    /// The value, or the error for the group.
    ///
    /// # Errors
    ///
    /// The child's own.
    fn into_result(self) -> Result<Self::Value, E>;
}

impl<E, T, F: Into<E>> ChildOutput<E> for Result<T, F> {
    type Value = T;

    fn into_result(self) -> Result<T, E> {
        self.map_err(Into::into)
    }
}

impl<E> ChildOutput<E> for () {
    type Value = ();

    fn into_result(self) -> Result<(), E> {
        Ok(())
    }
}

/// The type `!`, which stable Rust lets nobody write outside a function's return type.
mod never {
    pub trait Returns {
        type Output;
    }

    impl<T> Returns for fn() -> T {
        type Output = T;
    }
}

impl<E> ChildOutput<E> for <fn() -> ! as never::Returns>::Output {
    type Value = Self;

    fn into_result(self) -> Result<Self, E> {
        self
    }
}

/// The output of a child that cannot fail.
struct Infallible<T>(T);

impl<E, T> ChildOutput<E> for Infallible<T> {
    type Value = T;

    fn into_result(self) -> Result<T, E> {
        Ok(self.0)
    }
}

/// A group of tasks that end together; a handle to it, cheap to clone.
///
/// Made by [`TaskGroup::scope`] or a [`builder`](TaskGroup::builder), which give it to their body.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use rt::TaskGroup;
/// # runtime::block_on(async {
/// let (one, two) = TaskGroup::scope(async |group| {
///     let one = group.spawn(async { rt::ok(1) });
///     let two = group.spawn_ok(async { 2 });
///     Ok((one, two))
/// })
/// .await?;
/// assert_eq!(one.result() + two.result(), 3);
///
/// let error = TaskGroup::scope(async |group| {
///     group.spawn(async { "x".parse::<u32>() });
///     group.spawn_ok(std::future::pending::<()>());
///     std::future::pending::<()>().await;
///     Ok(())
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(error.len(), 1, "the other child and the body were cancelled, which is no error");
/// # Ok::<(), rt::BoxError>(()) }).unwrap();
/// ```
#[doc(alias = "nursery")]
#[doc(alias = "JoinSet")]
pub struct TaskGroup<E = BoxError> {
    pub(crate) core: Arc<Core<E>>,
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
        }
    }
}

/// What a group's handles, children and scope share.
pub(crate) struct Core<E> {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) members: Arc<Members>,
    policy: Policy,
    limit: Option<Arc<Semaphore>>,
    /// The body is to be dropped where it is suspended.
    is_failing: AtomicBool,
    outcome: Mutex<Outcome<E>>,
}

struct Outcome<E> {
    failures: Vec<TaskFailure<E>>,
    has_succeeded: bool,
}

impl<E> Core<E> {
    pub(crate) fn new(name: Option<Arc<str>>, policy: Policy, limit: Option<usize>) -> Self {
        Self {
            name,
            members: Arc::default(),
            policy,
            limit: limit.map(|limit| Arc::new(Semaphore::new(limit))),
            is_failing: AtomicBool::new(false),
            outcome: Mutex::new(Outcome {
                failures: Vec::new(),
                has_succeeded: false,
            }),
        }
    }

    /// Whether the body is to be dropped.
    pub(crate) fn is_failing(&self) -> bool {
        // ORDERING(failing): Acquire, for the failure that set it.
        self.is_failing.load(Ordering::Acquire)
    }

    /// Keeps a failure, cancels every child, and has the body dropped.
    #[track_caller]
    pub(crate) fn fail(&self, failure: TaskFailure<E>, reason: &'static str) {
        lock_std(&self.outcome).failures.push(failure);
        // ORDERING(failing): Release, the failure for the scope.
        self.is_failing.store(true, Ordering::Release);
        self.members.cancel(reason);
        self.members.wake();
    }

    /// A child failed.
    fn child_failed(&self, failure: TaskFailure<E>) {
        match self.policy {
            Policy::FailFast => self.fail(failure, "another task of its group failed"),
            Policy::CollectAll | Policy::FirstSuccess => {
                lock_std(&self.outcome).failures.push(failure);
            }
        }
    }

    /// The body failed.
    pub(crate) fn body_failed(&self) {
        if self.policy == Policy::FailFast {
            self.members.cancel("the body of its group failed");
        }
    }

    /// A child gave its value.
    fn child_succeeded(&self) {
        if self.policy == Policy::FirstSuccess {
            lock_std(&self.outcome).has_succeeded = true;
            self.members
                .cancel("another task of its group succeeded first");
        }
    }

    /// The failures, for the end of the scope: none if they do not count.
    pub(crate) fn take_failures(&self) -> Vec<TaskFailure<E>> {
        let mut outcome = lock_std(&self.outcome);
        let failures = std::mem::take(&mut outcome.failures);
        if outcome.has_succeeded {
            Vec::new()
        } else {
            failures
        }
    }
}

/// Counts a child, and takes its error.
struct Child<E> {
    core: Arc<Core<E>>,
}

impl<E, O: ChildOutput<E>> Hook<O> for Child<E> {
    type Value = O::Value;

    fn outcome(&mut self, result: Result<O, JoinError>) -> Result<O::Value, JoinError> {
        let kind = match result {
            Ok(output) => match output.into_result() {
                Ok(value) => {
                    self.core.child_succeeded();
                    return Ok(value);
                }
                Err(error) => FailureKind::Error(error),
            },
            // A child that was cancelled on its own is no error (rule G3).
            Err(error) if !error.is_panic() => return Err(error),
            Err(error) => FailureKind::Panic(error.into_panic()),
        };
        let info = task::current().expect("the outcome is told where the task runs");
        self.core.child_failed(TaskFailure {
            kind,
            name: info.name.clone(),
            id: Some(info.id),
            spawned_at: info.spawned_at,
        });
        Err(JoinError::failed(info))
    }

    fn finished(self) {
        self.core.members.leave();
    }
}

impl TaskGroup<BoxError> {
    /// Runs `body` with a group, until it and all children are through.
    ///
    /// `body` takes `async |group| { … }` or `|group| async move { … }`; it may borrow what is around it, its
    /// children may not. A failing child cancels the others and drops the body where it is suspended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the scope drops the body and cancels the children; the scope around awaits them.
    ///
    /// # Errors
    ///
    /// [`GroupError`](crate::GroupError) with every failure in order of completion, that of the body last.
    ///
    /// # Panics
    ///
    /// A panic of the body is raised again after all children have ended; one of a child is a failure.
    #[track_caller]
    pub fn scope<R, F, B>(body: F) -> GroupScope<B>
    where
        F: FnOnce(Self) -> B,
        B: Future<Output = Result<R, BoxError>>,
    {
        Self::builder().scope(body)
    }

    /// A builder for a group with errors of any type; [`builder`](Self::builder) is for typed ones.
    pub fn options() -> GroupBuilder<BoxError> {
        Self::builder()
    }
}

impl<E> TaskGroup<E> {
    /// A builder: name, limit, deadline, policy.
    pub fn builder() -> GroupBuilder<E> {
        GroupBuilder::new()
    }

    /// How many children are not through yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.members.len()
    }

    /// Whether no child is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether new children are turned away: the group failed, was cancelled, or is over.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.core.members.is_closing()
    }

    /// Cancels all children and turns new ones away. The body goes on; that its children were cancelled is no
    /// error.
    #[track_caller]
    pub fn cancel(&self) {
        self.core.members.cancel("its group was cancelled");
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Spawns a child.
    ///
    /// On a group that is closing the child is cancelled before its first poll.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        self.add(future, None, Location::caller())
    }

    /// Spawns a child with a name.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_named<F>(
        &self,
        name: impl Into<Arc<str>>,
        future: F,
    ) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        self.add(future, Some(&name.into()), Location::caller())
    }

    /// Spawns a child whose error is of the group's type, so that `?` in an async block knows it.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_try<F, T>(&self, future: F) -> GroupHandle<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.add(future, None, Location::caller())
    }

    /// Spawns a child that cannot fail, whatever its output.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_ok<F>(&self, future: F) -> GroupHandle<F::Output>
    where
        F: Future + Send + 'static,
    {
        self.add(
            async move { Infallible(future.await) },
            None,
            Location::caller(),
        )
    }

    /// Runs a blocking function as a child, on a thread of its own. Once it runs nothing can stop it, and the
    /// group waits for it.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, O>(&self, function: F) -> GroupHandle<O::Value>
    where
        F: FnOnce() -> O + Send + 'static,
        O: ChildOutput<E>,
    {
        let location = Location::caller();
        self.register(|child, cancelled| {
            spawn_work(function, child, Work::Blocking, None, location, cancelled)
        })
    }

    #[track_caller]
    fn add<F>(
        &self,
        future: F,
        name: Option<&Arc<str>>,
        location: &'static Location<'static>,
    ) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        match &self.core.limit {
            None => self.register(|child, cancelled| {
                spawn_hooked(future, child, name, location, cancelled)
            }),
            Some(limit) => {
                let limit = limit.clone();
                let in_turn = async move {
                    let _permit = limit.acquire().await;
                    future.await
                };
                self.register(|child, cancelled| {
                    spawn_hooked(in_turn, child, name, location, cancelled)
                })
            }
        }
    }

    #[track_caller]
    fn register<T>(
        &self,
        spawn: impl FnOnce(Child<E>, Option<&'static str>) -> JoinHandle<T>,
    ) -> GroupHandle<T> {
        let core = self.core.clone();
        let spawn = |cancelled| spawn(Child { core }, cancelled);
        GroupHandle {
            handle: self.core.members.enter(spawn),
        }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("name", &self.core.name)
            .field("len", &self.len())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

/// A handle to a child of a group: its value, during the scope by awaiting it, afterwards by
/// [`result`](Self::result). Dropping it changes nothing.
pub struct GroupHandle<T> {
    handle: JoinHandle<T>,
}

impl<T> GroupHandle<T> {
    /// The value of a child, after its scope returned `Ok`.
    ///
    /// # Panics
    ///
    /// At the caller's line, if the child did not succeed or is not through.
    #[track_caller]
    #[must_use]
    pub fn result(self) -> T {
        match self.try_result() {
            Ok(value) => value,
            Err(error) => panic!("GroupHandle::result of a child without a value: {error}"),
        }
    }

    /// The value of a child, after its scope returned.
    ///
    /// # Errors
    ///
    /// If the child was cancelled, or failed: then its error is in that of the group.
    ///
    /// # Panics
    ///
    /// At the caller's line, if the child is not through: await it instead.
    #[track_caller]
    pub fn try_result(mut self) -> Result<T, JoinError> {
        match self.handle.try_join() {
            Some(result) => result,
            None => panic!(
                "the result of task #{} was asked for before it was through: await its handle, or ask after \
                 the scope of its group",
                self.handle.id()
            ),
        }
    }

    /// Asks the child to end; see [`JoinHandle::cancel`]. The group goes on.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Whether the child is through, its cleanup included.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The identity of the child.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// The name of the child, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.handle.name()
    }
}

impl<T> Future for GroupHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle).poll(cx)
    }
}

impl<T> fmt::Debug for GroupHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupHandle").field(&self.handle).finish()
    }
}

/// Whether an error of the body only passes on that a child failed, whose failure is there already (rule G12).
pub(crate) fn is_echo<E: 'static>(failures: &[TaskFailure<E>], error: &E) -> bool {
    let any: &dyn Any = error;
    let join_error = any
        .downcast_ref::<JoinError>()
        .or_else(|| any.downcast_ref::<BoxError>()?.downcast_ref::<JoinError>());
    join_error.is_some_and(|error| {
        error.is_failed()
            && failures
                .iter()
                .any(|failure| failure.id == Some(error.task().id))
    })
}
