//! Whatever is given up wherever: each item put is got once, in order, or is still in the queue.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use crate::support::{Random, poll_then_drop, polled};
use futures_lite::future::block_on;
use rt_tasks_sync::Queue;

/// Q2, C2: chaos on both sides of a small queue: sent = received + still queued.
#[test]
fn q2_c2_every_item_is_received_once_or_still_queued() {
    const ROUNDS: usize = 25_000;
    let queue = Queue::bounded(2);
    let n_put = AtomicUsize::new(0);
    let mut received: Vec<usize> = std::thread::scope(|threads| {
        for producer in 0..2_usize {
            let (queue, n_put) = (&queue, &n_put);
            threads.spawn(move || {
                let mut random = Random::new(producer as u64 + 1);
                for n in 0..ROUNDS {
                    let put = queue.put(producer * ROUNDS + n);
                    if let Some(result) = poll_then_drop(put, random.below(4)) {
                        result.unwrap();
                        n_put.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let consumers = [3, 4].map(|seed| {
            let queue = &queue;
            threads.spawn(move || {
                let mut random = Random::new(seed);
                let mut items = vec![];
                for _ in 0..ROUNDS {
                    if let Some(item) = poll_then_drop(queue.get(), random.below(4)) {
                        items.push(item.unwrap());
                    }
                    assert!(queue.len() <= 2, "above its capacity");
                }
                items
            })
        });
        consumers.map(|consumer| consumer.join().unwrap()).concat()
    });
    received.extend(queue.shutdown_now());
    assert_eq!(received.len(), n_put.into_inner());
    let distinct: HashSet<_> = received.iter().collect();
    assert_eq!(distinct.len(), received.len(), "an item was received twice");
    let debug = format!("{queue:?}");
    assert!(
        debug.contains("waiting_getters: 0, waiting_putters: 0"),
        "{debug}"
    );
}

/// Q1, Q2: one producer's items come out in its order, though getters give up all the time.
#[test]
fn q1_q2_order_survives_getters_that_give_up() {
    let queue = Queue::bounded(3);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            (0..50_000).for_each(|n| block_on(queue.put(n)).unwrap());
            queue.shutdown();
        });
        let mut random = Random::new(5);
        let mut next = 0;
        loop {
            match poll_then_drop(queue.get(), random.below(3)) {
                Some(Ok(item)) => {
                    assert_eq!(item, next);
                    next += 1;
                }
                Some(Err(_)) => break,
                None => {}
            }
        }
        assert_eq!(next, 50_000);
    });
}

/// Q5, Q6: shutting down in the middle: each item was got, returned to its putter, or drained.
#[test]
fn q5_q6_shutting_down_in_the_middle_loses_nothing() {
    for round in 0..300 {
        let queue = Queue::bounded(2);
        let mut seen = std::thread::scope(|threads| {
            let producers = [0, 100].map(|base| {
                let queue = &queue;
                threads.spawn(move || {
                    (base..base + 100)
                        .filter_map(|n| queue.put_blocking(n).err())
                        .map(|error| error.into_inner())
                        .collect::<Vec<i32>>()
                })
            });
            let consumers = [(); 2].map(|()| {
                threads.spawn(|| {
                    std::iter::from_fn(|| queue.get_blocking().ok()).collect::<Vec<i32>>()
                })
            });
            (0..round).for_each(|_| std::thread::yield_now());
            let mut seen = queue.shutdown_now();
            for thread in producers.into_iter().chain(consumers) {
                seen.extend(thread.join().unwrap());
            }
            seen
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
    }
}

/// N12: against a model that is plainly right, on one thread: random steps, one answer.
#[test]
fn n12_random_steps_agree_with_a_simple_model() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let capacity = 1 + random.below(3) as usize;
        let queue = Queue::bounded(capacity);
        let (mut puts, mut gets) = (HashMap::new(), HashMap::new());
        let (mut accepted, mut received) = (vec![], vec![]);
        for step in 0..400 {
            match random.below(6) {
                0 => drop(puts.insert(step % 8, (step, polled(queue.put(step))))),
                1 => drop(gets.insert(step % 8, polled(queue.get()))),
                2 => drop(puts.remove(&random.below(8))),
                3 => drop(gets.remove(&random.below(8))),
                4 => {
                    let key = random.below(8);
                    let Some((item, put)) = puts.get_mut(&key) else {
                        continue;
                    };
                    if put.poll().is_ready() {
                        accepted.push(*item);
                        puts.remove(&key);
                    }
                }
                _ => {
                    let key = random.below(8);
                    let Some(get) = gets.get_mut(&key) else {
                        continue;
                    };
                    if let Poll::Ready(item) = get.poll() {
                        received.push(item.unwrap());
                        gets.remove(&key);
                    }
                }
            }
            assert!(queue.len() <= capacity);
            assert_eq!(queue.len(), accepted.len() - received.len());
        }
        drop((puts, gets));
        received.extend(std::iter::from_fn(|| queue.try_get().ok()));
        assert_eq!(received, accepted, "in order, none lost, none doubled");
    }
}
