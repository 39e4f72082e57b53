//! A task that takes a lock which it has already is told where it took it, and where it takes it again.

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use rt::Builder;
use rt::sync::{Condvar, Mutex};

use crate::support::{SIZES, builder, ms, must_end};
use crate::trouble::own_lock;

/// What was told: the text, the name of the task, and whether it is a warning.
pub(super) type Told = Arc<StdMutex<Vec<(String, Option<String>, bool)>>>;

/// A builder of a runtime in debug mode, and what that tells.
fn telling(n_workers: usize) -> (Builder, Told) {
    let told = Told::default();
    let theirs = told.clone();
    let builder = builder(n_workers)
        .debug(true)
        .report_deadlocks(false)
        .slow_poll(Duration::from_secs(60))
        .on_unhandled(move |unhandled| {
            let task = unhandled.task().and_then(|task| task.name.as_deref());
            let told = (
                unhandled.to_string(),
                task.map(str::to_owned),
                unhandled.is_warning(),
            );
            theirs.lock().unwrap().push(told);
        });
    (builder, told)
}

/// A runtime in debug mode, and what it tells.
pub(super) fn debugged(n_workers: usize) -> (rt::Runtime, Told) {
    let (builder, told) = telling(n_workers);
    (builder.build().unwrap(), told)
}

/// Runs an example that hangs in debug mode on a runtime of each size, with a clock that jumps; gives what was told until
/// nothing went on any more to `check`.
pub(super) fn each_hangs<F: Future<Output = ()>>(
    example: impl Fn() -> F + Send + Sync + 'static,
    check: impl Fn(&[(String, Option<String>, bool)]) + Send + Sync + 'static,
) {
    let both = Arc::new((example, check));
    for n_workers in SIZES {
        let both = both.clone();
        must_end(&format!("with {n_workers} workers"), move || {
            let (builder, told) = telling(n_workers);
            let runtime = builder.virtual_time(true).build().unwrap();
            runtime.block_on(async {
                let ended = rt::timeout(Duration::from_secs(1), both.0()).await;
                assert!(ended.is_err(), "it waits for ever");
                both.1(&told.lock().unwrap());
            });
        });
    }
}

/// Runs a body in debug mode on a runtime of each size; gives what was told to `check`.
pub(super) fn each_told<F: Future<Output = ()>>(
    body: impl Fn() -> F + Send + Sync + 'static,
    check: impl Fn(&[(String, Option<String>, bool)]) + Send + Sync + 'static,
) {
    let both = Arc::new((body, check));
    for n_workers in SIZES {
        let both = both.clone();
        must_end(&format!("with {n_workers} workers"), move || {
            let (runtime, told) = debugged(n_workers);
            runtime.block_on(both.0());
            drop(runtime);
            both.1(&told.lock().unwrap());
        });
    }
}

/// Runs a body without debug mode, in which it is told nothing.
pub(super) fn untold_without_debug_mode(body: impl Future<Output = ()> + Send + 'static) {
    must_end("without debug mode", || {
        let (builder, told) = telling(2);
        builder.debug(false).build().unwrap().block_on(body);
        let told = told.lock().unwrap();
        assert!(told.is_empty(), "{told:?}");
    });
}

/// `file:line` of the place so many lines above the caller's.
#[track_caller]
pub(super) fn above(n_lines: u32) -> String {
    let here = Location::caller();
    format!("{}:{}:", here.file(), here.line() - n_lines)
}

/// M4: a task that takes its own lock again is told both places, at once.
#[test]
fn m4_a_task_that_locks_again_is_told_both_places() {
    let places: Arc<StdMutex<Vec<String>>> = Arc::default();
    let theirs = places.clone();
    each_told(
        move || {
            let places = theirs.clone();
            async move {
                let task = rt::task::Builder::new().name("saver").spawn(async move {
                    let mutex = Mutex::new(1);
                    let held = mutex.lock().await;
                    let first = above(1);
                    let again = rt::timeout(ms(1), mutex.lock()).await;
                    *places.lock().unwrap() = vec![first, above(1)];
                    assert!(again.is_err() && *held == 1);
                });
                task.await.unwrap();
            }
        },
        move |told| {
            let [(text, task, is_warning)] = told else {
                panic!("{told:?}");
            };
            let places = places.lock().unwrap();
            let since = format!("since {}", places[0]);
            let again = format!("takes a lock at {}", places[1]);
            assert!(text.starts_with("task `saver` spawned at "), "{text}");
            assert!(text.contains(&since) && text.contains(&again), "{text}");
            assert_eq!((task.as_deref(), *is_warning), (Some("saver"), true));
        },
    );
}

