//! The promise: set once by whoever has the value, and awaited by any number of tasks and threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Wake};
use std::thread;

use crate::support::{
    Bomb, Count, Log, builder, each_body, each_size, exact, ms, must_end, poll_once, poll_with,
};
use rt::sync::{Abandoned, Event, PromiseFuture, promise};
use rt::test::quiescent;

#[test]
fn everyone_who_awaits_gets_the_value() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (promise, future) = promise();
            let tasks = [0; 5].map(|_| rt::spawn(future.clone()));
            quiescent().await;
            assert_eq!(future.stats().n_waiting, 5);
            assert_eq!(promise.stats(), future.stats());
            promise.set("value".to_owned());
            for task in tasks {
                assert_eq!(task.await.unwrap().as_deref(), Ok("value"));
            }
            assert_eq!(future.stats().n_waiting, 0);
            assert_eq!(future.await.as_deref(), Ok("value"), "afterwards too");
        });
    });
}

#[test]
fn they_are_woken_in_the_order_in_which_they_began_to_wait() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let (promise, future) = promise();
        let tasks = ["first", "second", "third"].map(|name| {
            let (future, log) = (future.clone(), theirs.clone());
            rt::spawn(async move {
                let value = future.await.unwrap();
                log.say(format!("{name} {value}"));
            })
        });
        quiescent().await;
        promise.set(7);
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(log, ["first 7", "second 7", "third 7"]);
}

#[test]
fn a_promise_dropped_unset_is_told_to_everyone() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (promise, future) = promise::<u32>();
            let tasks = [0; 3].map(|_| rt::spawn(future.clone()));
            quiescent().await;
            assert_eq!(future.try_get(), None);
            drop(promise);
            for task in tasks {
                assert_eq!(task.await.unwrap(), Err(Abandoned));
            }
            assert!(!future.is_set());
            assert_eq!(future.try_get(), Some(Err(Abandoned)));
            assert_eq!(future.get_blocking(), Err(Abandoned));
            assert_eq!(future.await, Err(Abandoned), "afterwards too");
        });
    });
}

/// A task that is cancelled, or panics, with the promise in its hands abandons it.
#[test]
fn a_promise_does_not_outlive_its_task() {
    each_body(|| async {
        let (promise, future) = promise::<u32>();
        let task = rt::spawn(async move {
            rt::sleep(ms(1_000)).await;
            promise.set(1);
        });
        rt::sleep(ms(1)).await;
        task.cancel();
        assert_eq!(future.await, Err(Abandoned));
    });
}

#[test]
fn a_cancelled_waiter_leaves_the_line() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (promise, future) = promise();
            let (quitter, stayer) = (rt::spawn(future.clone()), rt::spawn(future.clone()));
            quiescent().await;
            quitter.cancel();
            assert!(quitter.await.unwrap_err().is_cancelled());
            assert_eq!(promise.stats().n_waiting, 1);
            promise.set(7);
            assert_eq!(stayer.await.unwrap(), Ok(7));
        });
    });
}

/// It is `Unpin`: one may stop waiting and go on later, and ask again.
#[test]
fn one_may_wait_in_parts_and_ask_twice() {
    each_body(|| async {
        let (promise, mut future) = promise();
        rt::time::call_later(ms(20), move || promise.set("late"));
        assert!(rt::timeout(ms(5), &mut future).await.is_err());
        let woken = rt::select! {
            value = &mut future => value,
            () = rt::sleep(ms(5)) => Ok("not yet"),
        };
        assert_eq!(woken, Ok("not yet"));
        assert_eq!((&mut future).await, Ok("late"));
        assert_eq!((&mut future).await, Ok("late"));
    });
}

#[test]
fn a_thread_sets_and_threads_wait() {
    must_end("with threads", || {
        let (promise, future) = promise();
        let waiting = [0; 3].map(|_| {
            let future = future.clone();
            thread::spawn(move || future.get_blocking())
        });
        while future.stats().n_waiting < 3 {
            thread::yield_now();
        }
        let task = thread::spawn({
            let future = future.clone();
            || builder(2).build().unwrap().block_on(future)
        });
        promise.set(7);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Ok(7));
        }
        assert_eq!(task.join().unwrap(), Ok(7));
        assert_eq!(futures_lite::future::block_on(future), Ok(7), "a stranger");
    });
}

