//! Programs of the tutorial about `gather` and `TaskGroup`, queues, events and blocking calls: with what they
//! print and how long they take. `docs/tutorials.md` has the list.

use std::io;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::support::program::{Run, Stopwatch, after, run_each, run_exact, secs};
use crate::support::{
    Flag, Log, builder, each_builder, each_size, each_size_virtual, ms, must_end,
};
use rt::sync::{Event, Queue};
use rt::{BoxError, TaskGroup};

/// A task of the first two programs.
async fn step(log: Log, name: &'static str, delay: u64, fails: bool) -> Result<(), BoxError> {
    log.say(format!("Task {name} starting (delay={delay}s)"));
    rt::sleep(secs(delay)).await;
    if fails {
        log.say(format!("Task {name} failing"));
        return Err(format!("Task {name} failed").into());
    }
    log.say(format!("Task {name} finished"));
    Ok(())
}

/// S0-01: `gather` gives the first error at once, and the others run on.
#[test]
fn s0_01_gather_lets_the_others_run_on() {
    async fn program(log: Log) -> Duration {
        let start = rt::Instant::now();
        let steps = [("A", 1, false), ("B", 2, true), ("C", 3, false)];
        let gathered = rt::gather(steps.map(|(name, delay, fails)| {
            let log = log.clone();
            async move { step(log, name, delay, fails).await }
        }));
        if let Err(error) = gathered.await {
            log.say(format!("Gather caught exception: {error}"));
        }
        let caught_after = start.elapsed();
        rt::sleep(secs(2)).await;
        caught_after
    }
    let run = run_exact(program);
    let expected = [
        "Task A starting (delay=1s)",
        "Task B starting (delay=2s)",
        "Task C starting (delay=3s)",
        "Task A finished",
        "Task B failing",
        "Gather caught exception: Task B failed",
        "Task C finished",
    ];
    assert_eq!(run.log, expected);
    assert_eq!((run.value, run.took), (secs(2), secs(4)));
    run_each(program, move |run| {
        assert_eq!(run.log.lines()[3..], expected[3..]);
        assert_eq!((run.value, run.took), (secs(2), secs(4)));
    });
}

/// S0-02, E11: a group cancels the others and reports after exactly two seconds.
#[test]
fn s0_02_a_group_cancels_the_others() {
    async fn program(log: Log) -> usize {
        let theirs = log.clone();
        let result = TaskGroup::scope(async move |group| {
            for (name, delay, fails) in [("X", 1, false), ("Y", 2, true), ("Z", 3, false)] {
                group.spawn(step(theirs.clone(), name, delay, fails));
            }
            Ok(())
        });
        let error = result.await.unwrap_err();
        let report = error.to_string();
        assert!(report.contains("(1 error)"), "{report}");
        assert!(report.contains("Task Y failed"), "{report}");
        log.say(format!("TaskGroup caught {}", error.len()));
        error.len()
    }
    let check = |run: Run<usize>| {
        let expected = ["Task X finished", "Task Y failing", "TaskGroup caught 1"];
        assert_eq!(run.log.lines()[3..], expected);
        assert_eq!((run.value, run.took), (1, secs(2)));
    };
    let run = run_exact(program);
    assert_eq!(run.log.lines()[2], "Task Z starting (delay=3s)");
    check(run);
    run_each(program, check);
}

/// S0-03: `gather` returns the first error, a group every error.
#[test]
fn s0_03_a_group_reports_every_error() {
    async fn program(_log: Log) -> (String, Vec<String>) {
        let failing = async |delay, text: &'static str| {
            rt::sleep(secs(delay)).await;
            Err::<(), BoxError>(text.into())
        };
        let first = rt::gather(
            [(1, "first"), (2, "second")]
                .map(|(delay, text)| async move { failing(delay, text).await }),
        );
        let first = first.await.unwrap_err().to_string();
        let every = TaskGroup::scope(async |group| {
            group.spawn(async { after(secs(1), Err::<(), _>("first")).await });
            // Asked to stop by the failure of the first, it fails as well while it ends.
            group.spawn(async { rt::shield(after(secs(2), Err::<(), _>("second"))).await });
            Ok(())
        });
        let every = every.await.unwrap_err();
        let texts = every
            .leaves()
            .iter()
            .map(|leaf| leaf.kind.to_string())
            .collect();
        (first, texts)
    }
    run_each(program, |run| {
        let (first, every) = run.value;
        assert_eq!(first, "first");
        assert_eq!(every, ["first", "second"]);
    });
}

