//! The barrier: all of a round go on together, and nobody is in two rounds.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use rt_tasks_sync::{Barrier, BarrierWait, Broken};

fn barrier(parties: usize) -> Barrier {
    Barrier::new(NonZeroUsize::new(parties).unwrap())
}

const fn through(index: usize) -> Result<BarrierWait, Broken> {
    Ok(BarrierWait { index })
}

/// B1: the last to arrive opens the barrier, and everybody has an index in the order of arrival.
#[test]
fn b1_the_last_to_arrive_lets_everybody_through() {
    let barrier = barrier(3);
    let log = Log::default();
    let mut first = named(barrier.wait(), 1, &log);
    let mut second = named(barrier.wait(), 2, &log);
    first.pending();
    second.pending();
    assert_eq!((barrier.waiting(), barrier.parties()), (2, 3));
    assert_eq!(polled(barrier.wait()).ready(), through(2));
    assert_eq!(
        *log.lock().unwrap(),
        [1, 2],
        "woken in the order of arrival"
    );
    assert_eq!(barrier.waiting(), 0, "before they have run");
    assert_eq!(second.ready(), through(1));
    assert_eq!(first.ready(), through(0));
}

/// B1: one of each round is its leader.
#[test]
fn b1_each_round_has_one_leader() {
    let barrier = barrier(2);
    for _ in 0..3 {
        let mut first = waiting(barrier.wait());
        let last = polled(barrier.wait()).ready().unwrap();
        assert!(first.ready().unwrap().is_leader() && !last.is_leader());
    }
}

/// B1: who comes back before the others have run is in the next round.
#[test]
fn b1_who_is_quick_begins_the_next_round() {
    let barrier = barrier(2);
    let mut slow = waiting(barrier.wait());
    polled(barrier.wait()).ready().unwrap();
    let mut again = waiting(barrier.wait());
    assert_eq!(slow.ready(), through(0));
    again.pending();
    assert_eq!(polled(barrier.wait()).ready(), through(1));
    assert_eq!(again.ready(), through(0));
}

/// B1: many rounds of threads that do not wait for each other anywhere else.
#[test]
fn b1_rounds_of_threads_stay_apart() {
    const PARTIES: usize = 4;
    const ROUNDS: usize = if cfg!(debug_assertions) {
        2_500
    } else {
        25_000
    };
    let barrier = barrier(PARTIES);
    let sums = Mutex::new(vec![0; ROUNDS]);
    thread::scope(|threads| {
        for _ in 0..PARTIES {
            threads.spawn(|| {
                for round in 0..ROUNDS {
                    let index = barrier.wait_blocking().unwrap().index;
                    sums.lock().unwrap()[round] += 1 << (8 * index);
                }
            });
        }
    });
    assert_eq!(sums.into_inner().unwrap(), vec![0x0101_0101; ROUNDS]);
}

/// B2: who is dropped while it waits was never there, and breaks nothing.
#[test]
fn b2_a_dropped_waiter_just_leaves() {
    let barrier = barrier(3);
    let quitter = waiting(barrier.wait());
    let mut stayer = waiting(barrier.wait());
    drop(quitter);
    assert_eq!(barrier.waiting(), 1);
    let mut third = waiting(barrier.wait());
    assert!(!barrier.is_broken());
    assert_eq!(polled(barrier.wait()).ready(), through(2));
    assert_eq!(stayer.ready(), through(0), "places move up");
    assert_eq!(third.ready(), through(1));
}

/// B2: who is dropped after the barrier let it through takes nothing along.
#[test]
fn b2_a_waiter_dropped_on_its_way_out_harms_nobody() {
    let barrier = barrier(2);
    let quitter = waiting(barrier.wait());
    assert_eq!(polled(barrier.wait()).ready(), through(1));
    drop(quitter);
    assert_eq!(barrier.waiting(), 0);
    waiting(barrier.wait());
}

