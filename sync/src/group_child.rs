//! A child of a group: what it may return, how its end is told to the group, and the handle to it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rt_tasks_runtime::task::{self, Hook};
use rt_tasks_runtime::{JoinError, JoinHandle, Surroundings, TaskId};

use crate::group_core::Core;
use crate::group_error::{FailureKind, TaskFailure};

/// What a child of a group may return.
///
/// `Result<T, F>` with an error that converts into the group's, `()`, or `!` (it loops for ever). For any other
/// output use [`TaskGroup::spawn_ok`](crate::TaskGroup::spawn_ok).
#[diagnostic::on_unimplemented(
    message = "a child of this group returns `{Self}`, which is no `Result` with an error that converts into `{E}`",
    label = "this child's output",
    note = "return a `Result`, or use `spawn_ok` for a child that cannot fail"
)]
pub trait ChildOutput<E> {
    /// What the child's handle gives.
    type Value: Send + 'static;

    /// The value, or the error for the group.
    ///
    /// # Errors
    ///
    /// The child's own.
    fn into_result(self) -> Result<Self::Value, E>;
}

impl<E, T: Send + 'static, F: Into<E>> ChildOutput<E> for Result<T, F> {
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
pub(crate) struct Infallible<T>(pub(crate) T);

impl<E, T: Send + 'static> ChildOutput<E> for Infallible<T> {
    type Value = T;

    fn into_result(self) -> Result<T, E> {
        Ok(self.0)
    }
}

/// A handle to a child of a group: its value, during the scope by awaiting it, afterwards by
/// [`result`](Self::result). Dropping it changes nothing.
pub struct GroupHandle<T> {
    pub(crate) handle: JoinHandle<T>,
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

/// Counts a child, and takes its error. `T` is what the child holds until it is counted off: its turn, in a group
/// with a limit.
pub(crate) struct Child<E, T> {
    pub(crate) core: Arc<Core<E>>,
    pub(crate) turn: T,
}

impl<E: 'static, T, O: ChildOutput<E>> Hook<O> for Child<E, T> {
    type Value = O::Value;

    fn outcome(&self, result: Result<O, JoinError>) -> Result<O::Value, JoinError> {
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
        let info = task::current()
            .expect("the outcome is told where the task runs")
            .info();
        self.core.child_failed(TaskFailure {
            kind,
            name: info.name.clone(),
            id: Some(info.id),
            spawned_at: info.spawned_at,
        });
        Err(JoinError::failed(info))
    }

    fn surroundings(&self) -> Surroundings {
        self.core.surroundings.get().cloned().unwrap_or_default()
    }

    fn finished(self) {
        self.core.members.leave();
        drop(self.turn);
    }
}
