//! System calls that are not worth a module of their own.

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
