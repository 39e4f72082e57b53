//! What ends in unusual places: in a destructor, in a callback, on a thread without a runtime, after the end.

use std::future::pending;
use std::sync::Arc;
use std::task::Wake;

use crate::support::{self, Count, Flag, Log, each_body, exact, ms, must_end};
use rt::{CancelScope, TaskGroup};

/// C16: a panic in cleanup ends only that one, also when its scope was dropped and another one awaits it.
#[test]
fn c16_what_is_handed_over_survives_a_panic_beside_it() {
    each_body(|| async {
        let n_ran = Count::default();
        let mut inner = Box::pin(CancelScope::new().run({
            let n_ran = n_ran.clone();
            async move {
                let (first, last) = (n_ran.clone(), n_ran);
                rt::defer(async move { first.add() });
                rt::defer(async { std::panic::panic_any("in cleanup") as () });
                rt::defer(async move { last.add() });
                pending::<()>().await;
            }
        }));
        CancelScope::new()
            .run(async {
                assert!(support::poll_once(&mut inner).is_pending());
                drop(inner);
            })
            .await
            .unwrap();
        assert_eq!(n_ran.get(), 2);
    });
}

/// C16: cleanup that was under way side by side goes on so when its scope is dropped.
#[test]
fn c16_what_is_handed_over_may_wait_for_what_is_beside_it() {
    each_body(|| async {
        let log = Log::default();
        let event = Arc::new(rt::sync::Event::new());
        let mut inner = Box::pin(CancelScope::new().run({
            let (log, event) = (log.clone(), event.clone());
            async move {
                let (waits, sets) = (event.clone(), event);
                let (first, second) = (log.clone(), log);
                drop(rt::guard((), move |()| async move {
                    waits.wait().await;
                    first.say("waited");
                }));
                drop(rt::guard((), move |()| async move {
                    rt::yield_now().await;
                    second.say("set");
                    sets.set();
                }));
                pending::<()>().await;
            }
        }));
        CancelScope::new()
            .run(async {
                assert!(support::poll_once(&mut inner).is_pending());
                drop(inner);
            })
            .await
            .unwrap();
        assert_eq!(log, ["set", "waited"]);
    });
}

/// C16: a guard that a detached task returns is released.
#[test]
fn c16_a_guard_in_the_result_of_a_detached_task_is_released() {
    each_body(|| async {
        let flag = Flag::default();
        let theirs = flag.clone();
        drop(rt::spawn(async move {
            rt::guard((), move |()| async move {
                rt::yield_now().await;
                theirs.raise();
            })
        }));
        rt::sleep(ms(100)).await;
        assert!(flag.is_up(), "it was not released");
    });
}

/// C16: a guard that a done callback drops is released.
#[test]
fn c16_a_guard_in_a_done_callback_is_released() {
    each_body(|| async {
        let flag = Flag::default();
        let theirs = flag.clone();
        let task = rt::spawn(rt::yield_now());
        task.on_finish(move |_| {
            drop(rt::guard((), move |()| async move {
                rt::yield_now().await;
                theirs.raise();
            }));
        });
        task.await.unwrap();
        rt::sleep(ms(100)).await;
        assert!(flag.is_up(), "it was not released");
    });
}

/// C6: cleanup that is given up past the grace may hold guards, which hold guards.
#[test]
fn c6_guards_inside_guards_that_are_given_up_are_dropped_in_order() {
    must_end("past the grace", || {
        let runtime = rt::Builder::current_thread()
            .virtual_time(true)
            .grace(ms(10))
            .on_unhandled(|_| {})
            .build()
            .unwrap();
        let n_dropped = Count::default();
        let theirs = n_dropped.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let (outer, inner) = (theirs.on_drop(), theirs.on_drop());
                rt::defer(async move {
                    let inner = rt::guard(inner, |inner| async move {
                        pending::<()>().await;
                        drop(inner);
                    });
                    let _outer = rt::guard(outer, move |outer| async move {
                        drop((outer, inner));
                    });
                    pending::<()>().await;
                });
            });
            drop(task);
            rt::sleep(ms(100)).await;
        });
        drop(runtime);
        assert_eq!(n_dropped.get(), 2);
    });
}

/// C5: a region that is dropped in the poll in which it was asked to end swallows no cancellation.
#[test]
fn c5_a_region_that_is_dropped_as_it_is_asked_swallows_nothing() {
    exact(async {
        let event = Arc::new(rt::sync::Event::new());
        let theirs = event.clone();
        let task = rt::spawn(async move {
            rt::select! {
                biased;
                () = theirs.wait() => {}
                _ = rt::catch_cancel(pending::<()>()) => unreachable!("the other is ready"),
            }
            pending::<()>().await;
        });
        rt::yield_now().await;
        event.set();
        task.cancel();
        let ended = rt::timeout(ms(100), task).await.expect("it was cancelled");
        assert!(ended.unwrap_err().is_cancelled());
    });
}

/// Drops a region when something else is ready, and goes on.
async fn drops_a_region(other: impl Future<Output = ()>) {
    rt::select! {
        biased;
        () = other => {}
        _ = rt::catch_cancel(rt::catch_cancel(pending::<()>())) => unreachable!("the other is ready"),
    }
    pending::<()>().await;
}

