//! `timeout`: which deadline wins, what runs before it, what is through when it returns.

use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use crate::support::{self, Count, Flag, Log, each_size, each_size_virtual, exact, ms};
use rt::sync::{Queue, oneshot};

/// S1-17.
#[test]
fn an_operation_that_takes_too_long_is_given_up() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let start = rt::Instant::now();
            let log = theirs.clone();
            let operation = async move {
                log.say("started");
                rt::sleep(Duration::from_secs(5)).await;
                log.say("complete");
            };
            if rt::timeout(Duration::from_secs(3), operation)
                .await
                .is_err()
            {
                theirs.say("The operation timed out!");
            }
            assert_eq!(start.elapsed(), Duration::from_secs(3));
            rt::sleep(Duration::from_secs(10)).await;
        });
        assert_eq!(log, ["started", "The operation timed out!"]);
    });
}

/// T10: the error says which limit, and when.
#[test]
fn t10_the_error_names_the_deadline_and_the_line() {
    exact(async {
        let start = rt::Instant::now();
        let line = line!() + 1;
        let error = rt::timeout(ms(10), pending::<()>()).await.unwrap_err();
        assert_eq!(error.deadline(), start + ms(10));
        assert_eq!((error.at().file(), error.at().line()), (file!(), line));
        assert!(
            error.to_string().contains(&format!("{}:{line}", file!())),
            "{error}"
        );
        let error = rt::timeout_at(start + ms(20), pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(
            (error.deadline(), start.elapsed()),
            (start + ms(20), ms(20))
        );
    });
}

/// T1, T3: the outer limit is the shorter one.
#[test]
fn t1_t3_of_nested_timeouts_the_shorter_outer_one_fires() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let outer = rt::timeout(ms(10), async {
                let inner = rt::timeout(ms(50), pending::<()>()).await;
                unreachable!("the inner one gave {inner:?}")
            });
            let outer: Result<(), _> = outer.await;
            assert_eq!(outer.unwrap_err().deadline(), start + ms(10));
            assert_eq!(start.elapsed(), ms(10));
        });
    });
}

/// T1: the inner limit is the shorter one, and the outer one goes on.
#[test]
fn t1_a_shorter_inner_timeout_fires_alone() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let value = rt::timeout(ms(50), async {
                assert!(rt::timeout(ms(10), pending::<()>()).await.is_err());
                rt::sleep(ms(10)).await;
                7
            });
            assert_eq!(value.await.unwrap(), 7);
            assert_eq!(start.elapsed(), ms(20));
        });
    });
}

/// T3: both deadlines pass while the thread is busy.
#[test]
fn t3_when_both_deadlines_have_passed_the_outermost_wins() {
    for (outer, inner) in [(10, 20), (20, 10), (10, 10)] {
        exact(async move {
            let went_on = Flag::default();
            let theirs = went_on.clone();
            let mut nested = Box::pin(rt::timeout(ms(outer), async move {
                let _ = rt::timeout(ms(inner), pending::<()>()).await;
                theirs.raise();
                pending::<()>().await;
            }));
            assert!(support::poll_once(&mut nested).is_pending());
            rt::time::advance(ms(30));
            assert!(nested.await.is_err(), "{outer} around {inner}");
            assert!(
                !went_on.is_up(),
                "{outer} around {inner}: the inner one came first"
            );
        });
    }
}

/// T4, W1.
#[test]
fn t4_w1_a_timeout_of_nothing_polls_its_body_once() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let log = Log::default();
            assert_eq!(rt::timeout(Duration::ZERO, ready(7)).await.unwrap(), 7);
            let theirs = log.clone();
            let late = rt::timeout(Duration::ZERO, async move {
                theirs.say("up to the first await");
                rt::yield_now().await;
                theirs.say("beyond");
            });
            assert!(late.await.is_err());
            assert_eq!(log, ["up to the first await"]);
            let past = rt::Instant::now() - ms(1);
            assert!(rt::timeout_at(past, pending::<()>()).await.is_err());
            assert_eq!(rt::timeout_at(past, ready(7)).await.unwrap(), 7);
        });
    });
}

/// T7: late, but without an await in between.
#[test]
fn t7_a_body_that_is_through_late_gives_its_value() {
    exact(async {
        let value = rt::timeout(ms(10), async {
            rt::time::advance(ms(50));
            7
        });
        assert_eq!(value.await.unwrap(), 7);
    });
}

