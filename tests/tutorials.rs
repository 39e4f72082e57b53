//! Programs from asyncio's tutorials, with what they print: in exact order on one thread, in virtual time.

mod support;

use std::thread;
use std::time::Duration;

use rt::sync::oneshot;
use support::{Log, each_size_virtual, exact, ms, must_end};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
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
