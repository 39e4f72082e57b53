//! Blocking and computing work: its own threads, a limit, a line, and results that come back like a task's.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use crate::support::{self, Count, Flag, Log, each_builder, each_size, ms, must_end};

/// S0-15: three that block run side by side. None could end if they ran one after another.
#[test]
fn blocking_jobs_run_side_by_side() {
    each_size(|runtime| {
        let together = Arc::new(Barrier::new(3));
        runtime.block_on(async {
            let jobs: Vec<_> = (0..3)
                .map(|_| {
                    let together = Arc::clone(&together);
                    rt::spawn_blocking(move || together.wait().is_leader())
                })
                .collect();
            let mut n_leaders = 0;
            for job in jobs {
                n_leaders += u32::from(job.await.unwrap());
            }
            assert_eq!(n_leaders, 1);
        });
    });
}

/// As many threads come as there are jobs that block, and no more; those of before are used again.
#[test]
fn as_many_threads_come_as_jobs_block() {
    const N_JOBS: usize = 8;
    each_size(|runtime| {
        for _ in 0..10 {
            let together = Arc::new(Barrier::new(N_JOBS));
            let jobs: Vec<_> = (0..N_JOBS)
                .map(|_| {
                    let together = Arc::clone(&together);
                    runtime.spawn_blocking(move || together.wait().is_leader())
                })
                .collect();
            runtime.block_on(async {
                for job in jobs {
                    job.await.unwrap();
                }
            });
        }
        assert_eq!(runtime.metrics().n_blocking_threads, N_JOBS);
    });
}

/// S0-14: the runtime goes on meanwhile, and the value comes back.
#[test]
fn tasks_run_while_a_job_blocks() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            let (send, received) = mpsc::channel();
            let job = rt::spawn_blocking(move || received.recv().unwrap() + 1);
            rt::spawn(async move {
                rt::sleep(ms(1)).await;
                send.send(6).unwrap();
            });
            job.await.unwrap()
        });
        assert_eq!(value, 7);
    });
}

/// S0-14: a job is a task: it has a name, a number, a parent, and is inside the runtime.
#[test]
fn a_job_is_a_task_with_a_name_inside_the_runtime() {
    each_size(|runtime| {
        runtime.block_on(async {
            let job = rt::task::Builder::new().name("brewing").spawn_blocking(|| {
                let inner = rt::spawn(async { 7 });
                (rt::task::current(), inner.join_blocking().unwrap())
            });
            assert_eq!(job.name().as_deref(), Some("brewing"));
            let id = job.id();
            let (current, value) = job.await.unwrap();
            assert_eq!(value, 7);
            let current = current.expect("a job is a task");
            assert_eq!(
                (current.id(), current.name().as_deref()),
                (id, Some("brewing"))
            );
        });
    });
}

/// S0-17: never more than the limit at once, and the others in line.
#[test]
fn jobs_beyond_the_limit_wait_in_line() {
    for limit in [1, 2, 5] {
        each_builder(move |builder| {
            let runtime = builder.blocking_threads(limit).build().unwrap();
            let inside = Arc::new(AtomicUsize::new(0));
            let most = Arc::new(AtomicUsize::new(0));
            runtime.block_on(async {
                let jobs: Vec<_> = (0..20)
                    .map(|_| {
                        let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
                        rt::spawn_blocking(move || {
                            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                            thread::sleep(ms(1));
                            inside.fetch_sub(1, SeqCst);
                        })
                    })
                    .collect();
                for job in jobs {
                    job.await.unwrap();
                }
            });
            let most = most.load(SeqCst);
            assert!(most <= limit, "{most} at once, the limit is {limit}");
        });
    }
}

/// S0-17.
#[test]
fn jobs_in_line_run_first_in_first_out() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        let order = Arc::new(Mutex::new(vec![]));
        runtime.block_on(async {
            let (release, gate) = mpsc::channel::<()>();
            let first = rt::spawn_blocking(move || gate.recv().is_err());
            let jobs: Vec<_> = (0..50)
                .map(|i| {
                    let order = Arc::clone(&order);
                    rt::spawn_blocking(move || order.lock().unwrap().push(i))
                })
                .collect();
            assert!(rt::Handle::current().metrics().n_blocking >= 50);
            drop(release);
            assert!(first.await.unwrap());
            for job in jobs {
                job.await.unwrap();
            }
        });
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    });
}

