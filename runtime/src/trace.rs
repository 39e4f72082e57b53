//! The bridge to `tracing`, behind the feature of that name: a span for each task, and what goes wrong unseen as events.
//!
//! Its twin without the feature is `trace_off.rs`, where the calls are empty and cost nothing.
//!
//! # What is told of tasks
//!
//! It has the form that `tokio-console` reads. Source: `console-subscriber` 0.5, `src/lib.rs` and `src/visitors.rs`. All of
//! it is of level trace.
//!
//! - A span `runtime.spawn`, target `runtime`, from the spawn of a task to its end, entered by each of its polls. Its
//!   fields are `kind` (`task` or `local`), `task.name`, `task.id`, `loc.file`, `loc.line` and `loc.col`. It has no parent:
//!   a child would keep its parent's span open.
//! - An event with the target `runtime::waker` for whatever is done with a waker of the task: `op` is `waker.clone`,
//!   `waker.wake`, `waker.wake_by_ref` or `waker.drop`, and `task.id` is the number of the span, as the console wants it.

use std::sync::Mutex;

use tracing::Span;
use tracing::span::EnteredSpan;

use crate::shim::lock_std;
use crate::task::Header;
use crate::unhandled::Unhandled;

/// The span of a task, if a subscriber wants it; taken away at the end of the task, of which handles and wakers may be
/// left.
#[derive(Default)]
pub(crate) struct TaskSpan(Mutex<Option<Span>>);

/// A task came to life.
#[inline]
pub(crate) fn spawned(task: &Header) {
    let place = task.location();
    let name = task.cold_if_any().and_then(|cold| cold.name.get());
    let span = tracing::trace_span!(
        target: "runtime",
        parent: None,
        "runtime.spawn",
        kind = if task.is_local() { "local" } else { "task" },
        task.name = name.map(|name| &**name),
        task.id = task.id().number(),
        loc.file = place.file(),
        loc.line = place.line(),
        loc.col = place.column(),
    );
    if !span.is_disabled() {
        *lock_std(&task.cold().span.0) = Some(span);
    }
}

/// A poll of a task begins; it ends when the guard is dropped.
#[inline]
pub(crate) fn enter(task: &Header) -> Option<EnteredSpan> {
    let span = lock_std(&task.cold_if_any()?.span.0).clone()?;
    Some(span.entered())
}

/// A task is about to be complete.
#[inline]
pub(crate) fn ended(task: &Header) {
    let span = task.cold_if_any().map(|cold| lock_std(&cold.span.0).take());
    // Not under the lock: it calls the subscriber.
    drop(span);
}

/// Something is done with a waker of a task.
#[inline]
pub(crate) fn waker(task: &Header, op: &'static str) {
    let Some(cold) = task.cold_if_any() else {
        return;
    };
    let span = lock_std(&cold.span.0).as_ref().and_then(Span::id);
    if let Some(span) = span {
        tracing::trace!(target: "runtime::waker", op, task.id = span.into_u64());
    }
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
