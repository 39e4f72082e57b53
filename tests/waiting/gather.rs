//! The contract of `join_all`, `gather`, `gather_settled` and `try_gather`: values in the order of the input, no
//! error silent, nobody orphaned.

use std::future::pending;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::support::{Count, Log, each_builder, each_size, each_size_virtual, exact, ms};
use futures_util::FutureExt;
use rt::{BoxError, Builder, Runtime};

/// The texts of what went to the unhandled hook.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    /// A runtime with virtual time that reports here.
    fn runtime(&self, builder: Builder) -> Runtime {
        let reports = self.0.clone();
        let builder = builder
            .virtual_time(true)
            .on_unhandled(move |unhandled| reports.lock().unwrap().push(unhandled.to_string()));
        builder.build().unwrap()
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn value_after<T>(delay: u64, value: T) -> T {
    rt::sleep(ms(delay)).await;
    value
}

async fn fails_after(delay: u64, message: &'static str) -> Result<u64, BoxError> {
    rt::sleep(ms(delay)).await;
    Err(message.into())
}

/// J6: the results stand in the order of the input, whoever ends first.
#[test]
fn j6_results_are_in_the_order_of_the_input() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let delays = [30, 10, 0, 40, 20, 10];
            let futures = || delays.map(|delay| value_after(delay, delay));
            let start = rt::Instant::now();
            assert_eq!(rt::join_all(futures()).await, delays);
            assert_eq!(start.elapsed(), ms(40), "they run at the same time");

            let fallible =
                || delays.map(|delay| async move { rt::ok(value_after(delay, delay).await) });
            assert_eq!(rt::gather(fallible()).await.unwrap(), delays);
            assert_eq!(rt::try_gather(fallible()).await.unwrap(), delays);
            let settled = rt::gather_settled(delays.map(|delay| async move {
                rt::sleep(ms(delay)).await;
                if delay == 20 { Err(delay) } else { Ok(delay) }
            }));
            assert_eq!(
                settled.await,
                [Ok(30), Ok(10), Ok(0), Ok(40), Err(20), Ok(10)]
            );
        });
    });
}

/// J6: so it is with many on the real clock.
#[test]
fn j6_a_thousand_results_are_in_the_order_of_the_input() {
    each_size(|runtime| {
        let values = runtime.block_on(rt::join_all((0..1000u32).map(|i| async move {
            for _ in 0..i % 7 {
                rt::yield_now().await;
            }
            i
        })));
        assert!(values.into_iter().eq(0..1000));
    });
}

/// J5: nothing to wait for is ready at once.
#[test]
fn j5_without_futures_the_result_is_there_at_the_first_poll() {
    each_size(|runtime| {
        runtime.block_on(async {
            type Nothing = std::future::Ready<Result<u8, BoxError>>;
            assert_eq!(
                rt::join_all(Vec::<std::future::Ready<u8>>::new()).now_or_never(),
                Some(vec![])
            );
            let empty = Vec::<Nothing>::new;
            assert!(
                rt::gather(empty())
                    .now_or_never()
                    .unwrap()
                    .unwrap()
                    .is_empty()
            );
            assert!(
                rt::try_gather(empty())
                    .now_or_never()
                    .unwrap()
                    .unwrap()
                    .is_empty()
            );
            assert!(
                rt::gather_settled(empty())
                    .now_or_never()
                    .unwrap()
                    .is_empty()
            );
        });
    });
}

/// J1: `gather` gives the first error at once, and the others run on.
#[test]
fn j1_the_first_error_comes_at_once_and_the_others_run_on() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let task = |name: &'static str, delay, fails| {
            let log = theirs.clone();
            async move {
                log.say(format!("{name} starts"));
                rt::sleep(ms(delay)).await;
                if fails {
                    log.say(format!("{name} fails"));
                    return Err(io::Error::other("no luck"));
                }
                log.say(format!("{name} finishes"));
                Ok(delay)
            }
        };
        let start = rt::Instant::now();
        let error = rt::gather([
            task("A", 1000, false),
            task("B", 2000, true),
            task("C", 3000, false),
        ])
        .await
        .unwrap_err();
        theirs.say(format!("gather: {error} after {:?}", start.elapsed()));
        rt::sleep(ms(2000)).await;
        theirs.say(format!("took {:?}", start.elapsed()));
    });
    assert_eq!(
        log,
        [
            "A starts",
            "B starts",
            "C starts",
            "A finishes",
            "B fails",
            "gather: no luck after 2s",
            "C finishes",
            "took 4s"
        ]
    );
}

