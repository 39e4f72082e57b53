//! Programs of the long tutorial about state that tasks share, about pitfalls, tests and synchronous code: with
//! what they print and how long they take. `docs/tutorials.md` has the list.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::support::program::{ValueError, after, run_each, run_exact, secs};
use crate::support::{Log, builder, each_size, ms, must_end};
use rt::sync::{Barrier, Condvar, Event, Mutex, PromiseFuture, Queue, Semaphore, oneshot, promise};
use rt::{BoxError, Instant};

/// S1-09: a future is an empty box: someone puts a value or an error in once, and everyone who awaits it goes on.
#[test]
fn s1_09_an_empty_box_is_filled_once() {
    async fn waiter(log: Log, name: &str, future: PromiseFuture<Result<u32, ValueError>>) {
        log.say(format!("{name} waits"));
        match future.await.unwrap() {
            Ok(value) => log.say(format!("{name} got {value}")),
            Err(error) => log.say(format!("{name} failed: {error}")),
        }
    }
    async fn program(log: Log) {
        for outcome in [Ok(42), Err(ValueError("no value"))] {
            let (promise, future) = promise();
            let waiting =
                ["A", "B", "C"].map(|name| rt::spawn(waiter(log.clone(), name, future.clone())));
            rt::sleep(secs(1)).await;
            assert!(future.try_get().is_none());
            log.say("set");
            promise.set(outcome);
            for task in waiting {
                task.await.unwrap();
            }
            assert!(future.is_set());
        }
    }
    let run = run_exact(program);
    let expected = [
        "A waits",
        "B waits",
        "C waits",
        "set",
        "A got 42",
        "B got 42",
        "C got 42",
        "A waits",
        "B waits",
        "C waits",
        "set",
        "A failed: no value",
        "B failed: no value",
        "C failed: no value",
    ];
    assert_eq!(run.log, expected);
    assert_eq!(run.took, secs(2));
    run_each(program, |run| {
        assert_eq!(run.took, secs(2));
        for name in ["A", "B", "C"] {
            run.log.assert_before("set", &format!("{name} got 42"));
            run.log.assert_before(
                &format!("{name} got 42"),
                &format!("{name} failed: no value"),
            );
        }
    });
}

/// S1-25, E9: what is read before a suspension and written after it loses what others wrote meanwhile.
#[test]
fn s1_25_without_a_lock_updates_are_lost() {
    async fn program(_log: Log) -> u32 {
        let counter = Arc::new(AtomicU32::new(0));
        let increment = |counter: Arc<AtomicU32>| async move {
            let value = counter.load(SeqCst);
            rt::sleep(ms(10)).await;
            counter.store(value + 1, SeqCst);
        };
        rt::join_all((0..100).map(|_| increment(counter.clone()))).await;
        counter.load(SeqCst)
    }
    // All of them read before the first one writes: the clock waits until everybody sleeps.
    run_each(program, |run| {
        assert_eq!((run.value, run.took), (1, ms(10)))
    });
}

/// S1-26: with a lock around reading and writing nothing is lost.
#[test]
fn s1_26_with_a_lock_none_is_lost() {
    async fn program(log: Log) -> u32 {
        let counter = Arc::new(Mutex::new(0));
        let increment = |counter: Arc<Mutex<u32>>| async move {
            let mut counter = counter.lock().await;
            let value = *counter;
            rt::sleep(ms(10)).await;
            *counter = value + 1;
        };
        rt::join_all((0..100).map(|_| increment(counter.clone()))).await;
        let counter = *counter.lock().await;
        log.say(format!("Final counter: {counter}"));
        counter
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["Final counter: 100"]);
        assert_eq!(run.took, secs(1));
    });
}

/// S1-27: a producer ends, `join` waits for the last item, and the endless consumer is cancelled.
#[test]
fn s1_27_a_producer_and_an_endless_consumer() {
    async fn producer(log: Log, queue: Queue<u32>) {
        for item in 1..=5 {
            queue.put(item).await.unwrap();
            log.say(format!("Produced {item}"));
        }
    }
    async fn consumer(log: Log, queue: Queue<u32>) {
        loop {
            let item = queue.get().await.unwrap();
            rt::sleep(secs(1)).await;
            log.say(format!("Consumed {item}"));
            queue.task_done().unwrap();
        }
    }
    async fn program(log: Log) {
        let queue = Queue::bounded(2);
        let producing = rt::spawn(producer(log.clone(), queue.clone()));
        let consuming = rt::spawn(consumer(log.clone(), queue.clone()));
        producing.await.unwrap();
        log.say("the producer is through");
        queue.join().await;
        consuming.cancel();
        assert!(consuming.await.unwrap_err().is_cancelled());
        log.say("the consumer is cancelled");
    }
    run_each(program, |run| {
        let lines = run.log.lines();
        for kind in ["Produced", "Consumed"] {
            let of_kind = lines.iter().filter(|line| line.starts_with(kind)).cloned();
            let expected = (1..=5).map(|item| format!("{kind} {item}"));
            assert!(of_kind.eq(expected), "{lines:#?}");
        }
        // The fifth item has room when the third is taken.
        run.log
            .assert_before("the producer is through", "Consumed 3");
        assert_eq!(
            lines[lines.len() - 2..],
            ["Consumed 5", "the consumer is cancelled"]
        );
        assert_eq!(run.took, secs(5));
    });
}

