//! The bridge to `tracing`, behind the feature of that name: a span for each task, and what goes wrong unseen as events.
//!
//! Its twin without the feature is `trace_off.rs`, where the calls are empty and cost nothing.
//!
//! # What is told of tasks
//!
//! It has the form that `tokio-console` reads. Source: `console-subscriber` 0.5, `src/lib.rs` and `src/visitors.rs`. All of
//! it is of level trace.
//!
//! - A span `runtime.spawn`, target `runtime`, from the spawn of a task to its end, entered by each of its polls; the same
//!   for what a call of `block_on` runs. Its fields are `kind` (`task`, `local` or `block_on`), `task.name`, `task.id`, `loc.file`, `loc.line` and `loc.col`. It has no parent:
//!   a child would keep its parent's span open.
//! - An event with the target `runtime::waker` for whatever is done with a waker of the task: `op` is `waker.clone`,
//!   `waker.wake`, `waker.wake_by_ref` or `waker.drop`, and `task.id` is the number of the span, as the console wants it.
//!   Of the waker of a `block_on` only `waker.wake_by_ref` is told, for each time that it wakes.

use std::panic::Location;
use std::sync::Mutex;

use tracing::Span;
use tracing::span::EnteredSpan;

use crate::shim::lock_std;
use crate::task::{Header, TaskId};
use crate::unhandled::Unhandled;

/// The span of a task or of a call of `block_on`, if a subscriber wants it; taken away at the end, when handles and wakers
/// may be left.
#[derive(Default)]
pub(crate) struct TaskSpan(Mutex<Option<Span>>);

impl TaskSpan {
    /// Puts a span there, if a subscriber wants it.
    fn open<'a>(
        this: impl FnOnce() -> &'a Self,
        kind: &str,
        name: Option<&str>,
        id: TaskId,
        place: &Location<'_>,
    ) {
        let span = tracing::trace_span!(
            target: "runtime",
            parent: None,
            "runtime.spawn",
            kind,
            task.name = name,
            task.id = id.number(),
            loc.file = place.file(),
            loc.line = place.line(),
            loc.col = place.column(),
        );
        if !span.is_disabled() {
            *lock_std(&this().0) = Some(span);
        }
    }

    fn enter(&self) -> Option<EnteredSpan> {
        let span = lock_std(&self.0).clone()?;
        Some(span.entered())
    }

    fn close(&self) {
        let span = lock_std(&self.0).take();
        // Not under the lock: it calls the subscriber.
        drop(span);
    }

    fn tell_waker(&self, op: &'static str) {
        let span = lock_std(&self.0).as_ref().and_then(Span::id);
        if let Some(span) = span {
            tracing::trace!(target: "runtime::waker", op, task.id = span.into_u64());
        }
    }

    /// A call of `block_on` began.
    #[inline]
    pub(crate) fn called(&self, id: TaskId, place: &Location<'_>) {
        Self::open(|| self, "block_on", None, id, place);
    }

    /// A poll of what the call runs begins; it ends when the guard is dropped.
    #[inline]
    pub(crate) fn enter_call(&self) -> Option<EnteredSpan> {
        self.enter()
    }

    /// What the call runs is woken.
    #[inline]
    pub(crate) fn call_woken(&self) {
        self.tell_waker("waker.wake_by_ref");
    }

    /// The call is over.
    #[inline]
    pub(crate) fn returned(&self) {
        self.close();
    }
}

/// A task came to life.
#[inline]
pub(crate) fn spawned(task: &Header) {
    let kind = if task.is_local() { "local" } else { "task" };
    let name = task.cold_if_any().and_then(|cold| cold.name.get());
    let name = name.map(|name| &**name);
    TaskSpan::open(|| &task.cold().span, kind, name, task.id(), task.location());
}

/// A poll of a task begins; it ends when the guard is dropped.
#[inline]
pub(crate) fn enter(task: &Header) -> Option<EnteredSpan> {
    task.cold_if_any()?.span.enter()
}

/// A task is about to be complete.
#[inline]
pub(crate) fn ended(task: &Header) {
    if let Some(cold) = task.cold_if_any() {
        cold.span.close();
    }
}

/// Something is done with a waker of a task.
#[inline]
pub(crate) fn waker(task: &Header, op: &'static str) {
    if let Some(cold) = task.cold_if_any() {
        cold.span.tell_waker(op);
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
