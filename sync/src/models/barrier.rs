//! The barrier: everybody who arrives is counted, goes on, and is in one generation only.

use std::num::NonZeroUsize;
use std::pin::pin;

use loom::thread;
use rt_tasks_runtime::shim::Arc;

use super::{block_on, poll_and_drop, poll_once};
use crate::wait_list::WaitList;
use crate::{Barrier, Broken};

fn barrier_of_two() -> Arc<Barrier> {
    Arc::new(Barrier::new(NonZeroUsize::new(2).unwrap()))
}

/// B1: two rounds; the one who is quicker begins the second while the other is still in the first.
#[test]
fn b1_a_round_has_each_index_once() {
    loom::model(|| {
        let shared = barrier_of_two();
        let other = Arc::clone(&shared);
        let two_rounds =
            |barrier: &Barrier| [(); 2].map(|()| block_on(barrier.wait()).unwrap().index);
        let thread = thread::spawn(move || two_rounds(&other));
        let ours = two_rounds(&shared);
        let theirs = thread.join().unwrap();
        for round in 0..2 {
            assert_eq!(ours[round] + theirs[round], 1, "one was first");
        }
        assert_eq!(shared.waiting(), 0);
    });
}

/// B2: who gives up is not counted, unless the barrier has let it through.
#[test]
fn b2_who_gives_up_is_not_counted() {
    loom::model(|| {
        let shared = barrier_of_two();
        let other = Arc::clone(&shared);
        let quitter = thread::spawn(move || poll_and_drop(other.wait()).is_some());
        let mut wait = Box::pin(shared.wait());
        let first_look = poll_once(wait.as_mut()).is_ready();
        let quitter_was_last = quitter.join().unwrap();
        let is_through = first_look || poll_once(wait.as_mut()).is_ready();
        assert!(is_through || !quitter_was_last, "nobody lets us through");
        assert_eq!(shared.waiting(), usize::from(!is_through));
    });
}

/// B3: a reset reaches who waits and nobody who is through, and leaves an empty line.
#[test]
fn b3_a_reset_misses_nobody_who_waits() {
    loom::model(|| {
        let shared = barrier_of_two();
        let other = Arc::clone(&shared);
        let mut wait = Box::pin(shared.wait());
        assert!(poll_once(wait.as_mut()).is_pending());
        let partner = thread::spawn(move || poll_and_drop(other.wait()));
        shared.reset();
        let ours = block_on(wait);
        match partner.join().unwrap() {
            Some(partner) => assert_eq!(
                (ours.map(|wait| wait.index), partner.map(|wait| wait.index)),
                (Ok(0), Ok(1))
            ),
            None => assert_eq!(ours, Err(Broken::Reset)),
        }
        assert_eq!(shared.waiting(), 0);
    });
}

/// A twin of arriving: counted and put in line under one hold of the lock, or under two.
fn everybody_who_arrives_is_let_through(in_one_step: bool) {
    loom::model(move || {
        // The number of those who have arrived, and the two who wait for each other.
        let twin = Arc::new(WaitList::<usize, ()>::new(0));
        let other = Arc::clone(&twin);
        let last = thread::spawn(move || {
            let mut line = other.lock();
            *line += 1;
            let is_last = *line == 2;
            if is_last {
                line.grant_all(0, ());
            }
            is_last
        });
        let waiter = pin!(crate::wait_list::Waiter::new());
        let mut line = twin.lock();
        *line += 1;
        let mut is_through = *line == 2;
        if !is_through {
            if !in_one_step {
                drop(line);
                line = twin.lock();
            }
            line.enqueue(
                None,
                0,
                waiter.as_ref(),
                (),
                std::task::Waker::noop().clone(),
            );
        }
        drop(line);
        let other_was_last = last.join().unwrap();
        if !is_through {
            let left = twin.lock().leave(waiter.as_ref());
            is_through = matches!(left, crate::wait_list::Left::Granted(()));
        }
        assert!(
            is_through || !other_was_last,
            "the last one let nobody through"
        );
    });
}

/// B1.
#[test]
fn b1_arriving_is_one_step() {
    everybody_who_arrives_is_let_through(true);
}

#[test]
#[should_panic(expected = "the last one let nobody through")]
fn mutant_that_counts_before_it_stands_in_line_is_caught() {
    everybody_who_arrives_is_let_through(false);
}
