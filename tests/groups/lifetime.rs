//! No child outlives its group, however the group ends: cancelled, dropped by a stranger, or outside any scope.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use crate::support::{self, Count, Flag, each_body, each_size, each_size_virtual, ms};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, select};
use rt::{BoxError, FailureKind, GroupScope, TaskGroup};

/// A group of ten children that wait for ever and need `cleanup` to end; each is counted when it has.
fn ten_children(
    ended: &Count,
    cleanup: Duration,
) -> GroupScope<impl Future<Output = Result<(), BoxError>> + Send + use<>> {
    let ended = ended.clone();
    TaskGroup::scope(move |group| async move {
        for _ in 0..10 {
            let ended = ended.clone();
            group.spawn_ok(rt::finally(pending::<()>(), async move {
                rt::sleep(cleanup).await;
                ended.add();
            }));
        }
        pending::<()>().await;
        Ok(())
    })
}

/// G4: a group that loses in a foreign `select!` cancels its children, and its task does not end before they have.
#[test]
fn g4_a_group_dropped_by_a_foreign_select_is_awaited_by_the_task() {
    each_body(|| async {
        let n_ended = Count::default();
        let ended = n_ended.clone();
        let start = rt::Instant::now();
        let task = rt::spawn(async move {
            let mut group = pin!(ten_children(&ended, ms(20)).fuse());
            let mut sleep = pin!(rt::sleep(ms(10)).fuse());
            select! {
                _ = group => unreachable!("it waits for ever"),
                () = sleep => start.elapsed(),
            }
        });
        assert_eq!(task.await.unwrap(), ms(10));
        assert_eq!((n_ended.get(), start.elapsed()), (10, ms(30)));
    });
}

/// G4: the same for groups in a `FuturesUnordered`, which polls with wakers of its own.
#[test]
fn g4_groups_dropped_with_a_futures_unordered_are_awaited_by_the_task() {
    each_body(|| async {
        let n_ended = Count::default();
        let ended = n_ended.clone();
        let start = rt::Instant::now();
        let task = rt::spawn(async move {
            let mut groups = FuturesUnordered::new();
            for i in 1..=10 {
                groups.push(rt::timeout(i * ms(10), ten_children(&ended, ms(5))));
            }
            assert!(groups.next().await.unwrap().is_err());
            assert_eq!((ended.get(), start.elapsed()), (10, ms(15)));
        });
        task.await.unwrap();
        assert_eq!((n_ended.get(), start.elapsed()), (100, ms(20)));
    });
}

/// G4: a group that is polled by one task and dropped by another is awaited by the one that dropped it.
#[test]
fn g4_a_group_dropped_by_another_task_is_awaited_there() {
    each_body(|| async {
        let n_ended = Count::default();
        let mut scope = Box::pin(ten_children(&n_ended, ms(20)));
        assert!(rt::timeout(ms(1), &mut scope).await.is_err());
        let other = rt::spawn(async move { drop(scope) });
        other.await.unwrap();
        assert_eq!(n_ended.get(), 10);
    });
}

/// G4: a group that was never polled has no children, and one that is dropped at its end leaves none.
#[test]
fn g4_a_scope_that_is_dropped_before_its_first_poll_has_run_nothing() {
    each_size(|runtime| {
        let n_ended = Count::default();
        drop(ten_children(&n_ended, ms(1)));
        runtime.block_on(async {
            drop(ten_children(&n_ended, ms(1)));
            rt::yield_now().await;
        });
        assert_eq!((n_ended.get(), runtime.metrics().n_live), (0, 0));
    });
}

/// G4: outside any scope, but on a thread of the runtime's, the waiting becomes a task of the runtime.
#[test]
fn g4_a_group_dropped_on_an_entered_thread_is_awaited_by_a_task() {
    each_size_virtual(|runtime| {
        let n_ended = Count::default();
        let mut scope = Box::pin(ten_children(&n_ended, ms(20)));
        runtime.block_on(async { assert!(rt::timeout(ms(1), &mut scope).await.is_err()) });
        let entered = runtime.handle().enter();
        drop(scope);
        drop(entered);
        runtime.block_on(async {
            while n_ended.get() < 10 {
                rt::sleep(ms(1)).await;
            }
        });
    });
}

/// G4: outside any runtime the thread that drops the group waits for the children.
#[test]
fn g4_a_group_dropped_on_a_plain_thread_is_awaited_by_the_thread() {
    for n_workers in support::SIZES {
        let n_ended = Count::default();
        let ended = n_ended.clone();
        let scope = Box::pin(ten_children(&n_ended, ms(2)));
        support::must_end("on a plain thread", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let mut scope = scope;
            runtime.block_on(async { assert!(rt::timeout(ms(1), &mut scope).await.is_err()) });
            let plain = std::thread::spawn(move || {
                drop(scope);
                ended.get()
            });
            assert_eq!(plain.join().unwrap(), 10);
        });
    }
}

