//! A work-stealing task runtime with structured concurrency, cancellation that awaits cleanup, and speed.
//!
//! This crate only gathers the parts: the scheduler, timers and tasks from `rt-tasks-runtime`, the
//! structured forms and primitives from `rt-tasks-sync`, sockets and files from `rt-tasks-io`, the attributes
//! from `rt-tasks-macros`.
//!
//! # Examples
//!
//! ```
//! use rt::sync::Queue;
//!
//! #[rt::main]
//! async fn main() -> Result<(), rt::BoxError> {
//!     let queue = Queue::bounded(2);
//!     let sum = rt::TaskGroup::scope(async |group| {
//!         let jobs = queue.clone();
//!         group.spawn(async move {
//!             for job in 1..=4u32 {
//!                 jobs.put(job).await?;
//!             }
//!             jobs.shutdown();
//!             rt::ok(())
//!         });
//!         let mut sum = 0;
//!         while let Ok(job) = queue.get().await {
//!             sum += job;
//!         }
//!         Ok(sum)
//!     })
//!     .await?;
//!     assert_eq!(sum, 10);
//!     Ok(())
//! }
//! ```

#[cfg(doctest)]
mod book;

pub use rt_tasks_runtime::{
    AsyncGuard, Builder, CallerInfo, CancelHandle, CancelScope, Cancelled, CatchCancel, Checkpoint,
    CleanupOutput, Close, Cycle, Dump, Elapsed, EnterGuard, Expired, Finally, ForkHandle,
    ForkScope, Handle, Histogram, Instant, JoinError, JoinHandle, Metrics, MissedTick, NoRuntime,
    OnCancel, OwnedTask, Panic, RunScope, Runtime, Shield, ShutdownReport, TaskId, TaskInfo, Trace,
    Unhandled, UntilCancelled, WorkerMetrics, block_in_place, block_on, cancelled, catch_cancel,
    checkpoint, defer, dump, finally, fork_join, guard, interval, interval_at, on_cancel, shield,
    shield_within, sleep, sleep_until, spawn, spawn_blocking, spawn_compute, spawn_local, task,
    task_local, time, timeout, timeout_at, yield_now,
};

#[cfg(feature = "metrics")]
pub use rt_tasks_runtime::Prometheus;

pub use rt_tasks_sync::{
    AsCompleted, BoxError, ChildOutput, FailureKind, Gather, GroupBuilder, GroupError, GroupHandle,
    GroupScope, JoinAll, LocalGroup, LocalGroupScope, LocalHandle, NoValue, Policy, Race, RaceOk,
    Ready, SpawnInTurn, Start, StartError, TaskFailure, TaskGroup, TaskSet, TryStart, Until, Wait,
    as_completed, gather, gather_settled, join_all, local_group, ok, race, race_ok, race_staggered,
    task_set, try_gather, wait, wait_timeout,
};

#[cfg(feature = "fs")]
pub use rt_tasks_io::fs;
#[cfg(feature = "hyper")]
pub use rt_tasks_io::hyper;
pub use rt_tasks_io::io;
#[cfg(feature = "net")]
pub use rt_tasks_io::net;
#[cfg(all(unix, feature = "process"))]
pub use rt_tasks_io::process;
#[cfg(all(unix, feature = "signal"))]
pub use rt_tasks_io::signal;
#[cfg(feature = "macros")]
pub use rt_tasks_macros::{join, main, test, try_join};

#[cfg(feature = "macros")]
mod select;

/// What tests need: waiting until nothing goes on any more, and runs in other orders than the usual.
pub mod test {
    pub use rt_tasks_runtime::test::{AwaitTurn, Chaos, Quiescent, Sequencer, Turn, quiescent};
}

/// Streams: [`Stream`](stream::Stream) and what every stream can do, from futures-lite; generators, and consuming
/// several items at once.
pub mod stream {
    pub use rt_tasks_sync::stream::{
        ForEachConcurrent, Generate, Put, Stream, StreamExt, Yielder, for_each_concurrent, generate,
    };
}

/// Locks, events, queues and channels. They work on any executor and from plain threads.
pub mod sync {
    pub use rt_tasks_sync::{
        Abandoned, Barrier, BarrierStats, BarrierWait, BroadcastStats, Broken, Closed, Condvar,
        CondvarStats, Event, EventStats, Job, LifoQueue, MpscStats, Mutex, MutexGuard, MutexStats,
        Notify, NotifyStats, OnceCell, OnceCellStats, OneshotStats, OwnedMutexGuard, OwnedPermit,
        OwnedRwLockReadGuard, OwnedRwLockWriteGuard, Permit, PriorityQueue, Promise, PromiseFuture,
        PromiseStats, Queue, QueueStats, RwLock, RwLockReadGuard, RwLockStats, RwLockWriteGuard,
        Semaphore, SemaphoreStats, ShutDown, TaskDoneError, TooManyPermits, TryAcquireError,
        TryGetError, TryPutError, WatchStats, barrier, broadcast, condvar, event, mpsc, mutex,
        notify, once_cell, oneshot, promise, queue, rw_lock, semaphore, watch,
    };
}

/// What the macros write calls to. Not for others.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use rt_tasks_macros::select;
    pub use rt_tasks_runtime::coop::{poll_proceed, random_below, restore};
}
