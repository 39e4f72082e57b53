//! Who is cancelled when a child ends, who hears of its failure, and how many run at once.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Count, Flag, each_body, each_size, ms};
use rt::{BoxError, FailureKind, Policy, TaskGroup};

async fn fails_after(delay: Duration, message: &'static str) -> io::Result<()> {
    rt::sleep(delay).await;
    Err(io::Error::other(message))
}

/// N2: with a handler the failures of children go there, and cancel nobody.
#[test]
fn n2_a_handler_takes_the_failures_and_the_others_go_on() {
    each_body(|| async {
        let seen = Arc::new(Mutex::new(vec![]));
        let theirs = seen.clone();
        let n_done = Count::default();
        let done = n_done.clone();
        TaskGroup::options()
            .on_error(move |failure| {
                let name = failure.name.clone().unwrap_or_default();
                theirs
                    .lock()
                    .unwrap()
                    .push(format!("{name}: {}", failure.kind));
            })
            .scope(|group| async move {
                group.spawn_named("first", fails_after(ms(1), "no luck"));
                group.spawn_named("second", async {
                    rt::sleep(ms(2)).await;
                    assert!(rt::task::current().is_none(), "worse");
                });
                group.spawn_ok(async move {
                    rt::sleep(ms(10)).await;
                    done.add();
                });
                rt::sleep(ms(5)).await;
                assert!(!group.is_closing());
                group.spawn(fails_after(ms(1), "late"));
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(
            *seen.lock().unwrap(),
            ["first: no luck", "second: panicked: worse", ": late"]
        );
        assert_eq!(n_done.get(), 1);
    });
}

/// N2: the error of the body, and the deadline, are in the error of a group with a handler too.
#[test]
fn n2_a_handler_takes_neither_the_body_s_error_nor_the_deadline() {
    each_body(|| async {
        let n_seen = Count::default();
        let (once, twice) = (n_seen.clone(), n_seen.clone());
        let start = rt::Instant::now();
        let error = TaskGroup::options()
            .on_error(move |_| once.add())
            .scope(|group| async move {
                group.spawn_ok(rt::sleep(ms(1000)));
                group.spawn(fails_after(ms(1), "no luck"));
                rt::sleep(ms(5)).await;
                Err::<(), BoxError>("the body".into())
            })
            .await
            .unwrap_err();
        assert_eq!(error.first().unwrap().kind.to_string(), "the body");
        assert_eq!(start.elapsed(), ms(5), "the other child was cancelled");

        let error = TaskGroup::options()
            .on_error(move |_| twice.add())
            .deadline(start + ms(20))
            .scope(|group| async move {
                group.spawn_ok(rt::sleep(ms(1000)));
                Ok(())
            })
            .await
            .unwrap_err();
        assert!(matches!(
            error.first().unwrap().kind,
            FailureKind::Elapsed(_)
        ));
        assert_eq!((error.len(), n_seen.get(), start.elapsed()), (1, 1, ms(20)));
    });
}

/// N2: a handler that panics ends its group, which tells of it.
#[test]
fn n2_a_handler_that_panics_fails_its_group() {
    each_body(|| async {
        let error = TaskGroup::options()
            .on_error(|failure| panic!("cannot cope with {}", failure.kind))
            .scope(|group| async move {
                group.spawn_named("bad", fails_after(ms(1), "no luck"));
                group.spawn_ok(rt::sleep(ms(1000)));
                std::future::pending::<()>().await;
                Ok(())
            })
            .await
            .unwrap_err();
        let first = error.first().unwrap();
        assert_eq!(
            first.to_string(),
            "task `bad`: panicked: cannot cope with no luck"
        );
        assert_eq!(error.len(), 1);
    });
}

/// N2: if no child succeeds, every failure counts.
#[test]
fn n2_without_a_success_every_failure_is_reported() {
    each_body(|| async {
        let error = TaskGroup::options()
            .policy(Policy::FirstSuccess)
            .scope(|group| async move {
                group.spawn(fails_after(ms(2), "second"));
                group.spawn(fails_after(ms(1), "first"));
                Ok(())
            })
            .await
            .unwrap_err();
        let messages: Vec<_> = error.errors().iter().map(|e| e.kind.to_string()).collect();
        assert_eq!(messages, ["first", "second"]);
    });
}

/// N3: the body that spawns in turn is slowed down to the pace of its children; none is lost.
#[test]
fn n3_spawning_in_turn_holds_the_body_back() {
    each_body(|| async {
        let n_done = Count::default();
        let start = rt::Instant::now();
        let done = n_done.clone();
        TaskGroup::options()
            .limit(3)
            .scope(|group| async move {
                for number in 0..10u32 {
                    let done = done.clone();
                    group
                        .spawn_in_turn(async move {
                            rt::sleep(ms(10)).await;
                            done.add();
                        })
                        .await;
                    assert_eq!(start.elapsed(), number / 3 * ms(10));
                    assert!(group.len() <= 3);
                }
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!((n_done.get(), start.elapsed()), (10, ms(40)));
    });
}

/// N3: a spawn that is given up while it waits takes no turn with it.
#[test]
fn n3_a_spawn_that_is_given_up_takes_no_turn() {
    each_body(|| async {
        TaskGroup::options()
            .limit(1)
            .scope(|group| async move {
                group.spawn(rt::sleep(ms(10)));
                let given_up = group.spawn_in_turn(std::future::pending::<()>());
                assert!(rt::timeout(ms(5), given_up).await.is_err());
                let start = rt::Instant::now();
                group.spawn_in_turn(async {}).await.await?;
                assert_eq!(start.elapsed(), ms(5));
                Ok(())
            })
            .await
            .unwrap();
    });
}

/// N3: the turn of a child ends with its cleanup, also if it fails, panics or is cancelled.
#[test]
fn n3_a_child_keeps_its_turn_until_its_cleanup_is_through() {
    each_body(|| async {
        let start = rt::Instant::now();
        let error = TaskGroup::options()
            .limit(1)
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                let cleanup = || async { rt::sleep(ms(10)).await };
                let body = async move {
                    rt::defer(cleanup());
                    rt::sleep(ms(10)).await;
                    Err::<(), BoxError>("failed".into())
                };
                group.spawn(body);
                group.spawn(async move {
                    rt::defer(cleanup());
                    assert!(rt::task::current().is_none(), "panicked");
                });
                let cancelled = group.spawn(rt::finally(std::future::pending::<()>(), cleanup()));
                let last = group.spawn_ok(async move { start.elapsed() });
                rt::sleep(ms(35)).await;
                cancelled.cancel();
                assert_eq!(last.await?, ms(45));
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(error.len(), 2);
    });
}

/// N3: blocking children count too, and wait for their turn without a thread.
#[test]
fn n3_blocking_children_have_turns_too() {
    each_size(|runtime| {
        let inside = Count::default();
        let overlapped = Flag::default();
        let theirs = overlapped.clone();
        let scope = TaskGroup::options().limit(1).scope(|group| async move {
            let blocking = |number: u32| {
                let (inside, overlapped) = (inside.clone(), theirs.clone());
                move || {
                    let before = inside.get();
                    std::thread::sleep(ms(1));
                    if inside.get() != before {
                        overlapped.raise();
                    }
                    inside.add();
                    rt::ok(number)
                }
            };
            let handles: Vec<_> = (0..20)
                .map(|number| group.spawn_blocking(blocking(number)))
                .collect();
            Ok(handles)
        });
        let handles = runtime.block_on(scope).unwrap();
        let sum: u32 = handles.into_iter().map(|child| child.result()).sum();
        assert_eq!(sum, 190);
        assert!(
            !overlapped.is_up(),
            "two at a time in a group that lets one run"
        );
    });
}

/// N3, G7: with a limit a blocking child's error and panic are failures as without one, told with its own line.
#[test]
fn n3_g7_failures_of_blocking_children_with_turns_are_kept() {
    each_body(|| async {
        let error = TaskGroup::options()
            .limit(2)
            .policy(Policy::CollectAll)
            .scope(|group| async move {
                group.spawn_blocking(|| "x".parse::<u32>());
                let child = group.spawn_blocking(|| -> Result<(), BoxError> { panic!("no luck") });
                assert!(child.await.unwrap_err().is_failed());
                Ok(())
            })
            .await
            .unwrap_err();
        let mut messages: Vec<_> = error.errors().iter().map(|e| e.kind.to_string()).collect();
        messages.sort_unstable();
        assert_eq!(
            messages,
            ["invalid digit found in string", "panicked: no luck"]
        );
        let here = |failure: &rt::TaskFailure| failure.spawned_at.file() == file!();
        assert!(error.errors().iter().all(here), "{error}");
    });
}

/// N3: cancelling a full group frees the children that wait for their turn, without running them.
#[test]
fn n3_g16_children_that_wait_for_their_turn_are_cancelled_with_the_group() {
    each_body(|| async {
        let n_ran = Count::default();
        let ran = n_ran.clone();
        TaskGroup::options()
            .limit(2)
            .scope(|group| async move {
                for _ in 0..100 {
                    let ran = ran.clone();
                    group.spawn_ok(async move {
                        ran.add();
                        std::future::pending::<()>().await;
                    });
                }
                rt::sleep(ms(1)).await;
                group.cancel();
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(n_ran.get(), 2);
    });
}

/// N3: turns come in the order of the spawns, whatever the spawner's budget.
#[test]
fn n3_turns_come_in_the_order_of_the_spawns() {
    each_body(|| async {
        let order = Arc::new(Mutex::new(vec![]));
        let theirs = order.clone();
        TaskGroup::options()
            .limit(1)
            .scope(|group| async move {
                for number in 0..300 {
                    let order = theirs.clone();
                    group.spawn_ok(async move {
                        order.lock().unwrap().push(number);
                        rt::yield_now().await;
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        let order = order.lock().unwrap();
        assert_eq!(*order, (0..300).collect::<Vec<_>>());
    });
}
