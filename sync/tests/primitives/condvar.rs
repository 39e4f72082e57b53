//! The condition variable: who is notified returns with the lock, nobody else returns, and no notification is lost.

use std::sync::Arc;
use std::thread;

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::{Condvar, Mutex, MutexGuard, OwnedMutexGuard};

/// V1: waiting gives the lock up and returns with it; the guard says which.
#[test]
fn v1_a_wait_unlocks_and_returns_with_the_lock() {
    let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    let mut wait = polled(condvar.wait(mutex.try_lock().unwrap()));
    assert!(mutex.try_lock().is_none(), "until it is first polled");
    wait.pending();
    *mutex.try_lock().unwrap() += 1;
    condvar.notify_one();
    assert_eq!(wait.wakes(), 1);
    let guard: MutexGuard<'_, u32> = wait.ready();
    assert_eq!(*guard, 2);
    assert!(mutex.try_lock().is_none());
}

/// V1: with an owned guard, too.
#[test]
fn v1_an_owned_guard_comes_back_owned() {
    let (mutex, condvar) = (Arc::new(Mutex::new(1)), Condvar::new());
    let mut wait = waiting(condvar.wait(mutex.clone().try_lock_owned().unwrap()));
    condvar.notify_one();
    let guard: OwnedMutexGuard<u32> = wait.ready();
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

/// V1: notifying needs no lock; with nobody there it is forgotten.
#[test]
fn v1_a_notification_is_not_kept_for_later() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    condvar.notify_one();
    condvar.notify(5);
    condvar.notify_all();
    let mut wait = waiting(condvar.wait(mutex.try_lock().unwrap()));
    wait.pending();
    assert_eq!(wait.wakes(), 0);
}

/// V2: who is dropped at any point does not hold the lock.
#[test]
fn v2_a_dropped_wait_does_not_hold_the_lock() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    drop(polled(condvar.wait(mutex.try_lock().unwrap())));
    assert!(mutex.try_lock().is_some(), "before it was polled");
    drop(waiting(condvar.wait(mutex.try_lock().unwrap())));
    assert!(mutex.try_lock().is_some(), "while it waited");
    assert_eq!(condvar.stats().n_waiting, 0);
    let mut wait = waiting(condvar.wait(mutex.try_lock().unwrap()));
    let holder = mutex.try_lock().unwrap();
    condvar.notify_one();
    wait.pending();
    assert_eq!(mutex.stats().n_waiting, 1, "it stands in the mutex's line");
    drop(holder);
    assert!(mutex.is_locked(), "it was handed over");
    drop(wait);
    assert!(mutex.try_lock().is_some(), "while it locked");
}

/// V3: a waiter that was notified and is dropped, wherever it is, passes the notification on.
#[test]
fn v3_a_notified_waiter_that_is_dropped_passes_it_on() {
    for n_polls in 0..=1 {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut first = waiting(condvar.wait(mutex.try_lock().unwrap()));
        let mut second = waiting(condvar.wait(mutex.try_lock().unwrap()));
        let mut third = waiting(condvar.wait(mutex.try_lock().unwrap()));
        let holder = mutex.try_lock().unwrap();
        condvar.notify_one();
        for _ in 0..n_polls {
            first.pending();
        }
        drop(first);
        assert_eq!((second.wakes(), third.wakes()), (1, 0));
        drop(holder);
        drop(second.ready());
        third.pending();
    }
}

/// V3: it is passed on through any number of waiters that give up, and is then forgotten.
#[test]
fn v3_it_is_passed_on_until_somebody_returns() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let wait = || waiting(condvar.wait(mutex.try_lock().unwrap()));
    let (first, second, mut third) = (wait(), wait(), wait());
    condvar.notify_one();
    drop(first);
    drop(second);
    drop(third.ready());
    let only = wait();
    condvar.notify_one();
    drop(only);
    let mut late = wait();
    late.pending();
}

/// V3: it is not passed on to one who began to wait after it was given: nobody meant that one.
#[test]
fn v3_who_came_later_is_not_woken_for_it() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let wait = || waiting(condvar.wait(mutex.try_lock().unwrap()));
    for notify in [Condvar::notify_one, Condvar::notify_all] {
        let notified = wait();
        notify(&condvar);
        let mut late = wait();
        drop(notified);
        late.pending();
        assert_eq!(late.wakes(), 0);
        condvar.notify_one();
        drop(late.ready());
    }
}

/// V3: a waiter that has returned keeps its notification.
#[test]
fn v3_who_has_returned_passes_nothing_on() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let wait = || waiting(condvar.wait(mutex.try_lock().unwrap()));
    let (mut first, mut second) = (wait(), wait());
    condvar.notify_one();
    drop(first.ready());
    drop(first);
    second.pending();
    assert_eq!(second.wakes(), 0);
}