/// T9: it works wherever a future is polled.
#[test]
fn t9_a_timeout_works_in_block_on_and_under_any_combinator() {
    each_size(|runtime| {
        assert!(
            runtime
                .block_on(rt::timeout(ms(1), pending::<()>()))
                .is_err()
        );
        runtime.block_on(async {
            let mut timeout = Box::pin(rt::timeout(ms(1), pending::<()>()));
            let by_hand = std::future::poll_fn(|cx| Pin::new(&mut timeout).poll(cx));
            assert!(by_hand.await.is_err());
            let nested = rt::spawn(async { rt::block_on(rt::timeout(ms(1), pending::<()>())) });
            assert!(nested.await.unwrap().is_err());
        });
    });
}

/// T12.
#[test]
fn t12_virtual_timeouts_are_exact() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let tasks: Vec<_> = (1..50u64)
                .map(|i| {
                    rt::spawn(async move {
                        assert!(rt::timeout(ms(i * 7 % 53), pending::<()>()).await.is_err());
                        assert_eq!(start.elapsed(), ms(i * 7 % 53));
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// W2: an owned task has ended, cleanup and all, before the timeout returns.
#[test]
fn w2_a_timeout_on_an_owned_task_waits_for_its_end() {
    each_size_virtual(|runtime| {
        let cleaned = Flag::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let start = rt::Instant::now();
            let flag = theirs.clone();
            let task = rt::spawn(rt::finally(pending::<()>(), async move {
                rt::sleep(ms(20)).await;
                flag.raise();
            }));
            assert!(rt::timeout(ms(10), task.cancel_on_drop()).await.is_err());
            assert!(theirs.is_up(), "the task was still in its cleanup");
            assert_eq!(start.elapsed(), ms(30));
        });
    });
}

/// C7, H1: a plain handle only stops waiting.
#[test]
fn c7_h1_a_timeout_on_a_handle_leaves_the_task_alone() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut task = rt::spawn(async {
                rt::sleep(ms(50)).await;
                7
            });
            assert!(rt::timeout(ms(10), &mut task).await.is_err());
            assert!(!task.is_cancelled());
            assert_eq!(task.await.unwrap(), 7);
        });
    });
}

/// W4: what is shielded completes, and its value wins.
#[test]
fn w4_a_shielded_body_gives_its_value_late() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let body = rt::shield(async {
                rt::sleep(ms(50)).await;
                42
            });
            assert_eq!(rt::timeout(ms(10), body).await.unwrap(), 42);
            assert_eq!(start.elapsed(), ms(50));
        });
    });
}

/// W6: a cancelled inner task is no timeout.
#[test]
fn w6_a_cancellation_inside_is_not_taken_for_a_timeout() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(pending::<()>());
            let handle = task.cancel_handle();
            rt::time::call_later(ms(5), move || assert!(handle.cancel()));
            let joined = rt::timeout(ms(10), task).await.expect("no timeout");
            assert!(joined.unwrap_err().is_cancelled());
        });
    });
}

/// T2, C7: the task is cancelled while a timeout runs in it.
#[test]
fn t2_c7_cancelling_the_task_ends_the_timeout_and_its_body() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::spawn(async move {
                let cleaned = log.clone();
                let body = rt::finally(pending::<()>(), async move { cleaned.say("cleaned up") });
                let outcome = rt::timeout(ms(50), body).await;
                log.say(format!("{outcome:?}"));
            });
            rt::sleep(ms(10)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            theirs.say("joined");
        });
        assert_eq!(log, ["cleaned up", "joined"]);
    });
}

