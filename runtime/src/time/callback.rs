//! `call_later`: a function at a deadline, without a task of the user's own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Instant, sleep_until};
use crate::context;
use crate::task::{CancelHandle, Panic};
use crate::unhandled::Unhandled;

/// Calls `f` on a worker after `delay`. `f` must not block; a panic in it is reported and harms nobody.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::mpsc;
/// # use std::time::Duration;
/// let (sender, receiver) = mpsc::channel();
/// rt::block_on(async move {
///     rt::time::call_later(Duration::from_millis(1), move || sender.send("now").unwrap());
///     rt::sleep(Duration::from_millis(20)).await;
/// });
/// assert_eq!(receiver.recv().unwrap(), "now");
/// ```
#[track_caller]
pub fn call_later(delay: Duration, f: impl FnOnce() + Send + 'static) -> TimerHandle {
    call_at(Instant::now().saturating_add(delay), f)
}

/// Calls `f` on a worker at a moment; see [`call_later`].
///
/// # Panics
///
/// Outside a runtime.
#[track_caller]
pub fn call_at(at: Instant, f: impl FnOnce() + Send + 'static) -> TimerHandle {
    let task = crate::spawn::spawn(async move {
        sleep_until(at).await;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            report(Panic::new(payload));
        }
    });
    TimerHandle {
        task: task.cancel_handle(),
    }
}

/// Nobody awaits a callback: its panic goes to the hook for the unhandled.
#[cold]
fn report(panic: Panic) {
    context::with_runtime(|runtime| {
        if let (Some(runtime), Some(task)) = (runtime, crate::task::current()) {
            runtime.report(Unhandled::callback(panic, task.info()));
        }
    });
}

/// Names a callback that is to come. Dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct TimerHandle {
    task: CancelHandle,
}

impl TimerHandle {
    /// Calls it off; true if it had not been called yet.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.task.cancel_with("the timer was cancelled")
    }
}
