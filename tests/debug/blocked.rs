//! Blocked workers: what is left goes on, and goes back to normal afterwards.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Count, Flag, assert_well, builder, ms, must_end};

/// Runtimes whose workers are threads.
const SIZES: [usize; 3] = [1, 2, 8];

/// What must be served while all workers are blocked has to be so within 20 ms. The best of many tries counts,
/// and the bound is wider, because other programs use the machine too.
const BOUND: Duration = ms(60);

/// On a machine at rest the first is enough.
const N_TRIES: usize = 40;

/// Tasks that block their thread until this is dropped.
struct Blocked<'a> {
    runtime: &'a rt::Runtime,
    release: Flag,
    ended: Count,
    n_tasks: usize,
}

impl<'a> Blocked<'a> {
    /// Blocks so many threads of the runtime, and returns when all are.
    fn all(runtime: &'a rt::Runtime, n_tasks: usize) -> Self {
        let (release, ended, blocked) = (Flag::default(), Count::default(), Count::default());
        for _ in 0..n_tasks {
            let (release, ended, blocked) = (release.clone(), ended.clone(), blocked.clone());
            runtime.spawn(async move {
                blocked.add();
                release.wait();
                ended.add();
            });
        }
        while blocked.get() < n_tasks {
            thread::sleep(ms(1));
        }
        Self {
            runtime,
            release,
            ended,
            n_tasks,
        }
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.release.raise();
        while self.ended.get() < self.n_tasks {
            thread::sleep(ms(1));
        }
        wait_for_no_spare(self.runtime);
    }
}

fn wait_for_no_spare(runtime: &rt::Runtime) {
    while runtime.metrics().n_spares > 0 {
        thread::sleep(ms(1));
    }
}

