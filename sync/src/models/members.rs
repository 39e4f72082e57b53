//! Who is in a group: the scope sees it empty once nobody is left, and is woken then.

use std::sync::Arc;

use loom::thread;
use rt_tasks_runtime::shim::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use rt_tasks_runtime::shim::atomic::{AtomicBool, AtomicUsize};
use rt_tasks_runtime::shim::{Mutex, lock};

use super::{Bell, Watched, block_on};
use crate::group_members::{Empty, Entry, Members};

/// A child that remembers whether it was cancelled.
#[derive(Clone)]
struct Child(Arc<AtomicBool>);

impl Child {
    fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }
}

impl Entry for Child {
    fn is_finished(&self) -> bool {
        false
    }

    fn cancel_all(entries: Vec<Self>, _reason: &'static str) {
        entries
            .iter()
            .for_each(|child| child.0.store(true, Relaxed));
    }
}

/// A group of the model, and what its children do.
type Group = Arc<(Arc<Members<Child>>, Watched)>;

fn group() -> Group {
    Arc::new((Arc::default(), Watched::new()))
}

fn enter(group: &Group) {
    group.0.enter(Child::new());
}

/// G9: a child that spawns another and ends at once does not let the scope go; what all of them did is seen.
#[test]
fn g9_the_scope_waits_for_the_child_of_a_child() {
    loom::model(|| {
        let group = group();
        enter(&group);
        let ours = Arc::clone(&group);
        let child = thread::spawn(move || {
            enter(&ours);
            let theirs = Arc::clone(&ours);
            let grandchild = thread::spawn(move || {
                theirs.1.add();
                theirs.0.leave();
            });
            ours.0.leave();
            grandchild
        });
        block_on(Empty(Arc::clone(&group.0)));
        assert_eq!(group.1.add(), 2, "the scope was over before a child was");
        child.join().unwrap().join().unwrap();
    });
}

/// G9: of two children that end at the same time one finds that it is the last.
#[test]
fn g9_the_last_of_two_wakes_the_scope() {
    loom::model(|| {
        let group = group();
        let children = [(); 2].map(|()| {
            enter(&group);
            let group = Arc::clone(&group);
            thread::spawn(move || group.0.leave())
        });
        block_on(Empty(Arc::clone(&group.0)));
        assert_eq!(group.0.len(), 0);
        for child in children {
            child.join().unwrap();
        }
    });
}

/// G8: a child that is entered while the group is cancelled is cancelled, by one or by the other.
#[test]
fn g8_no_child_slips_through_a_cancellation() {
    loom::model(|| {
        let group = group();
        let ours = Arc::clone(&group);
        let spawner = thread::spawn(move || {
            let child = Child::new();
            if ours.0.enter(child.clone()).is_some() {
                child.0.store(true, Relaxed);
            }
            child
        });
        group.0.cancel("now");
        let child = spawner.join().unwrap();
        assert!(child.0.load(Relaxed), "nobody cancelled it");
    });
}

/// A twin of the last child and the scope that begins to wait. The scope says that it waits and looks at the
/// count in one critical section, or it looks before.
fn scope_and_last_child(looks_before: bool) {
    loom::model(move || {
        let twin = Arc::new((AtomicUsize::new(1), Mutex::new(None::<Arc<Bell>>)));
        let ours = Arc::clone(&twin);
        let child = thread::spawn(move || {
            // ORDERING(twin-empty): Release, what the child did; Acquire, what the others did.
            if ours.0.fetch_sub(1, AcqRel) == 1 {
                let bell = lock(&ours.1).take();
                bell.into_iter().for_each(|bell| bell.0.notify());
            }
        });
        let bell = Arc::new(Bell::default());
        // ORDERING(twin-empty): Acquire, but too early.
        let early = twin.0.load(Acquire);
        let mut place = lock(&twin.1);
        *place = Some(Arc::clone(&bell));
        // ORDERING(twin-empty): Acquire, for what the child did.
        let seen = if looks_before {
            early
        } else {
            twin.0.load(Acquire)
        };
        drop(place);
        if seen > 0 {
            bell.0.wait();
        }
        child.join().unwrap();
    });
}

/// G9.
#[test]
fn g9_the_scope_says_that_it_waits_before_it_looks() {
    scope_and_last_child(false);
}

/// The known-bad mutant: the child ends in between, and nobody wakes the scope.
#[test]
#[should_panic]
fn mutant_a_scope_that_looks_before_it_waits_hangs() {
    scope_and_last_child(true);
}

/// The known-bad mutant: a child that is counted after its parent has ended.
#[test]
#[should_panic = "the scope was over before a child was"]
fn mutant_a_child_that_is_counted_late_is_missed() {
    loom::model(|| {
        let group = group();
        enter(&group);
        let ours = Arc::clone(&group);
        let child = thread::spawn(move || {
            ours.0.leave();
            enter(&ours);
            ours.1.add();
            ours.0.leave();
        });
        block_on(Empty(Arc::clone(&group.0)));
        let n_left = group.0.len();
        child.join().unwrap();
        assert_eq!(n_left, 0, "the scope was over before a child was");
    });
}