/// No lock is held while a value is cloned: it may look at its own promise, and have itself cloned once more.
#[test]
fn a_value_is_cloned_without_a_lock() {
    static FUTURE: OnceLock<PromiseFuture<Looks>> = OnceLock::new();
    static CLONES: AtomicUsize = AtomicUsize::new(0);
    struct Looks;
    impl Clone for Looks {
        fn clone(&self) -> Self {
            let future = FUTURE.get().expect("it was put there before");
            assert_eq!(future.stats().n_waiting, 0);
            if CLONES.fetch_add(1, SeqCst) == 0 {
                assert!(poll_once(&mut future.clone()).is_ready());
            }
            Self
        }
    }
    must_end("while it clones", || {
        let (promise, future) = promise();
        assert!(FUTURE.set(future.clone()).is_ok());
        promise.set(Looks);
        assert!(future.get_blocking().is_ok());
        assert_eq!(CLONES.load(SeqCst), 2);
    });
}

#[test]
fn a_clone_that_panics_harms_nobody_else() {
    /// Panics when it is cloned in a task of that name.
    #[derive(Debug)]
    struct Picky;
    impl Clone for Picky {
        fn clone(&self) -> Self {
            let task = rt::task::current().expect("it is cloned in a task");
            assert_ne!(task.name().as_deref(), Some("unlucky"));
            Self
        }
    }
    each_size(|runtime| {
        runtime.block_on(async {
            let (promise, future) = promise();
            let names = ["lucky", "unlucky", "lucky too"];
            let tasks = names.map(|name| rt::task::Builder::new().name(name).spawn(future.clone()));
            quiescent().await;
            promise.set(Picky);
            let [before, unlucky, after] = tasks;
            assert!(before.await.unwrap().is_ok());
            assert!(unlucky.await.unwrap_err().is_panic());
            assert!(after.await.unwrap().is_ok());
        });
    });
}

/// The value is dropped with the last handle, and a panic of it is met by whoever drops that.
#[test]
fn a_value_that_panics_when_it_is_dropped_harms_only_the_last() {
    let (promise, first) = promise::<Arc<Bomb>>();
    let last = first.clone();
    promise.set(Arc::new(Bomb));
    assert_eq!(first.is_set(), last.is_set());
    drop(first);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(last))).is_err());
}

#[test]
fn a_value_that_nobody_wants_is_dropped() {
    let count = Count::default();
    let (promise, future) = promise();
    drop(future);
    promise.set(Arc::new(count.on_drop()));
    assert_eq!(count.get(), 1);
}

/// Wakers are called without a lock, and one that panics keeps no other from being called.
#[test]
fn a_waker_may_look_or_panic() {
    struct Looks(PromiseFuture<u32>, Count);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.stats().n_waiting, 0);
            self.1.add();
            panic!("a waker that panics");
        }
    }
    must_end("while it wakes", || {
        let (promise, future) = promise();
        let count = Count::default();
        let mut waiting = [0; 3].map(|_| future.clone());
        for waiting in &mut waiting {
            let waker = Arc::new(Looks(future.clone(), count.clone()));
            assert!(poll_with(waiting, waker).is_pending());
        }
        promise.set(7);
        assert_eq!(count.get(), 3);
        for waiting in &mut waiting {
            assert_eq!(poll_once(waiting), Poll::Ready(Ok(7)));
        }
    });
}

/// The waker of the latest poll is called, and no other.
#[test]
fn a_future_that_moves_is_woken_where_it_is() {
    struct Rings(Count);
    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.add();
        }
    }
    let (promise, mut future) = promise();
    let (old, new) = (Count::default(), Count::default());
    assert!(poll_with(&mut future, Arc::new(Rings(old.clone()))).is_pending());
    let mut moved = Box::new(future);
    assert!(poll_with(&mut moved, Arc::new(Rings(new.clone()))).is_pending());
    promise.set(7);
    assert_eq!((old.get(), new.get()), (0, 1));
    assert_eq!(poll_once(&mut moved), Poll::Ready(Ok(7)));
}

/// Who awaits again and again what is there lets others run.
#[test]
fn a_promise_that_is_set_does_not_hog_its_worker() {
    exact(async {
        let (promise, future) = promise();
        promise.set(());
        let other = Arc::new(Event::new());
        let task = rt::spawn({
            let other = other.clone();
            async move { other.set() }
        });
        while !other.is_set() {
            future.clone().await.unwrap();
        }
        task.await.unwrap();
    });
}

/// What is shown asks nothing of the value.
#[test]
fn it_can_be_shown() {
    struct Plain;
    let (promise, future) = promise::<Plain>();
    let waiting = future.clone();
    assert_eq!(format!("{promise:?}"), "Promise { waiting: 0 }");
    assert_eq!(
        format!("{waiting:?}"),
        "PromiseFuture { state: pending, waiting: 0 }"
    );
    promise.set(Plain);
    assert_eq!(
        format!("{future:?}"),
        "PromiseFuture { state: set, waiting: 0 }"
    );
}
