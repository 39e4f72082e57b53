//! The contract of `select!`, `join!` and `try_join!`: several futures in the same task.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;

use crate::support::{Count, Flag, Log, each_size_virtual, exact, ms};
use futures_util::FutureExt;
use rt::sync::{Event, Queue};

async fn after<T>(delay: u64, value: T) -> T {
    rt::sleep(ms(delay)).await;
    value
}

/// The first future that is ready has its handler run, and the value of that is the value of the whole.
#[test]
fn the_first_branch_that_is_ready_wins() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let text = rt::select! {
                n = after(20, 20) => n.to_string(),
                n = after(10, 10u8) => { format!("{n} ms") }
                () = pending() => unreachable!(),
            };
            assert_eq!((text.as_str(), start.elapsed()), ("10 ms", ms(10)));
            // In a task, and as a statement.
            let task = rt::spawn(async {
                let mut n = 0;
                rt::select! {
                    _ = after(5, "late") => n += 1,
                    _ = rt::yield_now() => n += 2
                }
                n
            });
            assert_eq!(task.await.unwrap(), 2);
        });
    });
}

/// The futures are gone before the handler runs: it may use what they borrowed.
#[test]
fn losers_are_dropped_before_the_handler_runs() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let log = &theirs;
        let mut shared = vec![1];
        let held = log.on_drop("the loser is dropped");
        rt::select! {
            () = async {
                let _held = held;
                shared.push(2);
                pending().await
            } => unreachable!(),
            _ = rt::yield_now() => {
                shared.push(3);
                log.say(format!("handler: {shared:?}"));
            }
        }
    });
    assert_eq!(log, ["the loser is dropped", "handler: [1, 2, 3]"]);
}

/// The scope around awaits the cleanup that a loser registered, beside the handler.
#[test]
fn the_cleanup_of_a_loser_is_awaited_by_the_scope_around() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let cleaned = Flag::default();
            let theirs = cleaned.clone();
            let start = rt::Instant::now();
            let task = rt::spawn(async move {
                let cleanup = async move {
                    rt::sleep(ms(30)).await;
                    theirs.raise();
                };
                rt::select! {
                    () = rt::finally(pending(), cleanup) => unreachable!(),
                    n = after(10, 7) => n,
                }
            });
            assert_eq!(task.await.unwrap(), 7);
            assert_eq!(start.elapsed(), ms(40));
            assert!(cleaned.is_up());
        });
    });
}

/// `break`, `continue`, `return` and `?` from handlers, and `?` from the future's own expression.
#[test]
fn handlers_may_leave_in_every_way() {
    async fn sum(jobs: &Queue<&str>, stop: &Event) -> Result<u32, std::num::ParseIntError> {
        let mut sum = 0;
        loop {
            rt::select! {
                biased;
                job = jobs.get() => {
                    let Ok(job) = job else { return Ok(sum) };
                    if job.is_empty() { continue }
                    sum += job.parse::<u32>()?;
                }
                () = stop.wait() => break,
            }
        }
        Ok(sum + 100)
    }
    exact(async {
        let (jobs, stop) = (Queue::unbounded(), Event::new());
        let put = |job| jobs.try_put(job).unwrap();
        ["1", "", "2"].into_iter().for_each(put);
        stop.set();
        assert_eq!(sum(&jobs, &stop).await, Ok(103));
        put("x");
        assert!(sum(&jobs, &stop).await.is_err());
        stop.clear();
        put("7");
        jobs.shutdown();
        assert_eq!(sum(&jobs, &stop).await, Ok(7));
    });
}

/// A branch whose condition is false is not even made, and `else` runs when all are disabled.
#[test]
fn conditions_disable_branches_and_else_catches() {
    exact(async {
        let choose = async |first: Option<u8>, second: Option<u8>| {
            rt::select! {
                biased;
                n = ready(first.unwrap()), if first.is_some() => n,
                n = ready(second.unwrap()), if second.is_some() => 10 * n,
                else => 0,
            }
        };
        assert_eq!(choose(Some(1), Some(2)).await, 1);
        assert_eq!(choose(None, Some(2)).await, 20);
        assert_eq!(choose(None, None).await, 0);
    });
}

