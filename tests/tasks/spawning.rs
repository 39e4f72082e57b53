//! Tasks as their owners see them: names, numbers, snapshots, handles, callbacks, big futures, local tasks.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, pending};
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use crate::support::{
    self, Count, Flag, Log, each_size, each_size_virtual, exact, ms, must_end, poll_once,
};
use rt::sync::oneshot;
use rt::task::TaskState;
use rt::{JoinError, JoinHandle};

/// S3-01, S3-02.
#[test]
fn a_task_has_the_name_it_was_given_and_a_number_of_its_own() {
    each_size(|runtime| {
        runtime.block_on(async {
            let named = rt::task::Builder::new()
                .name("worker-A")
                .spawn(async { rt::task::current().unwrap().info() });
            let unnamed = rt::spawn(async { rt::task::current().unwrap().info() });
            assert_eq!(named.name().as_deref(), Some("worker-A"));
            assert_eq!(unnamed.name(), None);
            assert_ne!(named.id(), unnamed.id());
            let (id, other) = (named.id(), unnamed.id());
            let info = named.await.unwrap();
            assert_eq!((info.id, info.name.as_deref()), (id, Some("worker-A")));
            assert_eq!(info.state, TaskState::Running);
            assert_eq!(unnamed.await.unwrap().id, other);
        });
    });
}

/// Numbers are never used twice.
#[test]
fn every_task_has_another_number() {
    let mut seen = HashSet::new();
    for n_workers in support::SIZES {
        let runtime = support::builder(n_workers).build().unwrap();
        for _ in 0..3000 {
            let task = runtime.spawn(async {});
            assert!(seen.insert(task.id()));
        }
        let ids = runtime.block_on(async {
            let tasks: Vec<_> = (0..3000).map(|_| rt::spawn(async {})).collect();
            tasks.iter().map(JoinHandle::id).collect::<Vec<_>>()
        });
        assert!(ids.into_iter().all(|id| seen.insert(id)));
    }
}

/// S3-02: the snapshot of a task tells where it comes from and what it does.
#[test]
fn the_list_of_all_tasks_tells_what_each_one_does() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (began, begin) = oneshot::channel();
            let line = line!() + 1;
            let parent = rt::task::Builder::new().name("parent").spawn(async move {
                let child = rt::task::Builder::new()
                    .name("child")
                    .spawn(pending::<()>());
                began.send(child.cancel_handle()).unwrap();
                child.await
            });
            let child = begin.await.unwrap();
            let find = |name: &str| {
                rt::task::all()
                    .into_iter()
                    .find(|task| task.name.as_deref() == Some(name))
            };
            while find("child").is_none_or(|task| task.state != TaskState::Waiting)
                || find("parent").is_none_or(|task| task.state != TaskState::Waiting)
            {
                rt::yield_now().await;
            }
            let (info, above) = (find("child").unwrap(), find("parent").unwrap());
            assert_eq!((info.id, info.parent), (child.id(), Some(above.id)));
            assert_eq!(above.parent, None);
            assert_eq!(
                (above.spawned_at.file(), above.spawned_at.line()),
                (file!(), line)
            );
            assert_eq!(above.waiting_on.as_ref().unwrap().on, Some(child.id()));
            assert!(above.polls >= 1);
            child.cancel();
            assert!(parent.await.unwrap().unwrap_err().is_cancelled());
            while find("child").is_some() || find("parent").is_some() {
                rt::yield_now().await;
            }
        });
    });
}

/// Outside a task and outside a runtime there is nothing to see.
#[test]
fn outside_a_task_there_is_no_current_task() {
    assert!(rt::task::current().is_none());
    assert!(rt::task::all().is_empty());
    each_size(|runtime| {
        assert!(runtime.block_on(async { rt::task::current() }).is_none());
        let in_nested = runtime.block_on(async {
            rt::spawn(async { rt::block_on(async { rt::task::current().is_none() }) })
                .await
                .unwrap()
        });
        assert!(in_nested, "the future of a nested block_on is no task");
    });
}

