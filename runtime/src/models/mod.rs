//! Loom models of the protocols: one file each, one property for each test, and mutants that must fail.
//!
//! A lost wake-up would be a deadlock, and loom's panic over one aborts the process in some destructor. So no
//! model sleeps: a thread that would sleep ends, and the test asks afterwards whether somebody had the duty
//! to wake it. But for the board of `fork_join`, where a condition variable does the waiting.

mod carry;
mod control;
mod fork_board;
mod idle;
mod injector;
mod readiness;
mod restraint;
mod returns;
mod ring;
mod seat;
mod slot;
mod spare;
mod state;
