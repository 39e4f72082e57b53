//! What a group tells of its failures: all of them, in order, as a tree, with task and place; and where they go
//! when no scope is left to return them.

use std::future::pending;
use std::io;
use std::num::ParseIntError;
use std::time::Duration;

use crate::support::{Log, each_body, each_builder, exact, ms};
use rt::{BoxError, FailureKind, GroupError, Policy, TaskFailure, TaskGroup};

async fn fails_after(delay: Duration, message: &'static str) -> io::Result<()> {
    rt::sleep(delay).await;
    Err(io::Error::other(message))
}

/// A future that panics, and whose type says that it might not.
async fn panics(message: &'static str) {
    if rt::task::current().is_some() {
        panic!("{message}");
    }
}

fn collect() -> rt::GroupBuilder<BoxError> {
    TaskGroup::options().policy(Policy::CollectAll)
}

fn messages(error: &GroupError) -> Vec<String> {
    let leaves = error.leaves();
    leaves.iter().map(|leaf| leaf.kind.to_string()).collect()
}

/// G1, S0-03: children that fail while they are cancelled are counted too; in order, and the body last.
#[test]
fn g1_errors_of_children_that_are_being_cancelled_are_kept_in_order() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            for (delay, message) in [(30, "third"), (20, "second")] {
                group.spawn(rt::shield(fails_after(ms(delay), message)));
            }
            group.spawn(fails_after(ms(10), "first"));
            rt::shield(rt::sleep(ms(15))).await;
            Err::<(), BoxError>("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["first", "second", "third", "body"]);
    });
}

/// G1: on one thread children that fail at the same moment are told in the order of their spawns.
#[test]
fn g1_failures_of_one_moment_are_in_the_order_of_the_spawns() {
    let error = exact(collect().scope(|group| async move {
        for message in ["a", "b", "c", "d"] {
            group.spawn(fails_after(ms(1), message));
        }
        Ok(())
    }));
    assert_eq!(messages(&error.unwrap_err()), ["a", "b", "c", "d"]);
}

/// G5: a parent that was cancelled gets no error back: those of its children are reported, none is lost.
#[test]
fn g5_failures_under_a_cancelled_parent_are_reported() {
    each_builder(|builder| {
        let reports = Log::default();
        let log = reports.clone();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(move |unhandled| log.say(unhandled.to_string()))
            .build()
            .unwrap();
        runtime.block_on(async {
            let parent = rt::spawn(TaskGroup::scope(|group| async move {
                group.spawn_named("late", rt::shield(fails_after(ms(20), "no luck")));
                group.spawn_named(
                    "later",
                    rt::finally(pending::<()>(), async { Ok::<_, BoxError>(()) }),
                );
                pending::<()>().await;
                Ok(())
            }));
            rt::sleep(ms(10)).await;
            parent.cancel();
            assert!(parent.await.unwrap_err().is_cancelled());
        });
        let lines = reports.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(concat!("task `late` spawned at ", file!(), ":")));
        assert!(lines[0].ends_with(": no luck"), "{lines:?}");
    });
}

/// G5, G6: in a group inside a group that fails: the outer error tells of the outer failure, the rest is reported.
#[test]
fn g5_g6_failures_of_a_group_inside_a_failing_group_are_reported() {
    each_builder(|builder| {
        let reports = Log::default();
        let log = reports.clone();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(move |unhandled| {
                let kind = unhandled.panic().map_or("error", |panic| panic.message());
                log.say(kind);
            })
            .build()
            .unwrap();
        let error = runtime
            .block_on(TaskGroup::scope(|outer| async move {
                outer.spawn(async {
                    TaskGroup::scope(|inner| async move {
                        inner.spawn(rt::shield(fails_after(ms(20), "inner")));
                        inner.spawn(rt::shield(async {
                            rt::sleep(ms(30)).await;
                            panics("inner panic").await;
                        }));
                        pending::<()>().await;
                        Ok(())
                    })
                    .await
                });
                outer.spawn(fails_after(ms(10), "outer"));
                Ok(())
            }))
            .unwrap_err();
        assert_eq!(messages(&error), ["outer"]);
        assert_eq!(reports, ["error", "inner panic"]);
    });
}

