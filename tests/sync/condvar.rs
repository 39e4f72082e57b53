//! The condition variable among tasks: what cancellation, timeouts and workers do to it. Its rules one by one are in
//! `sync/tests/primitives/condvar.rs`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use crate::support::{Count, Flag, each_body, ms};
use rt::sync::{Condvar, Mutex};
use rt::test::quiescent;

/// V2, V3: a cancelled waiter gives its notification to the next, also when it waits for the lock already.
#[test]
fn v2_v3_a_waiter_cancelled_while_it_locks_passes_its_notification_on() {
    each_body(|| async {
        let shared = Arc::new((Mutex::new(()), Condvar::new()));
        let mut tasks = Vec::new();
        for _ in 0..2 {
            let shared = shared.clone();
            tasks.push(rt::spawn(async move {
                let (mutex, condvar) = &*shared;
                drop(condvar.wait(mutex.lock().await).await);
            }));
            quiescent().await;
        }
        let (mutex, condvar) = &*shared;
        let held = mutex.lock().await;
        condvar.notify_one();
        quiescent().await;
        assert_eq!((mutex.stats().n_waiting, condvar.stats().n_waiting), (1, 1));
        let [first, second] = tasks.try_into().expect("there are two");
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(condvar.stats().n_waiting, 0, "the second is notified");
        drop(held);
        second.await.unwrap();
        assert!(!mutex.is_locked());
    });
}

/// V5: a wait that times out leaves the line, and the lock free.
#[test]
fn v5_a_wait_can_time_out() {
    each_body(|| async {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let wait = async { drop(condvar.wait(mutex.lock().await).await) };
        assert!(rt::timeout(ms(5), wait).await.is_err());
        assert_eq!(condvar.stats().n_waiting, 0);
        assert!(!mutex.is_locked());
    });
}

/// V6: under a cancellation that cannot take effect yet a wait sleeps: it is not polled again and again.
#[test]
fn v6_a_wait_in_a_shield_sleeps_through_a_cancellation() {
    each_body(|| async {
        let shared = Arc::new((Mutex::new(()), Condvar::new()));
        let (polls, returned) = (Count::default(), Flag::default());
        let task = rt::spawn({
            let (shared, polls, returned) = (shared.clone(), polls.clone(), returned.clone());
            rt::shield(async move {
                let (mutex, condvar) = &*shared;
                let mut wait = pin!(condvar.wait(mutex.lock().await));
                let guard = poll_fn(|cx| {
                    polls.add();
                    wait.as_mut().poll(cx)
                });
                drop(guard.await);
                returned.raise();
            })
        });
        rt::sleep(ms(1)).await;
        task.cancel();
        // A task that spins would keep the clock from jumping.
        rt::sleep(ms(60_000)).await;
        shared.1.notify_one();
        let _ = task.await;
        assert!(returned.is_up());
        assert!(polls.get() <= 4, "polled {} times", polls.get());
    });
}