/// The numbers of the runtime add up.
#[test]
fn metrics_count_what_is_alive() {
    each_size(|runtime| {
        runtime.block_on(async {
            let handle = rt::Handle::current();
            let before = handle.metrics();
            let tasks: Vec<_> = (0..10).map(|_| rt::spawn(pending::<()>())).collect();
            let now = handle.metrics();
            assert_eq!(
                (now.n_spawned - before.n_spawned, now.n_live - before.n_live),
                (10, 10)
            );
            for task in tasks {
                task.cancel();
                assert!(task.await.is_err());
            }
            assert_eq!(handle.metrics().n_live, before.n_live);
        });
    });
}

/// E1: what is spawned eagerly has run up to its first await when `spawn` returns.
#[test]
fn e1_an_eager_task_begins_before_spawn_returns() {
    each_size(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let log = theirs.clone();
            let task = rt::task::Builder::new().eager().spawn(async move {
                log.say("A started");
                rt::yield_now().await;
                log.say("A finished");
            });
            theirs.say("Tasks are running...");
            task.await.unwrap();
            let through = rt::task::Builder::new().eager().spawn(async { 7 });
            assert!(through.is_finished());
            assert_eq!(through.await.unwrap(), 7);
        });
        assert_eq!(log.lines()[0], "A started");
        assert_eq!(log.lines().len(), 3);
    });
}

/// S1-04: a future does nothing until it is spawned, and a spawned one needs no await.
#[test]
fn a_spawned_task_runs_without_being_awaited() {
    each_size(|runtime| {
        let ran = Flag::default();
        let theirs = ran.clone();
        runtime.block_on(async move {
            let flag = theirs.clone();
            let future = async move { flag.raise() };
            rt::yield_now().await;
            assert!(!theirs.is_up());
            let _task = rt::spawn(future);
            theirs.up().await;
        });
        assert!(ran.is_up());
    });
}

/// S2-11: the callbacks come before whoever awaits goes on, in the order they were registered.
#[test]
fn callbacks_run_before_the_joiner_goes_on() {
    each_size(|runtime| {
        for _ in 0..100 {
            let log = Log::default();
            let theirs = log.clone();
            runtime.block_on(async move {
                let task = rt::spawn(async {
                    rt::yield_now().await;
                    7
                });
                let (first, second) = (theirs.clone(), theirs.clone());
                let id = task.id();
                task.on_finish(move |info| {
                    assert_eq!((info.id, info.state), (id, TaskState::Finished));
                    first.say("on_finish");
                });
                task.on_result(move |result| {
                    assert_eq!(*result.unwrap(), 7);
                    second.say("on_result");
                });
                assert_eq!(task.await.unwrap(), 7);
                theirs.say("joined");
            });
            assert_eq!(log, ["on_finish", "on_result", "joined"]);
        }
    });
}

/// S2-12: each way to end is seen by the callback.
#[test]
fn callbacks_see_errors_and_come_after_the_end_too() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (send, seen) = mpsc::channel::<(&str, bool)>();
            let end = |name: &'static str, task: JoinHandle<()>, check: fn(&JoinError) -> bool| {
                let send = send.clone();
                task.on_result(move |result| send.send((name, result.is_err_and(check))).unwrap());
                task
            };
            let cancelled = end("cancelled", rt::spawn(pending()), JoinError::is_cancelled);
            cancelled.cancel();
            assert!(cancelled.await.is_err());
            let panicked = end(
                "panicked",
                rt::spawn(async { panic!("as wanted") }),
                JoinError::is_panic,
            );
            assert!(panicked.await.is_err());
            assert_eq!(seen.recv().unwrap(), ("cancelled", true));
            assert_eq!(seen.recv().unwrap(), ("panicked", true));
            let mut task = rt::spawn(async {});
            while !task.is_finished() {
                rt::yield_now().await;
            }
            let late = Count::default();
            let theirs = late.clone();
            task.on_finish(move |_| theirs.add());
            assert_eq!(late.get(), 1, "at once, since it is through");
            assert!(task.try_join().unwrap().is_ok());
        });
    });
}