/// G6: a failure inside is a group in the group's error; when both fail at once both are there.
#[test]
fn g6_groups_that_fail_inside_and_outside_keep_their_shape() {
    each_body(|| async {
        let error = collect()
            .scope(|outer| async move {
                outer.spawn(fails_after(ms(1), "outside"));
                outer.spawn(async {
                    TaskGroup::scope(|inner| async move {
                        inner.spawn(fails_after(ms(1), "inside"));
                        inner.spawn(rt::shield(fails_after(ms(2), "inside too")));
                        Ok(())
                    })
                    .await
                });
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(error.len(), 2);
        assert_eq!(messages(&error), ["outside", "inside", "inside too"]);
        let FailureKind::Error(inner) = &error.errors()[1].kind else {
            panic!("{error}")
        };
        assert_eq!(inner.downcast_ref::<GroupError>().unwrap().len(), 2);
    });
}

/// G6: dividing an error keeps the tree, on both sides.
#[test]
fn g6_splitting_goes_into_groups_and_keeps_the_tree() {
    each_body(|| async {
        let error = collect()
            .name("outer")
            .scope(|group| async move {
                group.spawn(async { "x".parse::<u32>() });
                group.spawn_named("inner task", async {
                    collect()
                        .name("inner")
                        .scope(|group| async move {
                            group.spawn(async {
                                rt::sleep(ms(1)).await;
                                "y".parse::<u32>()
                            });
                            group.spawn(fails_after(ms(2), "deep"));
                            Ok(())
                        })
                        .await
                });
                group.spawn(async { panics("loose").await });
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!((error.len(), error.leaves().len()), (3, 4));

        let (parse, rest) = error.split_type::<ParseIntError>();
        let (parse, rest) = (parse.unwrap(), rest.unwrap());
        assert_eq!(messages(&parse), ["invalid digit found in string"; 2]);
        let mut others = messages(&rest);
        others.sort_unstable();
        assert_eq!(others, ["deep", "panicked: loose"]);
        assert_eq!(parse.len(), 2, "one of the outer, and the inner group");
        for side in [parse.to_string(), rest.to_string()] {
            assert!(
                side.starts_with("group `outer` failed (2 errors)"),
                "{side}"
            );
            assert!(
                side.contains("task `inner task`: group `inner` failed (1 error)"),
                "{side}"
            );
        }

        let is_named = |failure: &TaskFailure| failure.name.as_deref() == Some("inner task");
        let whole = parse.subgroup(is_named).unwrap();
        assert_eq!((whole.len(), whole.leaves().len()), (1, 1));
        assert!(rest.subgroup(|_| false).is_none());
    });
}

/// G6: typed errors are divided at the top, and taken out by value.
#[test]
fn g6_typed_errors_are_divided_and_taken_out() {
    #[derive(Debug, PartialEq)]
    struct Code(u32);
    each_body(|| async {
        let error = TaskGroup::<Code>::builder()
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                for number in 1..=4 {
                    group.spawn(async move {
                        rt::sleep(number * ms(1)).await;
                        Err::<(), _>(Code(number))
                    });
                }
                Ok(())
            })
            .await
            .unwrap_err();
        let is_even = |failure: &TaskFailure<Code>| matches!(&failure.kind, FailureKind::Error(Code(number)) if number % 2 == 0);
        let (even, odd) = error.split(is_even);
        let codes = |error: Option<GroupError<Code>>| -> Vec<u32> {
            let errors = error.unwrap().into_errors().into_iter();
            errors
                .map(|failure| match failure.kind {
                    FailureKind::Error(Code(number)) => number,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!((codes(even), codes(odd)), (vec![2, 4], vec![1, 3]));
    });
}

/// G7: the panic of the body goes on with its own payload; errors of children beside it are reported.
#[test]
fn g7_beside_a_panic_of_the_body_errors_of_children_are_reported() {
    each_builder(|builder| {
        let reports = Log::default();
        let log = reports.clone();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(move |unhandled| log.say(unhandled.to_string()))
            .build()
            .unwrap();
        let panic = runtime.block_on(async {
            rt::spawn(TaskGroup::scope(|group| async move {
                group.spawn_named("child", rt::shield(fails_after(ms(10), "no luck")));
                rt::sleep(ms(1)).await;
                if group.len() == 1 {
                    std::panic::panic_any(42u32);
                }
                Ok(())
            }))
            .await
            .unwrap_err()
            .into_panic()
        });
        assert_eq!(panic.into_inner().downcast_ref(), Some(&42u32));
        let lines = reports.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("task `child`") && lines[0].ends_with("no luck"));
    });
}

/// G7: the panic of a child is kept with its payload, which can be raised again.
#[test]
fn g7_the_panic_of_a_child_can_be_raised_again() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            group.spawn_ok(async { std::panic::panic_any(vec![1, 2, 3]) });
            Ok(())
        })
        .await
        .unwrap_err();
        let FailureKind::Panic(panic) = error.into_errors().remove(0).kind else {
            panic!("it was a panic")
        };
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panic.resume()));
        let payload: Box<dyn std::any::Any + Send> = payload.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&vec![1, 2, 3]));
    });
}

