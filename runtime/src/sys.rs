//! System calls that are not worth a module of their own.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time::Duration;

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

/// Exact timers for a thread of somebody else's, which is put back as it was when this is dropped.
#[derive(Debug)]
pub(crate) struct ExactTimers {
    #[cfg(target_os = "linux")]
    slack_before: Option<std::num::NonZeroU64>,
    /// It belongs to the thread that made it.
    _not_send: PhantomData<*const ()>,
}

impl ExactTimers {
    pub(crate) fn begin() -> Self {
        #[cfg(target_os = "linux")]
        let slack_before = rustix::thread::current_timer_slack().ok();
        set_timer_slack();
        Self {
            #[cfg(target_os = "linux")]
            slack_before: slack_before.and_then(std::num::NonZeroU64::new),
            _not_send: PhantomData,
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for ExactTimers {
    fn drop(&mut self) {
        if let Some(slack) = self.slack_before {
            // Failing is harmless: sleeps stay exact.
            let _ = rustix::thread::set_current_timer_slack(Some(slack));
        }
    }
}

/// How long this thread has had a processor, if the system tells.
///
/// Source: clock_getres(2), CLOCK_THREAD_CPUTIME_ID.
#[cfg(unix)]
pub(crate) fn processor_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
}

/// Nobody tells.
#[cfg(not(unix))]
pub(crate) fn processor_time() -> Option<Duration> {
    None
}

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

/// How long a thread of this process has had a processor, as of the system's last tick; none if nobody knows.
///
/// Source: sched-stats.rst of Linux, "/proc/<pid>/schedstat", the first field.
#[cfg(target_os = "linux")]
pub(crate) fn processor_time_of(thread: NonZeroU32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let nanoseconds = stat.split(' ').next()?.parse().ok()?;
    // A system that does not count says zero.
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

/// Nobody knows.
#[cfg(not(target_os = "linux"))]
pub(crate) fn processor_time_of(_: NonZeroU32) -> Option<Duration> {
    None
}

/// Nobody knows.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_blocked(_: NonZeroU32) -> Option<bool> {
    None
}
