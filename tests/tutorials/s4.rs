//! Programs of the notes on asynchronous code: with what they print and how long they take.
//! `docs/tutorials.md` has the list.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll};

use crate::support::program::{ValueError, after, run_each, run_exact, secs};
use crate::support::{Log, each_size, ms};
use rt::stream::{Stream, StreamExt, generate};
use rt::sync::Semaphore;
use rt::{BoxError, TaskGroup};

/// S4-03: a first await.
#[test]
fn s4_03_a_response_after_a_second() {
    async fn fetch(url: &str) -> String {
        rt::sleep(secs(1)).await;
        format!("Response from {url}")
    }
    run_each(
        |log| async move { log.say(fetch("https://api.example.com").await) },
        |run| {
            assert_eq!(run.log, ["Response from https://api.example.com"]);
            assert_eq!(run.took, secs(1));
        },
    );
}

/// S4-04, E10: one after the other takes the sum, gathered takes the longest; the program takes both.
#[test]
fn s4_04_one_after_the_other_and_gathered() {
    const PAGES: [(&str, u64); 3] = [("url1", 1), ("url2", 2), ("url3", 3)];
    async fn fetch((url, delay): (&'static str, u64)) -> Result<String, ValueError> {
        rt::sleep(secs(delay)).await;
        Ok(format!("Got {url}"))
    }
    async fn program(_log: Log) -> (Vec<String>, Vec<String>) {
        let start = rt::Instant::now();
        let mut in_turn = vec![];
        for page in PAGES {
            in_turn.push(fetch(page).await.unwrap());
        }
        assert_eq!(start.elapsed(), secs(6));
        let gathered = rt::gather(PAGES.map(fetch)).await.unwrap();
        assert_eq!(start.elapsed(), secs(9));
        let failing = rt::gather([after(secs(1), Err::<(), _>(ValueError("raised here")))]);
        assert_eq!(failing.await.unwrap_err().to_string(), "raised here");
        (in_turn, gathered)
    }
    run_each(program, |run| {
        let (in_turn, gathered) = run.value;
        assert_eq!(gathered, ["Got url1", "Got url2", "Got url3"]);
        assert_eq!(in_turn, gathered);
        assert_eq!(run.took, secs(10));
    });
}

/// S4-05: tasks are created, other work is done, and the tasks are awaited later.
#[test]
fn s4_05_fire_and_continue() {
    async fn job(log: Log, name: &'static str) {
        log.say(format!("{name} starts"));
        rt::sleep(secs(2)).await;
        log.say(format!("{name} done"));
    }
    async fn program(log: Log) {
        let tasks = ["A", "B"].map(|name| rt::spawn(job(log.clone(), name)));
        log.say("Tasks created, doing other work...");
        rt::sleep(secs(1)).await;
        assert!(tasks.iter().all(|task| !task.is_finished()));
        for task in tasks {
            task.await.unwrap();
        }
    }
    let run = run_exact(program);
    let expected = [
        "Tasks created, doing other work...",
        "A starts",
        "B starts",
        "A done",
        "B done",
    ];
    assert_eq!(run.log, expected);
    run_each(program, |run| {
        assert!(
            run.log.lines()[3..]
                .iter()
                .all(|line| line.ends_with("done"))
        );
        assert_eq!(run.took, secs(2));
    });
}

/// A connection that takes time to close.
struct Connection(Log);

impl Connection {
    async fn open(log: Log) -> rt::AsyncGuard<Connection, ()> {
        log.say("open");
        rt::guard(Connection(log), |connection| connection.close())
    }

    async fn close(self) {
        rt::sleep(secs(1)).await;
        self.0.say("closed");
    }
}

/// S4-06: an async context manager closes after use, after an error, and when it is cancelled.
#[test]
fn s4_06_a_connection_is_always_closed() {
    async fn by_hand(log: Log) -> Result<(), ValueError> {
        let connection = Connection::open(log).await;
        connection.0.say("used");
        connection.close().await;
        Ok(())
    }
    async fn with_an_error(log: Log) -> Result<(), ValueError> {
        let _connection = Connection::open(log).await;
        Err(ValueError("while it was open"))
    }
    async fn program(log: Log) {
        by_hand(log.clone()).await.unwrap();
        log.say("by hand");
        rt::spawn(with_an_error(log.clone()))
            .await
            .unwrap()
            .unwrap_err();
        log.say("with an error");
        let waiting = log.clone();
        let forever = async move {
            let _connection = Connection::open(waiting).await;
            rt::sleep(secs(3600)).await;
        };
        assert!(rt::timeout(secs(1), forever).await.is_err());
        log.say("cancelled");
    }
    run_each(program, |run| {
        let expected = [
            "open",
            "used",
            "closed",
            "by hand",
            "open",
            "closed",
            "with an error",
            "open",
            "closed",
            "cancelled",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(1 + 1 + 2));
    });
}

/// An async iterator by hand: it counts down, and lets others run before each number.
struct Countdown {
    from: u32,
    has_yielded: bool,
}

impl Stream for Countdown {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        let next = self.from.checked_sub(1);
        self.from = next.unwrap_or_default();
        Poll::Ready(next)
    }
}

