//! A panic harms its task and nobody else: the runtime neither hangs nor dies, wherever it comes from.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake};
use std::thread;

use crate::support::blame::blamed;
use crate::support::{self, Bomb, Count, Flag, Log, assert_well, each_builder, each_size, ms};
use rt::sync::oneshot;

/// C13: in a child.
#[test]
fn c13_a_panic_in_a_task_goes_to_who_joins_it() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let named = rt::task::Builder::new().name("unlucky");
            let task: rt::JoinHandle<()> = named.spawn(async {
                rt::yield_now().await;
                panic!("no luck: {}", 13);
            });
            task.await.unwrap_err()
        });
        assert!(error.is_panic() && !error.is_cancelled());
        let text = error.to_string();
        assert!(
            text.contains("unlucky") && text.contains("no luck: 13"),
            "{text}"
        );
        assert_eq!(error.into_panic().message(), "no luck: 13");
        assert_well(runtime);
    });
}

/// The payload comes whole.
#[test]
fn the_payload_of_a_panic_is_kept() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let task: rt::JoinHandle<()> = rt::spawn(async { panic_any(7_u32) });
            task.await.unwrap_err()
        });
        let resumed = catch_unwind(|| error.into_panic().resume()).unwrap_err();
        assert_eq!(resumed.downcast_ref(), Some(&7_u32));
    });
}

/// C13: nobody joins it.
#[test]
fn c13_a_panic_in_a_detached_task_harms_nobody() {
    each_size(|runtime| {
        for _ in 0..20 {
            drop(runtime.spawn(async { panic!("detached") }));
        }
        assert_well(runtime);
    });
}

/// C13: in the destructor of a cancelled future.
#[test]
fn c13_a_panic_while_a_cancelled_future_is_dropped_goes_to_who_joins() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let (began, begin) = oneshot::channel();
            let task = rt::spawn(async {
                let _bomb = Bomb;
                began.send(()).unwrap();
                pending::<()>().await;
            });
            begin.await.unwrap();
            task.cancel();
            task.await.unwrap_err()
        });
        assert_eq!(error.into_panic().message(), "the bomb went off");
        assert_well(runtime);
    });
}

/// C13: in the destructor of a future that was never polled.
#[test]
fn c13_a_panic_while_an_unpolled_future_is_dropped_harms_nobody() {
    each_size(|runtime| {
        let bomb = Bomb;
        let task = runtime.spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        task.cancel();
        assert!(runtime.block_on(task).unwrap_err().is_panic());
        assert_well(runtime);
    });
}

/// C13: in the destructor of a value that nobody takes.
#[test]
fn c13_a_panic_while_an_untaken_value_is_dropped_harms_nobody() {
    each_builder(|builder| {
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        runtime.block_on(async {
            drop(rt::spawn(async { Bomb }));
            let ended = Flag::default();
            let theirs = ended.clone();
            let task = rt::spawn(async { Bomb });
            task.on_finish(move |_| theirs.raise());
            ended.up().await;
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(task)));
            drop(dropped);
        });
        assert_well(&runtime);
    });
}

/// C13: the payload's own destructor.
#[test]
fn c13_a_payload_that_panics_when_dropped_harms_nobody() {
    each_builder(|builder| {
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        for _ in 0..5 {
            drop(runtime.spawn(async { panic_any(Bomb) }));
        }
        assert_well(&runtime);
    });
}

struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("the waker fails");
    }
}

/// C13: in a waker, called by a task that ends.
#[test]
fn c13_a_waker_that_panics_when_a_task_ends_harms_nobody() {
    each_builder(|builder| {
        let reports = Count::default();
        let theirs = reports.clone();
        let runtime = builder.on_unhandled(move |_| theirs.add()).build().unwrap();
        let (release, gate) = oneshot::channel::<()>();
        let mut task = runtime.spawn(async { gate.await.unwrap() });
        assert!(support::poll_with(&mut task, Arc::new(BadWaker)).is_pending());
        release.send(()).unwrap();
        assert_well(&runtime);
        runtime.block_on(async {
            while !task.is_finished() {
                rt::yield_now().await;
            }
        });
        assert!(task.try_join().unwrap().is_ok());
        assert_well(&runtime);
        // Whoever awaits the task is woken once it is finished, so the report may come after that.
        while reports.get() == 0 {
            thread::yield_now();
        }
        assert_eq!(reports.get(), 1);
    });
}

/// C13: in a waker, called by a timer.
#[test]
fn c13_a_waker_that_panics_when_a_timer_fires_harms_nobody() {
    each_builder(|builder| {
        // Whatever the machine does meanwhile, the first poll comes before the deadline.
        let builder = builder.virtual_time(true);
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        runtime.block_on(async {
            let mut sleep = rt::sleep(ms(2));
            assert!(support::poll_with(&mut sleep, Arc::new(BadWaker)).is_pending());
            let others: Vec<_> = (0..5).map(|_| rt::spawn(rt::sleep(ms(2)))).collect();
            for other in others {
                other.await.unwrap();
            }
            rt::sleep(ms(5)).await;
        });
        assert_well(&runtime);
    });
}

