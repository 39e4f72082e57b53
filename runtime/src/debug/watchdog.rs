//! The watchdog of debug mode: reports polls that take long, and tasks that were cancelled and go on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stack::{self, Frames};
use super::{Debug, Polled, SlowPoll, Stack, Told};
use crate::scheduler::Shared;
use crate::shim::lock_std;
use crate::task::{TaskId, TaskInfo};
use crate::unhandled::Unhandled;

/// A cancelled task that goes on for so long is reported.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at all tasks.
const PERIOD_OF_ALL: Duration = Duration::from_millis(250);

/// A cancelled task that is not through.
struct Cancelled {
    since: Instant,
    polls: u64,
    is_reported: bool,
}

/// What a cancelled task does, that is not through after a long time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ignores {
    /// It has been in one poll all the time.
    InOnePoll,
    /// It was polled again and again.
    Polled,
    /// It waits.
    Waits,
}

impl fmt::Display for Ignores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InOnePoll => "it blocks or computes without an .await, where it could be dropped",
            Self::Polled => "it goes on in cleanup or under a shield",
            Self::Waits => "its cleanup waits, or a shield does",
        })
    }
}

/// The life of the watchdog.
pub(super) fn watch(shared: &Arc<Shared>) {
    let debug = shared.debug.as_ref().expect("it is debug mode's");
    let period = (debug.slow_poll / 4).clamp(Duration::from_millis(1), Duration::from_millis(50));
    let mut cancelled = HashMap::new();
    let mut looked_at_all = Instant::now();
    while debug.sleep(period) {
        debug.look(shared);
        if looked_at_all.elapsed() >= PERIOD_OF_ALL {
            look_at_all(shared, &mut cancelled);
            looked_at_all = Instant::now();
        }
    }
}

impl Debug {
    /// False: the watchdog is to end.
    fn sleep(&self, period: Duration) -> bool {
        let watchdog = lock_std(&self.watchdog);
        let slept = self
            .changed
            .wait_timeout_while(watchdog, period, |watchdog| !watchdog.is_over);
        match slept {
            Ok((watchdog, _)) => !watchdog.is_over,
            Err(poisoned) => !poisoned.into_inner().0.is_over,
        }
    }

    /// Reports the polls that take long.
    fn look(&self, shared: &Shared) {
        for record in &self.records {
            let slow = lock_std(record)
                .as_mut()
                .filter(|polling| !polling.is_reported && polling.began.elapsed() >= self.slow_poll)
                .map(|polling| {
                    polling.is_reported = true;
                    polling.clone()
                });
            let Some(slow) = slow else { continue };
            let thread = std::num::NonZeroU32::new(slow.thread);
            let is_blocked = thread.and_then(crate::sys::is_blocked);
            let frames = stack::capture(slow.thread);
            let lasted = slow.began.elapsed();
            // Else the stack may be that of whatever came next.
            let is_same = lock_std(record)
                .as_ref()
                .is_some_and(|now| now.began == slow.began);
            if is_same {
                tell(shared, slow.what, lasted, is_blocked, frames);
            }
        }
    }
}

/// Reports a poll that lasts: at once, so that its stack comes later if its names take long to find.
fn tell(
    shared: &Shared,
    what: Polled,
    lasted: Duration,
    is_blocked: Option<bool>,
    frames: Result<Frames, &'static str>,
) {
    let report = |what, told| {
        let slow = SlowPoll { what, lasted, told };
        shared.report(Unhandled::slow_poll(slow));
    };
    let (stack, late) = match frames {
        Ok(frames) if frames.are_names_at_hand() => (Stack::Known(frames.names()), None),
        Ok(frames) => (Stack::Follows, Some((frames, what.clone()))),
        Err(why) => (Stack::Unknown(why), None),
    };
    report(what, Told::Lasts { is_blocked, stack });
    if let Some((frames, what)) = late {
        report(what, Told::Where(frames.names()));
    }
}

/// Reports the tasks that were cancelled a long time ago and are not through.
fn look_at_all(shared: &Shared, known: &mut HashMap<TaskId, Cancelled>) {
    let mut now: HashMap<TaskId, TaskInfo> = HashMap::new();
    shared.walk(|task| {
        let state = task.header().state.load();
        if state.is_cancelled() && !state.is_complete() {
            now.insert(task.header().id(), task.header().info());
        }
    });
    known.retain(|id, _| now.contains_key(id));
    for (id, info) in now {
        let seen = known.entry(id).or_insert_with(|| Cancelled {
            since: Instant::now(),
            polls: info.polls,
            is_reported: false,
        });
        if seen.is_reported || seen.since.elapsed() < PATIENCE {
            continue;
        }
        seen.is_reported = true;
        let how = match info.polls - seen.polls {
            0 if info.state == crate::task::TaskState::Running => Ignores::InOnePoll,
            0 | 1 => Ignores::Waits,
            _ => Ignores::Polled,
        };
        shared.report(Unhandled::ignores_cancel(info, how));
    }
}
