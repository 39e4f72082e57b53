//! Programs of the notes about waiting, futures, cancellation and executors: with what they print and how long
//! they take. `docs/tutorials.md` has the list.

use std::sync::{Arc, mpsc};
use std::thread;

use crate::support::program::{Run, ValueError, after, assert_error, run_each, run_exact, secs};
use crate::support::{Flag, Log, assert_well, each_builder, each_size, exact, ms, must_end};
use rt::stream::StreamExt;
use rt::sync::{Condvar, Event, Mutex, Queue, Semaphore, oneshot, promise};
use rt::{CancelScope, Instant, TaskGroup, Until};

/// Fails after `delay` if the number is odd.
async fn even(delay: u64, number: u32) -> Result<u32, ValueError> {
    rt::sleep(secs(delay)).await;
    match number % 2 {
        0 => Ok(number),
        _ => Err(ValueError("odd")),
    }
}

/// S2-02, E12: results in the order of the input; the first error at once, or every error as a result.
#[test]
fn s2_02_gather_with_and_without_exceptions() {
    async fn program(log: Log) {
        let evens = rt::gather([(3, 0), (1, 2), (2, 4)].map(|(delay, n)| even(delay, n)));
        log.say(format!("{:?}", evens.await.unwrap()));
        let first = rt::gather([(3, 0), (1, 1), (2, 3)].map(|(delay, n)| even(delay, n)));
        log.say(first.await.unwrap_err().to_string());
        let settled = rt::gather_settled([(3, 0), (1, 1), (2, 4)].map(|(delay, n)| even(delay, n)));
        log.say(format!("{:?}", settled.await));
    }
    run_each(program, |run| {
        let settled = r#"[Ok(0), Err(ValueError("odd")), Ok(4)]"#;
        assert_eq!(run.log, ["[0, 2, 4]", "odd", settled]);
        assert_eq!(run.took, secs(3 + 1 + 3));
    });
}

/// S2-03: `wait` gives the tasks that are done and those that are pending.
#[test]
fn s2_03_wait_gives_done_and_pending() {
    async fn program(log: Log) {
        let tasks = [3, 1, 2].map(|delay| rt::spawn(after(secs(delay), delay)));
        let (done, pending) = rt::wait(tasks, Until::FirstCompleted).await;
        for task in done {
            log.say(format!("done: {}", task.await.unwrap()));
        }
        log.say(format!("pending: {}", pending.len()));
        let (done, pending) = rt::wait_timeout(pending, Until::AllCompleted, ms(1500)).await;
        log.say(format!("later: {} and {}", done.len(), pending.len()));
        let (done, pending) = rt::wait(pending, Until::AllCompleted).await;
        log.say(format!("in the end: {} and {}", done.len(), pending.len()));
    }
    run_each(program, |run| {
        let expected = [
            "done: 1",
            "pending: 2",
            "later: 1 and 1",
            "in the end: 1 and 0",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(3));
    });
}

/// S2-04: `as_completed` gives each result when it is there, and tells whose it is.
#[test]
fn s2_04_results_as_they_complete() {
    async fn program(log: Log) {
        let tasks = [3, 1, 2].map(|delay| rt::spawn(after(secs(delay), "result")));
        let mut results = rt::as_completed(tasks);
        while let Some((index, result)) = results.next().await {
            log.say(format!("{} of task {index}", result.unwrap()));
        }
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            ["result of task 1", "result of task 2", "result of task 0"]
        );
        assert_eq!(run.took, secs(3));
    });
}

/// S2-05: what a task awaits is protected from the task's cancellation, and can still be cancelled itself.
#[test]
fn s2_05_shields_against_the_outside_only() {
    async fn program(log: Log) {
        let inner = |text: &'static str| {
            let log = log.clone();
            rt::spawn(async move {
                rt::sleep(secs(2)).await;
                log.say(text);
            })
        };
        let (first, second) = (inner("the first goes on"), inner("the second goes on"));
        let cancel_second = second.cancel_handle();
        let first_outer = rt::spawn(first);
        let second_outer = rt::spawn(second);
        rt::sleep(secs(1)).await;
        first_outer.cancel();
        cancel_second.cancel();
        assert!(first_outer.await.unwrap_err().is_cancelled());
        log.say("the first outer task is cancelled");
        assert!(second_outer.await.unwrap().unwrap_err().is_cancelled());
        log.say("the second inner task is cancelled");
        rt::sleep(secs(2)).await;
    }
    run_each(program, |run| {
        let expected = [
            "the first outer task is cancelled",
            "the second inner task is cancelled",
            "the first goes on",
        ];
        assert_eq!(run.log, expected);
    });
}

