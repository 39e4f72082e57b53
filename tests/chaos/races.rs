//! Cancellation against completion in orders drawn from seeds: nothing is lost, nothing is given twice.
//!
//! The same laws as in `cancel_races.rs`. There real threads race, so that it finds what only the memory model
//! allows; here the order is drawn, with steals, yields and wake-ups for no reason, so that it finds what
//! needs an unlikely order, and finds it again.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, Count, must_end};
use rt::JoinHandle;
use rt::sync::{Barrier, Condvar, Event, Mutex, OnceCell, Queue, Semaphore, oneshot, promise};
use rt::test::Chaos;

/// One hundred thousand rounds of each race (a quarter of them in debug builds), a hundred in each order.
const ROUNDS_OF_A_RUN: u64 = 100;
const RUNS: u64 = if cfg!(debug_assertions) { 250 } else { 1_000 };

/// Runs a race so many times in each of so many orders.
fn race<F>(name: &'static str, round: impl Fn(u64) -> F + Send + Copy + 'static)
where
    F: Future<Output = ()> + Send,
{
    must_end(name, move || {
        Chaos::new().runs(RUNS).run(|| async move {
            for number in 0..ROUNDS_OF_A_RUN {
                round(number).await;
            }
        });
    });
}

/// Cancels a task from another one.
fn cancel<T: Send + 'static>(task: &JoinHandle<T>) -> JoinHandle<bool> {
    let handle = task.cancel_handle();
    rt::spawn(async move { handle.cancel() })
}

/// C2: one sender, one receiver, one canceller: sent is received, or still queued, or came back to the sender.
#[test]
fn c2_chaos_a_queue_conserves_its_items() {
    race("queue", |_| async {
        let queue = Queue::bounded(1);
        let sender = rt::spawn({
            let queue = queue.clone();
            async move {
                let mut sent = 0;
                for item in 0..3 {
                    match queue.put(item).await {
                        Ok(()) => sent += 1,
                        Err(back) => assert_eq!(back.into_inner(), item),
                    }
                }
                sent
            }
        });
        let received = Count::default();
        let receiver = rt::spawn({
            let (queue, received) = (queue.clone(), received.clone());
            async move {
                while let Ok(_item) = queue.get().await {
                    received.add();
                }
            }
        });
        let canceller = cancel(&receiver);
        let cancelled = receiver.await;
        canceller.await.unwrap();
        assert!(cancelled.unwrap_err().is_cancelled());
        let left = queue.shutdown_now();
        let sent = sender.await.unwrap();
        assert_eq!(sent, received.get() + left.len());
    });
}

/// C2: a value that was sent is received, or came back to the sender, or was dropped with the channel.
#[test]
fn c2_chaos_a_oneshot_gives_its_value_once() {
    race("oneshot", |_| async {
        let dropped = Count::default();
        let value = dropped.on_drop();
        let (sender, receiver) = oneshot::channel();
        let receiver = rt::spawn(receiver);
        let sender = rt::spawn(async move { sender.send(value) });
        let canceller = cancel(&receiver);
        match (receiver.await, sender.await.unwrap()) {
            (Ok(value), Ok(())) => drop(value.unwrap()),
            (Err(error), Err(_value)) => assert!(error.is_cancelled()),
            (Err(error), Ok(())) => assert!(error.is_cancelled()),
            (Ok(_), Err(_)) => panic!("received and given back"),
        }
        canceller.await.unwrap();
        assert_eq!(dropped.get(), 1);
    });
}

/// C2: whoever of many gives up, the others have the value, or learn that none will come.
#[test]
fn c2_chaos_a_promise_reaches_all_who_stay() {
    race("promise", |number| async move {
        let is_kept = number % 2 == 0;
        let dropped = Count::default();
        let value = Arc::new(dropped.on_drop());
        let (promise, future) = promise();
        let waiting = [0; 3].map(|_| rt::spawn(future.clone()));
        drop(future);
        let setter = rt::spawn(async move {
            if is_kept {
                promise.set(value);
            }
        });
        let quitter = number as usize % 3;
        let canceller = cancel(&waiting[quitter]);
        for (place, task) in waiting.into_iter().enumerate() {
            match task.await {
                Ok(outcome) => assert_eq!(outcome.is_ok(), is_kept),
                Err(error) => assert!(error.is_cancelled() && place == quitter),
            }
        }
        setter.await.unwrap();
        canceller.await.unwrap();
        assert_eq!(dropped.get(), 1);
    });
}

/// C2: whoever of many gives up, making the value or waiting for it, one of the others makes it, and only one.
#[test]
fn c2_chaos_a_cell_is_filled_by_one_who_stays() {
    race("cell", |number| async move {
        let cell = Arc::new(OnceCell::new());
        let tasks: Vec<_> = (0..3)
            .map(|index| {
                let cell = cell.clone();
                rt::spawn(async move {
                    let make = async || {
                        rt::yield_now().await;
                        (index + number % 4 != 3).then_some(index).ok_or("failed")
                    };
                    cell.get_or_try_init(make).await.copied()
                })
            })
            .collect();
        let canceller = cancel(&tasks[number as usize % 3]);
        let mut values = Vec::new();
        for task in tasks {
            match task.await {
                Ok(Ok(value)) => values.push(value),
                Ok(Err(error)) => assert_eq!(error, "failed"),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        canceller.await.unwrap();
        assert!(!values.is_empty(), "nobody made the value");
        assert!(values.iter().all(|value| Some(value) == cell.get()));
        assert_eq!(cell.stats().n_waiting, 0);
    });
}

/// C2: a cancelled waiter passes on what it was granted.
#[test]
fn c2_chaos_a_semaphore_keeps_its_permits() {
    race("semaphore", |number| async move {
        let semaphore = Arc::new(Semaphore::new(2));
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let semaphore = semaphore.clone();
                rt::spawn(async move {
                    let _permits = semaphore.acquire_many(1 + index % 2).await.unwrap();
                    rt::yield_now().await;
                })
            })
            .collect();
        let canceller = cancel(&tasks[number as usize % 4]);
        for task in tasks {
            let _ = task.await;
        }
        canceller.await.unwrap();
        assert_eq!(semaphore.available(), 2);
    });
}