/// J1: `try_gather` cancels the others, and awaits their cleanup.
#[test]
fn j1_try_gather_cancels_the_others_and_awaits_them() {
    each_size_virtual(|runtime| {
        let cleaned = Count::default();
        let theirs = cleaned.clone();
        runtime.block_on(async move {
            let start = rt::Instant::now();
            let futures = (0..5u64).map(|i| {
                let cleaned = theirs.clone();
                async move {
                    if i == 2 {
                        return fails_after(10, "no luck").await;
                    }
                    let cleanup = async move {
                        rt::sleep(ms(30)).await;
                        cleaned.add();
                    };
                    rt::finally(pending(), cleanup).await
                }
            });
            let error = rt::try_gather(futures).await.unwrap_err();
            assert_eq!(error.to_string(), "no luck");
            assert_eq!(
                theirs.get(),
                4,
                "it returned before the cleanup was through"
            );
            assert_eq!(start.elapsed(), ms(40));
        });
    });
}

/// J2: errors and panics after the first error go to the unhandled hook, each once.
#[test]
fn j2_a_second_failure_is_never_silent() {
    each_builder(|builder| {
        let reports = Reports::default();
        reports.runtime(builder).block_on(async {
            let futures = (0..4).map(|i| async move {
                rt::sleep(ms(10 * (i + 1))).await;
                match i {
                    0 => Err::<(), _>("first"),
                    1 => Err("second"),
                    2 => panic!("third"),
                    _ => Ok(()),
                }
            });
            assert_eq!(rt::gather(futures).await, Err("first"));
            rt::sleep(ms(100)).await;
        });
        let reports = reports.take();
        assert_eq!(reports.len(), 2, "{reports:?}");
        assert!(reports[0].ends_with(": second"), "{reports:?}");
        assert!(reports[0].contains(concat!(file!(), ":")), "{reports:?}");
        assert!(reports[1].contains("panicked: third"), "{reports:?}");
    });
}

/// J2: the same for those that fail while `try_gather` cancels them.
#[test]
fn j2_a_failure_during_cancellation_is_never_silent() {
    each_builder(|builder| {
        let reports = Reports::default();
        reports.runtime(builder).block_on(async {
            let both = [false, true].map(|is_shielded| async move {
                let fails = fails_after(10 + 10 * u64::from(is_shielded), "no luck");
                if is_shielded {
                    rt::shield(fails).await
                } else {
                    fails.await
                }
            });
            assert!(rt::try_gather(both).await.is_err());
        });
        assert_eq!(reports.take().len(), 1);
    });
}

/// J2: the first error too, if who gathers is gone before it is returned.
#[test]
fn j2_the_error_of_a_dropped_gather_is_never_silent() {
    each_builder(|builder| {
        let reports = Reports::default();
        reports.runtime(builder).block_on(async {
            let slow = rt::finally(fails_after(100, "slow"), rt::sleep(ms(100)));
            let quick = rt::finally(fails_after(10, "quick"), async {});
            let both: [Pin<Box<dyn Future<Output = _> + Send>>; 2] =
                [Box::pin(slow), Box::pin(quick)];
            assert!(rt::timeout(ms(50), rt::try_gather(both)).await.is_err());
        });
        let reports = reports.take();
        assert!(
            reports.len() == 1 && reports[0].ends_with(": quick"),
            "{reports:?}"
        );
    });
}