/// M4: however the lock was taken, and by whomever it was handed over.
#[test]
fn m4_the_place_is_that_of_whoever_has_the_lock_now() {
    async fn lock_again<T>(mutex: &Mutex<T>) -> String {
        let again = rt::timeout(ms(1), mutex.lock()).await;
        assert!(again.is_err());
        above(2)
    }
    let places: Arc<StdMutex<Vec<String>>> = Arc::default();
    let theirs = places.clone();
    each_told(
        move || {
            let places = theirs.clone();
            async move {
                let mut since = vec![];
                let mutex = Arc::new(Mutex::new(()));
                let tried = mutex.try_lock().unwrap();
                since.push(above(1));
                lock_again(&mutex).await;
                let theirs = mutex.clone();
                let other = rt::spawn(async move {
                    let held = theirs.lock().await;
                    let since = above(1);
                    lock_again(&theirs).await;
                    drop(held);
                    since
                });
                rt::test::quiescent().await;
                drop(tried);
                since.push(other.await.unwrap());
                let owned = mutex.clone().lock_owned().await;
                since.push(above(1));
                lock_again(&mutex).await;
                let changed = Condvar::new();
                let notify = async {
                    let held = mutex.lock().await;
                    changed.notify_one();
                    drop(held);
                };
                let (waited, ()) = rt::join!(changed.wait(owned), notify);
                since.push(above(1));
                lock_again(&mutex).await;
                drop(waited);
                *places.lock().unwrap() = since;
            }
        },
        move |told| {
            let places = places.lock().unwrap();
            assert_eq!(told.len(), 4, "{told:?}");
            for ((text, ..), place) in told.iter().zip(&*places) {
                assert!(text.contains(&format!("since {place}")), "{place}: {text}");
            }
        },
    );
}

/// M4: the future of `block_on` is told too, and the example of a lock taken twice.
#[test]
fn m4_a_block_on_that_locks_again_is_told_both_places() {
    each_told(
        || async {
            let ended = rt::timeout(ms(1), own_lock::print_total()).await;
            assert!(ended.is_err(), "it waits for ever");
        },
        |told| {
            let [(text, task, _)] = told else {
                panic!("{told:?}");
            };
            assert!(text.starts_with("the future of block_on at "), "{text}");
            for part in [
                "examples/trouble/own_lock.rs:6:12 that it has already, since ",
                "examples/trouble/own_lock.rs:12:",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert_eq!(task, &None);
        },
    );
}

/// M4: two places are told once, however often a task comes by.
#[test]
fn m4_the_same_two_places_are_told_once() {
    each_told(
        || async {
            let mutex = Mutex::new(());
            for _ in 0..3 {
                let held = mutex.lock().await;
                let again = rt::timeout(ms(1), mutex.lock()).await;
                assert!(again.is_err());
                drop(held);
            }
        },
        |told| assert_eq!(told.len(), 1, "{told:?}"),
    );
}

/// M4: who waits for another task is told nothing, and neither is anybody without debug mode.
#[test]
fn m4_who_waits_for_others_is_told_nothing() {
    async fn in_turns(n_tasks: u32) {
        let count = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..n_tasks)
            .map(|_| {
                let count = count.clone();
                rt::spawn(async move {
                    for _ in 0..20 {
                        let mut count = count.lock().await;
                        rt::yield_now().await;
                        *count += 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*count.lock().await, n_tasks * 20);
        assert!(count.try_lock().is_some(), "free, and no longer in line");
    }
    each_told(|| in_turns(8), |told| assert!(told.is_empty(), "{told:?}"));
    untold_without_debug_mode(async {
        let mutex = Mutex::new(());
        let _held = mutex.lock().await;
        assert!(rt::timeout(ms(1), mutex.lock()).await.is_err());
    });
}

/// M4: a mutex that is used by plain threads as well stays watched, and works for both.
#[test]
fn m4_a_watched_mutex_is_a_mutex_for_threads_too() {
    each_told(
        || async {
            let mutex = Arc::new(Mutex::new(0));
            drop(mutex.lock().await);
            let theirs = mutex.clone();
            let thread = std::thread::spawn(move || {
                (0..1000).for_each(|_| *theirs.lock_blocking() += 1);
            });
            for _ in 0..1000 {
                *mutex.lock().await += 1;
            }
            thread.join().unwrap();
            assert_eq!(*mutex.lock().await, 2000);
        },
        |told| assert!(told.is_empty(), "{told:?}"),
    );
}
