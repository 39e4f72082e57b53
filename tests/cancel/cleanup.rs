//! Async cleanup: it runs however the body ends, is awaited before the join, and its failures are reported.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::support::{
    self, Count, Flag, Log, builder, each_builder, each_size, each_size_virtual, exact, ms,
};
use futures_util::{FutureExt, select};

/// The four ways in which a body ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Success,
    Error,
    Panic,
    Cancelled,
}

const ENDS: [End; 4] = [End::Success, End::Error, End::Panic, End::Cancelled];

impl End {
    async fn come(self) -> Result<u32, String> {
        rt::sleep(ms(1)).await;
        match self {
            Self::Success => Ok(7),
            Self::Error => Err("no".to_owned()),
            Self::Panic => panic!("as wanted"),
            Self::Cancelled => pending().await,
        }
    }

    /// Cancels a task where that is the end to come, and compares how it ended.
    async fn assert_of(self, task: rt::JoinHandle<Result<u32, String>>) {
        if self == Self::Cancelled {
            rt::sleep(ms(2)).await;
            task.cancel();
        }
        let outcome = task.await;
        match self {
            Self::Success => assert_eq!(outcome.unwrap(), Ok(7)),
            Self::Error => assert_eq!(outcome.unwrap(), Err("no".to_owned())),
            Self::Panic => assert_eq!(outcome.unwrap_err().into_panic().message(), "as wanted"),
            Self::Cancelled => assert!(outcome.unwrap_err().is_cancelled()),
        }
    }
}

/// C16.
#[test]
fn c16_finally_is_awaited_before_the_join_however_the_body_ends() {
    each_size_virtual(|runtime| {
        for end in ENDS {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let log = theirs.clone();
                let held = log.on_drop("body dropped");
                let body = async move {
                    let _held = held;
                    end.come().await
                };
                let task = rt::spawn(rt::finally(body, async move {
                    rt::sleep(ms(5)).await;
                    log.say("cleaned up");
                }));
                end.assert_of(task).await;
                theirs.say("joined");
            });
            assert_eq!(
                log,
                ["body dropped", "cleaned up", "joined"],
                "after {end:?}"
            );
        }
    });
}

/// C16.
#[test]
fn c16_deferred_cleanup_runs_last_in_first_out_however_the_body_ends() {
    each_size_virtual(|runtime| {
        for end in ENDS {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let log = theirs.clone();
                let task = rt::spawn(async move {
                    for name in ["first", "second", "third"] {
                        let log = log.clone();
                        rt::defer(async move {
                            rt::sleep(ms(5)).await;
                            log.say(name);
                        });
                    }
                    end.come().await
                });
                end.assert_of(task).await;
                theirs.say("joined");
            });
            assert_eq!(log, ["third", "second", "first", "joined"], "after {end:?}");
        }
    });
}

/// C16: the inner one first.
#[test]
fn c16_nested_cleanup_runs_from_the_inside_out() {
    each_size_virtual(|runtime| {
        for end in ENDS {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let (inner, outer) = (theirs.clone(), theirs.clone());
                let body = rt::finally(end.come(), async move {
                    rt::sleep(ms(5)).await;
                    inner.say("inner");
                });
                let task = rt::spawn(rt::finally(body, async move { outer.say("outer") }));
                end.assert_of(task).await;
            });
            assert_eq!(log, ["inner", "outer"], "after {end:?}");
        }
    });
}

/// C16: under `timeout`, W2: it returns when the cleanup is through.
#[test]
fn c16_a_timeout_returns_after_the_cleanup_of_its_body() {
    each_size_virtual(|runtime| {
        let cleaned = Flag::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let start = rt::Instant::now();
            let flag = theirs.clone();
            let body = rt::finally(pending::<()>(), async move {
                rt::sleep(ms(500)).await;
                flag.raise();
            });
            assert!(rt::timeout(ms(1000), body).await.is_err());
            assert!(theirs.is_up());
            assert_eq!(start.elapsed(), ms(1500));
        });
    });
}

/// C16: what the body of a `timeout` deferred runs at the end of the timeout, not of the task.
#[test]
fn c16_cleanup_deferred_inside_a_timeout_ends_with_it() {
    each_size_virtual(|runtime| {
        for limit in [ms(1), ms(100)] {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let log = theirs.clone();
                let _either = rt::timeout(limit, async move {
                    let inner = log.clone();
                    rt::defer(async move { inner.say("deferred") });
                    rt::sleep(ms(10)).await;
                })
                .await;
                theirs.say("after the timeout");
            });
            assert_eq!(log, ["deferred", "after the timeout"]);
        }
    });
}

