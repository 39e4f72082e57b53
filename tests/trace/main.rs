//! The flight recorder and what it writes, and the measured times: what a program did last, and how long it took.

#[path = "../support/mod.rs"]
mod support;

mod file;
mod recorder;
mod times;
mod viewer;
