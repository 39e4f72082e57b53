//! Programs from asyncio's tutorials, with what they print: in exact order on one thread, in virtual time.

mod support;

use std::future::pending;
use std::thread;
use std::time::Duration;

use rt::sync::oneshot;
use support::{Log, each_size, each_size_virtual, exact, ms, must_end};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// S1-02.
#[test]
fn hello_and_a_second_later_world() {
    let log = Log::default();
    let theirs = log.clone();
    let took = exact(async move {
        let start = rt::Instant::now();
        theirs.say("Hello");
        rt::sleep(secs(1)).await;
        theirs.say("World");
        start.elapsed()
    });
    assert_eq!(log, ["Hello", "World"]);
    assert_eq!(took, secs(1));
}

/// A worker of the S3 programs.
async fn worker(log: Log, name: &'static str, delay: u64) -> String {
    log.say(format!("{name} started"));
    rt::sleep(secs(delay)).await;
    log.say(format!("{name} finished"));
    format!("{name} result")
}

/// S3-01, E1: without eager spawning the tasks begin after `main` has gone on.
#[test]
fn three_named_workers_finish_by_delay_and_give_their_results_in_order() {
    let log = Log::default();
    let theirs = log.clone();
    let (results, took) = exact(async move {
        let start = rt::Instant::now();
        let tasks = [("A", 3), ("B", 1), ("C", 2)].map(|(name, delay)| {
            let named = rt::task::Builder::new().name(format!("worker-{name}"));
            named.spawn(worker(theirs.clone(), name, delay))
        });
        assert_eq!(tasks[1].name().as_deref(), Some("worker-B"));
        theirs.say("Tasks are running...");
        let mut results = vec![];
        for task in tasks {
            results.push(task.await.unwrap());
        }
        (results, start.elapsed())
    });
    let expected = [
        "Tasks are running...",
        "A started",
        "B started",
        "C started",
        "B finished",
        "C finished",
        "A finished",
    ];
    assert_eq!(log, expected);
    assert_eq!(results, ["A result", "B result", "C result"]);
    assert_eq!(took, secs(3));
}

/// S3-01, E1: with eager spawning in the order the tutorial shows.
#[test]
fn eager_workers_start_before_main_goes_on() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let tasks = [("A", 3), ("B", 1)].map(|(name, delay)| {
            rt::task::Builder::new()
                .eager()
                .spawn(worker(theirs.clone(), name, delay))
        });
        theirs.say("Tasks are running...");
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(
        log,
        [
            "A started",
            "B started",
            "Tasks are running...",
            "B finished",
            "A finished"
        ]
    );
}

/// S3-02.
#[test]
fn a_task_can_be_inspected() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let mut task = rt::task::Builder::new().name("inspected").spawn(async {
                rt::sleep(secs(1)).await;
                42
            });
            assert_eq!(task.name().as_deref(), Some("inspected"));
            assert!(!task.is_finished());
            rt::sleep(ms(500)).await;
            assert!(!task.is_finished() && !task.is_cancelled());
            rt::sleep(secs(1)).await;
            assert!(task.is_finished() && !task.is_cancelled());
            assert_eq!(task.try_join().unwrap().unwrap(), 42);
        });
    });
}

/// S3-03.
#[test]
fn a_long_task_is_cancelled_and_cleans_up() {
    let log = Log::default();
    let theirs = log.clone();
    let took = exact(async move {
        let start = rt::Instant::now();
        let log = theirs.clone();
        let task = rt::spawn(async move {
            log.say("Long task started");
            let cleaned = log.clone();
            let cleanup = async move { cleaned.say("Long task was cancelled — cleaning up") };
            rt::finally(rt::sleep(secs(10)), cleanup).await;
            log.say("Long task completed");
        });
        rt::sleep(secs(2)).await;
        task.cancel();
        if task.await.is_err_and(|error| error.is_cancelled()) {
            theirs.say("Task cancelled successfully");
        }
        start.elapsed()
    });
    let expected = [
        "Long task started",
        "Long task was cancelled — cleaning up",
        "Task cancelled successfully",
    ];
    assert_eq!(log, expected);
    assert_eq!(took, secs(2));
}

