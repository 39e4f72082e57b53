//! Cancelling a task: when it takes effect, what wins, who is told, and who is left alone.

use std::future::pending;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use crate::support::{Count, Flag, Log, each_builder, each_size, each_size_virtual, exact, ms};
use rt::sync::oneshot;

/// C1.
#[test]
fn c1_a_task_cancelled_before_its_first_poll_never_runs() {
    let (ran, dropped) = (Flag::default(), Count::default());
    let (theirs, captured) = (ran.clone(), dropped.on_drop());
    exact(async move {
        let task = rt::spawn(async move {
            let _captured = captured;
            theirs.raise();
        });
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert!(!ran.is_up());
    assert_eq!(dropped.get(), 1);
}

/// C1: on many workers the task may have begun, but what it captured is dropped once, before the join.
#[test]
fn c1_a_task_cancelled_at_once_drops_what_it_captured_before_the_join() {
    each_size(|runtime| {
        for _ in 0..200 {
            let dropped = Count::default();
            let captured = dropped.on_drop();
            let outcome = runtime.block_on(async move {
                let task = rt::spawn(async move {
                    let _captured = captured;
                    pending::<()>().await;
                });
                task.cancel();
                task.await
            });
            assert!(outcome.unwrap_err().is_cancelled());
            assert_eq!(dropped.get(), 1);
        }
    });
}

/// C3.
#[test]
fn c3_a_task_that_cancels_itself_runs_on_to_its_next_await() {
    each_size(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        let outcome = runtime.block_on(async move {
            let (send_handle, handle) = oneshot::channel::<rt::CancelHandle>();
            let task = rt::spawn(async move {
                assert!(handle.await.unwrap().cancel());
                theirs.say("runs on");
                rt::yield_now().await;
                theirs.say("runs for ever");
            });
            send_handle.send(task.cancel_handle()).unwrap();
            task.await
        });
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(log, ["runs on"]);
    });
}

/// C3: a `Ready` await is no suspension point, a pending one is.
#[test]
fn c3_a_cancelled_task_passes_awaits_that_do_not_wait() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            let (send_handle, handle) = oneshot::channel::<rt::CancelHandle>();
            let task = rt::spawn(async move {
                handle.await.unwrap().cancel();
                std::future::ready(()).await;
                7
            });
            send_handle.send(task.cancel_handle()).unwrap();
            task.await
        });
        assert_eq!(value.unwrap(), 7);
    });
}

/// C4: the request comes while the last poll is running.
#[test]
fn c4_a_task_that_returns_in_spite_of_the_request_gives_its_value() {
    each_size(|runtime| {
        let (began, begin) = mpsc::channel();
        let (cancelled, cancel) = mpsc::channel();
        let task = runtime.spawn(async move {
            began.send(()).unwrap();
            cancel.recv().unwrap();
            7
        });
        let canceller = task.cancel_handle();
        let thread = thread::spawn(move || {
            begin.recv().unwrap();
            assert!(canceller.cancel());
            cancelled.send(()).unwrap();
        });
        let mut task = task;
        let value = runtime.block_on(async { (&mut task).await });
        assert_eq!(value.unwrap(), 7);
        assert!(task.is_cancelled(), "the request was noted");
        thread.join().unwrap();
    });
}

/// C7.
#[test]
fn c7_cancelling_the_awaiter_leaves_the_awaited_task_alone() {
    each_size_virtual(|runtime| {
        let value = runtime.block_on(async {
            let (keep, kept) = oneshot::channel();
            let worker = rt::spawn(async {
                rt::sleep(ms(20)).await;
                keep.send("worked on").unwrap();
            });
            let awaiter = rt::spawn(worker);
            rt::sleep(ms(10)).await;
            assert!(awaiter.cancel());
            assert!(awaiter.await.unwrap_err().is_cancelled());
            kept.await
        });
        assert_eq!(value, Ok("worked on"));
    });
}

/// C7.
#[test]
fn c7_dropping_a_handle_detaches_the_task() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            let (send, received) = oneshot::channel();
            drop(rt::spawn(async {
                rt::yield_now().await;
                send.send(7).unwrap();
            }));
            received.await
        });
        assert_eq!(value, Ok(7));
    });
}

/// C7.
#[test]
fn c7_dropping_an_owned_task_cancels_it() {
    each_size(|runtime| {
        let outcome = runtime.block_on(async {
            let (send, finished) = oneshot::channel();
            let task = rt::spawn(pending::<()>());
            task.on_finish(|info| send.send(info.id).unwrap());
            let id = task.id();
            drop(task.cancel_on_drop());
            (finished.await.unwrap(), id)
        });
        assert_eq!(outcome.0, outcome.1);
    });
}

