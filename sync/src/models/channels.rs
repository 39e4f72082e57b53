//! The channels: no value and no change is missed, and the end of the other side is heard.

use loom::thread;
use rt_tasks_runtime::shim::Arc;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{AcqRel, Acquire, Release};

use super::{Watched, block_on, poll_and_drop};
use crate::wait_list::{WaitList, Waiter};
use crate::{broadcast, mpsc, watch};

#[test]
fn a_watched_change_brings_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new(Watched::new());
        let theirs = Arc::clone(&shared);
        let (sender, mut receiver) = watch::channel(1);
        let thread = thread::spawn(move || {
            theirs.add();
            sender.send(2).unwrap();
        });
        assert!(block_on(receiver.changed()).is_ok());
        assert_eq!((shared.add(), *receiver.borrow()), (2, 2));
        thread.join().unwrap();
    });
}

#[test]
fn the_end_of_the_last_of_two_senders_is_heard() {
    loom::model(|| {
        let (sender, mut receiver) = watch::channel(1);
        let senders = [sender.clone(), sender].map(|sender| thread::spawn(move || drop(sender)));
        assert!(block_on(receiver.changed()).is_err());
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_sender_hears_that_nobody_watches() {
    loom::model(|| {
        let (sender, receiver) = watch::channel(1);
        let thread = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        thread.join().unwrap();
    });
}

#[test]
fn a_broadcast_value_reaches_everyone_and_is_dropped_once() {
    loom::model(|| {
        let token = std::sync::Arc::new(());
        let (sender, mut first) = broadcast::channel(1);
        let mut second = sender.subscribe();
        let value = token.clone();
        let send = thread::spawn(move || drop(sender.send(value)));
        let quitter = thread::spawn(move || drop(poll_and_drop(second.recv())));
        assert!(block_on(first.recv()).is_ok());
        assert!(block_on(first.recv()).is_err(), "the sender is gone");
        send.join().unwrap();
        quitter.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    });
}

#[test]
fn the_receiver_gets_what_two_senders_sent_and_then_the_end() {
    loom::model(|| {
        let (sender, mut receiver) = mpsc::unbounded();
        let senders = [(1, sender.clone()), (2, sender)].map(|(value, sender)| {
            thread::spawn(move || {
                sender.try_send(value).unwrap();
            })
        });
        let received = [(); 3].map(|()| block_on(receiver.recv()));
        assert_eq!(received.iter().flatten().sum::<u32>(), 3);
        assert_eq!(received[2], None);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// A twin of a change and of who begins to wait for it: the sender counts up and then lets go who waits.
/// `counts_first` is the order of the two.
fn a_change_is_seen_or_wakes(counts_first: bool) {
    loom::model(move || {
        let twin: &'static (AtomicUsize, WaitList<(), (), 1>) =
            Box::leak(Box::new((AtomicUsize::new(0), WaitList::new(()))));
        let sender = thread::spawn(move || {
            if counts_first {
                // ORDERING(twin-version): Release, as in `send_if_modified`.
                twin.0.fetch_add(1, Release);
            }
            twin.1.lock().grant_all(0, ());
            if !counts_first {
                // ORDERING(twin-version): Release, but too late.
                twin.0.fetch_add(1, Release);
            }
        });
        let waiter = Box::pin(Waiter::new());
        let mut line = twin.1.lock();
        // ORDERING(twin-version): Acquire, as in `wait_for_version`.
        let has_seen = twin.0.load(Acquire) == 1;
        if !has_seen {
            let waker = std::task::Waker::noop().clone();
            line.enqueue(None, 0, waiter.as_ref(), (), waker);
        }
        drop(line);
        sender.join().unwrap();
        let left = twin.1.lock().leave(waiter.as_ref());
        let was_let_go = matches!(left, crate::wait_list::Left::Granted(()));
        assert!(has_seen || was_let_go, "a change was missed");
    });
}

#[test]
fn a_change_is_counted_before_it_is_told() {
    a_change_is_seen_or_wakes(true);
}

#[test]
#[should_panic(expected = "a change was missed")]
fn mutant_that_tells_before_it_counts_is_caught() {
    a_change_is_seen_or_wakes(false);
}

/// A twin of the count of senders: `in_one_step` is how the last one is found.
fn one_of_two_senders_is_the_last(in_one_step: bool) {
    loom::model(move || {
        let n_senders = Arc::new(AtomicUsize::new(2));
        let senders = [(); 2].map(|()| {
            let n_senders = Arc::clone(&n_senders);
            thread::spawn(move || {
                if in_one_step {
                    // ORDERING(twin-senders): Release and Acquire, as in the drop of a sender.
                    n_senders.fetch_sub(1, AcqRel) == 1
                } else {
                    // ORDERING(twin-senders): Acquire, but two may find the same number.
                    let n = n_senders.load(Acquire);
                    // ORDERING(twin-senders): Release, of a number that is out of date.
                    n_senders.store(n - 1, Release);
                    n == 1
                }
            })
        });
        let n_last = senders.map(|sender| u32::from(sender.join().unwrap()));
        assert_eq!(n_last.iter().sum::<u32>(), 1, "nobody ends the channel");
    });
}

#[test]
fn the_last_sender_ends_the_channel() {
    one_of_two_senders_is_the_last(true);
}

#[test]
#[should_panic(expected = "nobody ends the channel")]
fn mutant_that_counts_in_two_steps_is_caught() {
    one_of_two_senders_is_the_last(false);
}
