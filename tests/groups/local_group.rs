//! The contract of `local_group`: children that borrow, in the same task, with the rules of a group.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::support::{Count, Flag, Log, each_body, each_size, each_size_virtual, exact, ms};
use futures_util::FutureExt;
use rt::{BoxError, FailureKind, GroupError};

fn messages(error: &GroupError) -> Vec<String> {
    let leaves = error.leaves().into_iter();
    leaves.map(|leaf| leaf.kind.to_string()).collect()
}

/// N14: children borrow, run at the same time, and give their values; the same in a task.
#[test]
fn n14_children_borrow_and_run_at_the_same_time() {
    async fn lengths(words: &[String]) -> Result<(u64, Vec<usize>, u64), BoxError> {
        let start = rt::Instant::now();
        let total = AtomicU64::new(0);
        let mut last = 0;
        let handles = rt::local_group(async |group| {
            let mut handles = vec![];
            for (i, word) in (1..).zip(words) {
                let total = &total;
                handles.push(group.spawn(async move {
                    rt::sleep(ms(10 * i)).await;
                    total.fetch_add(word.len() as u64, Relaxed);
                    rt::ok(word.len())
                }));
            }
            group.spawn(async { last = 7 });
            let first = handles.remove(0).await?;
            assert_eq!(first, words[0].len());
            Ok(handles)
        })
        .await?;
        assert_eq!(start.elapsed(), ms(10 * words.len() as u64));
        let values = handles.into_iter().map(|handle| handle.result()).collect();
        Ok((total.load(Relaxed), values, last))
    }
    each_size_virtual(|runtime| {
        let words = || ["a", "bb", "ccc"].map(String::from);
        let expected = (6, vec![2, 3], 7);
        let here = runtime.block_on(async { lengths(&words()).await.unwrap() });
        assert_eq!(here, expected);
        let spawned = runtime.block_on(async move {
            let words = words();
            rt::spawn(async move { lengths(&words).await.unwrap() }).await
        });
        assert_eq!(spawned.unwrap(), expected);
    });
}

/// N14: values may borrow too, and children spawn children.
#[test]
fn n14_values_may_borrow_and_children_spawn_children() {
    exact(async {
        let text = String::from("one two");
        let log = Log::default();
        let word = rt::local_group(async |group| {
            let again = group.clone();
            let (text, log) = (&text, &log);
            let outer = group.spawn_ok(async move {
                let word = again.spawn_ok(async move { text.split(' ').next_back().unwrap() });
                log.say("outer");
                word.await
            });
            Ok(outer.await??)
        })
        .await
        .unwrap();
        assert_eq!((word, log.lines().len()), ("two", 1));
    });
}

/// N14: a child that fails cancels the others and drops the body; all are cleaned up, every error is kept.
#[test]
fn n14_a_failing_child_cancels_the_others_and_the_body() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let cleaned = Count::default();
            let clean = |delay| {
                let cleaned = cleaned.clone();
                async move {
                    rt::sleep(ms(delay)).await;
                    cleaned.add();
                }
            };
            let start = rt::Instant::now();
            let error = rt::local_group(async |group| {
                group.spawn_ok(rt::finally(pending::<()>(), clean(30)));
                group.spawn(async {
                    rt::sleep(ms(10)).await;
                    Err::<(), BoxError>("first".into())
                });
                group.spawn(rt::shield(async {
                    rt::sleep(ms(20)).await;
                    Err::<(), BoxError>("second".into())
                }));
                rt::finally(pending::<()>(), clean(50)).await;
                Ok(())
            })
            .await
            .unwrap_err();
            assert_eq!(messages(&error), ["first", "second"]);
            assert_eq!(
                cleaned.get(),
                2,
                "it returned before the cleanup was through"
            );
            // The cleanup's clocks began when it was made.
            assert_eq!(start.elapsed(), ms(60));
        });
    });
}

/// N14: the body's error comes last and cancels the children; a child's panic is a failure.
#[test]
fn n14_errors_of_the_body_and_panics_are_kept() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let dropped = Count::default();
            let held = dropped.on_drop();
            let error = rt::local_group(async |group| {
                group.spawn_ok(async {
                    let _held = held;
                    pending::<()>().await
                });
                rt::sleep(ms(1)).await;
                Err::<(), BoxError>("body".into())
            })
            .await
            .unwrap_err();
            assert_eq!(
                (messages(&error), dropped.get()),
                (vec!["body".to_string()], 1)
            );

            let line = line!() + 2;
            let error = rt::local_group(async |group| {
                group.spawn::<_>(async { panic!("no luck") });
                Ok(())
            })
            .await
            .unwrap_err();
            let failure = error.first().unwrap();
            assert!(
                matches!(&failure.kind, FailureKind::Panic(panic) if panic.message() == "no luck")
            );
            assert_eq!(failure.spawned_at.line(), line);
        });
    });
}

