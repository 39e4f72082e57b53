//! The end of a runtime: who is cancelled, what is awaited, what is reported, and that nothing can hang it.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Count, Flag, Log, each_builder, each_size, ms, must_end};
use rt::sync::oneshot;

/// Far more than a shutdown takes, far less than the grace that it must not wait for.
const AT_ONCE: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(3600);

/// C17.
#[test]
fn c17_a_runtime_without_tasks_ends_clean() {
    each_builder(|builder| {
        let report = builder.build().unwrap().shutdown(LONG);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.to_string(), "everything ended");
    });
}

/// C17: at no moment in the life of a task is the end of the runtime waited for in vain.
#[test]
fn c17_a_shutdown_in_the_middle_of_the_work_does_not_wait_for_the_grace() {
    must_end("shutting down", || {
        for round in 0..200 {
            let runtime = support::builder(support::SIZES[round % 4]).build().unwrap();
            runtime.block_on(async move {
                for _ in 0..round % 7 {
                    rt::yield_now().await;
                }
                let task = rt::spawn(rt::yield_now());
                let handle = task.cancel_handle();
                rt::spawn(async move { handle.cancel() });
                for _ in 0..round % 3 {
                    rt::yield_now().await;
                }
            });
            let began = Instant::now();
            let report = runtime.shutdown(LONG);
            assert!(report.is_clean(), "{report}");
            assert!(began.elapsed() < AT_ONCE, "it took {:?}", began.elapsed());
        }
    });
}

/// C17, X3: leftovers are cancelled, cleaned up and awaited.
#[test]
fn c17_x3_leftovers_are_cancelled_and_their_cleanup_is_awaited() {
    each_builder(|builder| {
        let log = Log::default();
        let theirs = log.clone();
        let runtime = builder.build().unwrap();
        runtime.block_on(async move {
            let (began, begin) = oneshot::channel();
            let dropped = theirs.on_drop("dropped");
            rt::spawn(async move {
                let _dropped = dropped;
                began.send(()).unwrap();
                let cleanup = async move {
                    rt::sleep(ms(20)).await;
                    theirs.say("cleaned up");
                };
                rt::finally(pending::<()>(), cleanup).await;
            });
            begin.await.unwrap();
        });
        let report = runtime.shutdown(LONG);
        assert!(report.is_clean(), "{report}");
        assert_eq!(log, ["dropped", "cleaned up"]);
    });
}

/// S1-11: `rt::block_on` has a runtime of its own, and ends it.
#[test]
fn block_on_leaves_nothing_behind() {
    let log = Log::default();
    let theirs = log.clone();
    let value = rt::block_on(async move {
        let cleaned = theirs.clone();
        rt::spawn(rt::finally(pending::<()>(), async move {
            rt::sleep(ms(10)).await;
            cleaned.say("cleaned up");
        }));
        rt::sleep(ms(10)).await;
        theirs.say("main returns");
        7
    });
    assert_eq!(value, 7);
    assert_eq!(log, ["main returns", "cleaned up"]);
}

/// C17: joins of cancelled leftovers resolve, and say why.
#[test]
fn c17_who_joins_a_task_of_an_ended_runtime_is_told() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let task = runtime.spawn(pending::<()>());
        let thread = thread::spawn(|| task.join_blocking());
        drop(runtime);
        let error = thread.join().unwrap().unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.reason().unwrap().contains("shut down"), "{error}");
    });
}

