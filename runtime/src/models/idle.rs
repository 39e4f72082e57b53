//! Models of sleeping and waking, in `scheduler/idle.rs`: no task waits while every seat sleeps.
//!
//! One counter stands for all queues; it is atomic and relaxed, so that nothing but the fences of the protocol
//! orders it.

use crate::scheduler::idle::{Idle, NO_SEAT};
use crate::shim::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crate::shim::{Arc, thread};

/// The part of [`Idle`] that a wake-up uses, for the real one and the mutant.
trait Sleepers: Send + Sync + 'static {
    fn new() -> Self;
    fn wants_wake(&self) -> bool;
    fn claim_for_wake(&self) -> bool;
    fn claim(&self) -> bool;
    fn park(&self);
}

impl Sleepers for Idle {
    fn new() -> Self {
        Self::new(1, 0)
    }
    fn wants_wake(&self) -> bool {
        self.fence_after_push();
        Idle::wants_wake(self)
    }
    fn claim_for_wake(&self) -> bool {
        Idle::claim_for_wake(self, NO_SEAT, NO_SEAT).is_some()
    }
    fn claim(&self) -> bool {
        Idle::claim(self, 0)
    }
    fn park(&self) {
        Idle::park(self, 0);
    }
}

/// The known-bad mutant: whoever found nobody to wake does not look again after it has stopped counting.
struct LooksOnce {
    word: AtomicU64,
    n_searching: AtomicUsize,
}

impl Sleepers for LooksOnce {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(1),
            n_searching: AtomicUsize::new(0),
        }
    }
    fn wants_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.n_searching.load(Ordering::Relaxed) == 0 && self.word.load(Ordering::Relaxed) != 0
    }
    fn claim_for_wake(&self) -> bool {
        if self
            .n_searching
            .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        let is_claimed = self.claim();
        if !is_claimed {
            self.n_searching.fetch_sub(1, Ordering::Relaxed);
        }
        is_claimed
    }
    fn claim(&self) -> bool {
        self.word.fetch_and(!1, Ordering::AcqRel) & 1 != 0
    }
    fn park(&self) {
        self.word.fetch_or(1, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

struct Rig<I> {
    idle: I,
    n_tasks: AtomicUsize,
}

impl<I: Sleepers> Rig<I> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            idle: I::new(),
            n_tasks: AtomicUsize::new(0),
        })
    }

    fn has_work(&self) -> bool {
        self.n_tasks.load(Ordering::Relaxed) > 0
    }

    /// Puts a task into the queue; true if the sleeper was claimed: it will be woken.
    fn push(&self) -> bool {
        self.n_tasks.fetch_add(1, Ordering::Relaxed);
        self.idle.wants_wake() && self.idle.claim_for_wake()
    }

    /// Takes what is there and goes to sleep. True: it sleeps, with nobody about to wake it so far.
    fn work_and_sleep(&self) -> bool {
        loop {
            self.n_tasks.swap(0, Ordering::Relaxed);
            self.idle.park();
            if !self.has_work() {
                return true;
            }
            if !self.idle.claim() {
                return false;
            }
        }
    }

    fn work_and_sleep_looking_first(&self) -> bool {
        loop {
            self.n_tasks.swap(0, Ordering::Relaxed);
            let has_work = self.has_work();
            if !has_work {
                self.idle.park();
                return true;
            }
        }
    }
}

fn a_push_meets_a_worker_that_goes_to_sleep(go: fn(&Rig<Idle>) -> bool) {
    loom::model(move || {
        let rig = Rig::<Idle>::new();
        assert!(rig.idle.claim(0));
        let theirs = rig.clone();
        let pusher = thread::spawn(move || theirs.push());
        let sleeps = go(&rig);
        let is_claimed = pusher.join().unwrap();
        assert!(
            !sleeps || is_claimed || !rig.has_work(),
            "a task waits, the worker sleeps, and nobody wakes it"
        );
    });
}

#[test]
fn a_push_while_the_worker_goes_to_sleep_is_seen_or_wakes_it() {
    a_push_meets_a_worker_that_goes_to_sleep(Rig::work_and_sleep);
}

#[test]
#[should_panic(expected = "nobody wakes it")]
fn mutant_looking_before_the_bit_is_set_loses_a_wake_up() {
    a_push_meets_a_worker_that_goes_to_sleep(Rig::work_and_sleep_looking_first);
}

/// A sleeper gets up by itself, because of a deadline, while two pushers look for somebody to wake: the one that
/// fails to claim it must not keep the other from doing so.
fn two_pushes_meet_a_sleeper_that_gets_up<I: Sleepers>() {
    loom::model(|| {
        let rig = Rig::<I>::new();
        let pushers: Vec<_> = (0..2)
            .map(|_| {
                let rig = rig.clone();
                thread::spawn(move || rig.push())
            })
            .collect();
        let sleeps = rig.idle.claim() && rig.work_and_sleep();
        let is_claimed = pushers
            .into_iter()
            .fold(false, |any, pusher| any | pusher.join().unwrap());
        assert!(
            !sleeps || is_claimed || !rig.has_work(),
            "a task waits, the worker sleeps, and nobody wakes it"
        );
    });
}

#[test]
fn a_pusher_that_finds_nobody_to_wake_suppresses_no_wake_up() {
    two_pushes_meet_a_sleeper_that_gets_up::<Idle>();
}

#[test]
#[should_panic(expected = "nobody wakes it")]
fn mutant_not_looking_again_after_counting_loses_a_wake_up() {
    two_pushes_meet_a_sleeper_that_gets_up::<LooksOnce>();
}

/// A searcher found one task; what is pushed while it counts as searching wakes nobody, so it has to look.
fn a_push_meets_the_end_of_a_search(found: fn(&Rig<Idle>) -> bool) {
    loom::model(move || {
        let rig = Rig::<Idle>::new();
        // Another seat's sleeper would be woken; this searcher is counted and has found its task.
        assert!(rig.idle.start_searching());
        let theirs = rig.clone();
        let pusher = thread::spawn(move || theirs.push());
        let wakes_next = found(&rig);
        let is_claimed = pusher.join().unwrap();
        assert!(
            is_claimed || wakes_next,
            "a task waits, the worker sleeps, and nobody wakes it"
        );
    });
}

#[test]
fn the_last_searcher_sees_what_was_pushed_while_it_searched() {
    a_push_meets_the_end_of_a_search(|rig| rig.idle.stop_searching_with_work() && rig.has_work());
}

#[test]
#[should_panic(expected = "nobody wakes it")]
fn mutant_looking_before_the_search_has_ended_misses_a_push() {
    a_push_meets_the_end_of_a_search(|rig| {
        let has_work = rig.has_work();
        rig.idle.stop_searching_with_work() && has_work
    });
}