/// An output that does not fit its pattern disables the branch; the others go on.
#[test]
fn a_pattern_that_does_not_fit_disables_its_branch() {
    exact(async {
        let pick = async |first: Result<String, u8>, second: Option<&u8>| {
            rt::select! {
                biased;
                Ok(mut text) = ready(first) => { text.push('!'); text }
                Some(&n @ (1 | 2)) = after(10, second) => n.to_string(),
                else => "nothing".to_string(),
            }
        };
        assert_eq!(pick(Ok("text".into()), None).await, "text!");
        assert_eq!(pick(Err(1), Some(&2)).await, "2");
        assert_eq!(pick(Err(1), Some(&3)).await, "nothing");
        let nobody = AssertUnwindSafe(async {
            rt::select! { Some(()) = ready(None) => {} }
        });
        assert!(nobody.catch_unwind().await.is_err(), "there is no `else`");
    });
}

/// Futures that are made outside are given by reference, and go on where they were.
#[test]
fn a_future_outside_the_loop_keeps_its_progress() {
    exact(async {
        let mut n_ticks = 0;
        let mut tick = rt::interval(ms(10));
        let mut nap = std::pin::pin!(rt::sleep(ms(35)));
        loop {
            rt::select! {
                () = &mut nap => { break }
                _ = tick.tick() => n_ticks += 1,
            }
        }
        assert_eq!(n_ticks, 4);
    });
}

/// By default no branch starves; after `biased;` the first that is ready wins.
#[test]
fn branches_that_are_always_ready_take_turns_unless_biased() {
    exact(async {
        let mut wins = [0; 3];
        let mut biased = [0; 3];
        for _ in 0..3000 {
            let i = rt::select! { _ = ready(()) => 0, _ = ready(()) => 1, _ = ready(()) => 2 };
            wins[i] += 1;
            let i =
                rt::select! { biased; _ = ready(()) => 0, _ = ready(()) => 1, _ = ready(()) => 2 };
            biased[i] += 1;
        }
        assert!(wins.iter().all(|n| (850..1150).contains(n)), "{wins:?}");
        assert_eq!(biased, [3000, 0, 0]);
    });
}

/// A loop of branches that are always ready lets other tasks run.
#[test]
fn a_busy_select_loop_lets_others_run() {
    exact(async {
        let ran = Flag::default();
        let theirs = ran.clone();
        let other = rt::spawn(async move { theirs.raise() });
        let mut n_rounds = 0;
        while !ran.is_up() {
            rt::select! { biased; _ = ready(()) => n_rounds += 1, _ = pending::<()>() => {} }
            assert!(n_rounds < 10_000, "the other task starves");
        }
        other.await.unwrap();
    });
}

/// All three work without a runtime, with futures that are neither `Send` nor `'static`.
#[test]
fn they_need_no_runtime() {
    let n = Cell::new(1);
    let add = async |more: i32| n.replace(n.get() + more);
    let body = async {
        assert_eq!(rt::join!(add(1), add(2)), (1, 2));
        assert_eq!(rt::try_join!(async { Ok::<_, ()>(add(1).await) }), Ok((4,)));
        rt::select! { n = add(1) => n, () = pending() => 0 }
    };
    assert_eq!(body.now_or_never(), Some(5));
}

/// `join!` awaits all at the same time, and drops each as soon as it is through.
#[test]
fn join_awaits_all_at_the_same_time() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let dropped = Count::default();
            let held = dropped.on_drop();
            let watch = async {
                rt::sleep(ms(15)).await;
                dropped.get()
            };
            let first = std::future::poll_fn({
                let mut sleep = Box::pin(rt::sleep(ms(10)));
                move |cx| {
                    let _held = &held;
                    sleep.as_mut().poll(cx)
                }
            });
            let (a, (), c) = rt::join!(after(20, "a"), first, watch);
            assert_eq!((a, c, start.elapsed()), ("a", 1, ms(20)));
            assert_eq!(rt::join!(after(1, 1),), (1,));
        });
    });
}

/// `try_join!` ends with the first error, and drops the others.
#[test]
fn try_join_ends_with_the_first_error() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let both = rt::try_join!(after(20, Ok::<_, u8>(1)), after(10, Ok("b")));
            assert_eq!((both, start.elapsed()), (Ok((1, "b")), ms(20)));
            let dropped = Count::default();
            let held = dropped.on_drop();
            let slow = async move {
                let _held = held;
                pending::<Result<(), u8>>().await
            };
            let failed =
                rt::try_join!(slow, after(10, Err::<(), _>(7)), after(20, Err::<(), _>(8)));
            assert_eq!((failed, start.elapsed()), (Err(7), ms(30)));
            assert_eq!(dropped.get(), 1);
        });
    });
}
