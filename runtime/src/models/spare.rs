//! Models of spare seats, in `scheduler/spare.rs`: one that is to go does not sleep on, and when one closes
//! beside a seat that parks, somebody sees that all are idle, and nobody sees it too early.

use crate::scheduler::idle::Idle;
use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::{Arc, thread};

/// The one worker's seat, and the spare one.
const HOME: usize = 0;
const SPARE: usize = 1;

struct Runtime {
    idle: Idle,
    is_retiring: AtomicBool,
}

impl Runtime {
    /// A spare seat beside that of the worker; both are held.
    fn with_open_spare() -> Arc<Self> {
        let idle = Idle::new(1, 1);
        assert!(idle.claim(HOME));
        idle.open();
        idle.stop_searching();
        Arc::new(Self {
            idle,
            is_retiring: AtomicBool::new(false),
        })
    }

    /// As `retire_one`. True: the seat is woken.
    fn retire(&self) -> bool {
        self.is_retiring.store(true, Ordering::Relaxed);
        self.idle.fence_after_push();
        self.idle.claim_counted(SPARE)
    }

    /// The known-bad mutant: it looks whether the seat sleeps before it has marked it.
    fn retire_looking_first(&self) -> bool {
        let is_claimed = self.idle.claim_counted(SPARE);
        self.is_retiring.store(true, Ordering::Relaxed);
        is_claimed
    }

    /// As `Worker::park` on the spare seat. True: it sleeps.
    fn sleep(&self) -> bool {
        self.idle.park(SPARE);
        !self.is_retiring.load(Ordering::Relaxed)
    }

    /// As the end of `close`. True: it saw that all are idle.
    fn close(&self) -> bool {
        self.idle.close();
        self.idle.all()
    }

    /// The known-bad mutant: it looks before it has closed the seat.
    fn close_looking_first(&self) -> bool {
        let all = self.idle.all();
        self.idle.close();
        all
    }

    /// As `Worker::park` on the worker's seat. True: it saw that all are idle.
    fn park(&self) -> bool {
        self.idle.park(HOME);
        self.idle.all()
    }
}

fn a_spare_is_to_go_when_it_falls_asleep(retire: fn(&Runtime) -> bool) {
    loom::model(move || {
        let runtime = Runtime::with_open_spare();
        let theirs = runtime.clone();
        let monitor = thread::spawn(move || retire(&theirs));
        let sleeps = runtime.sleep();
        let is_woken = monitor.join().unwrap();
        assert!(!sleeps || is_woken, "it is to go, and sleeps on");
    });
}

#[test]
fn a_spare_that_is_to_go_does_not_sleep_on() {
    a_spare_is_to_go_when_it_falls_asleep(Runtime::retire);
}

#[test]
#[should_panic(expected = "sleeps on")]
fn mutant_looking_before_the_mark_lets_a_spare_sleep_on() {
    a_spare_is_to_go_when_it_falls_asleep(Runtime::retire_looking_first);
}

fn one_seat_closes_and_the_other_parks(close: fn(&Runtime) -> bool) {
    loom::model(move || {
        let runtime = Runtime::with_open_spare();
        let theirs = runtime.clone();
        let spare = thread::spawn(move || close(&theirs));
        let seen_by_home = runtime.park();
        let seen_by_spare = spare.join().unwrap();
        assert!(
            seen_by_home || seen_by_spare,
            "all are idle, and nobody saw it"
        );
    });
}

#[test]
fn somebody_sees_that_all_are_idle_when_a_spare_closes() {
    one_seat_closes_and_the_other_parks(Runtime::close);
}

#[test]
#[should_panic(expected = "nobody saw it")]
fn mutant_looking_before_the_seat_is_closed_sees_nothing() {
    one_seat_closes_and_the_other_parks(Runtime::close_looking_first);
}

#[test]
fn all_are_idle_only_if_the_spare_is_idle_or_closed() {
    loom::model(|| {
        let runtime = Runtime::with_open_spare();
        let theirs = runtime.clone();
        let is_at_work = Arc::new(AtomicBool::new(true));
        let its = is_at_work.clone();
        let spare = thread::spawn(move || {
            its.store(false, Ordering::Relaxed);
            theirs.close()
        });
        let all = runtime.park();
        let was_at_work = is_at_work.load(Ordering::Relaxed);
        spare.join().unwrap();
        assert!(!all || !was_at_work, "taken for idle while it works");
    });
}

/// The worker works all the time, while the spare seat, which was idle, is woken and closes.
fn a_spare_gets_up_and_closes_beside_a_worker(all: fn(&Idle) -> bool) {
    loom::model(move || {
        let runtime = Runtime::with_open_spare();
        runtime.idle.park(SPARE);
        let theirs = runtime.clone();
        let spare = thread::spawn(move || {
            assert!(theirs.idle.claim(SPARE));
            theirs.idle.close();
        });
        assert!(!all(&runtime.idle), "taken for idle while the worker works");
        spare.join().unwrap();
    });
}

#[test]
fn a_spare_that_closes_does_not_count_for_a_worker_that_works() {
    a_spare_gets_up_and_closes_beside_a_worker(Idle::all);
}

#[test]
#[should_panic(expected = "while the worker works")]
fn mutant_counting_the_open_seats_after_the_idle_ones_takes_a_worker_for_idle() {
    a_spare_gets_up_and_closes_beside_a_worker(|idle| {
        let n_idle = usize::from(idle.is_idle(HOME)) + usize::from(idle.is_idle(SPARE));
        n_idle == idle.n_open()
    });
}
