//! The watched value: the last change is never missed, and nobody is told of what it has seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::watch::{Receiver, channel};

#[test]
fn a_change_wakes_every_receiver_in_the_order_of_waiting() {
    let (sender, first) = channel(1);
    let log = Log::default();
    let mut receivers = [first.clone(), first];
    let mut waits: Vec<_> = (0..)
        .zip(&mut receivers)
        .map(|(n, receiver)| named(receiver.changed(), n, &log))
        .collect();
    waits.iter_mut().for_each(|wait| wait.pending());
    assert_eq!(sender.stats().n_waiting, 2);
    sender.send(2).unwrap();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    waits.iter_mut().for_each(|wait| wait.ready().unwrap());
    drop(waits);
    assert!(receivers.iter().all(|receiver| *receiver.borrow() == 2));
}

#[test]
fn what_was_seen_is_not_told_again_and_several_changes_are_one() {
    let (sender, mut receiver) = channel(1);
    waiting(receiver.changed());
    (2..5).for_each(|n| sender.send(n).unwrap());
    assert!(receiver.has_changed().unwrap());
    assert!(receiver.borrow().has_changed());
    polled(receiver.changed()).ready().unwrap();
    assert_eq!(*receiver.borrow(), 4);
    assert!(!receiver.has_changed().unwrap());
    waiting(receiver.changed());
    sender.send(5).unwrap();
    let value = receiver.borrow_and_update();
    assert!(value.has_changed() && *value == 5);
    drop(value);
    waiting(receiver.changed());
    receiver.mark_changed();
    polled(receiver.changed()).ready().unwrap();
}

/// Rule T: a wait that was woken and is dropped has seen nothing.
#[test]
fn a_dropped_wait_leaves_the_change_to_the_next() {
    let (sender, mut receiver) = channel(1);
    let wait = waiting(receiver.changed());
    sender.send(2).unwrap();
    assert_eq!(wait.wakes(), 1);
    drop(wait);
    polled(receiver.changed()).ready().unwrap();
}

#[test]
fn a_change_that_says_it_was_none_wakes_nobody() {
    let (sender, mut receiver) = channel(1);
    let mut other = receiver.clone();
    let mut wait = waiting(receiver.changed());
    assert!(!sender.send_if_modified(|_| false));
    assert_eq!(wait.wakes(), 0);
    assert!(sender.send_if_modified(|value| {
        *value = 2;
        true
    }));
    wait.ready().unwrap();
    polled(other.changed()).ready().unwrap();
}

#[test]
fn the_end_of_the_senders_comes_after_the_last_value() {
    let (sender, mut receiver) = channel(1);
    let second = sender.clone();
    drop(sender);
    second.send(2).unwrap();
    drop(second);
    polled(receiver.changed()).ready().unwrap();
    assert!(polled(receiver.changed()).ready().is_err());
    assert!(receiver.has_changed().is_err());
    assert_eq!(*receiver.borrow(), 2);

    let (sender, mut receiver) = channel(1);
    let mut wait = waiting(receiver.changed());
    drop(sender);
    assert_eq!(wait.wakes(), 1);
    assert!(wait.ready().is_err());
}

/// Rule T: what nobody receives is given back.
#[test]
fn sending_to_nobody_gives_the_value_back_and_keeps_the_old_one() {
    let (sender, receiver) = channel("old");
    let mut closed = waiting(sender.closed());
    let other = receiver.clone();
    drop(receiver);
    closed.pending();
    drop(other);
    assert_eq!(closed.wakes(), 1);
    closed.ready();
    assert_eq!(sender.send("new").unwrap_err().into_inner(), "new");
    assert_eq!(*sender.borrow(), "old");
    assert_eq!(sender.send_replace("new"), "old");
    let receiver = sender.subscribe();
    assert_eq!(*receiver.borrow(), "new");
    assert!(!receiver.has_changed().unwrap() && !sender.is_closed());
    assert_eq!(sender.receiver_count(), 1);
}

#[test]
fn waiting_for_a_condition_looks_at_each_value_once() {
    let (sender, mut receiver) = channel(1);
    let looked = Mutex::new(vec![]);
    let mut wait = waiting(receiver.wait_for(|value| {
        looked.lock().unwrap().push(*value);
        *value > 2
    }));
    wait.pending();
    sender.send(2).unwrap();
    wait.pending();
    sender.send(3).unwrap();
    let value = wait.ready().unwrap();
    assert!(*value == 3 && value.has_changed());
    drop((value, wait));
    assert_eq!(*looked.lock().unwrap(), [1, 2, 3]);
    assert!(!receiver.has_changed().unwrap());
    drop(sender);
    assert!(receiver.wait_for_blocking(|value| *value == 3).is_ok());
    assert!(receiver.wait_for_blocking(|value| *value == 4).is_err());
}

#[test]
fn a_change_that_panics_is_not_told_and_poisons_nothing() {
    let (sender, receiver) = channel(1);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|value| {
            *value = 2;
            panic!("while it changes");
        });
    }));
    assert!(panic.is_err());
    assert!(!receiver.has_changed().unwrap());
    assert_eq!(*receiver.borrow(), 2);
    sender.send(3).unwrap();
    assert_eq!(*receiver.borrow(), 3);
}

#[test]
fn it_can_be_shown() {
    struct Plain;
    let (sender, receiver) = channel(Plain);
    assert_eq!(
        format!("{sender:?}"),
        "Sender { receivers: 1, waiting: 0, .. }"
    );
    assert_eq!(
        format!("{receiver:?}"),
        "Receiver { senders: 1, has_changed: false, .. }"
    );
    let error = {
        drop(receiver);
        sender.send(Plain).unwrap_err()
    };
    assert_eq!(
        format!("{error}, {error:?}"),
        "nobody receives, SendError { .. }"
    );
}

/// Whatever waits are given up: each receiver sees numbers that only grow, and the last one.
#[test]
fn the_last_value_is_never_missed() {
    const LAST: u32 = 20_000;
    let (sender, receiver) = channel(0);
    let read_to_the_end = |mut receiver: Receiver<u32>, seed| {
        let mut random = Random::new(seed);
        let mut latest = 0;
        loop {
            let changed = match random.below(3) {
                0 => block_on(receiver.changed()),
                1 => receiver.changed_blocking(),
                _ => match poll_then_drop(receiver.changed(), random.below(3)) {
                    Some(changed) => changed,
                    None => continue,
                },
            };
            let value = *receiver.borrow();
            assert!(value >= latest, "an older value");
            latest = value;
            if changed.is_err() {
                return latest;
            }
        }
    };
    std::thread::scope(|threads| {
        let readers = [1, 2, 3].map(|seed| {
            let receiver = receiver.clone();
            threads.spawn(move || read_to_the_end(receiver, seed))
        });
        for n in 1..=LAST {
            sender.send(n).unwrap();
        }
        drop(sender);
        assert_eq!(readers.map(|reader| reader.join().unwrap()), [LAST; 3]);
    });
    assert_eq!(receiver.stats().n_waiting, 0);
}
