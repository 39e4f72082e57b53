//! `CancelScope`: who can cancel it and when, what wins, and what is told of it.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::{Flag, Log, each_size, each_size_virtual, exact, ms, poll_once};
use rt::{CancelScope, Instant, TaskGroup};

/// N1, C15: from another thread, while the body is suspended or running.
#[test]
fn n1_c15_any_thread_may_cancel_a_scope() {
    each_size(|runtime| {
        for _ in 0..100 {
            let scope = CancelScope::new();
            let handle = scope.clone();
            let thread = std::thread::spawn(move || handle.cancel_with("from outside"));
            let cancelled = runtime.block_on(scope.run(pending::<()>())).unwrap_err();
            assert!(thread.join().unwrap());
            assert_eq!(cancelled.reason(), Some("from outside"));
            assert_eq!(cancelled.at().file(), file!());
            assert!(scope.caught() && scope.cancel_called() && !scope.expired());
        }
    });
}

/// C10: the inner scope ends, and the outer one goes on.
#[test]
fn c10_a_request_to_the_inner_scope_leaves_the_outer_one_alone() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let (outer, inner) = (CancelScope::new(), CancelScope::new());
            let handle = inner.clone();
            let body = async {
                rt::time::call_later(ms(10), move || {
                    handle.cancel();
                });
                assert!(inner.run(pending::<()>()).await.is_err());
                rt::sleep(ms(10)).await;
                7
            };
            assert_eq!(outer.run(body).await.unwrap(), 7);
            assert!(inner.caught() && !outer.caught() && !outer.cancel_called());
        });
    });
}

/// C10: the inner scope goes with the outer one and gives nothing.
#[test]
fn c10_a_request_to_the_outer_scope_is_not_caught_by_the_inner_one() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            for inner_too in [false, true] {
                let (outer, inner) = (CancelScope::new(), CancelScope::new());
                let handles = (outer.clone(), inner.clone());
                rt::time::call_later(ms(10), move || {
                    if inner_too {
                        handles.1.cancel();
                    }
                    handles.0.cancel();
                });
                let log = Log::default();
                let body = async {
                    let _ = inner.run(pending::<()>()).await;
                    log.say("went on");
                };
                assert!(outer.run(body).await.is_err());
                assert!(outer.caught() && !inner.caught());
                assert_eq!(log, []);
            }
        });
    });
}

/// C1: cancelled before its first poll the body never runs, and the scope stays cancelled.
#[test]
fn c1_a_scope_that_was_cancelled_before_runs_nothing() {
    exact(async {
        let scope = CancelScope::new();
        assert!(scope.cancel());
        assert!(!scope.cancel(), "the second request changes nothing");
        let ran = Flag::default();
        for _ in 0..2 {
            assert!(scope.run(async { ran.raise() }).await.is_err());
        }
        assert!(!ran.is_up());
    });
}

/// C3, C4: a body that cancels its own scope runs on to its next suspension, or gives its value.
#[test]
fn c3_c4_a_body_that_cancels_its_own_scope_runs_on_to_its_next_await() {
    each_size(|runtime| {
        runtime.block_on(async {
            let scope = CancelScope::new();
            let log = Log::default();
            let ended = scope
                .run(async {
                    scope.cancel();
                    ready(()).await;
                    log.say("runs on");
                    rt::yield_now().await;
                    log.say("runs for ever");
                })
                .await;
            assert!(ended.is_err());
            assert_eq!(log, ["runs on"]);
            let scope = CancelScope::new();
            let value = scope.run(async {
                scope.cancel();
                7
            });
            assert_eq!(value.await.unwrap(), 7);
            assert!(scope.cancel_called() && !scope.caught());
        });
    });
}

