//! Programs of the long tutorial, from the first coroutine to `shield`: with what they print and how long they
//! take. `docs/tutorials.md` has the list.

use std::future::{Future, IntoFuture, Ready, pending, ready};
use std::sync::{Arc, Barrier};
use std::thread;

use crate::support::program::{Run, ValueError, after, run_each, run_exact, secs};
use crate::support::{Count, Log, each_size, each_size_virtual, ms, must_end};
use rt::stream::{StreamExt, generate};
use rt::{JoinHandle, TaskGroup, Until};

/// S1-01: a hundred thousand tasks wait side by side, and two that compute run in parallel.
#[test]
fn s1_01_many_tasks_wait_and_several_compute() {
    async fn program(_log: Log) -> usize {
        let sleepers: Vec<_> = (0..100_000).map(|_| rt::spawn(after(secs(1), 1))).collect();
        let mut sum = 0;
        for sleeper in sleepers {
            sum += sleeper.await.unwrap();
        }
        sum
    }
    let run = run_exact(program);
    assert_eq!((run.value, run.took), (100_000, secs(1)));

    must_end("with tasks that compute", || {
        let runtime = rt::Builder::new().workers(2).build().unwrap();
        let both = Arc::new(Barrier::new(2));
        // Each goes on only while the other one runs as well.
        let tasks = [both.clone(), both].map(|both| {
            runtime.spawn(async move {
                both.wait();
                (0..1_000u64).sum::<u64>()
            })
        });
        assert_eq!(
            tasks.map(|task| task.join_blocking().unwrap()),
            [499_500; 2]
        );
    });
}

/// S1-02: the first program.
#[test]
fn s1_02_hello_and_a_second_later_world() {
    async fn hello(log: Log) {
        log.say("Hello");
        rt::sleep(secs(1)).await;
        log.say("World");
    }
    run_each(hello, |run| {
        assert_eq!(run.log, ["Hello", "World"]);
        assert_eq!(run.took, secs(1));
    });
}

/// S1-04: calling an async function runs nothing of it.
#[test]
fn s1_04_a_coroutine_is_lazy() {
    async fn hello(log: Log) {
        log.say("Hello");
    }
    run_each(
        |log| async move {
            let coroutine = hello(log.clone());
            rt::sleep(secs(1)).await;
            log.say("nothing so far");
            coroutine.await;
        },
        |run| assert_eq!(run.log, ["nothing so far", "Hello"]),
    );
}

/// S1-05: `async for` is a loop over a stream, `async with` a guard.
#[test]
fn s1_05_async_for_and_async_with() {
    async fn program(log: Log) {
        let session = rt::guard(log.clone(), |log| async move {
            rt::sleep(secs(1)).await;
            log.say("session closed");
        });
        let mut numbers = generate(|y| async move {
            for number in 1..=3 {
                y.put(number).await;
            }
        });
        while let Some(number) = numbers.next().await {
            session.say(format!("number {number}"));
        }
        session.close().await;
        log.say("through");
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            [
                "number 1",
                "number 2",
                "number 3",
                "session closed",
                "through"
            ]
        );
        assert_eq!(run.took, secs(1));
    });
}

/// Something of one's own that can be awaited.
struct Answer(u32);

impl IntoFuture for Answer {
    type Output = u32;
    type IntoFuture = Ready<u32>;

    fn into_future(self) -> Ready<u32> {
        ready(self.0)
    }
}

/// S1-07: coroutines, tasks and types of one's own can be awaited, and a task is a future.
#[test]
fn s1_07_what_can_be_awaited() {
    async fn double(number: impl IntoFuture<Output = u32>) -> u32 {
        2 * number.await
    }
    fn is_future<T>(_: &impl Future<Output = Result<T, rt::JoinError>>) {}
    each_size(|runtime| {
        runtime.block_on(async {
            assert_eq!(double(async { 1 }).await, 2);
            assert_eq!(double(Answer(2)).await, 4);
            let task: JoinHandle<u32> = rt::spawn(double(Answer(3)));
            is_future(&task);
            assert_eq!(task.await.unwrap(), 6);
        });
    });
}

