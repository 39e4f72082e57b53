//! Notifications: one is kept and never lost, those for all reach everyone who waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::Notify;

#[test]
fn one_notification_is_kept_and_not_two() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    assert!(notify.stats().has_permit);
    polled(notify.notified()).ready();
    waiting(notify.notified());
}

#[test]
fn notifications_go_in_the_order_of_waiting() {
    let notify = Notify::new();
    let log = Log::default();
    let mut waiters: Vec<_> = (0..3).map(|n| named(notify.notified(), n, &log)).collect();
    waiters.iter_mut().for_each(|waiter| waiter.pending());
    notify.notify_one();
    notify.notify_one();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    assert!(!notify.stats().has_permit, "both went to waiters");
    waiters[2].pending();
    notify.notify_one();
    waiters.iter_mut().for_each(|waiter| waiter.ready());
}

/// Rule T: the next in line gets what a dropped waiter had in hand.
#[test]
fn a_notified_future_that_is_dropped_passes_it_on() {
    let notify = Notify::new();
    let first = waiting(notify.notified());
    let mut second = waiting(notify.notified());
    notify.notify_one();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    second.ready();
    assert!(!notify.stats().has_permit);
}

/// Rule T: with nobody in line it is kept.
#[test]
fn a_notification_whose_last_waiter_is_dropped_is_kept() {
    let notify = Notify::new();
    let only = waiting(notify.notified());
    notify.notify_one();
    drop(only);
    assert!(notify.stats().has_permit);
    polled(notify.notified()).ready();
    drop(waiting(notify.notified()));
    notify.notify_one();
    polled(notify.notified()).ready();
}

#[test]
fn notifying_all_reaches_who_has_called_and_nobody_later() {
    let notify = Notify::new();
    let log = Log::default();
    let mut in_line = [0, 1].map(|n| named(notify.notified(), n, &log));
    in_line.iter_mut().for_each(|waiter| waiter.pending());
    let mut not_polled = polled(notify.notified());
    notify.notify_waiters();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    in_line.iter_mut().for_each(|waiter| waiter.ready());
    not_polled.ready();
    let late = waiting(notify.notified());
    drop(late);
    assert!(!notify.stats().has_permit, "nothing is kept");
    notify.notify_all();
    waiting(notify.notified());
}

/// A future that is let go by a notification for all leaves the kept one to others.
#[test]
fn a_notification_for_all_does_not_use_up_the_one_that_is_kept() {
    let notify = Notify::new();
    let mut before = polled(notify.notified());
    notify.notify_one();
    notify.notify_waiters();
    before.ready();
    assert!(notify.stats().has_permit);
    polled(notify.notified()).ready();
}

/// Rule T: one that came for all has nothing to pass on.
#[test]
fn a_future_dropped_after_all_were_notified_keeps_nothing_for_others() {
    let notify = Notify::new();
    let first = waiting(notify.notified());
    notify.notify_waiters();
    drop(first);
    assert!(!notify.stats().has_permit);
    waiting(notify.notified());
}

#[test]
fn it_tells_what_it_keeps_and_who_waits() {
    let notify = Notify::default();
    let waiter = waiting(notify.notified());
    assert_eq!(
        format!("{notify:?}"),
        "Notify { has_permit: false, waiting: 1 }"
    );
    drop(waiter);
    assert_eq!(notify.stats().n_waiting, 0);
}

/// Work is announced by one thread and fetched by others, some of which give up: none is left lying.
#[test]
fn no_notification_is_lost_when_waiters_give_up_anywhere() {
    const JOBS: usize = 20_000;
    let notify = Notify::new();
    let (open, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let fetch = || {
        let fetched = open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok();
        done.fetch_add(usize::from(fetched), Ordering::SeqCst);
        fetched
    };
    std::thread::scope(|threads| {
        for seed in 1..=2 {
            let (notify, done, fetch) = (&notify, &done, &fetch);
            threads.spawn(move || {
                let mut random = Random::new(seed);
                while done.load(Ordering::SeqCst) < JOBS {
                    if poll_then_drop(notify.notified(), random.below(3)).is_some() {
                        while fetch() {}
                    }
                }
                // Whoever else waits may go.
                notify.notify_one();
            });
        }
        threads.spawn(|| {
            while done.load(Ordering::SeqCst) < JOBS {
                block_on(notify.notified());
                while fetch() {}
            }
            notify.notify_one();
        });
        for _ in 0..JOBS {
            open.fetch_add(1, Ordering::SeqCst);
            notify.notify_one();
        }
    });
    assert_eq!((open.into_inner(), done.into_inner()), (0, JOBS));
    assert_eq!(notify.stats().n_waiting, 0);
}

/// A round of notifications for all against threads that wait: each reaches all who were there.
#[test]
fn no_notification_for_all_is_missed() {
    const WAITERS: usize = 3;
    const ROUNDS: usize = 2_000;
    let notify = Notify::new();
    let start = std::sync::Barrier::new(WAITERS + 1);
    let ready = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..WAITERS {
            threads.spawn(|| {
                for _ in 0..ROUNDS {
                    start.wait();
                    let notified = notify.notified();
                    ready.fetch_add(1, Ordering::SeqCst);
                    block_on(notified);
                }
            });
        }
        for round in 1..=ROUNDS {
            start.wait();
            while ready.load(Ordering::SeqCst) < round * WAITERS {
                std::thread::yield_now();
            }
            notify.notify_waiters();
        }
    });
}