/// C7.
#[test]
fn c7_cancelling_who_awaits_an_owned_task_cancels_the_task_too() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let (send, finished) = oneshot::channel();
            let dropped = theirs.on_drop("inner dropped");
            let inner = rt::spawn(async move {
                let _dropped = dropped;
                pending::<()>().await;
            });
            inner.on_finish(move |_| send.send(()).unwrap());
            let outer = rt::spawn(inner.cancel_on_drop());
            rt::sleep(ms(1)).await;
            outer.cancel();
            assert!(outer.await.unwrap_err().is_cancelled());
            finished.await.unwrap();
            theirs.say("end");
        });
        assert_eq!(log, ["inner dropped", "end"]);
    });
}

#[test]
fn an_owned_task_gives_its_value_and_answers_like_a_handle() {
    each_size(|runtime| {
        runtime.block_on(async {
            let task = rt::task::Builder::new().name("owned").spawn(async { 7 });
            let id = task.id();
            let task = task.cancel_on_drop();
            assert_eq!((task.id(), task.name().as_deref()), (id, Some("owned")));
            assert_eq!(task.await.unwrap(), 7);
        });
    });
}

/// C8.
#[test]
fn c8_only_the_first_request_counts_and_its_reason_is_kept() {
    each_size(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(pending::<()>());
            let handle = task.cancel_handle();
            assert!(task.cancel_with("first"));
            assert!(!handle.cancel_with("second"));
            assert!(!task.cancel());
            assert!(task.is_cancelled());
            assert_eq!(task.await.unwrap_err().reason(), Some("first"));
        });
    });
}

/// C8.
#[test]
fn c8_cancelling_a_finished_task_is_false_and_changes_nothing() {
    each_size(|runtime| {
        runtime.block_on(async {
            let finished = Flag::default();
            let task = rt::spawn(async { 7 });
            let theirs = finished.clone();
            task.on_finish(move |_| theirs.raise());
            finished.up().await;
            assert!(task.is_finished());
            assert!(!task.cancel());
            assert!(!task.cancel_handle().cancel_with("too late"));
            assert_eq!(task.await.unwrap(), 7);
        });
    });
}

/// C9.
#[test]
fn c9_a_task_that_awaits_itself_is_told_so() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let (send_handle, handle) = oneshot::channel::<rt::JoinHandle<()>>();
            let (send_error, error) = oneshot::channel();
            let task = rt::task::Builder::new().name("narcissus").spawn(async {
                let me = handle.await.unwrap();
                send_error.send(me.await.unwrap_err()).unwrap();
            });
            send_handle.send(task).unwrap();
            error.await.unwrap()
        });
        assert!(error.to_string().contains("its own handle"), "{error}");
        assert!(!error.is_cancelled() && !error.is_panic(), "{error:?}");
        assert_eq!(error.task().name.as_deref(), Some("narcissus"));
    });
}

/// C9: the blocking join as well.
#[test]
fn c9_a_task_that_joins_itself_by_blocking_is_told_so() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let (send_handle, handle) = oneshot::channel::<rt::JoinHandle<()>>();
            let (send_error, error) = oneshot::channel();
            let task = rt::spawn(async {
                let me = handle.await.unwrap();
                send_error.send(me.join_blocking().unwrap_err()).unwrap();
            });
            send_handle.send(task).unwrap();
            error.await.unwrap()
        });
        assert!(error.to_string().contains("its own handle"), "{error}");
    });
}

/// C11.
#[test]
fn c11_the_error_of_the_join_tells_reason_place_and_task() {
    each_size(|runtime| {
        let (error, line) = runtime.block_on(async {
            let task = rt::task::Builder::new()
                .name("victim")
                .spawn(pending::<()>());
            let line = line!() + 1;
            task.cancel_with("no longer needed");
            (task.await.unwrap_err(), line)
        });
        assert!(error.is_cancelled() && !error.is_panic() && !error.is_failed());
        assert_eq!(error.reason(), Some("no longer needed"));
        assert_eq!(error.task().name.as_deref(), Some("victim"));
        let text = error.to_string();
        for part in ["victim", "no longer needed", &format!("{}:{line}", file!())] {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
        let (cancelled, panic, info) = error.into_parts();
        let cancelled = cancelled.unwrap();
        assert_eq!(
            (cancelled.at().file(), cancelled.at().line()),
            (file!(), line)
        );
        assert!(panic.is_none());
        assert_eq!(info.name.as_deref(), Some("victim"));
    });
}

/// C11: which task asked.
#[test]
fn c11_the_error_of_the_join_names_the_task_that_cancelled() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let victim = rt::spawn(pending::<()>());
            let handle = victim.cancel_handle();
            let canceller = rt::task::Builder::new().name("culprit");
            canceller
                .spawn(async move { handle.cancel() })
                .await
                .unwrap();
            victim.await.unwrap_err()
        });
        assert!(error.to_string().contains("culprit"), "{error}");
        assert_eq!(error.into_parts().0.unwrap().by(), Some("`culprit`"));
    });
}

