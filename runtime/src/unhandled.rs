//! What would otherwise be lost: errors and panics that have no caller to go to.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use crate::task::{Panic, TaskInfo};

/// Something that went wrong where nobody waits for a result; given to `Builder::on_unhandled`, or printed to
/// the standard error output.
///
/// Its `Display` says what happened, where, and what to do.
#[derive(Debug)]
pub struct Unhandled {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    CleanupError(Box<dyn Error + Send + Sync>),
    CleanupPanic(Panic),
    CleanupAbandoned {
        n_left: usize,
        of: &'static Location<'static>,
    },
    CallbackPanic(Panic, Box<TaskInfo>),
    OnCancelPanic(Panic, &'static Location<'static>),
    LongShield(&'static Location<'static>),
    StrayPanic(Panic),
    LostFailure {
        what: String,
        error: Box<dyn Error + Send + Sync>,
    },
    NoThread {
        error: std::io::Error,
        n_running: usize,
    },
    Poller(std::io::Error),
}

impl Unhandled {
    fn new(kind: Kind) -> Self {
        Self { kind }
    }

    pub(crate) fn cleanup_error(error: Box<dyn Error + Send + Sync>) -> Self {
        Self::new(Kind::CleanupError(error))
    }

    pub(crate) fn cleanup_panic(panic: Panic) -> Self {
        Self::new(Kind::CleanupPanic(panic))
    }

    pub(crate) fn cleanup_abandoned(n_left: usize, of: &'static Location<'static>) -> Self {
        Self::new(Kind::CleanupAbandoned { n_left, of })
    }

    pub(crate) fn callback(panic: Panic, task: TaskInfo) -> Self {
        Self::new(Kind::CallbackPanic(panic, Box::new(task)))
    }

    pub(crate) fn on_cancel(panic: Panic, at: &'static Location<'static>) -> Self {
        Self::new(Kind::OnCancelPanic(panic, at))
    }

    pub(crate) fn long_shield(of: &'static Location<'static>) -> Self {
        Self::new(Kind::LongShield(of))
    }

    pub(crate) fn stray(panic: Panic) -> Self {
        Self::new(Kind::StrayPanic(panic))
    }

    pub(crate) fn no_thread(error: std::io::Error, n_running: usize) -> Self {
        Self::new(Kind::NoThread { error, n_running })
    }

    pub(crate) fn poller(error: std::io::Error) -> Self {
        Self::new(Kind::Poller(error))
    }

    /// The panic, if it was one.
    #[must_use]
    pub fn panic(&self) -> Option<&Panic> {
        match &self.kind {
            Kind::CleanupPanic(panic)
            | Kind::CallbackPanic(panic, _)
            | Kind::OnCancelPanic(panic, _)
            | Kind::StrayPanic(panic) => Some(panic),
            Kind::LostFailure { error, .. } => error.downcast_ref(),
            _ => None,
        }
    }

    /// Whether it came from cleanup: its error, its panic, or its being given up past the grace.
    #[must_use]
    pub fn is_cleanup(&self) -> bool {
        matches!(
            self.kind,
            Kind::CleanupError(_) | Kind::CleanupPanic(_) | Kind::CleanupAbandoned { .. }
        )
    }

    pub(crate) fn print(&self) {
        crate::trace::unhandled(self);
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::CleanupError(error) => write!(f, "cleanup failed: {error}"),
            Kind::CleanupPanic(panic) => write!(f, "cleanup {panic}"),
            Kind::CleanupAbandoned { n_left, of } => write!(
                f,
                "gave up {n_left} cleanup future(s) of the scope at {of}: not through within the grace of \
                 the runtime; give it more with Builder::grace, or a timeout of their own"
            ),
            Kind::CallbackPanic(panic, task) => {
                write!(
                    f,
                    "a callback of task {} spawned at {} {panic}",
                    task.label(),
                    task.spawned_at
                )
            }
            Kind::OnCancelPanic(panic, at) => {
                write!(
                    f,
                    "the function that rt::on_cancel registered at {at} {panic}"
                )
            }
            Kind::LongShield(of) => write!(
                f,
                "a shield has held the cancellation of the scope at {of} back for over a second; bound it with \
                 rt::shield_within"
            ),
            Kind::StrayPanic(panic) => write!(f, "a waker, destructor or callback {panic}"),
            Kind::LostFailure { what, error } => write!(
                f,
                "{what} failed when nobody was left who would return its error: {error}"
            ),
            Kind::NoThread { error, n_running } => write!(
                f,
                "cannot start a thread, going on with {n_running}: {error}; look at the limits on threads \
                 and memory (ulimit -u, cgroup pids.max)"
            ),
            Kind::Poller(error) => write!(f, "waiting for I/O failed: {error}"),
        }
    }
}

impl Error for Unhandled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::CleanupError(error) | Kind::LostFailure { error, .. } => Some(&**error),
            Kind::NoThread { error, .. } | Kind::Poller(error) => Some(error),
            _ => None,
        }
    }
}

/// Reports that `what` failed where nobody is left who would return the error: plumbing for the structured forms.
#[doc(hidden)]
pub fn report_lost(what: String, error: Box<dyn Error + Send + Sync>) {
    crate::cancel::report(Unhandled::new(Kind::LostFailure { what, error }));
}
