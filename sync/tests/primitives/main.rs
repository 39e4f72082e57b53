//! The primitives without a runtime: what they promise holds on any executor and from plain threads.

mod auto_traits;
mod barrier;
mod broadcast;
mod condvar;
mod event;
mod executors;
mod mpsc;
mod mutex;
mod notify;
mod oneshot;
mod queue;
mod queue_conservation;
mod queue_kinds;
mod rw_lock;
mod semaphore;
mod support;
mod surface;
mod wait_list;
mod watch;
