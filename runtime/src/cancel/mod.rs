//! Cancellation: a request that names a scope, takes effect where the scope is suspended, and is over when
//! the cleanup is.
//!
//! Cancelling drops a future at its current `.await`. That composes with every future there is and cannot be
//! swallowed by accident: the region is gone. What Rust lacks for it is cleanup that may await. So every
//! *scope* (a task's body, a `timeout`, the body of `block_on`) owns a set of cleanup futures;
//! [`defer`] and [`finally`] add to it, also from the destructors that run while the body is dropped; and the
//! scope polls the set and ends only when it is empty, or when the runtime's grace has passed.

mod cleanup;
mod scope;
mod shield;

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

pub(crate) use cleanup::add_while_unwinding;
#[doc(hidden)]
pub use cleanup::cleanup_now;
pub use cleanup::{CleanupOutput, Finally, defer, finally};
pub(crate) use scope::{CleanupFuture, Scope, report};
#[doc(hidden)]
pub use scope::{ScopeEnd, ScopedBody};
pub use shield::{Shield, shield};

/// The body of a scope was cancelled: why, and by which line.
///
/// Nobody but the runtime can make one.
///
/// ```compile_fail
/// let forged = rt_tasks_runtime::Cancelled { reason: None };
/// ```
#[derive(Clone, Debug)]
pub struct Cancelled {
    reason: Option<Cow<'static, str>>,
    at: &'static Location<'static>,
    by: Option<Box<str>>,
}

impl Cancelled {
    pub(crate) fn new(reason: Option<Cow<'static, str>>, at: &'static Location<'static>) -> Self {
        let by = crate::task::current().map(|task| task.label().to_string().into_boxed_str());
        Self { reason, at, by }
    }

    /// The runtime went away under a task that nobody cancelled.
    pub(crate) fn by_shutdown(at: &'static Location<'static>) -> Self {
        Self {
            reason: Some(Cow::Borrowed("the runtime was shut down")),
            at,
            by: None,
        }
    }

    /// The reason that was given with the request.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The line that asked for the cancellation.
    #[must_use]
    pub fn at(&self) -> &'static Location<'static> {
        self.at
    }

    /// The task that asked for the cancellation: its name in quotes, or its number. None if it was no task.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelled at {}", self.at)?;
        if let Some(by) = &self.by {
            write!(f, " by task {by}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Cancelled {}