/// B2: threads that give up anywhere leave a barrier that works.
#[test]
fn b2_giving_up_anywhere_leaves_the_line_in_order() {
    const ROUNDS: u64 = if cfg!(debug_assertions) {
        2_000
    } else {
        20_000
    };
    let barrier = barrier(3);
    thread::scope(|threads| {
        for seed in 0..3 {
            let barrier = &barrier;
            threads.spawn(move || {
                let mut random = Random::new(seed + 1);
                for _ in 0..ROUNDS {
                    let _ = poll_then_drop(barrier.wait(), random.below(4));
                }
            });
        }
    });
    assert_eq!(barrier.waiting(), 0);
    let mut waits = [waiting(barrier.wait()), waiting(barrier.wait())];
    assert_eq!(polled(barrier.wait()).ready(), through(2));
    for (index, wait) in waits.iter_mut().enumerate() {
        assert_eq!(wait.ready(), through(index));
    }
}

/// B3: a reset lets those go who wait, and the barrier is as new.
#[test]
fn b3_a_reset_lets_go_who_waits() {
    let barrier = barrier(3);
    let mut waits = [waiting(barrier.wait()), waiting(barrier.wait())];
    barrier.reset();
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
    for wait in &mut waits {
        assert_eq!(wait.wakes(), 1);
        assert_eq!(wait.ready(), Err(Broken::Reset));
    }
    let mut again = [waiting(barrier.wait()), waiting(barrier.wait())];
    assert_eq!(polled(barrier.wait()).ready(), through(2));
    assert_eq!(
        again.each_mut().map(|wait| wait.ready()),
        [through(0), through(1)]
    );
}

/// B3: who was let through before the reset is through; who came for the next round is not.
#[test]
fn b3_a_reset_does_not_reach_who_is_through() {
    let barrier = barrier(3);
    let mut draining = [waiting(barrier.wait()), waiting(barrier.wait())];
    assert_eq!(polled(barrier.wait()).ready(), through(2));
    assert_eq!(draining[0].ready(), through(0));
    let mut next = waiting(barrier.wait());
    barrier.reset();
    assert_eq!(draining[1].ready(), through(1));
    assert_eq!(next.ready(), Err(Broken::Reset));
}

/// B4: an aborted barrier lets nobody wait until it is reset.
#[test]
fn b4_an_aborted_barrier_stays_broken_until_it_is_reset() {
    let barrier = barrier(2);
    let mut wait = waiting(barrier.wait());
    barrier.abort();
    barrier.abort();
    assert!(barrier.is_broken() && barrier.stats().is_broken);
    assert_eq!(wait.ready(), Err(Broken::Aborted));
    assert_eq!(polled(barrier.wait()).ready(), Err(Broken::Aborted));
    assert_eq!(barrier.wait_blocking(), Err(Broken::Aborted));
    barrier.reset();
    assert!(!barrier.is_broken());
    let mut wait = waiting(barrier.wait());
    assert_eq!(polled(barrier.wait()).ready(), through(1));
    assert_eq!(wait.ready(), through(0));
}

/// B4: who was let through before the abort is through; who came for the next round is not.
#[test]
fn b4_an_abort_does_not_reach_who_is_through() {
    let barrier = barrier(2);
    let mut draining = waiting(barrier.wait());
    polled(barrier.wait()).ready().unwrap();
    let mut next = waiting(barrier.wait());
    barrier.abort();
    assert_eq!(draining.ready(), through(0));
    assert_eq!(next.ready(), Err(Broken::Aborted));
}

/// B5: a barrier has at least one party, by its type; with one it never waits.
#[test]
fn b5_a_barrier_of_one_never_waits() {
    static ALONE: Barrier = Barrier::new(NonZeroUsize::MIN);
    for _ in 0..3 {
        assert_eq!(polled(ALONE.wait()).ready(), through(0));
        assert_eq!(ALONE.wait_blocking(), through(0));
    }
}

#[test]
fn it_says_how_it_stands() {
    let barrier = barrier(2);
    let _wait = waiting(barrier.wait());
    let expected = "Barrier { parties: 2, waiting: 1, broken: false }";
    assert_eq!(format!("{barrier:?}"), expected);
    assert_eq!(Broken::Reset.to_string(), "the barrier was reset");
    assert_eq!(Broken::Aborted.to_string(), "the barrier was aborted");
}