/// S3-02: looking does not wait.
#[test]
fn try_join_gives_the_result_once_it_is_there() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (send, gate) = oneshot::channel();
            let mut task = rt::spawn(gate);
            assert!(!task.is_finished() && !task.is_cancelled());
            assert!(task.try_join().is_none());
            send.send(7).unwrap();
            let result = loop {
                if let Some(result) = task.try_join() {
                    break result;
                }
                rt::yield_now().await;
            };
            assert_eq!(result.unwrap(), Ok(7));
            assert!(task.is_finished());
            assert!(task.try_join().is_none(), "the result is given once");
        });
    });
}

/// A handle that was polled in one task may be awaited in another.
#[test]
fn a_handle_wakes_who_polled_it_last() {
    each_size(|runtime| {
        runtime.block_on(async {
            let (send, gate) = oneshot::channel::<u32>();
            let mut task = rt::spawn(async { gate.await.unwrap() });
            assert!(poll_once(&mut task).is_pending());
            let joiner = rt::spawn(task);
            rt::yield_now().await;
            send.send(7).unwrap();
            assert_eq!(joiner.await.unwrap().unwrap(), 7);
        });
    });
}

/// S1-38: plain threads spawn, join, and join for a limited time.
#[test]
fn plain_threads_spawn_and_join() {
    for n_workers in [1, 2, 8] {
        must_end("joining from plain threads", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let handle = runtime.handle().clone();
            let (send, gate) = oneshot::channel::<u32>();
            let task = handle.spawn(async { gate.await.unwrap() });
            let task = task
                .join_blocking_timeout(ms(10))
                .expect_err("it cannot be through");
            let task = task.join_blocking_timeout(ms(0)).expect_err("neither now");
            send.send(7).unwrap();
            assert_eq!(task.join_blocking_timeout(ms(60_000)).unwrap().unwrap(), 7);
            let thread = thread::spawn(move || {
                handle
                    .spawn(async { rt::spawn(async { 8 }).await })
                    .join_blocking()
            });
            assert_eq!(thread.join().unwrap().unwrap().unwrap(), 8);
        });
    }
}

/// C13: a blocking join inside a task helps, on one worker too.
#[test]
fn c13_a_blocking_join_inside_a_task_does_not_deadlock() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            rt::spawn(async {
                let inner = rt::spawn(async {
                    rt::yield_now().await;
                    7
                });
                let slow = rt::spawn(pending::<()>());
                assert!(slow.join_blocking_timeout(ms(5)).is_err());
                inner.join_blocking().unwrap()
            })
            .await
            .unwrap()
        });
        assert_eq!(value, 7);
    });
}

/// Futures that are not `Send` on the one thread.
#[test]
fn local_tasks_share_what_is_not_send() {
    must_end("with local tasks", || {
        let runtime = rt::Builder::current_thread().build().unwrap();
        let shared = Rc::new(RefCell::new(vec![]));
        let theirs = Rc::clone(&shared);
        runtime.block_on(async move {
            let tasks: Vec<_> = (0..10)
                .map(|i| {
                    let shared = Rc::clone(&theirs);
                    rt::task::Builder::new()
                        .name("local")
                        .spawn_local(async move {
                            rt::yield_now().await;
                            rt::sleep(ms(1)).await;
                            shared.borrow_mut().push(i);
                            Rc::new(i)
                        })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.name().as_deref(), Some("local"));
                assert_eq!(*task.await.unwrap(), i);
            }
            let cell = Rc::new(Cell::new(0));
            let cancelled = {
                let cell = Rc::clone(&cell);
                rt::spawn_local(async move {
                    cell.set(1);
                    pending::<()>().await;
                })
            };
            rt::yield_now().await;
            cancelled.cancel();
            assert!(cancelled.await.is_err());
            assert_eq!((cell.get(), Rc::strong_count(&cell)), (1, 1));
        });
        assert_eq!(*shared.borrow(), (0..10).collect::<Vec<_>>());
    });
}

