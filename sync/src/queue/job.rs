//! An item together with the duty to say when it has been dealt with.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::shared::Shared;
use super::store::Fifo;

/// An item that was taken from a queue, and counts as dealt with when it is dropped; see
/// [`Queue::take`](super::Queue::take).
#[must_use = "an item counts as dealt with as soon as its job is dropped"]
pub struct Job<T, S = Fifo<T>> {
    // Dropped in this order: the work is done when the item is gone.
    item: T,
    _duty: Duty<S>,
}

/// Calls `task_done` when dropped.
struct Duty<S>(Arc<Shared<S>>);

impl<S> Drop for Duty<S> {
    fn drop(&mut self) {
        // An error means that somebody else called it once too often: they were told.
        let _ = self.0.task_done();
    }
}

impl<T, S> Job<T, S> {
    pub(super) fn new(item: T, shared: Arc<Shared<S>>) -> Self {
        Self {
            item,
            _duty: Duty(shared),
        }
    }

    /// Takes the item out; from then on it counts as dealt with.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T, S> Deref for Job<T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T, S> DerefMut for Job<T, S> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T, S> fmt::Debug for Job<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}
