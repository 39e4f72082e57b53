//! `catch_cancel`: what it catches and what passes by, and what comes after.

use std::future::pending;

use crate::support::{Flag, Log, each_size, each_size_virtual, exact, ms, poll_once};
use futures_util::future::join;
use rt::{Builder, CancelScope, TaskGroup};

/// C5: the region ends, its cleanup is awaited, and the task goes on to its own value.
#[test]
fn c5_c4_a_task_that_catches_its_cancellation_gives_its_value() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        let value = runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::spawn(async move {
                let cleaned = log.clone();
                let region = rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(10)).await;
                    cleaned.say("cleaned up");
                });
                let caught = rt::catch_cancel(region).await.unwrap_err();
                log.say(format!("caught {}", caught.reason().unwrap()));
                rt::sleep(ms(10)).await;
                7
            });
            rt::sleep(ms(1)).await;
            assert!(task.cancel_with("this"));
            assert!(task.is_cancelled());
            rt::sleep(ms(15)).await;
            assert!(!task.is_cancelled(), "the request was delivered");
            task.await
        });
        assert_eq!(value.unwrap(), 7);
        assert_eq!(log, ["cleaned up", "caught this"]);
    });
}

/// C5: what is caught once is asked again, and then there is nothing to catch it.
#[test]
fn c5_c8_a_task_that_caught_a_request_can_be_cancelled_again() {
    each_size(|runtime| {
        runtime.block_on(async {
            let caught = Flag::default();
            let theirs = caught.clone();
            let task = rt::spawn(async move {
                assert!(rt::catch_cancel(pending::<()>()).await.is_err());
                theirs.raise();
                pending::<()>().await;
            });
            rt::yield_now().await;
            assert!(task.cancel_with("first") && !task.cancel());
            caught.up().await;
            assert!(task.cancel_with("second"));
            assert_eq!(task.await.unwrap_err().reason(), Some("second"));
        });
    });
}

/// C5: without a request the region gives its value, and catches nothing that comes later.
#[test]
fn c5_a_region_that_is_through_catches_nothing() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                assert_eq!(rt::catch_cancel(async { 7 }).await.unwrap(), 7);
                rt::catch_cancel(rt::sleep(ms(1))).await.unwrap();
                pending::<()>().await;
            });
            rt::sleep(ms(5)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
    });
}

/// C3: the task cancels itself before it comes to the region, and has not been suspended yet.
#[test]
fn c3_a_request_that_was_not_delivered_yet_is_caught() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (send, receive) = rt::sync::oneshot::channel::<rt::CancelHandle>();
            let task = rt::spawn(async {
                receive.await.unwrap().cancel();
                rt::catch_cancel(pending::<()>()).await.is_err()
            });
            send.send(task.cancel_handle()).unwrap();
            assert!(task.await.unwrap());
        });
    });
}

/// C10: of nested regions the innermost one ends, and nothing outside of it.
#[test]
fn c10_the_innermost_region_catches() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(rt::catch_cancel(async {
                let inner = rt::catch_cancel(pending::<()>()).await.is_err();
                rt::sleep(ms(10)).await;
                inner
            }));
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap().unwrap(), "the outer one goes on");
        });
    });
}

/// C10: a request to a scope further out is not aimed at the region, and takes the scope between with it.
#[test]
fn c10_a_request_from_beyond_the_scope_around_is_not_caught() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            for kind in 0..3 {
                let log = theirs.clone();
                let region = async move {
                    let _ = rt::catch_cancel(pending::<()>()).await;
                    log.say("went on");
                };
                let task = match kind {
                    0 => rt::spawn(async { rt::timeout(ms(100), region).await.unwrap() }),
                    1 => rt::spawn(async { CancelScope::new().run(region).await.unwrap() }),
                    _ => rt::spawn(async {
                        let group = TaskGroup::scope(async |_| {
                            region.await;
                            Ok(())
                        });
                        group.await.unwrap();
                    }),
                };
                rt::sleep(ms(1)).await;
                task.cancel();
                assert!(task.await.unwrap_err().is_cancelled(), "kind {kind}");
            }
        });
        assert_eq!(log, []);
    });
}

/// C10: and the other way round the region catches what is aimed at the task, through the scope inside.
#[test]
fn c10_a_region_around_a_timeout_catches_what_is_aimed_at_the_task() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                let inside = rt::timeout(ms(100), pending::<()>());
                rt::catch_cancel(inside).await.is_err()
            });
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap());
            let elapsed = rt::catch_cancel(rt::timeout(ms(1), pending::<()>())).await;
            assert!(
                elapsed.unwrap().is_err(),
                "a timeout's own end is its value"
            );
        });
    });
}

/// W4, T7: a timeout whose body catches gives the value of the body, late.
#[test]
fn w4_t7_a_timeout_whose_body_catches_gives_its_value() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let value = rt::timeout(ms(10), async {
                assert!(rt::catch_cancel(pending::<()>()).await.is_err());
                assert_eq!(
                    rt::task::deadline(),
                    None,
                    "it has passed, and means nothing now"
                );
                rt::sleep(ms(10)).await;
                42
            });
            assert_eq!(value.await.unwrap(), 42);
            assert_eq!(start.elapsed(), ms(20));
        });
    });
}

/// T7, N1: a deadline that was caught is over, and the grace that runs beside it is not.
#[test]
fn t7_n1_a_grace_goes_on_after_the_deadline_was_caught() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let scope = CancelScope::with_timeout(ms(10));
            let handle = scope.clone();
            rt::time::call_later(ms(5), move || {
                handle.cancel_gracefully(ms(50));
            });
            let body = async {
                assert!(rt::catch_cancel(pending::<()>()).await.is_err());
                assert_eq!(start.elapsed(), ms(10));
                pending::<()>().await;
            };
            assert!(scope.run(body).await.is_err());
            assert_eq!(start.elapsed(), ms(55));
        });
    });
}

