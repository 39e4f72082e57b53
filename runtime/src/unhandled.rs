//! What would otherwise be lost: errors and panics that have no caller to go to.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use crate::debug::{Ignores, Relock, SlowPoll};
use crate::scheduler::Deadlock;
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
    SlowPoll(Box<SlowPoll>),
    Relock(Box<Relock>),
    LostResult {
        task: Box<TaskInfo>,
        how: String,
    },
    LeftBehind(Box<TaskInfo>),
    MoreLeftBehind(usize),
    IgnoresCancel {
        task: Box<TaskInfo>,
        how: Ignores,
    },
    CleanupOutside,
    LeftOpen(usize),
    Deadlock(Box<Deadlock>),
    NotInspected(std::io::Error),
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

    pub(crate) fn not_inspected(error: std::io::Error) -> Self {
        Self::new(Kind::NotInspected(error))
    }

    pub(crate) fn slow_poll(slow: SlowPoll) -> Self {
        Self::new(Kind::SlowPoll(Box::new(slow)))
    }

    pub(crate) fn relock(relock: Relock) -> Self {
        Self::new(Kind::Relock(Box::new(relock)))
    }

    pub(crate) fn lost_result(task: TaskInfo, how: String) -> Self {
        let task = Box::new(task);
        Self::new(Kind::LostResult { task, how })
    }

    pub(crate) fn left_behind(task: TaskInfo) -> Self {
        Self::new(Kind::LeftBehind(Box::new(task)))
    }

    pub(crate) fn more_left_behind(n_tasks: usize) -> Self {
        Self::new(Kind::MoreLeftBehind(n_tasks))
    }

    pub(crate) fn ignores_cancel(task: TaskInfo, how: Ignores) -> Self {
        let task = Box::new(task);
        Self::new(Kind::IgnoresCancel { task, how })
    }

    pub(crate) fn cleanup_outside() -> Self {
        Self::new(Kind::CleanupOutside)
    }

    pub(crate) fn left_open(n_sources: usize) -> Self {
        Self::new(Kind::LeftOpen(n_sources))
    }

    /// The task that it is about, if it is about one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskInfo> {
        match &self.kind {
            Kind::CallbackPanic(_, task)
            | Kind::LostResult { task, .. }
            | Kind::LeftBehind(task)
            | Kind::IgnoresCancel { task, .. } => Some(task),
            Kind::SlowPoll(slow) => slow.what.task(),
            Kind::Relock(relock) => relock.what.task(),
            _ => None,
        }
    }

    /// Whether nothing was lost so far: it is about code that is likely to be wrong. Most of these come in debug
    /// mode only.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self.kind,
            Kind::LongShield(_)
                | Kind::SlowPoll(_)
                | Kind::Relock(_)
                | Kind::LeftBehind(_)
                | Kind::MoreLeftBehind(_)
                | Kind::IgnoresCancel { .. }
                | Kind::CleanupOutside
                | Kind::LeftOpen(_)
        )
    }

    pub(crate) fn deadlock(deadlock: Deadlock) -> Self {
        Self::new(Kind::Deadlock(Box::new(deadlock)))
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

    /// What only debug mode tells.
    fn fmt_debug(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::SlowPoll(slow) => write!(f, "{slow}"),
            Kind::Relock(relock) => write!(f, "{relock}"),
            Kind::LostResult { task, how } => write!(
                f,
                "task {} spawned at {} {how}; nobody looked at its result: await the handle, or spawn it in a \
                 group",
                task.label(),
                task.spawned_at
            ),
            Kind::LeftBehind(task) => {
                let (label, place) = (task.label(), task.spawned_at);
                write!(
                    f,
                    "task {label} spawned at {place} was not through when its runtime ended, and nobody waits for it"
                )?;
                match &task.waiting_on {
                    Some(what) => write!(f, "; it waits for {what}"),
                    None => Ok(()),
                }
            }
            Kind::MoreLeftBehind(n_tasks) => {
                write!(f, "{n_tasks} more tasks were not through when their runtime ended")
            }
            Kind::IgnoresCancel { task, how } => write!(
                f,
                "task {} spawned at {} was cancelled over a second ago and is not through: {how}",
                task.label(),
                task.spawned_at
            ),
            Kind::LeftOpen(n_sources) => write!(
                f,
                "{n_sources} socket(s) or pipe(s) are still open though their runtime has ended: from now on they \
                 give errors; close them before"
            ),
            Kind::CleanupOutside => f.write_str(
                "a guard, a group or a scope was dropped outside any task: its cleanup runs as a task that nobody \
                 waits for",
            ),
            other => unreachable!("told elsewhere: {other:?}"),
        }
    }

    /// Whether it is a `block_on` that can never return.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        matches!(self.kind, Kind::Deadlock(_))
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
            Kind::Deadlock(deadlock) => deadlock.fmt(f),
            Kind::NotInspected(error) => write!(f, "cannot be inspected from outside: {error}"),
            _ => self.fmt_debug(f),
        }
    }
}

impl Error for Unhandled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::CleanupError(error) | Kind::LostFailure { error, .. } => Some(&**error),
            Kind::NoThread { error, .. } | Kind::Poller(error) | Kind::NotInspected(error) => {
                Some(error)
            }
            _ => None,
        }
    }
}

/// Reports that `what` failed where nobody is left who would return the error: plumbing for the structured forms.
#[doc(hidden)]
pub fn report_lost(what: String, error: Box<dyn Error + Send + Sync>) {
    crate::cancel::report(Unhandled::new(Kind::LostFailure { what, error }));
}