/// Cancelling: in line it never begins, running it is not to be stopped.
#[test]
fn a_cancelled_job_never_begins_or_runs_to_its_end() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        let (ran, dropped) = (Flag::default(), Count::default());
        let (theirs, held) = (ran.clone(), dropped.on_drop());
        runtime.block_on(async move {
            let (began, begin) = mpsc::channel();
            let (release, gate) = mpsc::channel::<()>();
            let running = rt::spawn_blocking(move || {
                began.send(()).unwrap();
                let _ = gate.recv();
                7
            });
            begin.recv().unwrap();
            let waiting = rt::spawn_blocking(move || {
                let _held = held;
                theirs.raise();
            });
            assert!(waiting.cancel());
            running.cancel();
            drop(release);
            assert_eq!(running.await.unwrap(), 7, "nothing can stop it");
            assert!(waiting.await.unwrap_err().is_cancelled());
        });
        assert!(!ran.is_up());
        assert_eq!(dropped.get(), 1);
    });
}

/// An idle thread is used again.
#[test]
fn threads_are_used_again() {
    each_size(|runtime| {
        let threads = runtime.block_on(async {
            let mut threads = HashSet::new();
            for _ in 0..50 {
                threads.insert(rt::spawn_blocking(|| thread::current().id()).await.unwrap());
            }
            threads
        });
        assert!(
            threads.len() < 10,
            "{} threads for jobs one after another",
            threads.len()
        );
    });
}

/// The hooks run on each thread, the names say whose it is.
#[test]
fn hooks_run_on_every_thread_and_names_tell_whose_it_is() {
    each_builder(|builder| {
        let (starts, stops) = (Count::default(), Count::default());
        let (started, stopped) = (starts.clone(), stops.clone());
        let runtime = builder
            .name("brewery")
            .on_thread_start(move || started.add())
            .on_thread_stop(move || stopped.add())
            .build()
            .unwrap();
        let name = runtime.block_on(async {
            rt::spawn_blocking(|| thread::current().name().unwrap_or_default().to_owned())
                .await
                .unwrap()
        });
        assert!(name.starts_with("brewery"), "{name}");
        drop(runtime);
        assert!(starts.get() >= 1);
        assert_eq!(starts.get(), stops.get());
    });
}

/// Work that computes has a pool of its own, which blocking jobs cannot fill.
#[test]
fn computing_work_does_not_wait_for_blocking_work() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, gate) = mpsc::channel::<()>();
            let blocking = rt::spawn_blocking(move || gate.recv().is_err());
            let sums: Vec<_> = (0..20u64)
                .map(|n| rt::spawn_compute(move || (0..=n).sum::<u64>()))
                .collect();
            for (n, sum) in (0..20u64).zip(sums) {
                assert_eq!(sum.await.unwrap(), n * (n + 1) / 2);
            }
            drop(release);
            assert!(blocking.await.unwrap());
        });
    });
}

/// S4-11: the number from the tutorial.
#[test]
fn a_sum_of_squares_is_computed_beside_a_timer() {
    each_size(|runtime| {
        let (sum, ticked) = runtime.block_on(async {
            let sum = rt::spawn_compute(|| (0..10_000_u128).map(|i| i * i).sum::<u128>());
            let timer = rt::spawn(rt::sleep(ms(1)));
            (sum.await.unwrap(), timer.await.is_ok())
        });
        assert_eq!((sum, ticked), (333_283_335_000, true));
    });
}

/// `block_in_place` may borrow, nest, and be used anywhere.
#[test]
fn block_in_place_borrows_and_works_anywhere() {
    assert_eq!(rt::block_in_place(|| 7), 7);
    each_size(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let mut text = String::from("a");
            rt::block_in_place(|| text.push('b'));
            let task = rt::spawn(async move {
                rt::block_in_place(|| rt::block_in_place(|| text.push('c')));
                rt::yield_now().await;
                rt::block_in_place(|| text.push('d'));
                assert!(rt::task::current().is_some());
                text
            });
            theirs.say(task.await.unwrap());
        });
        assert_eq!(log, ["abcd"]);
        support::assert_well(runtime);
    });
}

/// Many at once, more than there are workers.
#[test]
fn many_tasks_block_in_place_at_once() {
    for n_workers in [2, 8] {
        must_end("blocking in place", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let together = Arc::new(Barrier::new(12));
            runtime.block_on(async {
                let tasks: Vec<_> = (0..12)
                    .map(|_| {
                        let together = Arc::clone(&together);
                        rt::spawn(async move {
                            rt::yield_now().await;
                            rt::block_in_place(|| together.wait());
                            rt::yield_now().await;
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            support::assert_well(&runtime);
        });
    }
}
