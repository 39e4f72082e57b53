//! Model of leaving a seat alone, in `scheduler/restraint.rs`: what was passed over because of it is not forgotten.
//!
//! One seat is stuck in a poll, with a task queued that one searcher has judged to need no help. That one's nap is over,
//! and it finds something else to do; meanwhile another one goes to sleep.

use crate::scheduler::idle::{Idle, NO_SEAT};
use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::{Arc, thread};

/// The seat of the one that took the nap, and that of the one that goes to sleep.
const NAPPER: usize = 0;
const OTHER: usize = 1;

struct Rig {
    idle: Idle,
    /// Whether the stuck seat is left alone; its one task is always there.
    is_left_alone: AtomicBool,
}

impl Rig {
    fn has_work_to_share(&self) -> bool {
        !self.is_left_alone.load(Ordering::Relaxed)
    }

    /// Gets up, takes its word back, and finds something else to do. True: it has woken the other one.
    fn ends_its_nap(&self) -> bool {
        assert!(self.idle.claim(NAPPER));
        self.idle.search_regardless();
        self.is_left_alone.store(false, Ordering::Relaxed);
        self.finds_other_work()
    }

    /// The known-bad mutant: takes its word back when the search is over.
    fn ends_its_nap_and_then_takes_its_word_back(&self) -> bool {
        assert!(self.idle.claim(NAPPER));
        self.idle.search_regardless();
        let has_woken = self.finds_other_work();
        self.is_left_alone.store(false, Ordering::Relaxed);
        has_woken
    }

    fn finds_other_work(&self) -> bool {
        self.idle.stop_searching_with_work()
            && self.has_work_to_share()
            && self.idle.claim_for_wake(NO_SEAT, NO_SEAT).is_some()
    }

    /// Goes to sleep, unless there is something to do. True: it sleeps.
    fn goes_to_sleep(&self) -> bool {
        self.idle.park(OTHER);
        !self.has_work_to_share()
    }
}

fn a_nap_ends_while_another_one_goes_to_sleep(end_nap: fn(&Rig) -> bool) {
    loom::model(move || {
        let rig = Arc::new(Rig {
            idle: Idle::new(2, 0),
            is_left_alone: AtomicBool::new(true),
        });
        assert!(rig.idle.claim(OTHER), "it has worked until now");
        let theirs = rig.clone();
        let other = thread::spawn(move || theirs.goes_to_sleep());
        let has_woken = end_nap(&rig);
        let sleeps = other.join().unwrap();
        assert!(
            !sleeps || has_woken,
            "a task waits behind a poll, the other one sleeps, and nobody wakes it"
        );
    });
}

#[test]
fn what_was_passed_over_is_found_after_the_nap() {
    a_nap_ends_while_another_one_goes_to_sleep(Rig::ends_its_nap);
}

#[test]
#[should_panic(expected = "nobody wakes it")]
fn mutant_searching_before_taking_the_word_back_forgets_a_task() {
    a_nap_ends_while_another_one_goes_to_sleep(Rig::ends_its_nap_and_then_takes_its_word_back);
}
