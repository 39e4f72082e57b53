//! What can be seen of a running program: what each task waits for, who waits for whom, and deadlocks.

#[path = "../support/mod.rs"]
mod support;

mod cycles;
mod deadlocks;
mod edges;
mod holders;
mod jobs;
mod picture;
mod programs;
mod trouble;
mod waits;