/// S2-11: callbacks come before whoever awaits, a timer and a plain thread set values.
#[test]
fn callbacks_timers_and_threads_meet_in_the_order_of_the_tutorial() {
    let log = Log::default();
    let theirs = log.clone();
    must_end("in the callback demo", move || {
        // Real time, as the thread's: the distances are what decides the order.
        let runtime = rt::Builder::current_thread().build().unwrap();
        runtime.block_on(async move {
            let (set_timer, by_timer) = oneshot::channel();
            let (set_thread, by_thread) = oneshot::channel();
            let task = rt::spawn(async {
                rt::sleep(ms(60)).await;
                "T1 done".to_owned()
            });
            rt::time::call_later(ms(30), move || set_timer.send("future-result").unwrap());
            let waiter =
                rt::spawn(async move { format!("waiter got {}", by_timer.await.unwrap()) });
            for task in [&task, &waiter] {
                let log = theirs.clone();
                task.on_result(move |result| log.say(format!("done_cb: {}", result.unwrap())));
            }
            let thread = thread::spawn(move || {
                thread::sleep(ms(10));
                set_thread.send("from-thread").unwrap();
            });
            let gathered = [
                task.await.unwrap(),
                waiter.await.unwrap(),
                by_thread.await.unwrap().to_owned(),
            ];
            theirs.say(format!("gathered: {gathered:?}"));
            thread.join().unwrap();
        });
    });
    let expected = [
        "done_cb: waiter got future-result",
        "done_cb: T1 done",
        r#"gathered: ["T1 done", "waiter got future-result", "from-thread"]"#,
    ];
    assert_eq!(log, expected);
}

/// S1-23.
#[test]
fn a_blocking_call_runs_beside_the_main_coroutine() {
    let log = Log::default();
    let theirs = log.clone();
    must_end("with a blocking call", move || {
        rt::block_on(async move {
            theirs.say("Starting main coroutine");
            let log = theirs.clone();
            let status = rt::spawn_blocking(move || {
                log.say("Starting blocking call in thread…");
                thread::sleep(ms(5));
                log.say("Blocking call finished");
                200
            });
            theirs.say(format!("Got status: {}", status.await.unwrap()));
            theirs.say("Main coroutine finished");
        });
    });
    let expected = [
        "Starting main coroutine",
        "Starting blocking call in thread…",
        "Blocking call finished",
        "Got status: 200",
        "Main coroutine finished",
    ];
    assert_eq!(log, expected);
}

/// S1-37.
#[test]
fn synchronous_code_calls_asynchronous_code() {
    async fn answer() -> &'static str {
        rt::sleep(ms(1)).await;
        "Async result"
    }
    fn synchronous() -> String {
        format!("Got result: {}", rt::block_on(answer()))
    }
    assert_eq!(synchronous(), "Got result: Async result");
    each_size(|runtime| {
        let nested = runtime.block_on(async { rt::spawn(async { synchronous() }).await.unwrap() });
        assert_eq!(nested, "Got result: Async result");
        assert_eq!(
            runtime.block_on(async { synchronous() }),
            "Got result: Async result"
        );
    });
}

/// S1-38: the loop runs elsewhere; another thread gives it work and waits for the result.
#[test]
fn a_thread_gives_work_to_a_loop_that_runs_elsewhere() {
    each_size(|runtime| {
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let task = handle.spawn(async {
                rt::sleep(ms(2)).await;
                7
            });
            let value = task.join_blocking().unwrap();
            stop.send(()).unwrap();
            value
        });
        runtime.block_on(stopped).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
    });
}

/// S1-35: blocking one of several workers does not keep the other task waiting.
#[test]
fn another_task_runs_while_one_blocks_its_worker() {
    for n_workers in [2, 8] {
        must_end("with a blocked worker", move || {
            let runtime = support::builder(n_workers).build().unwrap();
            let (ran, order) = std::sync::mpsc::channel();
            let bad = {
                let ran = ran.clone();
                runtime.spawn(async move {
                    thread::sleep(ms(200));
                    ran.send("…unblocked").unwrap();
                })
            };
            runtime.spawn(async move { ran.send("I want to run!").unwrap() });
            bad.join_blocking().unwrap();
            assert_eq!(
                order.iter().take(2).collect::<Vec<_>>(),
                ["I want to run!", "…unblocked"]
            );
        });
    }
}

/// S1-24, H1: what a timeout gives up on goes on when it is a task of its own.
#[test]
fn a_critical_write_goes_on_after_the_timeout() {
    let log = Log::default();
    let theirs = log.clone();
    let took = exact(async move {
        let start = rt::Instant::now();
        let log = theirs.clone();
        let mut write = rt::spawn(async move {
            rt::sleep(secs(3)).await;
            log.say("Critical write complete!");
        });
        if rt::timeout(secs(1), &mut write).await.is_err() {
            theirs.say("timed out");
        }
        rt::sleep(secs(3)).await;
        theirs.say("Main exiting");
        start.elapsed()
    });
    assert_eq!(
        log,
        ["timed out", "Critical write complete!", "Main exiting"]
    );
    assert_eq!(took, secs(4));
}

/// S1-11, E2: leftovers are cancelled, and not run to their end.
#[test]
fn main_does_not_wait_for_what_it_left_behind() {
    let log = Log::default();
    let theirs = log.clone();
    must_end("with a leftover", move || {
        rt::block_on(async move {
            let (began, begin) = oneshot::channel();
            rt::spawn(async move {
                let _dropped = theirs.on_drop("leftover dropped");
                began.send(()).unwrap();
                pending::<()>().await;
            });
            begin.await.unwrap();
        });
    });
    assert_eq!(log, ["leftover dropped"]);
}