/// W3: what the body makes of the cancellation, an error for instance, is what the timeout gives.
#[test]
fn w3_an_error_made_of_the_cancellation_comes_out_of_the_timeout() {
    exact(async {
        let failed = rt::timeout(ms(10), async {
            let caught = rt::catch_cancel(pending::<()>()).await;
            caught.map_err(|_| "made of it")
        });
        assert_eq!(failed.await.unwrap(), Err("made of it"));
    });
}

/// G14: the body of a failing group catches that, and its own error is kept beside the child's.
#[test]
fn g14_a_group_s_body_that_catches_adds_its_own_error() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let error = TaskGroup::<String>::builder()
                .scope(async |group| {
                    group.spawn(async { Err::<(), _>("child".to_owned()) });
                    let caught = rt::catch_cancel(pending::<()>()).await.unwrap_err();
                    assert_eq!(caught.reason(), Some("its group failed"));
                    Err::<(), _>("body".to_owned())
                })
                .await
                .unwrap_err();
            let leaves: Vec<_> = error.errors().iter().map(ToString::to_string).collect();
            assert!(
                leaves[0].contains("child") && leaves[1].contains("body"),
                "{leaves:?}"
            );
            assert_eq!(leaves.len(), 2);
        });
    });
}

/// C5: side by side in one scope each region catches.
#[test]
fn c5_regions_side_by_side_all_catch() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(join(
                rt::catch_cancel(pending::<()>()),
                rt::catch_cancel(pending::<()>()),
            ));
            rt::sleep(ms(1)).await;
            task.cancel();
            let (one, other) = task.await.unwrap();
            assert!(one.is_err() && other.is_err());
        });
    });
}

/// H7: a shield inside holds the request, which is caught behind it.
#[test]
fn h7_a_request_that_a_shield_held_is_caught_behind_it() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let task = rt::spawn(async {
                let region = async {
                    rt::shield(rt::sleep(ms(50))).await;
                    pending::<()>().await;
                };
                rt::catch_cancel(region).await.is_err()
            });
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap());
            assert_eq!(start.elapsed(), ms(50));
        });
    });
}

/// C6: cleanup that runs beside the body catches nothing that is aimed at the body.
#[test]
fn c6_a_region_in_cleanup_does_not_catch_what_is_aimed_at_the_scope() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                drop(rt::guard((), |()| async move {
                    let through = rt::catch_cancel(rt::sleep(ms(50))).await.is_ok();
                    theirs.say(format!("through: {through}"));
                }));
                pending::<()>().await;
            });
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(log, ["through: true"]);
    });
}

/// C10: a region that moves to another scope half-way catches there, and not where it was.
#[test]
fn c10_a_region_that_moved_belongs_to_its_new_scope() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let (first, second) = (CancelScope::new(), CancelScope::new());
            let mut region = Box::pin(rt::catch_cancel(pending::<()>()));
            first
                .run(async { assert!(poll_once(&mut region).is_pending()) })
                .await
                .unwrap();
            let handle = second.clone();
            rt::time::call_later(ms(1), move || {
                handle.cancel();
            });
            assert!(second.run(region).await.unwrap().is_err());
            assert!(!second.caught() && second.cancel_called());
        });
    });
}

/// C17: the end of the runtime is caught once; what the task goes on with has the grace, and no more.
#[test]
fn c17_a_task_that_catches_the_shutdown_has_the_grace_for_what_is_left() {
    each_builder_with_grace(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.spawn(async move {
            while rt::catch_cancel(pending::<()>()).await.is_err() {
                theirs.say("caught");
                rt::sleep(ms(100)).await;
                theirs.say("saved");
            }
        });
        runtime.block_on(rt::sleep(ms(1)));
        let report = runtime.shutdown(ms(500));
        assert_eq!(report.unfinished.len(), 1, "it waits for the next request");
        assert_eq!(log, ["caught", "saved"]);
    });

    fn each_builder_with_grace(test: fn(rt::Runtime)) {
        for n_workers in [0, 2] {
            let builder = match n_workers {
                0 => Builder::current_thread(),
                n => Builder::new().workers(n),
            };
            test(builder.build().unwrap());
        }
    }
}

/// C13: a region whose body panics gives the panic.
#[test]
fn c13_a_panic_in_a_region_is_the_panic_of_its_task() {
    each_size(|runtime| {
        let task = runtime.spawn(rt::catch_cancel(async { panic!("inside") }));
        let panic = runtime.block_on(task).unwrap_err().into_panic();
        assert_eq!(panic.message(), "inside");
    });
}

/// C15: cancelling from other threads while the region begins and ends: the request is caught, or ends the
/// task, and is never lost.
#[test]
fn c15_c5_requests_that_race_a_region_are_caught_or_end_the_task() {
    each_size(|runtime| {
        for _ in 0..300 {
            let task = runtime.spawn(async {
                let first = rt::catch_cancel(rt::yield_now()).await.is_err();
                let second = rt::catch_cancel(pending::<()>()).await.is_err();
                (first, second)
            });
            let handles = [task.cancel_handle(), task.cancel_handle()];
            let threads = handles.map(|handle| {
                std::thread::spawn(move || {
                    while !handle.is_finished() {
                        handle.cancel();
                        std::thread::yield_now();
                    }
                })
            });
            match runtime.block_on(task) {
                Ok((_, second)) => assert!(second),
                Err(error) => assert!(error.is_cancelled()),
            }
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        }
    });
}