/// C17, X3.
#[test]
fn c17_x3_a_cleanup_that_never_ends_is_cut_off_at_the_grace_and_named() {
    each_builder(|builder| {
        let dropped = Count::default();
        let held = dropped.on_drop();
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        runtime.block_on(async {
            let (began, begin) = oneshot::channel();
            let cleanup = async move {
                let _held = held;
                pending::<()>().await;
            };
            rt::task::Builder::new().name("stubborn").spawn(async {
                rt::defer(cleanup);
                began.send(()).unwrap();
                pending::<()>().await;
            });
            begin.await.unwrap();
        });
        let began = Instant::now();
        let report = runtime.shutdown(ms(50));
        assert!(
            began.elapsed() >= ms(50) && began.elapsed() < AT_ONCE,
            "{:?}",
            began.elapsed()
        );
        assert!(!report.is_clean());
        let names: Vec<_> = report
            .unfinished
            .iter()
            .map(|task| task.name.as_deref())
            .collect();
        assert_eq!(names, [Some("stubborn")]);
        assert!(report.to_string().contains("stubborn"), "{report}");
        assert_eq!(dropped.get(), 1);
    });
}

/// C17: a poll that does not return cannot be ended, but cannot hang the exit either.
#[test]
fn c17_a_task_stuck_in_its_poll_is_left_behind_and_reported() {
    for n_workers in [1, 2, 8] {
        must_end("with a stuck task", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let (began, begin) = mpsc::channel();
            let (release, gate) = mpsc::channel::<()>();
            runtime.spawn(async move {
                began.send(()).unwrap();
                let _ = gate.recv();
            });
            begin.recv().unwrap();
            let began = Instant::now();
            let report = runtime.shutdown(ms(50));
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            assert_eq!(
                (report.stuck_workers, report.unfinished.len()),
                (1, 1),
                "{report}"
            );
            drop(release);
        });
    }
}

/// C17: blocking jobs that run cannot be stopped.
#[test]
fn c17_a_stuck_blocking_job_is_left_behind_and_reported() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let (began, begin) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || {
            began.send(()).unwrap();
            let _ = gate.recv();
        });
        begin.recv().unwrap();
        let began = Instant::now();
        let report = runtime.shutdown(ms(50));
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        assert_eq!(report.stuck_blocking, 1, "{report}");
        assert!(!report.is_clean());
        drop(release);
    });
}

/// X3: blocking jobs that end in time are awaited, those that wait in line never run.
#[test]
fn x3_running_blocking_jobs_are_awaited_and_waiting_ones_never_begin() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        let (ended, second_ran) = (Flag::default(), Flag::default());
        let (began, begin) = mpsc::channel();
        let (theirs, second) = (ended.clone(), second_ran.clone());
        runtime.spawn_blocking(move || {
            began.send(()).unwrap();
            thread::sleep(ms(50));
            theirs.raise();
        });
        let waiting = runtime.spawn_blocking(move || second.raise());
        begin.recv().unwrap();
        let report = runtime.shutdown(LONG);
        assert!(report.is_clean(), "{report}");
        assert!(ended.is_up());
        assert!(!second_ran.is_up());
        assert!(waiting.join_blocking().unwrap_err().is_cancelled());
    });
}

/// C17: a task spawned while the runtime ends is dropped like the others.
#[test]
fn c17_tasks_spawned_during_the_shutdown_are_ended_too() {
    struct SpawnsOnDrop(Count);
    impl Drop for SpawnsOnDrop {
        fn drop(&mut self) {
            let held = self.0.on_drop();
            rt::spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
        }
    }
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let dropped = Count::default();
        let spawns = SpawnsOnDrop(dropped.clone());
        let late = dropped.on_drop();
        runtime.spawn(async move {
            let _spawns = spawns;
            let cleanup = async move {
                let child = rt::spawn(async move {
                    let _late = late;
                    pending::<()>().await;
                });
                assert!(child.await.unwrap_err().is_cancelled());
            };
            rt::finally(pending::<()>(), cleanup).await;
        });
        let report = runtime.shutdown(LONG);
        assert!(report.is_clean(), "{report}");
        assert_eq!(dropped.get(), 2);
    });
}