/// C8: the first reason is kept.
#[test]
fn c8_only_the_first_request_to_a_scope_counts() {
    exact(async {
        let scope = CancelScope::new();
        assert!(scope.cancel_with("first"));
        assert!(!scope.cancel_with("second"));
        assert!(!scope.cancel_gracefully(ms(1)));
        let cancelled = scope.run(pending::<()>()).await.unwrap_err();
        assert_eq!(cancelled.reason(), Some("first"));
    });
}

/// C16: what the body registered is through before the scope is.
#[test]
fn c16_a_scope_ends_after_the_cleanup_of_its_body() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let scope = CancelScope::with_timeout(ms(10));
            let log = theirs.clone();
            let ended = scope.run(rt::finally(pending::<()>(), async move {
                rt::sleep(ms(50)).await;
                log.say("cleaned up");
            }));
            assert!(ended.await.is_err());
            theirs.say("over");
        });
        assert_eq!(log, ["cleaned up", "over"]);
    });
}

/// C6: a later request does not interrupt the cleanup.
#[test]
fn c6_a_second_request_to_a_scope_leaves_its_cleanup_alone() {
    exact(async {
        let scope = CancelScope::new();
        let handle = scope.clone();
        let through = Flag::default();
        let theirs = through.clone();
        rt::time::call_later(ms(1), move || {
            handle.cancel();
        });
        let handle = scope.clone();
        rt::time::call_later(ms(2), move || {
            handle.cancel();
        });
        let body = rt::finally(pending::<()>(), async move {
            rt::sleep(ms(50)).await;
            theirs.raise();
        });
        assert!(scope.run(body).await.is_err());
        assert!(through.is_up());
    });
}

/// C13: the panic of a body comes out after its cleanup, and the scope is free again.
#[test]
fn c13_a_panic_in_a_scope_comes_out_of_it() {
    each_size(|runtime| {
        let scope = CancelScope::new();
        let theirs = scope.clone();
        let task = runtime.spawn(async move { theirs.run(async { panic!("inside") }).await });
        let error = runtime.block_on(task).unwrap_err();
        assert_eq!(error.into_panic().message(), "inside");
        assert_eq!(runtime.block_on(scope.run(ready(7))).unwrap(), 7);
    });
}

/// T2: cancelled by the outer scope in the tick of its own deadline: the outer request wins, in both orders, and
/// the inner scope tells the truth about its deadline.
#[test]
fn t2_an_outer_cancellation_in_the_tick_of_the_deadline_wins() {
    for cancel_first in [true, false] {
        exact(async move {
            let (outer, inner) = (CancelScope::new(), CancelScope::with_timeout(ms(10)));
            let went_on = Flag::default();
            let body = async {
                let _ = inner.run(pending::<()>()).await;
                went_on.raise();
            };
            let mut run = Box::pin(outer.run(body));
            assert!(poll_once(&mut run).is_pending());
            if cancel_first {
                outer.cancel();
            }
            rt::time::advance(ms(10));
            outer.cancel();
            assert!(run.await.is_err());
            assert!(outer.caught() && !inner.caught() && inner.expired());
            assert!(!went_on.is_up());
        });
    }
}

/// T3: the body is busy past both deadlines: the outermost scope wins, whichever is the shorter.
#[test]
fn t3_of_scopes_that_are_all_late_the_outermost_wins() {
    for (outer, inner) in [(10, 20), (20, 10), (10, 10)] {
        exact(async move {
            let outer = CancelScope::with_timeout(ms(outer));
            let inner = CancelScope::with_timeout(ms(inner));
            let went_on = Flag::default();
            let body = async {
                let busy = async {
                    rt::time::advance(ms(30));
                    pending::<()>().await;
                };
                let _ = inner.run(busy).await;
                went_on.raise();
            };
            assert!(outer.run(body).await.is_err());
            assert!(outer.caught() && !inner.caught());
            assert!(outer.expired() && inner.expired());
            assert!(!went_on.is_up());
        });
    }
}

