//! The contract of `wait`, `wait_timeout` and `as_completed`: handles are given back, tasks are never cancelled,
//! and nothing is lost when a wait is given up.

use std::future::pending;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::support::{self, Flag, each_size, each_size_virtual, ms};
use futures_util::{FutureExt, StreamExt};
use rt::{BoxError, JoinHandle, Until};

fn sleeper(delay: u64) -> JoinHandle<u64> {
    rt::spawn(async move {
        rt::sleep(ms(delay)).await;
        delay
    })
}

async fn values(handles: Vec<JoinHandle<u64>>) -> Vec<u64> {
    let mut values = vec![];
    for handle in handles {
        assert!(handle.is_finished(), "what is done is really done");
        values.push(handle.await.unwrap());
    }
    values
}

/// K1: done are those that are through, in the order of their ends; pending the others, in the order of the input.
#[test]
fn k1_wait_gives_the_handles_back_done_first() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let handles = [30, 10, 20].map(sleeper);
            let (done, pending) = rt::wait(handles, Until::FirstCompleted).await;
            assert_eq!(start.elapsed(), ms(10));
            assert_eq!(values(done).await, [10]);
            let (done, pending) = rt::wait(pending, Until::AllCompleted).await;
            assert_eq!(start.elapsed(), ms(30));
            assert!(pending.is_empty());
            assert_eq!(values(done).await, [20, 30]);

            let (done, pending) =
                rt::wait(Vec::<JoinHandle<()>>::new(), Until::FirstCompleted).await;
            assert!(done.is_empty() && pending.is_empty(), "nothing to wait for");
        });
    });
}

/// K1: those that are through before the wait are done at the first poll, all of them.
#[test]
fn k1_what_is_through_already_is_done_at_once() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let handles = [1, 500, 2].map(sleeper);
            rt::sleep(ms(10)).await;
            let (done, pending) = rt::wait(handles, Until::FirstCompleted)
                .now_or_never()
                .unwrap();
            assert_eq!((done.len(), pending.len()), (2, 1));
        });
    });
}

/// K1: `FirstError` sees `Err` values and panics; a cancelled task is no error.
#[test]
fn k1_first_error_sees_errors_and_panics_and_ignores_cancellation() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            type Outcome = Result<u64, BoxError>;
            let lost = rt::spawn(pending::<Outcome>());
            lost.cancel();
            let fine = rt::spawn(async { rt::ok(1) });
            let fails = rt::spawn(async {
                rt::sleep(ms(20)).await;
                Err::<u64, BoxError>("no luck".into())
            });
            let panics = rt::spawn(async {
                rt::sleep(ms(40)).await;
                panic!("no luck");
                #[allow(unreachable_code)]
                Outcome::Ok(1)
            });
            let slow = rt::spawn(pending::<Outcome>());
            let start = rt::Instant::now();
            let handles = [slow, panics, fails, fine, lost];
            let (done, pending) = rt::wait(handles, Until::FirstError).await;
            assert_eq!((start.elapsed(), done.len()), (ms(20), 3));
            assert!(
                done.into_iter()
                    .next_back()
                    .unwrap()
                    .await
                    .unwrap()
                    .is_err()
            );

            let (done, pending) = rt::wait(pending, Until::FirstError).await;
            assert_eq!((start.elapsed(), done.len(), pending.len()), (ms(40), 1, 1));
            assert!(
                done.into_iter()
                    .next()
                    .unwrap()
                    .await
                    .unwrap_err()
                    .is_panic()
            );

            let (done, _) = rt::wait([rt::spawn(async { rt::ok(1) })], Until::FirstError).await;
            assert_eq!(
                done.len(),
                1,
                "without an error it ends when all are through"
            );
        });
    });
}

/// K1: when the time is up the tasks are given back, not cancelled.
#[test]
fn k1_a_timeout_cancels_nobody() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let handles = [10, 50].map(sleeper);
            let (done, pending) = rt::wait_timeout(handles, Until::AllCompleted, ms(20)).await;
            assert_eq!((start.elapsed(), done.len()), (ms(20), 1));
            assert!(!pending[0].is_cancelled());
            let (done, _) = rt::wait_timeout(pending, Until::AllCompleted, ms(1000)).await;
            assert_eq!(values(done).await, [50]);
            assert_eq!(start.elapsed(), ms(50));

            let now = rt::wait_timeout([sleeper(5)], Until::AllCompleted, Duration::ZERO).await;
            assert_eq!(now.1.len(), 1);
        });
    });
}

