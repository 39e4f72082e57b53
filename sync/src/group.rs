//! `TaskGroup`: tasks that end together.
//!
//! A group is a scope: its body spawns children, and the scope does not return before every child is through,
//! cleanup included. A child that fails cancels the others and the body; every error is kept. If the scope
//! itself is dropped half-way, by cancellation or otherwise, it cancels its children, and the scope around it
//! awaits them: no child is ever orphaned.
//!
//! Here are the handle to the group and the ways into it. The scope is in [`group_scope`](crate::group_scope),
//! policies and failures in [`group_core`](crate::group_core), the children in [`group_child`](crate::group_child),
//! and who of them is not through yet in [`group_members`](crate::group_members).

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use rt_tasks_runtime::{Work, spawn_hooked, spawn_work};

use crate::group_child::{Child, ChildOutput, GroupHandle, Infallible};
use crate::group_core::Core;
use crate::group_scope::{GroupBuilder, GroupScope};
use crate::group_start::{Ready, Start, TryStart, ready};
use crate::group_turn::{Place, SpawnInTurn, Turn, blocking_part, in_turn};
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
        T: Send + 'static,
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
        F::Output: Send + 'static,
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
        let at = Location::caller();
        match &self.core.limit {
            None => GroupHandle {
                handle: spawn_work(
                    function,
                    self.child(()),
                    Work::Blocking,
                    None,
                    at,
                    |child| self.core.members.enter_task(child),
                ),
            },
            // It waits for its turn without holding a thread.
            Some(limit) => {
                let function = || function().into_result();
                self.spawn_limited(blocking_part(function), limit, None, at)
            }
        }
    }

    /// Spawns a child once the [`limit`](GroupBuilder::limit) of the group leaves room for it, so that a body that
    /// produces work is slowed down to the pace of its children. Without a limit it is [`spawn`](Self::spawn).
    ///
    /// `spawn` never waits: there it is the child that waits for its turn, and a body that spawns without end fills
    /// the memory with children that wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returned it drops the child, which was not spawned, and gives its place in the line up.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # runtime::block_on(async {
    /// rt::TaskGroup::options().limit(2).scope(async |group| {
    ///     for _ in 0..100 {
    ///         // At most two of them are on their way.
    ///         group.spawn_in_turn(runtime::yield_now()).await;
    ///     }
    ///     Ok(())
    /// })
    /// .await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_in_turn<F>(&self, future: F) -> SpawnInTurn<E, F>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        SpawnInTurn::new(self.clone(), future)
    }

    /// Spawns a child and waits until it says that it is ready: for a server that others need before they can go
    /// on.
    ///
    /// The child is told by a [`Ready`] how to say so, and with what value. From then on it is a child like any
    /// other. It is spawned at once, not when the future is first polled.
    ///
    /// If the child fails before, the group ends as by any failure, and whoever of the group awaits this is
    /// cancelled with it.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped before the child was ready cancels the child, and the scope around awaits its end.
    ///
    /// # Panics
    ///
    /// Outside a runtime. When awaited, if the child ended without being ready and the group goes on: it returned
    /// without a word, or its failure does not end the group (see [`Policy`](crate::Policy) and
    /// [`on_error`](GroupBuilder::on_error)). Where that may happen there is [`try_start`](Self::try_start).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # runtime::block_on(async {
    /// rt::TaskGroup::scope(async |group| {
    ///     let port = group
    ///         .start(|ready| async move {
    ///             runtime::yield_now().await; // binds a socket
    ///             ready.set(8080);
    ///             std::future::pending::<()>().await // serves
    ///         })
    ///         .await;
    ///     assert_eq!(port, 8080);
    ///     group.cancel();
    ///     Ok(())
    /// })
    /// .await
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn start<V, F>(&self, child: impl FnOnce(Ready<V>) -> F) -> Start<V>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        V: Send + 'static,
    {
        self.start_as(None, child)
    }

    /// Like [`start`](Self::start), for a child with a name.
    ///
    /// # Panics
    ///
    /// As for `start`.
    #[track_caller]
    pub fn start_named<V, F>(
        &self,
        name: impl Into<Arc<str>>,
        child: impl FnOnce(Ready<V>) -> F,
    ) -> Start<V>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        V: Send + 'static,
    {
        self.start_as(Some(&name.into()), child)
    }

    #[track_caller]
    fn start_as<V, F>(&self, name: Option<&Arc<str>>, child: impl FnOnce(Ready<V>) -> F) -> Start<V>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        V: Send + 'static,
    {
        let group = self.clone();
        Start::new(self.try_start_as(name, child), move || group.is_closing())
    }

    /// Like [`start`](Self::start), and tells when the child has ended without being ready: for groups that go on
    /// after a failure.
    ///
    /// # Cancel safety
    ///
    /// As for `start`.
    ///
    /// # Errors
    ///
    /// [`StartError`](crate::StartError) once the child has ended without being ready. In a group that fails fast
    /// the body seldom sees one, because the child's failure ends it.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # use rt::{Policy, Ready, TaskGroup};
    /// # runtime::block_on(async {
    /// let group = TaskGroup::options().policy(Policy::CollectAll);
    /// let outcome = group
    ///     .scope(async |group| {
    ///         let never = |_ready: Ready<u16>| async { Err::<(), _>("the port is taken") };
    ///         assert!(group.try_start(never).await.is_err());
    ///         Ok(()) // goes on without that server
    ///     })
    ///     .await;
    /// assert_eq!(outcome.unwrap_err().len(), 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn try_start<V, F>(&self, child: impl FnOnce(Ready<V>) -> F) -> TryStart<V>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        V: Send + 'static,
    {
        self.try_start_as(None, child)
    }

    #[track_caller]
    fn try_start_as<V, F>(
        &self,
        name: Option<&Arc<str>>,
        child: impl FnOnce(Ready<V>) -> F,
    ) -> TryStart<V>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        V: Send + 'static,
    {
        let (ready, answer) = ready();
        let child = self.add(child(ready), name, Location::caller());
        TryStart::new(answer, child)
    }

    /// Spawns a child that waits for its turn, if there are turns.
    #[track_caller]
    fn add<F>(
        &self,
        future: F,
        name: Option<&Arc<str>>,
        at: &'static Location<'static>,
    ) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        match &self.core.limit {
            None => self.spawn_at_once(future, (), name, at),
            Some(limit) => self.spawn_limited(future, limit, name, at),
        }
    }

    /// Spawns a child that waits for its turn.
    #[track_caller]
    fn spawn_limited<F>(
        &self,
        future: F,
        limit: &Arc<Semaphore>,
        name: Option<&Arc<str>>,
        at: &'static Location<'static>,
    ) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
    {
        let (place, turn) = (Place::take(limit), Turn::default());
        let members = self.core.members.clone();
        let child = in_turn(place, turn.clone(), members, future);
        self.spawn_at_once(child, turn, name, at)
    }

    /// Spawns a child that does not wait; it holds its turn, if it has one, until it is through.
    #[track_caller]
    pub(crate) fn spawn_at_once<F, T>(
        &self,
        future: F,
        turn: T,
        name: Option<&Arc<str>>,
        at: &'static Location<'static>,
    ) -> GroupHandle<<F::Output as ChildOutput<E>>::Value>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E>,
        T: Send + 'static,
    {
        let enter = |child: &_| self.core.members.enter_task(child);
        GroupHandle {
            handle: spawn_hooked(future, self.child(turn), name, at, enter),
        }
    }

    /// The hook of a child.
    fn child<T>(&self, turn: T) -> Child<E, T> {
        let core = self.core.clone();
        Child { core, turn }
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
