//! Waiting for several things at once: tasks that are spawned for it, handles of tasks, futures in the calling
//! task.
//!
//! What children need to be looked at only when something happened to them is in [`ready_list`]: waiting for `n`
//! of them costs `O(n)`, however they end.

pub(crate) mod as_completed;
pub(crate) mod gather;
pub(crate) mod local_group;
pub(crate) mod race;
pub mod task_set;
pub(crate) mod wait;

mod gathering;
mod ready_list;

pub(crate) use ready_list::ReadyList;
