//! What each primitive tells about itself: who holds it, and how many wait.
//!
//! A look at one moment, for monitoring, tests and debugging. By the time it is read it may be different, so a
//! program must not decide by it whether an operation will wait.

/// What a [`Mutex`](crate::Mutex) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexStats {
    /// Whether somebody holds it.
    pub is_locked: bool,
    /// Tasks and threads that wait for it.
    pub n_waiting: usize,
}

/// What a [`RwLock`](crate::RwLock) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockStats {
    /// How many hold it to read.
    pub n_readers: usize,
    /// Whether somebody holds it to write.
    pub is_write_locked: bool,
    /// Tasks and threads that wait for it, to read or to write.
    pub n_waiting: usize,
}

/// What a [`Semaphore`](crate::Semaphore) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStats {
    /// Permits that are free.
    pub n_available: usize,
    /// Tasks and threads that wait for permits, however many each wants.
    pub n_waiting: usize,
}

/// What an [`Event`](crate::Event) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStats {
    /// Whether it is set.
    pub is_set: bool,
    /// Tasks and threads that wait for it.
    pub n_waiting: usize,
}

/// What a [`Notify`](crate::Notify) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotifyStats {
    /// Whether a notification is kept for the next who comes.
    pub has_permit: bool,
    /// Tasks and threads that wait for a notification.
    pub n_waiting: usize,
}

/// What a [`Condvar`](crate::Condvar) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CondvarStats {
    /// Tasks and threads that wait for a notification.
    pub n_waiting: usize,
}

/// What a [`Barrier`](crate::Barrier) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStats {
    /// How many have to arrive for it to open.
    pub n_parties: usize,
    /// Tasks and threads that have arrived and wait for the others.
    pub n_waiting: usize,
    /// Whether it was aborted.
    pub is_broken: bool,
}

/// What a [`OnceCell`](crate::OnceCell) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnceCellStats {
    /// Whether the value is there.
    pub is_set: bool,
    /// Tasks and threads that wait until another one has made it.
    pub n_waiting: usize,
}

/// What a [`oneshot`](crate::oneshot) channel tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneshotStats {
    /// Whether the value was sent, or the sender dropped.
    pub is_complete: bool,
    /// Whether the receiver takes nothing more.
    pub is_closed: bool,
    /// Whether the receiver waits, or has waited.
    pub is_awaited: bool,
}

/// What a [`PromiseFuture`](crate::PromiseFuture) tells about its promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromiseStats {
    /// Whether the value is there.
    pub is_set: bool,
    /// Tasks and threads that wait for it.
    pub n_waiting: usize,
}

/// What a [`Queue`](crate::Queue) tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Items in it.
    pub len: usize,
    /// Items that have room; none if there is no limit.
    pub capacity: Option<usize>,
    /// Items that were put and not reported done, those in it included.
    pub n_unfinished: usize,
    /// Who waits for an item.
    pub n_waiting_get: usize,
    /// Who waits for room.
    pub n_waiting_put: usize,
    /// Who waits until everything is done.
    pub n_waiting_join: usize,
    /// Whether it is shut down.
    pub is_shut_down: bool,
}

/// What a [`watch`](crate::watch) channel tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStats {
    /// Senders there are.
    pub n_senders: usize,
    /// Receivers there are.
    pub n_receivers: usize,
    /// Tasks and threads that wait for a change.
    pub n_waiting: usize,
}

/// What a [`broadcast`](crate::broadcast) channel tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStats {
    /// Values that are kept for receivers which have not had them.
    pub len: usize,
    /// Values that are kept at most.
    pub capacity: usize,
    /// Senders there are.
    pub n_senders: usize,
    /// Receivers there are.
    pub n_receivers: usize,
    /// Tasks and threads that wait for a value.
    pub n_waiting: usize,
}

/// What an [`mpsc`](crate::mpsc) channel tells about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MpscStats {
    /// Values in it.
    pub len: usize,
    /// Values that have room; none if there is no limit.
    pub capacity: Option<usize>,
    /// Senders there are.
    pub n_senders: usize,
    /// Tasks and threads that wait for room.
    pub n_waiting_send: usize,
    /// Whether nothing can be sent any more.
    pub is_closed: bool,
}
