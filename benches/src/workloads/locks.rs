//! What do locks, semaphores, events and notifications cost, free and fought over?
//!
//! A fair lock hands itself over in the order of arrival and pays a switch of tasks for it; one that lets
//! newcomers in first looks faster here and may starve a waiter, which no row shows. The locks are held
//! for a few nanoseconds, or for one yield.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::future::poll_once;

use crate::peer::{Bell, Broadcast, Get, Lock, Peer, Permits, Put, SharedLock};
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "mutex_uncontended",
            "a free mutex locked and unlocked",
            MutexUncontended,
        ),
        Case::new(
            "mutex_contended",
            "one of 2,000 locks of 64 tasks",
            MutexContended,
        ),
        Case::new(
            "semaphore_uncontended",
            "a free permit taken and given back",
            SemaphoreUncontended,
        ),
        Case::new(
            "semaphore_contended",
            "one permit of four, taken by one of 64 tasks that yields inside",
            SemaphoreContended,
        ),
        Case::new(
            "rw_lock_uncontended",
            "a free read-write lock taken to read and given back",
            RwLockUncontended,
        ),
        Case::new(
            "rw_lock_contended",
            "one of 1,000 locks of 64 tasks, each eighth to write, held through a yield",
            RwLockContended,
        ),
        Case::new(
            "notify_ping_pong",
            "a round trip of two tasks that notify each other",
            NotifyPingPong,
        ),
        Case::new(
            "broadcast_256",
            "one of 256 waiters released by one event",
            Broadcast256,
        ),
    ]
}

struct MutexUncontended;

impl Workload for MutexUncontended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let locks = scale.of(1_000_000);
        timed_in_task(peer, locks, async move {
            let mutex = P::Lock::new();
            for _ in 0..locks {
                *mutex.lock().await += 1;
            }
            assert_eq!(*mutex.lock().await, locks);
        })
    }
}

struct MutexContended;

impl Workload for MutexContended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 64;
        let each = scale.of(2_000);
        timed_in_task(peer, TASKS * each, async move {
            let mutex = Arc::new(P::Lock::new());
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let mutex = mutex.clone();
                    P::spawn(async move {
                        for _ in 0..each {
                            *mutex.lock().await += 1;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            assert_eq!(*mutex.lock().await, TASKS * each);
        })
    }
}

struct SemaphoreUncontended;

impl Workload for SemaphoreUncontended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let permits = scale.of(1_000_000);
        timed_in_task(peer, permits, async move {
            let semaphore = P::Permits::new(1);
            for _ in 0..permits {
                drop(semaphore.acquire().await);
            }
        })
    }
}

struct SemaphoreContended;

impl Workload for SemaphoreContended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 64;
        const PERMITS: usize = 4;
        let each = scale.of(1_000);
        timed_in_task(peer, TASKS * each, async move {
            let semaphore = Arc::new(P::Permits::new(PERMITS));
            let holders = Arc::new(AtomicUsize::new(0));
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let semaphore = semaphore.clone();
                    let holders = holders.clone();
                    P::spawn(async move {
                        for _ in 0..each {
                            let permit = semaphore.acquire().await;
                            assert!(holders.fetch_add(1, Ordering::Relaxed) < PERMITS);
                            P::yield_now().await;
                            holders.fetch_sub(1, Ordering::Relaxed);
                            drop(permit);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        })
    }
}

struct RwLockUncontended;

impl Workload for RwLockUncontended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let locks = scale.of(1_000_000);
        timed_in_task(peer, locks, async move {
            let lock = P::SharedLock::new();
            *lock.write().await = 1;
            let mut sum = 0;
            for _ in 0..locks {
                sum += *lock.read().await;
            }
            assert_eq!(sum, locks);
        })
    }
}

struct RwLockContended;

impl Workload for RwLockContended {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 64;
        const WRITES: u64 = 8;
        let each = scale.of(1_000);
        timed_in_task(peer, TASKS * each, async move {
            let lock = Arc::new(P::SharedLock::new());
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let lock = lock.clone();
                    P::spawn(async move {
                        let mut written = 0;
                        for n in 0..each {
                            if (task + n) % WRITES == 0 {
                                let mut number = lock.write().await;
                                let before = *number;
                                P::yield_now().await;
                                *number = before + 1;
                                written += 1;
                            } else {
                                let number = lock.read().await;
                                let before = *number;
                                P::yield_now().await;
                                assert_eq!(*number, before, "written while it was read");
                            }
                        }
                        written
                    })
                })
                .collect();
            let mut written = 0;
            for task in tasks {
                written += task.await;
            }
            assert_eq!(*lock.read().await, written);
        })
    }
}

struct NotifyPingPong;

impl Workload for NotifyPingPong {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let trips = scale.of(100_000);
        timed_in_task(peer, trips, async move {
            let bells: Arc<[P::Bell; 2]> = Arc::new([P::Bell::new(), P::Bell::new()]);
            let theirs = bells.clone();
            let other = P::spawn(async move {
                for _ in 0..trips {
                    theirs[0].heard().await;
                    theirs[1].ring();
                }
                trips
            });
            for _ in 0..trips {
                bells[0].ring();
                bells[1].heard().await;
            }
            assert_eq!(other.await, trips);
        })
    }
}

struct Broadcast256;

impl Workload for Broadcast256 {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const WAITERS: usize = 256;
        let rounds = scale.of(400);
        timed_in_task(peer, rounds * WAITERS as u64, async move {
            let events: Arc<[P::Broadcast]> = (0..rounds).map(|_| P::Broadcast::new()).collect();
            let waiting = Arc::new(AtomicUsize::new(0));
            let (all_wait, mut all_waiting) = P::queue(1);
            let tasks: Vec<_> = (0..WAITERS)
                .map(|_| {
                    let (events, waiting, all_wait) =
                        (events.clone(), waiting.clone(), all_wait.clone());
                    P::spawn(async move {
                        for event in events.iter() {
                            let mut wait = pin!(event.wait());
                            let early = poll_once(wait.as_mut()).await;
                            assert!(early.is_none(), "released before the event");
                            // ORDERING(waiters): Release, so that the last has seen this one wait;
                            // ORDERING(waiters): Acquire, in case this is the last.
                            if (waiting.fetch_add(1, Ordering::AcqRel) + 1) % WAITERS == 0 {
                                all_wait.put(()).await;
                            }
                            wait.await;
                        }
                    })
                })
                .collect();
            for event in events.iter() {
                all_waiting
                    .get()
                    .await
                    .expect("the waiters hold the other end");
                event.release();
            }
            for task in tasks {
                task.await;
            }
            assert_eq!(waiting.load(Ordering::Relaxed), rounds as usize * WAITERS);
        })
    }
}
