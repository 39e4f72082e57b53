//! The latest value, and who wants to know when it changes.
//!
//! Only the latest value is kept: who is slow misses what was in between, and never the last. A receiver
//! remembers the version that it has seen; a change counts the version up.
//!
//! # The protocol
//!
//! The value is under a lock of its own, which readers share. One word holds the version, and a flag that
//! no sender is left.
//!
//! 1. Who changes the value counts the version up while it holds the value's lock to write, then takes the
//!    wait list's lock and lets everyone go who waits for a change.
//! 2. Who waits for a change looks at the version. If it is the one it has seen, it takes the wait list's
//!    lock and looks once more before it enqueues: a change that it does not see there comes to the lock
//!    afterwards, and finds it.
//! 3. Who is let go looks at the version again, and takes from there what it has seen. It was told nothing
//!    that it could lose.
//!
//! The last sender, and the last receiver, tell the other side in the same way.
//!
//! # Memory ordering
//!
//! `version`: counting up, and setting the flag, release what was done before; a look acquires it. The value
//! itself is ordered by its lock.

mod futures;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::{RwLock, RwLockReadGuard, read, write};

use crate::park;
pub use crate::send_error::SendError;
use crate::stats::WatchStats;
use crate::wait_list::WaitList;

pub use futures::{Changed, Closed, WaitFor};

/// No sender is left.
const CLOSED: usize = 1;
/// One version; the flag is below.
const ONE: usize = 2;

/// The lines of the wait list: receivers that wait for a change, and senders that wait until no receiver is
/// left.
const CHANGE: usize = 0;
const NO_RECEIVER: usize = 1;

struct Shared<T> {
    value: RwLock<T>,
    version: AtomicUsize,
    n_senders: AtomicUsize,
    n_receivers: AtomicUsize,
    lines: WaitList<(), (), 2>,
}

/// Makes a channel that holds one value, to be changed by senders and watched by receivers.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::watch;
///
/// # futures_lite::future::block_on(async {
/// let (sender, mut receiver) = watch::channel("starting");
/// std::thread::spawn(move || sender.send("ready"));
/// receiver.changed().await.unwrap();
/// assert_eq!(*receiver.borrow(), "ready");
/// # });
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        value: RwLock::new(value),
        version: AtomicUsize::new(0),
        n_senders: AtomicUsize::new(1),
        n_receivers: AtomicUsize::new(1),
        lines: WaitList::new(()),
    });
    let receiver = Receiver {
        seen: 0,
        shared: Arc::clone(&shared),
    };
    (Sender { shared }, receiver)
}

/// The end that changes the value. When the last one is dropped the receivers are told.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that watches the value; a clone has seen what the original has.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version it has seen.
    seen: usize,
}

/// A look at the value.
///
/// While it exists the value cannot be changed, and who wants to change it blocks its thread. So it is not
/// kept across an `.await`; being not `Send`, it cannot be in a task that may move.
#[must_use = "the value can be changed again as soon as this is dropped"]
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    has_changed: bool,
}

impl<T> Sender<T> {
    /// Sets the value and tells the receivers.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, when there is no receiver. The old value is kept then.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::watch::channel(1);
    /// sender.send(2)?;
    /// assert_eq!(*receiver.borrow(), 2);
    /// # Ok::<(), rt_tasks_sync::watch::SendError<i32>>(())
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError::new(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Sets the value, also when there is no receiver, and returns the old one.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _) = rt_tasks_sync::watch::channel(1);
    /// assert_eq!(sender.send_replace(2), 1);
    /// assert_eq!(*sender.borrow(), 2);
    /// ```
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|place| std::mem::swap(place, &mut value));
        value
    }

    /// Changes the value where it is, also when there is no receiver, and tells the receivers.
    ///
    /// `change` holds the lock on the value: it must not look at the channel. If it panics the value is as
    /// the panic left it, and the receivers are not told.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::watch::channel(vec!["Ada"]);
    /// sender.send_modify(|names| names.push("Grace"));
    /// assert_eq!(receiver.borrow().len(), 2);
    /// ```
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value where it is, and tells the receivers if `change` says that it has.
    ///
    /// Returns what `change` returned. What holds for [`send_modify`](Self::send_modify) holds here too.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = rt_tasks_sync::watch::channel(5);
    /// let lower = |limit: &mut i32| {
    ///     let is_lower = *limit > 3;
    ///     *limit = 3.min(*limit);
    ///     is_lower
    /// };
    /// assert!(sender.send_if_modified(lower));
    /// assert!(!sender.send_if_modified(lower));
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = write(&self.shared.value);
        if !change(&mut value) {
            return false;
        }
        // ORDERING(version): Release, for the looks in `changed` and `has_changed`.
        self.shared.version.fetch_add(ONE, Release);
        drop(value);
        self.shared.lines.lock().grant_all(CHANGE, ());
        true
    }

    /// Looks at the value. No one can change it while the [`Ref`] exists.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref {
            value: read(&self.shared.value),
            has_changed: false,
        }
    }

    /// Makes a receiver that has seen the value which is there now.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _) = rt_tasks_sync::watch::channel(1);
    /// let receiver = sender.subscribe();
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        // Relaxed: a count and nothing else.
        self.shared.n_receivers.fetch_add(1, Relaxed);
        // ORDERING(version): Acquire, for the count in `send_if_modified`.
        let seen = self.shared.version.load(Acquire) / ONE;
        Receiver {
            shared: Arc::clone(&self.shared),
            seen,
        }
    }

    /// Whether no receiver is left.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        // ORDERING(receivers): Acquire, for the drop of the last one.
        self.shared.n_receivers.load(Acquire)
    }

    /// Waits until no receiver is left; returns at once if there is none.
    ///
    /// # Cancel safety
    ///
    /// A dropped call changes nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, receiver) = rt_tasks_sync::watch::channel(1);
    /// drop(receiver);
    /// sender.closed().await;
    /// # });
    /// ```
    pub fn closed(&self) -> Closed<'_, T> {
        Closed::new(&self.shared)
    }

    /// A look at who is there and who waits.
    #[must_use]
    pub fn stats(&self) -> WatchStats {
        self.shared.stats()
    }
}

