//! What `trace.rs` does, without the feature `tracing`: nothing, but for what must not be lost.

use crate::task::Header;
use crate::unhandled::Unhandled;

/// Tells nobody.
#[inline]
pub(crate) fn spawned(_: &Header) {}

/// Tells nobody.
#[inline]
pub(crate) fn ended(_: &Header) {}

/// Something went wrong where nobody waits for a result: on the standard error output.
pub(crate) fn unhandled(unhandled: &Unhandled) {
    eprintln!("rt: {unhandled}");
}
