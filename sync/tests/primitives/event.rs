//! The event: everyone who waits is let go, in order, whatever follows.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::Event;

/// E1.
#[test]
fn e1_set_wakes_everyone_in_the_order_of_waiting() {
    let event = Event::new();
    let log = Log::default();
    let mut waiters: Vec<_> = (0..100).map(|n| named(event.wait(), n, &log)).collect();
    waiters.iter_mut().for_each(|waiter| waiter.pending());
    event.set();
    assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    waiters.iter_mut().for_each(|waiter| waiter.ready());
}

/// E1.
#[test]
fn e1_whoever_waited_is_let_go_even_if_clear_follows_at_once() {
    let event = Event::new();
    let mut waiter = waiting(event.wait());
    event.set();
    event.clear();
    let mut late = waiting(event.wait());
    waiter.ready();
    assert_eq!(late.wakes(), 0);
    late.pending();
}

/// E2.
#[test]
fn e2_waiting_for_a_set_event_returns_at_once() {
    let event = Event::new();
    event.set();
    polled(event.wait()).ready();
    event.wait_blocking();
}

/// E2.
#[test]
fn e2_a_dropped_waiter_is_not_woken() {
    let event = Event::new();
    let log = Log::default();
    let mut first = named(event.wait(), 1, &log);
    let mut second = named(event.wait(), 2, &log);
    first.pending();
    second.pending();
    drop(first);
    event.set();
    assert_eq!(*log.lock().unwrap(), [2]);
}

/// E2.
#[test]
fn e2_a_waiter_dropped_after_it_was_let_go_harms_nobody() {
    let event = Event::new();
    let first = waiting(event.wait());
    let mut second = waiting(event.wait());
    event.set();
    drop(first);
    second.ready();
}

/// E1: pulses of `set` and `clear` against threads that wait: each pulse lets go all who were there.
#[test]
fn e1_no_pulse_is_missed() {
    const WAITERS: usize = 3;
    const ROUNDS: usize = 3_000;
    let event = Event::new();
    let start = Barrier::new(WAITERS + 1);
    let waiting = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..WAITERS {
            threads.spawn(|| {
                for _ in 0..ROUNDS {
                    start.wait();
                    let mut wait = Box::pin(event.wait());
                    assert!(block_on(futures_lite::future::poll_once(&mut wait)).is_none());
                    waiting.fetch_add(1, Ordering::SeqCst);
                    block_on(wait);
                }
            });
        }
        for round in 1..=ROUNDS {
            start.wait();
            while waiting.load(Ordering::SeqCst) < round * WAITERS {
                std::thread::yield_now();
            }
            event.set();
            event.clear();
        }
    });
}

/// E2: chaos: waiters come and give up anywhere while the flag goes on and off.
#[test]
fn e2_giving_up_anywhere_leaves_the_line_in_order() {
    let event = Event::new();
    std::thread::scope(|threads| {
        for seed in 1..=3 {
            let event = &event;
            threads.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..20_000 {
                    poll_then_drop(event.wait(), random.below(4));
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..20_000 {
                event.set();
                event.clear();
            }
        });
    });
    let mut waiter = waiting(event.wait());
    event.set();
    waiter.ready();
    assert!(format!("{event:?}").contains("waiting: 0"), "{event:?}");
}
