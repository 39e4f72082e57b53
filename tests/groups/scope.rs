//! The contract of `TaskGroup`: nobody outlives the scope, every error is kept, failures cancel.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::each_body;
use rt::{BoxError, FailureKind, Policy, TaskGroup};

const MS: Duration = Duration::from_millis(1);

fn messages(error: &rt::GroupError) -> Vec<String> {
    error
        .leaves()
        .iter()
        .map(|leaf| leaf.kind.to_string())
        .collect()
}

async fn fails_after(delay: Duration, message: &'static str) -> io::Result<()> {
    rt::sleep(delay).await;
    Err(io::Error::other(message))
}

/// G1: errors in the order of completion, that of the body last.
#[test]
fn g1_errors_are_kept_in_the_order_of_completion_and_the_body_comes_last() {
    each_body(|| async {
        let error = TaskGroup::options()
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                group.spawn(fails_after(30 * MS, "third"));
                group.spawn(fails_after(10 * MS, "first"));
                group.spawn(fails_after(20 * MS, "second"));
                rt::sleep(5 * MS).await;
                Err::<(), BoxError>("body".into())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["first", "second", "third", "body"]);
    });
}

/// G2: a child's failure cancels the others and drops the body, whose cleanup is awaited.
#[test]
fn g2_a_failing_child_cancels_its_siblings_and_the_body_and_awaits_their_cleanup() {
    each_body(|| async {
        let n_clean = Arc::new(AtomicUsize::new(0));
        let clean = |delay: u32| {
            let n_clean = n_clean.clone();
            async move {
                rt::sleep(delay * MS).await;
                n_clean.fetch_add(1, Relaxed);
            }
        };
        let (of_child, of_body) = (clean(30), clean(50));
        let start = rt::Instant::now();
        let error = TaskGroup::scope(|group| async move {
            group.spawn_ok(rt::finally(std::future::pending::<()>(), of_child));
            group.spawn(fails_after(10 * MS, "no luck"));
            rt::finally(std::future::pending::<()>(), of_body).await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["no luck"]);
        assert_eq!(
            n_clean.load(Relaxed),
            2,
            "the scope returned before the cleanup was through"
        );
        assert_eq!(start.elapsed(), 60 * MS);
    });
}

/// G3: a child that is cancelled on its own is no error.
#[test]
fn g3_cancelling_one_child_leaves_the_group_alone() {
    each_body(|| async {
        let value = TaskGroup::scope(|group| async move {
            let lost = group.spawn_ok(std::future::pending::<()>());
            let kept = group.spawn_ok(async {
                rt::sleep(20 * MS).await;
                7
            });
            rt::sleep(MS).await;
            assert!(lost.cancel());
            assert!(lost.await.unwrap_err().is_cancelled());
            Ok(kept.await?)
        })
        .await
        .unwrap();
        assert_eq!(value, 7);
    });
}

/// G4: cancelling the parent cancels all children, and they have ended when its join resolves.
#[test]
fn g4_dropping_a_group_cancels_its_children_and_the_scope_around_awaits_them() {
    each_body(|| async {
        let n_ended = Arc::new(AtomicUsize::new(0));
        let theirs = n_ended.clone();
        let parent = rt::spawn(TaskGroup::scope(move |group| async move {
            for _ in 0..10 {
                let n_ended = theirs.clone();
                group.spawn_ok(rt::finally(std::future::pending::<()>(), async move {
                    rt::sleep(10 * MS).await;
                    n_ended.fetch_add(1, Relaxed);
                }));
            }
            std::future::pending::<()>().await;
            Ok(())
        }));
        rt::sleep(5 * MS).await;
        parent.cancel();
        assert!(parent.await.unwrap_err().is_cancelled());
        assert_eq!(n_ended.load(Relaxed), 10, "a child outlived its parent");
    });
}

/// G4, T10: the same under a timeout, which returns only after every child has ended.
#[test]
fn g4_t10_a_timeout_around_a_group_waits_for_the_children_it_cancels() {
    each_body(|| async {
        let n_ended = Arc::new(AtomicUsize::new(0));
        let theirs = n_ended.clone();
        let scope = TaskGroup::scope(move |group| async move {
            let n_ended = theirs.clone();
            group.spawn_ok(rt::finally(std::future::pending::<()>(), async move {
                rt::sleep(10 * MS).await;
                n_ended.fetch_add(1, Relaxed);
            }));
            Ok(())
        });
        assert!(rt::timeout(5 * MS, scope).await.is_err());
        assert_eq!(n_ended.load(Relaxed), 1);
    });
}

/// G8: on a closing group a child is spawned cancelled; its body never runs.
#[test]
fn g8_a_child_spawned_by_the_cleanup_of_a_failed_group_never_runs() {
    each_body(|| async {
        let has_run = Arc::new(AtomicUsize::new(0));
        let theirs = has_run.clone();
        let error = TaskGroup::scope(|group| async move {
            let late = group.clone();
            group.spawn_ok(rt::finally(std::future::pending::<()>(), async move {
                assert!(late.is_closing());
                let child = late.spawn_ok(async move { theirs.fetch_add(1, Relaxed) });
                assert!(child.await.unwrap_err().is_cancelled());
            }));
            group.spawn(fails_after(MS, "no luck"));
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!((error.len(), has_run.load(Relaxed)), (1, 0));
    });
}

type Head = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn hydra(group: TaskGroup, n_heads: Arc<AtomicUsize>, depth: u32) -> Head {
    Box::pin(async move {
        n_heads.fetch_add(1, Relaxed);
        if depth > 0 {
            for _ in 0..2 {
                group.spawn(hydra(group.clone(), n_heads.clone(), depth - 1));
            }
        }
    })
}

/// G9: children may spawn more while the scope waits, and it waits for those too.
#[test]
fn g9_a_hydra_of_100_000_children_is_awaited_to_the_last_head() {
    for n_workers in [1, 2, 8] {
        let runtime = rt::Builder::new().workers(n_workers).build().unwrap();
        let n_heads = Arc::new(AtomicUsize::new(0));
        let theirs = n_heads.clone();
        runtime
            .block_on(TaskGroup::scope(|group| async move {
                group.spawn(hydra(group.clone(), theirs, 16));
                Ok(())
            }))
            .unwrap();
        assert_eq!(n_heads.load(Relaxed), (1 << 17) - 1);
        assert_eq!(runtime.metrics().n_live, 0);
    }
}

/// G12: an error that the body saw by awaiting the child is raised by the group all the same, once.
#[test]
fn g12_an_error_the_body_saw_is_reported_once() {
    each_body(|| async {
        let error = TaskGroup::options()
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                let child = group.spawn(fails_after(MS, "no luck"));
                child.await?;
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(messages(&error), ["no luck"]);

        let error = TaskGroup::scope(|group| async move {
            let child = group.spawn(fails_after(MS, "no luck"));
            assert!(child.await.unwrap_err().is_failed());
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["no luck"]);
    });
}

/// G13: a value returned early waits for the children.
#[test]
fn g13_returning_a_value_waits_for_the_children() {
    each_body(|| async {
        let start = rt::Instant::now();
        let value = TaskGroup::scope(|group| async move {
            group.spawn(rt::sleep(40 * MS));
            Ok("early")
        })
        .await
        .unwrap();
        assert_eq!((value, start.elapsed()), ("early", 40 * MS));
    });
}

/// G6: groups inside groups keep their tree; `leaves` goes through it.
#[test]
fn g6_nested_groups_keep_the_tree_of_their_errors() {
    each_body(|| async {
        let error = TaskGroup::options()
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                group.spawn(fails_after(MS, "outer"));
                group.spawn(async {
                    rt::sleep(5 * MS).await;
                    TaskGroup::scope(|inner| async move {
                        inner.spawn_named("deep", fails_after(MS, "inner"));
                        Ok(())
                    })
                    .await
                });
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(error.len(), 2);
        assert_eq!(messages(&error), ["outer", "inner"]);
        let report = error.to_string();
        assert!(report.contains("task `deep`: inner"), "{report}");
        assert!(report.contains(file!()), "{report}");
    });
}

/// G7: a panicking child is a failure with its payload; one of the body is raised again after all have ended.
#[test]
fn g7_panics_are_kept_and_the_body_s_own_goes_on_after_the_children() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            group.spawn(async {
                if rt::task::current().is_some() {
                    panic!("child");
                }
            });
            std::future::pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
        let FailureKind::Panic(panic) = &error.first().unwrap().kind else {
            panic!("{error}")
        };
        assert_eq!(panic.message(), "child");

        let n_ended = Arc::new(AtomicUsize::new(0));
        let theirs = n_ended.clone();
        let body = rt::spawn(TaskGroup::scope(|group| async move {
            group.spawn_ok(rt::finally(std::future::pending::<()>(), async move {
                theirs.fetch_add(1, Relaxed);
            }));
            rt::sleep(MS).await;
            if group.len() == 1 {
                panic!("body");
            }
            Ok(())
        }));
        assert_eq!(body.await.unwrap_err().into_panic().message(), "body");
        assert_eq!(n_ended.load(Relaxed), 1);
    });
}

/// N2: the first success cancels the others, and their failures do not count.
#[test]
fn n2_the_first_success_cancels_the_others() {
    each_body(|| async {
        let mut handles = vec![];
        let start = rt::Instant::now();
        TaskGroup::options()
            .policy(Policy::FirstSuccess)
            .scope(|group| {
                handles.push(group.spawn(fails_after(MS, "no luck")));
                handles.push(group.spawn(async {
                    rt::sleep(10 * MS).await;
                    rt::ok(())
                }));
                handles.push(group.spawn(rt::sleep(1000 * MS)));
                async { Ok(()) }
            })
            .await
            .unwrap();
        let outcomes: Vec<_> = handles
            .into_iter()
            .map(|child| child.try_result().is_ok())
            .collect();
        assert_eq!(outcomes, [false, true, false]);
        assert_eq!(start.elapsed(), 10 * MS);
    });
}

/// N3: at most `n` children at once, in the order of their spawns, and none is lost.
#[test]
fn n3_a_limit_lets_so_many_run_at_once() {
    each_body(|| async {
        let log = Arc::new(Mutex::new((0, 0, vec![])));
        let theirs = log.clone();
        let start = rt::Instant::now();
        TaskGroup::options()
            .limit(3)
            .scope(|group| async move {
                for number in 0..10 {
                    let log = theirs.clone();
                    group.spawn(async move {
                        {
                            let mut log = log.lock().unwrap();
                            log.0 += 1;
                            log.1 = log.0.max(log.1);
                            log.2.push(number);
                        }
                        rt::sleep(10 * MS).await;
                        log.lock().unwrap().0 -= 1;
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        let mut log = log.lock().unwrap();
        assert_eq!(log.1, 3);
        log.2.sort_unstable();
        assert_eq!(log.2, (0..10).collect::<Vec<_>>());
        assert_eq!(start.elapsed(), 40 * MS);
    });
}

/// G19: the deadline of a group cancels body and children and is told as what it is.
#[test]
fn g19_a_deadline_ends_the_group() {
    each_body(|| async {
        let start = rt::Instant::now();
        let error = TaskGroup::options()
            .deadline(start + 20 * MS)
            .scope(|group| async move {
                group.spawn(rt::sleep(1000 * MS));
                Ok(())
            })
            .await
            .unwrap_err();
        assert!(
            matches!(error.first().unwrap().kind, FailureKind::Elapsed(_)),
            "{error}"
        );
        assert_eq!(start.elapsed(), 20 * MS);
    });
}

/// S0-16: a blocking child's error fails the group.
#[test]
fn a_blocking_child_fails_the_group_like_any_other() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            group.spawn_blocking(|| "x".parse::<u32>());
            std::future::pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["invalid digit found in string"]);
    });
}