/// S2-06: what takes longer than its limit is given up, what does not gives its value.
#[test]
fn s2_06_waiting_for_a_limited_time() {
    async fn program(_log: Log) {
        assert_eq!(rt::timeout(secs(2), after(secs(1), 7)).await.unwrap(), 7);
        assert!(rt::timeout(secs(1), after(secs(2), 7)).await.is_err());
    }
    run_each(program, |run| assert_eq!(run.took, secs(2)));
}

/// S2-07, E7: a limit for a block of awaits, which the block may move.
#[test]
fn s2_07_a_timeout_around_a_block() {
    async fn program(log: Log) {
        let block = async {
            for step in 1..=3 {
                rt::sleep(secs(1)).await;
                log.say(format!("step {step}"));
            }
        };
        if let Err(elapsed) = rt::timeout(ms(2500), block).await {
            assert_eq!(elapsed.deadline().elapsed(), secs(0));
            log.say("The block timed out");
        }
        let scope = CancelScope::with_timeout(secs(1));
        let moved = scope.run(async {
            scope.set_deadline(Some(rt::Instant::now() + secs(3)))?;
            rt::sleep(secs(2)).await;
            rt::ok("in time after all")
        });
        log.say(moved.await.unwrap().unwrap());
    }
    run_each(program, |run| {
        let expected = [
            "step 1",
            "step 2",
            "The block timed out",
            "in time after all",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, ms(4500));
    });
}

/// S2-08: what tasks use to meet: an event, a semaphore with a bound, a lock, a queue.
#[test]
fn s2_08_what_tasks_meet_at() {
    async fn download(log: Log, slots: Arc<Semaphore>, total: Arc<Mutex<u32>>, size: u32) {
        let _slot = slots.acquire().await.unwrap();
        rt::sleep(secs(1)).await;
        *total.lock().await += size;
        log.say(format!("downloaded {size}"));
    }
    async fn program(log: Log) {
        let slots = Arc::new(Semaphore::bounded(2));
        let (sizes, total) = (Queue::unbounded(), Arc::new(Mutex::new(0)));
        let all_queued = Arc::new(Event::new());
        TaskGroup::scope(async |group| {
            let (queue, queued, workers) = (sizes.clone(), all_queued.clone(), group.clone());
            let (slots, total, log) = (slots.clone(), total.clone(), log.clone());
            group.spawn_ok(async move {
                queued.wait().await;
                while let Ok(size) = queue.get().await {
                    workers.spawn_ok(download(log.clone(), slots.clone(), total.clone(), size));
                }
            });
            for size in 1..=4 {
                sizes.put(size).await?;
            }
            sizes.shutdown();
            rt::sleep(secs(1)).await;
            all_queued.set();
            Ok(())
        })
        .await
        .unwrap();
        let total = *total.lock().await;
        log.say(format!("total {total}"));
        assert!(
            slots.add_permits(1).is_err(),
            "a bounded one has no more than its bound"
        );
    }
    run_each(program, |run| {
        assert_eq!(run.log.lines()[4], "total 10");
        assert_eq!(run.took, secs(1 + 2), "two at a time");
    });
}

/// S2-08: a condition waits for a state that several tasks bring about.
#[test]
fn s2_08_a_condition_waits_for_a_state() {
    async fn program(log: Log) {
        let progress = Arc::new((Mutex::new(0), Condvar::new()));
        let downloads = (1..=4).map(|n| {
            let progress = progress.clone();
            rt::spawn(async move {
                rt::sleep(secs(n)).await;
                *progress.0.lock().await += 1;
                progress.1.notify_all();
            })
        });
        let downloads: Vec<_> = downloads.collect();
        let (n_done, changed) = &*progress;
        let start = Instant::now();
        let n_done = changed.wait_while(n_done.lock().await, |n| *n < 3).await;
        log.say(format!("{n_done} are through after {:?}", start.elapsed()));
        drop(n_done);
        for download in downloads {
            download.await.unwrap();
        }
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["3 are through after 3s"]);
        assert_eq!(run.took, secs(4));
    });
}

