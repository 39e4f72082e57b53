//! Primitives on our runtime. What needs no runtime is tested in `sync/tests`.

#[path = "../support/mod.rs"]
mod support;

mod condvar;
mod once_cell;
mod promise;
mod stats;
