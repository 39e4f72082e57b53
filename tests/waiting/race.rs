//! The contract of `race`, `race_ok` and `race_staggered`: one wins, the losers are dropped, and their cleanup is
//! awaited.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::blame::blamed;
use crate::support::{self, Count, Flag, Log, each_size, each_size_virtual, exact, ms};
use futures_util::FutureExt;

type Racer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that is ready after a delay, and counts how often it is polled.
async fn counted(delay: u64, polls: &Count) -> u64 {
    let mut sleep = std::pin::pin!(rt::sleep(ms(delay)));
    std::future::poll_fn(|cx| {
        polls.add();
        sleep.as_mut().poll(cx)
    })
    .await;
    delay
}

/// N7: the first to be ready wins; racers may borrow.
#[test]
fn n7_the_first_that_is_ready_wins_a_race() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let polls = Count::default();
            let start = rt::Instant::now();
            let delays = [30, 10, 20];
            let winner = rt::race(delays.iter().map(|delay| counted(*delay, &polls))).await;
            assert_eq!((winner, start.elapsed()), (10, ms(10)));
            assert_eq!(
                rt::race([ready(1), ready(2)]).await,
                1,
                "of several the first"
            );
            // The same in a task.
            let spawned = rt::spawn(async {
                let (polls, delays) = (Count::default(), [2u64, 1]);
                rt::race(delays.iter().map(|delay| counted(*delay, &polls))).await
            });
            assert_eq!(spawned.await.unwrap(), 1);
        });
    });
}

/// N7: the losers' bodies are dropped, and their cleanup is awaited, all at the same time.
#[test]
fn n7_the_cleanup_of_the_losers_is_awaited() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let log = &theirs;
        let racers = [10, 20, 30].map(|delay| async move {
            let theirs = log.clone();
            let cleanup = async move {
                rt::sleep(ms(100 - delay)).await;
                theirs.say(format!("cleaned {delay}"));
            };
            if delay == 10 {
                rt::sleep(ms(delay)).await;
                return delay;
            }
            rt::finally(rt::sleep(ms(delay)), cleanup).await;
            delay
        });
        let start = rt::Instant::now();
        let winner = rt::race(racers).await;
        log.say(format!("{winner} won, over after {:?}", start.elapsed()));
    });
    assert_eq!(log, ["cleaned 30", "cleaned 20", "10 won, over after 90ms"]);
}

/// N7: who has an output has won, even if its own cleanup takes longer than the others need.
#[test]
fn n7_the_output_decides_and_not_the_cleanup() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let racers = [10, 20].map(|delay| async move {
                rt::defer(rt::sleep(ms(500 - 20 * delay)));
                rt::sleep(ms(delay)).await;
                delay
            });
            let start = rt::Instant::now();
            assert_eq!(rt::race(racers).await, 10);
            assert_eq!(start.elapsed(), ms(300));
        });
    });
}

/// N7: a race that is dropped leaves the cleanup of its racers to the scope around.
#[test]
fn n7_a_dropped_race_leaves_no_cleanup_behind() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let cleaned = Count::default();
            let racers = [1, 2].map(|_| {
                let cleaned = cleaned.clone();
                rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(20)).await;
                    cleaned.add();
                })
            });
            assert!(rt::timeout(ms(5), rt::race(racers)).await.is_err());
            assert_eq!(cleaned.get(), 2);
        });
    });
}

/// N7: a panic is raised here, after the others were dropped and their cleanup awaited.
#[test]
fn n7_a_panic_of_a_racer_is_raised_after_the_cleanup() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let cleaned = Flag::default();
            let theirs = cleaned.clone();
            let racers: [Racer<u8>; 2] = [
                Box::pin(rt::finally(pending(), async move {
                    rt::sleep(ms(20)).await;
                    theirs.raise();
                })),
                Box::pin(async { panic!("no luck") }),
            ];
            let panic = AssertUnwindSafe(rt::race(racers)).catch_unwind().await;
            assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "no luck");
            assert!(cleaned.is_up());

            let bomb = support::Bomb;
            let racers: [Racer<u8>; 2] = [
                Box::pin(async move {
                    let _bomb = bomb;
                    pending().await
                }),
                Box::pin(async {
                    rt::yield_now().await;
                    1
                }),
            ];
            let panic = AssertUnwindSafe(rt::race(racers)).catch_unwind().await;
            assert!(panic.is_err(), "a loser's destructor is not overlooked");
        });
    });
}

/// A race of nothing would never end: it panics where it is made.
#[test]
fn a_race_of_nothing_panics_at_the_caller() {
    let (text, place) = blamed(|| drop(rt::race(Vec::<std::future::Ready<()>>::new())));
    let line = line!() - 1;
    assert!(text.contains("rt::race without a future"), "{text}");
    assert!(
        place.starts_with(&format!("{}:{line}:", file!())),
        "{place}"
    );
}

