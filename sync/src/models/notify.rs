//! Notifications: none is lost, wherever it meets who begins to wait or gives up.

use std::pin::Pin;

use loom::thread;
use rt_tasks_runtime::shim::Arc;
use rt_tasks_runtime::shim::atomic::AtomicUsize;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{Watched, block_on, poll_and_drop};
use crate::Notify;
use crate::wait_list::WaitList;

#[test]
fn a_notification_brings_what_came_before_it() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), Watched::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            block_on(other.0.notified());
            assert_eq!(other.1.add(), 2);
        });
        shared.1.add();
        shared.0.notify_one();
        waiter.join().unwrap();
    });
}

/// Rule T: whoever gives up, one notification is fetched once or kept.
#[test]
fn a_notification_is_fetched_once_or_kept() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let quitters = [(); 2].map(|()| {
            let notify = Arc::clone(&notify);
            thread::spawn(move || u32::from(poll_and_drop(notify.notified()).is_some()))
        });
        notify.notify_one();
        let fetched: u32 = quitters.map(|quitter| quitter.join().unwrap()).iter().sum();
        let kept = u32::from(poll_and_drop(notify.notified()).is_some());
        assert_eq!(fetched + kept, 1);
    });
}

#[test]
fn who_has_called_is_reached_by_a_notification_for_all() {
    loom::model(|| {
        let notify: &'static Notify = Box::leak(Box::new(Notify::new()));
        let watched = Arc::new(Watched::new());
        let theirs = Arc::clone(&watched);
        let notified = notify.notified();
        let waiter = thread::spawn(move || {
            block_on(notified);
            assert_eq!(theirs.add(), 2);
        });
        watched.add();
        notify.notify_waiters();
        waiter.join().unwrap();
    });
}

/// Who calls and then looks for itself misses nothing: either it sees what was done before the notification, or
/// it counts as waiting for it.
#[test]
fn who_calls_before_it_looks_is_reached_or_sees() {
    loom::model(|| {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let other = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            // Relaxed: the notification is what orders it.
            other.1.store(1, Relaxed);
            other.0.notify_waiters();
        });
        let notified = shared.0.notified();
        // Relaxed: as above.
        if shared.1.load(Relaxed) == 0 {
            block_on(notified);
        }
        notifier.join().unwrap();
    });
}

/// A notification for one and one for all at the same time: one waiter, who leaves at most one behind.
#[test]
fn both_kinds_at_once_lose_neither() {
    loom::model(|| {
        let notify = Arc::new(Notify::new());
        let other = Arc::clone(&notify);
        let one = thread::spawn(move || other.notify_one());
        let mut notified = Box::pin(notify.notified());
        let _ = super::poll_once(Pin::as_mut(&mut notified));
        notify.notify_waiters();
        block_on(notified);
        one.join().unwrap();
    });
}

/// A twin of notifying one and beginning to wait: the notifier leaves a permit unless it finds the flag,
/// the waiter sets the flag and looks for a permit. `looks_before` is the mutant.
fn notifier_and_waiter_see_each_other(looks_before: bool) {
    const PERMIT: usize = 1;
    const WAITERS: usize = 2;
    loom::model(move || {
        let twin = Arc::new((AtomicUsize::new(0), WaitList::<(), (), 1>::new(())));
        let other = Arc::clone(&twin);
        let notifier = thread::spawn(move || {
            // ORDERING(twin-notice): Release, as in `notify_one`.
            let exchange = other.0.compare_exchange(0, PERMIT, Release, Relaxed);
            exchange.is_err()
        });
        let _line = twin.1.lock();
        let has_permit = if looks_before {
            // ORDERING(twin-notice): Acquire, but too early.
            let before = twin.0.load(Acquire);
            // Relaxed: the mutant.
            twin.0.fetch_or(WAITERS, Relaxed);
            before & PERMIT != 0
        } else {
            // ORDERING(twin-notice): Acquire, as in `poll_without`.
            twin.0.fetch_or(WAITERS, Acquire) & PERMIT != 0
        };
        assert!(
            has_permit != notifier.join().unwrap(),
            "a notification was lost, or given twice"
        );
    });
}

#[test]
fn either_the_notifier_or_the_waiter_sees_the_other() {
    notifier_and_waiter_see_each_other(false);
}

#[test]
#[should_panic(expected = "a notification was lost")]
fn mutant_that_looks_before_it_marks_is_caught() {
    notifier_and_waiter_see_each_other(true);
}
