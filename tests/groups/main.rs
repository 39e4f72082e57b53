//! Groups and sets of tasks: lifetime, errors, policies, readiness.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod lifetime;
mod local_group;
mod policies;
mod scope;
mod start;
mod task_set;