/// K2: a wait that is dropped leaves its tasks alone.
#[test]
fn k2_dropping_a_wait_cancels_nobody() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let ended = Flag::default();
            let theirs = ended.clone();
            let task = rt::spawn(async move {
                rt::sleep(ms(50)).await;
                theirs.raise();
            });
            let late = rt::timeout(ms(10), rt::wait([task], Until::AllCompleted)).await;
            assert!(late.is_err());
            rt::sleep(ms(100)).await;
            assert!(ended.is_up());
        });
    });
}

/// K2: what is given back has forgotten the wait, and may be awaited as ever.
#[test]
fn k2_what_is_pending_has_forgotten_the_wait() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut handles = vec![sleeper(1000)];
            for _ in 0..100 {
                let (done, pending) = rt::wait_timeout(handles, Until::FirstCompleted, ms(1)).await;
                assert!(done.is_empty());
                handles = pending;
            }
            assert_eq!(handles.pop().unwrap().await.unwrap(), 1000);
        });
    });
}

/// K2: nothing of the wait is left in a handle that was given back.
#[test]
fn k2_a_wait_that_is_over_keeps_no_waker() {
    struct Nobody;
    impl std::task::Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let waker = Arc::new(Nobody);
            let handles = [rt::spawn(pending::<()>())];
            let mut wait = rt::wait_timeout(handles, Until::AllCompleted, Duration::ZERO);
            let Poll::Ready((_, pending)) = support::poll_with(&mut wait, waker.clone()) else {
                panic!("its time is up");
            };
            drop(wait);
            assert_eq!((pending.len(), Arc::strong_count(&waker)), (1, 1));
        });
    });
}

/// W7: a timeout on a handle returns at once, and the task goes on.
#[test]
fn w7_a_timeout_on_a_handle_leaves_the_task_alone() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let mut task = sleeper(30);
            assert!(rt::timeout(ms(10), &mut task).await.is_err());
            assert!(rt::timeout(Duration::ZERO, &mut task).await.is_err());
            assert_eq!(start.elapsed(), ms(10));
            assert_eq!(task.await.unwrap(), 30);
            assert_eq!(start.elapsed(), ms(30));
        });
    });
}

/// K4: each result comes once, with its index, as soon as it is there.
#[test]
fn k4_as_completed_gives_results_with_their_index_as_they_come() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let delays = [30, 10, 40, 20];
            let mut results = rt::as_completed(delays.map(sleeper));
            let start = rt::Instant::now();
            let mut seen = vec![];
            while let Some((index, result)) = results.next().await {
                assert_eq!(start.elapsed(), ms(delays[index]));
                assert_eq!(result.unwrap(), delays[index]);
                seen.push(index);
            }
            assert_eq!(seen, [1, 3, 0, 2]);
            assert!(results.next().await.is_none(), "it stays at its end");
        });
    });
}

/// K4: a `next` that is dropped half-way loses nothing, and cancelled tasks are results too.
#[test]
fn k4_as_completed_can_be_left_and_resumed() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut handles = [10, 20, 30, 40].map(sleeper).to_vec_of_handles();
            handles[3].cancel();
            handles.push(rt::spawn(async { panic!("no luck") }));
            let mut results = rt::as_completed(handles);
            let mut outcomes = [None; 5];
            while !results.is_empty() {
                match rt::timeout(ms(1), results.next()).await {
                    Ok(next) => {
                        let (index, result) = next.unwrap();
                        let before = outcomes[index].replace(result.is_ok());
                        assert!(before.is_none(), "{index} came twice");
                    }
                    Err(_) => rt::sleep(ms(3)).await,
                }
            }
            let expected = [true, true, true, false, false].map(Some);
            assert_eq!(outcomes, expected);
        });
    });
}

trait Handles {
    fn to_vec_of_handles(self) -> Vec<JoinHandle<u64>>;
}

impl<const N: usize> Handles for [JoinHandle<u64>; N] {
    fn to_vec_of_handles(self) -> Vec<JoinHandle<u64>> {
        self.into_iter().collect()
    }
}

