//! What the primitives and the pools tell about themselves.

use std::sync::{Arc, mpsc};

use crate::support::{self, each_size};
use rt::sync::{Event, Mutex, Queue, Semaphore};
use rt::test::quiescent;

/// N11: each line of a queue is counted, and a cancelled waiter is counted no more.
#[test]
fn n11_a_queue_tells_who_waits_for_what() {
    each_size(|runtime| {
        runtime.block_on(async {
            let queue = Queue::bounded(1);
            let getters = [0, 1].map(|_| {
                let queue = queue.clone();
                rt::spawn(async move { queue.get().await })
            });
            quiescent().await;
            assert_eq!(queue.stats().n_waiting_get, 2);
            let [first, second] = getters;
            first.cancel();
            assert!(first.await.unwrap_err().is_cancelled());
            assert_eq!(queue.stats().n_waiting_get, 1);
            queue.put(1).await.unwrap();
            assert_eq!(second.await.unwrap(), Ok(1));
            queue.put(2).await.unwrap();
            let putter = rt::spawn({
                let queue = queue.clone();
                async move { queue.put(3).await }
            });
            let joiner = rt::spawn({
                let queue = queue.clone();
                async move { queue.join().await }
            });
            quiescent().await;
            let stats = queue.stats();
            assert_eq!((stats.len, stats.capacity), (1, Some(1)));
            assert_eq!((stats.n_waiting_put, stats.n_waiting_join), (1, 1));
            assert_eq!(stats.n_unfinished, 2, "items 1 and 2; 3 is not in it");
            assert!(!stats.is_shut_down);
            queue.shutdown();
            assert!(putter.await.unwrap().is_err());
            let stats = queue.stats();
            assert!(stats.is_shut_down && stats.n_waiting_put == 0);
            joiner.cancel();
        });
    });
}

/// N11.
#[test]
fn n11_locks_tell_who_holds_them_and_how_many_wait() {
    each_size(|runtime| {
        runtime.block_on(async {
            let mutex = Arc::new(Mutex::new(()));
            let semaphore = Arc::new(Semaphore::new(3));
            let event = Arc::new(Event::new());
            let held = (mutex.lock().await, semaphore.acquire_many(2).await.unwrap());
            let tasks = [0, 1].map(|_| {
                let (mutex, semaphore, event) = (mutex.clone(), semaphore.clone(), event.clone());
                rt::spawn(async move {
                    rt::join!(
                        async { drop(mutex.lock().await) },
                        async { drop(semaphore.acquire_many(3).await) },
                        event.wait(),
                    );
                })
            });
            quiescent().await;
            assert!(mutex.stats().is_locked);
            assert_eq!(mutex.stats().n_waiting, 2);
            assert_eq!(semaphore.stats().n_waiting, 2);
            assert_eq!(event.stats().n_waiting, 2);
            drop(held);
            event.set();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(!mutex.stats().is_locked && event.stats().is_set);
            assert_eq!(mutex.stats().n_waiting, 0);
            let stats = semaphore.stats();
            assert_eq!((stats.n_available, stats.n_waiting), (3, 0));
        });
    });
}

/// N11, S0-17: the depth of the queue for blocking threads.
#[test]
fn n11_the_blocking_pool_tells_how_many_jobs_wait() {
    let runtime = support::builder(2).blocking_threads(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let first = runtime.spawn_blocking(move || released.recv());
    let second = runtime.spawn_blocking(|| ());
    while runtime.metrics().n_blocking_queued != 1 {
        std::thread::yield_now();
    }
    let metrics = runtime.metrics();
    assert_eq!((metrics.n_blocking, metrics.n_blocking_threads), (2, 1));
    release.send(()).unwrap();
    runtime.block_on(async { (first.await.unwrap().unwrap(), second.await.unwrap()) });
    assert_eq!(runtime.metrics().n_blocking_queued, 0);
}