/// V3: threads that give up anywhere: each notification ends with one who returned, as long as somebody waits.
#[test]
fn v3_no_notification_is_lost_when_waiters_give_up_anywhere() {
    const ITEMS: usize = if cfg!(debug_assertions) {
        2_000
    } else {
        20_000
    };
    let (mutex, condvar) = (Mutex::new(0usize), Condvar::new());
    let take = || async {
        let mut n_items = condvar.wait_while(mutex.lock().await, |n| *n == 0).await;
        *n_items -= 1;
    };
    let taken = thread::scope(|threads| {
        let takers: Vec<_> = (1..=2)
            .map(|seed| {
                threads.spawn(move || {
                    let mut random = Random::new(seed);
                    let attempts = (0..ITEMS / 4).map(|_| poll_then_drop(take(), random.below(4)));
                    attempts.flatten().count()
                })
            })
            .collect();
        let stayer = threads.spawn(move || {
            (0..ITEMS / 2).for_each(|_| block_on(take()));
            ITEMS / 2
        });
        for _ in 0..ITEMS {
            *mutex.lock_blocking() += 1;
            condvar.notify_one();
        }
        let by_takers: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        by_takers + stayer.join().unwrap()
    });
    assert_eq!(mutex.into_inner() + taken, ITEMS);
    assert_eq!(condvar.stats().n_waiting, 0);
}

/// V4: a condition is looked at first, and after each notification.
#[test]
fn v4_wait_while_returns_when_the_condition_no_longer_holds() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let below_two = |n: &mut u32| *n < 2;
    let mut wait = waiting(condvar.wait_while(mutex.try_lock().unwrap(), below_two));
    for n in 1..=2 {
        *mutex.try_lock().unwrap() = n;
        wait.pending();
        assert_eq!(wait.wakes(), n as usize - 1, "nobody has notified it");
        condvar.notify_one();
        if n == 1 {
            wait.pending();
            assert!(!mutex.is_locked(), "it waits again");
        }
    }
    assert_eq!(*wait.ready(), 2);
    let mut at_once = polled(condvar.wait_while(mutex.try_lock().unwrap(), below_two));
    assert_eq!(*at_once.ready(), 2);
}

/// V4: a condition that panics unlocks.
#[test]
fn v4_a_condition_that_panics_unlocks() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let wait = condvar.wait_while(mutex.try_lock().unwrap(), |()| panic!("no"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        polled(wait).poll().map(drop)
    }));
    assert!(caught.is_err() && mutex.try_lock().is_some());
}

/// V5: notifications go to the longest waiting, so many as were asked for.
#[test]
fn v5_notifications_go_in_the_order_of_waiting() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let log = Log::default();
    let mut waits: Vec<_> = (0..6)
        .map(|n| {
            let mut wait = named(condvar.wait(mutex.try_lock().unwrap()), n, &log);
            wait.pending();
            wait
        })
        .collect();
    condvar.notify_one();
    assert_eq!(*log.lock().unwrap(), [0]);
    condvar.notify(2);
    assert_eq!(*log.lock().unwrap(), [0, 1, 2]);
    assert_eq!(condvar.stats().n_waiting, 3);
    condvar.notify_all();
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    waits.iter_mut().for_each(|wait| drop(wait.ready()));
    condvar.notify(usize::MAX);
    assert_eq!(log.lock().unwrap().len(), 6, "each was woken once");
}

/// V5: threads and tasks stand in one line.
#[test]
fn v5_threads_wait_in_the_same_line() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    thread::scope(|threads| {
        let waiter = || *condvar.wait_while_blocking(mutex.lock_blocking(), |n| *n < 3);
        let others = [threads.spawn(waiter), threads.spawn(waiter)];
        let mut guard = mutex.lock_blocking();
        while condvar.stats().n_waiting < 2 {
            drop(guard);
            thread::yield_now();
            guard = mutex.lock_blocking();
        }
        let notifier = threads.spawn(|| {
            *mutex.lock_blocking() = 3;
            condvar.notify_all();
        });
        assert_eq!(*condvar.wait_blocking(guard), 3);
        notifier.join().unwrap();
        assert_eq!(others.map(|other| other.join().unwrap()), [3, 3]);
    });
}

#[test]
fn it_says_how_many_wait() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::default());
    let wait = condvar.wait(mutex.try_lock().unwrap());
    assert_eq!(format!("{wait:?}"), "Wait(Idle)");
    let _wait = waiting(wait);
    assert_eq!(format!("{condvar:?}"), "Condvar { waiting: 1 }");
}