/// C5: as above, for the other scopes.
#[test]
fn c5_no_scope_loses_a_request_to_a_region_that_is_gone() {
    exact(async {
        let limited = rt::timeout(ms(1), drops_a_region(rt::sleep(ms(1))));
        let ended = rt::timeout(ms(100), limited).await.expect("in time");
        assert!(ended.is_err());
        let scope = rt::CancelScope::with_timeout(ms(1));
        let limited = scope.run(drops_a_region(rt::sleep(ms(1))));
        let ended = rt::timeout(ms(100), limited).await.expect("in time");
        assert!(ended.is_err() && scope.expired() && scope.caught());

        let event = Arc::new(rt::sync::Event::new());
        let (theirs, scope) = (event.clone(), rt::CancelScope::new());
        let handle = scope.clone();
        rt::spawn(async move {
            rt::sleep(ms(1)).await;
            theirs.set();
            handle.cancel_with("why");
        });
        let ended = rt::timeout(ms(100), scope.run(drops_a_region(event.wait())))
            .await
            .expect("in time");
        assert_eq!(ended.unwrap_err().reason(), Some("why"));

        let event = Arc::new(rt::sync::Event::new());
        let theirs = event.clone();
        let group = rt::TaskGroup::scope(async |group| {
            group.spawn(async move {
                rt::sleep(ms(1)).await;
                theirs.set();
                Err::<(), _>(std::fmt::Error)
            });
            drops_a_region(event.wait()).await;
            Ok(())
        });
        let ended = rt::timeout(ms(100), group).await.expect("in time");
        assert_eq!(ended.unwrap_err().len(), 1);
    });
}

/// C5: as above, for the body and the children of a local group.
#[test]
fn c5_no_local_group_loses_a_request_to_a_region_that_is_gone() {
    each_body(|| async {
        let event = Arc::new(rt::sync::Event::new());
        let theirs = event.clone();
        let group = rt::local_group(async |group| {
            group.spawn(async move {
                rt::sleep(ms(1)).await;
                theirs.set();
                Err::<(), _>(std::fmt::Error)
            });
            group.spawn_ok(drops_a_region(event.wait()));
            drops_a_region(event.wait()).await;
            Ok(())
        });
        let ended = rt::timeout(ms(100), group).await.expect("in time");
        assert_eq!(ended.unwrap_err().len(), 1);
    });
}

/// G8: spawning into a group when its runtime is over gives a cancelled child, and does not hang.
#[test]
fn g8_a_spawn_after_the_end_of_the_runtime_is_cancelled() {
    for n_workers in support::SIZES {
        must_end("after the end", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let handle = runtime.handle().clone();
            let group = runtime
                .block_on(TaskGroup::scope(async |group| Ok(group)))
                .unwrap();
            drop(runtime);
            let _entered = handle.enter();
            let child = group.spawn_ok(async { 7 });
            assert!(child.try_result().unwrap_err().is_cancelled());
        });
    }
}

struct SpawnsOnDrop(TaskGroup, Count);

impl Drop for SpawnsOnDrop {
    fn drop(&mut self) {
        let counted = self.1.on_drop();
        self.0.spawn(async move {
            drop(counted);
        });
    }
}

/// G8: destructors that spawn into their group while the runtime goes away.
#[test]
fn g8_a_destructor_that_spawns_at_the_end_of_the_runtime_does_not_hang() {
    for n_workers in support::SIZES {
        must_end("at the end", move || {
            let count = Count::default();
            let theirs = count.clone();
            let runtime = support::builder(n_workers)
                .grace(ms(1))
                .on_unhandled(|_| {})
                .build()
                .unwrap();
            let started = Flag::default();
            let has_started = started.clone();
            runtime.spawn(TaskGroup::scope(async move |group| {
                let spawns = SpawnsOnDrop(group.clone(), theirs);
                has_started.raise();
                rt::shield(pending::<()>()).await;
                drop(spawns);
                Ok(())
            }));
            runtime.block_on(started.up());
            drop(runtime);
            assert_eq!(count.get(), 1);
        });
    }
}

/// G4: a child that the destructors of the body spawn is awaited too, when the scope is dropped half-way.
#[test]
fn g4_what_the_destructors_of_a_dropped_body_spawn_is_awaited() {
    each_body(|| async {
        let count = Count::default();
        let theirs = count.clone();
        let task = rt::spawn(async move {
            TaskGroup::scope(async move |group| {
                let _spawns = SpawnsOnDrop(group, theirs);
                pending::<()>().await;
                Ok(())
            })
            .await
            .unwrap();
        });
        rt::yield_now().await;
        rt::sleep(ms(1)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(count.get(), 1);
    });
}

/// A waker that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// C13: a panic in a waker keeps no other listener from hearing of a request.
#[test]
fn c13_a_panic_in_the_waker_of_a_scope_keeps_nobody_from_hearing() {
    each_body(|| async {
        let scope = CancelScope::new();
        let flag = Flag::default();
        let theirs = flag.clone();
        let mut body = Box::pin(scope.run(async move {
            let _registered = rt::on_cancel(move || theirs.raise());
            pending::<()>().await;
        }));
        assert!(support::poll_with(&mut body, Arc::new(Panics)).is_pending());
        assert!(scope.cancel());
        assert!(flag.is_up());
        assert!(body.await.is_err());
    });
}