/// T3: the same with `timeout`.
#[test]
fn t3_a_busy_body_past_both_timeouts_ends_the_outer_one() {
    for (outer, inner) in [(10, 20), (20, 10)] {
        exact(async move {
            let went_on = Flag::default();
            let body = async {
                let busy = async {
                    rt::time::advance(ms(30));
                    pending::<()>().await;
                };
                let _ = rt::timeout(ms(inner), busy).await;
                went_on.raise();
            };
            assert!(rt::timeout(ms(outer), body).await.is_err());
            assert!(!went_on.is_up());
        });
    }
}

/// T4: a deadline in the past lets the body run up to its first suspension.
#[test]
fn t4_a_scope_whose_deadline_has_passed_begins_its_body() {
    exact(async {
        let past = Instant::now();
        rt::sleep(ms(1)).await;
        let scope = CancelScope::with_deadline(past);
        assert_eq!(scope.run(ready(7)).await.unwrap(), 7);
        let scope = CancelScope::with_deadline(past);
        let log = Log::default();
        let body = async {
            log.say("begins");
            rt::yield_now().await;
            log.say("goes on");
        };
        assert!(scope.run(body).await.is_err());
        assert_eq!(log, ["begins"]);
    });
}

/// T5: forward, back, away, into the past; and not any more once it has taken effect.
#[test]
fn t5_a_deadline_can_be_moved_until_it_has_passed() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = Instant::now();
            let scope = CancelScope::with_timeout(ms(10));
            assert_eq!(scope.deadline(), Some(start + ms(10)));
            let handle = scope.clone();
            let mover = rt::spawn(async move {
                rt::sleep(ms(5)).await;
                handle.set_deadline(Some(start + ms(50))).unwrap();
                rt::sleep(ms(25)).await;
                handle.set_deadline(None).unwrap();
                rt::sleep(ms(70)).await;
                handle.set_deadline(Some(start + ms(1000))).unwrap();
                handle.set_deadline(Some(start + ms(110))).unwrap();
            });
            assert!(scope.run(pending::<()>()).await.is_err());
            assert_eq!(start.elapsed(), ms(110));
            mover.await.unwrap();
            assert!(scope.expired());
            assert!(scope.set_deadline(None).is_err());
        });
    });
}

/// T5: from another thread, with the body asleep.
#[test]
fn t5_a_deadline_moved_into_the_past_by_another_thread_fires_now() {
    each_size(|runtime| {
        let scope = CancelScope::with_timeout(Duration::from_secs(3600));
        let handle = scope.clone();
        let thread = std::thread::spawn(move || handle.set_deadline(Some(Instant::now())));
        assert!(runtime.block_on(scope.run(pending::<()>())).is_err());
        thread.join().unwrap().unwrap();
        assert!(scope.expired() && scope.caught());
    });
}

/// T6: what the body returns passes unchanged, and both facts are there.
#[test]
fn t6_an_error_of_the_body_passes_a_scope_that_is_late() {
    exact(async {
        let scope = CancelScope::with_timeout(ms(10));
        let body = async {
            rt::time::advance(ms(20));
            Err::<(), _>("its own")
        };
        assert_eq!(scope.run(body).await.unwrap(), Err("its own"));
        assert!(scope.expired() && !scope.caught());
        let elapsed = rt::timeout(ms(1), pending::<()>()).await.unwrap_err();
        let scope = CancelScope::with_timeout(ms(10));
        let body = async { Err::<(), _>(elapsed) };
        assert!(scope.run(body).await.unwrap().is_err());
        assert!(!scope.expired(), "somebody else's time was up");
    });
}

/// T7: a body that catches the cancellation, or is late without an await, gives its value.
#[test]
fn t7_a_value_that_comes_late_is_given_and_the_scope_says_so() {
    exact(async {
        let scope = CancelScope::with_timeout(ms(10));
        let value = scope.run(async {
            assert!(rt::catch_cancel(pending::<()>()).await.is_err());
            rt::sleep(ms(50)).await;
            7
        });
        assert_eq!(value.await.unwrap(), 7);
        assert!(scope.expired() && scope.cancel_called() && !scope.caught());
        let scope = CancelScope::with_timeout(ms(10));
        let value = scope.run(async {
            rt::time::advance(ms(20));
            7
        });
        assert_eq!(value.await.unwrap(), 7);
        assert!(scope.expired() && !scope.caught());
    });
}