/// S1-28: twenty tasks, five at a time, take as long as four.
#[test]
fn s1_28_five_at_a_time() {
    async fn program(_log: Log) -> u32 {
        let seats = Arc::new(Semaphore::new(5));
        let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        rt::join_all((0..20).map(|_| {
            let (seats, inside, most) = (seats.clone(), inside.clone(), most.clone());
            async move {
                let _seat = seats.acquire().await.unwrap();
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                rt::sleep(secs(1)).await;
                inside.fetch_sub(1, SeqCst);
            }
        }))
        .await;
        most.load(SeqCst)
    }
    run_each(program, |run| {
        assert_eq!((run.value, run.took), (5, secs(4)))
    });
}

/// S1-29: workers wait for the database, and start together.
#[test]
fn s1_29_workers_wait_for_the_database() {
    async fn worker(log: Log, ready: Arc<Event>, name: &'static str) {
        log.say(format!("Worker {name} waits"));
        ready.wait().await;
        log.say(format!("Worker {name} works"));
        rt::sleep(secs(1)).await;
    }
    async fn program(log: Log) {
        let ready = Arc::new(Event::new());
        let workers = ["A", "B"].map(|name| rt::spawn(worker(log.clone(), ready.clone(), name)));
        rt::sleep(secs(2)).await;
        log.say("Database is ready");
        ready.set();
        for worker in workers {
            worker.await.unwrap();
        }
    }
    let expected = [
        "Worker A waits",
        "Worker B waits",
        "Database is ready",
        "Worker A works",
        "Worker B works",
    ];
    let run = run_exact(program);
    assert_eq!(run.log, expected);
    run_each(program, move |run| {
        assert_eq!(run.log.place("Database is ready"), 2);
        assert_eq!(run.took, secs(3), "they worked side by side");
    });
}

/// S1-30: three tasks arrive after one, two and three seconds, and pass together.
#[test]
fn s1_30_three_tasks_pass_when_the_last_arrives() {
    async fn worker(log: Log, barrier: Arc<Barrier>, number: u64) -> Duration {
        let start = Instant::now();
        rt::sleep(secs(number)).await;
        log.say(format!("Task {number} reached the barrier (Stage 1)"));
        barrier.wait().await.unwrap();
        log.say("Barrier passed! (Stage 2)");
        start.elapsed()
    }
    async fn program(log: Log) -> Vec<Duration> {
        let barrier = Arc::new(Barrier::new(NonZeroUsize::new(3).unwrap()));
        rt::join_all((1..=3).map(|number| worker(log.clone(), barrier.clone(), number))).await
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            [
                "Task 1 reached the barrier (Stage 1)",
                "Task 2 reached the barrier (Stage 1)",
                "Task 3 reached the barrier (Stage 1)",
                "Barrier passed! (Stage 2)",
                "Barrier passed! (Stage 2)",
                "Barrier passed! (Stage 2)",
            ]
        );
        assert_eq!(run.value, [secs(3); 3]);
        assert_eq!(run.took, secs(3));
    });
}

/// S1-31: a condition is a lock to wait with: who waits gives the lock up, and looks again when it is notified.
#[test]
fn s1_31_consumers_wait_until_there_is_something() {
    type Shared = Arc<(Mutex<Vec<u32>>, Condvar)>;
    async fn consumer(log: Log, shared: Shared, name: &str) {
        let (items, changed) = &*shared;
        let items = items.lock().await;
        log.say(format!("{name} waits"));
        let mut items = changed.wait_while(items, |items| items.is_empty()).await;
        log.say(format!("{name} got {}", items.remove(0)));
    }
    async fn program(log: Log) {
        let shared = Shared::default();
        let consumers =
            ["A", "B"].map(|name| rt::spawn(consumer(log.clone(), shared.clone(), name)));
        let (items, changed) = &*shared;
        for item in 1..=2 {
            rt::sleep(secs(1)).await;
            let mut items = items.lock().await;
            items.push(item);
            changed.notify_one();
            log.say(format!("put {item}"));
        }
        for consumer in consumers {
            consumer.await.unwrap();
        }
    }
    let run = run_exact(program);
    assert_eq!(
        run.log,
        ["A waits", "B waits", "put 1", "A got 1", "put 2", "B got 2"]
    );
    run_each(program, |run| {
        let lines = run.log.lines();
        assert_eq!((&*lines[2], &*lines[4]), ("put 1", "put 2"));
        assert!(lines[3].ends_with("got 1") && lines[5].ends_with("got 2"));
        assert_eq!(run.took, secs(2));
    });
}

