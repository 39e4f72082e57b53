//! The semaphore: permits are conserved, and whoever can be served is.

use loom::thread;
use rt_tasks_runtime::shim::Arc;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Watched, block_on, poll_and_drop};
use crate::Semaphore;
use crate::wait_list::WaitList;

/// P1.
#[test]
fn p1_one_permit_serves_two_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new((Semaphore::new(1), Watched::new()));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let _permit = block_on(other.0.acquire()).unwrap();
            other.1.add()
        });
        let permit = block_on(shared.0.acquire()).unwrap();
        let ours = shared.1.add();
        drop(permit);
        assert_eq!(ours + thread.join().unwrap(), 3);
        assert_eq!(shared.0.available(), 1);
    });
}

/// P1: a request for two is served by two who give back one each.
#[test]
fn p1_a_large_request_gathers_its_permits() {
    loom::model(|| {
        let shared = Arc::new(Semaphore::new(0));
        let givers = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.add_permits(1).unwrap())
        });
        assert_eq!(block_on(shared.acquire_many(2)).unwrap().count(), 2);
        for giver in givers {
            giver.join().unwrap();
        }
        assert_eq!(shared.available(), 2);
    });
}

/// P2.
#[test]
fn p2_permits_are_conserved_when_a_waiter_gives_up() {
    loom::model(|| {
        let shared = Arc::new(Semaphore::new(0));
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let quitter = thread::spawn(move || drop(poll_and_drop(first.acquire())));
        let stayer = thread::spawn(move || drop(block_on(second.acquire()).unwrap()));
        shared.add_permits(1).unwrap();
        quitter.join().unwrap();
        stayer.join().unwrap();
        assert_eq!(shared.available(), 1);
        assert!(shared.try_acquire().is_ok(), "the line is empty");
    });
}

/// P1: closing reaches whoever begins to wait at the same time.
#[test]
fn p1_closing_misses_nobody() {
    loom::model(|| {
        let shared = Arc::new(Semaphore::new(0));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || block_on(other.acquire()).is_err());
        shared.close();
        assert!(waiter.join().unwrap());
    });
}

/// P1, P2: also in debug mode, where the ledger has who has permits.
#[test]
fn p2_watched_permits_are_conserved_when_a_waiter_gives_up() {
    loom::model(|| {
        let shared = Arc::new(Semaphore::new(1));
        shared.raw.watch();
        let held = shared.try_acquire().unwrap();
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let quitter = thread::spawn(move || drop(poll_and_drop(first.acquire())));
        let stayer = thread::spawn(move || drop(block_on(second.acquire()).unwrap()));
        drop(held);
        quitter.join().unwrap();
        stayer.join().unwrap();
        assert!(shared.try_acquire().is_ok(), "the line is empty");
    });
}

/// A twin of beginning to wait where a permit came back meanwhile: `takes_first` before the mark goes, or after.
fn a_permit_that_was_seen_is_taken_once(takes_first: bool) {
    const WAITERS: usize = 2;
    const ONE: usize = 4;
    loom::model(move || {
        let state = Arc::new(AtomicUsize::new(ONE));
        let other = Arc::clone(&state);
        let passer_by = thread::spawn(move || {
            // ORDERING(twin-take): Acquire, as in `try_take_some`; Relaxed on failure: nothing is read.
            other.compare_exchange(ONE, 0, Acquire, Relaxed).is_ok()
        });
        // ORDERING(twin-take): Acquire, as in `poll_contended`.
        let is_served = state.fetch_or(WAITERS, Acquire) >= ONE;
        // Relaxed, in all three: only the number is looked at.
        if is_served && takes_first {
            state.fetch_sub(ONE, Relaxed);
        }
        state.fetch_and(!WAITERS, Relaxed);
        if is_served && !takes_first {
            state.fetch_sub(ONE, Relaxed);
        }
        let is_passed = passer_by.join().unwrap();
        assert!(!(is_served && is_passed), "one permit was taken twice");
    });
}

/// P1.
#[test]
fn p1_a_permit_that_came_back_is_taken_before_the_mark_goes() {
    a_permit_that_was_seen_is_taken_once(true);
}

#[test]
#[should_panic(expected = "one permit was taken twice")]
fn mutant_that_clears_the_mark_first_is_caught() {
    a_permit_that_was_seen_is_taken_once(false);
}

/// A twin of giving back and beginning to wait: the giver adds and looks for the flag, the waiter sets the
/// flag and looks for permits. `looks_at` is what the waiter judges by.
fn giver_and_waiter_see_each_other(looks_before: bool) {
    const WAITERS: usize = 2;
    const ONE: usize = 4;
    loom::model(move || {
        let twin = Arc::new((AtomicUsize::new(0), WaitList::<(), (), 1>::new(())));
        let other = Arc::clone(&twin);
        let giver = thread::spawn(move || {
            // ORDERING(twin-permit): Release, as in `give_back`.
            other.0.fetch_add(ONE, Release) & WAITERS != 0
        });
        let _line = twin.1.lock();
        let has_permit = if looks_before {
            // ORDERING(twin-permit): Acquire, but too early.
            let before = twin.0.load(Acquire);
            // Relaxed: the mutant.
            twin.0.fetch_or(WAITERS, Relaxed);
            before >= ONE
        } else {
            // ORDERING(twin-permit): Acquire, as in `poll_contended`.
            twin.0.fetch_or(WAITERS, Acquire) >= ONE
        };
        assert!(
            has_permit != giver.join().unwrap(),
            "nobody serves the waiter, or two do"
        );
    });
}

/// P1.
#[test]
fn p1_either_the_giver_or_the_waiter_sees_the_other() {
    giver_and_waiter_see_each_other(false);
}

#[test]
#[should_panic(expected = "nobody serves the waiter")]
fn mutant_that_looks_before_it_marks_is_caught() {
    giver_and_waiter_see_each_other(true);
}
