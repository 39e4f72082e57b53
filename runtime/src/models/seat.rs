//! Models of who holds a seat, in `scheduler/worker.rs` and `scheduler/guest.rs`: a home thread that gets up by
//! itself or goes to sleep, a waker that hands over, a guest that sends the home thread away; never two at
//! once.

use std::sync::atomic::AtomicBool as Flag;
use std::sync::atomic::Ordering::Relaxed;

use crate::platform::{Interrupt, Parker};
use crate::scheduler::idle::{Idle, NO_SEAT};
use crate::shim::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::shim::{Arc, thread};

struct NoPoller;

impl Interrupt for NoPoller {
    fn interrupt(&self) {}
}

const UNWATCHED: u32 = 0;
const WATCHED: u32 = 1;
const SENT_AWAY: u32 = 2;

struct Seat {
    idle: Idle,
    home: Parker,
    guest: Parker,
    watch: AtomicU32,
    n_holders: AtomicUsize,
    two_held_it: Flag,
}

impl Seat {
    /// A seat whose home thread has just set the bit.
    fn watched() -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(1, 0),
            home: Parker::new(None),
            guest: Parker::new(None),
            watch: AtomicU32::new(WATCHED),
            n_holders: AtomicUsize::new(0),
            two_held_it: Flag::new(false),
        })
    }

    fn sit(&self) {
        if self.n_holders.fetch_add(1, Ordering::AcqRel) != 0 {
            self.two_held_it.store(true, Relaxed);
        }
    }

    fn get_off(&self) {
        self.n_holders.fetch_sub(1, Ordering::AcqRel);
    }

    /// Something else is to be done: the home thread gets up by itself, as the beginning of `Worker::reclaim`.
    /// False: it has to wait for a hand-over.
    fn get_up(&self) -> bool {
        let is_claimed = self.idle.claim(0);
        if is_claimed {
            self.sit();
        }
        is_claimed
    }

    /// It sleeps until the seat is handed to it, as the end of `Worker::park`. True: no guest has sent it away.
    fn sleep(&self) -> bool {
        self.watch
            .compare_exchange(WATCHED, UNWATCHED, Ordering::Release, Ordering::Relaxed)
            .is_ok()
            || self.get_up()
    }

    /// As the end of `Worker::reclaim`, once the other has handed over. True: the seat is its own.
    fn is_handed(&self) -> bool {
        self.home.wait_handed();
        if self.watch.load(Ordering::Relaxed) == SENT_AWAY {
            self.watch.store(UNWATCHED, Ordering::Release);
            return false;
        }
        true
    }

    /// As `take_seat`, and the sleep of a guest that found nothing to do. True: it waits for the home thread to go.
    fn visit(&self) -> bool {
        if !self.idle.claim(0) {
            return false;
        }
        let is_sent = self
            .watch
            .compare_exchange(WATCHED, SENT_AWAY, Ordering::Relaxed, Ordering::Acquire)
            .is_ok();
        if is_sent {
            self.home.hand_over(Some(&NoPoller));
        } else {
            self.nap();
        }
        is_sent
    }

    /// The known-bad mutant: it takes the seat of a home thread that has not gone to sleep.
    fn visit_without_sending_home_away(&self) -> bool {
        if self.idle.claim(0) {
            self.nap();
        }
        false
    }

    /// A guest sits down, finds nothing to do, sets the bit, and takes it back when it gets up.
    fn nap(&self) {
        self.sit();
        self.get_off();
        self.idle.park(0);
        if self.idle.claim(0) {
            self.sit();
        } else {
            // Claimed by somebody who thinks that it is the home thread's.
            self.two_held_it.store(true, Relaxed);
        }
    }
}

/// Neither waits inside the model: loom does not take spinning for progress. What follows a wait comes after
/// the other has ended.
fn a_guest_comes(visit: fn(&Seat) -> bool, home: fn(&Seat) -> bool) {
    loom::model(move || {
        let seat = Seat::watched();
        let theirs = seat.clone();
        let guest = thread::spawn(move || visit(&theirs));
        let is_home_content = home(&seat);
        let guest_waits = guest.join().unwrap();
        if guest_waits {
            assert!(
                !is_home_content,
                "sent away, and the home thread did not notice"
            );
            assert!(!seat.is_handed(), "handed the seat of a guest");
            seat.nap();
        }
        assert!(!seat.two_held_it.load(Relaxed), "two threads held one seat");
        assert!(
            seat.n_holders.load(Ordering::Relaxed) <= 1,
            "two threads held one seat"
        );
    });
}

#[test]
fn a_guest_and_a_home_thread_that_gets_up_never_hold_a_seat_together() {
    a_guest_comes(Seat::visit, Seat::get_up);
}

#[test]
fn a_guest_and_a_home_thread_that_goes_to_sleep_never_hold_a_seat_together() {
    a_guest_comes(Seat::visit, Seat::sleep);
}

#[test]
#[should_panic(expected = "two threads held one seat")]
fn mutant_taking_a_watched_seat_without_sending_home_away_shares_it() {
    a_guest_comes(Seat::visit_without_sending_home_away, Seat::get_up);
}

#[test]
fn a_sleeper_that_finds_its_bit_gone_is_handed_its_seat() {
    loom::model(|| {
        let seat = Seat::watched();
        let theirs = seat.clone();
        let waker = thread::spawn(move || {
            let is_claimed = theirs.idle.claim_for_wake(NO_SEAT, NO_SEAT).is_some();
            if is_claimed {
                theirs.guest.hand_over(Some(&NoPoller));
            }
            is_claimed
        });
        let is_own = seat.idle.claim(0);
        let is_woken = waker.join().unwrap();
        if !is_own {
            seat.guest.wait_handed();
        }
        assert!(
            is_own != is_woken,
            "the seat was claimed twice, or not at all"
        );
        assert!(!seat.guest.take_token(), "a token is left behind");
    });
}

/// Somebody sleeps until a seat is handed over. If it sees the flag, it may go away with its parker. It looks once and
/// does not wait for it: loom does not take spinning for progress.
fn a_sleeper_is_handed_a_seat(hand_over: fn(&Parker)) {
    loom::model(move || {
        let parker = Arc::new(Parker::new(None));
        parker.bind();
        let theirs = parker.clone();
        let waker = thread::spawn(move || hand_over(&theirs));
        parker.park(None);
        let may_go = parker.take_handed();
        waker.join().unwrap();
        assert!(
            !may_go || !parker.has_token(),
            "its parker was used after the flag"
        );
    });
}

#[test]
fn a_sleeper_wakes_up_and_its_parker_is_left_to_it() {
    a_sleeper_is_handed_a_seat(|parker| parker.hand_over(Some(&NoPoller)));
}

#[test]
#[should_panic(expected = "its parker was used after the flag")]
fn mutant_a_token_that_comes_after_the_flag_is_left_behind() {
    a_sleeper_is_handed_a_seat(|parker| {
        parker.hand_over(Some(&NoPoller));
        parker.unpark(Some(&NoPoller));
    });
}
