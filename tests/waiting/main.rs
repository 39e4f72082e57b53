//! Ways to wait for several things, and streams.

#[path = "../support/mod.rs"]
mod support;

mod gather;
mod race;
mod select;
mod stream;
mod wait;
