//! The wait list itself: no wake-up is lost, no grant is lost, and a grant brings its data along.
//!
//! The wait list is driven through a gate that is as small as a primitive can be: a number of tickets
//! under the list's lock. The mutants are gates that use the list wrongly in one place, or, where the
//! place is inside the list, a twin of that step.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;
use pin_project_lite::pin_project;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::atomic::{AtomicU8, Ordering};
use rt_tasks_runtime::shim::{Arc, Mutex, UnsafeCell, lock};

use super::{Watched, block_on, poll_and_drop, poll_once};
use crate::wait_list::{Left, WaitList, Waiter};

/// What a gate does wrongly.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It looks at the tickets, and enqueues under a later hold of the lock without looking again.
    NoSecondLook,
    /// A waiter that is dropped with a ticket in its hand takes it along.
    KeepsGrant,
}

/// Tickets, and those who wait for one.
struct Gate {
    line: WaitList<u32, ()>,
    fault: Fault,
}

impl Gate {
    fn new(tickets: u32, fault: Fault) -> Self {
        Self {
            line: WaitList::new(tickets),
            fault,
        }
    }

    fn pass(&self) -> Pass<'_> {
        Pass {
            gate: self,
            waiter: Waiter::new(),
        }
    }

    fn add_ticket(&self) {
        let mut line = self.line.lock();
        if !line.grant(0, ()) {
            *line += 1;
        }
    }

    fn tickets(&self) -> u32 {
        *self.line.lock()
    }
}

pin_project! {
    struct Pass<'a> {
        gate: &'a Gate,
        #[pin]
        waiter: Waiter<()>,
    }

    impl PinnedDrop for Pass<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let left = this.gate.line.lock().leave(this.waiter.as_ref());
            if matches!(left, Left::Granted(())) && this.gate.fault != Fault::KeepsGrant {
                this.gate.add_ticket();
            }
        }
    }
}

impl Future for Pass<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        if !waiter.is_idle() {
            return this.gate.line.poll(waiter, cx);
        }
        let waker = cx.waker().clone();
        let mut line = this.gate.line.lock();
        if *line > 0 {
            *line -= 1;
            return Poll::Ready(());
        }
        if this.gate.fault == Fault::NoSecondLook {
            drop(line);
            line = this.gate.line.lock();
        }
        line.enqueue(None, 0, waiter, (), waker);
        Poll::Pending
    }
}

/// Whether a waiter that begins to wait while the one ticket is added has it when both are through.
///
/// It is polled by hand, once before and once after: a waiter that slept would be a deadlock, of which
/// loom makes more noise than a mutant's test can bear.
fn a_waiter_gets_the_ticket(fault: Fault) {
    loom::model(move || {
        let gate: &'static Gate = Box::leak(Box::new(Gate::new(0, fault)));
        let waiter = thread::spawn(move || {
            let mut pass = Box::pin(gate.pass());
            let passed = poll_once(pass.as_mut()).is_ready();
            (!passed).then_some(pass)
        });
        gate.add_ticket();
        let passed = match waiter.join().unwrap() {
            Some(mut pass) => poll_once(pass.as_mut()).is_ready(),
            None => true,
        };
        assert!(passed, "a wake-up was lost");
    });
}

/// N12.
#[test]
fn n12_no_wake_up_is_lost() {
    a_waiter_gets_the_ticket(Fault::None);
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn mutant_without_a_second_look_loses_a_wake_up() {
    a_waiter_gets_the_ticket(Fault::NoSecondLook);
}

/// N12: a waiter that sleeps is woken by the waker it polled with.
#[test]
fn n12_a_sleeping_waiter_is_woken() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(0, Fault::None));
        let other = Arc::clone(&gate);
        let waiter = thread::spawn(move || block_on(other.pass()));
        gate.add_ticket();
        waiter.join().unwrap();
    });
}

fn a_ticket_survives_a_waiter_that_gives_up(fault: Fault) {
    loom::model(move || {
        let gate = Arc::new(Gate::new(0, fault));
        let (first, second) = (Arc::clone(&gate), Arc::clone(&gate));
        let give_up = |gate: Arc<Gate>| u32::from(poll_and_drop(gate.pass()).is_some());
        let quitters = [
            thread::spawn(move || give_up(first)),
            thread::spawn(move || give_up(second)),
        ];
        gate.add_ticket();
        let used: u32 = quitters.map(|quitter| quitter.join().unwrap()).iter().sum();
        assert_eq!(used + gate.tickets(), 1, "a ticket was lost");
    });
}

