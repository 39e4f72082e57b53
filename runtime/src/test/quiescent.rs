//! Waiting until nobody has anything left to do.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::context;
use crate::scheduler::Shared;
use crate::shim::lock_std;
use crate::wait::{self, WaitKind};

/// Resolves when every other task of the runtime waits: nothing is queued, no poll is under way, and no
/// blocking job is running.
///
/// A test uses it to let everything come as far as it can, without a sleep that is hoped to be long enough. A
/// task that sleeps counts as waiting: with virtual time this resolves before the clock jumps. What comes from
/// outside, a socket's peer or a thread of the test, is not waited for.
///
/// # Cancel safety
///
/// Dropping it ends the waiting; nothing is lost.
///
/// # Panics
///
/// When it is polled outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// # use std::sync::Arc;
/// let count = Arc::new(AtomicU32::new(0));
/// let theirs = count.clone();
/// rt::block_on(async move {
///     rt::spawn(async move {
///         for _ in 0..100 {
///             theirs.fetch_add(1, Relaxed);
///             rt::yield_now().await;
///         }
///         std::future::pending::<()>().await
///     });
///     rt::test::quiescent().await;
///     assert_eq!(count.load(Relaxed), 100, "it came as far as it can");
/// });
/// ```
#[doc(alias = "wait_all_tasks_blocked")]
pub fn quiescent() -> Quiescent {
    Quiescent { place: None }
}

/// The future of [`quiescent`].
#[must_use = "futures do nothing unless awaited"]
pub struct Quiescent {
    place: Option<(Arc<Shared>, u64)>,
}

/// Those who wait until nobody has anything left to do.
#[derive(Default)]
pub(crate) struct Waiters {
    n_waiting: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    n_ever: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Waiters {
    /// Whether anybody waits. A worker that goes idle afterwards sees who came before.
    pub(crate) fn is_any(&self) -> bool {
        self.n_waiting.load(Ordering::Relaxed) > 0
    }

    /// Wakes all; false if there were none.
    pub(crate) fn wake_all(&self) -> bool {
        let wakers = std::mem::take(&mut lock_std(&self.list).wakers);
        self.n_waiting.fetch_sub(wakers.len(), Ordering::Relaxed);
        let had_any = !wakers.is_empty();
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
        had_any
    }

    fn add(&self, waker: Waker) -> u64 {
        let mut list = lock_std(&self.list);
        list.n_ever += 1;
        let number = list.n_ever;
        list.wakers.push((number, waker));
        self.n_waiting.fetch_add(1, Ordering::Relaxed);
        number
    }

    /// Sets the waker of one that still waits; false if it was woken.
    fn is_waiting(&self, number: u64, waker: &Waker) -> bool {
        let mut list = lock_std(&self.list);
        let mut wakers = list.wakers.iter_mut();
        let found = wakers.find(|(other, _)| *other == number);
        if let Some((_, place)) = found {
            place.clone_from(waker);
            return true;
        }
        false
    }

    fn remove(&self, number: u64) {
        let mut list = lock_std(&self.list);
        let found = list.wakers.iter().position(|(other, _)| *other == number);
        let removed = found.map(|index| list.wakers.swap_remove(index));
        drop(list);
        if removed.is_some() {
            self.n_waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Future for Quiescent {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((shared, number)) = &self.place {
            if shared.quiescent.is_waiting(*number, cx.waker()) {
                wait::goes_on(WaitKind::Quiet, 0);
                return Poll::Pending;
            }
            return Poll::Ready(());
        }
        let Some(shared) = context::runtime() else {
            panic!(
                "rt::test::quiescent was polled outside a runtime: {}",
                crate::NO_RUNTIME
            );
        };
        let number = shared.quiescent.add(cx.waker().clone());
        self.place = Some((shared, number));
        wait::begins(WaitKind::Quiet, 0);
        Poll::Pending
    }
}

impl Drop for Quiescent {
    fn drop(&mut self) {
        if let Some((shared, number)) = &self.place {
            shared.quiescent.remove(*number);
        }
    }
}

impl std::fmt::Debug for Quiescent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quiescent")
            .field("is_registered", &self.place.is_some())
            .finish_non_exhaustive()
    }
}
