//! Cancellation against completion, many times over: nothing is lost, nothing is given twice, one outcome.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::support::{Count, each_size};
use rt::sync::{Queue, Semaphore, TryGetError, oneshot};
use rt::{JoinHandle, Runtime};

/// Rounds of each race.
const ROUNDS: usize = if cfg!(debug_assertions) {
    25_000
} else {
    100_000
};

/// Cancels a task from another one, so that the two meet on different workers.
fn cancel_from_elsewhere<T: Send + 'static>(task: &JoinHandle<T>) -> JoinHandle<bool> {
    let handle = task.cancel_handle();
    rt::spawn(async move { handle.cancel() })
}

/// Yields so often that every meeting of two tasks comes up, round after round.
async fn stagger(round: usize) {
    for _ in 0..round % 4 {
        rt::yield_now().await;
    }
}

/// C2: a sent value is received, or was handed back to the sender, or is dropped with the channel.
#[test]
fn c2_a_oneshot_never_loses_its_value_to_a_cancelled_receiver() {
    each_size(|runtime| {
        let dropped = Count::default();
        let theirs = dropped.clone();
        let (received, returned) = runtime.block_on(async move {
            let (mut received, mut returned) = (0, 0);
            for round in 0..ROUNDS {
                let (sender, receiver) = oneshot::channel();
                let value = theirs.on_drop();
                let receiver = rt::spawn(async move { receiver.await.expect("the sender sends") });
                let sender = rt::spawn(async move {
                    stagger(round).await;
                    sender.send(value)
                });
                let canceller = cancel_from_elsewhere(&receiver);
                match (receiver.await, sender.await.unwrap()) {
                    (Ok(_value), Ok(())) => received += 1,
                    (Err(error), Err(_value)) if error.is_cancelled() => returned += 1,
                    (Err(error), Ok(())) if error.is_cancelled() => {}
                    (outcome, sent) => panic!("{:?}, sent: {}", outcome.is_ok(), sent.is_ok()),
                }
                canceller.await.unwrap();
            }
            (received, returned)
        });
        assert_eq!(dropped.get(), ROUNDS, "each value is dropped once");
        assert!(received + returned <= ROUNDS);
    });
}