/// S4-07: an async iterator, written by hand and as a generator that awaits on the way.
#[test]
fn s4_07_async_iteration() {
    fn stream_records(n_records: u32) -> impl Stream<Item = u32> + Unpin {
        generate(move |y| async move {
            for record in 0..n_records {
                rt::sleep(ms(10)).await;
                y.put(record).await;
            }
        })
    }
    async fn program(_log: Log) -> (Vec<u32>, u32) {
        let countdown = Countdown {
            from: 3,
            has_yielded: false,
        };
        let numbers = countdown.collect().await;
        let mut records = stream_records(100);
        let mut sum = 0;
        while let Some(record) = records.next().await {
            sum += record;
        }
        (numbers, sum)
    }
    run_each(program, |run| {
        assert_eq!(run.value, (vec![2, 1, 0], 4950));
        assert_eq!(run.took, secs(1));
    });
}

/// S4-08: errors as results, beside the values.
#[test]
fn s4_08_errors_as_results() {
    async fn program(log: Log) {
        let delays = [(100, true), (1000, false)];
        let results = rt::gather_settled(delays.map(|(delay, is_risky)| async move {
            rt::sleep(ms(delay)).await;
            if is_risky {
                Err(ValueError("Something went wrong"))
            } else {
                Ok(())
            }
        }));
        for result in results.await {
            match result {
                Ok(value) => log.say(format!("Result: {value:?}")),
                Err(error) => log.say(format!("Error: {error}")),
            }
        }
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["Error: Something went wrong", "Result: ()"]);
        assert_eq!(run.took, secs(1));
    });
}

/// S4-09: a group that fails cancels what is left in it at once.
#[test]
fn s4_09_a_group_prevents_leaks() {
    async fn program(log: Log) {
        let theirs = log.clone();
        let result = TaskGroup::scope(async |group| {
            group.spawn(after(
                ms(100),
                Err::<(), _>(ValueError("Something went wrong")),
            ));
            group.spawn_ok(async move {
                let _gone = theirs.on_drop("sibling cancelled");
                rt::sleep(secs(1)).await;
                theirs.say("sibling through");
            });
            Ok(())
        });
        let (values, rest) = result.await.unwrap_err().split_type::<ValueError>();
        assert!(rest.is_none());
        for failure in values.unwrap().errors() {
            log.say(failure.kind.to_string());
        }
    }
    run_each(program, |run| {
        assert_eq!(run.log, ["sibling cancelled", "Something went wrong"]);
        assert_eq!(run.took, ms(100));
    });
}

