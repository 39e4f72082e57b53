//! Models of how a request reaches the runner of a scope, in `cancel/control.rs`: none is overlooked, and a
//! deadline that was moved has no effect any more.

use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

use crate::cancel::Cancelled;
use crate::cancel::control::{Control, Requests, Seen};
use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::{Arc, thread};
use crate::time::Instant;

/// A waker that remembers that it was called: the runner has the duty to poll again.
#[derive(Debug)]
struct Flag(AtomicBool);

impl Flag {
    fn new() -> StdArc<Self> {
        StdArc::new(Self(AtomicBool::new(false)))
    }

    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: StdArc<Self>) {
        // An exchange, as in the state word of a task: loom orders those among each other.
        self.0.swap(true, Ordering::SeqCst);
    }
}

fn cancelled() -> Cancelled {
    Cancelled::late(std::panic::Location::caller())
}

/// A look of the runner, as its polls do it.
type Look = fn(&Control, &mut Seen, &Waker) -> Option<Requests>;

/// The known-bad mutant: it reads the requests first, and then has its waker stored.
fn look_before_the_waker_is_stored(
    control: &Control,
    seen: &mut Seen,
    waker: &Waker,
) -> Option<Requests> {
    let requests = control.look(&mut Seen::default(), Waker::noop());
    control.look(seen, waker);
    requests
}

/// One thread polls three times, the last two with another waker, as a task does that moves into a combinator; it goes
/// on only while it is woken. Another thread cancels. In the end it knows, or it was woken since its last look.
fn runner_and_asker(look: Look) {
    loom::model(move || {
        let control = Arc::new(Control::new(None));
        let theirs = control.clone();
        let asker = thread::spawn(move || assert!(theirs.cancel(cancelled())));
        let mut seen = Seen::default();
        let mut is_told = false;
        let mut last = Flag::new();
        for is_new_waker in [true, true, false] {
            if is_new_waker {
                last = Flag::new();
            }
            let was_woken = last.0.swap(false, Ordering::SeqCst);
            if !is_new_waker && !was_woken {
                break;
            }
            let requests = look(&control, &mut seen, &Waker::from(last.clone()));
            is_told |= requests.is_some_and(|requests| requests.cancelled.is_some());
        }
        asker.join().unwrap();
        assert!(is_told || last.is_up(), "overlooked");
    });
}

#[test]
fn a_request_is_seen_or_wakes() {
    runner_and_asker(Control::look);
}

#[test]
#[should_panic(expected = "overlooked")]
fn mutant_that_looks_before_its_waker_is_stored_overlooks_a_request() {
    runner_and_asker(look_before_the_waker_is_stored);
}

/// The known-bad mutant: it trusts the deadline that it read before.
fn expire_as_read(control: &Control, now: Instant, read: Option<Instant>) -> bool {
    control.set_deadline(read);
    control.expire(now)
}

/// One thread finds the time up, another one takes the deadline away: one of them is too late.
fn runner_and_mover(expire: fn(&Control, Instant, Option<Instant>) -> bool) {
    let now = Instant::now();
    loom::model(move || {
        let control = Arc::new(Control::new(Some(now)));
        let theirs = control.clone();
        let mover = thread::spawn(move || theirs.set_deadline(None));
        let read = control.deadline();
        let has_expired = expire(&control, now, read);
        let was_moved = mover.join().unwrap();
        assert_ne!(has_expired, was_moved, "moved, and expired all the same");
    });
}

#[test]
fn a_deadline_is_moved_or_takes_effect() {
    runner_and_mover(|control, now, _| control.expire(now));
}

#[test]
#[should_panic(expected = "moved, and expired all the same")]
fn mutant_that_trusts_what_it_read_expires_by_a_deadline_that_was_moved() {
    runner_and_mover(expire_as_read);
}