/// A runtime may end inside a task of another one.
#[test]
fn a_runtime_may_be_built_and_dropped_inside_a_task_of_another() {
    each_size(|runtime| {
        let cleaned = Flag::default();
        let theirs = cleaned.clone();
        let outer = runtime.spawn(async move {
            let inner = rt::Builder::new().workers(2).build().unwrap();
            inner.spawn(rt::finally(pending::<()>(), async move {
                rt::sleep(ms(5)).await;
                theirs.raise();
            }));
            let value = inner.block_on(async { rt::spawn(async { 7 }).await.unwrap() });
            drop(inner);
            rt::yield_now().await;
            (value, rt::spawn(async { 8 }).await.unwrap())
        });
        assert_eq!(runtime.block_on(outer).unwrap(), (7, 8));
        assert!(cleaned.is_up());
        support::assert_well(runtime);
    });
}

/// A runtime may be owned, and dropped, by a task of its own: no deadlock, and the join resolves.
#[test]
fn a_runtime_may_be_dropped_in_a_task_of_its_own() {
    for n_workers in [1, 2, 8] {
        must_end("dropping itself", move || {
            let runtime = support::builder(n_workers).grace(ms(100)).build().unwrap();
            let handle = runtime.handle().clone();
            let dropped = Count::default();
            let held = dropped.on_drop();
            let bystander = handle.spawn(async move {
                let _held = held;
                pending::<()>().await;
            });
            let late = dropped.on_drop();
            let task = handle.spawn(async move {
                drop(runtime);
                drop(rt::spawn(async move {
                    let _late = late;
                    pending::<()>().await;
                }));
                7
            });
            assert_eq!(
                task.join_blocking().unwrap(),
                7,
                "it had nothing left to wait for"
            );
            assert!(bystander.join_blocking().unwrap_err().is_cancelled());
            while dropped.get() < 2 {
                thread::yield_now();
            }
        });
    }
}

/// The same by `shutdown`, which can still report.
#[test]
fn a_runtime_may_be_shut_down_in_a_task_of_its_own() {
    for n_workers in [1, 2, 8] {
        must_end("shutting itself down", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let handle = runtime.handle().clone();
            let (send, report) = mpsc::channel();
            handle.spawn(async move { send.send(runtime.shutdown(ms(100))).unwrap() });
            let _report = report
                .recv()
                .expect("shutdown returns to the task that called it");
        });
    }
}

/// Wakers, handles and timers outlive the runtime.
#[test]
fn what_outlives_the_runtime_may_still_be_used() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let slot: Arc<Mutex<Option<Waker>>> = Arc::default();
        let theirs = Arc::clone(&slot);
        let task = runtime.spawn(poll_fn(move |cx| {
            *theirs.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let mut sleep = rt::sleep(LONG);
        runtime.block_on(async {
            while slot.lock().unwrap().is_none() {
                rt::yield_now().await;
            }
            assert!(support::poll_once(&mut sleep).is_pending());
        });
        let handle = runtime.handle().clone();
        let cancel = task.cancel_handle();
        drop(runtime);
        let waker = slot.lock().unwrap().take().unwrap();
        waker.wake_by_ref();
        let other = waker.clone();
        assert!(other.will_wake(&waker));
        drop(waker);
        thread::spawn(move || other.wake()).join().unwrap();
        assert!(!cancel.cancel());
        assert!(task.is_finished());
        assert!(task.join_blocking().unwrap_err().is_cancelled());
        drop(sleep);
        let _numbers = handle.metrics();
        let _entered = handle.enter();
    });
}

/// What is spawned on a runtime that is gone ends at once.
#[test]
fn spawning_on_an_ended_runtime_gives_a_cancelled_task() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let (ran, dropped) = (Flag::default(), Count::default());
        let (theirs, held) = (ran.clone(), dropped.on_drop());
        let task = handle.spawn(async move {
            let _held = held;
            theirs.raise();
        });
        assert!(task.join_blocking().unwrap_err().is_cancelled());
        let (theirs, held) = (ran.clone(), dropped.on_drop());
        let blocking = handle.spawn_blocking(move || {
            let _held = held;
            theirs.raise();
        });
        assert!(blocking.join_blocking().unwrap_err().is_cancelled());
        assert!(!ran.is_up());
        assert_eq!(dropped.get(), 2);
    });
}

