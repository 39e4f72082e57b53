//! Programs of the documentation about tasks, queues and locks: with what they print and how long they take.
//! `docs/tutorials.md` has the list.

use std::sync::Arc;
use std::thread;

use crate::support::program::{Run, after, run_each, run_exact, secs};
use crate::support::{Count, Log, each_size, each_size_virtual, ms, must_end};
use rt::sync::{Event, Mutex, Queue, Semaphore, TryGetError, TryPutError};
use rt::{BoxError, TaskGroup};

/// One of the named workers.
async fn worker(log: Log, name: &'static str, delay: u64) -> String {
    log.say(format!("{name} started"));
    rt::sleep(secs(delay)).await;
    log.say(format!("{name} finished"));
    format!("{name} result")
}

/// S3-01, E1: without eager spawning the tasks begin after `main` has gone on.
#[test]
fn s3_01_named_workers_give_their_results_in_order() {
    async fn program(log: Log) -> Vec<String> {
        let tasks = [("A", 3), ("B", 1), ("C", 2)].map(|(name, delay)| {
            let named = rt::task::Builder::new().name(format!("worker-{name}"));
            named.spawn(worker(log.clone(), name, delay))
        });
        assert_eq!(tasks[1].name().as_deref(), Some("worker-B"));
        log.say("Tasks are running...");
        let mut results = vec![];
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    }
    let check = |run: Run<Vec<String>>| {
        let finished = ["B finished", "C finished", "A finished"];
        assert_eq!(run.log.lines()[4..], finished);
        assert_eq!(run.value, ["A result", "B result", "C result"]);
        assert_eq!(run.took, secs(3));
    };
    let run = run_exact(program);
    let begun = [
        "Tasks are running...",
        "A started",
        "B started",
        "C started",
    ];
    assert_eq!(run.log.lines()[..4], begun);
    check(run);
    run_each(program, check);
}

/// S3-01, E1: with eager spawning in the order the tutorial shows.
#[test]
fn s3_01_eager_workers_start_before_main_goes_on() {
    async fn program(log: Log) {
        let tasks = [("A", 3), ("B", 1), ("C", 2)].map(|(name, delay)| {
            let eager = rt::task::Builder::new().eager();
            eager.spawn(worker(log.clone(), name, delay))
        });
        log.say("Tasks are running...");
        for task in tasks {
            task.await.unwrap();
        }
    }
    run_each(program, |run| {
        let expected = [
            "A started",
            "B started",
            "C started",
            "Tasks are running...",
            "B finished",
            "C finished",
            "A finished",
        ];
        assert_eq!(run.log, expected);
    });
}

/// S3-02: name, state and result of a task can be looked at.
#[test]
fn s3_02_a_task_can_be_inspected() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let named = rt::task::Builder::new().name("inspected");
            let mut task = named.spawn(after(secs(1), 42));
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

/// S3-03: a cancelled task cleans up before whoever awaits it goes on.
#[test]
fn s3_03_a_long_task_is_cancelled_and_cleans_up() {
    async fn program(log: Log) {
        let theirs = log.clone();
        let task = rt::spawn(async move {
            theirs.say("Long task started");
            let cleaned = theirs.clone();
            let cleanup = async move { cleaned.say("Long task was cancelled — cleaning up") };
            rt::finally(rt::sleep(secs(10)), cleanup).await;
            theirs.say("Long task completed");
        });
        rt::sleep(secs(2)).await;
        task.cancel();
        if task.await.is_err_and(|error| error.is_cancelled()) {
            log.say("Task cancelled successfully");
        }
    }
    run_each(program, |run| {
        let expected = [
            "Long task started",
            "Long task was cancelled — cleaning up",
            "Task cancelled successfully",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(2));
    });
}

/// S3-04: after the group its handles give the results.
#[test]
fn s3_04_the_results_of_a_group() {
    async fn fetch(source: &'static str, delay: u64) -> Result<String, BoxError> {
        rt::sleep(ms(delay)).await;
        Ok(format!("Data from {source}"))
    }
    async fn program(log: Log) -> Result<(), BoxError> {
        let sources = [("database", 2000), ("API", 1000), ("cache", 500)];
        let handles = TaskGroup::scope(async |group| {
            Ok(sources.map(|(source, delay)| group.spawn(fetch(source, delay))))
        })
        .await?;
        for handle in handles {
            log.say(handle.result());
        }
        Ok(())
    }
    run_each(program, |run| {
        run.value.unwrap();
        assert_eq!(
            run.log,
            ["Data from database", "Data from API", "Data from cache"]
        );
        assert_eq!(run.took, secs(2));
    });
}

