//! Tasks: spawning, joining, panics, blocking calls, the end of a runtime.

#[path = "../support/mod.rs"]
mod support;

mod blocking;
mod endings;
mod entry;
mod fork_join;
mod helping;
mod panics;
mod sendable;
mod shutdown;
mod spawning;