/// Tasks that hold each other's handles are no cycle that leaks.
#[test]
fn tasks_that_await_each_other_are_dropped_with_the_runtime() {
    each_builder(|builder| {
        let dropped = Count::default();
        let runtime = builder.build().unwrap();
        let held = (dropped.on_drop(), dropped.on_drop());
        runtime.block_on(async move {
            let (send, other) = oneshot::channel::<rt::JoinHandle<()>>();
            let first = rt::spawn(async move {
                let _held = held.0;
                other.await.unwrap().await.unwrap();
            });
            let second = rt::spawn(async move {
                let _held = held.1;
                first.await.unwrap();
            });
            send.send(second).unwrap();
            rt::yield_now().await;
        });
        drop(runtime);
        assert_eq!(dropped.get(), 2);
    });
}

/// Tasks that are not `Send` are dropped on the thread they belong to.
#[test]
fn local_tasks_are_dropped_on_their_thread() {
    must_end("dropping local tasks", || {
        let dropped_on: Arc<Mutex<Option<thread::ThreadId>>> = Arc::default();
        struct Tells(
            Arc<Mutex<Option<thread::ThreadId>>>,
            std::marker::PhantomData<*const ()>,
        );
        impl Drop for Tells {
            fn drop(&mut self) {
                *self.0.lock().unwrap() = Some(thread::current().id());
            }
        }
        let runtime = rt::Builder::current_thread().build().unwrap();
        let tells = Tells(Arc::clone(&dropped_on), std::marker::PhantomData);
        runtime.block_on(async {
            rt::spawn_local(async move {
                let _tells = tells;
                pending::<()>().await;
            });
            rt::yield_now().await;
        });
        drop(runtime);
        assert_eq!(*dropped_on.lock().unwrap(), Some(thread::current().id()));
    });
}

/// C17: with no grace at all everything is still dropped.
#[test]
fn c17_a_shutdown_without_grace_drops_everything() {
    each_builder(|builder| {
        let runtime = builder.on_unhandled(|_| {}).build().unwrap();
        let dropped = Count::default();
        for _ in 0..100 {
            let held = dropped.on_drop();
            runtime.spawn(async move {
                let _held = held;
                rt::defer(pending::<()>());
                pending::<()>().await;
            });
        }
        runtime.shutdown(Duration::ZERO);
        assert_eq!(dropped.get(), 100);
    });
}

/// A `block_on` on another thread ends with its own future, whatever becomes of the runtime.
#[test]
fn a_block_on_elsewhere_does_not_hang_the_end() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let handle = runtime.handle().clone();
        let (release, gate) = oneshot::channel::<u32>();
        let (began, begin) = mpsc::channel();
        let thread = thread::spawn(move || {
            handle.block_on(async move {
                began.send(()).unwrap();
                gate.await.unwrap()
            })
        });
        begin.recv().unwrap();
        let began = Instant::now();
        drop(runtime);
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        release.send(7).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
    });
}

/// The future of `block_on` is polled to its end although the runtime is shut down around it.
#[test]
fn sleeping_on_a_runtime_that_is_gone_fails_or_ends_but_does_not_hang() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let handle = runtime.handle().clone();
        let (began, begin) = mpsc::channel();
        let (dropped, gone) = mpsc::channel();
        let thread = thread::spawn(move || {
            handle.block_on(async move {
                began.send(()).unwrap();
                gone.recv().unwrap();
                let mut sleep = rt::sleep(ms(10));
                poll_fn(|cx| Pin::new(&mut sleep).poll(cx)).await;
            })
        });
        begin.recv().unwrap();
        drop(runtime);
        dropped.send(()).unwrap();
        let _either = thread.join();
    });
}