/// C13: in the destructor of a waker.
#[test]
fn c13_a_waker_that_panics_when_dropped_harms_nobody() {
    struct Armed {
        _bomb: Bomb,
    }
    impl Wake for Armed {
        fn wake(self: Arc<Self>) {}
    }
    each_builder(|builder| {
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        let mut task = runtime.spawn(rt::sleep(ms(2)));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            support::poll_with(&mut task, Arc::new(Armed { _bomb: Bomb }))
        }));
        drop(polled);
        assert_well(&runtime);
        runtime.block_on(rt::sleep(ms(5)));
        let _either = catch_unwind(AssertUnwindSafe(|| drop(task)));
        assert_well(&runtime);
    });
}

/// C13, S2-12: in a callback.
#[test]
fn c13_a_callback_that_panics_is_reported_and_the_join_resolves() {
    each_builder(|builder| {
        let reports: Arc<Mutex<Vec<String>>> = Arc::default();
        let theirs = Arc::clone(&reports);
        let hook = move |report: &rt::Unhandled| {
            assert!(report.panic().is_some());
            theirs.lock().unwrap().push(report.to_string());
        };
        let runtime = builder.on_unhandled(hook).build().unwrap();
        let others = Count::default();
        let theirs = others.clone();
        let value = runtime.block_on(async move {
            let task = rt::task::Builder::new().name("called back").spawn(async {
                rt::yield_now().await;
                7
            });
            let counted = theirs.clone();
            task.on_finish(move |_| counted.add());
            task.on_finish(|_| panic!("the callback fails"));
            task.on_result(move |_| theirs.add());
            task.await
        });
        assert_eq!(value.unwrap(), 7);
        assert_eq!(others.get(), 2);
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1);
        assert!(
            reports[0].contains("the callback fails") && reports[0].contains("called back"),
            "{reports:?}"
        );
        drop(reports);
        assert_well(&runtime);
    });
}

/// X4: in a callback of a timer.
#[test]
fn x4_a_timer_callback_that_panics_is_reported_and_the_timers_go_on() {
    each_builder(|builder| {
        let reports = Count::default();
        let theirs = reports.clone();
        let runtime = builder
            .virtual_time(true)
            .on_unhandled(move |_| theirs.add())
            .build()
            .unwrap();
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            rt::time::call_later(ms(1), || panic!("the callback fails"));
            rt::time::call_later(ms(2), move || theirs.say("next"));
            rt::sleep(ms(3)).await;
        });
        assert_eq!(log, ["next"]);
        assert_eq!(reports.get(), 1);
    });
}

/// C13: in the hooks for threads.
#[test]
fn c13_hooks_for_threads_that_panic_harm_nobody() {
    each_builder(|builder| {
        let starts = Count::default();
        let theirs = starts.clone();
        let runtime = builder
            .on_unhandled(|_| {})
            .on_thread_start(move || {
                theirs.add();
                panic!("the hook fails");
            })
            .on_thread_stop(|| panic!("the other hook fails"))
            .build()
            .unwrap();
        assert_well(&runtime);
        assert!(
            starts.get() > 0,
            "the blocking thread is one, if there is no other"
        );
        assert!(runtime.shutdown(ms(10_000)).is_clean());
    });
}

/// C13: in the hook for the unhandled.
#[test]
fn c13_a_hook_for_the_unhandled_that_panics_harms_nobody() {
    each_builder(|builder| {
        let calls = Count::default();
        let theirs = calls.clone();
        let runtime = builder
            .on_unhandled(move |_| {
                theirs.add();
                panic!("the hook fails");
            })
            .build()
            .unwrap();
        runtime.block_on(async {
            let task = rt::spawn(async {
                rt::defer(async { Err("in cleanup") });
                rt::yield_now().await;
            });
            task.on_finish(|_| panic!("in the callback"));
            let _either = task.await;
        });
        assert_well(&runtime);
        assert_eq!(calls.get(), 2);
    });
}

/// C13: in the future of `block_on`.
#[test]
fn c13_a_panic_in_block_on_comes_out_of_it_and_leaves_the_runtime_well() {
    each_size(|runtime| {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                rt::spawn(rt::yield_now());
                rt::yield_now().await;
                panic_any("out of block_on")
            })
        }));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"out of block_on"));
        assert!(
            rt::Handle::try_current().is_err(),
            "the thread has left the runtime"
        );
        assert_well(runtime);
    });
}

/// C13: in a nested `block_on`.
#[test]
fn c13_a_panic_in_a_nested_block_on_is_the_panic_of_its_task() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let task: rt::JoinHandle<()> = rt::spawn(async {
                rt::block_on(async {
                    rt::yield_now().await;
                    panic!("deep inside")
                })
            });
            task.await.unwrap_err()
        });
        assert_eq!(error.into_panic().message(), "deep inside");
        assert_well(runtime);
    });
}

