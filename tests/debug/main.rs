//! What goes on when a program does what it should not: it blocks its workers, loses errors, ignores requests.

#[path = "../support/mod.rs"]
mod support;

mod blocked;
mod own_guards;
mod own_permits;
mod relocks;
mod reports;
mod trouble;
