//! `fork_join`: parallel jobs that borrow, end before the call does, and run wherever the call is made.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::support::{
    self, Bomb, Count, Flag, Log, builder, each_builder, each_size, ms, must_end,
};
use rt::{ForkHandle, ForkScope};

/// The sum of a slice, halved until the parts are small, each half a job in a scope of its own.
fn nested_sum(numbers: &[u64]) -> u64 {
    if numbers.len() <= 10 {
        return numbers.iter().sum();
    }
    let (left, right) = numbers.split_at(numbers.len() / 2);
    rt::fork_join(|s| {
        let right = s.spawn(|| nested_sum(right));
        nested_sum(left) + right.join().unwrap()
    })
}

/// Counts the leaves of a tree, every node a job of one scope.
fn visit<'scope>(s: &'scope ForkScope<'scope, '_>, n_levels: u32, n_leaves: &'scope AtomicUsize) {
    if n_levels == 0 {
        n_leaves.fetch_add(1, SeqCst);
        return;
    }
    for _ in 0..2 {
        s.spawn(move || visit(s, n_levels - 1, n_leaves));
    }
}

fn message(payload: Box<dyn Any + Send>) -> String {
    rt::Panic::new(payload).message().to_owned()
}

/// N14: jobs read and write what the caller owns, and are through when the call returns.
#[test]
fn n14_jobs_borrow_from_the_caller() {
    each_size(|runtime| {
        runtime.block_on(async {
            let words = ["a".to_string(), "bb".to_string(), "c".to_string()];
            let mut longest = String::new();
            let mut squares = vec![0; 100];
            let total = rt::fork_join(|s| {
                let total = s.spawn(|| words.iter().map(|word| word.len()).sum::<usize>());
                s.spawn(|| longest = words.iter().max_by_key(|word| word.len()).unwrap().clone());
                for (number, square) in (0..).zip(&mut squares) {
                    s.spawn(move || *square = number * number);
                }
                total.join().unwrap()
            });
            assert_eq!((total, longest.as_str()), (4, "bb"));
            assert!(
                (0..)
                    .zip(&squares)
                    .all(|(number, square)| *square == number * number)
            );
            assert_eq!(words.concat(), "abbc");
        });
    });
}

/// N14: jobs run in parallel: these could not end one after another.
#[test]
fn n14_jobs_run_in_parallel() {
    for n_workers in [2, 8] {
        must_end("with several workers", move || {
            let runtime = builder(n_workers).build().unwrap();
            let meet = move || {
                let together = Barrier::new(n_workers);
                rt::fork_join(|s| {
                    for _ in 0..n_workers {
                        s.spawn(|| together.wait());
                    }
                });
            };
            runtime.block_on(async { meet() });
            runtime.block_on(async { rt::spawn(async move { meet() }).await.unwrap() });
            let _inside = runtime.handle().enter();
            meet();
        });
    }
}

/// N14: it works in a task, in blocking and computing work, in `block_on`, and from any thread.
#[test]
fn n14_it_works_everywhere() {
    let numbers: Arc<Vec<u64>> = Arc::new((0..1000).collect());
    let expected = 499_500;
    let copy = numbers.clone();
    assert_eq!(
        must_end("without a runtime", move || nested_sum(&copy)),
        expected
    );
    each_size(move |runtime| {
        let sum = || {
            let numbers = numbers.clone();
            move || nested_sum(&numbers)
        };
        let (task, blocking, computing, nested) = (sum(), sum(), sum(), sum());
        runtime.block_on(async {
            assert_eq!(nested_sum(&numbers), expected);
            assert_eq!(rt::spawn(async move { task() }).await.unwrap(), expected);
            assert_eq!(rt::spawn_blocking(blocking).await.unwrap(), expected);
            assert_eq!(rt::spawn_compute(computing).await.unwrap(), expected);
            assert_eq!(rt::block_on(async { nested() }), expected);
            assert_eq!(rt::block_in_place(|| nested_sum(&numbers)), expected);
        });
        let _inside = runtime.handle().enter();
        assert_eq!(nested_sum(&numbers), expected);
    });
}

/// N14: jobs spawn jobs, thousands deep in all, and all are awaited.
#[test]
fn n14_jobs_spawn_jobs() {
    each_size(|runtime| {
        runtime.block_on(async {
            let n_leaves = AtomicUsize::new(0);
            rt::fork_join(|s| visit(s, 10, &n_leaves));
            assert_eq!(n_leaves.load(SeqCst), 1024);
        });
    });
}