/// J3: cancelling who gathers cancels all children, and they are through when its join resolves.
#[test]
fn j3_an_outer_cancel_cancels_all_children_and_awaits_them() {
    each_size_virtual(|runtime| {
        let (dropped, cleaned) = (Count::default(), Count::default());
        let child = {
            let (dropped, cleaned) = (dropped.clone(), cleaned.clone());
            move || {
                let (held, cleaned) = (dropped.on_drop(), cleaned.clone());
                async move {
                    let _held = held;
                    let cleanup = async move {
                        rt::sleep(ms(20)).await;
                        cleaned.add();
                    };
                    rt::finally(pending::<Result<u8, BoxError>>(), cleanup).await
                }
            }
        };
        runtime.block_on(async move {
            let children = || [child(), child()];
            let tasks = [
                rt::spawn(rt::join_all(children()).map(drop)),
                rt::spawn(rt::gather(children()).map(drop)),
                rt::spawn(rt::gather_settled(children()).map(drop)),
                rt::spawn(rt::try_gather(children()).map(drop)),
            ];
            rt::sleep(ms(10)).await;
            for task in &tasks {
                task.cancel();
            }
            for task in tasks {
                assert!(task.await.unwrap_err().is_cancelled());
            }
            assert_eq!((dropped.get(), cleaned.get()), (8, 8));
        });
    });
}

/// J3: dropped in the middle of a task, the scope around awaits the children.
#[test]
fn j3_a_dropped_gather_leaves_no_orphan() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let cleanup = || async { rt::sleep(ms(50)).await };
            let children = [(); 2].map(|()| rt::finally(pending::<()>(), cleanup()));
            let late = rt::timeout(ms(10), rt::join_all(children)).await;
            assert!(late.is_err());
            assert_eq!(start.elapsed(), ms(60));
            assert!(rt::task::all().is_empty(), "{:?}", rt::task::all());
        });
    });
}

/// J4: a task that was cancelled ends the gathering of handles, and the others go on; settled, it is in the list.
#[test]
fn j4_a_cancelled_child_is_an_error_and_the_others_go_on() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let pair = || {
                let other = rt::spawn(value_after(20, 7));
                let lost = rt::spawn(pending::<i32>());
                lost.cancel_with("not needed");
                [lost, other]
            };
            let error = rt::gather(pair()).await.unwrap_err();
            assert_eq!(error.reason(), Some("not needed"));

            let settled = rt::gather_settled(pair()).await;
            assert!(settled[0].as_ref().unwrap_err().is_cancelled());
            assert_eq!(*settled[1].as_ref().unwrap(), 7);
        });
    });
}

/// A panic cancels the others, awaits them, and is raised again here.
#[test]
fn a_panic_is_raised_again_after_the_others_were_awaited() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let dropped = Count::default();
            let futures = |dropped: &Count| {
                [0, 1, 2].map(|i| {
                    let held = dropped.on_drop();
                    async move {
                        let _held = held;
                        if i == 1 {
                            rt::sleep(ms(5)).await;
                            panic!("no luck");
                        }
                        pending::<Result<(), BoxError>>().await
                    }
                })
            };
            let joined = AssertUnwindSafe(rt::join_all(futures(&dropped)).map(drop));
            let gathered = AssertUnwindSafe(rt::gather(futures(&dropped)).map(drop));
            for (i, panic) in [joined.catch_unwind().await, gathered.catch_unwind().await]
                .into_iter()
                .enumerate()
            {
                assert_eq!(
                    *panic.unwrap_err().downcast::<&str>().unwrap(),
                    "no luck",
                    "{i}"
                );
            }
            assert_eq!(dropped.get(), 6);
        });
    });
}

/// The tasks stand in the task list with the line of the call.
#[test]
fn the_children_know_the_line_that_made_them() {
    exact(async {
        let line = line!() + 1;
        let mut all = rt::join_all([pending::<()>()]);
        assert!(
            rt::task::all().is_empty(),
            "nothing runs before the first poll"
        );
        assert!((&mut all).now_or_never().is_none());
        assert_eq!(rt::task::all()[0].spawned_at.line(), line);
    });
}
