//! The semaphore: permits in order, none lost, none invented.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::{Semaphore, TryAcquireError};

/// P1.
#[test]
fn p1_permits_are_granted_in_the_order_of_waiting() {
    let semaphore = Semaphore::new(0);
    let log = Log::default();
    let mut waiters: Vec<_> = (0..3)
        .map(|n| named(semaphore.acquire(), n, &log))
        .collect();
    waiters.iter_mut().for_each(|waiter| waiter.pending());
    semaphore.add_permits(2).unwrap();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    waiters[2].pending();
    drop(waiters[1].ready());
    assert_eq!(*log.lock().unwrap(), [0, 1, 2]);
}

/// P1: while a permit is being handed over, it is not to be had.
#[test]
fn p1_a_permit_that_is_being_handed_over_is_not_free() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut waiter = waiting(semaphore.acquire());
    drop(held);
    assert_eq!(semaphore.available(), 0);
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::NoPermits
    );
    drop(waiter.ready());
    assert_eq!(semaphore.available(), 1);
}

/// P1: a large request at the front is not overtaken.
#[test]
fn p1_small_requests_do_not_overtake_a_large_one() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    let mut large = waiting(semaphore.acquire_many(2));
    assert!(
        semaphore.try_acquire().is_err(),
        "one is free, but meant for the front"
    );
    let mut small = waiting(semaphore.acquire());
    drop(held);
    let both = large.ready().unwrap();
    small.pending();
    drop(both);
    assert_eq!(small.ready().unwrap().count(), 1);
}

/// P1: when the large request at the front gives up, those behind it are served.
#[test]
fn p1_giving_up_at_the_front_serves_those_behind() {
    let semaphore = Semaphore::new(1);
    let large = waiting(semaphore.acquire_many(2));
    let mut small = waiting(semaphore.acquire());
    drop(large);
    assert_eq!(small.wakes(), 1);
    drop(small.ready());
    assert!(semaphore.try_acquire().is_ok());
}

/// P2: all of the permits go on, not only one.
#[test]
fn p2_permits_granted_to_a_dropped_waiter_go_to_the_next() {
    let semaphore = Semaphore::new(0);
    let large = waiting(semaphore.acquire_many(3));
    let mut others: Vec<_> = (0..3).map(|_| waiting(semaphore.acquire())).collect();
    semaphore.add_permits(3).unwrap();
    assert_eq!(large.wakes(), 1);
    drop(large);
    let permits: Vec<_> = others.iter_mut().map(|other| other.ready()).collect();
    assert_eq!(semaphore.available(), 0);
    drop(permits);
    assert_eq!(semaphore.available(), 3);
}

/// P3.
#[test]
fn p3_a_bounded_semaphore_refuses_permits_beyond_its_bound() {
    let semaphore = Semaphore::bounded(2);
    let out = semaphore.try_acquire_many(2).unwrap();
    assert!(
        semaphore.add_permits(1).is_err(),
        "two are out and will come back"
    );
    drop(out);
    semaphore.try_acquire().unwrap().forget();
    semaphore.add_permits(1).unwrap();
    assert_eq!(semaphore.available(), 2);
}

/// P3.
#[test]
fn p3_permits_too_many_are_an_error_and_never_wrap_around() {
    let error = Semaphore::bounded(1).add_permits(1).unwrap_err();
    assert_eq!(error.to_string(), "the semaphore has at most 1 permits");
    let semaphore = Semaphore::new(1);
    assert!(semaphore.add_permits(Semaphore::MAX_PERMITS).is_err());
    assert!(semaphore.add_permits(usize::MAX).is_err());
    assert_eq!(semaphore.available(), 1);
}

/// P4.
#[test]
fn p4_available_counts_what_is_free() {
    let semaphore = Semaphore::new(3);
    let one = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.available(), 2);
    one.forget();
    assert_eq!(semaphore.available(), 2);
    semaphore.add_permits(4).unwrap();
    assert_eq!(semaphore.available(), 6);
}

/// P1: closing tells those who wait and those who come; permits that are out stay good.
#[test]
fn p1_closing_refuses_waiters_and_newcomers() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.try_acquire().unwrap();
    let mut waiter = waiting(semaphore.acquire());
    let mut owned = waiting(Arc::clone(&semaphore).acquire_owned());
    semaphore.close();
    semaphore.close();
    assert!(waiter.ready().is_err());
    assert!(owned.ready().is_err());
    assert!(polled(semaphore.acquire()).ready().is_err());
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::Closed
    );
    drop(held);
    assert_eq!(semaphore.available(), 1);
}

/// P2: what was granted before closing is still a permit, or goes back.
#[test]
fn p2_a_grant_from_before_closing_counts() {
    let semaphore = Semaphore::new(0);
    let mut first = waiting(semaphore.acquire());
    let second = waiting(semaphore.acquire());
    semaphore.add_permits(2).unwrap();
    semaphore.close();
    assert!(first.ready().is_ok());
    drop(second);
    assert_eq!(semaphore.available(), 2);
}

/// P5: never more inside than there are permits, from tasks and threads.
#[test]
fn p5_no_more_are_inside_than_there_are_permits() {
    let semaphore = Semaphore::new(2);
    let inside = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for n in 0..4 {
            let (semaphore, inside) = (&semaphore, &inside);
            threads.spawn(move || {
                for _ in 0..2_000 {
                    let permit = if n % 2 == 0 {
                        semaphore.acquire_blocking()
                    } else {
                        block_on(semaphore.acquire())
                    };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit.unwrap());
                }
            });
        }
    });
    assert_eq!(semaphore.available(), 2);
}

/// P2: chaos: requests of different sizes given up anywhere; the permits are all there in the end.
#[test]
fn p2_permits_are_conserved_when_waiters_give_up_anywhere() {
    const PERMITS: usize = 5;
    let semaphore = Semaphore::new(PERMITS);
    let out = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for seed in 1..=4 {
            let (semaphore, out) = (&semaphore, &out);
            threads.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..25_000 {
                    let n_permits = random.below(PERMITS as u64 + 1) as usize;
                    let request = semaphore.acquire_many(n_permits);
                    let Some(permit) = poll_then_drop(request, random.below(4)) else {
                        continue;
                    };
                    let before = out.fetch_add(n_permits, Ordering::SeqCst);
                    assert!(before + n_permits <= PERMITS, "permits were invented");
                    if random.below(16) == 0 {
                        std::thread::yield_now();
                    }
                    out.fetch_sub(n_permits, Ordering::SeqCst);
                    drop(permit.unwrap());
                }
            });
        }
    });
    assert_eq!(semaphore.available(), PERMITS);
    assert!(
        semaphore.try_acquire_many(PERMITS).is_ok(),
        "the line is stuck"
    );
}
