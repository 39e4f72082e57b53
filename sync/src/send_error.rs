//! What was not sent because nobody receives.

use std::fmt;

use crate::exclusive::Exclusive;
use crate::queue::ShutDown;

/// There is no receiver, or it was closed; with the value that was not sent.
pub struct SendError<T>(Exclusive<T>);

impl<T> SendError<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Exclusive::new(value))
    }

    /// What a queue did not take which its receiver has shut down.
    pub(crate) fn of(error: ShutDown<T>) -> Self {
        Self::new(error.into_inner())
    }

    /// Returns the value that was not sent.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody receives")
    }
}

impl<T> std::error::Error for SendError<T> {}
