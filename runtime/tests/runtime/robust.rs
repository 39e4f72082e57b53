//! What a runtime survives: misuse, panics in the wrong places, and ends at the wrong time.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rt_tasks_runtime as rt;

/// Far longer than anything here takes, and far shorter than the default grace.
const SOON: Duration = Duration::from_secs(4);

fn runtime(n_workers: usize) -> rt::Runtime {
    rt::Builder::new().workers(n_workers).build().unwrap()
}

/// Runs `f` on a thread of its own and fails if it does not end soon.
fn soon<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(f()));
    receiver
        .recv_timeout(SOON)
        .expect("it hangs, or it panicked")
}

struct DropPanics;

impl Drop for DropPanics {
    fn drop(&mut self) {
        panic!("a destructor that panics");
    }
}

#[test]
fn spawning_after_the_end_gives_a_cancelled_task() {
    soon(|| {
        let runtime = runtime(2);
        let handle = runtime.handle().clone();
        let before = handle.spawn(async { 1 });
        assert_eq!(runtime.block_on(before).unwrap(), 1);
        drop(runtime);
        for _ in 0..100 {
            let task = handle.spawn(async { 2 });
            assert!(task.join_blocking().unwrap_err().is_cancelled());
            let task = handle.spawn_blocking(|| 3);
            assert!(task.join_blocking().unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn block_on_after_the_end_still_polls_and_its_timers_fire() {
    soon(|| {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        drop(runtime);
        let value = handle.block_on(async {
            rt::sleep(Duration::from_millis(5)).await;
            assert!(rt::spawn(async {}).await.unwrap_err().is_cancelled());
            7
        });
        assert_eq!(value, 7);
    });
}

#[test]
fn a_runtime_dropped_inside_its_own_task_ends() {
    for n_workers in [1, 2] {
        soon(move || {
            let runtime = runtime(n_workers);
            let handle = runtime.handle().clone();
            let task = handle.spawn(async move {
                drop(runtime);
                let child = rt::spawn(async { 1 });
                child.await.unwrap_err().is_cancelled()
            });
            // The task itself is cancelled at its next suspension, if it comes to one.
            if let Ok(is_cancelled) = task.join_blocking() {
                assert!(is_cancelled);
            }
        });
    }
}

#[test]
fn a_runtime_dropped_inside_its_own_block_on_ends() {
    soon(|| {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        handle.block_on(async move {
            rt::spawn(std::future::pending::<()>());
            drop(runtime);
            assert!(rt::spawn(async {}).await.unwrap_err().is_cancelled());
        });
    });
}

#[test]
fn a_runtime_dropped_inside_a_task_of_another_ends() {
    soon(|| {
        let outer = runtime(1);
        outer.block_on(async {
            rt::spawn(async {
                let inner = runtime(1);
                inner.spawn(std::future::pending::<()>());
                drop(inner);
                rt::yield_now().await;
                rt::spawn(async {}).await.unwrap();
            })
            .await
            .unwrap();
        });
    });
}

#[test]
fn shutdown_does_not_wait_for_a_guest_that_keeps_waking_itself() {
    soon(|| {
        let runtime = runtime(1);
        let handle = runtime.handle().clone();
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        let (sender, receiver) = mpsc::channel();
        let guest = thread::spawn(move || {
            handle.block_on(async move {
                sender.send(()).unwrap();
                while !theirs.load(Relaxed) {
                    rt::yield_now().await;
                }
            });
        });
        receiver.recv().unwrap();
        let report = runtime.shutdown(Duration::from_secs(1));
        assert!(report.is_clean(), "{report}");
        done.store(true, Relaxed);
        guest.join().unwrap();
    });
}

#[test]
fn shutdown_ends_at_once_though_a_result_is_dropped_slowly() {
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    soon(|| {
        let runtime = runtime(2);
        let (sender, receiver) = mpsc::channel();
        runtime.spawn(async move {
            sender.send(()).unwrap();
            Slow
        });
        receiver.recv().unwrap();
        drop(runtime);
    });
}

#[test]
fn block_on_in_a_task_keeps_its_seat_from_guests() {
    for n_workers in [1, 2] {
        soon(move || {
            let runtime = Arc::new(runtime(n_workers));
            let tasks: Vec<_> = (0..n_workers)
                .map(|_| {
                    runtime.spawn(async {
                        for _ in 0..50 {
                            rt::block_on(rt::sleep(Duration::from_micros(300)));
                            rt::yield_now().await;
                        }
                    })
                })
                .collect();
            let guests: Vec<_> = (0..3)
                .map(|_| {
                    let runtime = runtime.clone();
                    thread::spawn(move || {
                        for _ in 0..100 {
                            let value = runtime.block_on(async {
                                rt::sleep(Duration::from_micros(50)).await;
                                rt::spawn(async { 3 }).await.unwrap()
                            });
                            assert_eq!(value, 3);
                        }
                    })
                })
                .collect();
            for guest in guests {
                guest.join().unwrap();
            }
            for task in tasks {
                task.join_blocking().unwrap();
            }
        });
    }
}

#[test]
fn local_tasks_stay_on_their_thread_whoever_runs_the_runtime() {
    struct HomeSick(thread::ThreadId, Rc<Cell<u32>>);
    impl Future for HomeSick {
        type Output = ();
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            assert_eq!(thread::current().id(), self.0, "polled on a foreign thread");
            self.1.set(self.1.get() + 1);
            if self.1.get() == 20 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    soon(|| {
        let runtime = Arc::new(rt::Builder::current_thread().build().unwrap());
        let count = Rc::new(Cell::new(0));
        let theirs = count.clone();
        let task = runtime.block_on(std::future::poll_fn(move |_| {
            let body = HomeSick(thread::current().id(), theirs.clone());
            Poll::Ready(rt::spawn_local(body))
        }));
        let other = runtime.clone();
        thread::spawn(move || {
            other.block_on(async {
                for _ in 0..100 {
                    rt::yield_now().await;
                }
            });
        })
        .join()
        .unwrap();
        runtime.block_on(task).unwrap();
        assert_eq!(count.get(), 20);
    });
}

#[test]
fn a_local_task_runs_though_another_thread_has_the_seat() {
    soon(|| {
        let runtime = Arc::new(rt::Builder::current_thread().build().unwrap());
        // Ours is the thread of the local tasks.
        runtime.block_on(async { rt::spawn_local(async {}).await.unwrap() });
        let other = runtime.clone();
        let (go, gone) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        let guest = thread::spawn(move || {
            other.block_on(async {
                sender.send(()).unwrap();
                rt::spawn_blocking(move || gone.recv())
                    .await
                    .unwrap()
                    .unwrap();
            });
        });
        receiver.recv().unwrap();
        runtime.block_on(async {
            rt::spawn_local(async {
                rt::yield_now().await;
                rt::sleep(Duration::from_millis(2)).await;
            })
            .await
            .unwrap();
        });
        go.send(()).unwrap();
        guest.join().unwrap();
    });
}

#[test]
fn a_panic_while_future_and_output_are_dropped_ends_the_task_only() {
    struct Both;
    impl Drop for Both {
        fn drop(&mut self) {
            panic!("the future's destructor");
        }
    }
    impl Future for Both {
        type Output = DropPanics;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<DropPanics> {
            Poll::Ready(DropPanics)
        }
    }
    soon(|| {
        let runtime = runtime(1);
        let task = runtime.spawn(Both);
        assert!(task.join_blocking().err().unwrap().is_panic());
        assert_eq!(runtime.spawn(async { 5 }).join_blocking().unwrap(), 5);
    });
}

#[test]
fn panics_in_hooks_and_handlers_end_nothing() {
    soon(|| {
        let runtime = rt::Builder::new()
            .workers(2)
            .on_thread_start(|| panic!("the start hook"))
            .on_thread_stop(|| panic!("the stop hook"))
            .on_unhandled(|_| panic!("the handler of what nobody handles"))
            .build()
            .unwrap();
        let task = runtime.spawn(async { 5 });
        assert_eq!(task.join_blocking().unwrap(), 5);
        let detached = runtime.spawn(async { DropPanics });
        drop(detached);
        assert_eq!(runtime.spawn_blocking(|| 6).join_blocking().unwrap(), 6);
    });
}

#[test]
fn a_join_waker_whose_destructor_panics_harms_nobody() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            std::mem::forget(self);
        }
        fn wake_by_ref(self: &Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("the last of the wakers");
        }
    }
    soon(|| {
        let runtime = rt::Builder::new()
            .workers(1)
            .on_unhandled(|_| {})
            .build()
            .unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        let mut task = runtime.spawn(async move {
            rt::block_in_place(|| receiver.recv().unwrap());
        });
        {
            let waker = Waker::from(Arc::new(Bad));
            assert!(
                Pin::new(&mut task)
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            std::mem::forget(waker);
        }
        drop(task);
        sender.send(()).unwrap();
        assert_eq!(runtime.spawn(async { 5 }).join_blocking().unwrap(), 5);
    });
}

#[test]
fn the_hook_of_a_finished_task_may_spawn() {
    // The cell of the task that ended is gone by then: `spawn` must not ask it for its identity.
    struct SpawnsWhenDropped;
    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            rt::spawn(async {});
        }
    }
    soon(|| {
        let runtime = runtime(1);
        runtime.block_on(async {
            for _ in 0..100 {
                drop(rt::spawn(async { SpawnsWhenDropped }));
                rt::yield_now().await;
            }
        });
    });
}

#[test]
fn cleanup_of_blocking_work_may_yield() {
    soon(|| {
        let runtime = runtime(1);
        let n = Arc::new(AtomicUsize::new(0));
        let theirs = n.clone();
        let task = runtime.spawn_blocking(move || {
            rt::defer(async move {
                for _ in 0..3 {
                    rt::yield_now().await;
                }
                theirs.fetch_add(1, Relaxed);
            });
        });
        task.join_blocking().unwrap();
        assert_eq!(n.load(Relaxed), 1);
        assert_eq!(runtime.metrics().n_blocking, 0);
    });
}

#[test]
fn a_blocking_job_is_not_lost_to_a_thread_that_goes_away() {
    soon(|| {
        let runtime = rt::Builder::new()
            .workers(1)
            .blocking_threads(1)
            .blocking_keep_alive(Duration::from_micros(200))
            .on_thread_stop(|| thread::sleep(Duration::from_micros(100)))
            .build()
            .unwrap();
        for i in 0..500 {
            assert_eq!(
                runtime.spawn_blocking(move || i).join_blocking().unwrap(),
                i
            );
            thread::sleep(Duration::from_micros(150 + i % 150));
        }
    });
}

#[test]
fn a_task_behind_a_blocked_poll_is_rescued_after_the_monitor_slept() {
    soon(|| {
        let runtime = runtime(2);
        runtime.block_on(async { rt::spawn(async {}).await.unwrap() });
        // Longer than the monitor looks at an idle runtime.
        thread::sleep(Duration::from_millis(500));
        let (sender, receiver) = mpsc::channel();
        runtime.block_on(async move {
            rt::spawn(async move { sender.send(Instant::now()).unwrap() });
            let start = Instant::now();
            let ran_at = receiver
                .recv_timeout(Duration::from_secs(1))
                .expect("nobody helped");
            assert!(ran_at - start < Duration::from_millis(500));
        });
    });
}

#[test]
fn a_task_woken_by_a_blocked_poll_is_rescued_though_all_came_from_outside() {
    soon(|| {
        let runtime = runtime(2);
        let slot: Arc<Mutex<Option<Waker>>> = Arc::default();
        let theirs = slot.clone();
        let woken = Arc::new(AtomicBool::new(false));
        let flag = woken.clone();
        let waiter = runtime.spawn(std::future::poll_fn(move |cx| {
            if flag.load(SeqCst) {
                return Poll::Ready(Instant::now());
            }
            *theirs.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        }));
        while slot.lock().unwrap().is_none() {
            thread::yield_now();
        }
        let waker = slot.lock().unwrap().take().unwrap();
        let blocker = runtime.spawn(async move {
            woken.store(true, SeqCst);
            waker.wake();
            let start = Instant::now();
            thread::sleep(Duration::from_secs(1));
            start
        });
        let ran_at = waiter.join_blocking().unwrap();
        assert!(ran_at - blocker.join_blocking().unwrap() < Duration::from_millis(500));
    });
}

#[test]
fn a_timer_set_from_outside_fires_on_an_idle_runtime() {
    soon(|| {
        let runtime = runtime(2);
        for i in 0..300 {
            // Races with the worker that has just run this and goes to sleep.
            runtime.spawn(async {}).join_blocking().unwrap();
            let _guard = runtime.handle().enter();
            let start = Instant::now();
            let waker = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
            let mut sleep = Box::pin(rt::sleep(Duration::from_micros(100 + i)));
            let woken = Waker::from(waker.clone());
            let poll = sleep.as_mut().poll(&mut Context::from_waker(&woken));
            if poll.is_pending() {
                while !waker.1.load(SeqCst) {
                    thread::park_timeout(Duration::from_millis(50));
                    assert!(
                        start.elapsed() < Duration::from_secs(1),
                        "nobody waits for the timer"
                    );
                }
            }
        }
    });
}

struct Unpark(thread::Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, SeqCst);
        self.0.unpark();
    }
}

