//! The bridge to `tracing`, behind the feature of that name: tasks, and what goes wrong unseen, as events.
//!
//! Its twin without the feature is `trace_off.rs`, where the calls are empty and cost nothing.

use crate::task::Header;
use crate::unhandled::Unhandled;

/// A task came to life. Target `rt::task`, level trace.
#[inline]
pub(crate) fn spawned(task: &Header) {
    tracing::trace!(target: "rt::task", id = %task.id(), spawned_at = %task.location(), "spawned");
}

/// A task is about to be complete. Target `rt::task`, level trace.
#[inline]
pub(crate) fn ended(task: &Header) {
    tracing::trace!(target: "rt::task", id = %task.id(), spawned_at = %task.location(), "ended");
}

/// Something went wrong where nobody waits for a result. Target `rt`, level error, or warn if nothing is lost; on the
/// standard error output if no subscriber was ever set.
pub(crate) fn unhandled(unhandled: &Unhandled) {
    if tracing::dispatcher::has_been_set() && unhandled.is_warning() {
        tracing::warn!(target: "rt", "{unhandled}");
    } else if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "rt", "{unhandled}");
    } else {
        eprintln!("rt: {unhandled}");
    }
}