/// S0-16, C13: on the blocking pool and the compute pool.
#[test]
fn a_panic_in_blocking_work_goes_to_who_joins_it() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            for _ in 0..5 {
                let work: rt::JoinHandle<()> = rt::spawn_blocking(|| panic!("while blocking"));
                assert_eq!(
                    work.await.unwrap_err().into_panic().message(),
                    "while blocking"
                );
                let work: rt::JoinHandle<()> = rt::spawn_compute(|| panic!("while computing"));
                assert_eq!(
                    work.await.unwrap_err().into_panic().message(),
                    "while computing"
                );
            }
            assert_eq!(rt::spawn_blocking(|| 7).await.unwrap(), 7);
        });
        assert_well(&runtime);
    });
}

/// C13: `block_in_place` unwinds through the task.
#[test]
fn c13_a_panic_in_block_in_place_is_the_panic_of_its_task() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let task: rt::JoinHandle<()> =
                rt::spawn(async { rt::block_in_place(|| panic!("in place")) });
            task.await.unwrap_err()
        });
        assert_eq!(error.into_panic().message(), "in place");
        assert_well(runtime);
    });
}

/// C13: the scope of a `timeout` passes the panic of its body on.
#[test]
fn c13_a_panic_inside_a_timeout_is_the_panic_of_its_task() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let task: rt::JoinHandle<()> = rt::spawn(async {
                rt::timeout(ms(60_000), async { panic!("inside") })
                    .await
                    .unwrap()
            });
            task.await.unwrap_err()
        });
        assert_eq!(error.into_panic().message(), "inside");
        assert_well(runtime);
    });
}

/// C13: panics while the runtime ends.
#[test]
fn c13_panics_during_the_shutdown_do_not_hang_it() {
    each_builder(|builder| {
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        for _ in 0..10 {
            runtime.spawn(async {
                let _bomb = Bomb;
                rt::defer(async {
                    let _bomb = Bomb;
                    rt::yield_now().await;
                });
                pending::<()>().await;
            });
        }
        runtime.block_on(rt::yield_now());
        assert!(runtime.shutdown(ms(10_000)).is_clean());
    });
}

/// Panics for the caller's mistake blame the caller and say what to do.
#[test]
fn panics_for_a_missing_runtime_blame_the_caller_and_help() {
    let mistakes: [(&str, fn()); 8] = [
        ("spawn", || drop(rt::spawn(async {}))),
        ("spawn_blocking", || drop(rt::spawn_blocking(|| {}))),
        ("spawn_compute", || drop(rt::spawn_compute(|| {}))),
        ("spawn_local", || drop(rt::spawn_local(async {}))),
        ("Handle::current", || drop(rt::Handle::current())),
        ("task::Builder", || {
            drop(rt::task::Builder::new().spawn(async {}))
        }),
        ("call_later", || drop(rt::time::call_later(ms(1), || {}))),
        ("defer", || rt::defer(async {})),
    ];
    for (name, mistake) in mistakes {
        let (text, place) = blamed(mistake);
        assert!(place.starts_with(file!()), "{name} blames {place}");
        assert!(text.contains("block_on"), "{name} gives no hint: {text}");
    }
}

/// `spawn_local` where it cannot work.
#[test]
fn spawn_local_on_a_runtime_with_workers_says_what_to_build() {
    let (text, place) = blamed(|| {
        let runtime = rt::Builder::new().workers(1).build().unwrap();
        runtime.block_on(async { drop(rt::spawn_local(async {})) });
    });
    assert!(place.starts_with(file!()), "{place}");
    assert!(text.contains("current_thread"), "{text}");
}

/// Builders and clocks check what they are given.
#[test]
fn impossible_wishes_blame_the_caller() {
    let mistakes: [fn(); 5] = [
        || rt::time::pause(),
        || rt::block_on(async { rt::time::advance(ms(1)) }),
        || drop(rt::Builder::new().workers(0)),
        || drop(rt::Builder::current_thread().workers(2)),
        || drop(rt::Builder::new().blocking_threads(0)),
    ];
    for mistake in mistakes {
        let (_, place) = blamed(mistake);
        assert!(place.starts_with(file!()), "{place}");
    }
}

/// A future polled where there is no runtime panics, and does not hang.
#[test]
fn a_sleep_outside_a_runtime_panics() {
    let (text, _) = blamed(|| {
        let mut sleep = rt::sleep(ms(1));
        let _ = support::poll_once(&mut sleep);
    });
    assert!(text.contains("outside a runtime"), "{text}");
}

/// C13: a task that panics in the middle of `select!`-like polling by hand stays pending for nobody.
#[test]
fn c13_a_future_that_panics_under_a_hand_written_combinator_fails_its_task_alone() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let task: rt::JoinHandle<()> = rt::spawn(async {
                let mut inner = Box::pin(async {
                    rt::yield_now().await;
                    panic!("inner")
                });
                poll_fn(move |cx| Pin::new(&mut inner).poll(cx).map(|(): ()| ())).await;
                poll_fn(|_| Poll::<()>::Pending).await;
            });
            task.await.unwrap_err()
        });
        assert!(error.is_panic());
        assert_well(runtime);
    });
}
