//! Inspection from outside: what the runtimes of this process do, told to the command `rt` of the same user.
//!
//! It is there only for programs that ask for it, by `RT_INSPECT=1` or [`Builder::inspect`]. Then the process has one
//! *endpoint*, however many runtimes it builds: a Unix socket that is named by the number of the process, in a folder that
//! only its user can enter, and a thread that answers there. That thread is no worker and waits for none, so
//! it answers while every worker is blocked. Both go with the last runtime. Without it there is neither; what is left is
//! one test of a `bool` when a runtime is built and when it ends.
//!
//! What is asked and answered stands in `docs/src/inspecting.md`. It is text with a version, so that the command and
//! the program need not come from the same release.

#[cfg(unix)]
mod answer;
#[cfg(unix)]
mod endpoint;
#[cfg(not(unix))]
#[path = "endpoint_none.rs"]
mod endpoint;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod server;

use std::sync::Arc;

use crate::runtime::Builder;
use crate::scheduler::Shared;
use crate::unhandled::Unhandled;

impl Builder {
    /// Whether the command `rt` can look at this runtime from outside: `rt ps`, `rt tree`, `rt top`, `rt deadlock`. Also turned
    /// on by `RT_INSPECT=1` in the environment.
    ///
    /// It starts a thread that answers on a Unix socket to processes of the same user, also while every worker is
    /// blocked. The socket lies in `$XDG_RUNTIME_DIR/rt`, or else in `/tmp/rt-` and the number of the user. If
    /// that cannot be had, it is reported to [`on_unhandled`](Self::on_unhandled) or the standard error output, and the runtime is
    /// built all the same. On systems other than Unix it does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let runtime = rt::Builder::new().name("svc").inspect(true).build()?;
    /// runtime.block_on(async { /* `rt top PID` shows what goes on here */ });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn inspect(mut self, inspect: bool) -> Self {
        self.config.inspect = inspect;
        self
    }
}

/// Whether the environment asks for it.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os("RT_INSPECT").is_some_and(|value| value == "1")
}

/// A runtime has been built: it can be looked at from now on, if it is to be.
pub(crate) fn begin(shared: &Arc<Shared>) {
    if !shared.config.inspect {
        return;
    }
    if let Err(error) = endpoint::add(shared) {
        shared.report(Unhandled::not_inspected(error));
    }
}

/// A runtime has ended. Until then it can be looked at: it may be the end that hangs.
pub(crate) fn end(shared: &Arc<Shared>) {
    if shared.config.inspect {
        endpoint::remove(shared);
    }
}
