//! A work-stealing task runtime.
pub use rt_tasks_io as io_impl;