/// C16: under a foreign `select!` the loser's cleanup belongs to the scope around.
#[test]
fn c16_the_loser_of_a_foreign_select_is_cleaned_up_before_its_task_ends() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::spawn(async move {
                let cleaned = log.clone();
                let loser = rt::finally(pending::<()>(), async move {
                    rt::sleep(ms(50)).await;
                    cleaned.say("loser cleaned up");
                });
                select! {
                    () = rt::sleep(ms(10)).fuse() => log.say("winner"),
                    () = loser.fuse() => unreachable!(),
                }
                log.say("body over");
            });
            task.await.unwrap();
            theirs.say("joined");
        });
        let lines = log.lines();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!((&*lines[0], &*lines[3]), ("winner", "joined"), "{lines:?}");
    });
}

/// C16: `select!` inside a `timeout`.
#[test]
fn c16_cleanup_under_select_under_timeout_is_awaited_by_the_timeout() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let count = |count: Count| async move {
                rt::sleep(ms(20)).await;
                count.add();
            };
            let (one, other) = (theirs.clone(), theirs.clone());
            let outcome = rt::timeout(ms(10), async move {
                select! {
                    () = rt::finally(pending::<()>(), count(one)).fuse() => {}
                    () = rt::finally(pending::<()>(), count(other)).fuse() => {}
                }
            })
            .await;
            assert!(outcome.is_err());
            assert_eq!(theirs.get(), 2);
        });
    });
}

/// C6.
#[test]
fn c6_later_requests_do_not_interrupt_cleanup() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        let took = runtime.block_on(async move {
            let start = rt::Instant::now();
            let task = rt::spawn(rt::finally(pending::<()>(), async move {
                rt::sleep(ms(50)).await;
                theirs.add();
            }));
            rt::sleep(ms(10)).await;
            assert!(task.cancel());
            rt::sleep(ms(10)).await;
            assert!(!task.cancel());
            assert!(!task.is_finished());
            assert!(task.await.unwrap_err().is_cancelled());
            start.elapsed()
        });
        assert_eq!(cleaned.get(), 1);
        assert_eq!(took, ms(60));
    });
}

/// C6: a request that first comes while the cleanup after a success runs does not undo the success.
#[test]
fn c6_a_request_during_cleanup_leaves_the_value() {
    each_size_virtual(|runtime| {
        let value = runtime.block_on(async {
            let task = rt::spawn(async {
                rt::defer(rt::sleep(ms(50)));
                7
            });
            rt::sleep(ms(10)).await;
            task.cancel();
            task.await
        });
        assert_eq!(value.unwrap(), 7);
    });
}

/// Cleanup that panics.
async fn fail() {
    panic!("cleanup went wrong");
}

/// What the hook for the unhandled was given.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<(String, bool)>>>);

impl Reports {
    fn hook(&self) -> impl Fn(&rt::Unhandled) + Send + Sync + 'static {
        let reports = self.clone();
        move |report| {
            reports
                .0
                .lock()
                .unwrap()
                .push((report.to_string(), report.is_cleanup()))
        }
    }

    fn take(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// C6: past the grace.
#[test]
fn c6_cleanup_that_outlasts_the_grace_is_dropped_and_reported_with_its_place() {
    each_builder(|builder| {
        let reports = Reports::default();
        let builder = builder
            .virtual_time(true)
            .grace(ms(100))
            .on_unhandled(reports.hook());
        let runtime = builder.build().unwrap();
        let dropped = Count::default();
        let held = dropped.on_drop();
        let line = line!() + 4;
        let took = runtime.block_on(async move {
            let start = rt::Instant::now();
            let named = rt::task::Builder::new().name("slow");
            let task = named.spawn(rt::finally(pending::<()>(), async move {
                let _held = held;
                pending::<()>().await;
            }));
            rt::sleep(ms(10)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            start.elapsed()
        });
        assert_eq!(took, ms(110));
        assert_eq!(dropped.get(), 1);
        let reports = reports.take();
        assert_eq!(reports.len(), 1, "{reports:?}");
        let (text, is_cleanup) = &reports[0];
        assert!(is_cleanup);
        assert!(text.contains(&format!("{}:{line}", file!())), "{text}");
    });
}

/// C16: errors in cleanup are reported, and do not replace the outcome.
#[test]
fn c16_an_error_in_cleanup_is_reported_and_the_outcome_stays() {
    each_builder(|builder| {
        let reports = Reports::default();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(reports.hook())
            .build()
            .unwrap();
        for end in ENDS {
            runtime.block_on(async move {
                let task = rt::spawn(rt::finally(end.come(), async {
                    rt::sleep(ms(1)).await;
                    Err("the disk is full")
                }));
                end.assert_of(task).await;
            });
            let reports = reports.take();
            assert_eq!(reports.len(), 1, "after {end:?}: {reports:?}");
            assert!(
                reports[0].1 && reports[0].0.contains("the disk is full"),
                "{reports:?}"
            );
        }
    });
}

/// C16, C13: a panic in cleanup is reported, the outcome stays, and the other cleanup runs.
#[test]
fn c16_c13_a_panic_in_cleanup_is_reported_and_the_rest_of_the_cleanup_runs() {
    each_builder(|builder| {
        let reports = Reports::default();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(reports.hook())
            .build()
            .unwrap();
        for end in ENDS {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let task = rt::spawn(async move {
                    let log = theirs.clone();
                    rt::defer(async move { log.say("first") });
                    rt::defer(fail());
                    rt::defer(async move { theirs.say("third") });
                    end.come().await
                });
                end.assert_of(task).await;
            });
            assert_eq!(log, ["third", "first"], "after {end:?}");
            let reports = reports.take();
            assert_eq!(reports.len(), 1, "after {end:?}: {reports:?}");
            assert!(
                reports[0].1 && reports[0].0.contains("cleanup went wrong"),
                "{reports:?}"
            );
        }
    });
}

