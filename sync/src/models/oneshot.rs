//! The oneshot channel: the value arrives whole, is given back, or its absence is told.

use std::task::Poll;

use loom::thread;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{self, AcqRel, Acquire, Relaxed};
use rt_tasks_runtime::shim::{Arc, UnsafeCell};

use super::{Watched, block_on, poll_once};
use crate::oneshot::channel;

#[test]
fn the_value_arrives_with_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new(Watched::new());
        let other = Arc::clone(&shared);
        let (sender, receiver) = channel();
        let thread = thread::spawn(move || {
            other.add();
            sender.send(Box::new(7)).unwrap();
        });
        assert_eq!(block_on(receiver), Ok(Box::new(7)));
        assert_eq!(shared.add(), 2);
        thread.join().unwrap();
    });
}

#[test]
fn a_dropped_sender_is_heard() {
    loom::model(|| {
        let (sender, receiver) = channel::<u8>();
        let thread = thread::spawn(move || drop(sender));
        assert!(block_on(receiver).is_err());
        thread.join().unwrap();
    });
}

/// Rule T: whatever moment the receiver goes away at, the value is dropped once, or given back.
#[test]
fn a_value_is_given_back_or_dropped_with_the_receiver() {
    loom::model(|| {
        let token = std::sync::Arc::new(());
        let value = std::sync::Arc::clone(&token);
        let (sender, receiver) = channel();
        let thread = thread::spawn(move || drop(sender.send(value)));
        let mut receiver = Box::pin(receiver);
        let _ = poll_once(receiver.as_mut());
        drop(receiver);
        thread.join().unwrap();
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    });
}

/// The receiver moves to another task while the sender sends: the old waker or the new one, but one.
#[test]
fn a_changed_waker_is_not_missed() {
    loom::model(|| {
        let (sender, receiver) = channel();
        let thread = thread::spawn(move || sender.send(1).unwrap());
        let mut receiver = Box::pin(receiver);
        match poll_once(receiver.as_mut()) {
            Poll::Ready(result) => assert_eq!(result, Ok(1)),
            Poll::Pending => assert_eq!(block_on(receiver), Ok(1)),
        }
        thread.join().unwrap();
    });
}

#[test]
fn the_sender_hears_that_the_receiver_is_gone() {
    loom::model(|| {
        let (mut sender, receiver) = channel::<u8>();
        let thread = thread::spawn(move || drop(receiver));
        block_on(sender.closed());
        thread.join().unwrap();
    });
}

/// A twin of the step that matters: the receiver writes its waker and raises its flag; the sender raises
/// its own and, if it finds the other, reads the waker.
struct Twin {
    flags: AtomicU8,
    waker: UnsafeCell<u32>,
}

// SAFETY: none is needed: loom panics where two accesses are not ordered, which is what it is for.
unsafe impl Sync for Twin {}

impl Twin {
    fn write_waker(&self) {
        self.waker.with_mut(|waker| {
            // SAFETY: loom has checked the access.
            unsafe { *waker = 7 }
        });
    }
}

fn the_sender_reads_a_whole_waker(order: Ordering, writes_first: bool) {
    loom::model(move || {
        let twin = Arc::new(Twin {
            flags: AtomicU8::new(0),
            waker: UnsafeCell::new(0),
        });
        let other = Arc::clone(&twin);
        let sender = thread::spawn(move || {
            // ORDERING(twin-waker): Acquire, as in `complete`.
            if other.flags.fetch_or(1, AcqRel) & 4 != 0 {
                other.waker.with(|waker| {
                    // SAFETY: loom has checked the access.
                    assert_eq!(unsafe { *waker }, 7);
                });
                return true;
            }
            false
        });
        if writes_first {
            twin.write_waker();
        }
        // ORDERING(twin-waker): Release in the sound variant, as in `poll_recv`.
        let complete = twin.flags.fetch_or(4, order) & 1 != 0;
        if !writes_first {
            twin.write_waker();
        }
        assert!(
            complete != sender.join().unwrap(),
            "nobody wakes the receiver, or needlessly"
        );
    });
}

#[test]
fn the_waker_is_written_before_the_flag_is_raised() {
    the_sender_reads_a_whole_waker(AcqRel, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_does_not_release_its_waker_is_caught() {
    the_sender_reads_a_whole_waker(Acquire, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_raises_its_flag_first_is_caught() {
    the_sender_reads_a_whole_waker(Relaxed, false);
}
