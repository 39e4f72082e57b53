//! The oneshot channel: one value, which arrives or is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Random, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::oneshot::{self, TryRecvError, channel};

#[test]
fn a_value_sent_wakes_the_receiver() {
    let (sender, receiver) = channel();
    let mut receiver = waiting(receiver);
    sender.send(7).unwrap();
    assert_eq!(receiver.wakes(), 1);
    assert_eq!(receiver.ready(), Ok(7));
}

#[test]
fn dropping_the_sender_tells_the_receiver() {
    let (sender, receiver) = channel::<()>();
    let mut receiver = waiting(receiver);
    drop(sender);
    assert_eq!(receiver.wakes(), 1);
    assert!(receiver.ready().is_err());
}

/// Rule T: what was not delivered is given back.
#[test]
fn sending_to_nobody_gives_the_value_back() {
    let (sender, receiver) = channel();
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send("letter"), Err("letter"));
}

#[test]
fn the_sender_learns_that_nobody_waits_any_more() {
    let (mut sender, receiver) = channel::<u32>();
    let mut closed = waiting(sender.closed());
    drop(receiver);
    assert_eq!(closed.wakes(), 1);
    closed.ready();
}

#[test]
fn a_closed_receiver_still_returns_what_was_sent_before() {
    let (sender, mut receiver) = channel();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(block_on(&mut receiver), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));

    let (sender, mut receiver) = channel();
    receiver.close();
    assert_eq!(sender.send(1), Err(1));
    assert!(block_on(receiver).is_err());
}

/// The receiver moves from task to task, by reference: it is `Unpin`.
#[test]
fn the_latest_waker_is_the_one_that_is_woken() {
    let (sender, mut receiver) = channel();
    let mut first = waiting(futures_lite::future::or(
        &mut receiver,
        std::future::pending(),
    ));
    first.pending();
    drop(first);
    let mut second = waiting(&mut receiver);
    sender.send(1).unwrap();
    assert_eq!(second.wakes(), 1);
    assert_eq!(second.ready(), Ok(1));
}

#[test]
#[should_panic(expected = "polled after it had returned")]
fn polling_after_the_end_panics() {
    let (sender, mut receiver) = channel();
    sender.send(()).unwrap();
    polled(&mut receiver).ready().unwrap();
    let _ = polled(&mut receiver).poll();
}

/// N11.
#[test]
fn n11_it_tells_what_both_ends_have_done() {
    let (sender, mut receiver) = channel::<u32>();
    let look =
        |stats: rt_tasks_sync::OneshotStats| (stats.is_complete, stats.is_closed, stats.is_awaited);
    waiting(&mut receiver);
    assert_eq!(look(sender.stats()), (false, false, true));
    receiver.close();
    assert_eq!(look(sender.stats()), (false, true, true));
    drop(sender);
    assert_eq!(look(receiver.stats().unwrap()), (true, true, true));
    assert!(block_on(&mut receiver).is_err());
    assert!(receiver.stats().is_none());
}

/// A value that was sent and never looked at is dropped, once.
#[test]
fn an_unread_value_is_dropped_once() {
    let counter = Arc::new(());
    let (sender, receiver) = channel();
    sender.send(Arc::clone(&counter)).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&counter), 1);
}

/// C2: chaos: sent = received + given back + dropped unread, wherever either side gives up.
#[test]
fn c2_no_value_is_lost_or_doubled() {
    const ROUNDS: usize = 20_000;
    let (received, returned) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let token = Arc::new(());
    let (to_receivers, receivers) = std::sync::mpsc::sync_channel(4);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut random = Random::new(7);
            for _ in 0..ROUNDS {
                let (sender, receiver) = channel();
                to_receivers.send(receiver).unwrap();
                if random.coin() {
                    std::thread::yield_now();
                }
                if sender.send(Arc::clone(&token)).is_err() {
                    returned.fetch_add(1, Ordering::Relaxed);
                }
            }
            drop(to_receivers);
        });
        threads.spawn(|| {
            let mut random = Random::new(8);
            for receiver in receivers {
                let receiver: oneshot::Receiver<Arc<()>> = receiver;
                match random.below(3) {
                    0 => drop(receiver),
                    1 => drop(poll_then_drop(receiver, random.below(3))),
                    _ => {
                        if receiver.recv_blocking().is_ok() {
                            received.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            }
        });
    });
    assert!(
        received.into_inner() > ROUNDS / 5,
        "whoever waited to the end got the value"
    );
    assert!(returned.into_inner() < ROUNDS);
    assert_eq!(Arc::strong_count(&token), 1, "a value was lost");
}
