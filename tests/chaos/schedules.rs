//! The test kit: chaos that can be repeated, and waiting until nobody has anything left to do.

use std::collections::BTreeSet;
use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{self, Count, Log, each_size, each_size_virtual, must_end};
use rt::test::{Chaos, Sequencer, quiescent};

/// What a program with many tasks, timers and wake-ups across them did, in the order in which it did it.
fn run_with_seed(seed: u64) -> Vec<String> {
    must_end(&format!("with seed {seed}"), move || {
        let log = Log::default();
        let runtime = rt::Builder::new().workers(3).chaos(seed).build().unwrap();
        runtime.block_on(some_program(log.clone()));
        drop(runtime);
        log.lines()
    })
}

async fn some_program(log: Log) {
    let queue = rt::sync::Queue::bounded(2);
    let tasks: Vec<_> = (0..6)
        .map(|name| {
            let (log, queue) = (log.clone(), queue.clone());
            rt::spawn(async move {
                for step in 0..4 {
                    log.say(format!("{name} at {step}"));
                    match (name + step) % 3 {
                        0 => rt::yield_now().await,
                        1 => rt::sleep(Duration::from_millis(step)).await,
                        _ => queue.put((name, step)).await.unwrap(),
                    }
                }
            })
        })
        .collect();
    let getter = rt::spawn({
        let (log, queue) = (log.clone(), queue.clone());
        async move {
            while let Ok((name, step)) = queue.get().await {
                log.say(format!("got {name} at {step}"));
            }
        }
    });
    for task in tasks {
        task.await.unwrap();
    }
    queue.shutdown();
    getter.await.unwrap();
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 1..=40 {
        assert_eq!(run_with_seed(seed), run_with_seed(seed), "seed {seed}");
    }
}

#[test]
fn other_seeds_give_other_runs() {
    let runs: BTreeSet<_> = (1..=40).map(run_with_seed).collect();
    assert!(runs.len() > 30, "only {} orders of 40", runs.len());
}

/// Two tasks that each add one, with a suspension point between reading and writing.
async fn a_lost_update() {
    let count = Arc::new(AtomicU32::new(0));
    let add = || {
        let (count, lock) = (count.clone(), rt::sync::Semaphore::new(2));
        rt::spawn(async move {
            let permit = lock.acquire().await.unwrap();
            let before = count.load(Relaxed);
            // Never waits, so without chaos the other task does not come in between on one worker.
            drop(lock.acquire().await);
            count.store(before + 1, Relaxed);
            drop(permit);
        })
    };
    let both = [add(), add()];
    for task in both {
        task.await.unwrap();
    }
    assert_eq!(count.load(Relaxed), 2, "an update was lost");
}

#[test]
fn a_race_that_never_shows_otherwise_is_found_and_found_again() {
    let runtime = support::builder(1).build().unwrap();
    runtime.block_on(a_lost_update());
    let fails = |seed: u64| {
        std::panic::catch_unwind(|| {
            Chaos::new()
                .workers(1)
                .runs(1)
                .first_seed(seed)
                .run(a_lost_update);
        })
        .is_err()
    };
    let found: Vec<u64> = (1..=200).filter(|seed| fails(*seed)).collect();
    assert!(!found.is_empty(), "not found with 200 seeds");
    for seed in found.iter().take(5) {
        assert!(fails(*seed), "not found again with seed {seed}");
    }
}

