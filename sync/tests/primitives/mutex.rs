//! The mutex: one at a time, in order, handed over without a gap, and never stuck.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::Mutex;

/// M1.
#[test]
fn m1_the_lock_goes_round_in_the_order_of_waiting() {
    let mutex = Mutex::new(());
    let log = Log::default();
    let held = mutex.try_lock().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|n| named(mutex.lock(), n, &log)).collect();
    waiters.iter_mut().for_each(|waiter| waiter.pending());
    drop(held);
    for waiter in &mut waiters {
        drop(waiter.ready());
    }
    assert_eq!(*log.lock().unwrap(), [0, 1, 2]);
}

/// M1: no window in which a newcomer could slip in.
#[test]
fn m1_a_lock_that_is_being_handed_over_is_not_free() {
    let mutex = Mutex::new(());
    let held = mutex.try_lock().unwrap();
    let mut first = waiting(mutex.lock());
    drop(held);
    assert_eq!(first.wakes(), 1);
    assert!(mutex.try_lock().is_none());
    let mut newcomer = waiting(mutex.lock());
    drop(first.ready());
    drop(newcomer.ready());
    assert!(mutex.try_lock().is_some());
}

/// M2.
#[test]
fn m2_a_waiter_dropped_after_it_was_handed_the_lock_passes_it_on() {
    let mutex = Mutex::new(());
    let held = mutex.try_lock().unwrap();
    let first = waiting(mutex.lock());
    let mut second = waiting(mutex.lock());
    drop(held);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    drop(second.ready());
    assert!(!mutex.is_locked());
}

/// M2.
#[test]
fn m2_a_waiter_dropped_in_line_leaves_no_trace() {
    let mutex = Mutex::new(());
    let held = mutex.try_lock().unwrap();
    let first = waiting(mutex.lock());
    let middle = waiting(mutex.lock());
    let mut last = waiting(mutex.lock());
    drop(middle);
    drop(first);
    drop(held);
    drop(last.ready());
    let held = mutex.try_lock().unwrap();
    drop(waiting(mutex.lock()));
    drop(held);
    assert!(mutex.try_lock().is_some());
}

/// M3: whoever has the guard may unlock, in any thread.
#[test]
fn m3_a_guard_unlocks_from_another_thread() {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || drop(guard));
    });
    assert_eq!(mutex.into_inner(), 1);
}

/// M5.
#[test]
fn m5_a_panic_unlocks_and_poisons_nothing() {
    let mutex = Mutex::new(1);
    let mut waiter = polled(mutex.lock());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = block_on(mutex.lock());
        waiter.pending();
        *guard = 2;
        panic!("while it is locked");
    }));
    assert!(panic.is_err());
    assert_eq!(*waiter.ready(), 2);
}

/// M1: a future may be polled by another task than before.
#[test]
fn m1_the_latest_waker_is_the_one_that_is_woken() {
    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.try_lock().unwrap();
    let mut lock = Box::pin(mutex.lock());
    let mut first = polled(futures_lite::future::poll_fn(|cx| lock.as_mut().poll(cx)));
    first.pending();
    let early = first.wakes();
    let _ = first;
    let mut second = polled(futures_lite::future::poll_fn(|cx| lock.as_mut().poll(cx)));
    second.pending();
    drop(held);
    assert_eq!((early, second.wakes()), (0, 1));
}

/// M1: the owned forms stand in the same line.
#[test]
fn m1_owned_and_borrowed_locks_share_one_line() {
    let mutex = Arc::new(Mutex::new(()));
    let held = Arc::clone(&mutex).try_lock_owned().unwrap();
    let mut first = waiting(Arc::clone(&mutex).lock_owned());
    let mut second = waiting(mutex.lock());
    drop(held);
    second.pending();
    drop(first.ready());
    drop(second.ready());
    let dropped = Arc::clone(&mutex).lock_owned();
    drop(dropped);
    assert_eq!(
        Arc::strong_count(&mutex),
        1,
        "`first` returned its handle with the guard"
    );
}

/// M1: the value is protected, by tasks and plain threads alike.
#[test]
fn m1_no_update_is_lost_between_tasks_and_threads() {
    const ROUNDS: u32 = 5_000;
    let mutex = Mutex::new(0);
    std::thread::scope(|threads| {
        for n in 0..4 {
            let mutex = &mutex;
            threads.spawn(move || {
                for _ in 0..ROUNDS {
                    if n % 2 == 0 {
                        *mutex.lock_blocking() += 1;
                    } else {
                        block_on(async { *mutex.lock().await += 1 });
                    }
                }
            });
        }
    });
    assert_eq!(mutex.into_inner(), 4 * ROUNDS);
}

/// M2: chaos: locks taken, waited for and given up at every point; the lock is never stuck, never shared.
#[test]
fn m2_the_lock_is_never_stuck_when_waiters_give_up_anywhere() {
    let mutex = Mutex::new((0_u64, false));
    let entered = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|threads| {
        for seed in 1..=4 {
            let (mutex, entered) = (&mutex, &entered);
            threads.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..25_000 {
                    let Some(mut guard) = poll_then_drop(mutex.lock(), random.below(4)) else {
                        continue;
                    };
                    assert!(!guard.1, "two hold the lock");
                    guard.1 = true;
                    if random.below(16) == 0 {
                        std::thread::yield_now();
                    }
                    guard.0 += 1;
                    guard.1 = false;
                    entered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    assert!(mutex.try_lock().is_some(), "the lock is stuck");
    assert_eq!(mutex.into_inner().0, entered.into_inner());
}
