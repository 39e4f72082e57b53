//! The one place that chooses between the standard library's types and loom's.
//!
//! A loom model runs the real protocol code under every schedule the memory model allows; for that
//! its atomics, cells and locks must be loom's. Every protocol file takes them from here, so that
//! `cfg(loom)` occurs in this file, on `mod models;` lines and for shrunken capacities only.

use std::mem::MaybeUninit;

/// Atomics: `std::sync::atomic` or `loom::sync::atomic`.
pub mod atomic {
    #[cfg(loom)]
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    #[cfg(not(loom))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

#[cfg(loom)]
pub use loom::cell::UnsafeCell;
#[cfg(loom)]
pub use loom::hint;
#[cfg(loom)]
pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(loom)]
pub use loom::thread;

#[cfg(not(loom))]
pub use std::hint;
#[cfg(not(loom))]
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(loom))]
pub use std::thread;

/// `std::cell::UnsafeCell` with loom's closure interface, so that loom can watch each access.
#[cfg(not(loom))]
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// Wraps a value.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Takes the value out.
    #[inline]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> UnsafeCell<T> {
    /// Gives `f` a pointer to read through.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Gives `f` a pointer to write through.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A cell that holds nothing yet, and whose memory is left as it is.
///
/// What is written for `UnsafeCell::new(MaybeUninit::uninit())` is a constant, and the compiler copies constants, unwritten
/// bytes too: a future with such a cell would be zeroed each time that it is made.
#[cfg(not(loom))]
#[inline]
pub fn uninit_cell<T>() -> UnsafeCell<MaybeUninit<T>> {
    let cell = MaybeUninit::<UnsafeCell<MaybeUninit<T>>>::uninit();
    // SAFETY: any bytes, also unwritten ones, are a cell of `MaybeUninit`.
    unsafe { cell.as_ptr().read() }
}

/// A cell that holds nothing yet.
#[cfg(loom)]
pub fn uninit_cell<T>() -> UnsafeCell<MaybeUninit<T>> {
    UnsafeCell::new(MaybeUninit::uninit())
}

/// Sleeps until the thread is unparked or the time is up; may return early.
#[cfg(not(loom))]
pub fn park_timeout(limit: std::time::Duration) {
    thread::park_timeout(limit);
}

/// Sleeps until the thread is unparked or the time is up. loom has no time: it may be up at any moment, so also
/// now.
#[cfg(loom)]
pub fn park_timeout(_limit: std::time::Duration) {
    thread::yield_now();
}

/// Locks a mutex, whether or not a panic happened while it was held.
///
/// No lock of ours guards state that a panic could leave half changed: user code never runs under one.
#[inline]
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Locks to read, whether or not a panic happened while it was locked.
///
/// Only locks that lend their value to user code have a use for this: the value is as the panic left it.
#[inline]
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    match lock.read() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Locks to write, whether or not a panic happened while it was locked.
#[inline]
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    match lock.write() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Like [`lock`], for a lock of the standard library in code that no model runs.
#[inline]
pub fn lock_std<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Declares a constructor that is `const`, except under loom, whose types cannot be built at compile time.
#[doc(hidden)]
#[cfg(not(loom))]
#[macro_export]
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility const fn $($rest)*
    };
}

/// Declares a constructor that is `const`, except under loom, whose types cannot be built at compile time.
#[doc(hidden)]
#[cfg(loom)]
#[macro_export]
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        $(#[$attribute])* $visibility fn $($rest)*
    };
}
