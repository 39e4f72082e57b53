//! `guard` and `shield`: what they hold is released, or got through, whatever comes.

use std::future::pending;

use crate::support::{self, Count, Log, builder, each_builder, each_size_virtual, exact, ms};
use futures_util::FutureExt;
use futures_util::future::{join, select};
use rt::{Builder, CancelScope, TaskGroup};

/// A connection that says what happens to it.
struct Connection(Log, &'static str);

impl Connection {
    fn use_it(&mut self) {
        self.0.say(format!("{} used", self.1));
    }

    async fn close(self) -> Result<u32, String> {
        rt::sleep(ms(10)).await;
        self.0.say(format!("{} closed", self.1));
        Ok(7)
    }

    async fn release(self) -> Result<(), String> {
        self.close().await.map(drop)
    }
}

fn guarded(log: &Log, name: &'static str) -> rt::AsyncGuard<Connection, Result<(), String>> {
    rt::guard(Connection(log.clone(), name), Connection::release)
}

/// S4-06, C16: closed, dropped by an error, by a panic, by cancellation: the join comes after the release, and the
/// last one that was opened is released first.
#[test]
fn c16_a_guard_is_released_before_the_join_however_the_body_ends() {
    each_size_virtual(|runtime| {
        for end in ["close", "error", "panic", "cancel"] {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let log = theirs.clone();
                let task = rt::spawn(async move {
                    let mut first = guarded(&log, "first");
                    let mut second = guarded(&log, "second");
                    first.use_it();
                    second.use_it();
                    match end {
                        "error" => return Err("as wanted".to_owned()),
                        "panic" => panic!("as wanted"),
                        "cancel" => pending().await,
                        _ => {}
                    }
                    second.close().await?;
                    first.close().await
                });
                rt::sleep(ms(1)).await;
                task.cancel_with("cancelled if it waits");
                if end == "close" {
                    // The request came in the middle of the first close.
                    assert!(task.await.unwrap_err().is_cancelled());
                } else {
                    let _ = task.await;
                }
                theirs.say("joined");
            });
            let mut lines = log.lines();
            assert_eq!(lines.pop().unwrap(), "joined", "{end}");
            if end == "cancel" {
                assert_eq!(lines[2..], ["second closed", "first closed"]);
            }
            lines.sort();
            let all = ["first closed", "first used", "second closed", "second used"];
            assert_eq!(lines, all, "{end}");
        }
    });
}

/// What the release gives goes to who closes; taken out, nothing is released.
#[test]
fn closing_gives_the_output_and_taking_out_releases_nothing() {
    exact(async {
        let log = Log::default();
        let plain = rt::guard(Connection(log.clone(), "one"), |one| async {
            one.release().await
        });
        plain.close().await.unwrap();
        let inner = guarded(&log, "two").into_inner();
        assert_eq!(inner.close().await, Ok(7));
        drop(guarded(&log, "three").into_inner());
        assert_eq!(log, ["one closed", "two closed"]);
    });
}

/// The release of a guard that is dropped starts at once, while the body goes on, also in a plain task.
#[test]
fn a_dropped_guard_is_released_beside_the_body() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            for scoped in [false, true] {
                let log = theirs.clone();
                let body = async move {
                    drop(guarded(&log, "it"));
                    rt::sleep(ms(50)).await;
                    log.say("body");
                };
                if scoped {
                    rt::timeout(ms(100), body).await.unwrap();
                } else {
                    rt::spawn(body).await.unwrap();
                }
            }
        });
        assert_eq!(log, ["it closed", "body", "it closed", "body"]);
    });
}

/// C16: cancelled in the middle of a close, or before its first poll, the release goes on, once.
#[test]
fn c16_a_close_that_is_given_up_goes_on_in_the_scope() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let scope = CancelScope::with_timeout(ms(5));
            let half_way = scope.run(async { guarded(&theirs, "half-way").close().await });
            assert!(half_way.await.is_err());
            let unpolled = async { drop(guarded(&theirs, "unpolled").close()) };
            CancelScope::new().run(unpolled).await.unwrap();
            theirs.say("over");
        });
        assert_eq!(log, ["half-way closed", "unpolled closed", "over"]);
    });
}