/// A local task that is woken from another thread still runs at home.
#[test]
fn a_local_task_woken_from_elsewhere_runs_on_its_thread() {
    must_end("with a local task", || {
        let runtime = rt::Builder::current_thread().build().unwrap();
        let home = thread::current().id();
        let (send, received) = oneshot::channel();
        let thread = thread::spawn(move || {
            thread::sleep(ms(5));
            send.send(()).unwrap();
        });
        let ran_on = runtime.block_on(async {
            let not_send = Rc::new(());
            rt::spawn_local(async move {
                received.await.unwrap();
                drop(not_send);
                thread::current().id()
            })
            .await
            .unwrap()
        });
        assert_eq!(ran_on, home);
        thread.join().unwrap();
    });
}

/// Bigger than any block for tasks, and moved never after the first poll.
#[test]
fn a_big_future_keeps_its_contents() {
    each_size(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..20u8)
                .map(|i| {
                    let big = [i; 10_000];
                    rt::spawn(async move {
                        let place = &raw const big as usize;
                        rt::yield_now().await;
                        rt::sleep(ms(1)).await;
                        assert_eq!(place, &raw const big as usize);
                        (big.iter().all(|&byte| byte == i), big)
                    })
                })
                .collect();
            for (i, task) in (0..20u8).zip(tasks) {
                let (same, big) = task.await.unwrap();
                assert!(same && big == [i; 10_000]);
            }
        });
    });
}

/// Every size from nothing to beyond the biggest block.
#[test]
fn futures_of_every_size_work() {
    async fn sized<const N: usize>(fill: u8) -> u8 {
        let bytes = [fill; N];
        rt::yield_now().await;
        bytes.iter().copied().fold(0, u8::wrapping_add)
    }
    async fn check<const N: usize>() {
        let sum = 3_u8.wrapping_mul((N % 256) as u8);
        assert_eq!(rt::spawn(sized::<N>(3)).await.unwrap(), sum, "{N} bytes");
    }
    each_size(|runtime| {
        runtime.block_on(async {
            check::<0>().await;
            check::<1>().await;
            check::<100>().await;
            check::<300>().await;
            check::<500>().await;
            check::<1000>().await;
            check::<1900>().await;
            check::<2048>().await;
            check::<4097>().await;
            check::<100_000>().await;
        });
    });
}

#[repr(align(256))]
struct Aligned(u8);

/// A future that must lie at a multiple of 256.
struct NeedsAlignment {
    aligned: Aligned,
    polls: u8,
}

impl Future for NeedsAlignment {
    type Output = Aligned;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Aligned> {
        assert_eq!((&raw const self.aligned).addr() % 256, 0);
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Aligned(self.aligned.0))
    }
}

/// Alignment beyond that of a block.
#[test]
fn a_future_with_a_big_alignment_is_aligned() {
    each_size(|runtime| {
        runtime.block_on(async {
            for i in 0..50 {
                let task = rt::spawn(NeedsAlignment {
                    aligned: Aligned(i),
                    polls: 0,
                });
                let value = Box::new(task.await.unwrap());
                assert_eq!((value.0, (&raw const *value).addr() % 256), (i, 0));
            }
        });
    });
}

/// Results of every size come whole, joined or dropped.
#[test]
fn results_are_dropped_once_whether_they_are_taken_or_not() {
    each_size(|runtime| {
        let dropped = Count::default();
        let theirs = dropped.clone();
        runtime.block_on(async move {
            for round in 0..300 {
                let value = theirs.on_drop();
                let mut task = rt::spawn(async move {
                    rt::yield_now().await;
                    value
                });
                match round % 4 {
                    0 => drop(task.await.unwrap()),
                    1 => drop(task),
                    2 => drop(task.cancel_on_drop()),
                    _ => {
                        let _ = poll_once(&mut task);
                        rt::yield_now().await;
                        drop(task);
                    }
                }
            }
            while theirs.get() < 300 {
                rt::yield_now().await;
            }
        });
        assert_eq!(dropped.get(), 300);
    });
}