/// C2, rule T: an item that a cancelled `get` had been promised goes back to the head of the queue.
#[test]
fn c2_a_queue_loses_no_item_to_cancelled_getters() {
    each_size(|runtime| {
        runtime.block_on(async {
            let queue = Queue::bounded(2);
            let items = queue.clone();
            let producer = rt::spawn(async move {
                for item in 0..ROUNDS {
                    items.put(item).await.unwrap();
                }
                items.shutdown();
            });
            let mut received = vec![];
            loop {
                let items = queue.clone();
                let getter = rt::spawn(async move { items.get().await });
                let canceller = cancel_from_elsewhere(&getter);
                stagger(received.len()).await;
                match getter.await {
                    Ok(Ok(item)) => received.push(item),
                    Ok(Err(_shut_down)) => break,
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
                canceller.await.unwrap();
                if let Ok(item) = queue.try_get() {
                    received.push(item);
                }
            }
            producer.await.unwrap();
            assert!(
                received.iter().copied().eq(0..ROUNDS),
                "lost, given twice, or out of order"
            );
        });
    });
}

/// C2, rule T: a cancelled `put` did not happen, one that returned did.
#[test]
fn c2_a_queue_holds_exactly_the_items_of_putters_that_returned() {
    each_size(|runtime| {
        runtime.block_on(async {
            let queue = Queue::bounded(1);
            let mut put = BTreeSet::new();
            let mut got = BTreeSet::new();
            for round in 0..ROUNDS {
                let items = queue.clone();
                let putter = rt::spawn(async move { items.put(round).await });
                let items = queue.clone();
                let getter = rt::spawn(async move { items.try_get() });
                let canceller = cancel_from_elsewhere(&putter);
                match putter.await {
                    Ok(outcome) => assert!(outcome.is_ok() && put.insert(round)),
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
                if let Ok(item) = getter.await.unwrap() {
                    assert!(got.insert(item), "{item} came twice");
                }
                canceller.await.unwrap();
            }
            while let Ok(item) = queue.try_get() {
                assert!(got.insert(item), "{item} came twice");
            }
            assert_eq!(queue.try_get(), Err(TryGetError::Empty));
            assert_eq!(put, got);
        });
    });
}

/// C2, rule T: permits are conserved, and a cancelled waiter passes on what it was granted.
#[test]
fn c2_a_semaphore_keeps_its_permits_when_waiters_are_cancelled() {
    each_size(|runtime| {
        let inside = Count::default();
        let outside = Count::default();
        let (entered, left) = (inside.clone(), outside.clone());
        runtime.block_on(async move {
            let permits = Arc::new(Semaphore::new(3));
            let mut tasks = vec![];
            for round in 0..ROUNDS / 4 {
                for n_permits in 1..=3 {
                    let permits = Arc::clone(&permits);
                    let (entered, left) = (entered.clone(), left.clone());
                    tasks.push(rt::spawn(async move {
                        let _permit = permits.acquire_many(n_permits).await.unwrap();
                        entered.add();
                        let _left = left.on_drop();
                        rt::yield_now().await;
                    }));
                }
                let canceller = cancel_from_elsewhere(&tasks[round % tasks.len()]);
                stagger(round).await;
                canceller.await.unwrap();
                if tasks.len() > 12 {
                    for task in tasks.drain(..) {
                        let _either = task.await;
                    }
                    assert_eq!(permits.available(), 3);
                }
            }
            for task in tasks {
                let _either = task.await;
            }
            assert_eq!(permits.available(), 3);
        });
        assert_eq!(inside.get(), outside.get());
        assert!(inside.get() > 0);
    });
}

/// How the racers saw one task end.
#[derive(Default)]
struct Observed {
    by_callback: Mutex<Option<bool>>,
    claims: Count,
}

/// One task that is about to end, cancelled by everybody at once.
fn race_once(runtime: &Runtime, cancellers: usize, round: usize) -> bool {
    let observed = Arc::new(Observed::default());
    let go = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&go);
    let task = runtime.spawn(async move {
        stagger(round).await;
        while !theirs.load(SeqCst) {
            rt::yield_now().await;
        }
        round
    });
    let seen = Arc::clone(&observed);
    task.on_result(move |result| *seen.by_callback.lock().unwrap() = Some(result.is_ok()));
    let start = Arc::new(Barrier::new(cancellers + 1));
    thread::scope(|scope| {
        for _ in 0..cancellers {
            let (handle, observed, start) = (task.cancel_handle(), &observed, &start);
            scope.spawn(move || {
                start.wait();
                if handle.cancel() {
                    observed.claims.add();
                }
            });
        }
        start.wait();
        go.store(true, SeqCst);
        let outcome = runtime.block_on(task);
        let completed = outcome.is_ok();
        match outcome {
            Ok(value) => assert_eq!(value, round),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
        assert_eq!(
            *observed.by_callback.lock().unwrap(),
            Some(completed),
            "the callback saw another end"
        );
        completed
    });
    let claims = observed.claims.get();
    assert!(
        claims <= 1,
        "{claims} threads were told that theirs was the first request"
    );
    let by_callback = *observed.by_callback.lock().unwrap();
    let completed = by_callback == Some(true);
    assert!(
        completed || claims == 1,
        "cancelled, but nobody was told so"
    );
    completed
}

/// C15.
#[test]
fn c15_cancelling_from_many_threads_has_one_outcome_for_everybody() {
    each_size(|runtime| {
        for round in 0..ROUNDS / 50 {
            race_once(runtime, 1 + round % 4, round);
        }
    });
}

/// C15, W5: a value is there for the one who cancels and joins, or it is cancelled, but never both.
#[test]
fn c15_w5_a_join_that_races_a_cancel_gives_the_value_or_the_cancellation() {
    each_size(|runtime| {
        let dropped = Count::default();
        let theirs = dropped.clone();
        let n_values = runtime.block_on(async move {
            let mut n_values = 0;
            for round in 0..ROUNDS {
                let value = theirs.on_drop();
                let task = rt::spawn(async move {
                    stagger(round).await;
                    value
                });
                stagger(round / 4).await;
                let canceller = cancel_from_elsewhere(&task);
                match task.await {
                    Ok(_value) => n_values += 1,
                    Err(error) => {
                        assert!(error.is_cancelled(), "{error}");
                        assert!(canceller.await.unwrap(), "nobody else cancels");
                    }
                }
            }
            n_values
        });
        assert_eq!(dropped.get(), ROUNDS);
        assert!(n_values > 0);
    });
}
