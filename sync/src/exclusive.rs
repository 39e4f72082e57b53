//! A value that nobody gets a shared reference to.
//!
//! An error that carries an unsent item should pass through `?` into `Box<dyn Error + Send + Sync>`
//! whatever the item is, a boxed closure for instance, which is not `Sync`. It may, if the item can only
//! be taken out and never be looked at.

/// A value of which only its owner, or the holder of a `&mut`, ever gets hold.
pub(crate) struct Exclusive<T>(T);

// SAFETY: nothing here turns a `&Exclusive<T>` into a `&T`: two threads that share one cannot get at the
// value at all, and with `T: Send` the owner may be any thread.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}
