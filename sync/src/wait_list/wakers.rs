//! Wakers that are collected under a lock and called without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use rt_tasks_runtime::coop;

/// Wakers to be called, in order, when this is dropped.
pub(super) struct Wakers(Granted);

/// Mostly none or one: only several go to the heap.
enum Granted {
    None,
    One(Waker),
    Many(Vec<Waker>),
}

impl Wakers {
    #[inline]
    pub(super) fn none() -> Self {
        Self(Granted::None)
    }

    /// Expects so many more.
    pub(super) fn reserve(&mut self, n_wakers: usize) {
        match &mut self.0 {
            Granted::Many(wakers) => wakers.reserve(n_wakers),
            Granted::None if n_wakers > 1 => {
                self.0 = Granted::Many(Vec::with_capacity(n_wakers));
            }
            Granted::None | Granted::One(_) => {}
        }
    }

    #[inline]
    pub(super) fn extend(&mut self, waker: Option<Waker>) {
        let Some(waker) = waker else { return };
        match &mut self.0 {
            Granted::Many(wakers) => wakers.push(waker),
            Granted::None => self.0 = Granted::One(waker),
            Granted::One(_) => self.become_many(waker),
        }
    }

    #[cold]
    fn become_many(&mut self, second: Waker) {
        if let Granted::One(first) = std::mem::replace(&mut self.0, Granted::None) {
            self.0 = Granted::Many(vec![first, second]);
        }
    }

    #[inline(never)]
    fn wake_all(&mut self) {
        match std::mem::replace(&mut self.0, Granted::None) {
            Granted::None => {}
            Granted::One(waker) => wake(waker),
            Granted::Many(wakers) => coop::waking_many(|| wakers.into_iter().for_each(wake)),
        }
    }
}

impl Drop for Wakers {
    #[inline]
    fn drop(&mut self) {
        // Small enough to be inlined into every operation: most wake nobody.
        if !matches!(self.0, Granted::None) {
            self.wake_all();
        }
    }
}

fn wake(waker: Waker) {
    shielded(|| waker.wake());
}

/// Calls a waker. Should it panic, that is its executor's bug, of which the panic hook has told: those
/// behind it are woken nevertheless, and the one who released a lock is not to suffer for it.
#[inline]
pub(crate) fn shielded(call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        // Forgotten, because dropping it may panic once more.
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    /// Writes its number down.
    struct Numbered(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn all_are_called_in_order_whatever_was_expected() {
        for expected in [[0, 0], [1, 0], [3, 0], [0, 3], [2, 2]] {
            let log = Arc::default();
            let mut wakers = Wakers::none();
            for (line, n_wakers) in expected.into_iter().enumerate() {
                wakers.reserve(n_wakers);
                for n in 0..3 {
                    let numbered = Numbered(line as u32 * 3 + n, Arc::clone(&log));
                    wakers.extend(Some(Waker::from(Arc::new(numbered))));
                    wakers.extend(None);
                }
            }
            assert!(
                log.lock().unwrap().is_empty(),
                "not before the lock is free"
            );
            drop(wakers);
            assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4, 5], "{expected:?}");
        }
    }
}
