//! Calls that block, on the pool for such work.

use std::io;

use rt_tasks_runtime::spawn_blocking;

/// Runs `call` on the blocking pool.
///
/// Dropped, it no longer waits; the call may still be made, or run to its end.
pub(crate) async fn unblock<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(call)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
