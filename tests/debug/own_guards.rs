//! A task that waits for a read-write lock of which it has a guard is told where it got that, and where it waits.

use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex};

use rt::sync::{Event, RwLock};
use rt::{JoinHandle, local_group};

use crate::relocks::{debugged, each_hangs, each_told, untold_without_debug_mode};
use crate::support::{SIZES, ms, must_end};
use crate::trouble::read_twice;

/// What is to be told, each by several parts of its text.
pub(super) type Expected = Vec<Vec<String>>;

/// The value of an expression on one line, and the place.
macro_rules! placed {
    ($value:expr) => {
        ($value, concat!(file!(), ":", line!(), ":"))
    };
}
pub(super) use placed;

/// Runs a body as a task `saver` of a runtime of each size; it returns what is to be told of it.
pub(super) fn each_tells<F>(body: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = Expected> + Send + 'static,
{
    let expected: Arc<StdMutex<Expected>> = Arc::default();
    let theirs = expected.clone();
    each_told(
        move || {
            let (expected, body) = (theirs.clone(), body());
            async move {
                let task = rt::task::Builder::new().name("saver").spawn(body);
                *expected.lock().unwrap() = task.await.unwrap();
            }
        },
        move |told| {
            let expected = expected.lock().unwrap();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            for ((text, task, is_warning), parts) in told.iter().zip(&*expected) {
                assert!(text.starts_with("task `saver` spawned at "), "{text}");
                assert_eq!((task.as_deref(), *is_warning), (Some("saver"), true));
                for part in parts {
                    assert!(text.contains(part), "{part} is not in {text}");
                }
            }
        },
    );
}

/// Runs a body as a task of a runtime of each size: nothing is to be told.
pub(super) fn each_silent<F>(body: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    each_tells(move || {
        let body = body();
        async move {
            body.await;
            vec![]
        }
    });
}

/// Waits for something that never comes, for a moment.
pub(super) async fn in_vain(waits: impl Future) {
    assert!(rt::timeout(ms(1), waits).await.is_err());
}

/// A task that begins to wait for the lock, to write.
async fn writer(lock: &Arc<RwLock<u32>>) -> JoinHandle<()> {
    let lock = lock.clone();
    let began = Arc::new(Event::new());
    let theirs = began.clone();
    let writer = rt::spawn(async move {
        let write = lock.write();
        theirs.set();
        *write.await += 1;
    });
    began.wait().await;
    rt::test::quiescent().await;
    writer
}

fn said(said: &str, since: &str, again: &str) -> Vec<String> {
    let (since, again) = (format!("since {since}"), format!("at {again}"));
    vec![said.to_owned(), since, again]
}

/// M4: whoever reads and waits to write, or writes and waits for anything, is told both places.
#[test]
fn m4_who_has_a_guard_and_waits_to_write_or_to_read_is_told_both_places() {
    each_tells(|| async {
        let lock = RwLock::new(1);
        let (reads, first) = placed!(lock.read().await);
        let ((), again) = placed!(in_vain(lock.write()).await);
        let mut expected = vec![said("to write that it reads already", first, again)];
        drop(reads);
        let (writes, first) = placed!(lock.write().await);
        let ((), again) = placed!(in_vain(lock.write()).await);
        expected.push(said("that it writes already", first, again));
        let ((), again) = placed!(in_vain(lock.read()).await);
        expected.push(said("that it writes already", first, again));
        drop(writes);
        let (tried, first) = placed!(lock.try_read().unwrap());
        let ((), again) = placed!(in_vain(lock.write()).await);
        expected.push(said("to write that it reads already", first, again));
        drop(tried);
        assert!(lock.try_write().is_some(), "free, and nobody is in line");
        expected
    });
}

/// M4: whoever waits is told also if its guard is to be owned, and who writes with an owned one, wherever it got that.
#[test]
fn m4_who_waits_for_an_owned_guard_or_has_one_to_write_is_told() {
    each_tells(|| async {
        let lock = Arc::new(RwLock::new(1));
        let (writes, first) = placed!(lock.clone().write_owned().await);
        let ((), again) = placed!(in_vain(lock.clone().read_owned()).await);
        let mut expected = vec![said("that it writes already", first, again)];
        drop(writes);
        let (tried, first) = placed!(lock.clone().try_write_owned().unwrap());
        let ((), again) = placed!(in_vain(lock.clone().write_owned()).await);
        expected.push(said("that it writes already", first, again));
        drop(tried);
        let (reads, first) = placed!(lock.read().await);
        let ((), again) = placed!(in_vain(lock.clone().write_owned()).await);
        expected.push(said("to write that it reads already", first, again));
        drop(reads);
        expected
    });
}

/// M4: a second read is told once a writer has come in between, and not before.
#[test]
fn m4_who_reads_again_behind_a_writer_is_told_both_places() {
    each_tells(|| async {
        let lock = Arc::new(RwLock::new(1));
        let (first, place) = placed!(lock.read().await);
        let (second, other) = placed!(rt::timeout(ms(1), lock.read()).await.unwrap());
        drop(second);
        let writer = writer(&lock).await;
        let ((), again) = placed!(in_vain(lock.read()).await);
        drop(first);
        writer.await.unwrap();
        assert_eq!(*lock.read().await, 2);
        vec![vec![
            format!("reads a lock at {again}"),
            "another one has begun to wait to write".to_owned(),
            // Of the two guards one was given up, and nobody knows which.
            format!("since {place}"),
            format!(" or {other}"),
        ]]
    });
}

/// M4: who goes on as a reader has the lock since it got it to write; who was handed it, since it asked for it.
#[test]
fn m4_the_place_is_where_the_guard_was_asked_for() {
    each_tells(|| async {
        let lock = Arc::new(RwLock::new(1));
        let (writes, first) = placed!(lock.write().await);
        let reads = writes.downgrade();
        let ((), again) = placed!(in_vain(lock.write()).await);
        let mut expected = vec![said("to write that it reads already", first, again)];
        let theirs = lock.clone();
        let waits = rt::spawn(async move {
            let held = theirs.write().await;
            rt::sleep(ms(5)).await;
            drop(held);
        });
        rt::test::quiescent().await;
        drop(reads);
        rt::test::quiescent().await;
        let (handed, first) = placed!(lock.read().await);
        let ((), again) = placed!(in_vain(lock.write()).await);
        expected.push(said("to write that it reads already", first, again));
        drop(handed);
        waits.await.unwrap();
        expected
    });
}

/// M4: with two guards both places are named.
#[test]
fn m4_the_places_of_all_guards_are_told() {
    each_tells(|| async {
        let lock = RwLock::new(1);
        let (_first, one) = placed!(lock.read().await);
        let (_second, other) = placed!(lock.read().await);
        let ((), again) = placed!(in_vain(lock.write()).await);
        let told = said("to write that it reads already", one, again);
        vec![[told, vec![format!(" and {other}")]].concat()]
    });
}

/// M4: two places are told once, and the example of a lock that is read twice.
#[test]
fn m4_two_places_of_a_lock_are_told_once() {
    each_tells(|| async {
        let lock = RwLock::new(1);
        let mut places = ("", "");
        for _ in 0..3 {
            let (_reads, first) = placed!(lock.read().await);
            let ((), again) = placed!(in_vain(lock.write()).await);
            places = (first, again);
        }
        vec![said("to write that it reads already", places.0, places.1)]
    });
    each_hangs(read_twice::report_and_change, |told| {
        let [(text, task, _)] = told else {
            panic!("{told:?}");
        };
        assert_eq!(task.as_deref(), Some("report"));
        for part in [
            "examples/trouble/read_twice.rs:16:28 that it reads already, since ",
            "examples/trouble/read_twice.rs:14:26, and in between",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    });
}

/// M4: nobody is told who waits for others, reads twice without a writer, only tries, or has what may be passed on.
#[test]
fn m4_who_waits_for_others_to_give_up_a_guard_is_told_nothing() {
    each_silent(|| async {
        let lock = Arc::new(RwLock::new(1));
        let two = (lock.read().await, lock.read().await);
        assert!(lock.try_write().is_none());
        let first = writer(&lock).await;
        assert!(lock.try_read().is_none());
        let theirs = lock.clone();
        let reads = rt::spawn(async move { *theirs.read().await });
        rt::test::quiescent().await;
        drop(two);
        first.await.unwrap();
        assert_eq!(reads.await.unwrap(), 2);
        let passed_on = lock.clone().read_owned().await;
        let thread = std::thread::spawn(move || {
            std::thread::sleep(ms(20));
            drop(passed_on);
        });
        *lock.write().await += 1;
        thread.join().unwrap();
        // What is told to others is not told of a plain thread.
        let held = lock.read().await;
        let theirs = lock.clone();
        let thread = std::thread::spawn(move || *theirs.write_blocking() += 1);
        while lock.stats().n_waiting == 0 {
            rt::yield_now().await;
        }
        drop(held);
        thread.join().unwrap();
        assert_eq!(*lock.read().await, 4);
    });
}

/// M4: parts of a task that have wakers of their own take turns.
#[test]
fn m4_parts_of_a_task_that_write_in_turns_are_told_nothing() {
    each_silent(|| async {
        let lock = &RwLock::new(0);
        let in_turns = local_group(|group| async move {
            for _ in 0..3 {
                group.spawn_ok(async {
                    let mut held = lock.write().await;
                    rt::sleep(ms(1)).await;
                    *held += 1;
                });
            }
            Ok(())
        });
        in_turns.await.unwrap();
        assert_eq!(*lock.read().await, 3);
    });
}

/// M4: a task that blocks its thread for a lock which it has is told, too.
#[test]
fn m4_who_blocks_for_its_own_guard_is_told_both_places() {
    for n_workers in SIZES {
        must_end(&format!("with {n_workers} workers"), move || {
            let (runtime, told) = debugged(n_workers);
            let lock = Arc::new(RwLock::new(1));
            let theirs = lock.clone();
            let task = runtime.spawn(async move {
                let (held, first) = placed!(theirs.clone().write_owned().await);
                let thread = std::thread::spawn(move || {
                    std::thread::sleep(ms(20));
                    drop(held);
                });
                let (read, again) = placed!(*theirs.read_blocking());
                thread.join().unwrap();
                (read, said("that it writes already", first, again))
            });
            let (read, parts) = runtime.block_on(task).unwrap();
            let told = told.lock().unwrap();
            let [(text, ..)] = &told[..] else {
                panic!("{told:?}");
            };
            assert!(
                read == 1 && parts.iter().all(|part| text.contains(part)),
                "{text}"
            );
        });
    }
}

/// M4: without debug mode nobody is told anything at once.
#[test]
fn m4_without_debug_mode_nobody_is_told_of_a_guard() {
    untold_without_debug_mode(async {
        let lock = RwLock::new(());
        let _held = lock.read().await;
        in_vain(lock.write()).await;
    });
}
