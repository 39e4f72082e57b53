//! What tests need that programs do not: to know when nothing goes on any more, and other orders than the usual.
//!
//! Virtual time is on the [`Builder`](crate::Builder::virtual_time) and in `#[rt::test(virtual_time)]`.

mod chaos;
mod quiescent;
mod sequencer;

pub use chaos::Chaos;
pub(crate) use quiescent::Waiters;
pub use quiescent::{Quiescent, quiescent};
pub use sequencer::{AwaitTurn, Sequencer, Turn};
