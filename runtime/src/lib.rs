//! The scheduler, reactor, timers, blocking pool and cancellation core of `rt`.
//!
//! Users depend on the facade package `rt-tasks`; what is public here and not re-exported there is
//! plumbing for the other crates of the workspace. The map is in `docs/architecture.md`.

mod blocking;
mod cancel;
mod context;
#[doc(hidden)]
pub mod coop;
mod debug;
mod dump;
mod fork_join;
mod histogram;
mod inspect;
#[cfg(all(unix, feature = "signal"))]
mod interrupt;
#[cfg(not(all(unix, feature = "signal")))]
#[path = "interrupt_off.rs"]
mod interrupt;
mod json;
mod locals;
mod metrics;
mod platform;
mod prefetch;
#[cfg(feature = "metrics")]
mod prometheus;
#[doc(hidden)]
pub mod reactor;
mod record;
mod runtime;
mod scheduler;
#[doc(hidden)]
pub mod shim;
#[cfg(all(unix, feature = "signal"))]
#[doc(hidden)]
pub mod signals;
mod spawn;
mod sys;
pub mod task;
pub mod test;
pub mod time;
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
#[path = "trace_off.rs"]
mod trace;
mod unhandled;
#[doc(hidden)]
pub mod wait;

#[cfg(all(test, loom))]
mod models;

pub use cancel::{
    AsyncGuard, CancelScope, Cancelled, CatchCancel, Checkpoint, CleanupOutput, Close, Expired,
    Finally, OnCancel, RunScope, Shield, UntilCancelled, cancelled, catch_cancel, checkpoint,
    defer, finally, guard, on_cancel, shield, shield_within,
};
#[doc(hidden)]
pub use cancel::{
    BodyEnd, CleanupFailure, ScopeEnd, ScopedBody, Strike, Surroundings, cleanup_now,
};
pub use coop::{YieldNow, yield_now};
pub use dump::{CallerInfo, Cycle, Dump, Step, dump};
pub use fork_join::{ForkHandle, ForkScope, fork_join};
pub use histogram::Histogram;
pub use metrics::{Metrics, WorkerMetrics};
#[cfg(feature = "metrics")]
pub use prometheus::Prometheus;
pub use record::Trace;
pub use runtime::{Builder, EnterGuard, Handle, NoRuntime, Runtime, block_on};
pub use scheduler::ShutdownReport;
#[doc(hidden)]
pub use spawn::{Work, spawn_hooked, spawn_look_up, spawn_mandatory, spawn_work};
pub use spawn::{block_in_place, spawn, spawn_blocking, spawn_compute, spawn_local};
pub use task::{CancelHandle, JoinError, JoinHandle, OwnedTask, Panic, TaskId, TaskInfo};
pub use time::{
    Elapsed, Instant, Interval, MissedTick, Sleep, Timeout, interval, interval_at, sleep,
    sleep_until, timeout, timeout_at,
};
pub use unhandled::Unhandled;
#[doc(hidden)]
pub use unhandled::report_lost;

/// How long cleanup may take by default.
const DEFAULT_GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// What to do where a runtime is missing.
const NO_RUNTIME: &str =
    "there is no runtime here: call this inside rt::block_on, #[rt::main] or with Handle::enter";
