//! The queue: items are conserved and the last of them ends the wait.

use loom::thread;
use rt_tasks_runtime::shim::{Arc, Mutex, lock};

use super::{block_on, poll_and_drop};
use crate::Queue;

/// Q1: with one slot, two items and a getter: both pass, in order.
#[test]
fn q1_a_full_queue_passes_everything_in_order() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let producer = queue.clone();
        let thread = thread::spawn(move || {
            for n in 0..2 {
                block_on(producer.put(n)).unwrap();
            }
        });
        assert_eq!(
            [block_on(queue.get()), block_on(queue.get())],
            [Ok(0), Ok(1)]
        );
        thread.join().unwrap();
    });
}

/// Q2: one getter gives up, at whatever moment; the other gets the item.
#[test]
fn q2_an_item_is_not_lost_with_a_getter_that_gives_up() {
    loom::model(|| {
        let queue = Queue::unbounded();
        let (first, second) = (queue.clone(), queue.clone());
        let quitter = thread::spawn(move || poll_and_drop(first.get()).is_some());
        let producer = thread::spawn(move || second.try_put(1).unwrap());
        if !quitter.join().unwrap() {
            assert_eq!(block_on(queue.get()), Ok(1));
        }
        producer.join().unwrap();
        assert_eq!(queue.len(), 0);
    });
}

/// Q5: whoever begins to wait while the queue is shut down hears of it.
#[test]
fn q5_shutdown_misses_nobody() {
    loom::model(|| {
        let queue = Queue::<u8>::bounded(1);
        let other = queue.clone();
        let getter = thread::spawn(move || block_on(other.get()).is_err());
        queue.shutdown();
        assert!(getter.join().unwrap());
    });
}

/// Q4: a joiner that begins to wait while the last work is reported hears of it.
#[test]
fn q4_join_ends_with_the_last_task() {
    loom::model(|| {
        let queue = Queue::unbounded();
        queue.try_put(1).unwrap();
        let worker = queue.clone();
        let thread = thread::spawn(move || {
            block_on(worker.get()).unwrap();
            worker.task_done().unwrap();
        });
        block_on(queue.join());
        thread.join().unwrap();
    });
}

/// Q4: a twin of putting: `(items, unfinished)`, counted before the item is visible or after it.
fn finishing_finds_the_count(counts_first: bool) {
    loom::model(move || {
        let twin = Arc::new(Mutex::new((0, 0_u32)));
        let other = Arc::clone(&twin);
        let producer = thread::spawn(move || {
            let mut state = lock(&other);
            if counts_first {
                state.1 += 1;
            }
            state.0 += 1;
            if !counts_first {
                drop(state);
                lock(&other).1 += 1;
            }
        });
        let got = std::mem::take(&mut lock(&twin).0);
        let counted = lock(&twin).1;
        producer.join().unwrap();
        assert!(counted >= got, "task_done was called too often");
    });
}

#[test]
fn an_item_is_counted_before_it_is_visible() {
    finishing_finds_the_count(true);
}

#[test]
#[should_panic(expected = "task_done was called too often")]
fn mutant_that_counts_afterwards_is_caught() {
    finishing_finds_the_count(false);
}
