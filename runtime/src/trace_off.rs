//! What `trace.rs` does, without the feature `tracing`: nothing, but for what must not be lost.

use crate::task::Header;
use crate::unhandled::Unhandled;

/// No span.
#[derive(Default)]
pub(crate) struct TaskSpan;

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