/// How late the slowest of a task, a timer and a socket was, with all workers blocked.
fn delay_with_all_blocked(n_workers: usize) -> Duration {
    let runtime = builder(n_workers).build().unwrap();
    let listener = runtime
        .block_on(rt::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut byte = [0];
        while peer.read_exact(&mut byte).await.is_ok() {
            peer.write_all(&byte).await.unwrap();
        }
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let mut echo = move || {
        let began = Instant::now();
        socket.write_all(b"x").unwrap();
        socket.read_exact(&mut [0]).unwrap();
        began.elapsed()
    };
    echo();
    let blocked = Blocked::all(&runtime, n_workers);
    let began = Instant::now();
    let task = runtime
        .spawn(async move { began.elapsed() })
        .join_blocking()
        .unwrap();
    let timer = runtime
        .spawn(async {
            let due = Instant::now() + ms(10);
            rt::sleep(ms(10)).await;
            due.elapsed()
        })
        .join_blocking()
        .unwrap();
    let socket = echo();
    eprintln!("{n_workers} blocked: task {task:?}, timer {timer:?}, socket {socket:?}");
    drop(blocked);
    task.max(timer).max(socket)
}

/// S0-18: with every worker blocked a ready task, a timer and a socket are served all the same.
#[test]
fn s0_18_a_task_a_timer_and_a_socket_are_served_while_every_worker_is_blocked() {
    for n_workers in SIZES {
        must_end("with every worker blocked", move || {
            let is_soon = |_| delay_with_all_blocked(n_workers) < BOUND;
            assert!((0..N_TRIES).any(is_soon), "{n_workers} workers");
        });
    }
}

/// S0-18: what waits in the queue, the slot and the timers of a worker that then blocks.
#[test]
fn s0_18_what_the_only_worker_has_left_behind_is_served_while_it_is_blocked() {
    must_end("behind the only worker", || {
        let is_soon = |_| {
            let runtime = builder(1).build().unwrap();
            let (send, delays) = mpsc::channel();
            let release = Flag::default();
            let released = release.clone();
            runtime.spawn(async move {
                let began = Instant::now();
                for _ in 0..3 {
                    let send = send.clone();
                    rt::spawn(async move { send.send(began.elapsed()).unwrap() });
                }
                let sleeper = send.clone();
                rt::spawn(async move {
                    rt::sleep(ms(30)).await;
                    sleeper.send(began.elapsed() - ms(30)).unwrap();
                });
                rt::yield_now().await;
                // Woken by this task, so it is in the slot.
                let notify = Arc::new(rt::sync::Event::new());
                let theirs = notify.clone();
                rt::spawn(async move {
                    theirs.wait().await;
                    send.send(began.elapsed()).unwrap();
                });
                rt::yield_now().await;
                notify.set();
                released.wait();
            });
            let worst = (0..5).map(|_| delays.recv().unwrap()).max().unwrap();
            release.raise();
            eprintln!("behind the only worker: {worst:?}");
            worst < BOUND
        };
        assert!((0..N_TRIES).any(is_soon));
    });
}

/// S0-18: a `block_on` that blocks its thread again and again is found once by the monitor. From then on a worker is
/// woken as soon as it spawns.
#[test]
fn s0_18_a_thread_that_blocks_repeatedly_in_one_poll_is_helped_at_once() {
    const ROUNDS: u32 = 100;
    must_end("with a thread that blocks again and again", || {
        let runtime = builder(2).build().unwrap();
        let (send, answers) = mpsc::channel();
        runtime.block_on(async {
            for round in 0..ROUNDS {
                let send = send.clone();
                rt::spawn(async move { send.send(round).unwrap() });
                assert_eq!(answers.recv(), Ok(round));
            }
        });
        // Each time, if it had to be found anew. Other programs may keep a worker that was woken from its processor.
        let n_rescues = runtime.metrics().n_rescues;
        assert!((1..ROUNDS / 4).contains(&n_rescues), "{n_rescues} rescues");
        assert_well(&runtime);
    });
}

/// S0-18: they meet only if all of them block at the same time.
#[test]
fn s0_18_many_more_tasks_than_workers_may_block_at_once() {
    for n_workers in SIZES {
        must_end("with forty blocked tasks", move || {
            let runtime = builder(n_workers).build().unwrap();
            let barrier = Arc::new(Barrier::new(40));
            let tasks: Vec<_> = (0..40)
                .map(|_| {
                    let barrier = barrier.clone();
                    runtime.spawn(async move { barrier.wait().is_leader() })
                })
                .collect();
            let n_leaders: usize = tasks
                .into_iter()
                .map(|task| usize::from(task.join_blocking().unwrap()))
                .sum();
            assert_eq!(n_leaders, 1);
            assert_well(&runtime);
        });
    }
}

/// So many spare threads there are at most, whatever happens.
const MAX_SPARES: usize = 56;

/// Fewer spare threads than that, however many tasks block.
#[test]
fn the_number_of_spare_threads_is_bounded() {
    must_end("with two hundred blocked tasks", || {
        let runtime = builder(1).build().unwrap();
        let (release, ended) = (Flag::default(), Count::default());
        for _ in 0..200 {
            let (release, ended) = (release.clone(), ended.clone());
            runtime.spawn(async move {
                release.wait();
                ended.add();
            });
        }
        // As many as there may be, and then for a while no more.
        let mut most = 0;
        let mut n_looks_since = 0;
        while most < MAX_SPARES || n_looks_since < 100 {
            most = most.max(runtime.metrics().n_spares);
            n_looks_since += usize::from(most >= MAX_SPARES);
            thread::sleep(ms(1));
        }
        release.raise();
        while ended.get() < 200 {
            thread::sleep(ms(1));
        }
        assert_eq!(most, MAX_SPARES);
    });
}

/// A core is not shared among more threads because tasks compute for long.
#[cfg(target_os = "linux")]
#[test]
fn tasks_that_compute_get_one_spare_thread_at_most() {
    must_end("with computing tasks", || {
        let runtime = builder(2).build().unwrap();
        let (ended, is_seen) = (Count::default(), Flag::default());
        for _ in 0..12 {
            let (ended, is_seen) = (ended.clone(), is_seen.clone());
            runtime.spawn(async move {
                let began = Instant::now();
                while began.elapsed() < ms(60) || !is_seen.is_up() {
                    std::hint::spin_loop();
                }
                ended.add();
            });
        }
        let mut most = 0;
        while ended.get() < 12 {
            most = most.max(runtime.metrics().n_spares);
            if most > 0 {
                is_seen.raise();
            }
            thread::sleep(ms(1));
        }
        assert_eq!(most, 1, "two workers and one more compute");
    });
}

/// Where other programs use all processors, one more thread would take from them and from the workers.
#[cfg(target_os = "linux")]
#[test]
fn workers_that_wait_for_a_processor_get_no_spare_thread() {
    let counts = std::fs::read_to_string("/proc/self/schedstat");
    if !counts.is_ok_and(|counts| !counts.starts_with("0 ")) {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED workers_that_wait_…: the system does not count processor time"
        );
        return;
    }
    must_end("beside programs that compute", || {
        let is_over = Flag::default();
        let n_processors = thread::available_parallelism().unwrap().get();
        let compute = || {
            let is_over = is_over.clone();
            thread::spawn(move || {
                while !is_over.is_up() {
                    std::hint::spin_loop();
                }
            })
        };
        let others: Vec<_> = (0..4 * n_processors).map(|_| compute()).collect();
        let runtime = builder(2).build().unwrap();
        for _ in 0..8 {
            let is_over = is_over.clone();
            runtime.spawn(async move { is_over.up().await });
        }
        thread::sleep(ms(1_000));
        is_over.raise();
        others.into_iter().for_each(|other| other.join().unwrap());
        let n_threads = runtime.metrics().workers.len();
        assert_eq!(n_threads, 2, "a spare thread was started");
    });
}