/// S0-04: no task is left when the group is through.
#[test]
fn s0_04_a_group_leaves_no_orphans() {
    each_size_virtual(|runtime| {
        let live = || runtime.metrics().n_live;
        let before = live();
        runtime.block_on(async {
            let result = TaskGroup::scope(async |group| {
                for _ in 0..50 {
                    group.spawn_ok(rt::sleep(secs(60)));
                }
                group.spawn(async { after(secs(1), Err::<(), _>("fails fast")).await });
                Ok(())
            });
            assert_eq!(result.await.unwrap_err().len(), 1);
        });
        assert_eq!(live(), before);
    });
}

/// S0-05: a child that handles its error itself disturbs nobody.
#[test]
fn s0_05_a_child_may_handle_its_own_error() {
    async fn program(log: Log) -> Result<(), BoxError> {
        TaskGroup::scope(async move |group| {
            for (name, delay, fails) in [("A", 1, true), ("B", 2, false)] {
                let log = log.clone();
                group.spawn_ok(async move {
                    if let Err(error) = step(log.clone(), name, delay, fails).await {
                        log.say(format!("handled: {error}"));
                    }
                });
            }
            Ok(())
        })
        .await?;
        Ok(())
    }
    run_each(program, |run| {
        run.value.unwrap();
        let expected = [
            "Task A failing",
            "handled: Task A failed",
            "Task B finished",
        ];
        assert_eq!(run.log.lines()[2..], expected);
        assert_eq!(run.took, secs(2));
    });
}

/// S0-07: a queue is first in, first out, and a full one makes `put` wait.
#[test]
fn s0_07_a_full_queue_holds_its_producer_back() {
    async fn program(log: Log) -> Vec<u32> {
        let queue = Queue::bounded(2);
        let (jobs, theirs) = (queue.clone(), log.clone());
        let producer = rt::spawn(async move {
            for job in 1..=4 {
                jobs.put(job).await.unwrap();
                theirs.say(format!("put {job}"));
            }
        });
        rt::sleep(secs(1)).await;
        log.say(format!("full: {}", queue.is_full()));
        let mut got = vec![];
        for _ in 0..4 {
            got.push(queue.get().await.unwrap());
            rt::sleep(secs(1)).await;
        }
        producer.await.unwrap();
        got
    }
    run_each(program, |run| {
        let expected = ["put 1", "put 2", "full: true", "put 3", "put 4"];
        assert_eq!(run.log, expected);
        assert_eq!(run.value, [1, 2, 3, 4]);
    });
}

/// S0-08: `put` waits for room, `get` for an item, `join` until everything taken is done.
#[test]
fn s0_08_the_four_methods_of_a_queue() {
    async fn program(log: Log) {
        let queue = Queue::bounded(1);
        let (jobs, theirs) = (queue.clone(), log.clone());
        let consumer = rt::spawn(async move {
            while let Ok(job) = jobs.get().await {
                theirs.say(format!("got {job}"));
                rt::sleep(secs(1)).await;
                theirs.say(format!("done {job}"));
                jobs.task_done().unwrap();
            }
        });
        rt::sleep(secs(1)).await;
        for job in 1..=3 {
            queue.put(job).await.unwrap();
        }
        log.say("all put");
        queue.join().await;
        log.say("all done");
        queue.shutdown();
        consumer.await.unwrap();
    }
    run_each(program, |run| {
        // The third item has room once the second was taken.
        run.log.assert_before("done 1", "all put");
        run.log.assert_before("all put", "done 2");
        let lines = run.log.lines();
        assert_eq!(lines[lines.len() - 2..], ["done 3", "all done"]);
        assert_eq!(run.took, secs(4));
    });
}

/// How long the producers and the consumer of the pipeline take for each item, in milliseconds.
const PRODUCING: [[u64; 5]; 2] = [[200, 500, 300, 800, 400], [300, 600, 200, 700, 500]];
const CONSUMING: [u64; 10] = [1200, 1600, 1000, 1900, 1100, 1300, 1500, 1000, 1700, 1400];