#[test]
fn done_callbacks_see_the_result_one_at_a_time() {
    soon(|| {
        let runtime = runtime(2);
        // `Cell` is `Send` but not `Sync`: two callbacks at once would race.
        let task = Arc::new(runtime.spawn(async { Cell::new(0u32) }));
        while !task.is_finished() {
            thread::yield_now();
        }
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (task, inside) = (task.clone(), inside.clone());
                thread::spawn(move || {
                    for _ in 0..2000 {
                        let inside = inside.clone();
                        task.on_result(move |result| {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two callbacks at once");
                            let cell = result.unwrap();
                            cell.set(cell.get() + 1);
                            inside.fetch_sub(1, SeqCst);
                        });
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let task = Arc::into_inner(task).unwrap();
        assert_eq!(task.join_blocking().unwrap().get(), 4000);
    });
}

#[test]
fn a_guard_of_enter_that_is_forgotten_or_kept_too_long_is_harmless() {
    soon(|| {
        let (outer, inner) = (runtime(1), runtime(1));
        // Kept across an await: the outer runtime has its seat back, and the guard complains.
        let kept = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            outer.block_on(async {
                let _guard = inner.handle().enter();
                rt::yield_now().await;
            });
        }));
        assert!(kept.is_err());
        assert_eq!(
            outer.block_on(async { rt::spawn(async { 1 }).await.unwrap() }),
            1
        );
        // Carried out of its runtime.
        let carried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let guard = outer.block_on(async { inner.handle().enter() });
            drop(guard);
        }));
        assert!(carried.is_err());
        // Forgotten, and the runtime gone.
        std::mem::forget(inner.handle().enter());
        let start = Instant::now();
        drop(inner);
        drop(outer);
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(
            rt::spawn(async {})
                .join_blocking()
                .unwrap_err()
                .is_cancelled()
        );
    });
}

#[test]
fn block_in_place_as_the_last_thing_in_block_on_gives_the_seat_away_once() {
    soon(|| {
        let runtime = runtime(1);
        for i in 0..200 {
            let value = runtime.block_on(async move {
                rt::spawn(async {});
                rt::block_in_place(thread::yield_now);
                i
            });
            assert_eq!(value, i);
        }
    });
}
