//! Signals: who hears of them, and what Ctrl-C does. They reach whole processes, so each test has one of its own.
#![cfg(unix)]

#[cfg(target_os = "linux")]
mod ctrl_c;
mod listening;
#[cfg(target_os = "linux")]
mod storm;
#[path = "../support/mod.rs"]
mod support;
