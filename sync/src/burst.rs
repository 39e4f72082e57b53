//! Taking a lock that guards a few instructions, and that two cores may want all the time.
//!
//! Such a lock is cheap while one core has it: its cache line, and what it guards, stay where they are. When two
//! cores take turns each operation costs a transfer of those lines, five times as much. So who finds the lock
//! taken looks away for about a microsecond: meanwhile the other one does dozens of operations in a row. A thread
//! that watches the lock instead takes its line away with each look.
//!
//! Nothing is decided here by who is first: the order in which waiters are served is that of their lines.

use std::sync::TryLockError;

use rt_tasks_runtime::shim::{Mutex, MutexGuard, hint, lock};

/// How many pauses of the processor it is until the next look.
const PAUSES: u32 = 32;

/// How many looks before the thread sleeps until the lock is free: it may be held by a thread that sleeps.
#[cfg(not(loom))]
const LOOKS: u32 = 8;
/// A model tries all orders anyhow.
#[cfg(loom)]
const LOOKS: u32 = 0;

/// Takes the lock.
#[inline]
pub(crate) fn lock_in_bursts<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    try_lock(mutex).unwrap_or_else(|| look_away(mutex))
}

#[cold]
fn look_away<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for _ in 0..LOOKS {
        (0..PAUSES).for_each(|_| hint::spin_loop());
        if let Some(guard) = try_lock(mutex) {
            return guard;
        }
    }
    lock(mutex)
}

#[inline]
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        // As in `lock`: no lock of ours guards state that a panic could leave half changed.
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