/// The names of the threads that ran the tasks: work is stolen although nobody is busy.
#[test]
fn tasks_move_between_the_workers() {
    let names = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let theirs = names.clone();
    Chaos::new().runs(30).workers(3).run(move || {
        let names = theirs.clone();
        async move {
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let names = names.clone();
                    rt::spawn(async move {
                        rt::yield_now().await;
                        let name = std::thread::current().name().map(String::from);
                        names.lock().unwrap().insert(name);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
    assert!(names.lock().unwrap().len() >= 3, "{names:?}");
}

/// Run by the next test in a process of its own: fails with one seed in three.
#[test]
fn fails_in_its_own_process() {
    if std::env::var_os("RT_TEST_FAILS").is_none() {
        return;
    }
    let n_runs = AtomicU32::new(0);
    Chaos::new().runs(10).first_seed(100).run(|| {
        let n_before = n_runs.fetch_add(1, Relaxed);
        async move { assert!(n_before < 3, "the fourth run fails") }
    });
    println!("{} runs", n_runs.into_inner());
}

#[test]
fn the_seed_of_a_failure_is_printed_and_taken_back() {
    let run = |seed: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "schedules::fails_in_its_own_process",
            "--nocapture",
        ]);
        command
            .env("RT_TEST_FAILS", "1")
            .env_remove("RT_CHAOS_SEED");
        command.envs(seed.map(|seed| ("RT_CHAOS_SEED", seed)));
        let output = command.output().unwrap();
        let texts = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(texts).unwrap())
    };
    let (passed, text) = run(None);
    assert!(!passed);
    assert!(text.contains("RT_CHAOS_SEED=103"), "{text}");
    let (passed, text) = run(Some("103"));
    assert!(passed && text.contains("1 runs"), "{text}");
    let (passed, text) = run(Some("many"));
    assert!(!passed && text.contains("is to be a seed"), "{text}");
}

#[test]
fn chaos_goes_on_while_a_thread_blocks() {
    must_end("while a thread blocks", || {
        Chaos::new().runs(20).run(|| async {
            let job = rt::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
            let in_place = rt::spawn(async {
                rt::block_in_place(|| std::thread::sleep(Duration::from_millis(1)));
                rt::block_on(rt::sleep(Duration::from_secs(1)));
            });
            job.await.unwrap();
            in_place.await.unwrap();
        });
    });
}

/// N10.
#[test]
fn n10_quiescent_comes_when_every_task_waits() {
    each_size(|runtime| {
        let count = Count::default();
        let theirs = count.clone();
        runtime.block_on(async move {
            for _ in 0..10 {
                let count = theirs.clone();
                rt::spawn(async move {
                    for _ in 0..50 {
                        rt::yield_now().await;
                    }
                    count.add();
                    pending::<()>().await
                });
            }
            quiescent().await;
            assert_eq!(theirs.get(), 10);
        });
    });
}

/// N10: with virtual time it comes before the clock jumps, and the clock waits for blocking jobs.
#[test]
fn n10_quiescent_comes_before_the_clock_jumps_and_after_blocking_jobs() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let began = rt::Instant::now();
            let sleeper = rt::spawn(rt::sleep(Duration::from_secs(5)));
            let job = rt::spawn_blocking(|| std::thread::sleep(Duration::from_millis(20)));
            quiescent().await;
            assert!(job.is_finished(), "it waits for blocking jobs");
            assert!(!sleeper.is_finished());
            assert_eq!(began.elapsed(), Duration::ZERO);
            sleeper.await.unwrap();
            assert_eq!(began.elapsed(), Duration::from_secs(5));
        });
    });
}

/// N10: on the real clock a sleeping task is a waiting one, and several may wait for quiescence.
#[test]
fn n10_quiescent_does_not_wait_for_sleepers() {
    each_size(|runtime| {
        runtime.block_on(async {
            let sleeper = rt::spawn(rt::sleep(Duration::from_secs(3600)));
            let other = rt::spawn(quiescent());
            quiescent().await;
            other.await.unwrap();
            sleeper.cancel();
        });
    });
}

/// N10: whichever task each turn is in, and in whichever order they ask.
#[test]
fn n10_turns_come_in_the_order_of_their_numbers() {
    Chaos::new().runs(100).run(|| async {
        let (sequencer, log) = (Sequencer::new(), Log::default());
        let tasks: Vec<_> = (0..8)
            .rev()
            .map(|number| {
                let (sequencer, log) = (sequencer.clone(), log.clone());
                rt::spawn(async move {
                    let _turn = sequencer.turn(number).await;
                    rt::yield_now().await;
                    log.say(number.to_string());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(log, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    });
}

/// N10: a turn that was given up, or asked for twice, fails the test instead of hanging it.
#[test]
fn n10_a_turn_that_cannot_come_panics() {
    each_size(|runtime| {
        runtime.block_on(async {
            let sequencer = Sequencer::new();
            let [first, second, twice] = [1, 2, 2].map(|number| rt::spawn(sequencer.turn(number)));
            quiescent().await;
            let message = |error: rt::JoinError| error.into_panic().message().to_owned();
            let (second, twice) = match twice.is_finished() {
                true => (second, twice),
                false => (twice, second),
            };
            let error = message(twice.await.err().unwrap());
            assert!(error.contains("was taken before"), "{error}");
            first.cancel();
            let error = message(second.await.err().unwrap());
            assert!(error.contains("turn 1"), "{error}");
            assert!(error.contains("was given up"), "{error}");
        });
    });
}
