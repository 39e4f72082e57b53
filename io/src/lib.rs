//! Sockets, files, processes and signals of `rt`.
//!
//! Sockets try the system call first and wait in the runtime's reactor only when it would block; files,
//! which never tell when they are ready, run on the pool for blocking work. Everything that reads or
//! writes implements the traits of `futures-io`; [`io`] re-exports the helpers for them.
//!
//! Users depend on the facade package `rt-tasks`, where these modules are `rt::net`, `rt::fs` and so on.

#[cfg(feature = "net")]
#[cfg(any(feature = "net", feature = "fs", feature = "process"))]
mod error;

#[cfg(feature = "fs")]
pub mod fs;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod io;
#[cfg(feature = "net")]
pub mod net;
#[cfg(all(unix, feature = "process"))]
pub mod process;
#[cfg(all(unix, feature = "signal"))]
pub mod signal;
#[cfg(feature = "tokio-io")]
mod tokio_io;