/// G11: cleanup of the body that fails because a child did is in the error too, wherever in the body it ran.
#[test]
fn g11_failing_cleanup_of_the_body_is_added_to_the_error_of_the_child() {
    each_body(|| async {
        for (panics, is_deep) in [(false, false), (true, false), (false, true), (true, true)] {
            let error = TaskGroup::scope(|group| async move {
                group.spawn(fails_after(ms(10), "child"));
                let body = rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(5)).await;
                    assert!(!panics, "cleanup");
                    Err(io::Error::other("cleanup"))
                });
                if is_deep {
                    let _ = rt::timeout(ms(1000), body).await;
                } else {
                    body.await;
                }
                Ok(())
            })
            .await
            .unwrap_err();
            let expected = match panics {
                true => "cleanup failed: panicked: cleanup",
                false => "cleanup failed: cleanup",
            };
            assert_eq!(messages(&error), ["child", expected]);
        }
    });
}

/// G11: the same beside an error of the body, which stays the last; typed errors are no obstacle.
#[test]
fn g11_failing_cleanup_comes_before_the_error_of_the_body() {
    each_body(|| async {
        let error = TaskGroup::<u32>::builder()
            .scope(|_group| async move {
                rt::defer(async { Err(io::Error::other("cleanup")) });
                Err::<(), _>(7)
            })
            .await
            .unwrap_err();
        assert!(matches!(error.errors()[0].kind, FailureKind::Cleanup(_)));
        assert!(matches!(error.errors()[1].kind, FailureKind::Error(7)));
    });
}

/// G11: cleanup alone fails no group: the runtime is told, or the group around that fails.
#[test]
fn g11_failing_cleanup_of_a_group_that_succeeds_is_reported() {
    each_builder(|builder| {
        let reports = Log::default();
        let log = reports.clone();
        let runtime = builder
            .on_unhandled(move |unhandled| log.say(unhandled.to_string()))
            .build()
            .unwrap();
        let good = || {
            TaskGroup::scope(|_group| async move {
                rt::defer(async { Err(io::Error::other("no luck")) });
                Ok(7)
            })
        };
        assert_eq!(runtime.block_on(good()).unwrap(), 7);
        assert_eq!(reports, ["cleanup failed: no luck"]);
        let error = runtime
            .block_on(TaskGroup::scope(|_group| async move {
                good().await?;
                Err::<(), BoxError>("body".into())
            }))
            .unwrap_err();
        assert_eq!(messages(&error), ["cleanup failed: no luck", "body"]);
        assert_eq!(reports.lines().len(), 1);
    });
}

