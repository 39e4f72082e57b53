//! The channel from many to one: its ends hear of each other, and no value is lost between them.

use loom::thread;
use rt_tasks_runtime::shim::{Arc, Mutex, lock};

use super::{block_on, poll_and_drop};
use crate::mpsc::channel;

/// C2: a receiver that goes away while something is sent leaves the value to the sender, or drops it.
#[test]
fn c2_a_value_is_received_given_back_or_dropped_with_its_receiver() {
    loom::model(|| {
        let token = std::sync::Arc::new(());
        let (sender, receiver) = channel(1);
        let quitter = thread::spawn(move || drop(receiver));
        let sent = sender.try_send(token.clone());
        quitter.join().unwrap();
        let n_kept = usize::from(sent.is_err());
        assert_eq!(std::sync::Arc::strong_count(&token), 1 + n_kept);
        assert!(sender.is_closed());
    });
}

/// C2: a full channel: the sender that waits gets the room, though the receiver gives up in between.
#[test]
fn c2_a_value_that_waits_for_room_is_not_lost_with_a_wait_that_is_given_up() {
    loom::model(|| {
        let (sender, mut receiver) = channel(1);
        sender.try_send(1).unwrap();
        let thread = thread::spawn(move || block_on(sender.send(2)).unwrap());
        let early = poll_and_drop(receiver.recv()).flatten();
        let late: Vec<u32> = std::iter::from_fn(|| block_on(receiver.recv())).collect();
        assert_eq!(early.into_iter().chain(late).sum::<u32>(), 3);
        thread.join().unwrap();
    });
}

/// C2: room that is kept, and given back while another one waits for it, is not lost.
#[test]
fn c2_room_that_is_given_back_goes_to_who_waits() {
    loom::model(|| {
        let (sender, mut receiver) = channel(1);
        let (other, quitter) = (sender.clone(), sender.clone());
        let permit = sender.try_reserve().unwrap();
        let waits = thread::spawn(move || block_on(other.send(1)).unwrap());
        let gives_up = thread::spawn(move || drop(poll_and_drop(quitter.reserve())));
        drop(permit);
        waits.join().unwrap();
        gives_up.join().unwrap();
        assert_eq!(receiver.try_recv(), Ok(1));
    });
}

/// A twin of the end of a receiver: `(values, closed)`. `in_one_step` says whether it takes what is left and closes under
/// one hold of the lock.
fn what_is_sent_at_the_end_is_taken_or_refused(in_one_step: bool) {
    loom::model(move || {
        let twin = Arc::new(Mutex::new((0_u32, false)));
        let other = Arc::clone(&twin);
        let sender = thread::spawn(move || {
            let mut state = lock(&other);
            if !state.1 {
                state.0 += 1;
            }
        });
        let mut state = lock(&twin);
        state.0 = 0;
        if !in_one_step {
            drop(state);
            state = lock(&twin);
        }
        state.1 = true;
        drop(state);
        sender.join().unwrap();
        assert_eq!(
            lock(&twin).0,
            0,
            "a value is left with nobody to receive it"
        );
    });
}

#[test]
fn the_end_of_a_receiver_is_one_step() {
    what_is_sent_at_the_end_is_taken_or_refused(true);
}

#[test]
#[should_panic(expected = "left with nobody to receive it")]
fn mutant_that_drains_before_it_closes_is_caught() {
    what_is_sent_at_the_end_is_taken_or_refused(false);
}
