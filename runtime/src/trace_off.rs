//! What `trace.rs` does, without the feature `tracing`: nothing, but for what must not be lost.

use std::panic::Location;

use crate::task::{Header, TaskId};
use crate::unhandled::Unhandled;

/// No span.
#[derive(Default)]
pub(crate) struct TaskSpan;

impl TaskSpan {
    /// Tells nobody.
    #[inline]
    pub(crate) fn called(&self, _: TaskId, _: &Location<'_>) {}

    /// Enters nothing.
    #[inline]
    pub(crate) fn enter_call(&self) -> NoSpan {
        NoSpan
    }

    /// Tells nobody.
    #[inline]
    pub(crate) fn call_woken(&self) {}

    /// Tells nobody.
    #[inline]
    pub(crate) fn returned(&self) {}
}

/// Nothing that was entered.
pub(crate) struct NoSpan;

/// Tells nobody.
#[inline]
pub(crate) fn spawned(_: &Header) {}

/// Enters nothing.
#[inline]
pub(crate) fn enter(_: &Header) -> NoSpan {
    NoSpan
}

/// Tells nobody.
#[inline]
pub(crate) fn ended(_: &Header) {}

/// Tells nobody.
#[inline]
pub(crate) fn waker(_: &Header, _: &'static str) {}

/// Something went wrong where nobody waits for a result: on the standard error output.
pub(crate) fn unhandled(unhandled: &Unhandled) {
    eprintln!("rt: {unhandled}");
}