/// G14: a cancellation that the body has from elsewhere is an error of the body.
#[test]
fn g14_a_foreign_cancellation_is_an_error_of_the_body() {
    each_body(|| async {
        let start = rt::Instant::now();
        let error = TaskGroup::scope(|group| async move {
            group.spawn_ok(rt::sleep(ms(1000)));
            let foreign = rt::spawn(pending::<()>());
            foreign.cancel_with("not ours");
            foreign.await?;
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(error.len(), 1);
        assert!(messages(&error)[0].ends_with("not ours"), "{error}");
        assert!(start.elapsed() < ms(1000), "the child was not cancelled");
    });
}

/// G14: what the body returns although it was to be dropped is collected.
#[test]
fn g14_an_error_of_a_body_that_was_shielded_is_collected() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            group.spawn(fails_after(ms(10), "child"));
            rt::shield(rt::sleep(ms(20))).await;
            Err::<(), BoxError>("body".into())
        })
        .await
        .unwrap_err();
        assert_eq!(messages(&error), ["child", "body"]);
    });
}

/// Replaces line numbers and task numbers, which are not the point.
fn without_numbers(report: &str) -> String {
    let mut parts = report.split(concat!(file!(), ":"));
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str("HERE");
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    }
    let number = text.find('#').unwrap();
    let rest = text[number + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}#N{rest}", &text[..number])
}

/// G18, G17: the report names task and place of each failure, and shows the tree.
#[test]
fn g18_the_report_is_a_tree_with_task_and_place() {
    let error = exact(collect().name("start-up").scope(|group| async move {
        group.spawn_named(
            "config",
            fails_after(ms(1), "no such file\nlooked in 2 places"),
        );
        group.spawn_named("pool", async {
            TaskGroup::options()
                .deadline(rt::Instant::now() + ms(10))
                .scope(|group| async move {
                    group.spawn(rt::shield(fails_after(ms(20), "connection refused")));
                    Ok(())
                })
                .await
        });
        rt::sleep(ms(50)).await;
        group.spawn_named("cache", async { panics("index out of bounds").await });
        Err::<(), BoxError>("gave up".into())
    }));
    let expected = "\
group `start-up` failed (4 errors)
  task `config`: no such file (spawned at HERE)
  looked in 2 places
  task `pool`: group at HERE failed (2 errors) (spawned at HERE)
    the group: timed out at its deadline (set at HERE) (group at HERE)
    task #N: connection refused (spawned at HERE)
  task `cache`: panicked: index out of bounds (spawned at HERE)
  the body: gave up (group at HERE)";
    assert_eq!(without_numbers(&error.unwrap_err().to_string()), expected);
}

/// G18: the error of a group is an error like others: boxed, sent, with its report.
#[test]
fn g18_the_error_passes_through_question_marks() {
    fn is_error<T: std::error::Error + Send + Sync + 'static>(_: &T) {}
    each_body(|| async {
        let outer: Result<(), BoxError> = async {
            TaskGroup::scope(|group| async move {
                group.spawn(fails_after(ms(1), "no luck"));
                Ok(())
            })
            .await?;
            Ok(())
        }
        .await;
        let error = outer.unwrap_err();
        let group = error.downcast_ref::<GroupError>().unwrap();
        is_error(group);
        assert_eq!(group.first().unwrap().spawned_at.file(), file!());
        assert!(group.first().unwrap().id.is_some());
    });
}

/// G17: a child's name is known inside, to its handle, and to its failure.
#[test]
fn g17_names_are_known_everywhere() {
    each_body(|| async {
        let error = TaskGroup::scope(|group| async move {
            let child = group.spawn_named("worker", async {
                let name = rt::task::current().and_then(|task| task.name());
                Err::<(), BoxError>(name.unwrap_or_default().to_string().into())
            });
            assert_eq!(child.name().as_deref(), Some("worker"));
            pending::<()>().await;
            Ok(())
        })
        .await
        .unwrap_err();
        let first = error.first().unwrap();
        assert_eq!(first.name.as_deref(), Some("worker"));
        assert_eq!(first.to_string(), "task `worker`: worker");
    });
}
