//! Nothing is left: threads, file descriptors, tasks and memory, each looked at in a process of its own.
#![cfg(target_os = "linux")]

mod support;

use std::future::pending;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use support::ms;

/// Set in the process that a test starts for itself.
const INSIDE: &str = "RT_TEST_INSIDE";

/// Runs the body of the test `name` in a process of its own, where nobody else has threads, files or memory.
fn in_a_process_of_its_own(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

fn n_entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn n_threads() -> usize {
    n_entries("/proc/self/task")
}

/// Waits for threads that have been joined to leave the list of the system too.
fn n_threads_when_at_most(expected: usize) -> usize {
    for _ in 0..1000 {
        if n_threads() <= expected {
            break;
        }
        std::thread::sleep(ms(1));
    }
    n_threads()
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How much the resident memory grows from the second round to the last, in KiB.
fn growth(rounds: u32, mut round: impl FnMut()) -> u64 {
    round();
    round();
    let before = resident();
    for _ in 2..rounds {
        round();
    }
    resident().saturating_sub(before)
}

/// Some work of every kind that starts threads or opens files.
fn use_everything(runtime: &rt::Runtime) {
    runtime.block_on(async {
        let listener = rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = rt::spawn(async move { listener.accept().await.map(drop) });
        rt::net::TcpStream::connect(address).await.unwrap();
        accept.await.unwrap().unwrap();
        let work: Vec<_> = (0..8)
            .map(|_| rt::spawn_blocking(|| std::thread::sleep(ms(1))))
            .collect();
        for job in work {
            job.await.unwrap();
        }
        rt::spawn_compute(|| 7).await.unwrap();
        rt::spawn(async { rt::block_in_place(|| std::thread::sleep(ms(1))) })
            .await
            .unwrap();
        for _ in 0..100 {
            rt::spawn(pending::<()>());
            rt::spawn(rt::sleep(Duration::from_secs(1000)));
        }
        let _listening = rt::signal::unix(rt::signal::SignalKind::USER_1).unwrap();
        let output = rt::process::Command::new("true").output().await.unwrap();
        assert!(output.status.success());
        let mut sleeping = rt::process::Command::new("sleep");
        let _killed = sleeping.arg("1000").kill_on_drop(true).spawn().unwrap();
        rt::sleep(ms(1)).await;
    });
}

/// Debug mode has a thread of its own, and asks others for their stacks.
#[test]
fn a_dropped_runtime_in_debug_mode_leaves_no_thread_and_no_descriptor() {
    in_a_process_of_its_own(
        "a_dropped_runtime_in_debug_mode_leaves_no_thread_and_no_descriptor",
        || {
            for n_workers in support::SIZES {
                for _ in 0..3 {
                    let before = (n_threads(), n_entries("/proc/self/fd"));
                    let builder = support::builder(n_workers).debug(true);
                    let runtime = builder.slow_poll(ms(20)).build().unwrap();
                    runtime.spawn(async { std::thread::sleep(ms(60)) });
                    use_everything(&runtime);
                    drop(runtime);
                    let after = (n_threads_when_at_most(before.0), n_entries("/proc/self/fd"));
                    assert_eq!(before, after, "with {n_workers} worker(s)");
                }
            }
        },
    );
}

/// Spare threads that are at work, idle or about to retire when the runtime is dropped.
#[test]
fn a_runtime_dropped_with_spare_threads_leaves_none() {
    in_a_process_of_its_own("a_runtime_dropped_with_spare_threads_leaves_none", || {
        for n_workers in [1, 2, 8] {
            for pause in [0, 15, 40, 120, 250] {
                let before = n_threads();
                let runtime = support::builder(n_workers).build().unwrap();
                let tasks: Vec<_> = (0..n_workers + 3)
                    .map(|_| runtime.spawn(async { std::thread::sleep(ms(40)) }))
                    .collect();
                let ready = runtime.spawn(async { 7 });
                assert_eq!(ready.join_blocking().unwrap(), 7);
                std::thread::sleep(ms(pause));
                drop(runtime);
                let after = n_threads_when_at_most(before);
                assert_eq!(before, after, "with {n_workers} worker(s)");
                drop(tasks);
            }
        }
    });
}

/// A dropped runtime leaves no thread and no file descriptor.
#[test]
fn a_dropped_runtime_leaves_no_thread_and_no_descriptor() {
    in_a_process_of_its_own(
        "a_dropped_runtime_leaves_no_thread_and_no_descriptor",
        || {
            drop(TcpListener::bind("127.0.0.1:0"));
            for n_workers in support::SIZES {
                for _ in 0..5 {
                    let before = (n_threads(), n_entries("/proc/self/fd"));
                    let runtime = support::builder(n_workers).build().unwrap();
                    use_everything(&runtime);
                    drop(runtime);
                    let after = (n_threads_when_at_most(before.0), n_entries("/proc/self/fd"));
                    assert_eq!(
                        before, after,
                        "threads and descriptors, with {n_workers} worker(s)"
                    );
                }
            }
        },
    );
}

/// The same by `rt::block_on`, which makes a runtime for each call.
#[test]
fn block_on_leaves_no_thread_and_no_descriptor() {
    in_a_process_of_its_own("block_on_leaves_no_thread_and_no_descriptor", || {
        let before = (n_threads(), n_entries("/proc/self/fd"));
        for _ in 0..20 {
            rt::block_on(async { rt::spawn(rt::sleep(ms(1))).await.unwrap() });
        }
        let after = (n_threads_when_at_most(before.0), n_entries("/proc/self/fd"));
        assert_eq!(before, after);
    });
}

/// A runtime that is built, used and dropped a thousand times leaves the memory flat.
#[test]
fn a_thousand_runtimes_leave_memory_flat() {
    in_a_process_of_its_own("a_thousand_runtimes_leave_memory_flat", || {
        let grown = growth(12, || {
            for _ in 0..100 {
                let runtime = rt::Builder::current_thread().build().unwrap();
                runtime.block_on(async {
                    for _ in 0..100 {
                        rt::spawn(pending::<()>());
                    }
                    rt::yield_now().await;
                });
            }
        });
        assert!(grown < 4096, "{grown} KiB more");
    });
}

/// After the work no task is left.
#[test]
fn no_task_is_left_when_all_have_ended() {
    in_a_process_of_its_own("no_task_is_left_when_all_have_ended", || {
        for n_workers in support::SIZES {
            let runtime = support::builder(n_workers).build().unwrap();
            runtime.block_on(async {
                let tasks: Vec<_> = (0..1000).map(|_| rt::spawn(rt::yield_now())).collect();
                assert!(rt::Handle::current().metrics().n_live > 0);
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!(rt::Handle::current().metrics().n_live, 0);
                assert!(rt::task::all().is_empty());
            });
        }
    });
}

/// A million timers.
#[test]
fn a_million_timers_set_and_dropped_leave_memory_flat() {
    in_a_process_of_its_own("a_million_timers_set_and_dropped_leave_memory_flat", || {
        for n_workers in support::SIZES {
            let runtime = support::builder(n_workers).build().unwrap();
            let grown = growth(10, || {
                runtime.block_on(async {
                    for i in 0..100_000u64 {
                        let mut sleep = rt::sleep(Duration::from_secs(1000 + i));
                        assert!(support::poll_once(&mut sleep).is_pending());
                    }
                });
            });
            assert!(grown < 4096, "{grown} KiB more with {n_workers} worker(s)");
        }
    });
}

/// A million timeouts that are not reached.
#[test]
fn a_million_timeouts_that_are_not_reached_leave_memory_flat() {
    in_a_process_of_its_own(
        "a_million_timeouts_that_are_not_reached_leave_memory_flat",
        || {
            let runtime = support::builder(2).build().unwrap();
            let grown = growth(10, || {
                runtime.block_on(async {
                    for _ in 0..100_000 {
                        rt::timeout(Duration::from_secs(1000), rt::yield_now())
                            .await
                            .unwrap();
                    }
                });
            });
            assert!(grown < 4096, "{grown} KiB more");
        },
    );
}

/// N15: a million waits that are given up leave nothing on the task that they waited for.
#[test]
fn n15_a_million_waits_on_one_task_leave_memory_flat() {
    in_a_process_of_its_own("n15_a_million_waits_on_one_task_leave_memory_flat", || {
        let runtime = support::builder(2).build().unwrap();
        let mut tasks = vec![runtime.spawn(pending::<()>())];
        let grown = growth(10, || {
            runtime.block_on(async {
                for _ in 0..25_000 {
                    let until = rt::Until::FirstCompleted;
                    let (done, left) =
                        rt::wait_timeout(std::mem::take(&mut tasks), until, Duration::ZERO).await;
                    assert!(done.is_empty());
                    tasks = left;
                    let late = rt::timeout(Duration::ZERO, &mut tasks[0]).await;
                    assert!(late.is_err());
                    let awaited: Racer<'_> = Box::pin(async { drop((&mut tasks[0]).await) });
                    rt::race([awaited, Box::pin(rt::yield_now())]).await;
                    rt::select! {
                        biased;
                        _ = &mut tasks[0] => unreachable!("it never ends"),
                        () = rt::yield_now() => {}
                    }
                }
            });
        });
        assert!(grown < 4096, "{grown} KiB more");
    });
}

type Racer<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A million tasks on all sizes together, from inside and from outside, awaited, detached and cancelled.
#[test]
fn a_million_tasks_leave_memory_flat() {
    in_a_process_of_its_own("a_million_tasks_leave_memory_flat", || {
        for n_workers in support::SIZES {
            let runtime = support::builder(n_workers).build().unwrap();
            let grown = growth(10, || {
                for i in 0..1_000 {
                    drop(runtime.spawn(async move { i }));
                }
                runtime.block_on(async {
                    for batch in 0..240 {
                        let tasks: Vec<_> = (0..100u64)
                            .map(|i| {
                                let big = [i; 40];
                                rt::spawn(async move {
                                    rt::yield_now().await;
                                    big[usize::from(batch % 40 == 0)]
                                })
                            })
                            .collect();
                        for (i, task) in tasks.into_iter().enumerate() {
                            match i % 10 {
                                0 => drop(task.cancel_on_drop()),
                                1 => drop(task),
                                _ => drop(task.await),
                            }
                        }
                    }
                });
            });
            assert!(grown < 8192, "{grown} KiB more with {n_workers} worker(s)");
        }
    });
}

/// H2, N15: waiters that give up on one long task are not kept by it.
#[test]
fn h2_n15_a_million_given_up_waits_on_one_task_leave_memory_flat() {
    in_a_process_of_its_own(
        "h2_n15_a_million_given_up_waits_on_one_task_leave_memory_flat",
        || {
            let runtime = support::builder(2).build().unwrap();
            runtime.block_on(async {
                let mut long = rt::spawn(pending::<()>());
                let before = resident();
                for _ in 0..1_000_000 {
                    assert!(support::poll_once(&mut long).is_pending());
                }
                let grown = resident().saturating_sub(before);
                assert!(grown < 4096, "{grown} KiB more");
            });
        },
    );
}

/// N15, H2: the same for those who wait for a cancellation, put a shield up or open a region in one long scope.
#[test]
fn n15_h2_a_million_given_up_listeners_shields_and_regions_leave_memory_flat() {
    in_a_process_of_its_own(
        "n15_h2_a_million_given_up_listeners_shields_and_regions_leave_memory_flat",
        || {
            let round = async || {
                for _ in 0..100_000 {
                    let mut wait = rt::cancelled();
                    assert!(support::poll_once(&mut wait).is_pending());
                    drop(rt::on_cancel(|| ()));
                    let mut shield = rt::shield(pending::<()>());
                    assert!(support::poll_once(&mut shield).is_pending());
                    let mut region = Box::pin(rt::catch_cancel(pending::<()>()));
                    assert!(support::poll_once(&mut region).is_pending());
                }
            };
            let grown = support::exact(async move {
                let task = rt::spawn(async move {
                    let scope = rt::CancelScope::new();
                    let body = async {
                        round().await;
                        let before = resident();
                        for _ in 0..9 {
                            round().await;
                        }
                        resident().saturating_sub(before)
                    };
                    scope.run(body).await.unwrap()
                });
                task.await.unwrap()
            });
            assert!(grown < 4096, "{grown} KiB more");
        },
    );
}

/// Threads of a stuck poll are replaced, and retire.
#[test]
fn blocked_workers_do_not_pile_up_threads() {
    in_a_process_of_its_own("blocked_workers_do_not_pile_up_threads", || {
        let runtime = support::builder(2)
            .blocking_keep_alive(ms(10))
            .build()
            .unwrap();
        let block = || {
            runtime.block_on(async {
                let tasks: Vec<_> = (0..20)
                    .map(|_| rt::spawn(async { rt::block_in_place(|| std::thread::sleep(ms(1))) }))
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
        };
        block();
        for _ in 0..20 {
            block();
        }
        let n_threads = n_threads_when_at_most(8);
        assert!(n_threads <= 8, "{n_threads} threads for 2 workers");
    });
}

/// Children of one group, one after the other: ten million, or fewer where nothing is optimised.
const N_CHILDREN: u64 = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};

/// How much the resident memory grows while children follow each other, `each` at a time, in one group.
async fn growth_of_a_group(group: &rt::TaskGroup, each: u64, spawn: impl Fn(u64)) -> u64 {
    let batch = async |from: u64| {
        (from..from + each).for_each(&spawn);
        while !group.is_empty() {
            rt::yield_now().await;
        }
    };
    for number in 0..100 {
        batch(number).await;
    }
    let before = resident();
    for number in (0..N_CHILDREN).step_by(usize::try_from(each).unwrap()) {
        batch(number).await;
    }
    resident().saturating_sub(before)
}

/// G15: a group holds the memory of its live children, however many it has had.
#[test]
fn g15_ten_million_children_of_one_group_leave_memory_flat() {
    println!("{N_CHILDREN} children");
    in_a_process_of_its_own(
        "g15_ten_million_children_of_one_group_leave_memory_flat",
        || {
            let runtime = support::builder(2).build().unwrap();
            let scope = rt::TaskGroup::scope(async |group| {
                let one = growth_of_a_group(&group, 1, |number| {
                    drop(group.spawn(async move { rt::ok([number; 20]) }));
                });
                let many = growth_of_a_group(&group, 100, |number| {
                    drop(group.spawn(async move { rt::ok([number; 20]) }));
                });
                Ok((one.await, many.await))
            });
            let (one, many) = runtime.block_on(scope).unwrap();
            assert!(one < 4096, "{one} KiB more, one at a time");
            assert!(many < 4096, "{many} KiB more, a hundred at a time");
        },
    );
}

/// G15, N2, N4: nor does a group with an error handler keep anything of children that fail.
#[test]
fn g15_n2_n4_errors_that_go_to_a_handler_leave_memory_flat() {
    println!("{N_CHILDREN} children");
    in_a_process_of_its_own(
        "g15_n2_n4_errors_that_go_to_a_handler_leave_memory_flat",
        || {
            let n_errors = support::Count::default();
            let theirs = n_errors.clone();
            let runtime = support::builder(2).build().unwrap();
            let scope = rt::TaskGroup::options()
                .on_error(move |_| theirs.add())
                .scope(async |group| {
                    Ok(growth_of_a_group(&group, 100, |_| {
                        drop(group.spawn(async { "x".parse::<u32>() }));
                    })
                    .await)
                });
            let grown = runtime.block_on(scope).unwrap();
            assert!(grown < 4096, "{grown} KiB more");
            assert!(n_errors.get() as u64 >= N_CHILDREN);
        },
    );
}
