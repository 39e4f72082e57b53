//! The scheduler, reactor, timers, blocking pool and cancellation core of `rt`.
//!
//! Users depend on the facade package `rt-tasks`; what is public here and not re-exported there is
//! plumbing for the other crates of the workspace.

#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod coop;
#[doc(hidden)]
pub mod reactor;

pub use context::{JoinError, JoinHandle, block_on, spawn, spawn_blocking};
#[doc(hidden)]
pub mod shim;

/// Time.
pub mod time {
    pub use crate::context::{Sleep, sleep};
}

#[cfg(all(test, loom))]
mod models;
