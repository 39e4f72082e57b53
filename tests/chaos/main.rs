//! Seeded schedules: the scheduler itself and what must hold under it.

#[path = "../support/mod.rs"]
mod support;

mod races;
mod schedules;
mod structures;