/// N12, rule T; and the links hold when two leave while one is granted.
#[test]
fn a_grant_goes_on_when_its_waiter_is_dropped() {
    a_ticket_survives_a_waiter_that_gives_up(Fault::None);
}

#[test]
#[should_panic(expected = "a ticket was lost")]
fn mutant_that_keeps_its_grant_strands_the_next() {
    a_ticket_survives_a_waiter_that_gives_up(Fault::KeepsGrant);
}

/// N12: what was done before the grant is seen after it, though the waiter does not lock.
#[test]
fn n12_a_grant_carries_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new((Gate::new(0, Fault::None), Watched::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            block_on(other.0.pass());
            assert_eq!(other.1.add(), 2);
        });
        shared.1.add();
        shared.0.add_ticket();
        waiter.join().unwrap();
    });
}

/// The step inside the list at which a waiter changes hands.
struct HandOver {
    phase: AtomicU8,
    payload: UnsafeCell<u32>,
}

// SAFETY: none is needed: loom panics where two accesses are not ordered, which is what it is for.
unsafe impl Sync for HandOver {}

impl HandOver {
    fn answer(&self) {
        self.payload.with_mut(|payload| {
            // SAFETY: loom has checked the access.
            unsafe { *payload = 7 }
        });
    }
}

/// A twin of `grant` and `redeem`: `answer_first` is their order, `order` how the phase is stored.
fn a_granted_waiter_belongs_to_its_future(order: Ordering, answer_first: bool) {
    loom::model(move || {
        let hand_over = Arc::new(HandOver {
            phase: AtomicU8::new(0),
            payload: UnsafeCell::new(0),
        });
        let other = Arc::clone(&hand_over);
        let granter = thread::spawn(move || {
            if answer_first {
                other.answer();
            }
            // ORDERING(twin-grant): Release in the sound variant, as in `grant`.
            other.phase.store(1, order);
            if !answer_first {
                other.answer();
            }
        });
        // ORDERING(twin-grant): Acquire, as in `redeem`.
        if hand_over.phase.load(Acquire) == 1 {
            hand_over.answer();
        }
        granter.join().unwrap();
    });
}

/// N12.
#[test]
fn n12_the_phase_is_stored_last_and_releases() {
    a_granted_waiter_belongs_to_its_future(Release, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_does_not_release_is_caught() {
    a_granted_waiter_belongs_to_its_future(Relaxed, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn mutant_that_touches_a_waiter_after_granting_is_caught() {
    a_granted_waiter_belongs_to_its_future(Release, false);
}

/// Says whether it was called.
#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl Wake for Flag {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// N12: of two wakers the latest is called, though the first is still in line when it comes.
#[test]
fn n12_the_waker_of_the_latest_poll_is_called() {
    loom::model(|| {
        let gate = Arc::new(Gate::new(0, Fault::None));
        let other = Arc::clone(&gate);
        let adder = thread::spawn(move || other.add_ticket());
        let mut pass = Box::pin(gate.pass());
        let flags = [(); 2].map(|()| std::sync::Arc::new(Flag::default()));
        let mut is_ready = false;
        for flag in [&flags[0], &flags[1], &flags[1]] {
            let waker = Waker::from(std::sync::Arc::clone(flag));
            is_ready = is_ready
                || pass
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready();
        }
        adder.join().unwrap();
        assert!(
            is_ready || flags[1].0.load(Relaxed),
            "nobody polls it again"
        );
    });
}

/// A twin of a waiter that changes its waker in line: `(the waker, whether it was taken to be called)`.
/// `in_one_step` says whether it looks and changes under one hold of the lock.
fn a_changed_waker_is_called(in_one_step: bool) {
    loom::model(move || {
        let twin = Arc::new(Mutex::new(Some(1)));
        let other = Arc::clone(&twin);
        let granter = thread::spawn(move || lock(&other).take());
        let mut line = lock(&twin);
        let is_in_line = line.is_some();
        if !in_one_step {
            drop(line);
            line = lock(&twin);
        }
        if is_in_line {
            *line = Some(2);
        }
        drop(line);
        let called = granter.join().unwrap();
        assert!(!is_in_line || called == Some(2), "it sleeps for ever");
    });
}

/// N12.
#[test]
fn n12_a_waker_is_changed_in_one_step() {
    a_changed_waker_is_called(true);
}

#[test]
#[should_panic(expected = "it sleeps for ever")]
fn mutant_that_looks_before_it_changes_its_waker_is_caught() {
    a_changed_waker_is_called(false);
}
