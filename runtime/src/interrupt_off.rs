//! What `interrupt.rs` does, without the feature `signal`: Ctrl-C ends the process, as always.

use std::future::Future;

use crate::runtime::Handle;

/// Runs a future on this thread.
#[track_caller]
pub(crate) fn block_on<F: Future>(handle: &Handle, future: F) -> F::Output {
    handle.block_on(future)
}

/// Whether anybody waits for a signal.
pub(crate) fn is_signal_awaited() -> bool {
    false
}