/// N7: `race_ok` gives the first success, or all errors in the order of the input.
#[test]
fn n7_race_ok_gives_the_first_success_or_every_error() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let run = |outcomes: [(u64, Result<u8, &'static str>); 3]| {
                rt::race_ok(outcomes.map(|(delay, outcome)| async move {
                    rt::sleep(ms(delay)).await;
                    outcome
                }))
            };
            let start = rt::Instant::now();
            let outcome = run([(30, Ok(3)), (10, Err("a")), (20, Ok(2))]).await;
            assert_eq!((outcome, start.elapsed()), (Ok(2), ms(20)));
            let outcome = run([(30, Err("c")), (10, Err("a")), (20, Err("b"))]).await;
            assert_eq!(outcome, Err(vec!["c", "a", "b"]));
            let none = Vec::<std::future::Ready<Result<u8, u8>>>::new();
            assert_eq!(rt::race_ok(none).await, Err(vec![]));
        });
    });
}

/// N7: staggered racers start one delay after the other, or at once when all before have failed.
#[test]
fn n7_staggered_racers_start_one_after_the_other() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let log = &theirs;
        let start = rt::Instant::now();
        let run = |outcomes: &'static [(u64, Result<u8, u8>)]| {
            let racers = outcomes.iter().map(move |&(delay, outcome)| async move {
                log.say(format!("starts at {:?}", start.elapsed()));
                rt::sleep(ms(delay)).await;
                outcome
            });
            rt::race_staggered(racers, ms(100))
        };
        let outcome = run(&[(150, Err(1)), (20, Err(2)), (70, Ok(3)), (1, Ok(4))]).await;
        log.say(format!("{outcome:?} at {:?}", start.elapsed()));
        let outcome = run(&[(10, Err(1)), (10, Err(2))]).await;
        log.say(format!("{outcome:?} at {:?}", start.elapsed()));
    });
    let expected = [
        "starts at 0ns",
        "starts at 100ms",
        // Both have failed at 150 ms.
        "starts at 150ms",
        "Ok(3) at 220ms",
        "starts at 220ms",
        "starts at 230ms",
        "Err([1, 2]) at 240ms",
    ];
    assert_eq!(log, expected);
}

/// A racer is polled when it was woken, and not whenever another one was.
#[test]
fn each_racer_is_polled_only_when_it_was_woken() {
    exact(async {
        let polls = Count::default();
        let n = 100;
        let racers = (0..n).map(|i| {
            let polls = polls.clone();
            async move {
                counted(i + 1, &polls).await;
                Err::<(), _>(i)
            }
        });
        assert_eq!(rt::race_ok(racers).await, Err((0..n).collect()));
        assert_eq!(
            polls.get(),
            2 * n as usize,
            "once to begin, once when its time was up"
        );
    });
}

/// Woken twice, a racer is polled once.
#[test]
fn a_racer_that_was_woken_twice_is_polled_once() {
    exact(async {
        let polls = Count::default();
        let wakes_twice = std::future::poll_fn(|cx| {
            if polls.get() == 0 {
                cx.waker().wake_by_ref();
                cx.waker().wake_by_ref();
            }
            polls.add();
            Poll::Pending
        });
        let racers: [Pin<Box<dyn Future<Output = ()> + Send>>; 2] =
            [Box::pin(wakes_twice), Box::pin(rt::sleep(ms(1)))];
        rt::race(racers).await;
        assert_eq!(polls.get(), 2);
    });
}

/// A racer that yields lets the other tasks run too.
#[test]
fn a_racer_that_yields_gives_way_to_other_tasks() {
    exact(async {
        let ran = Flag::default();
        let theirs = ran.clone();
        let other = rt::spawn(async move { theirs.raise() });
        rt::race([ran.up()]).await;
        other.await.unwrap();
    });
}

/// Borrowed, not `Send`, and without a runtime: nothing in a race needs a task.
#[test]
fn a_race_needs_no_runtime() {
    let n = Cell::new(0);
    let winner = futures_util::FutureExt::now_or_never(rt::race([1, 2].map(|i| {
        let n = &n;
        async move {
            n.set(n.get() + i);
            n.get()
        }
    })));
    assert_eq!(winner, Some(1));
}

/// A thousand times as many racers take about a thousand times as long.
#[test]
fn a_race_of_many_is_linear() {
    each_size(|runtime| {
        let time = |n: u32| {
            let start = Instant::now();
            runtime.block_on(async {
                let racers = (0..n).map(|i| async move {
                    rt::yield_now().await;
                    if i + 1 < n { Err(i) } else { Ok(i) }
                });
                assert_eq!(rt::race_ok(racers).await, Ok(n - 1));
            });
            start.elapsed()
        };
        let small = time(1_000).max(Duration::from_millis(5));
        let large = time(50_000);
        assert!(
            large < 200 * small,
            "{small:?} for 1,000, {large:?} for 50,000"
        );
    });
}
