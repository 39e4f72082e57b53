//! Synchronisation primitives and structured concurrency of `rt`.
//!
//! The primitives work on any executor and from plain threads: they know wakers and nothing else of who
//! runs them. Users depend on the facade package `rt-tasks`, where they stand in `rt::sync`.

pub mod barrier;
pub mod broadcast;
pub mod condvar;
pub mod event;
pub mod mpsc;
pub mod mutex;
pub mod notify;
pub mod once_cell;
pub mod oneshot;
pub mod promise;
pub mod queue;
pub mod rw_lock;
pub mod semaphore;
pub mod watch;

mod burst;
mod exclusive;
mod park;
mod send_error;
mod stats;
mod wait_list;

#[cfg(all(test, loom))]
mod models;

mod group;
mod group_child;
mod group_core;
mod group_error;
mod group_members;
mod group_scope;
mod group_start;
mod group_turn;
pub mod stream;
mod waiting;

pub use barrier::{Barrier, BarrierWait, Broken};
pub use condvar::Condvar;
pub use event::Event;
pub use group::{BoxError, TaskGroup, ok};
pub use group_child::{ChildOutput, GroupHandle};
pub use group_core::Policy;
pub use group_error::{FailureKind, GroupError, TaskFailure};
pub use group_scope::{GroupBuilder, GroupScope};
pub use group_start::{Ready, Start, StartError, TryStart};
pub use group_turn::SpawnInTurn;
pub use mutex::{Mutex, MutexGuard, OwnedMutexGuard};
pub use notify::Notify;
pub use once_cell::OnceCell;
pub use promise::{Abandoned, Promise, PromiseFuture, promise};
pub use queue::{
    Job, LifoQueue, PriorityQueue, Queue, ShutDown, TaskDoneError, TryGetError, TryPutError,
};
pub use rw_lock::{
    OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{Closed, OwnedPermit, Permit, Semaphore, TooManyPermits, TryAcquireError};
pub use stats::{
    BarrierStats, BroadcastStats, CondvarStats, EventStats, MpscStats, MutexStats, NotifyStats,
    OnceCellStats, OneshotStats, PromiseStats, QueueStats, RwLockStats, SemaphoreStats, WatchStats,
};
pub use waiting::as_completed::{AsCompleted, as_completed};
pub use waiting::gather::{Gather, JoinAll, gather, gather_settled, join_all, try_gather};
pub use waiting::local_group::{LocalGroup, LocalGroupScope, LocalHandle, NoValue, local_group};
pub use waiting::race::{Race, RaceOk, race, race_ok, race_staggered};
pub use waiting::task_set::{self, TaskSet};
pub use waiting::wait::{Until, Wait, wait, wait_timeout};
