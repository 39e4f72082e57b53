//! The broadcast channel: a value is kept as long as somebody wants it, and nobody misses one unnoticed.

use loom::thread;
use rt_tasks_runtime::shim::{Arc, Mutex, lock};

use super::block_on;
use crate::broadcast::{RecvError, channel};

/// A receiver that goes away while a value is sent leaves none behind.
#[test]
fn a_value_goes_with_the_last_receiver_that_wants_it() {
    loom::model(|| {
        let token = std::sync::Arc::new(());
        let (sender, receiver) = channel(1);
        let quitter = thread::spawn(move || drop(receiver));
        drop(sender.send(token.clone()));
        quitter.join().unwrap();
        assert!(sender.is_empty());
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    });
}

/// Received and missed are what was sent, though values go while it looks.
#[test]
fn every_value_is_received_or_counted_as_missed() {
    loom::model(|| {
        let (sender, mut receiver) = channel(1);
        let thread = thread::spawn(move || {
            for n in 0..2_u64 {
                sender.send(n).unwrap();
            }
        });
        let mut next = 0;
        loop {
            match block_on(receiver.recv()) {
                Ok(n) => {
                    assert_eq!(n, next);
                    next += 1;
                }
                Err(RecvError::Lagged(n_missed)) => next += n_missed,
                Err(RecvError::Closed) => break,
            }
        }
        assert_eq!(next, 2);
        thread.join().unwrap();
    });
}

/// A receiver that comes while a value is sent gets it or does not, and is counted accordingly.
#[test]
fn who_comes_in_the_middle_keeps_no_value_back() {
    loom::model(|| {
        let (sender, mut first) = channel(2);
        let other = sender.clone();
        let thread = thread::spawn(move || {
            let mut late = other.subscribe();
            drop(other);
            late.try_recv().is_ok()
        });
        sender.send(1).unwrap();
        thread.join().unwrap();
        assert_eq!(block_on(first.recv()), Ok(1));
        assert!(sender.is_empty());
    });
}

/// A twin of sending: `(receivers, how many want the value)`. `in_one_step` says whether those who want it are counted
/// under the same hold of the lock under which it is put.
fn a_receiver_that_goes_away_is_not_counted(in_one_step: bool) {
    loom::model(move || {
        let twin = Arc::new(Mutex::new((1_usize, None::<usize>)));
        let other = Arc::clone(&twin);
        let quitter = thread::spawn(move || {
            let mut state = lock(&other);
            state.0 -= 1;
            state.1 = state.1.and_then(|wanted_by| wanted_by.checked_sub(1));
            state.1 = state.1.filter(|wanted_by| *wanted_by > 0);
        });
        let mut state = lock(&twin);
        let wanted_by = state.0;
        if !in_one_step {
            drop(state);
            state = lock(&twin);
        }
        state.1 = Some(wanted_by).filter(|wanted_by| *wanted_by > 0);
        drop(state);
        quitter.join().unwrap();
        assert_eq!(lock(&twin).1, None, "a value is kept that nobody wants");
    });
}

#[test]
fn who_wants_a_value_is_counted_as_it_is_put() {
    a_receiver_that_goes_away_is_not_counted(true);
}

#[test]
#[should_panic(expected = "a value is kept that nobody wants")]
fn mutant_that_counts_before_it_puts_is_caught() {
    a_receiver_that_goes_away_is_not_counted(false);
}