/// C16: an error of a release that nobody waits for is reported, and a panic too.
#[test]
fn c16_a_release_that_fails_is_reported() {
    each_builder(|builder| {
        let log = Log::default();
        let theirs = log.clone();
        let builder = builder.on_unhandled(move |unhandled| {
            assert!(unhandled.is_cleanup());
            theirs.say(unhandled.to_string());
        });
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let task = rt::spawn(async {
                drop(rt::guard((), |()| async { Err::<(), _>("no line") }));
                let broken = Connection(Log::default(), "broken");
                drop(rt::guard(broken, |it| async move {
                    assert_ne!(it.1, "broken", "in the release");
                }));
            });
            task.await.unwrap();
        });
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("no line") && lines[1].contains("in the release"));
    });
}

/// A guard is as `Send` and `Sync` as what it holds, so it can be lent across awaits and to children.
#[test]
fn a_guard_can_be_shared_by_tasks() {
    fn is_shareable<T: Send + Sync>(_: &T) {}
    exact(async {
        let count = Count::default();
        let guard = rt::guard(count.on_drop(), |counted| async { drop(counted) });
        is_shareable(&guard);
        let guard = std::sync::Arc::new(guard);
        let theirs = guard.clone();
        rt::spawn(async move { drop(theirs) }).await.unwrap();
        assert_eq!(count.get(), 0);
        drop(guard);
        rt::yield_now().await;
        assert_eq!(count.get(), 1);
    });
}

/// H1: who shields a handle gives the waiting up and leaves the task alone; a shielded body is protected from the
/// scopes around, and dropped with its owner.
#[test]
fn h1_a_shield_is_against_the_scopes_around_and_not_against_its_owner() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let log = Log::default();
            let task = rt::spawn(rt::sleep(ms(20)));
            assert!(
                rt::timeout(ms(5), task).await.is_err(),
                "no shield, no wait"
            );
            let held = log.on_drop("dropped with its owner");
            let loser = rt::shield(async move {
                let _held = held;
                pending::<()>().await;
            });
            select(Box::pin(loser), Box::pin(rt::sleep(ms(1)))).await;
            assert_eq!(log, ["dropped with its owner"]);
        });
    });
}

/// H1: however many scopes lie between: task, `CancelScope`, `timeout`, group, region.
#[test]
fn h1_a_shield_protects_from_every_scope_around() {
    each_size_virtual(|runtime| {
        for kind in ["task", "scope", "timeout", "group"] {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let scope = CancelScope::new();
                let handle = scope.clone();
                let limit = if kind == "timeout" { ms(10) } else { ms(1000) };
                let task = rt::spawn(async move {
                    let shielded = async {
                        rt::shield(rt::sleep(ms(50))).await;
                        theirs.say("through");
                        rt::yield_now().await;
                        theirs.say("beyond");
                    };
                    let group = TaskGroup::scope(async |group| {
                        if kind == "group" {
                            group.spawn_try(async {
                                rt::sleep(ms(10)).await;
                                Err::<(), _>("child".into())
                            });
                        }
                        rt::catch_cancel(rt::timeout(ms(2000), shielded)).await??;
                        Ok(())
                    });
                    let _ = scope.run(rt::timeout(limit, group)).await;
                });
                rt::sleep(ms(10)).await;
                match kind {
                    "task" => drop(task.cancel_handle().cancel_with("now")),
                    "scope" => drop(handle.cancel_with("now")),
                    _ => {}
                }
                let _ = task.await;
            });
            assert_eq!(log, ["through"], "{kind}");
        }
    });
}

/// H3: the error of what was shielded reaches the body, once.
#[test]
fn h3_the_error_of_a_shielded_body_is_not_lost() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let failed = rt::shield(async {
                    rt::sleep(ms(20)).await;
                    Err::<(), _>("no")
                });
                theirs.say(failed.await.unwrap_err());
                pending::<()>().await;
            });
            rt::sleep(ms(10)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(log, ["no"]);
    });
}