/// The place of a spawn is the caller's, through every door.
#[test]
fn tasks_know_the_line_that_spawned_them() {
    #[track_caller]
    fn helper() -> (JoinHandle<()>, &'static Location<'static>) {
        (rt::spawn(pending()), Location::caller())
    }
    each_size(|runtime| {
        runtime.block_on(async {
            let handle = rt::Handle::current();
            let spawned = [
                (rt::spawn(pending::<()>()), line!()),
                (rt::task::Builder::new().spawn(pending::<()>()), line!()),
                (handle.spawn(pending::<()>()), line!()),
            ];
            let (by_helper, place) = helper();
            let all = rt::task::all();
            let line_of = |id| {
                all.iter()
                    .find(|task| task.id == id)
                    .unwrap()
                    .spawned_at
                    .line()
            };
            for (task, line) in spawned {
                assert_eq!(line_of(task.id()), line);
                drop(task.cancel_on_drop());
            }
            assert_eq!(line_of(by_helper.id()), place.line());
            drop(by_helper.cancel_on_drop());
        });
    });
}

/// Handles are `Unpin` and may be sent, and their `Debug` tells who it is.
#[test]
fn handles_have_the_traits_they_promise() {
    fn check<T: Unpin + Send + Sync + std::fmt::Debug + 'static>(_: &T) {}
    each_size(|runtime| {
        let task = rt::Handle::spawn(runtime.handle(), async { 7 });
        check(&task);
        check(&task.cancel_handle());
        check(runtime.handle());
        assert!(format!("{task:?}").contains(&task.id().to_string()));
        let owned = task.cancel_on_drop();
        check(&owned);
    });
    assert_eq!(size_of::<JoinError>(), size_of::<usize>());
}

/// Moving between runtimes: each handle enters its own.
#[test]
fn entering_a_runtime_makes_it_the_current_one_until_the_guard_goes() {
    assert!(rt::Handle::try_current().is_err());
    each_size(|outer| {
        let inner = rt::Builder::new().workers(3).build().unwrap();
        {
            let _outer = outer.handle().enter();
            let n_workers = rt::Handle::current().metrics().n_workers;
            {
                let _inner = inner.handle().enter();
                assert_eq!(rt::Handle::current().metrics().n_workers, 3);
                assert_eq!(rt::spawn(async { 7 }).join_blocking().unwrap(), 7);
            }
            assert_eq!(rt::Handle::current().metrics().n_workers, n_workers);
        }
        assert!(rt::Handle::try_current().is_err());
        let error = rt::Handle::try_current().unwrap_err();
        assert!(error.to_string().contains("block_on"), "{error}");
    });
}

/// Virtual or real, the future of a task sees the runtime it runs in.
#[test]
fn inside_a_task_the_runtime_is_the_current_one() {
    each_size_virtual(|runtime| {
        let n_workers = runtime.metrics().n_workers;
        let seen = runtime.block_on(async {
            rt::spawn(async { rt::Handle::current().metrics().n_workers }).await
        });
        assert_eq!(seen.unwrap(), n_workers);
        let by_blocking = runtime.block_on(rt::Handle::spawn_blocking(runtime.handle(), || {
            rt::Handle::current().metrics().n_workers
        }));
        assert_eq!(by_blocking.unwrap(), n_workers);
    });
}

/// On one thread the order of everything is the same each time.
#[test]
fn the_order_on_one_thread_is_the_same_each_time() {
    fn run() -> Vec<String> {
        let log = Log::default();
        let theirs = log.clone();
        exact(async move {
            let tasks: Vec<_> = (0..20u64)
                .map(|i| {
                    let log = theirs.clone();
                    rt::spawn(async move {
                        for step in 0..3 {
                            log.say(format!("{i}.{step}"));
                            match (i + step) % 3 {
                                0 => rt::yield_now().await,
                                1 => rt::sleep(ms(i % 4)).await,
                                _ => drop(rt::spawn(rt::yield_now()).await),
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        log.lines()
    }
    let first = run();
    assert_eq!(first.len(), 60);
    for _ in 0..5 {
        assert_eq!(run(), first);
    }
}
