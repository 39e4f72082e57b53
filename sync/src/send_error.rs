//! What was not sent because nobody receives: the error of the channels that have no line to wait in.

use std::fmt;

use crate::exclusive::Exclusive;

/// There is no receiver; with the value that was not sent.
pub struct SendError<T>(Exclusive<T>);

impl<T> SendError<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Exclusive::new(value))
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
        f.write_str("no receiver is left")
    }
}

impl<T> std::error::Error for SendError<T> {}