/// Puts five items, and writes down which.
async fn produce(log: Log, queue: Queue<String>, name: &'static str, delays: [u64; 5]) {
    for (number, delay) in delays.into_iter().enumerate() {
        rt::sleep(ms(delay)).await;
        let item = format!("{name}-{number}");
        queue.put(item.clone()).await.unwrap();
        log.say(format!("Produced {item} (qsize={})", queue.len()));
    }
}

/// Takes items for ever.
async fn consume(log: Log, queue: Queue<String>) {
    for delay in CONSUMING.into_iter().cycle() {
        let Ok(item) = queue.take().await else { return };
        log.say(format!("Consuming {} (qsize={})", *item, queue.len()));
        rt::sleep(ms(delay)).await;
        log.say(format!("Finished {}", *item));
    }
}

/// The two producers and the consumer of the pipeline (the queue holds five, whatever its comment says).
async fn pipeline(log: Log) -> bool {
    let queue = Queue::bounded(5);
    let consumer = rt::spawn(consume(log.clone(), queue.clone()));
    TaskGroup::scope(async |group| {
        for (name, delays) in ["A", "B"].into_iter().zip(PRODUCING) {
            group.spawn_ok(produce(log.clone(), queue.clone(), name, delays));
        }
        Ok(())
    })
    .await
    .unwrap();
    log.say("All producers finished");
    queue.join().await;
    log.say("All items processed");
    consumer.cancel();
    consumer.await.is_err_and(|error| error.is_cancelled())
}