/// N14: where there is one thread the jobs run on it, in the order of their spawns.
#[test]
fn n14_one_thread_runs_jobs_in_the_order_of_their_spawns() {
    let in_order = || {
        let log = Log::default();
        let here = thread::current().id();
        rt::fork_join(|s| {
            for line in ["first", "second", "third"] {
                let log = log.clone();
                s.spawn(move || {
                    assert_eq!(thread::current().id(), here);
                    log.say(line);
                });
            }
            log.say("body");
        });
        assert_eq!(log, ["body", "first", "second", "third"]);
    };
    in_order();
    let runtime = builder(0).build().unwrap();
    runtime.block_on(async { in_order() });
}

/// N14: a panic waits until every job has ended; then the first one goes on.
#[test]
fn n14_all_jobs_end_before_the_first_panic_goes_on() {
    each_size(|runtime| {
        runtime.block_on(async {
            let n_ended = AtomicUsize::new(0);
            let first = Flag::default();
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                rt::fork_join(|s| {
                    s.spawn(|| {
                        let _raise = RaiseOnDrop(first.clone());
                        panic!("first");
                    });
                    s.spawn(|| {
                        first.wait();
                        // The first one's panic is on record when its job has ended.
                        thread::sleep(ms(2));
                        panic!("second");
                    });
                    for _ in 0..50 {
                        s.spawn(|| {
                            n_ended.fetch_add(1, SeqCst);
                        });
                    }
                })
            }));
            assert_eq!(message(panicked.unwrap_err()), "first");
            assert_eq!(n_ended.load(SeqCst), 50);
        });
        support::assert_well(runtime);
    });
}

struct RaiseOnDrop(Flag);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// N14: a panic of the closure waits as well, and comes before those of jobs.
#[test]
fn n14_a_panic_of_the_closure_waits_for_the_jobs() {
    each_size(|runtime| {
        runtime.block_on(async {
            let n_ended = AtomicUsize::new(0);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                rt::fork_join(|s| {
                    for number in 0..20 {
                        let n_ended = &n_ended;
                        s.spawn(move || {
                            thread::sleep(ms(1));
                            n_ended.fetch_add(1, SeqCst);
                            assert_ne!(number, 7);
                        });
                    }
                    panic!("the closure");
                })
            }));
            assert_eq!(message(panicked.unwrap_err()), "the closure");
            assert_eq!(n_ended.load(SeqCst), 20);
        });
    });
}

/// N14: who joins a job gets its panic, and nobody else does.
#[test]
fn n14_a_joined_panic_is_the_joiners() {
    each_size(|runtime| {
        runtime.block_on(async {
            let seen = rt::fork_join(|s| {
                let bad: ForkHandle<'_, ()> = s.spawn(|| panic!("mine"));
                let good = s.spawn(|| 7);
                let message = bad.join().unwrap_err().message().to_owned();
                (message, good.join().unwrap())
            });
            assert_eq!(seen, ("mine".to_owned(), 7));
        });
    });
}

/// N14: a value that nobody joins is dropped before the call returns; its panic is a job's panic.
#[test]
fn n14_values_nobody_wants_are_dropped_in_time() {
    each_size(|runtime| {
        runtime.block_on(async {
            let count = Count::default();
            rt::fork_join(|s| {
                for _ in 0..20 {
                    s.spawn(|| count.on_drop());
                }
                let kept = s.spawn(|| count.on_drop());
                drop(kept);
                drop(s.spawn(|| count.on_drop()).join());
            });
            assert_eq!(count.get(), 22);
            let panicked = catch_unwind(|| {
                rt::fork_join(|s| {
                    s.spawn(|| Bomb);
                })
            });
            assert_eq!(message(panicked.unwrap_err()), "the bomb went off");
        });
        support::assert_well(runtime);
    });
}

/// N14: a job that waits for another one's handle is never run on top of that one.
#[test]
fn n14_a_join_runs_no_job_that_could_wait_for_it() {
    each_size(|runtime| {
        runtime.block_on(async {
            for _ in 0..200 {
                let sum = rt::fork_join(|s| {
                    let below = s.spawn(move || {
                        let inner = s.spawn(|| 1);
                        inner.join().unwrap() + 1
                    });
                    let above = s.spawn(move || below.join().unwrap() + 1);
                    above.join().unwrap()
                });
                assert_eq!(sum, 3);
            }
        });
    });
}

/// N14: many calls at once, from tasks, share the workers.
#[test]
fn n14_many_calls_at_once() {
    each_size(|runtime| {
        let numbers: Arc<Vec<u64>> = Arc::new((0..500).collect());
        runtime.block_on(async {
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let numbers = numbers.clone();
                    rt::spawn(async move {
                        rt::yield_now().await;
                        nested_sum(&numbers)
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap(), 124_750);
            }
        });
    });
}