/// The future is dropped in its own task's context.
#[test]
fn a_cancelled_future_is_dropped_inside_its_task() {
    struct Tells(Arc<Mutex<Option<rt::TaskId>>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = rt::task::current().map(|task| task.id());
        }
    }
    each_size(|runtime| {
        let dropped_in = Arc::default();
        let tells = Tells(Arc::clone(&dropped_in));
        let id = runtime.block_on(async move {
            let task = rt::spawn(async move {
                let _tells = tells;
                pending::<()>().await;
            });
            rt::yield_now().await;
            let id = task.id();
            task.cancel();
            assert!(task.await.is_err());
            id
        });
        assert_eq!(*dropped_in.lock().unwrap(), Some(id));
    });
}

/// S1-18, S3-03.
#[test]
fn cancelling_runs_cleanup_and_then_tells_who_joins() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::spawn(async move {
                log.say("Task started");
                let cleaned = log.clone();
                rt::finally(rt::sleep(ms(10_000)), async move {
                    cleaned.say("Task was cancelled!")
                })
                .await;
                log.say("Task completed");
            });
            rt::sleep(ms(1000)).await;
            task.cancel();
            if task.await.is_err_and(|error| error.is_cancelled()) {
                theirs.say("Main caught the cancellation.");
            }
        });
        let expected = [
            "Task started",
            "Task was cancelled!",
            "Main caught the cancellation.",
        ];
        assert_eq!(log, expected);
    });
}

/// S2-15.
#[test]
fn background_cleanup_comes_before_main_observes_the_cancellation() {
    let log = Log::default();
    let theirs = log.clone();
    let waited = exact(async move {
        let log = theirs.clone();
        let start = rt::Instant::now();
        let task = rt::spawn(async move {
            rt::finally(
                async {
                    loop {
                        rt::sleep(ms(1000)).await;
                    }
                },
                async move { log.say("background cleanup") },
            )
            .await
        });
        rt::sleep(ms(100)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        theirs.say("main observed cancellation");
        start.elapsed()
    });
    assert_eq!(log, ["background cleanup", "main observed cancellation"]);
    assert_eq!(waited, ms(100));
}

/// C15: plain threads may cancel, without a runtime of their own.
#[test]
fn c15_any_thread_may_cancel() {
    each_size(|runtime| {
        let task = runtime.spawn(pending::<()>());
        let handle = task.cancel_handle();
        let (id, first) = thread::spawn(move || (handle.id(), handle.cancel_with("from outside")))
            .join()
            .unwrap();
        assert!(first);
        assert_eq!(id, task.id());
        let error = runtime.block_on(task).unwrap_err();
        assert_eq!(error.reason(), Some("from outside"));
    });
}

/// C5: a body that goes on after its awaits cannot hide from the request.
#[test]
fn c5_a_task_that_ignores_errors_is_cancelled_all_the_same() {
    each_size_virtual(|runtime| {
        let rounds = Count::default();
        let theirs = rounds.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                loop {
                    let _ignored = rt::timeout(ms(10), pending::<()>()).await;
                    theirs.add();
                }
            });
            rt::sleep(ms(35)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(rounds.get(), 3);
    });
}

/// The shield defers the request; it takes effect at the next await behind it.
#[test]
fn a_shield_defers_the_request_and_does_not_lose_it() {
    each_builder(|builder| {
        let runtime = builder.virtual_time(true).build().unwrap();
        let log = Log::default();
        let theirs = log.clone();
        let took = runtime.block_on(async move {
            let log = theirs.clone();
            let start = rt::Instant::now();
            let task = rt::spawn(async move {
                rt::shield(rt::sleep(ms(50))).await;
                log.say("shielded part is through");
                rt::sleep(ms(50)).await;
                log.say("went on");
            });
            rt::sleep(ms(10)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            start.elapsed()
        });
        assert_eq!(log, ["shielded part is through"]);
        assert_eq!(took, ms(50));
    });
}
