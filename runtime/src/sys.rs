//! System calls that are not worth a module of their own.

use std::num::NonZeroU32;

/// Asks for timers that are exact: Linux lets a thread's sleeps be late by 50 µs otherwise.
///
/// Source: prctl(2), PR_SET_TIMERSLACK.
#[cfg(target_os = "linux")]
pub(crate) fn set_timer_slack() {
    // Failing is harmless: sleeps are a little later.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Nothing to ask for.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_timer_slack() {}

/// What the system calls this thread.
#[cfg(target_os = "linux")]
pub(crate) fn thread_id() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

/// One for all: `is_blocked` tells of none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_id() -> u32 {
    1
}

/// Whether a thread of this process waits in the system, and needs no core; none if nobody knows.
///
/// Source: proc_pid_stat(5), the field after the name, which is in parentheses.
#[cfg(target_os = "linux")]
pub(crate) fn is_blocked(thread: NonZeroU32) -> Option<bool> {
    let stat = std::fs::read(format!("/proc/self/task/{thread}/stat")).ok()?;
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let state = stat.get(end_of_name + 2)?;
    Some(*state != b'R')
}

/// Nobody knows.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_blocked(_: NonZeroU32) -> Option<bool> {
    None
}
