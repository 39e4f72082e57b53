//! Streams: what the ecosystem has, generators, and consuming several items at once.

mod for_each;
mod generate;

pub use for_each::{ForEachConcurrent, for_each_concurrent};
pub use futures_core::Stream;
pub use futures_lite::StreamExt;
pub use generate::{Generate, Put, Yielder, generate};
