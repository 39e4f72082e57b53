//! The mutex: one at a time, with an order between them, and never stuck.

use loom::thread;
use rt_tasks_runtime::shim::Arc;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Watched, block_on, poll_and_drop};
use crate::Mutex;
use crate::wait_list::WaitList;

/// M1.
#[test]
fn m1_two_holders_are_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new(Mutex::new(Watched::new()));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || block_on(other.lock()).add());
        let ours = block_on(shared.lock()).add();
        assert_eq!(
            ours + thread.join().unwrap(),
            3,
            "one was first, the other second"
        );
        assert!(!shared.is_locked());
    });
}

/// M1: `try_lock` keeps out as long as somebody holds the lock or is about to.
#[test]
fn m1_try_lock_does_not_slip_in() {
    loom::model(|| {
        let shared = Arc::new(Mutex::new(Watched::new()));
        let (waits, tries) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = [
            thread::spawn(move || u32::from(block_on(waits.lock()).add() > 0)),
            thread::spawn(move || u32::from(tries.try_lock().is_some_and(|guard| guard.add() > 0))),
        ];
        let entered: u32 = threads.map(|thread| thread.join().unwrap()).iter().sum();
        let after = shared.try_lock().expect("nobody holds it").add();
        assert_eq!(after, entered + 1);
    });
}

/// M2.
#[test]
fn m2_the_lock_is_not_stuck_when_a_waiter_gives_up() {
    loom::model(|| {
        let shared = Arc::new(Mutex::new(Watched::new()));
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let held = shared.try_lock().unwrap();
        let quitter = thread::spawn(move || drop(poll_and_drop(first.lock())));
        let stayer = thread::spawn(move || block_on(second.lock()).add());
        drop(held);
        quitter.join().unwrap();
        stayer.join().unwrap();
        assert!(shared.try_lock().is_some());
    });
}

/// M1, M4: a watched mutex, where every step goes by the line: one after the other, also where one gives up.
#[test]
fn m1_a_watched_mutex_is_locked_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new(Mutex::new(Watched::new()));
        shared.raw.watch(std::panic::Location::caller());
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let quitter =
            thread::spawn(move || drop(poll_and_drop(first.lock()).map(|guard| guard.add())));
        let stayer = thread::spawn(move || block_on(second.lock()).add());
        if let Some(guard) = shared.try_lock() {
            guard.add();
        }
        quitter.join().unwrap();
        stayer.join().unwrap();
        assert!(shared.try_lock().is_some_and(|guard| guard.add() >= 2));
    });
}

/// M4: whoever comes first decides whether the mutex is watched, and locks it all the same.
#[test]
fn m4_a_new_mutex_is_locked_by_one_while_another_begins_to_watch_it() {
    loom::model(|| {
        let shared = Arc::new(Mutex::new(Watched::new()));
        let (watches, locks) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = [
            thread::spawn(move || {
                watches.raw.watch(std::panic::Location::caller());
                block_on(watches.lock()).add()
            }),
            thread::spawn(move || block_on(locks.lock()).add()),
        ];
        let entered: u32 = threads.map(|thread| thread.join().unwrap()).iter().sum();
        assert_eq!(entered, 3, "one was first, the other second");
        assert!(shared.try_lock().is_some());
    });
}

/// A twin of locking and unlocking: `looks_again` is the look at the word after `WAITERS` was set.
struct Twin {
    state: AtomicU8,
    line: WaitList<(), ()>,
}

/// The path on which a waiter meets an unlocking, with the waiter's look before or after its mark.
fn an_unlocking_is_seen_by_who_begins_to_wait(looks_again: bool) {
    loom::model(move || {
        let twin = Arc::new(Twin {
            state: AtomicU8::new(1),
            line: WaitList::new(()),
        });
        let other = Arc::clone(&twin);
        let unlocker = thread::spawn(move || {
            // ORDERING(twin-unlock): Release, as in `unlock`.
            if other
                .state
                .compare_exchange(1, 0, Release, Relaxed)
                .is_err()
            {
                let _line = other.line.lock();
                // ORDERING(twin-unlock): Release, as in `hand_over`.
                other.state.store(1, Release);
                return true;
            }
            false
        });
        let line = twin.line.lock();
        let locked = if looks_again {
            // ORDERING(twin-unlock): Acquire, as in `poll_contended`.
            twin.state.fetch_or(3, Acquire) == 0
        } else {
            // ORDERING(twin-unlock): Acquire, but it is the mark that had to look.
            let before = twin.state.load(Acquire);
            // Relaxed: the mutant.
            twin.state.fetch_or(3, Relaxed);
            before == 0
        };
        drop(line);
        let handed_over = unlocker.join().unwrap();
        assert!(locked != handed_over, "the lock was lost, or given twice");
    });
}

/// M1.
#[test]
fn m1_the_mark_and_the_look_are_one_step() {
    an_unlocking_is_seen_by_who_begins_to_wait(true);
}

#[test]
#[should_panic(expected = "the lock was lost")]
fn mutant_that_looks_before_it_marks_is_caught() {
    an_unlocking_is_seen_by_who_begins_to_wait(false);
}