/// G4: the same for a set, and for tasks whose results were gathered: the thread runs what no other can.
#[test]
fn g4_a_set_dropped_on_a_plain_thread_is_awaited_by_the_thread() {
    for n_workers in support::SIZES {
        support::must_end("on a plain thread", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let n_ended = Count::default();
            let child = |ended: Count| {
                rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(1)).await;
                    ended.add();
                })
            };
            let mut set = rt::TaskSet::new();
            let mut gathered = rt::join_all([child(n_ended.clone()), child(n_ended.clone())]);
            runtime.block_on(async {
                set.spawn(1, child(n_ended.clone()));
                assert!(rt::timeout(ms(1), &mut gathered).await.is_err());
            });
            drop(set);
            assert_eq!(n_ended.get(), 1);
            drop(gathered);
            assert_eq!(n_ended.get(), 3);
        });
    }
}

/// C17, G4: a group that is dropped after its runtime has nothing to wait for.
#[test]
fn c17_g4_a_group_may_outlive_its_runtime() {
    for n_workers in support::SIZES {
        let n_ended = Count::default();
        let scope = Box::pin(ten_children(&n_ended, ms(2)));
        support::must_end("after its runtime", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let mut scope = scope;
            runtime.block_on(async { assert!(rt::timeout(ms(1), &mut scope).await.is_err()) });
            drop(runtime);
            drop(scope);
            assert_eq!(n_ended.get(), 10);
        });
    }
}

/// G4, S0-04: after the scope nothing is left of a tree of groups, however it ended.
#[test]
fn g4_nothing_is_left_of_a_tree_of_groups() {
    fn tree(
        depth: u32,
        fails: bool,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        Box::pin(async move {
            TaskGroup::scope(|group| async move {
                for _ in 0..3 * u32::from(depth > 0) {
                    group.spawn(tree(depth - 1, fails));
                }
                rt::sleep(ms(u64::from(depth))).await;
                if fails && depth == 0 {
                    return Err("leaf".into());
                }
                Ok(())
            })
            .await?;
            Ok(())
        })
    }
    each_size_virtual(|runtime| {
        for fails in [false, true] {
            let result = runtime.block_on(tree(5, fails));
            assert_eq!(result.is_err(), fails);
            assert_eq!(runtime.metrics().n_live, 0);
            let result = runtime.block_on(rt::timeout(ms(3), tree(5, fails)));
            assert!(fails || result.is_err());
            assert_eq!(runtime.metrics().n_live, 0);
        }
    });
}

/// G16: after `cancel` new children never begin; the body goes on and its value counts.
#[test]
fn g16_a_group_that_is_cancelled_before_its_spawns_runs_none_of_them() {
    each_body(|| async {
        let has_run = Flag::default();
        let theirs = has_run.clone();
        let value = TaskGroup::scope(|group| async move {
            group.cancel();
            assert!(group.is_closing());
            let child = group.spawn_ok(async move { theirs.raise() });
            let error = child.await.unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(
                error.reason(),
                Some("its group was closing when it was spawned")
            );
            Ok(7)
        })
        .await
        .unwrap();
        assert_eq!((value, has_run.is_up()), (7, false));
    });
}

/// G16: a child may cancel its group in its first poll, before it ever waits.
#[test]
fn g16_a_child_cancels_its_group_before_it_first_waits() {
    each_body(|| async {
        let n_ended = Count::default();
        let ended = n_ended.clone();
        TaskGroup::scope(|group| async move {
            for _ in 0..5 {
                let on_drop = ended.on_drop();
                group.spawn_ok(async move {
                    let _on_drop = on_drop;
                    pending::<()>().await;
                });
            }
            let ours = group.clone();
            group.spawn_ok(async move {
                ours.cancel();
                ours.cancel();
                pending::<()>().await;
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(n_ended.get(), 5);
    });
}

/// G16: errors of children are raised by a cancelled group too, also by one that fails in its first poll.
#[test]
fn g16_errors_in_a_cancelled_group_are_raised() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            let ours = group.clone();
            group.spawn(async move {
                ours.cancel();
                Err::<(), _>(std::io::Error::other("at once"))
            });
            group.spawn(rt::shield(async {
                rt::sleep(ms(5)).await;
                Err::<(), _>(std::io::Error::other("shielded"))
            }));
            rt::sleep(ms(20)).await;
            Ok(())
        })
        .await
        .unwrap_err();
        let mut messages: Vec<_> = error.errors().iter().map(|e| e.kind.to_string()).collect();
        messages.sort_unstable();
        // The second one may have been cancelled before it raised its shield.
        assert!(
            messages.starts_with(&["at once".to_owned()]),
            "{messages:?}"
        );
    });
}

