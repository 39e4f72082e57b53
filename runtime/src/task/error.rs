//! How a task ended without a value: cancelled, panicked, or failed inside its group.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Mutex;

use super::TaskInfo;
use crate::cancel::Cancelled;

/// The payload of a panic, caught at a task's boundary.
///
/// Unlike `Box<dyn Any + Send>` it is `Sync`, so that `?` works on errors that hold it.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let error = rt::block_on(async { rt::spawn(async { panic!("no luck") }).await }).unwrap_err();
/// assert_eq!(error.into_panic().message(), "no luck");
/// ```
pub struct Panic {
    message: Cow<'static, str>,
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    #[doc(hidden)]
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
            Cow::Borrowed(*text)
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Cow::Owned(text.clone())
        } else {
            Cow::Borrowed("a panic whose payload is no text")
        };
        Self {
            message,
            payload: Mutex::new(payload),
        }
    }

    /// The text the panic was raised with.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, as `std::panic::catch_unwind` gives it.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        match self.payload.into_inner() {
            Ok(payload) => payload,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Raises the panic again, on this thread, without running the panic hook a second time.
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.into_inner())
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message).finish()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl std::error::Error for Panic {}

/// Why awaiting a task gave no value. One pointer wide.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let error = rt::block_on(async {
///     let sleeper = rt::spawn(std::future::pending::<()>());
///     sleeper.cancel_with("no longer needed");
///     sleeper.await.unwrap_err()
/// });
/// assert!(error.is_cancelled());
/// assert_eq!(error.reason(), Some("no longer needed"));
/// ```
pub struct JoinError(Box<Repr>);

struct Repr {
    kind: Kind,
    task: TaskInfo,
}

enum Kind {
    Cancelled(Cancelled),
    Panic(Panic),
    Failed,
    AwaitedItself(&'static Location<'static>),
}

impl JoinError {
    fn new(kind: Kind, task: TaskInfo) -> Self {
        Self(Box::new(Repr { kind, task }))
    }

    pub(crate) fn cancelled(cancelled: Cancelled, task: TaskInfo) -> Self {
        Self::new(Kind::Cancelled(cancelled), task)
    }

    pub(crate) fn panic(panic: Panic, task: TaskInfo) -> Self {
        Self::new(Kind::Panic(panic), task)
    }

    /// The text of the panic, if it was one.
    pub(crate) fn panic_message(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Panic(panic) => Some(panic.message()),
            _ => None,
        }
    }

    pub(crate) fn awaited_itself(at: &'static Location<'static>, task: TaskInfo) -> Self {
        Self::new(Kind::AwaitedItself(at), task)
    }

    /// The task failed, and its error went elsewhere: to its group.
    #[doc(hidden)]
    #[must_use]
    pub fn failed(task: TaskInfo) -> Self {
        Self::new(Kind::Failed, task)
    }

    /// Whether the task was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.kind, Kind::Cancelled(_))
    }

    /// Whether the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.0.kind, Kind::Panic(_))
    }

    /// Whether the task returned an error that its group has.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.0.kind, Kind::Failed)
    }

    /// The reason given to `cancel_with`, if the task was cancelled with one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Cancelled(cancelled) => cancelled.reason(),
            _ => None,
        }
    }

    /// The panic.
    ///
    /// # Panics
    ///
    /// If the task did not panic: ask [`is_panic`](Self::is_panic) first.
    #[must_use]
    #[track_caller]
    pub fn into_panic(self) -> Panic {
        match self.0.kind {
            Kind::Panic(panic) => panic,
            _ => panic!("JoinError::into_panic on a task that did not panic: {self}"),
        }
    }

    /// Takes the error apart: the cancellation, the panic, or neither.
    #[doc(hidden)]
    pub fn into_parts(self) -> (Option<Cancelled>, Option<Panic>, TaskInfo) {
        let Repr { kind, task } = *self.0;
        match kind {
            Kind::Cancelled(cancelled) => (Some(cancelled), None, task),
            Kind::Panic(panic) => (None, Some(panic), task),
            Kind::Failed | Kind::AwaitedItself(_) => (None, None, task),
        }
    }

    /// The task that ended so.
    #[must_use]
    pub fn task(&self) -> &TaskInfo {
        &self.0.task
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0.kind {
            Kind::Cancelled(_) => "Cancelled",
            Kind::Panic(_) => "Panic",
            Kind::Failed => "Failed",
            Kind::AwaitedItself(_) => "AwaitedItself",
        };
        f.debug_struct("JoinError")
            .field("kind", &name)
            .field("message", &format_args!("{self}"))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "task {} spawned at {} ",
            self.0.task.label(),
            self.0.task.spawned_at
        )?;
        match &self.0.kind {
            Kind::Cancelled(cancelled) => write!(f, "was {cancelled}"),
            Kind::Panic(panic) => write!(f, "{panic}"),
            Kind::Failed => f.write_str("failed; its error is in the error of its group"),
            Kind::AwaitedItself(at) => {
                write!(
                    f,
                    "awaited its own handle at {at}, which could never resolve"
                )
            }
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            Kind::Cancelled(cancelled) => Some(cancelled),
            Kind::Panic(panic) => Some(panic),
            Kind::Failed | Kind::AwaitedItself(_) => None,
        }
    }
}
