//! Nobody starves: budget, yielding, floods from outside, and workers that are blocked.

mod support;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rt::sync::{
    Barrier, Event, Notify, OnceCell, Queue, RwLock, Semaphore, broadcast, oneshot, watch,
};
use support::{Count, Flag, Log, each_size, exact, ms, must_end};

/// C14.
#[test]
fn c14_a_task_whose_queue_is_always_ready_lets_others_run() {
    each_size(|runtime| {
        let stop = Flag::default();
        let theirs = stop.clone();
        runtime.block_on(async move {
            let hogs: Vec<_> = (0..10)
                .map(|_| {
                    let stop = theirs.clone();
                    rt::spawn(async move {
                        let queue = Queue::bounded(1);
                        while !stop.is_up() {
                            queue.put(1).await.unwrap();
                            assert_eq!(queue.get().await, Ok(1));
                        }
                    })
                })
                .collect();
            rt::yield_now().await;
            rt::spawn(async move { theirs.raise() }).await.unwrap();
            for hog in hogs {
                hog.await.unwrap();
            }
        });
    });
}

/// C14: who has to wait gets in line, also with a budget that is used up to the last operation.
#[test]
fn c14_a_full_queue_is_waited_for_and_not_polled_again() {
    let runtime = rt::Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        for capacity in [1, 127, 128] {
            let (full, empty) = (Queue::bounded(capacity), Queue::bounded(capacity));
            (0..capacity).for_each(|n| empty.try_put(n).unwrap());
            let (putter, getter) = (full.clone(), empty.clone());
            let tasks = [
                rt::spawn(async move { while putter.put(0).await.is_ok() {} }),
                rt::spawn(async move { while getter.get().await.is_ok() {} }),
            ];
            rt::yield_now().await;
            assert_eq!(full.stats().n_waiting_put, 1, "capacity {capacity}");
            assert_eq!(empty.stats().n_waiting_get, 1, "capacity {capacity}");
            full.shutdown();
            empty.shutdown();
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
}

/// Repeats what never has to wait until another task has run, and says whether that ever came.
async fn lets_others_run(mut operation: impl AsyncFnMut()) -> bool {
    let ran = Flag::default();
    let other = rt::spawn({
        let ran = ran.clone();
        async move { ran.raise() }
    });
    for _ in 0..10_000 {
        operation().await;
        if ran.is_up() {
            break;
        }
    }
    let let_run = ran.is_up();
    other.await.unwrap();
    let_run
}

/// C14: locks, notifications and what is set already.
#[test]
fn c14_a_lock_that_is_always_free_lets_others_run() {
    let runtime = rt::Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let lock = RwLock::new(0);
        assert!(lets_others_run(async || drop(lock.read().await)).await);
        assert!(lets_others_run(async || drop(lock.write().await)).await);
        let notify = Notify::new();
        let notified = async || {
            notify.notify_one();
            notify.notified().await;
        };
        assert!(lets_others_run(notified).await);
        let event = Event::new();
        event.set();
        assert!(lets_others_run(async || event.wait().await).await);
        let cell = OnceCell::from(1);
        let got = async || assert_eq!(*cell.get_or_init(async || 1).await, 1);
        assert!(lets_others_run(got).await);
        let barrier = Barrier::new(NonZeroUsize::MIN);
        assert!(lets_others_run(async || assert!(barrier.wait().await.is_ok())).await);
    });
}

/// C14: channels that always have something.
#[test]
fn c14_a_channel_that_is_always_ready_lets_others_run() {
    let runtime = rt::Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let (sender, mut receiver) = watch::channel(1);
        assert!(lets_others_run(async || drop(receiver.wait_for(|_| true).await)).await);
        let changed = async || {
            receiver.mark_changed();
            receiver.changed().await.unwrap();
        };
        assert!(lets_others_run(changed).await);
        drop(receiver);
        assert!(lets_others_run(async || sender.closed().await).await);
        let (sender, mut receiver) = broadcast::channel(1);
        let passed_on = async || {
            sender.send(1).unwrap();
            receiver.recv().await.unwrap();
        };
        assert!(lets_others_run(passed_on).await);
        let (sender, mut receiver) = rt::sync::mpsc::channel(1);
        let passed_on = async || {
            sender.send(1).await.unwrap();
            receiver.recv_many(&mut vec![], 1).await;
        };
        assert!(lets_others_run(passed_on).await);
        drop(receiver);
        assert!(lets_others_run(async || drop(sender.send(1).await)).await);
        assert!(lets_others_run(async || sender.closed().await).await);
    });
}

