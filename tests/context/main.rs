//! What a task inherits from where it was spawned.

#[path = "../support/mod.rs"]
mod support;

mod inherited;
mod own;