/// When the blocked have come back the spare threads go, and the runtime is as before.
#[test]
fn spare_threads_retire_when_the_blocked_have_come_back() {
    for n_workers in SIZES {
        must_end("with retiring threads", move || {
            let runtime = builder(n_workers).build().unwrap();
            for _ in 0..3 {
                let blocked = Blocked::all(&runtime, n_workers + 2);
                assert!(runtime.metrics().n_spares >= 2);
                drop(blocked);
                assert_eq!(runtime.metrics().n_spares, 0);
                assert_well(&runtime);
            }
        });
    }
}

/// What a task does on a spare thread is what it does anywhere: it spawns, sleeps, gives its seat away, and
/// waits inside.
#[test]
fn a_task_on_a_spare_thread_may_do_anything() {
    must_end("on a spare thread", || {
        let runtime = builder(1).build().unwrap();
        let blocked = Blocked::all(&runtime, 1);
        for _ in 0..3 {
            let task = runtime.spawn(async {
                let (send, received) = mpsc::channel();
                rt::spawn(async move {
                    rt::sleep(ms(2)).await;
                    rt::spawn(async move { send.send(3).unwrap() });
                });
                let in_place = rt::block_in_place(|| received.recv().unwrap());
                let inside = rt::block_on(async {
                    rt::sleep(ms(1)).await;
                    rt::spawn(async { 4 }).await.unwrap()
                });
                let forked = rt::fork_join(|s| s.spawn(|| 5).join()).unwrap();
                rt::yield_now().await;
                in_place + inside + forked
            });
            assert_eq!(task.join_blocking().unwrap(), 12);
        }
        drop(blocked);
        assert_well(&runtime);
    });
}

/// A timer that was set on a spare thread fires when that has long gone.
#[test]
fn a_timer_outlives_the_spare_thread_that_set_it() {
    must_end("with a timer of a spare thread", || {
        let runtime = builder(1).build().unwrap();
        let blocked = Blocked::all(&runtime, 1);
        let (send, is_set) = mpsc::channel();
        let sleeper = runtime.spawn(async move {
            let began = Instant::now();
            send.send(()).unwrap();
            rt::sleep(ms(400)).await;
            began.elapsed()
        });
        is_set.recv().unwrap();
        drop(blocked);
        assert_eq!(runtime.metrics().n_spares, 0);
        let slept = sleeper.join_blocking().unwrap();
        assert!(slept >= ms(400) && slept < ms(2000), "{slept:?}");
    });
}

/// With virtual time the clock stands while a worker is blocked, and jumps when the spare threads have gone.
#[test]
fn virtual_time_stands_while_workers_are_blocked_and_goes_on_afterwards() {
    must_end("with virtual time", || {
        for n_workers in SIZES {
            let runtime = builder(n_workers).virtual_time(true).build().unwrap();
            let blocked = Blocked::all(&runtime, n_workers + 1);
            let sleeper = runtime.spawn(async {
                let began = rt::Instant::now();
                rt::sleep(Duration::from_secs(3600)).await;
                began.elapsed()
            });
            assert_eq!(runtime.spawn(async { 7 }).join_blocking().unwrap(), 7);
            assert!(!sleeper.is_finished());
            drop(blocked);
            assert_eq!(sleeper.join_blocking().unwrap(), Duration::from_secs(3600));
        }
    });
}

/// Tasks that block now and then, timers, wake-ups across threads, and an end in the middle of it.
#[test]
fn nothing_is_lost_while_workers_block_and_spares_come_and_go() {
    for n_workers in SIZES {
        must_end("under stress", move || {
            for round in 0..12 {
                let runtime = builder(n_workers).build().unwrap();
                let n_ended = Count::default();
                let tasks: Vec<_> = (0..150u64)
                    .map(|i| {
                        let n_ended = n_ended.clone();
                        runtime.spawn(async move {
                            if i % 7 == round % 7 {
                                thread::sleep(ms(1 + i % 16));
                            }
                            rt::sleep(Duration::from_micros(i * 37)).await;
                            let (send, receive) = rt::sync::oneshot::channel();
                            rt::spawn(async move {
                                rt::yield_now().await;
                                send.send(i).unwrap();
                            });
                            if i % 31 == 0 {
                                thread::sleep(ms(12));
                            }
                            // Whoever sends may be cancelled first, by the end in the middle of it.
                            let received = receive.await.ok();
                            assert!(received == Some(i) || (received.is_none() && round % 3 == 0));
                            n_ended.add();
                        })
                    })
                    .collect();
                if round % 3 == 0 {
                    // In the middle of it: each ends, or is cancelled.
                    thread::sleep(ms(15));
                    let report = runtime.shutdown(Duration::from_secs(10));
                    assert!(report.is_clean(), "{report}");
                    let ends = tasks.into_iter().map(rt::JoinHandle::join_blocking);
                    let n_cancelled = ends.filter(Result::is_err).count();
                    assert_eq!(n_ended.get() + n_cancelled, 150);
                } else {
                    for task in tasks {
                        task.join_blocking().unwrap();
                    }
                    assert_eq!(n_ended.get(), 150);
                }
            }
        });
    }
}