/// S4-10: a limit around a block, a limit for one operation, and cancelling by hand.
#[test]
fn s4_10_timeouts_and_a_cancellation_by_hand() {
    async fn program(log: Log) {
        let start = rt::Instant::now();
        let block = rt::CancelScope::with_timeout(secs(2));
        if block.run(rt::sleep(secs(10))).await.is_err() && block.expired() {
            log.say(format!("Timed out! {:?}", start.elapsed()));
        }
        if rt::timeout(secs(2), rt::sleep(secs(10))).await.is_err() {
            log.say(format!("Timed out! {:?}", start.elapsed()));
        }
        let task = rt::spawn(rt::sleep(secs(10)));
        rt::sleep(secs(1)).await;
        task.cancel();
        if task.await.is_err_and(|error| error.is_cancelled()) {
            log.say(format!("Task was cancelled {:?}", start.elapsed()));
        }
    }
    run_each(program, |run| {
        assert_eq!(
            run.log,
            ["Timed out! 2s", "Timed out! 4s", "Task was cancelled 5s"]
        );
    });
}

/// S4-11: a file is read on the blocking pool, and a long sum is computed on the pool for that.
#[test]
fn s4_11_files_and_sums_on_other_threads() {
    const MILLION: u128 = 1_000_000;
    each_size(|runtime| {
        runtime.block_on(async {
            let hosts = rt::spawn_blocking(|| std::fs::read_to_string("Cargo.toml"));
            let parts = (0..10).map(|part| {
                let numbers = part * MILLION..(part + 1) * MILLION;
                rt::spawn_compute(move || numbers.map(|n| n * n).sum::<u128>())
            });
            let mut sum = 0;
            for part in parts.collect::<Vec<_>>() {
                sum += part.await.unwrap();
            }
            assert_eq!(sum, 333_333_283_333_335_000_000);
            assert!(hosts.await.unwrap().unwrap().contains("rt-tasks"));
            let missing = rt::spawn_blocking(|| std::fs::read("no-such-file"))
                .await
                .unwrap();
            assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        });
    });
}

/// S4-13: a runtime inside a running one is no mistake.
#[test]
fn s4_13_a_runtime_inside_a_running_one() {
    each_size(|runtime| {
        let value = runtime.block_on(async {
            let nested = rt::spawn(async { rt::block_on(after(ms(1), 40)) });
            nested.await.unwrap() + rt::block_on(after(ms(1), 2))
        });
        assert_eq!(value, 42);
    });
}

/// S4-13: a thousand requests at once are kept to ten by a semaphore, or by the limit of a group.
#[test]
fn s4_13_too_much_at_once_is_limited() {
    #[derive(Default)]
    struct Server {
        inside: AtomicU32,
        most: AtomicU32,
    }
    impl Server {
        async fn request(&self) {
            let inside = self.inside.fetch_add(1, SeqCst) + 1;
            self.most.fetch_max(inside, SeqCst);
            rt::sleep(secs(1)).await;
            self.inside.fetch_sub(1, SeqCst);
        }
    }
    async fn program(_log: Log) -> Result<[u32; 2], BoxError> {
        let by_semaphore = Arc::new(Server::default());
        let slots = Arc::new(Semaphore::new(10));
        rt::join_all((0..1000).map(|_| {
            let (server, slots) = (by_semaphore.clone(), slots.clone());
            async move {
                let _slot = slots.acquire().await.unwrap();
                server.request().await;
            }
        }))
        .await;
        let by_group = Arc::new(Server::default());
        TaskGroup::options()
            .limit(10)
            .scope(async |group| {
                for _ in 0..1000 {
                    let server = by_group.clone();
                    group.spawn_ok(async move { server.request().await });
                }
                Ok(())
            })
            .await?;
        Ok([by_semaphore, by_group].map(|server| server.most.load(SeqCst)))
    }
    run_each(program, |run| {
        assert_eq!(run.value.unwrap(), [10, 10]);
        assert_eq!(run.took, secs(100 + 100));
    });
}