/// The items in the lines that begin with a word.
fn items(lines: &[String], word: &str) -> Vec<String> {
    let lines = lines.iter().filter_map(|line| line.strip_prefix(word));
    lines
        .map(|rest| rest.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// S0-09, E8: items come out as they went in, the producers wait for a full queue, and `join` for the tenth item.
#[test]
fn s0_09_a_pipeline_with_a_slow_consumer() {
    let check = |run: Run<bool>| {
        let lines = run.log.lines();
        let sizes = lines.iter().filter_map(|line| line.split_once("qsize="));
        let sizes: Vec<usize> = sizes
            .map(|(_, size)| size.trim_end_matches(')').parse().unwrap())
            .collect();
        assert_eq!(sizes.iter().max(), Some(&5), "{lines:#?}");
        let finished = items(&lines, "Finished ");
        assert_eq!(finished.len(), 10);
        assert_eq!(items(&lines, "Consuming "), finished);
        let after_producers = &lines[run.log.place("All producers finished")..];
        assert_eq!(items(after_producers, "Finished ").len(), 6);
        assert_eq!(lines.last().unwrap(), "All items processed");
        assert!(run.value, "the consumer was not cancelled");
        let consuming: u64 = CONSUMING.iter().sum();
        assert_eq!(run.took, ms(PRODUCING[0][0] + consuming));
    };
    let run = run_exact(pipeline);
    let lines = run.log.lines();
    assert_eq!(items(&lines, "Produced "), items(&lines, "Finished "));
    check(run);
    run_each(pipeline, check);
}

/// S0-10: producers in a group, a consumer that nobody waits for, and an exit that leaves nothing.
#[test]
fn s0_10_a_consumer_in_the_background_of_a_group() {
    let log = Log::default();
    let theirs = log.clone();
    each_builder(move |builder| {
        let log = theirs.clone();
        let runtime = builder.virtual_time(true).build().unwrap();
        runtime.block_on(async move {
            let queue: Queue<u32> = Queue::unbounded();
            let jobs = queue.clone();
            drop(rt::spawn(async move {
                let _ended = log.on_drop("the consumer is gone");
                while let Ok(job) = jobs.take().await {
                    rt::sleep(ms(u64::from(*job))).await;
                }
            }));
            TaskGroup::scope(async |group| {
                for first in [10, 20] {
                    let queue = queue.clone();
                    group.spawn(async move {
                        for job in first..first + 5 {
                            queue.put(job).await?;
                        }
                        rt::ok(())
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
            queue.join().await;
        });
        assert!(runtime.shutdown(secs(5)).is_clean());
    });
    assert_eq!(log, ["the consumer is gone"; 4]);
}

/// S0-11: `wait` waits for `set`, is ready at once after it, and waits again after `clear`.
#[test]
fn s0_11_an_event_is_a_flag_that_wakes_everybody() {
    async fn program(_log: Log) {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let event = event.clone();
                rt::spawn(async move { event.wait().await })
            })
            .collect();
        rt::sleep(secs(1)).await;
        assert!(!event.is_set() && waiters.iter().all(|waiter| !waiter.is_finished()));
        event.set();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        event.wait().await;
        assert!(event.is_set());
        event.clear();
        assert!(rt::timeout(secs(1), event.wait()).await.is_err());
    }
    run_each(program, |run| assert_eq!(run.took, secs(2)));
}

/// A worker of the event program: five requests, each of which needs the connection.
async fn requests(log: Log, connected: Arc<Event>, name: u32) {
    for request in 1..=5 {
        connected.wait().await;
        log.say(format!("worker {name} sends {request}"));
        rt::sleep(secs(2)).await;
        log.say(format!("worker {name} has {request}"));
    }
}

/// S0-12: a lost connection stops nobody half-way, and everybody at the next request.
#[test]
fn s0_12_workers_wait_for_a_connection() {
    async fn program(log: Log) {
        let connected = Arc::new(Event::new());
        TaskGroup::scope(async |group| {
            for name in 1..=3 {
                group.spawn_ok(requests(log.clone(), connected.clone(), name));
            }
            rt::sleep(secs(2)).await;
            log.say("CONNECTED");
            connected.set();
            rt::sleep(secs(3)).await;
            log.say("LOST");
            connected.clear();
            rt::sleep(secs(5)).await;
            log.say("CONNECTED");
            connected.set();
            Ok(())
        })
        .await
        .unwrap();
    }
    let check = |run: &Run<()>| {
        let lines = run.log.lines();
        let lost = run.log.place("LOST");
        // At 2 s and 4 s everybody begins a request; the second one goes on without the connection.
        assert_eq!(lines[0], "CONNECTED");
        assert_eq!(lines[1..lost].len(), 9, "{lines:#?}");
        let rest = &lines[lost + 1..];
        assert!(
            rest[..3].iter().all(|line| line.ends_with("has 2")),
            "{rest:#?}"
        );
        assert_eq!(rest[3], "CONNECTED");
        assert!(
            rest[4..7].iter().all(|line| line.ends_with("sends 3")),
            "{rest:#?}"
        );
        assert_eq!(lines.len(), 3 + 30);
        assert_eq!(run.took, secs(10 + 6));
    };
    let run = run_exact(program);
    check(&run);
    // Who waits is woken in the order of waiting.
    for request in [1, 3] {
        let end = format!("sends {request}");
        let lines = run.log.lines();
        let senders = lines.iter().filter_map(|line| line.strip_suffix(&end));
        assert_eq!(
            senders.collect::<Vec<_>>(),
            ["worker 1 ", "worker 2 ", "worker 3 "]
        );
    }
    run_each(program, move |run| check(&run));
}

/// S0-13: an event for start-up in order, and one for a shutdown that lets work end.
#[test]
fn s0_13_events_for_startup_and_shutdown() {
    async fn program(log: Log) {
        let (ready, stop) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let database = {
            let (log, ready) = (log.clone(), ready.clone());
            async move {
                rt::sleep(secs(2)).await;
                log.say("database ready");
                ready.set();
            }
        };
        let server = {
            let (log, ready, stop) = (log.clone(), ready.clone(), stop.clone());
            async move {
                ready.wait().await;
                log.say("server serves");
                while !stop.is_set() {
                    rt::sleep(secs(3)).await;
                    log.say("request answered");
                }
                log.say("server stops");
            }
        };
        let (server, database) = (rt::spawn(server), rt::spawn(database));
        rt::sleep(secs(4)).await;
        log.say("shutdown");
        stop.set();
        server.await.unwrap();
        database.await.unwrap();
    }
    run_each(program, |run| {
        let expected = [
            "database ready",
            "server serves",
            "shutdown",
            "request answered",
            "server stops",
        ];
        assert_eq!(run.log, expected);
        assert_eq!(run.took, secs(5));
    });
}

rt::task_local! {
    static REQUEST: u32;
}

/// S0-14: a blocking call runs on a thread of its own with the caller's context, and the loop goes on.
#[test]
fn s0_14_a_blocking_call_sees_the_context_and_the_loop_goes_on() {
    each_size(|runtime| {
        runtime.block_on(REQUEST.scope(7, async {
            let (began, go_on) = (Flag::default(), Flag::default());
            let (theirs, until) = (began.clone(), go_on.clone());
            let call = rt::spawn_blocking(move || {
                theirs.raise();
                until.wait();
                (REQUEST.get(), thread::current().id())
            });
            // The loop runs while the call is under way: otherwise it would never end.
            began.up().await;
            rt::sleep(ms(1)).await;
            go_on.raise();
            let (request, thread) = call.await.unwrap();
            assert_eq!(request, 7);
            assert_ne!(thread, thread::current().id());
        }));
    });
}

/// S0-15: three calls that block take as long as one.
#[test]
fn s0_15_three_coffees_take_as_long_as_one() {
    each_size(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        let watch = Stopwatch::start();
        runtime.block_on(async move {
            let coffees = (1..=3).map(|number| {
                let log = theirs.clone();
                rt::spawn_blocking(move || {
                    log.say(format!("Start brewing {number}"));
                    thread::sleep(ms(200));
                    log.say(format!("Finished {number}"));
                })
            });
            for coffee in coffees.collect::<Vec<_>>() {
                coffee.await.unwrap();
            }
            theirs.say("Coffee ready!");
        });
        watch.assert_took(ms(200));
        let lines = log.lines();
        assert_eq!(lines.len(), 7);
        let starts = lines[..3].iter().filter(|line| line.starts_with("Start"));
        assert_eq!(starts.count(), 3, "{lines:?}");
        assert_eq!(lines[6], "Coffee ready!");
    });
}

/// S0-16: an error of a blocking call comes out where it is awaited, a panic too, and both fail a group.
#[test]
fn s0_16_an_error_of_a_blocking_call_comes_out_of_the_await() {
    fn no_such_file() -> io::Result<Vec<u8>> {
        std::fs::read("no-such-file-in-this-folder")
    }
    each_size(|runtime| {
        runtime.block_on(async {
            let error = rt::spawn_blocking(no_such_file).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            let panic = rt::spawn_blocking(|| panic!("spilled")).await.unwrap_err();
            assert_eq!(panic.into_panic().message(), "spilled");
            let group = TaskGroup::scope(async |group| {
                group.spawn_blocking(no_such_file);
                Ok(())
            });
            let (of_files, rest) = group.await.unwrap_err().split_type::<io::Error>();
            assert_eq!(of_files.unwrap().len(), 1);
            assert!(rest.is_none());
        });
    });
}

/// S0-17: calls beyond the number of threads wait for their turn, first come first served, and can be counted.
#[test]
fn s0_17_blocking_calls_wait_for_a_thread() {
    each_builder(|builder| {
        let runtime = builder.blocking_threads(1).build().unwrap();
        let (log, go_on) = (Log::default(), Flag::default());
        let until = go_on.clone();
        let mut calls = vec![runtime.spawn_blocking(move || until.wait())];
        calls.extend((0..4).map(|number| {
            let log = log.clone();
            runtime.spawn_blocking(move || log.say(format!("call {number}")))
        }));
        assert_eq!(runtime.metrics().n_blocking, 5);
        assert!(runtime.metrics().n_blocking_queued >= 4);
        assert!(log.lines().is_empty());
        go_on.raise();
        for call in calls {
            call.join_blocking().unwrap();
        }
        assert_eq!(log, ["call 0", "call 1", "call 2", "call 3"]);
    });
}

/// S0-18: a task that blocks its thread runs alone on one thread; on several workers the others go on.
#[test]
fn s0_18_a_call_that_blocks_in_a_task() {
    async fn program(log: Log) {
        let brews = [1, 2].map(|number| {
            let log = log.clone();
            rt::spawn(async move {
                log.say(format!("Start {number}"));
                thread::sleep(ms(60));
                log.say(format!("Finished {number}"));
            })
        });
        for brew in brews {
            brew.await.unwrap();
        }
    }
    let run = run_exact(program);
    assert_eq!(run.log, ["Start 1", "Finished 1", "Start 2", "Finished 2"]);
    for n_workers in [2, 8] {
        must_end("with two tasks that block", move || {
            let runtime = builder(n_workers).build().unwrap();
            let both = Arc::new(Barrier::new(2));
            let meet = |both: Arc<Barrier>| async move { both.wait().is_leader() };
            let tasks = [both.clone(), both].map(|both| runtime.spawn(meet(both)));
            // They meet only if both block at the same time.
            let leaders = tasks.map(|task| task.join_blocking().unwrap());
            assert_ne!(leaders[0], leaders[1]);
        });
    }
}
