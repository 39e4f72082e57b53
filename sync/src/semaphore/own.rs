//! Whether a task that begins to wait for permits waits for those that it has itself.
//!
//! It is asked in debug mode only, where the ledger has who took what, and told by [`wait::report_own`].
//!
//! # When it is told
//!
//! A task is told if all that others can ever give back is not enough for it: it has so many of the permits that the rest
//! is less than what it asks for. The line is served strictly from its front. So it is told, too, if the rest is less
//! than what the front of the line asks for: that one waits for this task, and this task stands behind it. A read-write lock
//! needs no numbers: whoever has a part of it and has to wait either wants to write, or stands behind one who does, or
//! writes itself.
//!
//! Nobody is told
//!
//! - of permits that may be passed on, which are nobody's in the ledger, and once permits were added or forgotten, or came
//!   back from another task than took them;
//! - who asks for more permits than there are: that one waits for new ones;
//! - if the waker is one that was made for a part of the task. Then other parts go on meanwhile, and that they share a
//!   semaphore is how the number of those that do is limited. It is another matter if the whole thread waits.

use std::task::Waker;

use rt_tasks_runtime::wait::{self, Own, Since, WaitKind};

use super::claim::{ALL, Claim};
use super::raw::{Ledger, Line, RawSemaphore, Record};
use crate::mutex::Place;
use crate::park;

/// What the task that `claim` is of, the last one in line, has and waits for, and since where it has it.
pub(super) fn find(raw: &RawSemaphore, line: &Line<'_>, claim: Claim) -> Option<(Own, Since)> {
    let Ledger::Everyone(Record { holders, n_permits }) = &**line else {
        return None;
    };
    let (n_had, since) = holders.own(claim.id)?;
    let own = match raw.kind {
        WaitKind::RwLock if raw.is_written() => Own::Written,
        WaitKind::RwLock if claim.wanted == ALL => Own::ReadToWrite,
        WaitKind::RwLock => Own::ReadAgain,
        _ => of_permits(line, claim, n_had, *n_permits)?,
    };
    Some((own, since))
}

fn of_permits(line: &Line<'_>, claim: Claim, n_had: usize, n_permits: usize) -> Option<Own> {
    let n_others = n_permits.saturating_sub(n_had);
    let n_wanted = claim.wanted.n_permits();
    let n_front = line.front(0)?.wanted.n_permits();
    let needs_own = |n_wanted| n_others < n_wanted && n_wanted <= n_permits;
    let n_before = (!needs_own(n_wanted)).then_some(n_front);
    if n_before.is_some_and(|n_before| !needs_own(n_before)) {
        return None;
    }
    Some(Own::Permits {
        n_wanted,
        n_before,
        n_had,
        n_permits,
    })
}

/// Tells a task what it waits for, at this place and with this waker.
pub(super) fn tell(own: Own, since: Since, at: Place, waker: &Waker) {
    if wait::is_whole(waker) || park::is_here(waker) {
        wait::report_own(own, since, at);
    }
}