/// S2-09: from a task to a thread, and from a thread to a task.
#[test]
fn s2_09_bridges_in_both_directions() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            let here = rt::Handle::current();
            let thread = rt::spawn_blocking(move || {
                let coroutine = here.spawn(after(ms(1), 20));
                coroutine.join_blocking().unwrap() + 1
            });
            2 * thread.await.unwrap()
        });
        assert_eq!(value, 42);
    });
}

/// S2-10: `gather` in the order of the input, `as_completed` in the order of the delays.
#[test]
fn s2_10_gathered_and_as_completed() {
    const DELAYS: [u64; 5] = [500, 100, 300, 400, 200];
    fn jobs() -> impl Iterator<Item = impl Future<Output = usize> + Send + use<>> {
        let numbered = DELAYS.into_iter().enumerate();
        numbered.map(|(number, delay)| after(ms(delay), number))
    }
    async fn program(log: Log) {
        log.say(format!("gather: {:?}", rt::join_all(jobs()).await));
        let mut results = rt::as_completed(jobs().map(rt::spawn));
        while let Some((_, result)) = results.next().await {
            log.say(format!("one done: {}", result.unwrap()));
        }
    }
    run_each(program, |run| {
        let expected = [
            "gather: [0, 1, 2, 3, 4]",
            "one done: 1",
            "one done: 4",
            "one done: 2",
            "one done: 3",
            "one done: 0",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(1));
    });
}

/// S2-11: callbacks come before whoever awaits, a timer and a plain thread set values.
#[test]
fn s2_11_callbacks_timers_and_threads_meet_in_order() {
    async fn program(log: Log) {
        let (set_timer, by_timer) = promise();
        let (set_thread, by_thread) = promise();
        let task = rt::spawn(after(ms(60), "T1 done".to_owned()));
        rt::time::call_later(ms(30), move || set_timer.set("future-result"));
        let waiter = rt::spawn(async move { format!("waiter got {}", by_timer.await.unwrap()) });
        for task in [&task, &waiter] {
            let log = log.clone();
            task.on_result(move |result| log.say(format!("done_cb: {}", result.unwrap())));
        }
        let thread = thread::spawn(move || {
            thread::sleep(ms(10));
            set_thread.set("from-thread");
        });
        let (task, waiter, by_thread) = rt::join!(task, waiter, by_thread);
        let gathered = [&task.unwrap(), &waiter.unwrap(), by_thread.unwrap()];
        log.say(format!("gathered: {gathered:?}"));
        thread.join().unwrap();
    }
    let log = Log::default();
    let theirs = log.clone();
    must_end("in the callback demo", move || {
        // Real time, as the thread's: the distances are what decides the order.
        let runtime = rt::Builder::current_thread().build().unwrap();
        runtime.block_on(program(theirs));
    });
    let expected = [
        "done_cb: waiter got future-result",
        "done_cb: T1 done",
        r#"gathered: ["T1 done", "waiter got future-result", "from-thread"]"#,
    ];
    assert_eq!(log, expected);
}

/// S2-12: a callback sees how the task ended; if it panics that is reported, and nobody else is disturbed.
#[test]
fn s2_12_a_callback_that_panics_is_reported() {
    each_builder(|builder| {
        let (report, reports) = mpsc::channel();
        let handler = move |unhandled: &rt::Unhandled| {
            let message = unhandled.panic().map(|panic| panic.message().to_owned());
            report.send(message).unwrap();
        };
        let runtime = builder.on_unhandled(handler).build().unwrap();
        let value = runtime.block_on(async {
            let task = rt::spawn(after(ms(1), Err::<u32, _>(ValueError("no result"))));
            task.on_result(|result| panic!("{}", result.unwrap().as_ref().unwrap_err()));
            task.await.unwrap()
        });
        assert_error(value, "no result");
        assert_eq!(reports.recv().unwrap().as_deref(), Some("no result"));
        assert_well(&runtime);
    });
}

/// S2-13: cancelling is a request, which takes effect at the next await.
#[test]
fn s2_13_a_cancellation_is_delivered_at_the_next_await() {
    async fn program(log: Log) {
        let (tell, told) = oneshot::channel::<rt::CancelHandle>();
        let theirs = log.clone();
        let task = rt::spawn(async move {
            let me = told.await.unwrap();
            theirs.say("asks for its own end");
            me.cancel();
            theirs.say("runs on to the next await");
            rt::yield_now().await;
            theirs.say("never comes here");
        });
        tell.send(task.cancel_handle()).unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            ["asks for its own end", "runs on to the next await"]
        );
    });
}

