//! The condition variable: a change is never missed, and a notification is never lost with its waiter.

use std::pin::pin;
use std::task::Waker;

use loom::thread;
use rt_tasks_runtime::shim::Arc;

use super::{block_on, poll_once};
use crate::wait_list::{Left, WaitList, Waiter};
use crate::{Condvar, Mutex};

/// V4: whoever looks at the data and waits is told of a change that comes after the look.
#[test]
fn v4_a_change_is_not_missed() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = Arc::clone(&shared);
        let changer = thread::spawn(move || {
            *block_on(other.0.lock()) = true;
            other.1.notify_one();
        });
        let guard = block_on(shared.0.lock());
        let guard = block_on(shared.1.wait_while(guard, |is_changed| !*is_changed));
        assert!(*guard);
        drop(guard);
        changer.join().unwrap();
        assert!(shared.0.try_lock().is_some());
    });
}

/// V3: of two that wait one gives up while one is notified: it has returned by then, or the other one does.
#[test]
fn v3_a_notification_outlives_its_waiter() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(()), Condvar::new()));
        let other = Arc::clone(&shared);
        let (mutex, condvar) = &*shared;
        let mut quitter = Box::pin(condvar.wait(mutex.try_lock().unwrap()));
        assert!(poll_once(quitter.as_mut()).is_pending());
        let mut stayer = Box::pin(condvar.wait(mutex.try_lock().unwrap()));
        assert!(poll_once(stayer.as_mut()).is_pending());
        let notifier = thread::spawn(move || other.1.notify_one());
        let has_quitter_returned = poll_once(quitter.as_mut()).map(drop).is_ready();
        drop(quitter);
        notifier.join().unwrap();
        let has_stayer_returned = poll_once(stayer.as_mut()).is_ready();
        assert_ne!(
            has_quitter_returned, has_stayer_returned,
            "one notification"
        );
        drop(stayer);
        assert!(mutex.try_lock().is_some());
    });
}

/// A twin of beginning to wait: in line before the mutex is unlocked, or after.
fn a_change_after_the_look_is_told(stands_in_line_first: bool) {
    loom::model(move || {
        let twin = Arc::new((Mutex::new(false), WaitList::<(), ()>::new(())));
        let other = Arc::clone(&twin);
        let changer = thread::spawn(move || {
            *block_on(other.0.lock()) = true;
            other.1.lock().grant(0, ());
        });
        let waiter = pin!(Waiter::new());
        let enqueue = || {
            let mut line = twin.1.lock();
            line.enqueue(None, 0, waiter.as_ref(), (), Waker::noop().clone());
        };
        let guard = block_on(twin.0.lock());
        let mut has_seen = *guard;
        if stands_in_line_first {
            enqueue();
            drop(guard);
        } else {
            drop(guard);
            enqueue();
        }
        changer.join().unwrap();
        let left = twin.1.lock().leave(waiter.as_ref());
        has_seen |= matches!(left, Left::Granted(()));
        assert!(has_seen, "the change was missed");
    });
}

/// V4.
#[test]
fn v4_a_waiter_stands_in_line_before_it_unlocks() {
    a_change_after_the_look_is_told(true);
}

#[test]
#[should_panic(expected = "the change was missed")]
fn mutant_that_unlocks_before_it_stands_in_line_is_caught() {
    a_change_after_the_look_is_told(false);
}