/// N14: the call goes on when its runtime ends under it.
#[test]
fn n14_a_shutdown_does_not_take_jobs_away() {
    each_builder(|builder| {
        let runtime = builder.build().unwrap();
        let handle = runtime.handle().clone();
        let (begun, over) = (Flag::default(), Flag::default());
        let (theirs_begun, theirs_over) = (begun.clone(), over.clone());
        let caller = thread::spawn(move || {
            let _inside = handle.enter();
            let n_ended = AtomicUsize::new(0);
            rt::fork_join(|s| {
                s.spawn(|| {
                    theirs_begun.raise();
                    theirs_over.wait();
                });
                for _ in 0..100 {
                    s.spawn(|| n_ended.fetch_add(1, SeqCst));
                }
            });
            n_ended.into_inner()
        });
        begun.wait();
        let raiser = over.clone();
        let raiser = thread::spawn(move || {
            thread::sleep(ms(5));
            raiser.raise();
        });
        drop(runtime);
        assert_eq!(caller.join().unwrap(), 100);
        raiser.join().unwrap();
    });
}

/// N14: a call that waits for jobs on other threads gives its worker's seat to other tasks.
#[test]
fn n14_tasks_run_while_a_call_waits() {
    for n_workers in [2, 8] {
        must_end("with several workers", move || {
            let runtime = builder(n_workers).build().unwrap();
            let (ticks, done) = (Count::default(), Flag::default());
            let (theirs, stop) = (ticks.clone(), done.clone());
            runtime.block_on(async {
                let ticker = rt::spawn(async move {
                    while !stop.is_up() {
                        rt::sleep(ms(1)).await;
                        theirs.add();
                    }
                });
                let all_begun = Barrier::new(n_workers);
                rt::fork_join(|s| {
                    for _ in 1..n_workers {
                        s.spawn(|| {
                            all_begun.wait();
                            while ticks.get() < 20 {
                                thread::sleep(ms(1));
                            }
                        });
                    }
                    all_begun.wait();
                });
                done.raise();
                ticker.await.unwrap();
            });
        });
    }
}

/// N8: a job sees the task-locals of the place that spawned it, on whatever thread it runs.
#[test]
fn n8_jobs_inherit_task_locals() {
    rt::task_local! {
        static REQUEST: u32;
        #[no_inherit] static OWN: u32;
    }
    each_size(|runtime| {
        runtime.block_on(REQUEST.scope(1, async {
            let seen = Mutex::new(Vec::new());
            let look = || {
                seen.lock().unwrap().push((REQUEST.get(), OWN.try_get()));
            };
            OWN.sync_scope(5, || {
                rt::fork_join(|s| {
                    for _ in 0..10 {
                        s.spawn(look);
                    }
                    REQUEST.sync_scope(2, || {
                        s.spawn(|| {
                            look();
                            s.spawn(look);
                        });
                    });
                });
                assert_eq!((REQUEST.get(), OWN.get()), (1, 5));
            });
            let mut seen = seen.into_inner().unwrap();
            seen.sort_unstable();
            assert_eq!(seen[..10], [(1, None); 10]);
            assert_eq!(seen[10..], [(2, None); 2]);
        }));
    });
}

/// N14: thousands of short calls with jobs that borrow, join, nest and panic leave everything in order.
#[test]
fn n14_stress() {
    each_size(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..8u64)
                .map(|seed| {
                    rt::spawn(async move {
                        (0..200)
                            .map(|round| one_call(seed * 1000 + round))
                            .sum::<u64>()
                    })
                })
                .collect();
            for (seed, task) in (0..8u64).zip(tasks) {
                let expected: u64 = (0..200).map(|round| expected_of(seed * 1000 + round)).sum();
                assert_eq!(task.await.unwrap(), expected);
            }
        });
        support::assert_well(runtime);
    });
}

fn one_call(seed: u64) -> u64 {
    let mut parts = vec![0; 8];
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        rt::fork_join(|s| {
            let mut handles = Vec::new();
            for (index, part) in (0..).zip(&mut parts) {
                handles.push(s.spawn(move || {
                    let inner = s.spawn(move || seed + index);
                    *part = match (seed + index) % 3 {
                        0 => rt::fork_join(|s| s.spawn(|| seed + index).join().unwrap()),
                        1 => inner.join().unwrap(),
                        _ => seed + index,
                    };
                }));
            }
            if seed % 5 == 0 {
                let _ = s.spawn(|| std::panic::resume_unwind(Box::new("quietly")));
            }
            handles.truncate(4);
            for handle in handles {
                handle.join().unwrap();
            }
        });
    }));
    assert_eq!(panicked.is_err(), seed % 5 == 0);
    parts.iter().sum()
}

fn expected_of(seed: u64) -> u64 {
    (0..8).map(|index| seed + index).sum()
}
