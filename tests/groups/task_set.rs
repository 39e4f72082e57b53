//! The contract of `TaskSet`: results with their keys as they come, and no task without an owner.

use std::future::pending;
use std::sync::{Arc, Mutex};

use crate::support::{Count, Flag, each_builder, each_size, each_size_virtual, exact, ms};
use futures_util::FutureExt;
use rt::TaskSet;

/// Spawns sleepers whose key is their delay.
fn sleepers<const N: usize>(delays: [u64; N]) -> TaskSet<u64, u64> {
    let mut set = TaskSet::new();
    for delay in delays {
        set.spawn(delay, async move {
            rt::sleep(ms(delay)).await;
            delay * 2
        });
    }
    set
}

/// A future that is cancelled and then cleans up for a while. Not an `async fn`: its cleanup runs also if the task is cancelled before its first poll.
fn cleans_up(cleaned: Count) -> impl Future<Output = ()> + Send {
    rt::finally(pending(), async move {
        rt::sleep(ms(20)).await;
        cleaned.add();
    })
}

/// N6: each result comes with its key, as soon as it is there.
#[test]
fn n6_results_come_with_their_key_as_tasks_end() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut set = sleepers([30, 10, 20]);
            let start = rt::Instant::now();
            for key in [10, 20, 30] {
                let (found, result) = set.next().await.unwrap();
                assert_eq!((found, result.unwrap()), (key, 2 * key));
                assert_eq!(start.elapsed(), ms(key));
            }
            assert!(set.is_empty());
            assert!(set.next().await.is_none());
        });
    });
}

/// N6: it can be filled while results are taken, and its places are used again.
#[test]
fn n6_a_set_can_be_filled_while_it_is_emptied() {
    each_size(|runtime| {
        runtime.block_on(async {
            let mut set = TaskSet::new();
            let mut sum = 0;
            for i in 0..10_000u64 {
                set.spawn(i, async move { i });
                if set.len() == 16 {
                    let (key, result) = set.next().await.unwrap();
                    assert_eq!(key, result.unwrap());
                    sum += key;
                }
            }
            while let Some((key, _)) = set.next().await {
                sum += key;
            }
            assert_eq!(sum, (0..10_000).sum());
        });
    });
}

/// N6: blocking functions, panics and cancelled tasks have results with keys too.
#[test]
fn n6_every_end_is_a_result() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut set = TaskSet::new();
            set.spawn("panics", async { panic!("no luck") });
            let lost = set.spawn("lost", pending::<u8>());
            set.spawn_blocking("blocks", || 7);
            lost.cancel_with("not needed");
            let mut ends = vec![];
            while let Some((key, result)) = set.next().await {
                let end = match result {
                    Ok(value) => value.to_string(),
                    Err(error) if error.is_panic() => error.into_panic().message().to_string(),
                    Err(error) => error.reason().unwrap().to_string(),
                };
                ends.push((key, end));
            }
            ends.sort();
            let expected = [
                ("blocks", "7"),
                ("lost", "not needed"),
                ("panics", "no luck"),
            ];
            assert!(
                ends.iter()
                    .map(|(key, end)| (*key, end.as_str()))
                    .eq(expected),
                "{ends:?}"
            );
        });
    });
}

/// K3: when the time is up the set is as it was, and its tasks run on.
#[test]
fn k3_after_a_timeout_the_set_is_usable() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut set = sleepers([30]);
            let start = rt::Instant::now();
            assert!(set.next_timeout(ms(10)).await.is_err());
            let late = set.next_deadline(start + ms(20)).await.unwrap_err();
            assert_eq!(late.deadline(), start + ms(20));
            assert_eq!((set.len(), start.elapsed()), (1, ms(20)));
            set.spawn(31, async { 62 });
            assert_eq!(set.next_timeout(ms(5)).await.unwrap().unwrap().0, 31);
            assert_eq!(
                set.next_deadline(start + ms(50)).await.unwrap().unwrap().0,
                30
            );
            assert_eq!(start.elapsed(), ms(30));
            assert!(set.next_timeout(ms(5)).await.unwrap().is_none());
        });
    });
}