/// N14: a panic of the body is raised again, after the children were dropped and cleaned up.
#[test]
fn n14_a_panic_of_the_body_is_raised_after_the_children_ended() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let cleaned = Flag::default();
            let theirs = cleaned.clone();
            let scope = rt::local_group(async |group| {
                group.spawn(rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(10)).await;
                    theirs.raise();
                }));
                rt::yield_now().await;
                panic!("no luck");
                #[allow(unreachable_code)]
                Ok(())
            });
            let panic = AssertUnwindSafe(scope).catch_unwind().await;
            assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "no luck");
            assert!(cleaned.is_up());
        });
    });
}

/// N14: cancelled children give no value and are no error; the body goes on, and new children are turned away.
#[test]
fn n14_cancel_ends_the_children_and_not_the_body() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let value = rt::local_group(async |group| {
                let beat = group.spawn(async {
                    loop {
                        rt::sleep(ms(1)).await;
                    }
                });
                rt::sleep(ms(10)).await;
                assert_eq!((group.len(), group.is_closing()), (1, false));
                group.cancel();
                assert!(beat.await.is_err());
                assert!(group.is_closing() && group.is_empty());
                let late = group.spawn_ok(async { 1 });
                assert!(late.await.is_err());
                Ok(7)
            })
            .await
            .unwrap();
            assert_eq!(value, 7);
            // By a child itself, which ends where it is suspended next.
            let ended = rt::local_group(async |group| {
                let own = group.clone();
                group.spawn(async move {
                    own.cancel();
                    pending::<()>().await;
                });
                Ok(())
            });
            ended.await.unwrap();
            // A handle to a group that is over turns children away too.
            let over = rt::local_group(async |group| Ok(group)).await.unwrap();
            assert!(over.spawn_ok(async { 1 }).try_result().is_err());
        });
    });
}

/// N14: a scope that is dropped drops its children, and the scope around awaits their cleanup.
#[test]
fn n14_a_dropped_scope_leaves_nothing_behind() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let (dropped, cleaned) = (Count::default(), Count::default());
            let (held, theirs) = (dropped.on_drop(), cleaned.clone());
            let late = rt::timeout(
                ms(5),
                rt::local_group(async |group| {
                    let own = group.clone();
                    group.spawn_ok(async move {
                        // A child that holds its own group.
                        let _held = (held, own);
                        pending::<()>().await
                    });
                    group.spawn(rt::finally(pending::<()>(), async move {
                        rt::sleep(ms(20)).await;
                        theirs.add();
                    }));
                    Ok(())
                }),
            );
            assert!(late.await.is_err());
            assert_eq!((dropped.get(), cleaned.get()), (1, 1));
        });
    });
}

/// N14: a child is polled when it was woken, and not whenever another one was; many children cost each its own.
#[test]
fn n14_each_child_is_polled_only_when_it_was_woken() {
    each_size(|runtime| {
        runtime.block_on(async {
            let polls = AtomicU64::new(0);
            let n = 10_000;
            rt::local_group(async |group| {
                for _ in 0..n {
                    let mut is_first = true;
                    let polls = &polls;
                    group.spawn(std::future::poll_fn(move |cx| {
                        polls.fetch_add(1, Relaxed);
                        if std::mem::take(&mut is_first) {
                            cx.waker().wake_by_ref();
                            return std::task::Poll::Pending;
                        }
                        std::task::Poll::Ready(())
                    }));
                }
                Ok(())
            })
            .await
            .unwrap();
            assert_eq!(polls.load(Relaxed), 2 * n);
        });
    });
}

/// N14: it needs no runtime.
#[test]
fn n14_a_local_group_needs_no_runtime() {
    let list = Mutex::new(vec![]);
    let done = rt::local_group(async |group| {
        for i in 0..3 {
            let list = &list;
            group.spawn(async move { list.lock().unwrap().push(i) });
        }
        Ok(())
    });
    futures_util::pin_mut!(done);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while done.as_mut().poll(&mut cx).is_pending() {}
    assert_eq!(*list.lock().unwrap(), [0, 1, 2]);
}

/// N14: what is around a local group may be spawned, also with a time limit between them.
#[test]
fn n14_a_local_group_in_a_time_limit_can_be_spawned() {
    each_body(|| async {
        let task = rt::spawn(async {
            let group = rt::local_group(async |group| {
                let child = group.spawn_ok(rt::yield_now());
                child.await?;
                Ok(7)
            });
            rt::timeout(ms(100), group).await
        });
        assert_eq!(task.await.unwrap().unwrap().unwrap(), 7);
    });
}