/// S2-14: cleanup in `finally`; background tasks are cancelled and awaited; callbacks for what comes afterwards.
#[test]
fn s2_14_background_tasks_at_shutdown() {
    async fn program(log: Log) {
        let (theirs, after_it) = (log.clone(), log.clone());
        let cleanup = async move {
            rt::sleep(secs(1)).await;
            theirs.say("connection closed");
        };
        let background = rt::spawn(rt::finally(rt::sleep(secs(3600)), cleanup));
        background.on_finish(move |_| after_it.say("callback after the cancellation"));
        rt::sleep(secs(1)).await;
        log.say("shutdown");
        background.cancel();
        assert!(background.await.unwrap_err().is_cancelled());
        log.say("background task awaited");
    }
    run_each(program, |run| {
        let expected = [
            "shutdown",
            "connection closed",
            "callback after the cancellation",
            "background task awaited",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(2));
    });
}

/// S2-14: a cancellation that is let through ends a group with all its children; one that is caught does not.
#[test]
fn s2_14_a_cancellation_is_let_through() {
    async fn program(log: Log) {
        let theirs = log.clone();
        let polite = rt::spawn(async move {
            TaskGroup::scope(async |group| {
                for _ in 0..3 {
                    let gone = theirs.on_drop("child gone");
                    group.spawn_ok(async move {
                        let _gone = gone;
                        rt::sleep(secs(3600)).await;
                    });
                }
                Ok(())
            })
            .await
        });
        let theirs = log.clone();
        let stubborn = rt::spawn(async move {
            if rt::catch_cancel(rt::sleep(secs(3600))).await.is_err() {
                theirs.say("caught");
            }
            rt::sleep(secs(1)).await;
            "swallowed it"
        });
        rt::sleep(secs(1)).await;
        polite.cancel();
        assert!(polite.await.unwrap_err().is_cancelled());
        log.say("group gone");
        stubborn.cancel();
        log.say(stubborn.await.unwrap());
    }
    run_each(program, |run| {
        let gone = "child gone";
        assert_eq!(
            run.log,
            [gone, gone, gone, "group gone", "caught", "swallowed it"]
        );
        assert_eq!(run.took, secs(2));
    });
}

/// S2-15: the cleanup of a cancelled task is through before whoever awaits it goes on.
#[test]
fn s2_15_background_cleanup_then_main() {
    async fn program(log: Log) {
        let (theirs, cleanup) = (log.clone(), log.clone());
        let background = rt::spawn(async move {
            let cleanup = async move { cleanup.say("background cleanup") };
            rt::finally(rt::sleep(secs(1)), cleanup).await;
            theirs.say("background is through");
        });
        rt::sleep(ms(100)).await;
        background.cancel();
        if background.await.is_err_and(|error| error.is_cancelled()) {
            log.say("main observed cancellation");
        }
    }
    let check = |run: Run<()>| {
        assert_eq!(
            run.log,
            ["background cleanup", "main observed cancellation"]
        );
        assert_eq!(run.took, ms(100));
    };
    check(run_exact(program));
    run_each(program, check);
}

/// S2-16: a call in the default pool, in a pool of one's own, and in the one for computing.
#[test]
fn s2_16_run_in_executor() {
    fn blocking(number: u32) -> String {
        thread::sleep(ms(5));
        format!("result {number}")
    }
    each_size(|runtime| {
        let own = rt::Builder::current_thread()
            .blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let results = [
                rt::spawn_blocking(|| blocking(1)),
                own.spawn_blocking(|| blocking(2)),
                rt::spawn_compute(|| blocking(3)),
            ];
            for (number, result) in (1..).zip(results) {
                assert_eq!(result.await.unwrap(), format!("result {number}"));
            }
        });
    });
}

/// S2-18: a task that never has to wait lets the others run all the same.
#[test]
fn s2_18_a_hog_lets_the_others_run() {
    exact(async {
        let stop = Flag::default();
        let theirs = stop.clone();
        let hog = rt::spawn(async move {
            let queue = Queue::bounded(1);
            let mut n_rounds = 0;
            while !theirs.is_up() {
                queue.put(n_rounds).await.unwrap();
                n_rounds = queue.get().await.unwrap() + 1;
            }
            n_rounds
        });
        let other = rt::spawn(async move { stop.raise() });
        other.await.unwrap();
        assert!(hog.await.unwrap() > 0);
    });
}
