//! What holds for every primitive because they share one wait list (N12), seen through them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::support::waiting;
use rt_tasks_sync::{Event, Mutex, Queue, Semaphore, oneshot};

/// A waker that runs any code.
struct Runs<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Runs<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn poll_with<F: Future>(future: &mut Pin<Box<F>>, wake: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(Runs(wake)));
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "it did not wait");
}

/// N12: the wakers behind one that panics are called, and nothing is poisoned.
#[test]
fn n12_a_waker_that_panics_harms_nobody() {
    let event = Event::new();
    let mut bad = Box::pin(event.wait());
    poll_with(&mut bad, || panic!("a waker's panic"));
    let mut good = waiting(event.wait());
    event.set();
    assert_eq!(good.wakes(), 1);
    good.ready();
    event.clear();
    waiting(event.wait());

    let (sender, receiver) = oneshot::channel();
    let mut receiver = Box::pin(receiver);
    poll_with(&mut receiver, || panic!("a waker's panic"));
    sender.send(1).unwrap();
}

/// N12: a waker may use the very primitive that calls it: no lock is held.
#[test]
fn n12_wakers_are_called_outside_the_lock() {
    let event = Arc::new(Event::new());
    let mut wait = Box::pin(event.wait());
    let inner = Arc::clone(&event);
    poll_with(&mut wait, move || inner.clear());
    event.set();
    assert!(!event.is_set(), "the waker has run");

    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.try_lock().unwrap();
    let mut lock = Box::pin(mutex.lock());
    let inner = Arc::clone(&mutex);
    poll_with(&mut lock, move || drop(waiting(inner.lock())));
    drop(held);

    let semaphore = Arc::new(Semaphore::new(0));
    let mut acquire = Box::pin(semaphore.acquire());
    let inner = Arc::clone(&semaphore);
    poll_with(&mut acquire, move || inner.add_permits(1).unwrap());
    semaphore.add_permits(1).unwrap();
    assert_eq!(semaphore.available(), 1);

    let queue = Queue::unbounded();
    let mut get = Box::pin(queue.get());
    let inner = queue.clone();
    poll_with(&mut get, move || {
        // Once: the getter is granted an item by the first put only.
        inner.try_put(2).unwrap();
    });
    queue.try_put(1).unwrap();
    assert_eq!(queue.len(), 2);
}

/// N12: being polled without having been woken changes nothing.
#[test]
fn n12_spurious_polls_do_no_harm() {
    let mutex = Mutex::new(());
    let held = mutex.try_lock().unwrap();
    let mut first = waiting(mutex.lock());
    let mut second = waiting(mutex.lock());
    for _ in 0..10 {
        second.pending();
        first.pending();
    }
    drop(held);
    second.pending();
    drop(first.ready());
    drop(second.ready());
}

/// N12: a future that is dropped while its thread unwinds leaves its line like any other.
#[test]
fn n12_unwinding_out_of_a_wait_leaves_the_line_in_order() {
    let semaphore = Semaphore::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let _first = waiting(semaphore.acquire());
        semaphore.add_permits(1).unwrap();
        panic!("with a grant in hand");
    }));
    assert!(panic.is_err());
    assert_eq!(semaphore.available(), 1);
}

/// N12: a million waiters that gave up on one long wait leave nothing behind (scaled down).
#[test]
fn n12_waiters_that_gave_up_are_not_kept() {
    let event = Event::new();
    let mut stays = waiting(event.wait());
    for _ in 0..100_000 {
        drop(waiting(event.wait()));
    }
    assert!(format!("{event:?}").contains("waiting: 1"), "{event:?}");
    event.set();
    stays.ready();
}

/// N12: a future that was never polled is in no line, and may be dropped or moved.
#[test]
fn n12_a_future_that_was_not_polled_waits_for_nothing() {
    let semaphore = Semaphore::new(1);
    let acquire = semaphore.acquire();
    let moved = [acquire];
    drop(moved);
    assert_eq!(semaphore.available(), 1);
}