/// K4: a `next` that is dropped in the middle loses nothing.
#[test]
fn k4_a_dropped_next_loses_nothing() {
    each_size(|runtime| {
        runtime.block_on(async {
            let mut set = TaskSet::new();
            for i in 0..200 {
                set.spawn(i, async move {
                    for _ in 0..i % 5 {
                        rt::yield_now().await;
                    }
                });
            }
            let mut seen = vec![false; 200];
            while !set.is_empty() {
                match set.next().now_or_never() {
                    Some(Some((key, _))) => assert!(!std::mem::replace(&mut seen[key], true)),
                    Some(None) => unreachable!(),
                    None => rt::yield_now().await,
                }
            }
            assert!(seen.into_iter().all(|seen| seen));
        });
    });
}

/// K5: dropping a set cancels its tasks, and the scope around awaits their cleanup.
#[test]
fn k5_dropping_a_set_cancels_its_tasks_and_they_are_awaited() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let start = rt::Instant::now();
            let owner = rt::spawn({
                let cleaned = theirs.clone();
                async move {
                    let mut set = TaskSet::new();
                    set.spawn(0, cleans_up(cleaned.clone()));
                    set.spawn(1, cleans_up(cleaned));
                    set.spawn(2, async {});
                    assert_eq!(set.next().await.unwrap().0, 2);
                    // All have begun to run.
                    rt::sleep(ms(1)).await;
                }
            });
            owner.await.unwrap();
            assert_eq!((theirs.get(), start.elapsed()), (2, ms(21)));
            assert!(rt::task::all().is_empty());
        });
    });
}

/// K5: so it is when the owner of the set is cancelled.
#[test]
fn k5_cancelling_the_owner_cancels_its_tasks() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let cleaned = theirs.clone();
            let owner = rt::spawn(async move {
                let mut set = TaskSet::new();
                set.spawn((), cleans_up(cleaned));
                set.next().await
            });
            rt::sleep(ms(5)).await;
            owner.cancel();
            assert!(owner.await.unwrap_err().is_cancelled());
            assert_eq!(theirs.get(), 1);
        });
    });
}

/// K5: only `detach_all` lets tasks run on.
#[test]
fn k5_detached_tasks_run_on() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let ended = Flag::default();
            let theirs = ended.clone();
            let mut set = TaskSet::new();
            set.spawn(0, async move {
                rt::sleep(ms(20)).await;
                theirs.raise();
            });
            set.detach_all();
            assert!(set.is_empty());
            set.spawn(1, rt::sleep(ms(30)));
            assert_eq!(
                set.next().await.unwrap().0,
                1,
                "its places do not mix with the old ones"
            );
            drop(set);
            rt::sleep(ms(50)).await;
            assert!(ended.is_up());
        });
    });
}

/// N7: `cancel_all` cancels, and the results say so; `shutdown` takes them itself and reports panics.
#[test]
fn n7_what_is_no_longer_wanted_is_cancelled_and_awaited() {
    each_builder(|builder| {
        let reports: Arc<Mutex<Vec<String>>> = Arc::default();
        let theirs = reports.clone();
        let builder = builder.virtual_time(true).on_unhandled(move |unhandled| {
            theirs.lock().unwrap().push(unhandled.to_string());
        });
        builder.build().unwrap().block_on(async {
            let cleaned = Count::default();
            let mut set = TaskSet::new();
            set.spawn(0, cleans_up(cleaned.clone()));
            rt::sleep(ms(1)).await;
            set.cancel_all();
            assert!(set.next().await.unwrap().1.unwrap_err().is_cancelled());
            assert_eq!(cleaned.get(), 1);

            set.spawn(1, cleans_up(cleaned.clone()));
            set.spawn(2, async { panic!("no luck") });
            rt::sleep(ms(1)).await;
            assert!(rt::timeout(ms(1), set.shutdown()).await.is_err());
            assert_eq!(set.len(), 1, "the shutdown was given up half-way");
            set.shutdown().await;
            assert!(set.is_empty());
            assert_eq!(cleaned.get(), 2);
        });
        let reports = reports.lock().unwrap();
        assert!(
            reports.len() == 1 && reports[0].contains("no luck"),
            "{reports:?}"
        );
    });
}

/// A set is `Send` with what is in it, and needs no runtime while it is empty.
#[test]
fn an_empty_set_needs_no_runtime() {
    fn is_send<T: Send + Sync + Unpin>(value: T) -> T {
        value
    }
    let mut set = is_send(TaskSet::<String, u8>::default());
    assert!(set.next().now_or_never().unwrap().is_none());
    set.shutdown().now_or_never().unwrap();
    exact(async { assert!(TaskSet::<u8, u8>::new().next().await.is_none()) });
}