/// G16: `cancel` does not swallow a cancellation of the task around, whichever comes first.
#[test]
fn g16_cancelling_a_group_swallows_no_cancellation_from_outside() {
    each_body(|| async {
        for group_first in [true, false] {
            let went_on = Flag::default();
            let theirs = went_on.clone();
            let (send, mut receive) = rt::sync::oneshot::channel();
            let parent = rt::spawn(async move {
                let scope = TaskGroup::scope(|group| async move {
                    let clean = async { rt::sleep(ms(10)).await };
                    group.spawn_ok(rt::finally(pending::<()>(), clean));
                    let _ = send.send(group.clone());
                    Ok(())
                });
                let _ = scope.await;
                rt::sleep(ms(1)).await;
                theirs.raise();
            });
            let group: TaskGroup = (&mut receive).await.unwrap();
            rt::sleep(ms(1)).await;
            if group_first {
                group.cancel();
                parent.cancel();
            } else {
                parent.cancel();
                group.cancel();
            }
            assert!(parent.await.unwrap_err().is_cancelled());
            assert!(!went_on.is_up());
        }
    });
}

/// G16: a child that fails before its spawner goes on does not hang its group.
#[test]
fn g16_a_child_that_fails_at_once_does_not_hang_its_group() {
    each_size(|runtime| {
        for _ in 0..1000 {
            let error = runtime
                .block_on(TaskGroup::scope(|group| async move {
                    group.spawn(async { Err::<(), BoxError>("at once".into()) });
                    Ok(())
                }))
                .unwrap_err();
            assert_eq!(error.len(), 1);
        }
    });
}

/// G8: a handle to the group that outlives the scope spawns nothing that runs.
#[test]
fn g8_a_group_that_is_over_turns_children_away() {
    each_body(|| async {
        let group = TaskGroup::scope(|group| async move { Ok(group) })
            .await
            .unwrap();
        assert!(group.is_closing() && group.is_empty());
        let (on_drop, has_run) = (Count::default(), Flag::default());
        let (counted, theirs) = (on_drop.on_drop(), has_run.clone());
        let late = group.spawn_ok(async move {
            let _counted = counted;
            theirs.raise();
        });
        assert!(late.await.unwrap_err().is_cancelled());
        assert_eq!((on_drop.get(), has_run.is_up()), (1, false));
        let blocking = group.spawn_blocking(|| rt::ok(()));
        assert!(blocking.await.unwrap_err().is_cancelled());
    });
}

/// G19: a deadline that has passed ends the group before the body goes on, and a later end is no matter.
#[test]
fn g19_deadlines_that_have_passed_and_that_are_not_reached() {
    each_body(|| async {
        let start = rt::Instant::now();
        rt::sleep(ms(10)).await;
        let error = TaskGroup::options()
            .deadline(start)
            .scope(|group| async move {
                group.spawn_ok(pending::<()>());
                pending::<()>().await;
                Ok(())
            })
            .await
            .unwrap_err();
        assert!(matches!(
            error.first().unwrap().kind,
            FailureKind::Elapsed(_)
        ));
        let value = TaskGroup::options()
            .deadline(start + ms(100))
            .scope(|group| async move {
                let child = group.spawn_ok(rt::sleep(ms(10)));
                child.await?;
                Ok(1)
            })
            .await
            .unwrap();
        assert_eq!((value, start.elapsed()), (1, ms(20)));
    });
}

/// The whole surface of a handle, during the scope and after it.
#[test]
fn handles_tell_about_their_child() {
    each_body(|| async {
        let (value, failed, cancelled) = TaskGroup::options()
            .on_error(drop)
            .scope(|group| async move {
                let value = group.spawn_named("value", async { rt::ok(1) });
                let failed = group.spawn_try(async { Err::<(), _>("no luck".into()) });
                let cancelled = group.spawn_ok(pending::<()>());
                assert_eq!(
                    (value.name().as_deref(), failed.name()),
                    (Some("value"), None)
                );
                assert!(value.id() < failed.id());
                assert!(!cancelled.is_finished());
                assert!(cancelled.cancel() && !cancelled.cancel());
                Ok((value, failed, cancelled))
            })
            .await
            .unwrap();
        assert!(value.is_finished() && failed.is_finished() && cancelled.is_finished());
        assert_eq!(value.result(), 1);
        assert!(failed.try_result().unwrap_err().is_failed());
        assert!(cancelled.try_result().unwrap_err().is_cancelled());
    });
}