/// H4: side by side, and one inside the other.
#[test]
fn h4_shields_compose() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let both = join(rt::shield(rt::sleep(ms(30))), rt::shield(rt::sleep(ms(50))));
            assert!(rt::timeout(ms(10), both).await.is_ok());
            let nested = rt::shield(async {
                rt::shield(rt::sleep(ms(30))).await;
                rt::sleep(ms(30)).await;
            });
            let then = async {
                nested.await;
                pending::<()>().await;
            };
            assert!(rt::timeout(ms(10), then).await.is_err());
            assert_eq!(start.elapsed(), ms(110));
        });
    });
}

/// H5: the end of the runtime waits for a shield within the grace, and no longer.
#[test]
fn h5_a_shield_does_not_hold_the_shutdown_beyond_its_grace() {
    for n_workers in [0, 2] {
        let runtime = builder(n_workers).build().unwrap();
        let log = Log::default();
        let (short, long) = (log.clone(), log.clone());
        runtime.spawn(async move {
            rt::shield(rt::sleep(ms(50))).await;
            short.say("short");
        });
        runtime.spawn(async move {
            rt::shield(pending::<()>()).await;
            long.say("long");
        });
        runtime.block_on(rt::sleep(ms(5)));
        let start = std::time::Instant::now();
        let report = runtime.shutdown(ms(200));
        assert!(start.elapsed() < ms(3000));
        assert_eq!(report.unfinished.len(), 1);
        assert_eq!(log, ["short"]);
    }
}

/// H6: a shield that holds a cancellation for over a second is reported, once; and what waits is the scope.
#[test]
fn h6_a_shield_that_holds_a_cancellation_for_long_is_reported_once() {
    for n_workers in support::SIZES {
        let reports = Log::default();
        let theirs = reports.clone();
        let runtime = builder(n_workers)
            .virtual_time(true)
            .on_unhandled(move |unhandled| theirs.say(unhandled.to_string()))
            .build()
            .unwrap();
        let line = line!() + 3;
        runtime.block_on(async {
            let task = rt::spawn(async {
                rt::timeout(ms(100), async {
                    rt::shield(rt::sleep(ms(900))).await;
                    rt::shield(rt::sleep(ms(5000))).await;
                })
                .await
            });
            assert!(task.await.unwrap().is_ok());
        });
        let reports = reports.lines();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(
            reports[0].contains(&format!("{}:{}", file!(), line)),
            "{reports:?}"
        );
        assert!(reports[0].contains("shield_within"), "{reports:?}");
    }
}

/// H6: bounded, the shield holds a cancellation for so long and no longer, counted from the request.
#[test]
fn h6_shield_within_bounds_how_long_a_cancellation_is_held() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let task = rt::spawn(rt::shield_within(ms(30), pending::<()>()));
            rt::sleep(ms(100)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(start.elapsed(), ms(130));
            let both = join(
                rt::shield_within(ms(20), pending::<()>()),
                rt::shield_within(ms(40), rt::sleep(ms(1000)).map(drop)),
            );
            assert!(rt::timeout(ms(10), both).await.is_err());
            assert_eq!(start.elapsed(), ms(180), "the longest one counts");
        });
    });
}

/// H7: a shield that ends in another task than the one it was raised in lets the cancellation go at once.
#[test]
fn h7_a_shield_that_was_carried_away_lets_go_when_it_ends() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let scope = CancelScope::with_timeout(ms(10));
            let body = async {
                let mut shield = Box::pin(rt::shield(rt::sleep(ms(50))));
                assert!(support::poll_once(&mut shield).is_pending());
                rt::spawn(shield);
                pending::<()>().await;
            };
            assert!(scope.run(body).await.is_err());
            assert_eq!(start.elapsed(), ms(50));
        });
    });
}

/// C17: a guard's release is part of what the shutdown awaits.
#[test]
fn c17_a_guard_is_released_at_shutdown() {
    let log = Log::default();
    let theirs = log.clone();
    let runtime = Builder::new().workers(2).build().unwrap();
    runtime.spawn(async move {
        let _guard = guarded(&theirs, "it");
        pending::<()>().await;
    });
    runtime.block_on(rt::sleep(ms(5)));
    assert!(runtime.shutdown(ms(5000)).is_clean());
    assert_eq!(log, ["it closed"]);
}
