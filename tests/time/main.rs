//! Clocks, timers and time limits.

#[path = "../support/mod.rs"]
mod support;

mod timeouts;
mod timers;
