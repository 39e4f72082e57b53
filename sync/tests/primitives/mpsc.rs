//! The channel from many to one: it ends with its senders, and gives back what its receiver will not have.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Random, poll_then_drop, polled, waiting};
use futures_lite::future::{block_on, poll_once};
use futures_lite::{StreamExt, stream};
use rt_tasks_sync::mpsc::{TryRecvError, TrySendError, channel, unbounded};

#[test]
fn values_arrive_in_order_and_then_the_end() {
    let (sender, mut receiver) = channel(2);
    let other = sender.clone();
    assert!(sender.same_channel(&other));
    polled(sender.send(1)).ready().unwrap();
    polled(other.send(2)).ready().unwrap();
    let mut full = waiting(sender.send(3));
    assert!(matches!(other.try_send(4), Err(TrySendError::Full(4))));
    assert_eq!(receiver.try_recv(), Ok(1));
    full.ready().unwrap();
    drop(full);
    drop(sender);
    assert_eq!(polled(receiver.recv()).ready(), Some(2));
    drop(other);
    assert_eq!(polled(receiver.recv()).ready(), Some(3));
    assert_eq!(polled(receiver.recv()).ready(), None);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn the_last_sender_tells_a_receiver_that_waits() {
    let (sender, mut receiver) = channel::<u32>(2);
    let other = sender.clone();
    let mut wait = waiting(receiver.recv());
    drop(sender);
    assert_eq!(wait.wakes(), 0);
    drop(other);
    assert_eq!(wait.wakes(), 1);
    assert_eq!(wait.ready(), None);
}

/// Rule T: what the receiver will not have is given back, or dropped with it.
#[test]
fn a_receiver_that_goes_away_gives_back_what_waits_and_drops_what_is_there() {
    let token = Arc::new(());
    let (sender, receiver) = channel(1);
    let mut closed = waiting(sender.closed());
    sender.try_send(token.clone()).unwrap();
    let mut blocked = waiting(sender.send(token.clone()));
    drop(receiver);
    assert!(sender.is_closed());
    closed.ready();
    let error = blocked.ready().unwrap_err();
    assert_eq!(Arc::strong_count(&token), 2, "the token and the error's");
    assert!(Arc::ptr_eq(&error.into_inner(), &token));
    assert!(sender.send_blocking(token.clone()).is_err());
    assert!(matches!(
        sender.try_send(token),
        Err(TrySendError::Closed(_))
    ));
}

#[test]
fn a_closed_receiver_still_gets_what_was_sent_before() {
    let (sender, mut receiver) = unbounded();
    sender.try_send(1).unwrap();
    receiver.close();
    assert!(polled(sender.send(2)).ready().is_err());
    assert_eq!(receiver.recv_blocking(), Some(1));
    assert_eq!(receiver.recv_blocking(), None);
}

/// Rule T.
#[test]
fn a_dropped_wait_leaves_the_value_to_the_next() {
    let (sender, mut receiver) = channel(1);
    let wait = waiting(receiver.recv());
    sender.try_send(1).unwrap();
    drop(wait);
    assert_eq!(receiver.try_recv(), Ok(1));
}

/// A stream that has to wait has a place in line; other calls do not wait behind it.
#[test]
fn a_receiver_is_a_stream_and_may_be_used_otherwise_in_between() {
    let (sender, mut receiver) = channel(4);
    assert!(block_on(poll_once(receiver.next())).is_none());
    sender.try_send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1), "it was promised to the stream");
    assert!(block_on(poll_once(receiver.next())).is_none());
    sender.try_send(2).unwrap();
    assert_eq!(polled(receiver.recv()).ready(), Some(2));
    block_on(async {
        let send = async {
            let mut numbers = stream::iter(3..20);
            while let Some(n) = numbers.next().await {
                sender.send(n).await.unwrap();
            }
            drop(sender);
        };
        let (all, ()) = futures_lite::future::zip(receiver.collect::<Vec<_>>(), send).await;
        assert_eq!(all, (3..20).collect::<Vec<_>>());
    });
}

#[test]
fn several_values_are_received_at_once() {
    let (sender, mut receiver) = channel(4);
    let mut values = vec![0];
    assert_eq!(polled(receiver.recv_many(&mut values, 0)).ready(), 0);
    let wait = waiting(receiver.recv_many(&mut values, 3));
    drop(wait);
    (1..=4).for_each(|n| sender.try_send(n).unwrap());
    assert_eq!(polled(receiver.recv_many(&mut values, 3)).ready(), 3);
    assert_eq!(polled(receiver.recv_many(&mut values, 3)).ready(), 1);
    assert_eq!(values, [0, 1, 2, 3, 4]);
    drop(sender);
    assert_eq!(polled(receiver.recv_many(&mut values, 3)).ready(), 0);
}

