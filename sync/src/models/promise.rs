//! The promise: the value arrives whole at everyone who awaits it, or its absence is told.

use loom::thread;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{self, Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::{Arc, UnsafeCell};

use super::{Watched, block_on, poll_and_drop};
use crate::promise::{Abandoned, promise};
use crate::wait_list::WaitList;

#[test]
fn the_value_arrives_with_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new(Watched::new());
        let other = Arc::clone(&shared);
        let (promise, future) = promise();
        let thread = thread::spawn(move || {
            other.add();
            promise.set(Box::new(7));
        });
        assert_eq!(block_on(future), Ok(Box::new(7)));
        assert_eq!(shared.add(), 2);
        thread.join().unwrap();
    });
}

#[test]
fn everyone_gets_the_value() {
    loom::model(|| {
        let (promise, future) = promise();
        let other = future.clone();
        let setter = thread::spawn(move || promise.set(Box::new(7)));
        let thread = thread::spawn(move || assert_eq!(block_on(other), Ok(Box::new(7))));
        assert_eq!(block_on(future), Ok(Box::new(7)));
        setter.join().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn a_dropped_promise_is_heard() {
    loom::model(|| {
        let (promise, future) = promise::<u8>();
        let thread = thread::spawn(move || drop(promise));
        assert_eq!(block_on(future), Err(Abandoned));
        thread.join().unwrap();
    });
}

/// Whoever goes away while the value is set takes nothing from the others; the value is dropped once.
#[test]
fn who_gives_up_harms_nobody() {
    loom::model(|| {
        let token = std::sync::Arc::new(());
        let value = std::sync::Arc::clone(&token);
        let (promise, future) = promise();
        let other = future.clone();
        let setter = thread::spawn(move || promise.set(value));
        let thread = thread::spawn(move || drop(poll_and_drop(other)));
        drop(block_on(future));
        setter.join().unwrap();
        thread.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    });
}

/// A twin of settling and of beginning to wait. Who waits is only counted, under the lock.
struct Twin {
    state: AtomicU8,
    value: UnsafeCell<u32>,
    line: WaitList<u32, ()>,
}

// SAFETY: none is needed: loom panics where two accesses are not ordered, which is what it is for.
unsafe impl Sync for Twin {}

impl Twin {
    /// Writes the value, then the state, and empties the line, as `set` does.
    fn settle(&self, order: Ordering) {
        self.value.with_mut(|value| {
            // SAFETY: loom has checked the access.
            unsafe { *value = 7 }
        });
        let mut n_waiting = self.line.lock();
        // ORDERING(twin-settled): Release in the sound variant, as in `settle`.
        self.state.store(1, order);
        *n_waiting = 0;
    }

    /// Returns the value or joins the line, as `poll` does.
    fn look_or_wait(&self, looks_again: bool) {
        // ORDERING(twin-settled): Acquire, as in `state`.
        if self.state.load(Acquire) != 0 {
            self.value.with(|value| {
                // SAFETY: loom has checked the access.
                assert_eq!(unsafe { *value }, 7);
            });
            return;
        }
        let mut n_waiting = self.line.lock();
        // Relaxed: the lock is held.
        if !looks_again || self.state.load(Relaxed) == 0 {
            *n_waiting += 1;
        }
    }
}

fn a_twin_is_settled_while_another_looks(order: Ordering, looks_again: bool) {
    loom::model(move || {
        let twin = Arc::new(Twin {
            state: AtomicU8::new(0),
            value: UnsafeCell::new(0),
            line: WaitList::new(0),
        });
        let other = Arc::clone(&twin);
        let thread = thread::spawn(move || other.settle(order));
        twin.look_or_wait(looks_again);
        thread.join().unwrap();
        assert_eq!(*twin.line.lock(), 0, "somebody waits for ever");
    });
}

#[test]
fn who_looks_sees_the_value_or_is_let_go() {
    a_twin_is_settled_while_another_looks(Release, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_does_not_release_the_value_is_caught() {
    a_twin_is_settled_while_another_looks(Relaxed, true);
}

#[test]
#[should_panic(expected = "somebody waits for ever")]
fn mutant_that_does_not_look_again_is_caught() {
    a_twin_is_settled_while_another_looks(Release, false);
}
