//! Time: sleeping, intervals, timeouts, callbacks, and a clock that tests can stop.
//!
//! Each seat has its own timers (`timers`); a future that waits registers with the seat that polls it first.
//! Deadlines are kept in nanoseconds and fire in the order in which they were set if they are equal.

mod callback;
mod instant;
mod interval;
mod sleep;
mod timeout;
mod timers;

pub use callback::{TimerHandle, call_at, call_later};
pub use instant::{Instant, advance, pause, resume};
pub use interval::{Interval, MissedTick, Tick, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};
pub(crate) use timers::{TimerKey, Timers};