/// Cleanup is part of its task.
#[test]
fn cleanup_runs_inside_its_task_and_may_spawn_and_register_more() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::task::Builder::new().name("cleaner").spawn(rt::finally(
                pending::<()>(),
                async move {
                    let me = rt::task::current().expect("cleanup runs in a task");
                    log.say(&*me.name().unwrap());
                    log.say(rt::spawn(async { "child of cleanup" }).await.unwrap());
                    rt::defer(async move { log.say("deferred by cleanup") });
                },
            ));
            rt::sleep(ms(1)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            theirs.say("joined");
        });
        assert_eq!(
            log,
            [
                "cleaner",
                "child of cleanup",
                "deferred by cleanup",
                "joined"
            ]
        );
    });
}

/// C1, C16: a body that never began has nothing to clean up but what was handed to `finally`.
#[test]
fn c1_c16_finally_of_a_task_that_never_began_runs_at_most_once() {
    each_size(|runtime| {
        for _ in 0..100 {
            let (runs, drops) = (Count::default(), Count::default());
            let (theirs, held) = (runs.clone(), drops.on_drop());
            runtime.block_on(async move {
                let task = rt::spawn(rt::finally(pending::<()>(), async move {
                    let _held = held;
                    theirs.add();
                }));
                task.cancel();
                assert!(task.await.unwrap_err().is_cancelled());
            });
            assert!(runs.get() <= 1);
            assert_eq!(drops.get(), 1);
        }
    });
}

/// C16: the scope may be `block_on` itself.
#[test]
fn c16_block_on_is_a_scope_too() {
    for n_workers in support::SIZES {
        let log = Log::default();
        let theirs = log.clone();
        let runtime = builder(n_workers).build().unwrap();
        let value = runtime.block_on(async move {
            let log = theirs.clone();
            rt::defer(async move {
                rt::sleep(ms(1)).await;
                theirs.say("deferred");
            });
            log.say("body");
            7
        });
        log.say("returned");
        assert_eq!(value, 7);
        assert_eq!(log, ["body", "deferred", "returned"]);
    }
}

/// C16, C13: also when its body panics.
#[test]
fn c16_c13_block_on_cleans_up_before_it_panics() {
    each_size(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async move {
                rt::defer(async move {
                    rt::sleep(ms(1)).await;
                    theirs.say("deferred");
                });
                panic!("the body fails");
            })
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the body fails"));
        assert_eq!(log, ["deferred"]);
        support::assert_well(runtime);
    });
}

/// The place of the mistake is the caller's.
#[test]
fn defer_outside_any_scope_panics_at_the_caller() {
    let panic = rt::block_on(async {
        rt::spawn_blocking(|| std::thread::spawn(|| rt::defer(async {})).join())
            .await
            .unwrap()
    });
    assert!(panic.is_err());
}

/// S1-18: exact order and time on one thread.
#[test]
fn cleanup_begins_in_the_same_moment_as_the_cancellation() {
    let at = exact(async {
        let start = rt::Instant::now();
        let (send, at) = rt::sync::oneshot::channel();
        let task = rt::spawn(rt::finally(pending::<()>(), async move {
            send.send(start.elapsed()).unwrap();
        }));
        rt::sleep(ms(30)).await;
        task.cancel();
        at.await.unwrap()
    });
    assert_eq!(at, ms(30));
}
