//! What can go wrong with a queue; the item that was not put comes back inside.

use std::fmt;

use crate::exclusive::Exclusive;

/// The queue is shut down; with the item that could not be put.
pub struct ShutDown<T = ()> {
    item: Exclusive<T>,
}

impl<T> ShutDown<T> {
    pub(super) const fn new(item: T) -> Self {
        Self {
            item: Exclusive::new(item),
        }
    }

    /// Returns the item that could not be put.
    pub fn into_inner(self) -> T {
        self.item.into_inner()
    }
}

impl Default for ShutDown {
    fn default() -> Self {
        Self::new(())
    }
}

impl PartialEq for ShutDown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ShutDown {}

impl<T> fmt::Debug for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutDown").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is shut down")
    }
}

impl<T> std::error::Error for ShutDown<T> {}

/// Why [`Queue::try_put`](super::Queue::try_put) has not put the item, which is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no slot at this moment.
    Full(T),
    /// The queue is shut down.
    ShutDown(T),
}

impl<T> TryPutError<T> {
    /// Returns the item that could not be put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue is shut down",
        })
    }
}

impl<T> std::error::Error for TryPutError<T> {}

/// Why [`Queue::try_get`](super::Queue::try_get) has returned no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is none at this moment that is promised to nobody.
    Empty,
    /// The queue is shut down and empty.
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue is shut down",
        })
    }
}

impl std::error::Error for TryGetError {}

/// [`Queue::task_done`](super::Queue::task_done) was called more often than items were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneError(());

impl TaskDoneError {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put")
    }
}

impl std::error::Error for TaskDoneError {}
