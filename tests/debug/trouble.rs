//! Programs that are wrong in one way; their `main` is for those who run them.
#![allow(dead_code)]

#[path = "../../examples/trouble/blocking_call.rs"]
pub(crate) mod blocking_call;
#[path = "../../examples/trouble/ignored_cancel.rs"]
pub(crate) mod ignored_cancel;
#[path = "../../examples/trouble/leaked_task.rs"]
pub(crate) mod leaked_task;
#[path = "../../examples/trouble/lost_error.rs"]
pub(crate) mod lost_error;
#[path = "../../examples/trouble/lost_panic.rs"]
pub(crate) mod lost_panic;
#[path = "../../examples/trouble/no_permits.rs"]
pub(crate) mod no_permits;
#[path = "../../examples/trouble/own_lock.rs"]
pub(crate) mod own_lock;
#[path = "../../examples/trouble/read_twice.rs"]
pub(crate) mod read_twice;