/// C14: what never has to wait can still be cancelled.
#[test]
fn c14_a_task_that_never_has_to_wait_can_be_cancelled() {
    each_size(|runtime| {
        let error = runtime.block_on(async {
            let permits = Arc::new(Semaphore::new(1));
            let (began, begin) = oneshot::channel();
            let task: rt::JoinHandle<()> = rt::spawn(async move {
                began.send(()).unwrap();
                loop {
                    drop(permits.acquire().await.unwrap());
                }
            });
            begin.await.unwrap();
            task.cancel();
            task.await.unwrap_err()
        });
        assert!(error.is_cancelled());
    });
}

/// C14: the future of `block_on` has a budget too.
#[test]
fn c14_a_main_future_that_never_has_to_wait_lets_tasks_run() {
    each_size(|runtime| {
        let done = Flag::default();
        let theirs = done.clone();
        runtime.block_on(async move {
            let flag = theirs.clone();
            rt::spawn(async move { flag.raise() });
            let queue = Queue::bounded(1);
            while !theirs.is_up() {
                queue.put(()).await.unwrap();
                queue.get().await.unwrap();
            }
        });
    });
}

/// X1.
#[test]
fn x1_two_tasks_that_yield_take_turns() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let task = |name: &'static str| {
            let log = theirs.clone();
            rt::spawn(async move {
                for _ in 0..3 {
                    log.say(name);
                    rt::yield_now().await;
                }
            })
        };
        let (a, b) = (task("a"), task("b"));
        a.await.unwrap();
        b.await.unwrap();
    });
    assert_eq!(log, ["a", "b", "a", "b", "a", "b"]);
}

/// X5: one yield lets each of the others run once.
#[test]
fn x5_a_yield_goes_behind_everybody_who_is_ready() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let tasks: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| {
                let log = theirs.clone();
                rt::spawn(async move {
                    log.say(name);
                    rt::yield_now().await;
                    log.say(name.to_uppercase());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(log, ["a", "b", "c", "d", "A", "B", "C", "D"]);
}

/// X5: the future of `block_on` goes to the back of the queue like a task.
#[test]
fn x5_a_yield_of_the_main_future_goes_behind_everybody_too() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        for name in ["a", "b", "c"] {
            let log = theirs.clone();
            rt::spawn(async move {
                log.say(name);
                rt::yield_now().await;
                log.say(name.to_uppercase());
            });
        }
        rt::yield_now().await;
        theirs.say("main");
        rt::yield_now().await;
        theirs.say("MAIN");
    });
    assert_eq!(log, ["a", "b", "c", "main", "A", "B", "C", "MAIN"]);
}