/// S3-05: a sentinel that each consumer puts back; it stays in the queue, and `join` would never be through.
#[test]
fn s3_05_a_queue_with_a_sentinel() {
    async fn consume(log: Log, queue: Queue<Option<u32>>) -> Result<(), BoxError> {
        while let Some(item) = queue.get().await? {
            rt::sleep(secs(1)).await;
            log.say(format!("item {item}"));
            queue.task_done()?;
        }
        queue.put(None).await?;
        Ok(())
    }
    async fn program(log: Log) -> Result<(), BoxError> {
        let queue = Queue::bounded(5);
        TaskGroup::scope(async |group| {
            for _ in 0..2 {
                group.spawn(consume(log.clone(), queue.clone()));
            }
            for item in 0..8 {
                queue.put(Some(item)).await?;
            }
            queue.put(None).await?;
            Ok(())
        })
        .await?;
        assert_eq!(queue.try_get(), Ok(None));
        assert_eq!(queue.try_get(), Err(TryGetError::Empty));
        assert!(rt::timeout(secs(1), queue.join()).await.is_err());
        for _ in 0..3 {
            queue.task_done()?;
        }
        assert!(queue.task_done().is_err(), "three sentinels were put");
        Ok(())
    }
    run_each(program, |run| {
        run.value.unwrap();
        assert_eq!(
            run.log.sorted(),
            (0..8)
                .map(|item| format!("item {item}"))
                .collect::<Vec<_>>()
        );
        assert_eq!(run.took, secs(4 + 1));
    });
}

/// S3-05: with `shutdown` no sentinel is needed, and `join` is through.
#[test]
fn s3_05_a_queue_that_is_shut_down() {
    async fn program(_log: Log) -> Result<u32, BoxError> {
        let queue = Queue::bounded(5);
        let count = Count::default();
        TaskGroup::scope(async |group| {
            for _ in 0..2 {
                let (queue, count) = (queue.clone(), count.clone());
                group.spawn_ok(async move {
                    while let Ok(_item) = queue.take().await {
                        rt::sleep(secs(1)).await;
                        count.add();
                    }
                });
            }
            for item in 0..8 {
                queue.put(item).await?;
            }
            queue.shutdown();
            Ok(())
        })
        .await?;
        queue.join().await;
        Ok(u32::try_from(count.get())?)
    }
    run_each(program, |run| {
        assert_eq!((run.value.unwrap(), run.took), (8, secs(4)));
    });
}

/// S3-05, E6: a queue may be used from any thread.
#[test]
fn s3_05_a_queue_between_threads() {
    must_end("with a queue between threads", || {
        let queue = Queue::bounded(2);
        let (items, results) = (queue.clone(), Queue::unbounded());
        let theirs = results.clone();
        let thread = thread::spawn(move || {
            for item in 0..100 {
                items.put_blocking(item).unwrap();
            }
            items.shutdown();
            std::iter::from_fn(|| theirs.get_blocking().ok()).sum::<u32>()
        });
        rt::block_on(async {
            while let Ok(item) = queue.get().await {
                results.put(2 * item).await.unwrap();
            }
            results.shutdown();
        });
        assert_eq!(thread.join().unwrap(), 9_900);
    });
}

/// S3-06: every method of a queue, with what it says when it cannot do its work.
#[test]
fn s3_06_the_methods_of_a_queue() {
    async fn program(_log: Log) -> Result<(), BoxError> {
        let queue = Queue::bounded(2);
        assert_eq!(queue.try_get(), Err(TryGetError::Empty));
        assert!(queue.is_empty());
        queue.put(1).await?;
        queue.try_put(2)?;
        assert_eq!(queue.try_put(3), Err(TryPutError::Full(3)));
        assert!(queue.is_full());
        assert_eq!((queue.len(), queue.capacity()), (2, Some(2)));
        assert_eq!((queue.get().await?, queue.try_get()?), (1, 2));
        queue.task_done()?;
        assert!(rt::timeout(secs(1), queue.join()).await.is_err());
        queue.task_done()?;
        queue.join().await;
        assert!(queue.task_done().is_err());
        queue.shutdown();
        assert_eq!(queue.put(4).await.unwrap_err().into_inner(), 4);
        assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
        Ok(())
    }
    run_each(program, |run| run.value.unwrap());
}

