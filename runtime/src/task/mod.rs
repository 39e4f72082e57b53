//! Tasks: a future with a header, a state word, and a place for its result, in one recycled block.
//!
//! The parts, in the order in which they build on each other: `state`, the word that says who may do what;
//! `cell`, the block and its rules; `stage`, its typed part; `hook`, what its makers choose; `returns` and `arena`, where blocks come from
//! and go to; `harness`, one poll and the end of a task; `join`, the handles.

mod arena;
mod builder;
mod cell;
mod cold;
mod current;
mod error;
pub(crate) mod harness;
mod hook;
mod info;
mod join;
pub(crate) mod returns;
mod stage;
pub(crate) mod state;
mod waker;
mod watched;

pub(crate) use arena::{Arena, Pinned, class_of};
pub use builder::Builder;
pub(crate) use cell::{Birth, Header, Retained, Task};
pub use current::{TaskRef, current, deadline};
pub use error::{JoinError, Panic};
pub(crate) use harness::{Ran, Table, abort, ignore_panic, run, run_disturbed};
pub(crate) use hook::{Boxed, Inline, Keep};
#[doc(hidden)]
pub use hook::{Hook, Plain};
pub use info::{TaskId, TaskInfo, TaskState};
pub use join::{CancelHandle, JoinHandle, OwnedTask};
pub(crate) use stage::TaskCell;
pub(crate) use waker::{is_waker_of_task, wake_unqueued};
pub(crate) use watched::is_due;

use crate::context;
pub use crate::locals::{LocalScope, OwnLocalScope, OwnTaskLocal, Reset, TaskLocal};
pub use crate::wait::{WaitKind, Waiting};

/// A snapshot of every live task of the current runtime; empty outside one.
#[must_use]
#[doc(alias = "all_tasks")]
pub fn all() -> Vec<TaskInfo> {
    let mut all = Vec::new();
    if let Some(runtime) = context::runtime() {
        let now = runtime.now_millis();
        runtime.walk(|task| {
            let info = task.header().info_at(now);
            if info.state != TaskState::Finished {
                all.push(info);
            }
        });
    }
    all.sort_by_key(|info| info.id);
    all
}
