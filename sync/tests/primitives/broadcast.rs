//! The broadcast channel: each value for everyone, in order, or a number of those that were missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::broadcast::{Receiver, RecvError, TryRecvError, channel};

#[test]
fn every_receiver_gets_every_value_in_order() {
    let (sender, mut first) = channel(8);
    let mut second = sender.subscribe();
    (1..=3).for_each(|n| assert_eq!(sender.send(n).unwrap(), 2));
    let mut late = first.resubscribe();
    for receiver in [&mut first, &mut second] {
        assert_eq!(receiver.len(), 3);
        assert_eq!([(); 3].map(|()| receiver.try_recv()), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
    assert!(sender.is_empty(), "all of them have had all");
}

#[test]
fn a_value_wakes_everyone_in_the_order_of_waiting() {
    let (sender, first) = channel(8);
    let log = Log::default();
    let mut receivers = [first.resubscribe(), first];
    let mut waits: Vec<_> = (0..)
        .zip(&mut receivers)
        .map(|(n, receiver)| named(receiver.recv(), n, &log))
        .collect();
    waits.iter_mut().for_each(|wait| wait.pending());
    assert_eq!(sender.stats().n_waiting, 2);
    sender.send(7).unwrap();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    assert!(waits.iter_mut().all(|wait| wait.ready() == Ok(7)));
}

#[test]
fn who_is_too_slow_learns_how_many_it_has_missed() {
    let (sender, mut slow) = channel(2);
    let mut quick = sender.subscribe();
    for n in 1..=5 {
        sender.send(n).unwrap();
        assert_eq!(polled(quick.recv()).ready(), Ok(n));
    }
    assert_eq!(polled(slow.recv()).ready(), Err(RecvError::Lagged(3)));
    assert_eq!(polled(slow.recv()).ready(), Ok(4));
    (6..=9).for_each(|n| drop(sender.send(n)));
    assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(slow.try_recv(), Ok(8));
    assert_eq!(
        RecvError::Lagged(3).to_string(),
        "too slow: 3 values were missed"
    );
}

/// Rule T: a wait that was woken and is dropped has taken nothing.
#[test]
fn a_dropped_wait_leaves_the_value_to_the_next() {
    let (sender, mut receiver) = channel(2);
    let wait = waiting(receiver.recv());
    sender.send(1).unwrap();
    drop(wait);
    assert_eq!(polled(receiver.recv()).ready(), Ok(1));
    drop(waiting(receiver.recv()));
    assert_eq!(sender.stats().n_waiting, 0);
}

/// Rule T: what nobody receives is given back.
#[test]
fn sending_to_nobody_gives_the_value_back() {
    let (sender, receiver) = channel(2);
    drop(receiver);
    assert_eq!(sender.send("news").unwrap_err().into_inner(), "news");
    assert_eq!(sender.subscribe().try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn the_end_of_the_senders_comes_after_the_last_value() {
    let (sender, mut receiver) = channel(2);
    let second = sender.clone();
    drop(sender);
    let mut wait = waiting(receiver.recv());
    second.send(1).unwrap();
    drop(second);
    assert_eq!(wait.ready(), Ok(1));
    drop(wait);
    assert_eq!(polled(receiver.recv()).ready(), Err(RecvError::Closed));
    assert_eq!(receiver.recv_blocking(), Err(RecvError::Closed));

    let (sender, mut receiver) = channel::<u32>(2);
    let mut wait = waiting(receiver.recv());
    drop(sender);
    assert_eq!(wait.wakes(), 1);
    assert_eq!(wait.ready(), Err(RecvError::Closed));
}

/// A value is dropped when the last one has had it, or goes away; the last one gets it without a clone.
#[test]
fn values_are_kept_for_those_who_want_them_and_no_longer() {
    #[derive(Debug)]
    struct Counts(Arc<AtomicUsize>);
    impl Clone for Counts {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::SeqCst);
            Self(self.0.clone())
        }
    }
    let clones = Arc::new(AtomicUsize::new(0));
    let (sender, mut first) = channel(4);
    let second = sender.subscribe();
    for _ in 0..2 {
        sender.send(Counts(clones.clone())).unwrap();
    }
    drop(first.try_recv().unwrap());
    assert_eq!(sender.len(), 2, "the second wants both");
    drop(second);
    assert_eq!(sender.len(), 1, "the first wants one");
    let last = first.try_recv().unwrap();
    assert_eq!(clones.load(Ordering::SeqCst), 1);
    drop((last, sender, first));
    assert_eq!(Arc::strong_count(&clones), 1);
}

#[test]
#[should_panic(expected = "keeps at least one value")]
fn a_channel_that_keeps_nothing_is_a_mistake() {
    channel::<u32>(0);
}

#[test]
fn it_can_be_shown() {
    struct Plain;
    let (sender, receiver) = channel(2);
    sender.send(Plain).unwrap();
    assert_eq!(format!("{sender:?}"), "Sender { len: 1, receivers: 1, .. }");
    assert_eq!(
        format!("{receiver:?}"),
        "Receiver { len: 1, senders: 1, .. }"
    );
}

/// Whatever waits are given up: received + missed = sent, in order, for each receiver.
#[test]
fn every_value_is_received_once_or_counted_as_missed() {
    const SENT: u64 = 20_000;
    let (sender, receiver) = channel(16);
    let count = |mut receiver: Receiver<u64>, seed| {
        let mut random = Random::new(seed);
        let mut next = 0;
        loop {
            let received = match random.below(3) {
                0 => block_on(receiver.recv()),
                1 => receiver.recv_blocking(),
                _ => match poll_then_drop(receiver.recv(), random.below(3)) {
                    Some(received) => received,
                    None => continue,
                },
            };
            match received {
                Ok(value) => {
                    assert_eq!(value, next, "lost, doubled or out of order");
                    next += 1;
                }
                Err(RecvError::Lagged(n_missed)) => next += n_missed,
                Err(RecvError::Closed) => return next,
            }
        }
    };
    std::thread::scope(|threads| {
        let readers = [1, 2, 3].map(|seed| {
            let receiver = receiver.resubscribe();
            threads.spawn(move || count(receiver, seed))
        });
        drop(receiver);
        for n in 0..SENT {
            sender.send(n).unwrap();
            assert!(sender.len() <= 16, "above its capacity");
            if n % 8 == 0 {
                std::thread::yield_now();
            }
        }
        drop(sender);
        assert_eq!(readers.map(|reader| reader.join().unwrap()), [SENT; 3]);
    });
}