impl<T> Receiver<T> {
    /// Waits until the value is another than the one that was seen, and counts it as seen.
    ///
    /// What was there when the receiver was made counts as seen.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has seen nothing: the next one returns for the same change.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when all senders are gone and the last value has been seen.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// sender.send(3).unwrap();
    /// drop(sender);
    /// receiver.changed().await.unwrap();
    /// assert_eq!(*receiver.borrow(), 3);
    /// assert!(receiver.changed().await.is_err());
    /// # });
    /// ```
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed::new(&self.shared, &mut self.seen)
    }

    /// Waits for a change on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`changed`](Self::changed).
    pub fn changed_blocking(&mut self) -> Result<(), RecvError> {
        park::block_on(self.changed())
    }

    /// Waits until `condition` holds, and counts the value as seen. It is looked at once at the beginning,
    /// and after each change.
    ///
    /// # Cancel safety
    ///
    /// A dropped call counts as seen the values that it has looked at.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when all senders are gone and the condition does not hold for the last value.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (sender, mut receiver) = rt_tasks_sync::watch::channel(1);
    /// std::thread::spawn(move || (2..9).for_each(|n| drop(sender.send(n))));
    /// assert_eq!(*receiver.wait_for(|n| *n >= 8).await.unwrap(), 8);
    /// # });
    /// ```
    pub fn wait_for<F: FnMut(&T) -> bool>(&mut self, condition: F) -> WaitFor<'_, T, F> {
        WaitFor::new(&self.shared, &mut self.seen, condition)
    }

    /// Waits until `condition` holds on a plain thread, which sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`wait_for`](Self::wait_for).
    pub fn wait_for_blocking<F>(&mut self, condition: F) -> Result<Ref<'_, T>, RecvError>
    where
        F: FnMut(&T) -> bool,
    {
        park::block_on(self.wait_for(condition))
    }

    /// Looks at the value, without counting it as seen. No one can change it while the [`Ref`] exists.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.look(self.seen).0
    }

    /// Looks at the value and counts it as seen.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, mut receiver) = rt_tasks_sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let (value, version) = self.shared.look(self.seen);
        self.seen = version;
        value
    }

    /// Whether the value is another than the one that was seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when all senders are gone, whether or not the last value was seen.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        // ORDERING(version): Acquire, for the count in `send_if_modified`.
        let version = self.shared.version.load(Acquire);
        if version & CLOSED != 0 {
            return Err(RecvError(()));
        }
        Ok(version / ONE != self.seen)
    }

    /// Counts the value as not seen, so that the next [`changed`](Self::changed) returns at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let (_sender, mut receiver) = rt_tasks_sync::watch::channel(1);
    /// receiver.mark_changed();
    /// receiver.changed().await.unwrap();
    /// # });
    /// ```
    pub fn mark_changed(&mut self) {
        self.seen = self.seen.wrapping_sub(1);
    }

    /// A look at who is there and who waits.
    #[must_use]
    pub fn stats(&self) -> WatchStats {
        self.shared.stats()
    }
}

impl<T> Shared<T> {
    /// The value, and the version that it is.
    fn look(&self, seen: usize) -> (Ref<'_, T>, usize) {
        let value = read(&self.value);
        // Relaxed: it is counted up under the lock that is held.
        let version = self.version.load(Relaxed) / ONE;
        let has_changed = version != seen;
        (Ref { value, has_changed }, version)
    }

    fn stats(&self) -> WatchStats {
        let lines = self.lines.lock();
        WatchStats {
            // Relaxed: counts and nothing else.
            n_senders: self.n_senders.load(Relaxed),
            n_receivers: self.n_receivers.load(Relaxed),
            n_waiting: lines.len(CHANGE),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // Relaxed: a count and nothing else.
        self.shared.n_senders.fetch_add(1, Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // ORDERING(senders): Release, for the last one. ORDERING(senders): Acquire, in case this is it.
        if self.shared.n_senders.fetch_sub(1, AcqRel) == 1 {
            // ORDERING(version): Release, for who finds the channel closed.
            self.shared.version.fetch_or(CLOSED, Release);
            self.shared.lines.lock().grant_all(CHANGE, ());
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        // Relaxed: a count and nothing else.
        self.shared.n_receivers.fetch_add(1, Relaxed);
        Self {
            shared: Arc::clone(&self.shared),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // ORDERING(receivers): Release, for who finds that none is left.
        if self.shared.n_receivers.fetch_sub(1, Release) == 1 {
            self.shared.lines.lock().grant_all(NO_RECEIVER, ());
        }
    }
}

impl<T> Ref<'_, T> {
    /// Whether the value is another than the one that the receiver had seen before this look.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Sender")
            .field("receivers", &stats.n_receivers)
            .field("waiting", &stats.n_waiting)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("senders", &self.stats().n_senders)
            .field("has_changed", &self.has_changed().unwrap_or(false))
            .finish_non_exhaustive()
    }
}

/// All senders are gone: the value will not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvError(());

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sender is left")
    }
}

impl std::error::Error for RecvError {}