/// K5: leaving the stream early leaves the tasks running.
#[test]
fn k5_dropping_the_stream_leaves_the_tasks_running() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let ended = Flag::default();
            let theirs = ended.clone();
            let slow = rt::spawn(async move {
                rt::sleep(ms(50)).await;
                theirs.raise();
                50
            });
            let mut results = rt::as_completed([slow, sleeper(10)]);
            assert_eq!(results.next().await.unwrap().0, 1);
            drop(results);
            rt::sleep(ms(100)).await;
            assert!(ended.is_up());
        });
    });
}

/// A task among its own handles is told so, instead of waiting for ever.
#[test]
fn a_task_that_waits_for_itself_is_told() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let (to, from) = rt::sync::oneshot::channel::<JoinHandle<bool>>();
            let task = rt::spawn(async move {
                let (done, _) = rt::wait([from.await.unwrap()], Until::AllCompleted).await;
                let own = done.into_iter().next().unwrap();
                own.await.is_err()
            });
            let watch = task.cancel_handle();
            to.send(task).unwrap();
            rt::sleep(ms(10)).await;
            assert!(watch.is_finished());
        });
    });
}

/// Waiting for 100,000 tasks costs one look at each: ten times as many take about ten times as long.
#[test]
fn a_hundred_thousand_handles_are_waited_for_in_linear_time() {
    each_size(|runtime| {
        let time = |n: u64, at: &'static Location<'static>| {
            let start = Instant::now();
            runtime.block_on(async {
                let gate = Arc::new(rt::sync::Event::new());
                let spawn = |_| {
                    let gate = gate.clone();
                    rt::spawn(async move {
                        gate.wait().await;
                        1
                    })
                };
                let mut results = rt::as_completed((0..n).map(spawn).collect::<Vec<_>>());
                assert!(rt::timeout(ms(1), results.next()).await.is_err(), "{at}");
                gate.set();
                let mut sum = 0;
                while let Some((_, result)) = results.next().await {
                    sum += result.unwrap();
                }
                assert_eq!(sum, n);
                let handles: Vec<_> = (0..n).map(sleeper_none).collect();
                assert_eq!(
                    rt::wait(handles, Until::AllCompleted).await.0.len(),
                    n as usize
                );
            });
            start.elapsed()
        };
        // The best of several: the machine may be busy with other things.
        let best = |n| (0..3).map(|_| time(n, Location::caller())).min().unwrap();
        let (small, large) = (best(10_000), best(100_000));
        assert!(
            large < 40 * small.max(ms(20)),
            "{small:?} for 10,000, {large:?} for 100,000"
        );
    });
}

fn sleeper_none(_: u64) -> JoinHandle<()> {
    rt::spawn(async { rt::yield_now().await })
}

/// Results that are all there do not keep the task on its worker: each counts against the budget.
#[test]
fn a_long_run_of_results_lets_others_run() {
    support::exact(async {
        let handles: Vec<_> = (0..1000u64).map(|_| rt::spawn(async {})).collect();
        for _ in 0..10 {
            rt::yield_now().await;
        }
        assert!(handles.iter().all(JoinHandle::is_finished));
        let ran = Flag::default();
        let theirs = ran.clone();
        let other = rt::spawn(async move { theirs.raise() });
        let mut results = rt::as_completed(handles);
        let mut n_before = 0;
        while results.next().await.is_some() {
            n_before += usize::from(!ran.is_up());
        }
        assert!(
            n_before < 500,
            "the other task had to wait for {n_before} results"
        );
        other.await.unwrap();
    });
}

/// Waiting needs no runtime around it: any executor will do, on any thread.
#[test]
fn handles_are_waited_for_under_any_executor() {
    each_size(|runtime| {
        let spawn = |i: u64| {
            runtime.spawn(async move {
                rt::sleep(ms(i)).await;
                i
            })
        };
        let helper = runtime.handle().clone();
        let stop = Flag::default();
        std::thread::scope(|threads| {
            let theirs = stop.clone();
            // Somebody has to run the tasks of a runtime without threads of its own.
            threads.spawn(move || helper.block_on(theirs.up()));
            futures_lite::future::block_on(async {
                let (done, pending) = rt::wait([2, 1].map(spawn), Until::FirstCompleted).await;
                assert_eq!(done.len() + pending.len(), 2);
                let (done, _) = rt::wait(pending, Until::AllCompleted).await;
                assert!(done.len() <= 1);
                let mut results = rt::as_completed([3, 1, 2].map(spawn));
                let mut sum = 0;
                while let Some((_, result)) = results.next().await {
                    sum += result.unwrap();
                }
                assert_eq!(sum, 6);
            });
            stop.raise();
        });
    });
}
