//! Starting a child and waiting until it is ready: `TaskGroup::start`.
//!
//! Trio's `nursery.start`. Until it is ready the child belongs to whoever starts it: giving the start up cancels
//! it. Once ready it is a child like any other.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::{CancelHandle, JoinError, TaskId, cleanup_now};

use crate::group_child::GroupHandle;
use crate::oneshot;

/// A child's way to say that it is ready, with a value for whoever started it.
///
/// Given to the child by [`TaskGroup::start`](crate::TaskGroup::start) and
/// [`try_start`](crate::TaskGroup::try_start).
pub struct Ready<V> {
    sender: oneshot::Sender<V>,
}

/// What the child gets, and what its starter waits for.
pub(crate) fn ready<V>() -> (Ready<V>, oneshot::Receiver<V>) {
    let (sender, receiver) = oneshot::channel();
    (Ready { sender }, receiver)
}

impl<V> Ready<V> {
    /// Says that the child is ready: `start` returns `value`.
    ///
    /// If the start was given up meanwhile, the value is dropped; the child is cancelled already.
    #[doc(alias = "started")]
    pub fn set(self, value: V) {
        drop(self.sender.send(value));
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// A child ended before it was ready.
///
/// `?` passes it on in the body of a group. If the child failed, its own error is in the error of the group, and
/// this one is not counted beside it.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// It failed, panicked or was cancelled.
    Ended(JoinError),
    /// It returned without [`Ready::set`].
    NotReady {
        /// The identity of the child.
        id: TaskId,
        /// Its name, if it has one.
        name: Option<Arc<str>>,
    },
}

impl StartError {
    /// How the child ended, unless it just returned.
    #[must_use]
    pub fn join_error(&self) -> Option<&JoinError> {
        match self {
            Self::Ended(error) => Some(error),
            Self::NotReady { .. } => None,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, name) = match self {
            Self::Ended(error) => (error.task().id, &error.task().name),
            Self::NotReady { id, name } => (*id, name),
        };
        match name {
            Some(name) => write!(f, "task `{name}` ")?,
            None => write!(f, "task #{id} ")?,
        }
        match self {
            Self::Ended(error) if error.is_cancelled() => {
                f.write_str("was cancelled before it was ready")
            }
            Self::Ended(_) => f.write_str("failed before it was ready"),
            Self::NotReady { .. } => f.write_str("returned without saying that it was ready"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.join_error().map(|error| error as _)
    }
}

/// The end of a child, whatever its value.
type End = Pin<Box<dyn Future<Output = Result<(), JoinError>> + Send>>;

/// The future of [`TaskGroup::try_start`](crate::TaskGroup::try_start).
#[must_use = "futures do nothing unless awaited"]
pub struct TryStart<V> {
    /// Until the child said that it is ready, or that it never will be.
    ready: Option<oneshot::Receiver<V>>,
    /// Until the outcome is known.
    end: Option<End>,
    cancel: CancelHandle,
    name: Option<Arc<str>>,
}

impl<V> TryStart<V> {
    pub(crate) fn new<T: Send + 'static>(
        ready: oneshot::Receiver<V>,
        child: GroupHandle<T>,
    ) -> Self {
        Self {
            ready: Some(ready),
            cancel: child.handle.cancel_handle(),
            name: child.name(),
            end: Some(Box::pin(async move { child.await.map(drop) })),
        }
    }

    /// The identity of the child.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.cancel.id()
    }
}

impl<V> Future for TryStart<V> {
    type Output = Result<V, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(ready) = &mut self.ready {
            let answer = ready!(Pin::new(ready).poll(cx));
            self.ready = None;
            if let Ok(value) = answer {
                self.end = None;
                return Poll::Ready(Ok(value));
            }
        }
        let end = self.end.as_mut();
        let end = end.expect("rt::TaskGroup's start was polled after it was over");
        let ended = ready!(end.as_mut().poll(cx));
        self.end = None;
        Poll::Ready(Err(match ended {
            Err(error) => StartError::Ended(error),
            Ok(()) => StartError::NotReady {
                id: self.cancel.id(),
                name: self.name.take(),
            },
        }))
    }
}

impl<V> Drop for TryStart<V> {
    #[track_caller]
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.cancel.cancel_with("its start was given up");
            cleanup_now(async move { drop(end.await) }, Some(&self.cancel));
        }
    }
}

impl<V> fmt::Debug for TryStart<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryStart")
            .field("id", &self.id())
            .field("name", &self.name)
            .field("is_over", &self.end.is_none())
            .finish_non_exhaustive()
    }
}

/// The future of [`TaskGroup::start`](crate::TaskGroup::start).
#[must_use = "futures do nothing unless awaited"]
pub struct Start<V> {
    outcome: TryStart<V>,
    /// Whether the group is ending, and with it whoever of it awaits this.
    is_closing: Box<dyn Fn() -> bool + Send + Sync>,
    /// The child ended in a group that is ending.
    is_lost: bool,
    at: &'static Location<'static>,
}

impl<V> Start<V> {
    #[track_caller]
    pub(crate) fn new(
        outcome: TryStart<V>,
        is_closing: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            outcome,
            is_closing: Box::new(is_closing),
            is_lost: false,
            at: Location::caller(),
        }
    }

    /// The identity of the child.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.outcome.id()
    }
}

impl<V> Future for Start<V> {
    type Output = V;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<V> {
        if self.is_lost {
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.outcome).poll(cx)) {
            Ok(value) => Poll::Ready(value),
            Err(_) if (self.is_closing)() => {
                // The body or the child that waits here is being cancelled, and the group tells what happened.
                self.is_lost = true;
                Poll::Pending
            }
            Err(error) => panic!(
                "{error}: started at {}; where that may happen use try_start",
                self.at
            ),
        }
    }
}

impl<V> fmt::Debug for Start<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
