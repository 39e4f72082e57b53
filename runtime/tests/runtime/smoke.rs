//! The first things anybody does with a runtime, on 1, 2 and 8 workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rt_tasks_runtime as rt;

fn each_size(test: impl Fn(&rt::Runtime)) {
    test(&rt::Builder::current_thread().build().unwrap());
    for n_workers in [1, 2, 8] {
        test(&rt::Builder::new().workers(n_workers).build().unwrap());
    }
}

#[test]
fn a_thousand_tasks_give_their_values() {
    each_size(|runtime| {
        let sum = runtime.block_on(async {
            let handles: Vec<_> = (0..1000u64).map(|i| rt::spawn(async move { i })).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499_500);
    });
}

#[test]
fn tasks_that_yield_and_spawn_all_end() {
    each_size(|runtime| {
        let n_ended = Arc::new(AtomicUsize::new(0));
        let theirs = n_ended.clone();
        runtime.block_on(async move {
            let mut handles = vec![];
            for _ in 0..100 {
                let n_ended = theirs.clone();
                handles.push(rt::spawn(async move {
                    for _ in 0..10 {
                        rt::yield_now().await;
                        let n_ended = n_ended.clone();
                        rt::spawn(async move {
                            rt::yield_now().await;
                            n_ended.fetch_add(1, Relaxed);
                        })
                        .await
                        .unwrap();
                    }
                }));
            }
            for handle in handles {
                handle.await.unwrap();
            }
        });
        assert_eq!(n_ended.load(Relaxed), 1000);
    });
}

#[test]
fn sleeps_end_in_time_and_side_by_side() {
    each_size(|runtime| {
        let start = Instant::now();
        runtime.block_on(async {
            let handles: Vec<_> = (0..100)
                .map(|i| rt::spawn(rt::sleep(Duration::from_millis(20 + i % 10))))
                .collect();
            for handle in handles {
                handle.await.unwrap();
            }
        });
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(29), "{elapsed:?}");
        assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
    });
}

#[test]
fn an_hour_of_virtual_time_takes_no_time_and_is_exact() {
    for n_workers in [0, 1, 2, 8] {
        let builder = match n_workers {
            0 => rt::Builder::current_thread(),
            n => rt::Builder::new().workers(n),
        };
        let runtime = builder.virtual_time(true).build().unwrap();
        let real = Instant::now();
        runtime.block_on(async {
            let start = rt::Instant::now();
            let handles: Vec<_> = (1..=60u64)
                .map(|minute| rt::spawn(rt::sleep(Duration::from_secs(60 * minute))))
                .collect();
            for handle in handles {
                handle.await.unwrap();
            }
            assert_eq!(start.elapsed(), Duration::from_secs(3600));
        });
        assert!(real.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn blocking_work_runs_side_by_side() {
    each_size(|runtime| {
        let start = Instant::now();
        runtime.block_on(async {
            let handles: Vec<_> = (0..20)
                .map(|_| rt::spawn_blocking(|| std::thread::sleep(Duration::from_millis(30))))
                .collect();
            for handle in handles {
                handle.await.unwrap();
            }
        });
        assert!(
            start.elapsed() < Duration::from_millis(400),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn spawning_from_plain_threads_and_joining_there() {
    for n_workers in [1, 2, 8] {
        let runtime = rt::Builder::new().workers(n_workers).build().unwrap();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handle = runtime.handle().clone();
                std::thread::spawn(move || {
                    (0..200u64)
                        .map(|i| handle.spawn(async move { i }).join_blocking().unwrap())
                        .sum::<u64>()
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 19_900);
        }
    }
}

#[test]
fn block_on_inside_a_task_helps() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            rt::spawn(async {
                rt::block_on(async {
                    let inner = rt::spawn(async { rt::spawn(async { 5 }).await.unwrap() });
                    inner.await.unwrap()
                })
            })
            .await
            .unwrap()
        });
        assert_eq!(value, 5);
    });
}

#[test]
fn block_in_place_lets_the_others_run() {
    let runtime = rt::Builder::new().workers(1).build().unwrap();
    let value = runtime.block_on(async {
        rt::spawn(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            rt::spawn(async move { sender.send(3).unwrap() });
            rt::block_in_place(|| receiver.recv().unwrap())
        })
        .await
        .unwrap()
    });
    assert_eq!(value, 3);
}

#[test]
fn block_in_place_works_though_all_blocking_threads_block() {
    let builder = rt::Builder::new().workers(1).blocking_threads(1);
    let runtime = builder.build().unwrap();
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let blocking = runtime.spawn_blocking(move || blocked.recv());
    let value = runtime.block_on(async {
        rt::spawn(async {
            let (sender, receiver) = std::sync::mpsc::channel();
            rt::spawn(async move { sender.send(3).unwrap() });
            rt::block_in_place(|| receiver.recv().unwrap())
        })
        .await
        .unwrap()
    });
    assert_eq!(value, 3);
    unblock.send(()).unwrap();
    runtime.block_on(blocking).unwrap().unwrap();
}

#[test]
fn debug_mode_measures_how_long_a_task_is_busy() {
    let nap = Duration::from_millis(20);
    for debug in [false, true] {
        let runtime = rt::Builder::new().workers(1).debug(debug).build().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        runtime.block_on(async {
            let task = rt::spawn(async move {
                std::thread::sleep(nap);
                rt::yield_now().await;
                std::thread::sleep(nap);
            });
            task.on_finish(move |info| sender.send(info.busy).unwrap());
            task.await.unwrap();
        });
        let busy = receiver.recv().unwrap();
        assert!(
            if debug {
                busy >= 2 * nap
            } else {
                busy.is_zero()
            },
            "{busy:?}"
        );
    }
}

#[test]
fn cancelling_runs_cleanup_before_the_join_resolves() {
    each_size(|runtime| {
        let n_clean = Arc::new(AtomicUsize::new(0));
        let theirs = n_clean.clone();
        runtime.block_on(async move {
            let flag = theirs.clone();
            let task = rt::spawn(rt::finally(std::future::pending::<()>(), async move {
                rt::sleep(Duration::from_millis(5)).await;
                flag.fetch_add(1, Relaxed);
            }));
            rt::yield_now().await;
            rt::sleep(Duration::from_millis(1)).await;
            assert!(task.cancel_with("enough"));
            let error = task.await.unwrap_err();
            assert_eq!(error.reason(), Some("enough"));
            assert_eq!(theirs.load(Relaxed), 1);
        });
    });
}

/// Timers of a guest are exact, and its thread gets back what it had.
#[test]
#[cfg(target_os = "linux")]
fn block_on_sleeps_exactly_and_leaves_the_thread_as_it_was() {
    use rustix::thread::current_timer_slack;

    let slack_of = |builder: rt::Builder| {
        let before = current_timer_slack().unwrap();
        let slack = builder.build().unwrap().block_on(async {
            assert_eq!(current_timer_slack().unwrap(), before);
            rt::sleep(Duration::from_millis(2)).await;
            current_timer_slack().unwrap()
        });
        assert_eq!(current_timer_slack().unwrap(), before);
        slack
    };
    assert_eq!(slack_of(rt::Builder::current_thread()), 1);
    assert_eq!(slack_of(rt::Builder::new().workers(2)), 1);
}
