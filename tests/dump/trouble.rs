//! Programs that are wrong in one way; their `main` is for those who run them.
#![allow(dead_code)]

#[path = "../../examples/trouble/full_queue.rs"]
pub(crate) mod full_queue;
#[path = "../../examples/trouble/join_inside_job.rs"]
pub(crate) mod join_inside_job;
#[path = "../../examples/trouble/never_done.rs"]
pub(crate) mod never_done;
#[path = "../../examples/trouble/no_permits.rs"]
pub(crate) mod no_permits;
#[path = "../../examples/trouble/own_lock.rs"]
pub(crate) mod own_lock;
#[path = "../../examples/trouble/read_twice.rs"]
pub(crate) mod read_twice;
#[path = "../../examples/trouble/two_locks.rs"]
pub(crate) mod two_locks;