/// C2: the lock is never held by nobody, whoever is cancelled while it is handed over.
#[test]
fn c2_chaos_a_mutex_is_never_stuck() {
    race("mutex", |number| async move {
        let lock = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let lock = lock.clone();
                rt::spawn(async move {
                    let mut count = lock.lock().await;
                    let before = *count;
                    rt::yield_now().await;
                    *count = before + 1;
                })
            })
            .collect();
        let canceller = cancel(&tasks[number as usize % 4]);
        let mut n_through = 0;
        for task in tasks {
            n_through += usize::from(task.await.is_ok());
        }
        canceller.await.unwrap();
        assert_eq!(*lock.lock().await, n_through, "an update was lost");
    });
}

/// E1: whoever waits when an event is set goes on, even if it is cleared at once.
#[test]
fn e1_chaos_a_pulse_reaches_everyone_who_waits() {
    race("event", |_| async {
        let event = Arc::new(Event::new());
        let ready = Count::default();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (event, ready) = (event.clone(), ready.clone());
                rt::spawn(async move {
                    let mut wait = std::pin::pin!(event.wait());
                    if support::poll_once(&mut wait).is_pending() {
                        ready.add();
                        wait.await;
                    }
                })
            })
            .collect();
        while ready.get() < 3 {
            rt::yield_now().await;
        }
        event.set();
        event.clear();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// V3: of two waiters one is cancelled while one is notified: exactly one notification arrives, and the lock is free.
#[test]
fn v3_chaos_a_notification_outlives_its_waiter() {
    race("condvar", |_| async {
        let shared = Arc::new((Mutex::new(()), Condvar::new()));
        let [victim, stayer] = [(); 2].map(|()| {
            let shared = shared.clone();
            rt::spawn(async move {
                let (mutex, condvar) = &*shared;
                drop(condvar.wait(mutex.lock().await).await);
            })
        });
        while shared.1.stats().n_waiting < 2 {
            rt::yield_now().await;
        }
        let notifier = rt::spawn({
            let shared = shared.clone();
            async move { shared.1.notify_one() }
        });
        let canceller = cancel(&victim);
        let has_victim_returned = victim.await.is_ok();
        notifier.await.unwrap();
        canceller.await.unwrap();
        if has_victim_returned {
            assert_eq!(shared.1.stats().n_waiting, 1, "one notification, two woken");
            shared.1.notify_one();
        }
        stayer.await.unwrap();
        assert!(!shared.0.is_locked());
    });
}

/// B1, B2: four meet in pairs, and one of them is cancelled: nobody is in two pairs, and nobody waits for one who
/// has left.
#[test]
fn b1_b2_chaos_a_barrier_counts_who_is_there() {
    race("barrier", |_| async {
        let barrier = Arc::new(Barrier::new(NonZeroUsize::new(2).unwrap()));
        let [victim, stayers @ ..] = [(); 4].map(|()| {
            let barrier = barrier.clone();
            rt::spawn(async move { barrier.wait().await.unwrap().index })
        });
        let canceller = cancel(&victim);
        let mut indices: Vec<usize> = victim.await.into_iter().collect();
        canceller.await.unwrap();
        let n_through = || stayers.iter().filter(|task| task.is_finished()).count();
        while n_through() < 3 {
            // Without the victim the last of the others may be alone.
            if n_through() == 2 && barrier.waiting() == 1 {
                indices.push(barrier.wait().await.unwrap().index);
            }
            rt::yield_now().await;
        }
        for stayer in stayers {
            indices.push(stayer.await.unwrap());
        }
        indices.sort();
        // Three, if the victim was dropped on its way out and took its index along.
        let expected: &[&[usize]] = &[&[0, 0, 1, 1], &[0, 0, 1], &[0, 1, 1]];
        assert!(expected.contains(&&*indices), "{indices:?}");
        assert_eq!(barrier.waiting(), 0);
    });
}

/// W5: of a value, a deadline and a cancellation in the same moment exactly one is seen.
#[test]
fn w5_chaos_a_value_a_deadline_and_a_cancellation_have_one_outcome() {
    race("timeout", |_| async {
        let tick = Duration::from_millis(1);
        let dropped = Count::default();
        let value = dropped.on_drop();
        let (sender, receiver) = oneshot::channel();
        let waiter = rt::spawn(rt::timeout(tick, receiver));
        let sender = rt::spawn(async move {
            rt::sleep(tick).await;
            sender.send(value).is_ok()
        });
        let handle = waiter.cancel_handle();
        let canceller = rt::spawn(async move {
            rt::sleep(tick).await;
            handle.cancel()
        });
        let was_received = matches!(waiter.await, Ok(Ok(Ok(_))));
        let was_sent = sender.await.unwrap();
        assert!(was_sent || !was_received, "received what was not sent");
        canceller.await.unwrap();
        assert_eq!(dropped.get(), 1);
    });
}
