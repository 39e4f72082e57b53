//! The cell whose value is made once: by one, whole, and by the next if that one gives up.

use std::future::{pending, ready};

use loom::thread;
use rt_tasks_runtime::shim::atomic::AtomicBool;
use rt_tasks_runtime::shim::atomic::Ordering::{self, Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::{Arc, UnsafeCell};

use super::{Watched, block_on, poll_and_drop};
use crate::OnceCell;
use crate::wait_list::WaitList;

#[test]
fn two_who_want_the_value_make_it_once() {
    loom::model(|| {
        let shared = Arc::new((OnceCell::new(), Watched::new()));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let made = other.0.get_or_init(|| ready(Box::new(other.1.add())));
            assert_eq!(**block_on(made), 1);
        });
        let made = shared.0.get_or_init(|| ready(Box::new(shared.1.add())));
        assert_eq!(**block_on(made), 1);
        thread.join().unwrap();
    });
}

/// Rule T: whatever moment one gives up at, having the turn or waiting for it, the other makes the value.
#[test]
fn who_gives_up_hands_the_turn_over() {
    loom::model(|| {
        let shared = Arc::new(OnceCell::new());
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let quitter = thread::spawn(move || poll_and_drop(first.get_or_init(pending)).is_none());
        let failing = thread::spawn(move || {
            let result = block_on(second.get_or_try_init(|| ready(Err("failed"))));
            assert!(matches!(result, Ok(7) | Err("failed")));
        });
        assert_eq!(block_on(shared.get_or_init(|| ready(7))), &7);
        quitter.join().unwrap();
        failing.join().unwrap();
    });
}

#[test]
fn a_value_is_put_in_or_given_back() {
    loom::model(|| {
        let shared = Arc::new(OnceCell::new());
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.set(Box::new(1)));
        let value = block_on(shared.get_or_init(|| ready(Box::new(2))));
        match thread.join().unwrap() {
            Ok(()) => assert_eq!(**value, 1),
            Err(back) => assert_eq!((*back, **value), (1, 2)),
        }
    });
}

/// A twin of taking a turn and ending it with a value. Who finds the turn taken goes away.
struct Twin {
    is_set: AtomicBool,
    value: UnsafeCell<u32>,
    line: WaitList<bool, ()>,
}

// SAFETY: none is needed: loom panics where two accesses are not ordered, which is what it is for.
unsafe impl Sync for Twin {}

impl Twin {
    /// Reads the value, or makes it, as the cell does.
    fn read_or_make(&self, order: Ordering, looks_again: bool) {
        // ORDERING(twin-made): Acquire, as in `is_set`.
        if self.is_set.load(Acquire) {
            return self.value.with(|value| {
                // SAFETY: loom has checked the access.
                assert_eq!(unsafe { *value }, 1);
            });
        }
        let mut has_turn = self.line.lock();
        // Relaxed: the lock is held.
        if *has_turn || looks_again && self.is_set.load(Relaxed) {
            return;
        }
        *has_turn = true;
        drop(has_turn);
        self.value.with_mut(|value| {
            // SAFETY: loom has checked the access.
            let value = unsafe { &mut *value };
            *value += 1;
            assert_eq!(*value, 1, "it was made twice");
        });
        let mut has_turn = self.line.lock();
        *has_turn = false;
        // ORDERING(twin-made): Release in the sound variant, as in `end_with`.
        self.is_set.store(true, order);
    }
}

fn two_twins_want_the_value(order: Ordering, looks_again: bool) {
    loom::model(move || {
        let twin = Arc::new(Twin {
            is_set: AtomicBool::new(false),
            value: UnsafeCell::new(0),
            line: WaitList::new(false),
        });
        let other = Arc::clone(&twin);
        let thread = thread::spawn(move || other.read_or_make(order, looks_again));
        twin.read_or_make(order, looks_again);
        thread.join().unwrap();
    });
}

#[test]
fn it_is_made_once_and_read_whole() {
    two_twins_want_the_value(Release, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_does_not_release_the_value_is_caught() {
    two_twins_want_the_value(Relaxed, true);
}

#[test]
#[should_panic(expected = "it was made twice")]
fn mutant_that_does_not_look_again_is_caught() {
    two_twins_want_the_value(Release, false);
}