/// Ready tasks run first in, first out on one thread.
#[test]
fn spawned_tasks_begin_in_the_order_of_their_spawning() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let tasks: Vec<_> = (0..100)
            .map(|i| {
                let log = theirs.clone();
                rt::spawn(async move { log.say(i.to_string()) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected: Vec<_> = (0..100).map(|i| i.to_string()).collect();
    assert_eq!(log.lines(), expected);
}

/// X5: timers go on in a storm of yields.
#[test]
fn x5_timers_fire_while_others_do_nothing_but_yield() {
    each_size(|runtime| {
        runtime.block_on(async {
            let stop = Flag::default();
            let storm: Vec<_> = (0..50)
                .map(|_| {
                    let stop = stop.clone();
                    rt::spawn(async move { stop.up().await })
                })
                .collect();
            rt::spawn(rt::sleep(ms(5))).await.unwrap();
            rt::sleep(ms(5)).await;
            stop.raise();
            for task in storm {
                task.await.unwrap();
            }
        });
    });
}

/// The slot for the task that runs next starves nobody.
#[test]
fn two_tasks_that_wake_each_other_for_ever_let_a_third_run() {
    each_size(|runtime| {
        let stop = Flag::default();
        let theirs = stop.clone();
        runtime.block_on(async move {
            let (there, back) = (Queue::unbounded(), Queue::unbounded());
            there.put(()).await.unwrap();
            let player = |from: Queue<()>, to: Queue<()>| {
                let stop = theirs.clone();
                rt::spawn(async move {
                    while !stop.is_up() && from.get().await.is_ok() {
                        let _ = to.put(()).await;
                    }
                    to.shutdown();
                })
            };
            let players = [player(there.clone(), back.clone()), player(back, there)];
            rt::spawn(async move {
                for _ in 0..10 {
                    rt::yield_now().await;
                }
                theirs.raise();
            })
            .await
            .unwrap();
            for player in players {
                player.await.unwrap();
            }
        });
    });
}

/// X6.
#[test]
fn x6_a_flood_of_tasks_from_outside_does_not_starve_the_tasks_inside() {
    each_size(|runtime| {
        let stop = Flag::default();
        let n_flooded = Count::default();
        let (handle, flag, count) = (runtime.handle().clone(), stop.clone(), n_flooded.clone());
        let flood = thread::spawn(move || {
            while !flag.is_up() {
                let count = count.clone();
                drop(handle.spawn(async move { count.add() }));
                if count_ahead(&handle) > 10_000 {
                    thread::yield_now();
                }
            }
        });
        let inside = n_flooded.clone();
        runtime.block_on(async move {
            while inside.get() == 0 {
                rt::yield_now().await;
            }
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    rt::spawn(async {
                        for _ in 0..100 {
                            rt::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        stop.raise();
        flood.join().unwrap();
    });
}

fn count_ahead(handle: &rt::Handle) -> usize {
    handle.metrics().n_injected
}

/// A task that blocks its thread for 300 ms, and how long others on its worker took meanwhile.
fn delays_behind_a_blocked_worker(n_workers: usize) -> Vec<Duration> {
    let runtime = support::builder(n_workers).build().unwrap();
    let (send, delays) = mpsc::channel();
    let blocked = runtime.spawn(async move {
        let began = Instant::now();
        for _ in 0..20 {
            let send = send.clone();
            rt::spawn(async move { send.send(began.elapsed()).unwrap() });
        }
        let (late, due) = (send.clone(), rt::sleep(ms(10)));
        rt::spawn(async move {
            due.await;
            late.send(began.elapsed().saturating_sub(ms(10))).unwrap();
        });
        rt::time::call_later(ms(20), move || {
            send.send(began.elapsed().saturating_sub(ms(20))).unwrap()
        });
        thread::sleep(ms(300));
        began.elapsed()
    });
    let blocked_for = blocked.join_blocking().unwrap();
    assert!(blocked_for >= ms(300));
    delays.iter().collect()
}

/// S1-35, S0-18: bounds are wide and the best of a few tries counts, since it measures real time.
#[test]
fn tasks_and_timers_behind_a_blocked_worker_are_served_by_the_others() {
    for n_workers in [2, 8] {
        must_end("behind a blocked worker", move || {
            let worst = (0..5).map(|_| {
                let delays = delays_behind_a_blocked_worker(n_workers);
                assert_eq!(delays.len(), 22);
                delays.into_iter().max().unwrap()
            });
            let best = worst
                .inspect(|worst| eprintln!("worst delay {worst:?}"))
                .min()
                .unwrap();
            assert!(
                best < ms(80),
                "with {n_workers} workers they waited for {best:?}"
            );
        });
    }
}

/// S1-35: timers that were armed before by the task that then blocks its thread.
#[test]
fn timers_of_a_blocked_worker_are_fired_by_others() {
    must_end("with timers of a blocked worker", || {
        let best = (0..5)
            .map(|_| {
                let runtime = support::builder(2).build().unwrap();
                let (send, delay) = mpsc::channel();
                let blocked = runtime.spawn(async move {
                    let began = Instant::now();
                    let sleeper = rt::spawn(async move {
                        rt::sleep(ms(50)).await;
                        send.send(began.elapsed()).unwrap();
                    });
                    rt::yield_now().await;
                    thread::sleep(ms(300));
                    sleeper.await.unwrap();
                });
                blocked.join_blocking().unwrap();
                let woken_after = delay.recv().unwrap();
                assert!(woken_after >= ms(50), "{woken_after:?}");
                woken_after
            })
            .min()
            .unwrap();
        assert!(best < ms(130), "it slept for {best:?}");
    });
}

/// S1-35: what a blocked `block_on` future spawned goes on as well.
#[test]
fn tasks_behind_a_blocked_main_future_are_served_by_the_workers() {
    must_end("behind a blocked main", || {
        let runtime = support::builder(2).build().unwrap();
        runtime.block_on(async {
            let ran = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ran);
            rt::spawn(async move { theirs.store(true, SeqCst) });
            let began = Instant::now();
            while !ran.load(SeqCst) {
                assert!(
                    began.elapsed() < Duration::from_secs(20),
                    "nobody took it over"
                );
                thread::sleep(ms(1));
            }
        });
    });
}

/// S0-18: with `block_in_place` the worker is replaced at once.
#[test]
fn block_in_place_lets_the_tasks_behind_it_go_on() {
    for n_workers in [1, 2, 8] {
        must_end("with block_in_place", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let value = runtime.block_on(async {
                rt::spawn(async {
                    let (send, received) = mpsc::channel();
                    rt::spawn(async move {
                        rt::sleep(ms(5)).await;
                        rt::spawn(async move { send.send(7).unwrap() });
                    });
                    // Would wait for ever if nobody worked in this thread's place.
                    let value = rt::block_in_place(|| received.recv().unwrap());
                    rt::yield_now().await;
                    value
                })
                .await
                .unwrap()
            });
            assert_eq!(value, 7);
            support::assert_well(&runtime);
        });
    }
}

/// S1-37, design: a nested `block_on` helps to run tasks, on however few workers.
#[test]
fn a_nested_block_on_waits_for_tasks_of_its_own_worker() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            rt::spawn(async {
                let (send, received) = oneshot::channel();
                rt::spawn(async move { send.send(7).unwrap() });
                rt::block_on(async { rt::spawn(async { received.await.unwrap() }).await.unwrap() })
            })
            .await
            .unwrap()
        });
        assert_eq!(value, 7);
    });
}

/// Deeply nested, and blocking joins in between.
#[test]
fn nested_block_on_and_blocking_joins_go_deep() {
    fn dive(depth: u32) -> u32 {
        match depth {
            0 => 0,
            _ if depth % 2 == 0 => {
                rt::block_on(
                    async move { rt::spawn(async move { dive(depth - 1) }).await.unwrap() + 1 },
                )
            }
            _ => {
                rt::spawn(async move { dive(depth - 1) })
                    .join_blocking()
                    .unwrap()
                    + 1
            }
        }
    }
    each_size(|runtime| {
        let depth = runtime.block_on(async { rt::spawn(async { dive(20) }).await.unwrap() });
        assert_eq!(depth, 20);
    });
}

/// A parked worker is woken for work from a plain thread, again and again.
#[test]
fn no_wake_from_outside_is_lost() {
    each_size(|runtime| {
        let handle = runtime.handle().clone();
        let (send, requests) = mpsc::channel::<oneshot::Sender<u32>>();
        let echo = thread::spawn(move || {
            for (i, reply) in requests.into_iter().enumerate() {
                if i % 3 == 0 {
                    thread::yield_now();
                }
                reply.send(7).unwrap();
            }
            drop(handle);
        });
        runtime.block_on(async {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let send = send.clone();
                    rt::spawn(async move {
                        for _ in 0..500 {
                            let (reply, answer) = oneshot::channel();
                            send.send(reply).unwrap();
                            assert_eq!(answer.await, Ok(7));
                        }
                    })
                })
                .collect();
            drop(send);
            for task in tasks {
                task.await.unwrap();
            }
        });
        echo.join().unwrap();
    });
}
