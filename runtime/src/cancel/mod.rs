//! Cancellation: a request that names a scope, takes effect where the scope is suspended, and is over when
//! the cleanup is.
//!
//! Cancelling drops a future at its current `.await`. That composes with every future there is and cannot be
//! swallowed by accident: the region is gone. What Rust lacks for it is cleanup that may await. So every
//! *scope* (a task's body, a `timeout`, the body of `block_on`) owns a set of cleanup futures;
//! [`defer`], [`finally`] and [`guard`] add to it, also from the destructors that run while the body is dropped; and
//! the scope polls the set and ends only when it is empty, or when the runtime's grace has passed.
//!
//! The parts, in the order in which they build on each other: `signal`, who wants to hear of a request; `shields`,
//! what holds one back; `control`, how one comes from another thread; `scope`, what a body leaves behind; `body`,
//! the future around both; `chain`, the scopes around the code that runs. The rest is what users see.

mod body;
mod cancel_scope;
mod catch;
mod chain;
mod cleanup;
pub(crate) mod control;
mod guard;
mod notice;
mod scope;
mod shield;
mod shields;
mod signal;

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

#[doc(hidden)]
pub use body::{BodyEnd, ScopeEnd, ScopedBody, Strike};
pub use cancel_scope::{CancelScope, Expired, RunScope};
pub use catch::{CatchCancel, catch_cancel};
#[doc(hidden)]
pub use chain::Surroundings;
pub(crate) use chain::deadline;
#[doc(hidden)]
pub use cleanup::{CleanupFailure, cleanup_now};
pub(crate) use cleanup::{CleanupFuture, add_while_unwinding, report};
pub use cleanup::{CleanupOutput, Finally, defer, finally};
pub use guard::{AsyncGuard, Close, guard};
pub use notice::{Checkpoint, OnCancel, UntilCancelled, cancelled, checkpoint, on_cancel};
pub(crate) use scope::Scope;
pub use shield::{Shield, shield, shield_within};
pub(crate) use signal::Signal;

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
    by: Option<Arc<str>>,
}

impl Cancelled {
    pub(crate) fn new(reason: Option<Cow<'static, str>>, at: &'static Location<'static>) -> Self {
        let by = crate::context::with_task(|task| {
            task.map(|task| Arc::from(task.info().label().to_string()))
        });
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

    /// The time of the scope made at `at` was up.
    #[doc(hidden)]
    #[must_use]
    pub fn late(at: &'static Location<'static>) -> Self {
        Self {
            reason: Some(Cow::Borrowed("the time was up")),
            at,
            by: None,
        }
    }

    /// The group whose scope was made at `at` ends its body.
    #[doc(hidden)]
    #[must_use]
    pub fn by_group(reason: &'static str, at: &'static Location<'static>) -> Self {
        Self {
            reason: Some(Cow::Borrowed(reason)),
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