/// T8: cleanup of a cancelled task may bound itself.
#[test]
fn t8_a_timeout_in_the_cleanup_of_a_cancelled_task_works() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let task = rt::spawn(rt::finally(pending::<()>(), async move {
                let scope = CancelScope::with_timeout(ms(20));
                let late = rt::timeout(ms(10), pending::<()>()).await.is_err();
                let cancelled = scope.run(pending::<()>()).await.is_err();
                rt::sleep(ms(10)).await;
                theirs.say(format!("{late} {cancelled}"));
            }));
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(log, ["true true"]);
    });
}

/// T9: one body at a time, told at the caller's line; one after the other is fine.
#[test]
fn t9_a_scope_that_runs_a_body_refuses_another() {
    let scope = CancelScope::new();
    let first = scope.run(pending::<()>());
    let second = catch_unwind(AssertUnwindSafe(|| drop(scope.run(ready(7)))));
    let message = *second.unwrap_err().downcast::<String>().unwrap();
    let line = format!("{}:{}", file!(), line!() - 3);
    assert!(message.contains(&line), "{message:?} does not name {line}");
    drop(first);
    assert_eq!(rt::block_on(scope.run(ready(7))).unwrap(), 7);
}

/// T9: without a runtime, on whatever polls it.
#[test]
fn t9_a_scope_without_a_deadline_works_on_any_executor() {
    let scope = CancelScope::new();
    let cleaned = Flag::default();
    let theirs = cleaned.clone();
    let mut run = Box::pin(
        scope.run(async move { rt::finally(pending::<()>(), async move { theirs.raise() }).await }),
    );
    assert!(poll_once(&mut run).is_pending());
    scope.cancel();
    assert!(poll_once(&mut run).is_ready());
    assert!(cleaned.is_up() && scope.caught());
}

/// T11: the deadline of a scope covers the children of groups inside, and not tasks that are spawned.
#[test]
fn t11_a_deadline_covers_the_children_of_groups_and_not_spawned_tasks() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let log = Log::default();
            let theirs = log.clone();
            let mut spawned = None;
            let body = TaskGroup::scope(async |group| {
                let held = theirs.on_drop("child dropped");
                group.spawn_ok(async move {
                    let _held = held;
                    pending::<()>().await;
                });
                spawned = Some(rt::spawn(async {
                    rt::sleep(ms(50)).await;
                    rt::task::deadline()
                }));
                Ok(())
            });
            assert!(CancelScope::with_timeout(ms(10)).run(body).await.is_err());
            assert_eq!(log, ["child dropped"], "before the scope was over");
            assert_eq!(spawned.unwrap().await.unwrap(), None);
        });
    });
}

/// N9: the nearest deadline of all scopes, timeouts and groups around, and those around the group of the task.
#[test]
fn n9_the_deadline_is_the_nearest_one_around() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = Instant::now();
            let of_child = async || {
                let group = TaskGroup::scope(async |group| Ok(group.spawn_ok(deadline())));
                group.await.unwrap().result()
            };
            assert_eq!(of_child().await, None);
            let scope = CancelScope::with_timeout(ms(50));
            let far = rt::timeout(ms(90), async {
                let in_scope = scope.run(async {
                    assert_eq!(of_child().await, Some(start + ms(50)));
                    scope.set_deadline(Some(start + ms(70))).unwrap();
                    assert_eq!(of_child().await, Some(start + ms(70)));
                    scope.set_deadline(None).unwrap();
                    let near = rt::timeout(ms(30), of_child());
                    assert_eq!(near.await.unwrap(), Some(start + ms(30)));
                    deadline().await
                });
                assert_eq!(in_scope.await.unwrap(), Some(start + ms(90)));
                let group = TaskGroup::options().deadline(start + ms(20));
                let group =
                    group.scope(async |group| Ok((deadline().await, group.spawn_ok(deadline()))));
                let (body, child) = group.await.unwrap();
                assert_eq!(
                    (body, child.result()),
                    (Some(start + ms(20)), Some(start + ms(20)))
                );
                rt::task::deadline()
            });
            assert_eq!(far.await.unwrap(), Some(start + ms(90)));
            assert_eq!(rt::task::deadline(), None);
        });
    });

    async fn deadline() -> Option<Instant> {
        let deadline = rt::task::deadline();
        if let Some(task) = rt::task::current() {
            assert_eq!(task.deadline(), deadline);
        }
        deadline
    }
}