/// S1-08: tasks run while the program that made them goes on.
#[test]
fn s1_08_tasks_run_in_the_background() {
    async fn say_after(log: Log, delay: u64, what: &'static str) {
        rt::sleep(secs(delay)).await;
        log.say(what);
    }
    async fn program(log: Log) {
        let first = rt::spawn(say_after(log.clone(), 1, "hello"));
        let second = rt::spawn(say_after(log.clone(), 2, "world"));
        log.say("Tasks have been created and are running");
        first.await.unwrap();
        second.await.unwrap();
    }
    run_each(program, |run| {
        let expected = ["Tasks have been created and are running", "hello", "world"];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(2));
    });
}

/// S1-10: a task runs until it awaits; who sleeps comes back when the time has come, equal times in order.
#[test]
fn s1_10_the_loop_takes_what_is_ready_and_what_is_due() {
    async fn program(log: Log) {
        let tasks = [("A", 2), ("B", 1), ("C", 2)].map(|(name, delay)| {
            let log = log.clone();
            rt::spawn(async move {
                log.say(format!("{name} runs"));
                rt::yield_now().await;
                log.say(format!("{name} sleeps"));
                rt::sleep(secs(delay)).await;
                log.say(format!("{name} is back"));
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
    let run = run_exact(program);
    let expected = [
        "A runs",
        "B runs",
        "C runs",
        "A sleeps",
        "B sleeps",
        "C sleeps",
        "B is back",
        "A is back",
        "C is back",
    ];
    assert_eq!(run.log, expected);
    assert_eq!(run.took, secs(2));
}

/// S1-11, E2: `block_on` gives what its future returns; leftovers are cancelled and awaited, not run to their end.
#[test]
fn s1_11_main_does_not_wait_for_what_it_left_behind() {
    let log = Log::default();
    let theirs = log.clone();
    let value = must_end("with a leftover", move || {
        rt::block_on(async move {
            let log = theirs.clone();
            let leftover = async move {
                let cleaned = log.clone();
                let cleanup = async move {
                    rt::sleep(ms(5)).await;
                    cleaned.say("leftover cleaned up");
                };
                log.say("leftover runs");
                rt::finally(rt::sleep(secs(3600)), cleanup).await;
                log.say("leftover is through");
            };
            rt::task::Builder::new().eager().spawn(leftover);
            "what main returns"
        })
    });
    assert_eq!(value, "what main returns");
    assert_eq!(log, ["leftover runs", "leftover cleaned up"]);
}

/// S1-12: two events gathered take as long as the longer one.
#[test]
fn s1_12_two_events_take_as_long_as_the_longer_one() {
    async fn event(log: Log, number: u32, delay: u64) -> u32 {
        log.say(format!("Event {number} started"));
        rt::sleep(secs(delay)).await;
        log.say(format!("Event {number} completed"));
        number
    }
    async fn program(log: Log) -> Vec<u32> {
        let events = [(1, 2), (2, 1)];
        rt::join_all(events.map(|(number, delay)| event(log.clone(), number, delay))).await
    }
    let check = |run: Run<Vec<u32>>| {
        assert_eq!(
            run.log.lines()[2..],
            ["Event 2 completed", "Event 1 completed"]
        );
        assert_eq!((run.value, run.took), (vec![1, 2], secs(2)));
    };
    let run = run_exact(program);
    assert_eq!(run.log.lines()[..2], ["Event 1 started", "Event 2 started"]);
    check(run);
    run_each(program, check);
}

/// S1-13: calls that block their thread run one after the other, unless they are handed to other threads.
#[test]
fn s1_13_blocking_calls_freeze_the_loop() {
    async fn get(log: Log, number: u32) {
        log.say(format!("get {number}"));
        thread::sleep(ms(10));
        log.say(format!("got {number}"));
    }
    let run = run_exact(|log| async move {
        rt::join_all((1..=3).map(|number| get(log.clone(), number))).await;
    });
    assert_eq!(
        run.log,
        ["get 1", "got 1", "get 2", "got 2", "get 3", "got 3"]
    );

    each_size(|runtime| {
        let all = Arc::new(Barrier::new(3));
        runtime.block_on(async {
            let calls: Vec<_> = (1..=3)
                .map(|_| {
                    let all = all.clone();
                    // Returns once all three are under way.
                    rt::spawn_blocking(move || all.wait().is_leader())
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
        });
    });
}

/// S1-17: an operation that takes too long is given up, and it never completes.
#[test]
fn s1_17_an_operation_times_out() {
    async fn long_operation(log: Log) {
        let _gone = log.on_drop("operation cancelled");
        rt::sleep(secs(5)).await;
        log.say("Operation complete");
    }
    async fn program(log: Log) {
        match rt::timeout(secs(3), long_operation(log.clone())).await {
            Ok(()) => log.say("in time"),
            Err(_elapsed) => log.say("The operation timed out!"),
        }
        rt::sleep(secs(7)).await;
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["operation cancelled", "The operation timed out!"]);
        assert_eq!(run.took, secs(10));
    });
}

/// S1-18: cancelling is a request; the task cleans up, and whoever awaits it learns of it.
#[test]
fn s1_18_a_task_is_cancelled() {
    async fn program(log: Log) {
        let (theirs, cleaned) = (log.clone(), log.clone());
        let task = rt::spawn(async move {
            theirs.say("Task started…");
            let cleanup = async move { cleaned.say("Task was cancelled!") };
            rt::finally(rt::sleep(secs(10)), cleanup).await;
            theirs.say("Task finished");
        });
        rt::sleep(secs(1)).await;
        assert!(task.cancel());
        match task.await {
            Err(error) if error.is_cancelled() => log.say("Main caught the cancellation."),
            other => panic!("{other:?}"),
        }
    }
    run_each(program, |run| {
        let expected = [
            "Task started…",
            "Task was cancelled!",
            "Main caught the cancellation.",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(1));
    });
}

/// S1-19: `wait` for the first, for the first error, or for all.
#[test]
fn s1_19_three_ways_to_wait() {
    fn tasks() -> Vec<JoinHandle<Result<u64, ValueError>>> {
        let one = |delay| async move {
            rt::sleep(secs(delay)).await;
            if delay == 2 {
                Err(ValueError("two"))
            } else {
                Ok(delay)
            }
        };
        [3, 1, 2].map(|delay| rt::spawn(one(delay))).into()
    }
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            for (until, n_done, took) in [
                (Until::FirstCompleted, 1, 1),
                (Until::FirstError, 2, 2),
                (Until::AllCompleted, 3, 3),
            ] {
                let start = rt::Instant::now();
                let (done, pending) = rt::wait(tasks(), until).await;
                assert_eq!((done.len(), pending.len()), (n_done, 3 - n_done));
                assert!(done.iter().all(|task| task.is_finished()));
                assert_eq!(start.elapsed(), secs(took));
            }
        });
    });
}

/// A server of the next program, which tells when it was cleaned up.
async fn server(log: Log, name: &'static str, delay: u64) -> String {
    let cleanup = async move {
        rt::sleep(ms(100)).await;
        log.say(format!("Server {name} cleaned up"));
    };
    rt::finally(rt::sleep(secs(delay)), cleanup).await;
    format!("Response from Server {name}")
}

/// S1-20, E3: the first of three servers wins; the others are cancelled, and their cleanup is awaited.
#[test]
fn s1_20_the_first_of_three_servers() {
    const SERVERS: [(&str, u64); 3] = [("A", 2), ("B", 1), ("C", 3)];
    async fn by_wait(log: Log) {
        let tasks = SERVERS.map(|(name, delay)| rt::spawn(server(log.clone(), name, delay)));
        let (done, pending) = rt::wait(tasks, Until::FirstCompleted).await;
        for task in done {
            log.say(format!("Got first result: {}", task.await.unwrap()));
        }
        for task in &pending {
            task.cancel();
        }
        for task in pending {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        log.say("all cancelled");
    }
    async fn by_race(log: Log) {
        let servers = SERVERS.map(|(name, delay)| server(log.clone(), name, delay));
        log.say(format!("Got first result: {}", rt::race(servers).await));
    }
    run_each(by_wait, |run| {
        let lines = run.log.lines();
        assert_eq!(
            lines[..2],
            [
                "Server B cleaned up",
                "Got first result: Response from Server B"
            ]
        );
        assert_eq!(
            run.log.sorted()[1..4],
            ["A", "B", "C"].map(|name| format!("Server {name} cleaned up"))
        );
        assert_eq!(lines[4], "all cancelled");
        assert_eq!(run.took, ms(1200));
    });
    run_each(by_race, |run| {
        assert_eq!(
            run.log.lines()[3],
            "Got first result: Response from Server B"
        );
        assert_eq!(run.log.lines().len(), 4);
        assert_eq!(run.took, ms(1200));
    });
}

/// S1-21, E4: a group reports its errors by type; the task that was through is not cancelled.
#[test]
fn s1_21_the_errors_of_a_group_by_type() {
    async fn program(log: Log) {
        let (one, two) = (log.clone(), log.clone());
        let result = TaskGroup::scope(async |group| {
            group.spawn_ok(async move {
                rt::sleep(secs(1)).await;
                one.say("Task 1 done");
            });
            group.spawn(async move {
                rt::sleep(secs(2)).await;
                two.say("Task 2 done");
                Err::<(), _>(ValueError("Task 2 failed!"))
            });
            Ok(())
        });
        let (values, rest) = result.await.unwrap_err().split_type::<ValueError>();
        assert!(rest.is_none());
        for failure in values.unwrap().errors() {
            log.say(format!("TaskGroup caught: {}", failure.kind));
        }
    }
    run_each(program, |run| {
        let expected = [
            "Task 1 done",
            "Task 2 done",
            "TaskGroup caught: Task 2 failed!",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(2));
    });
}

/// S1-22: a coroutine awaits another one and uses what that returns.
#[test]
fn s1_22_coroutines_in_a_chain() {
    async fn inner(log: Log) -> u32 {
        log.say("inner starts");
        rt::sleep(secs(1)).await;
        log.say("inner ends");
        42
    }
    async fn outer(log: Log) -> u32 {
        log.say("outer starts");
        let value = inner(log.clone()).await;
        log.say("outer ends");
        value
    }
    run_each(outer, |run| {
        assert_eq!(
            run.log,
            ["outer starts", "inner starts", "inner ends", "outer ends"]
        );
        assert_eq!((run.value, run.took), (42, secs(1)));
    });
}

/// S1-23: a blocking call on another thread, and the main coroutine goes on with its result.
#[test]
fn s1_23_a_blocking_call_runs_beside_the_main_coroutine() {
    async fn program(log: Log) {
        log.say("Starting main coroutine");
        let theirs = log.clone();
        let status = rt::spawn_blocking(move || {
            theirs.say("Starting blocking call in thread…");
            thread::sleep(ms(5));
            theirs.say("Blocking call finished");
            200
        });
        log.say(format!("Got status: {}", status.await.unwrap()));
        log.say("Main coroutine finished");
    }
    run_each(program, |run| {
        let expected = [
            "Starting main coroutine",
            "Starting blocking call in thread…",
            "Blocking call finished",
            "Got status: 200",
            "Main coroutine finished",
        ];
        assert_eq!(run.log, expected);
    });
}

/// S1-24, H1: what a timeout gives up on goes on when it is a task of its own.
#[test]
fn s1_24_a_critical_write_goes_on_after_the_timeout() {
    async fn program(log: Log) {
        let theirs = log.clone();
        let mut write = rt::spawn(async move {
            rt::sleep(secs(3)).await;
            theirs.say("Critical write complete!");
        });
        if rt::timeout(secs(1), &mut write).await.is_err() {
            log.say("timed out");
        }
        rt::sleep(secs(3)).await;
        log.say("Main exiting");
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            ["timed out", "Critical write complete!", "Main exiting"]
        );
        assert_eq!(run.took, secs(4));
    });
}

/// S1-24: with `shield` the timeout waits until the write is through, so that nothing outlives its scope.
#[test]
fn s1_24_a_shielded_write_is_waited_for() {
    async fn program(log: Log) {
        let n_dropped = Count::default();
        let write = async {
            let _counted = n_dropped.on_drop();
            rt::shield(rt::sleep(secs(3))).await;
            log.say("Critical write complete!");
            pending::<()>().await;
        };
        assert!(rt::timeout(secs(1), write).await.is_err());
        assert_eq!(n_dropped.get(), 1);
        log.say("timed out");
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["Critical write complete!", "timed out"]);
        assert_eq!(run.took, secs(3));
    });
}