/// S1-32: what a stack trace does not tell, a dump does: every task by name and place, and who waits for whom.
#[test]
fn s1_32_a_dump_shows_who_waits_for_whom() {
    each_size(|runtime| {
        runtime.block_on(async {
            let named = |name: &'static str| rt::task::Builder::new().name(name);
            let (send, receive) = oneshot::channel();
            let line = line!() + 1;
            let fetching = named("fetch").spawn(async move { receive.await.unwrap() });
            let fetch = fetching.id();
            let caller = named("handler").spawn(async move { fetching.await.unwrap() });
            rt::test::quiescent().await;

            let dump = rt::dump();
            assert_eq!(dump.waits_for(caller.id()), [fetch]);
            assert_eq!(dump.awaited_by(fetch), [caller.id()]);
            let text = dump.to_string();
            let of = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
            assert!(
                of("`fetch`").contains(&format!("{}:{line}:", file!())),
                "{text}"
            );
            assert!(
                of("`fetch`").contains("waits for the other end of a channel"),
                "{text}"
            );
            assert!(
                of("`handler`").contains(&format!("waits for task #{fetch}")),
                "{text}"
            );

            send.send(7).unwrap();
            assert_eq!(caller.await.unwrap(), 7);
        });
    });
}

/// S1-35: on one thread a call that blocks freezes everybody; asleep or on another thread it does not.
#[test]
fn s1_35_blocking_the_only_thread() {
    #[derive(Clone, Copy)]
    enum How {
        Block,
        Sleep,
        Elsewhere,
    }
    async fn program(log: Log, how: How) {
        let (bad, other) = (log.clone(), log);
        let bad = rt::spawn(async move {
            bad.say("Blocking the event loop…");
            match how {
                How::Block => thread::sleep(ms(20)),
                How::Sleep => rt::sleep(secs(5)).await,
                How::Elsewhere => rt::spawn_blocking(|| thread::sleep(ms(20))).await.unwrap(),
            }
            bad.say("…unblocked");
        });
        let other = rt::spawn(async move { other.say("I want to run!") });
        bad.await.unwrap();
        other.await.unwrap();
    }
    let run = run_exact(|log| program(log, How::Block));
    assert_eq!(
        run.log,
        ["Blocking the event loop…", "…unblocked", "I want to run!"]
    );
    for how in [How::Sleep, How::Elsewhere] {
        let run = run_exact(move |log| program(log, how));
        assert_eq!(
            run.log,
            ["Blocking the event loop…", "I want to run!", "…unblocked"]
        );
    }
}

/// S1-35: blocking one of several workers does not keep the other task waiting.
#[test]
fn s1_35_another_task_runs_while_one_blocks_its_worker() {
    for n_workers in [2, 8] {
        must_end("with a blocked worker", move || {
            let runtime = builder(n_workers).build().unwrap();
            let (ran, other_ran) = std::sync::mpsc::channel();
            // It blocks until the other one has run.
            let bad = runtime.spawn(async move { other_ran.recv().unwrap() });
            runtime.spawn(async move { ran.send("I want to run!").unwrap() });
            assert_eq!(bad.join_blocking().unwrap(), "I want to run!");
        });
    }
}

/// S1-36: a test may be asynchronous.
#[rt::test]
async fn s1_36_an_asynchronous_test() -> Result<(), BoxError> {
    async fn add_async(a: i32, b: i32) -> i32 {
        rt::sleep(ms(1)).await;
        a + b
    }
    assert_eq!(add_async(2, 3).await, 5);
    Ok(())
}

/// S1-37: synchronous code calls asynchronous code, with a runtime around it or without.
#[test]
fn s1_37_synchronous_code_calls_asynchronous_code() {
    fn synchronous(log: &Log) {
        log.say("In sync code, calling async…");
        let result = rt::block_on(after(ms(1), "Async result"));
        log.say(format!("Got result: {result}"));
    }
    let expected = ["In sync code, calling async…", "Got result: Async result"];
    let log = Log::default();
    synchronous(&log);
    assert_eq!(log, expected);
    each_size(move |runtime| {
        let (in_task, in_main) = (Log::default(), Log::default());
        let theirs = in_task.clone();
        runtime.block_on(async {
            rt::spawn(async move { synchronous(&theirs) })
                .await
                .unwrap();
            synchronous(&in_main);
        });
        assert_eq!(in_task, expected);
        assert_eq!(in_main, expected);
    });
}

/// S1-38: the loop runs elsewhere; another thread gives it work and waits for the result.
#[test]
fn s1_38_a_thread_gives_work_to_a_loop_that_runs_elsewhere() {
    each_size(|runtime| {
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let value = handle.spawn(after(ms(2), 7)).join_blocking().unwrap();
            stop.send(()).unwrap();
            value
        });
        runtime.block_on(stopped).unwrap();
        assert_eq!(thread.join().unwrap(), 7);
    });
}
