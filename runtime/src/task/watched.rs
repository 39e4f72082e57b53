//! Where the ways of a watched task, or of one that was asked to end, leave those of all others.

use super::cell::{Header, Mode};
use super::state::{Snapshot, Wake};
use crate::scheduler;

/// What a poll is for that begins with a task that was asked to end, or is watched.
#[cold]
pub(super) fn special_mode(header: &Header, before: Snapshot) -> Mode {
    if before.is_watched() {
        scheduler::begins_watched(header);
    }
    match before.is_cancelled() {
        true => Mode::Cancel,
        false => Mode::Poll,
    }
}

/// Whether a waking transition has made it the caller's duty to queue the task.
#[inline]
pub(crate) fn is_due(header: &Header, wake: Wake) -> bool {
    match wake {
        Wake::Submit => true,
        Wake::Nothing => false,
        Wake::Watched(before) => scheduler::woken_watched(header, before),
    }
}
