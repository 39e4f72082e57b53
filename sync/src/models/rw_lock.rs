//! The read-write lock: writers alone, readers not beside them, and no writer in a downgrade.

use std::panic::Location;

use loom::thread;
use rt_tasks_runtime::shim::Arc;

use super::{Watched, block_on, poll_and_drop};
use crate::RwLock;
use crate::semaphore::{Owner, RawSemaphore};

/// M1.
#[test]
fn m1_two_writers_are_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new(RwLock::new(Watched::new()));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || block_on(other.write()).add());
        let ours = block_on(shared.write()).add();
        assert_eq!(ours + thread.join().unwrap(), 3);
    });
}

/// M1: what a writer did is seen by the reader after it, and a reader's look is over before the next writes.
#[test]
fn m1_a_reader_and_a_writer_are_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new(RwLock::new(Watched::new()));
        let other = Arc::clone(&shared);
        let writer = thread::spawn(move || block_on(other.write()).add());
        assert!(block_on(shared.read()).get() <= 1);
        writer.join().unwrap();
        assert_eq!(block_on(shared.read()).get(), 1);
    });
}

/// M2.
#[test]
fn m2_a_read_write_lock_is_not_stuck_when_a_writer_gives_up() {
    loom::model(|| {
        let shared = Arc::new(RwLock::new(Watched::new()));
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let held = shared.try_read().unwrap();
        let quitter = thread::spawn(move || drop(poll_and_drop(first.write())));
        let reader = thread::spawn(move || block_on(second.read()).get());
        drop(held);
        quitter.join().unwrap();
        assert_eq!(reader.join().unwrap(), 0);
        assert!(shared.try_write().is_some());
    });
}

/// M1: also in debug mode, where the ledger has who reads and who writes.
#[test]
fn m1_a_watched_lock_lets_a_reader_and_a_writer_in_one_after_the_other() {
    loom::model(|| {
        let shared = Arc::new(RwLock::new(Watched::new()));
        shared.permits.watch();
        let other = Arc::clone(&shared);
        let writer = thread::spawn(move || block_on(other.write()).add());
        assert!(block_on(shared.read()).get() <= 1);
        writer.join().unwrap();
        assert_eq!(shared.try_write().unwrap().add(), 2);
    });
}

/// M1: whether it is watched is decided once, while others use it already.
#[test]
fn m1_a_lock_that_begins_to_be_watched_is_a_lock() {
    loom::model(|| {
        let shared = Arc::new(RwLock::new(Watched::new()));
        let (first, second) = (Arc::clone(&shared), Arc::clone(&shared));
        let watches = thread::spawn(move || {
            first.permits.watch();
            block_on(first.write()).add()
        });
        let writes = thread::spawn(move || block_on(second.write()).add());
        assert_eq!(watches.join().unwrap() + writes.join().unwrap(), 3);
        assert!(shared.try_write().is_some());
    });
}

/// A twin of downgrading, over the permits of a writer: `in_one_step` keeps the reader's permit, otherwise
/// all are given back and one is taken again.
fn no_writer_gets_in_between(in_one_step: bool) {
    const MINE: Owner = Owner::Taker;
    loom::model(move || {
        let shared = Arc::new((RawSemaphore::new_lock(), Watched::new()));
        let other = Arc::clone(&shared);
        shared.0.try_take_all(Location::caller()).unwrap();
        let writer = thread::spawn(move || {
            if other.0.try_take_all(Location::caller()).is_ok() {
                other.1.add();
                other.0.give_all_back(0, MINE);
            }
        });
        let written = shared.1.add();
        if in_one_step {
            shared.0.give_all_back(1, MINE);
        } else {
            shared.0.give_all_back(0, MINE);
            if shared.0.try_take(1, MINE, Location::caller()).is_err() {
                writer.join().unwrap();
                return;
            }
        }
        assert_eq!(shared.1.get(), written, "a writer was in between");
        shared.0.give_back(1, MINE);
        writer.join().unwrap();
    });
}

/// M1.
#[test]
fn m1_a_downgrade_is_one_step() {
    no_writer_gets_in_between(true);
}

#[test]
#[should_panic(expected = "a writer was in between")]
fn mutant_that_unlocks_to_downgrade_is_caught() {
    no_writer_gets_in_between(false);
}