/// Rule T: room that is kept is nobody else's until it is given back.
#[test]
fn a_permit_keeps_room_and_gives_it_on() {
    let (sender, mut receiver) = channel(1);
    let permit = polled(sender.reserve()).ready().unwrap();
    assert!(matches!(sender.try_send(1), Err(TrySendError::Full(1))));
    assert!(matches!(sender.try_reserve(), Err(TrySendError::Full(()))));
    let mut first = waiting(sender.send(2));
    let mut second = waiting(sender.reserve());
    drop(permit);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    first.ready().unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));
    second.ready().unwrap().send(3).unwrap();
    assert_eq!(receiver.try_recv(), Ok(3));
    assert!(sender.try_reserve().is_ok());
}

/// Rule T: a wait for room that was granted and is dropped gives the room on.
#[test]
fn a_dropped_wait_for_room_gives_it_on() {
    let (sender, mut receiver) = channel(1);
    sender.try_send(1).unwrap();
    let granted = waiting(sender.reserve());
    let mut next = waiting(sender.reserve());
    drop(waiting(sender.reserve()));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!((granted.wakes(), next.wakes()), (1, 0));
    drop(granted);
    drop(next.ready());
    assert_eq!(sender.stats().n_waiting_send, 0);
    assert!(sender.try_send(2).is_ok());
}

#[test]
fn room_in_a_closed_channel_is_worth_nothing() {
    let (sender, mut receiver) = channel(1);
    let permit = sender.try_reserve().unwrap();
    let mut waits = waiting(sender.reserve());
    receiver.close();
    assert!(waits.ready().is_err());
    assert_eq!(permit.send(1).unwrap_err().into_inner(), 1);
    assert!(polled(sender.reserve()).ready().is_err());
    assert!(matches!(
        sender.try_reserve(),
        Err(TrySendError::Closed(()))
    ));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn it_tells_its_numbers() {
    struct Plain;
    let (sender, mut receiver) = channel(1);
    sender.try_send(Plain).unwrap();
    let blocked = waiting(sender.send(Plain));
    let stats = receiver.stats();
    assert_eq!((stats.len, stats.capacity), (1, Some(1)));
    assert_eq!((stats.n_senders, stats.n_waiting_send), (1, 1));
    drop(blocked);
    assert_eq!(receiver.len(), 1);
    assert_eq!(
        format!("{sender:?} {receiver:?}"),
        "Sender { len: 1, capacity: Some(1), closed: false, .. } \
         Receiver { len: 1, capacity: Some(1), senders: 1, .. }"
    );
    receiver.close();
    assert!(sender.stats().is_closed);
    assert_eq!(unbounded::<Plain>().0.capacity(), None);
}

/// C2: chaos: sent = received + left over, whatever is given up on either side.
#[test]
fn c2_every_value_is_received_once_or_left_over() {
    const ROUNDS: usize = 15_000;
    let (sender, mut receiver) = channel(2);
    let n_sent = AtomicUsize::new(0);
    let mut received = vec![];
    std::thread::scope(|threads| {
        for base in 0..3 {
            let (sender, n_sent) = (sender.clone(), &n_sent);
            threads.spawn(move || {
                let mut random = Random::new(base as u64 + 1);
                for n in 0..ROUNDS {
                    if random.coin() {
                        // Kept and given back, or given up while it waits.
                        drop(poll_then_drop(sender.reserve(), random.below(4)));
                    }
                    let send = sender.send(base * ROUNDS + n);
                    if let Some(sent) = poll_then_drop(send, random.below(4)) {
                        sent.unwrap();
                        n_sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        drop(sender);
        let mut random = Random::new(9);
        loop {
            let next = match random.below(3) {
                0 => poll_then_drop(receiver.recv(), random.below(3)),
                1 => poll_then_drop(receiver.next(), random.below(3)),
                _ => {
                    let mut some = vec![];
                    let n = poll_then_drop(receiver.recv_many(&mut some, 2), random.below(3));
                    received.append(&mut some);
                    n.and_then(|n| (n == 0).then_some(None))
                }
            };
            match next {
                Some(Some(value)) => received.push(value),
                Some(None) => break,
                None => {}
            }
        }
    });
    assert_eq!(received.len(), n_sent.into_inner());
    let distinct: HashSet<_> = received.iter().collect();
    assert_eq!(distinct.len(), received.len(), "a value was received twice");
}
