//! The three kinds of queue keep the same rules (Q9), and differ in which item comes next.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use rt_tasks_sync::{Job, LifoQueue, PriorityQueue, Queue, TryGetError, TryPutError};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};

/// An item that compares by its rank alone.
#[derive(Clone, Copy, Debug)]
struct Item {
    rank: u64,
    id: u64,
}

impl Item {
    /// One with a rank that follows from its number.
    fn new(id: u64) -> Self {
        Self { rank: id % 3, id }
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

/// Where the next item is, among items in the order in which they were put.
type Next = fn(&[Item]) -> usize;

fn first(_: &[Item]) -> usize {
    0
}

fn last(items: &[Item]) -> usize {
    items.len() - 1
}

fn greatest(items: &[Item]) -> usize {
    (0..items.len())
        .min_by_key(|&index| (u64::MAX - items[index].rank, index))
        .unwrap()
}

/// Writes each test once for each kind: as `AnyQueue`, with `NEXT` to say which item comes next.
macro_rules! each_kind {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)+) => {
        each_kind!(fifo: Queue, first => $($(#[$attribute])* fn $name() $body)+);
        each_kind!(lifo: LifoQueue, last => $($(#[$attribute])* fn $name() $body)+);
        each_kind!(ranked: PriorityQueue, greatest => $($(#[$attribute])* fn $name() $body)+);
    };
    ($kind:ident: $queue:ident, $next:ident =>
        $($(#[$attribute:meta])* fn $name:ident() $body:block)+) => {
        mod $kind {
            use super::*;

            type AnyQueue<T> = $queue<T>;
            const NEXT: Next = $next;

            $($(#[$attribute])* #[test] fn $name() $body)+
        }
    };
}

each_kind! {
    /// Q9: against a model that is plainly right, on one thread: random steps with random ends, one answer.
    fn q9_random_steps_agree_with_a_simple_model() {
        for seed in 0..150 {
            let mut random = Random::new(seed);
            let capacity = 1 + random.below(4) as usize;
            let queue = AnyQueue::bounded(capacity);
            let (mut puts, mut gets) = (HashMap::new(), HashMap::new());
            let mut inside: Vec<Item> = vec![];
            for step in 0..400 {
                let key = random.below(6);
                match random.below(6) {
                    0 => drop(puts.insert(key, (Item::new(step), polled(queue.put(Item::new(step)))))),
                    1 => drop(gets.insert(key, polled(queue.get()))),
                    2 => drop(puts.remove(&key)),
                    3 => drop(gets.remove(&key)),
                    4 => {
                        let Some((item, put)) = puts.get_mut(&key) else {
                            continue;
                        };
                        if put.poll().is_ready() {
                            inside.push(*item);
                            puts.remove(&key);
                        }
                    }
                    _ => {
                        let Some(Poll::Ready(item)) = gets.get_mut(&key).map(|get| get.poll()) else {
                            continue;
                        };
                        let expected = inside.remove(NEXT(&inside));
                        assert_eq!(item.unwrap().id, expected.id, "seed {seed}, step {step}");
                        gets.remove(&key);
                    }
                }
                assert!(inside.len() <= capacity);
                assert_eq!(queue.len(), inside.len());
            }
            drop((puts, gets));
            for item in queue.shutdown_now() {
                assert_eq!(item.id, inside.remove(NEXT(&inside)).id);
            }
            assert!(inside.is_empty(), "lost {inside:?}");
            let stats = queue.stats();
            assert_eq!((stats.n_waiting_get, stats.n_waiting_put), (0, 0));
        }
    }

    /// Q9, Q1: a slot that becomes free belongs to the first blocked putter, an item to the first getter.
    fn q9_q1_both_lines_are_served_in_order() {
        let queue = AnyQueue::bounded(1);
        queue.try_put(1).unwrap();
        let log = Log::default();
        let mut putters = [2, 3].map(|n| named(queue.put(n), n, &log));
        putters.iter_mut().for_each(|putter| putter.pending());
        assert_eq!(queue.try_get(), Ok(1));
        assert_eq!(*log.lock().unwrap(), [2]);
        assert_eq!(queue.try_put(9), Err(TryPutError::Full(9)), "the slot is promised");
        putters[0].ready().unwrap();
        assert_eq!(queue.try_get(), Ok(2));
        putters[1].ready().unwrap();
        assert_eq!(queue.try_get(), Ok(3));
        let mut getters = [4, 5].map(|n| named(queue.get(), n, &log));
        getters.iter_mut().for_each(|getter| getter.pending());
        queue.try_put(4).unwrap();
        assert_eq!(*log.lock().unwrap(), [2, 3, 4]);
        assert_eq!(queue.try_get(), Err(TryGetError::Empty), "the item is promised");
        assert_eq!(getters[0].ready(), Ok(4));
        queue.try_put(5).unwrap();
        assert_eq!(getters[1].ready(), Ok(5));
    }

    /// Q9, Q2: what was promised to one who gave up goes to the next in line.
    fn q9_q2_a_promise_that_is_given_up_goes_on() {
        let queue = AnyQueue::bounded(1);
        let getters = (waiting(queue.get()), waiting(queue.get()));
        queue.try_put(1).unwrap();
        drop(getters.0);
        let mut getter = getters.1;
        assert_eq!((getter.wakes(), getter.ready()), (1, Ok(1)));
        queue.try_put(2).unwrap();
        let putters = (waiting(queue.put(3)), waiting(queue.put(4)));
        queue.try_get().unwrap();
        drop(putters.0);
        let mut putter = putters.1;
        assert_eq!(putter.wakes(), 1);
        putter.ready().unwrap();
        assert_eq!(queue.try_get(), Ok(4));
    }

    /// Q9, Q2: chaos on both sides: sent = received + still queued.
    fn q9_q2_every_item_is_received_once_or_still_queued() {
        const ROUNDS: usize = 5_000;
        let queue = AnyQueue::bounded(2);
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
                            n_put.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            let consumers = [3, 4].map(|seed| {
                let queue = &queue;
                threads.spawn(move || {
                    let mut random = Random::new(seed);
                    (0..ROUNDS)
                        .filter_map(|_| poll_then_drop(queue.get(), random.below(4)))
                        .map(|item| item.unwrap())
                        .collect::<Vec<_>>()
                })
            });
            consumers.map(|consumer| consumer.join().unwrap()).concat()
        });
        received.extend(queue.shutdown_now());
        assert_eq!(received.len(), n_put.into_inner());
        received.sort_unstable();
        assert!(received.is_sorted_by(|one, next| one < next), "an item was received twice");
    }

    /// Q9, Q3, Q4: `join` waits for the work, and `task_done` once too often is an error.
    fn q9_q3_q4_work_is_counted() {
        let queue = AnyQueue::unbounded();
        polled(queue.join()).ready();
        (0..2).for_each(|n| queue.try_put(n).unwrap());
        let mut joiners = [waiting(queue.join()), waiting(queue.join())];
        let job: Job<i32> = block_on(queue.take()).unwrap();
        drop(job);
        queue.try_get().unwrap();
        joiners.iter_mut().for_each(|joiner| joiner.pending());
        queue.task_done().unwrap();
        joiners.iter_mut().for_each(|joiner| joiner.ready());
        assert!(queue.task_done().is_err());
    }

    /// Q9, Q5, Q7: what is left can be had; who waits for a slot gets the item back; once more does no harm.
    fn q9_q5_q7_shutting_down_ends_both_sides() {
        let queue = AnyQueue::bounded(1);
        queue.try_put(1).unwrap();
        let mut blocked = waiting(queue.put(2));
        queue.shutdown();
        queue.shutdown();
        assert_eq!(blocked.ready().unwrap_err().into_inner(), 2);
        assert_eq!(queue.try_put(3), Err(TryPutError::ShutDown(3)));
        assert_eq!(block_on(queue.stream().collect::<Vec<_>>()), [1]);
        assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
        let empty = AnyQueue::<u8>::unbounded();
        let mut getter = waiting(empty.get());
        empty.shutdown();
        assert!(getter.ready().is_err());
    }

    /// Q9, Q6: `shutdown_now` gives back what was left, the next item first, and lets `join` go.
    fn q9_q6_shutting_down_now_returns_the_items_in_order() {
        let queue = AnyQueue::unbounded();
        let mut items: Vec<Item> = (0..5).map(Item::new).collect();
        for item in &items {
            queue.try_put(*item).unwrap();
        }
        let mut join = waiting(queue.join());
        for item in queue.shutdown_now() {
            assert_eq!(item.id, items.remove(NEXT(&items)).id);
        }
        assert!(items.is_empty());
        join.ready();
    }

    /// Q9, Q8: the constructors say what the bound is.
    fn q9_q8_the_constructors_say_what_the_bound_is() {
        assert_eq!(AnyQueue::<u8>::bounded(3).capacity(), Some(3));
        let unbounded = AnyQueue::unbounded();
        (0..1_000).for_each(|n| unbounded.try_put(n).unwrap());
        assert_eq!((unbounded.capacity(), unbounded.is_full()), (None, false));
        assert!(std::panic::catch_unwind(|| AnyQueue::<u8>::bounded(0)).is_err());
    }

    /// Q9, N12: the numbers are those of one moment.
    fn q9_n12_stats_say_who_waits() {
        let queue = AnyQueue::bounded(1);
        queue.try_put(1).unwrap();
        let _waiters = (waiting(queue.put(2)), waiting(queue.join()));
        let stats = queue.stats();
        assert_eq!((stats.len, stats.capacity, stats.n_unfinished), (1, Some(1), 1));
        assert_eq!((stats.n_waiting_get, stats.n_waiting_put, stats.n_waiting_join), (0, 1, 1));
        assert!(!stats.is_shut_down);
    }
}

/// Q9: of equal items the first comes first, however many there are, and whatever comes between.
#[test]
fn q9_equal_items_come_out_in_the_order_in_which_they_were_put() {
    let queue = PriorityQueue::unbounded();
    let items = (0..3_000).map(Item::new);
    items.clone().for_each(|item| queue.try_put(item).unwrap());
    let mut expected: Vec<_> = items.collect();
    expected.sort_by_key(|item| std::cmp::Reverse(item.rank));
    for item in expected {
        assert_eq!(queue.try_get().unwrap().id, item.id);
    }
}

/// Q9: a getter that was promised an item takes the greatest there is when it runs.
#[test]
fn q9_a_promise_is_for_the_greatest_when_it_is_redeemed() {
    let queue = PriorityQueue::unbounded();
    let mut getter = waiting(queue.get());
    queue.try_put(1).unwrap();
    queue.try_put(2).unwrap();
    assert_eq!(getter.ready(), Ok(2));
    assert_eq!(queue.try_get(), Ok(1));
}

/// An item that refuses to be compared.
struct Stubborn(bool);

impl Ord for Stubborn {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(!self.0 && !other.0, "compared");
        Ordering::Equal
    }
}

impl PartialOrd for Stubborn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stubborn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Stubborn {}

/// Q9: a comparison that panics has put nothing, and the slot that was promised for it goes to the next.
#[test]
fn q9_a_comparison_that_panics_changes_nothing() {
    let queue = PriorityQueue::bounded(2);
    (0..2).for_each(|_| queue.try_put(Stubborn(false)).ok().unwrap());
    let mut stubborn = waiting(queue.put(Stubborn(true)));
    let mut next = waiting(queue.put(Stubborn(false)));
    assert!(queue.try_get().is_ok());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stubborn.ready()));
    assert!(panic.is_err());
    assert_eq!(next.wakes(), 1);
    next.ready().unwrap();
    assert_eq!((queue.len(), queue.stats().n_unfinished), (2, 3));
}