/// N9: a child that outlives the moment sees the deadline of the scope as it is moved.
#[test]
fn n9_a_child_sees_a_deadline_that_moves() {
    exact(async {
        let start = Instant::now();
        let scope = CancelScope::with_timeout(ms(100));
        let handle = scope.clone();
        let group = TaskGroup::scope(async |group| {
            let child = group.spawn_ok(async {
                let before = rt::task::deadline();
                rt::sleep(ms(20)).await;
                (before, rt::task::deadline())
            });
            rt::sleep(ms(10)).await;
            handle.set_deadline(Some(start + ms(200)))?;
            Ok(child)
        });
        let (before, after) = scope.run(group).await.unwrap().unwrap().result();
        assert_eq!(
            (before, after),
            (Some(start + ms(100)), Some(start + ms(200)))
        );
    });
}

/// N1: first it is asked, and after the grace it is dropped.
#[test]
fn n1_a_graceful_cancellation_asks_first_and_drops_after_the_grace() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = Instant::now();
            let ends = async |grace, takes| {
                let scope = CancelScope::new();
                let handle = scope.clone();
                rt::time::call_later(ms(10), move || {
                    handle.cancel_gracefully(grace);
                });
                let ended = scope.run(async {
                    rt::cancelled().await;
                    rt::sleep(takes).await;
                });
                (ended.await.is_ok(), scope.cancel_called(), scope.caught())
            };
            assert_eq!(ends(ms(50), ms(20)).await, (true, true, false));
            assert_eq!(start.elapsed(), ms(30));
            assert_eq!(ends(ms(50), ms(70)).await, (false, true, true));
            assert_eq!(start.elapsed(), ms(90));
        });
    });
}

/// N1: a second request may be harder, or shorter, and never softer.
#[test]
fn n1_of_several_graces_the_shortest_counts() {
    exact(async {
        let start = Instant::now();
        let scope = CancelScope::new();
        for (at, grace) in [(10, 100), (20, 30), (30, 1000)] {
            let handle = scope.clone();
            rt::time::call_later(ms(at), move || {
                handle.cancel_gracefully(ms(grace));
            });
        }
        assert!(scope.run(pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), ms(50));
        let scope = CancelScope::new();
        scope.cancel_gracefully(ms(100));
        assert!(scope.cancel(), "the first that is without grace");
        assert!(scope.run(pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), ms(50));
    });
}

/// N1: the children of groups inside are asked too, and `cancelled` inside a timeout hears it.
#[test]
fn n1_children_of_groups_hear_a_graceful_cancellation() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let scope = CancelScope::new();
            let handle = scope.clone();
            rt::time::call_later(ms(10), move || {
                handle.cancel_gracefully(ms(100));
            });
            let body = TaskGroup::scope(async |group| {
                group.spawn_ok(async move {
                    rt::timeout(ms(1000), rt::cancelled()).await.unwrap();
                    rt::sleep(ms(10)).await;
                    theirs.say("child said goodbye");
                });
                Ok(())
            });
            scope.run(body).await.unwrap().unwrap();
        });
        assert_eq!(log, ["child said goodbye"]);
    });
}
