//! The event: setting reaches everyone who waits, and brings along what came before it.

use std::pin::pin;

use loom::thread;
use rt_tasks_runtime::shim::Arc;
use rt_tasks_runtime::shim::atomic::AtomicBool;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Watched, block_on, poll_and_drop, poll_once};
use crate::Event;
use crate::wait_list::{Left, WaitList, Waiter};

/// E1: what was done before is seen after, whether or not the waiter had to wait.
#[test]
fn e1_setting_brings_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new((Event::new(), Watched::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            block_on(other.0.wait());
            assert_eq!(other.1.add(), 2);
        });
        shared.1.add();
        shared.0.set();
        waiter.join().unwrap();
    });
}

/// E1: who waits is let go though the flag is cleared at once; who comes meanwhile may or may not be.
#[test]
fn e1_a_pulse_lets_everyone_go_who_waits() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let (theirs, late) = (Arc::clone(&event), Arc::clone(&event));
        let mut wait = pin!(event.wait());
        assert!(poll_once(wait.as_mut()).is_pending());
        let pulse = thread::spawn(move || {
            theirs.set();
            theirs.clear();
        });
        let quitter = thread::spawn(move || drop(poll_and_drop(late.wait())));
        block_on(wait);
        pulse.join().unwrap();
        quitter.join().unwrap();
        assert_eq!(event.stats().n_waiting, 0);
    });
}

/// A twin of the event: the flag, and the line.
struct Twin {
    is_set: AtomicBool,
    line: WaitList<(), ()>,
}

/// The path on which a waiter meets `set`: it finds the flag clear, takes the lock, and `looks_again` there or does not.
fn who_begins_to_wait_is_let_go(looks_again: bool) {
    loom::model(move || {
        let twin = Arc::new(Twin {
            is_set: AtomicBool::new(false),
            line: WaitList::new(()),
        });
        let other = Arc::clone(&twin);
        let setter = thread::spawn(move || {
            let mut line = other.line.lock();
            // ORDERING(twin-set): Release, as in `set`.
            other.is_set.store(true, Release);
            line.grant_all(0, ());
        });
        let waiter = Box::pin(Waiter::new());
        // ORDERING(twin-set): Acquire, as in `is_set`.
        let mut has_seen = twin.is_set.load(Acquire);
        if !has_seen {
            let waker = std::task::Waker::noop().clone();
            let mut line = twin.line.lock();
            // Relaxed: under the lock, as in `poll_clear`.
            has_seen = looks_again && twin.is_set.load(Relaxed);
            if !has_seen {
                line.enqueue(None, 0, waiter.as_ref(), (), waker);
            }
        }
        setter.join().unwrap();
        let left = twin.line.lock().leave(waiter.as_ref());
        let was_let_go = matches!(left, Left::Granted(()));
        assert!(
            has_seen || was_let_go,
            "the event is set, and somebody waits"
        );
    });
}

/// E1.
#[test]
fn e1_who_begins_to_wait_looks_again_in_line() {
    who_begins_to_wait_is_let_go(true);
}

#[test]
#[should_panic(expected = "the event is set, and somebody waits")]
fn mutant_that_does_not_look_again_is_caught() {
    who_begins_to_wait_is_let_go(false);
}
