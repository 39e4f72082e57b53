//! Many things at once on 1, 2 and 8 workers: what is lost, run twice or left hanging shows here.
//!
//! Each test counts what it started and what ended. What it does not show is which interleaving broke it; the
//! models in `src/models` are for that.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use rt_tasks_runtime as rt;

const SIZES: [usize; 3] = [1, 2, 8];

fn runtime(n_workers: usize) -> Arc<rt::Runtime> {
    Arc::new(rt::Builder::new().workers(n_workers).build().unwrap())
}

/// Aborts with a message if the test does not end: a lost wake-up would hang it for ever.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn new(what: &'static str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let theirs = is_over.clone();
        thread::spawn(move || {
            for _ in 0..600 {
                thread::sleep(Duration::from_millis(100));
                if theirs.load(Relaxed) {
                    return;
                }
            }
            eprintln!("{what} hangs");
            std::process::abort();
        });
        Self(is_over)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A small generator, so that each thread does its own things in its own order.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A gate that wakes whoever waits, from whatever thread opens it.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.is_open.store(true, SeqCst);
        for waker in std::mem::take(&mut *self.wakers.lock().unwrap()) {
            waker.wake();
        }
    }

    fn wait(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let gate = self.clone();
        std::future::poll_fn(move |cx| {
            if gate.is_open.load(SeqCst) {
                return Poll::Ready(());
            }
            gate.wakers.lock().unwrap().push(cx.waker().clone());
            if gate.is_open.load(SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn whatever_happens_to_a_task_its_future_is_dropped_once() {
    let _watchdog = Watchdog::new("spawn, wake, cancel and detach");
    for n_workers in SIZES {
        let runtime = runtime(n_workers);
        let n_dropped = Arc::new(AtomicUsize::new(0));
        let n_spawned = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..3u64)
            .map(|number| {
                let (handle, n_dropped, n_spawned) = (
                    runtime.handle().clone(),
                    n_dropped.clone(),
                    n_spawned.clone(),
                );
                thread::spawn(move || {
                    let mut dice = Dice(number + 1);
                    for _ in 0..2000 {
                        let gate = Arc::new(Gate::default());
                        let (wait, counted) = (gate.wait(), Counted(n_dropped.clone()));
                        n_spawned.fetch_add(1, Relaxed);
                        let task = handle.spawn(async move {
                            let counted = counted;
                            wait.await;
                            counted
                        });
                        let canceller = task.cancel_handle();
                        match dice.below(6) {
                            0 => drop((gate.open(), task)),
                            1 => drop((task, gate.open())),
                            2 => drop((canceller.cancel(), gate.open(), task)),
                            3 => {
                                gate.open();
                                canceller.cancel();
                                drop(task.join_blocking());
                            }
                            4 => {
                                let opener = thread::spawn(move || gate.open());
                                drop(task.join_blocking().unwrap());
                                opener.join().unwrap();
                            }
                            _ => drop(task.cancel_on_drop()),
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        drop(runtime);
        assert_eq!(n_dropped.load(Relaxed), n_spawned.load(Relaxed));
    }
}

#[test]
fn many_guests_at_once_all_get_their_values() {
    let _watchdog = Watchdog::new("block_on from many threads");
    for n_workers in SIZES {
        let runtime = runtime(n_workers);
        let guests: Vec<_> = (0..6u64)
            .map(|number| {
                let runtime = runtime.clone();
                thread::spawn(move || {
                    let mut dice = Dice(number + 1);
                    for round in 0..1000 {
                        let kind = dice.below(5);
                        let value = runtime.block_on(async move {
                            match kind {
                                0 => rt::spawn(async move { round }).await.unwrap(),
                                1 => {
                                    rt::sleep(Duration::from_micros(50)).await;
                                    round
                                }
                                2 => rt::spawn(async move { rt::block_on(async move { round }) })
                                    .await
                                    .unwrap(),
                                3 => rt::spawn(async move {
                                    rt::block_in_place(thread::yield_now);
                                    rt::yield_now().await;
                                    round
                                })
                                .await
                                .unwrap(),
                                _ => rt::spawn_blocking(move || round).await.unwrap(),
                            }
                        });
                        assert_eq!(value, round);
                    }
                })
            })
            .collect();
        for guest in guests {
            guest.join().unwrap();
        }
    }
}

#[test]
fn guests_on_a_current_thread_runtime_take_turns() {
    let _watchdog = Watchdog::new("block_on from many threads on one seat");
    let runtime = Arc::new(rt::Builder::current_thread().build().unwrap());
    let guests: Vec<_> = (0..4u64)
        .map(|_| {
            let runtime = runtime.clone();
            thread::spawn(move || {
                for round in 0..2000u64 {
                    let task = runtime.spawn(async move { round });
                    assert_eq!(runtime.block_on(task).unwrap(), round);
                }
            })
        })
        .collect();
    for guest in guests {
        guest.join().unwrap();
    }
}

#[test]
fn block_on_nests_in_tasks_of_tasks() {
    fn nest(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                rt::sleep(Duration::from_micros(20)).await;
                return 1;
            }
            let task = rt::spawn(async move { rt::block_on(nest(depth - 1)) });
            rt::yield_now().await;
            task.await.unwrap() + 1
        })
    }
    let _watchdog = Watchdog::new("nested block_on");
    for n_workers in SIZES {
        let runtime = runtime(n_workers);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let runtime = runtime.clone();
                thread::spawn(move || {
                    for _ in 0..200 {
                        assert_eq!(runtime.block_on(nest(4)), 5);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn blocking_in_place_everywhere_lets_the_others_run() {
    let _watchdog = Watchdog::new("block_in_place");
    for n_workers in SIZES {
        let runtime = runtime(n_workers);
        let n_ended = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..300)
                .map(|_| {
                    let n_ended = n_ended.clone();
                    rt::spawn(async move {
                        let (sender, receiver) = std::sync::mpsc::channel();
                        rt::spawn(async move {
                            rt::yield_now().await;
                            sender.send(()).unwrap();
                        });
                        rt::block_in_place(|| receiver.recv().unwrap());
                        rt::yield_now().await;
                        n_ended.fetch_add(1, Relaxed);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(n_ended.load(Relaxed), 300);
    }
}

#[test]
fn runtimes_come_and_go_whatever_they_were_doing() {
    let _watchdog = Watchdog::new("building and dropping runtimes");
    for round in 0..600u64 {
        let n_workers = SIZES[(round % 3) as usize];
        let runtime = runtime(n_workers);
        let n_dropped = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Gate::default());
        let handle = runtime.handle().clone();
        let (theirs, opener) = (n_dropped.clone(), gate.clone());
        // Spawns across the beginning and the end of the shutdown.
        let outsider = thread::spawn(move || {
            let mut dice = Dice(round + 1);
            let mut n_spawned = 0;
            for _ in 0..100 {
                let (wait, counted) = (opener.wait(), Counted(theirs.clone()));
                n_spawned += 1;
                drop(handle.spawn(async move {
                    let _counted = counted;
                    wait.await;
                    rt::yield_now().await;
                }));
                if dice.below(30) == 0 {
                    opener.open();
                }
            }
            n_spawned
        });
        for i in 0..20 {
            let wait = gate.wait();
            runtime.spawn(async move {
                if i % 2 == 0 {
                    wait.await
                } else {
                    rt::sleep(Duration::from_millis(i)).await
                }
                rt::spawn(async {}).await.ok();
            });
        }
        if round % 4 == 0 {
            runtime.block_on(rt::yield_now());
        }
        drop(runtime);
        let n_spawned = outsider.join().unwrap();
        assert_eq!(n_dropped.load(Relaxed), n_spawned, "in round {round}");
    }
}

#[test]
fn a_ping_from_thread_to_task_and_back_is_never_lost() {
    struct Flag(thread::Thread, AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.1.store(true, SeqCst);
            self.0.unpark();
        }
    }
    let _watchdog = Watchdog::new("waking from outside");
    for n_workers in SIZES {
        let runtime = runtime(n_workers);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let runtime = runtime.clone();
                thread::spawn(move || {
                    for _ in 0..5000 {
                        // A runtime that is idle each time: the wake-up meets workers going to sleep.
                        let mut task = runtime.spawn(async {});
                        let flag = Arc::new(Flag(thread::current(), AtomicBool::new(false)));
                        let waker = Waker::from(flag.clone());
                        while Pin::new(&mut task)
                            .poll(&mut Context::from_waker(&waker))
                            .is_pending()
                        {
                            while !flag.1.swap(false, SeqCst) {
                                thread::park();
                            }
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