/// T2: in the same moment the cancellation of the task wins.
#[test]
fn t2_a_cancellation_in_the_moment_of_the_deadline_wins() {
    exact(async {
        let task = rt::spawn(async { rt::timeout(ms(10), pending::<()>()).await });
        rt::yield_now().await;
        task.cancel();
        rt::time::advance(ms(10));
        assert!(task.await.unwrap_err().is_cancelled());
        let task = rt::spawn(async {
            let outcome = rt::timeout(ms(10), pending::<()>()).await;
            pending::<()>().await;
            outcome
        });
        rt::yield_now().await;
        rt::time::advance(ms(10));
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// W5, C2: the value that arrives in the moment of the deadline is given, or stays where it was.
#[test]
fn w5_c2_a_timeout_that_races_an_item_loses_nothing() {
    const ROUNDS: u32 = 2000;
    each_size(|runtime| {
        runtime.block_on(async {
            let queue = Queue::unbounded();
            let mut received = vec![];
            for round in 0..ROUNDS {
                let items = queue.clone();
                let sender = rt::spawn(async move {
                    for _ in 0..round % 3 {
                        rt::yield_now().await;
                    }
                    items.put(round).await.unwrap();
                });
                let limit = Duration::from_nanos(u64::from(round % 40) * 500);
                if let Ok(item) = rt::timeout(limit, queue.get()).await {
                    received.push(item.unwrap());
                }
                sender.await.unwrap();
            }
            while let Ok(item) = queue.try_get() {
                received.push(item);
            }
            assert!(received.into_iter().eq(0..ROUNDS));
        });
    });
}

/// A dropped timeout hands the cleanup of its body to the scope around.
#[test]
fn a_dropped_timeout_does_not_lose_cleanup() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let (deferred, finished) = (theirs.clone(), theirs.clone());
                let mut timeout = Box::pin(rt::timeout(ms(100), async move {
                    rt::defer(async move {
                        rt::sleep(ms(5)).await;
                        deferred.add();
                    });
                    rt::finally(pending::<()>(), async move {
                        rt::sleep(ms(5)).await;
                        finished.add();
                    })
                    .await;
                }));
                assert!(support::poll_once(&mut timeout).is_pending());
                drop(timeout);
            });
            task.await.unwrap();
        });
        assert_eq!(cleaned.get(), 2);
    });
}

/// The body's destructors run before the timeout returns.
#[test]
fn the_body_is_dropped_before_the_timeout_returns() {
    each_size_virtual(|runtime| {
        let dropped = Count::default();
        let held = dropped.on_drop();
        runtime.block_on(async move {
            let body = async move {
                let _held = held;
                pending::<()>().await;
            };
            let mut timeout = Box::pin(rt::timeout(ms(5), body));
            assert!((&mut timeout).await.is_err());
            assert_eq!(dropped.get(), 1);
        });
    });
}

/// A big body and a borrowed one.
#[test]
fn a_body_may_borrow() {
    each_size(|runtime| {
        let mut text = String::from("borrowed");
        runtime.block_on(async {
            rt::timeout(ms(60_000), async { text.push_str(" and changed") })
                .await
                .unwrap();
        });
        assert_eq!(text, "borrowed and changed");
    });
}

/// W7, S1-24: what is to go on beyond the timeout is a task: the timeout gives up waiting for it at once.
#[test]
fn w7_a_task_goes_on_beyond_the_timeout_that_waited_for_it() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            for limit in [ms(0), ms(10)] {
                let start = rt::Instant::now();
                let mut task = rt::spawn(async {
                    rt::sleep(ms(30)).await;
                    "complete"
                });
                assert!(rt::timeout(limit, &mut task).await.is_err());
                assert_eq!(start.elapsed(), limit);
                assert_eq!(task.await.unwrap(), "complete");
                assert_eq!(start.elapsed(), ms(30));
            }
        });
    });
}

/// W8: the body runs in the task that awaits the timeout, with its task-locals.
#[test]
fn w8_the_body_of_a_timeout_runs_in_the_same_task() {
    rt::task_local! {
        static REQUEST: u64;
    }
    each_size(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(REQUEST.scope(7, async {
                let id = || rt::task::current().unwrap().id();
                let inside = rt::timeout(ms(10_000), async {
                    rt::yield_now().await;
                    (id(), REQUEST.get())
                });
                assert_eq!(inside.await.unwrap(), (id(), 7));
            }));
            task.await.unwrap();
        });
    });
}

/// A limit that never comes is no limit, and a body that ends disarms it.
#[test]
fn timeouts_that_are_not_reached_leave_nothing_behind() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            for _ in 0..1000 {
                rt::timeout(Duration::from_secs(60), rt::yield_now())
                    .await
                    .unwrap();
            }
            let (send, received) = oneshot::channel();
            rt::time::call_later(ms(1), move || send.send(()).unwrap());
            rt::timeout(Duration::MAX, received).await.unwrap().unwrap();
            assert_eq!(start.elapsed(), ms(1));
        });
    });
}

/// Polling on after the end is the caller's mistake, not a hang.
#[test]
fn a_pending_timeout_can_be_polled_often() {
    exact(async {
        let mut timeout = Box::pin(rt::timeout(ms(10), pending::<()>()));
        for _ in 0..100 {
            assert_eq!(
                support::poll_once(&mut timeout).map(|end| end.is_err()),
                Poll::Pending
            );
        }
        rt::time::advance(ms(10));
        assert!(support::poll_once(&mut timeout).is_ready());
    });
}