/// S3-07: five tasks get the lock in the order in which they asked for it.
#[test]
fn s3_07_five_tasks_count_under_a_lock() {
    async fn program(log: Log) -> u32 {
        let counter = Arc::new(Mutex::new(0));
        let tasks = (0..5).map(|number| {
            let (log, counter) = (log.clone(), counter.clone());
            async move {
                let mut counter = counter.lock().await;
                rt::sleep(ms(100)).await;
                *counter += 1;
                log.say(format!("Task-{number}: counter is now {counter}"));
            }
        });
        rt::join_all(tasks).await;
        *counter.lock().await
    }
    let run = run_exact(program);
    let expected = [
        "Task-0: counter is now 1",
        "Task-1: counter is now 2",
        "Task-2: counter is now 3",
        "Task-3: counter is now 4",
        "Task-4: counter is now 5",
    ];
    assert_eq!(run.log, expected);
    run_each(program, |run| {
        assert_eq!((run.value, run.took), (5, ms(500)))
    });
}

/// S3-08: ten pages, three at a time.
#[test]
fn s3_08_three_pages_at_a_time() {
    async fn fetch(log: Log, slots: Arc<Semaphore>, url: String) -> String {
        let _slot = slots.acquire().await.unwrap();
        log.say(format!("Fetching {url}"));
        after(secs(1), url).await
    }
    async fn program(log: Log) -> usize {
        let slots = Arc::new(Semaphore::new(3));
        let urls = (0..10).map(|n| format!("https://example.com/{n}"));
        let pages = rt::join_all(urls.map(|url| fetch(log.clone(), slots.clone(), url)));
        let first = async {
            rt::sleep(ms(500)).await;
            assert_eq!(log.lines().len(), 3);
        };
        rt::join!(pages, first).0.len()
    }
    let run = run_exact(program);
    let expected = (0..10).map(|n| format!("Fetching https://example.com/{n}"));
    assert!(run.log.lines().into_iter().eq(expected), "{:?}", run.log);
    run_each(program, |run| {
        assert_eq!((run.value, run.took), (10, secs(4)))
    });
}

/// S3-09: three tasks wait for a signal, and go on in the order in which they began to wait.
#[test]
fn s3_09_a_signal_for_three_waiters() {
    async fn waiter(log: Log, signal: Arc<Event>, name: &'static str) {
        log.say(format!("{name} waiting for signal"));
        signal.wait().await;
        log.say(format!("{name} received signal — proceeding"));
    }
    async fn program(log: Log) {
        let signal = Arc::new(Event::new());
        TaskGroup::scope(async |group| {
            for name in ["A", "B", "C"] {
                group.spawn_ok(waiter(log.clone(), signal.clone(), name));
            }
            rt::yield_now().await;
            log.say("Preparing...");
            rt::sleep(secs(2)).await;
            log.say("Sending signal!");
            signal.set();
            Ok(())
        })
        .await
        .unwrap();
    }
    let run = run_exact(program);
    let expected = [
        "A waiting for signal",
        "B waiting for signal",
        "C waiting for signal",
        "Preparing...",
        "Sending signal!",
        "A received signal — proceeding",
        "B received signal — proceeding",
        "C received signal — proceeding",
    ];
    assert_eq!(run.log, expected);
    run_each(program, |run| {
        assert_eq!(run.log.place("Sending signal!"), 4);
        assert_eq!((run.log.lines().len(), run.took), (8, secs(2)));
    });
}

/// S3-10, E13: a blocking function on another thread, from inside the runtime and through its handle.
#[test]
fn s3_10_blocking_functions() {
    fn blocking() -> u32 {
        thread::sleep(ms(2));
        42
    }
    each_size(|runtime| {
        let both = runtime.block_on(async {
            let by_handle = rt::Handle::current().spawn_blocking(blocking);
            (
                rt::spawn_blocking(blocking).await.unwrap(),
                by_handle.await.unwrap(),
            )
        });
        assert_eq!(both, (42, 42));
    });
}
