//! What do the benches cost that async-executor, smol's scheduler, measures itself with?
//!
//! Their shapes and sizes, each under the name that it has there. All of them wait in a `block_on` on a plain
//! thread, so a runtime that works on that thread meanwhile shows here. In `web_server` nothing is served:
//! tasks take the place of connections and of a database, and yields that of their work.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use crate::peer::{Answer, Get, Peer, Put, Reply};
use crate::workload::{Case, Sample, Scale, Workload, timed};

/// As there.
const TASKS: u64 = 300;
/// As there.
const STEPS: u64 = 300;
/// As there.
const LIGHT_TASKS: u64 = 25_000;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "executor_create",
            "a runtime of two workers started, one task run on it, and ended",
            Create,
        ),
        Case::new(
            "executor_spawn_one",
            "one `block_on` that spawns a task and awaits it",
            SpawnOne,
        ),
        Case::new(
            "executor_spawn_many_local",
            "one of 25,000 tasks spawned and then awaited",
            SpawnManyLocal,
        ),
        Case::new(
            "executor_spawn_recursively",
            "one task of 300 chains of 300, in which each awaits the next",
            SpawnRecursively,
        ),
        Case::new(
            "executor_yield_now",
            "one of 300 yields of 300 tasks",
            YieldNow,
        ),
        Case::new(
            "executor_channels",
            "one item passed along 300 tasks, each to the next over a queue of one place",
            Channels,
        ),
        Case::new(
            "executor_web_server",
            "one of 300 connections, half of which ask a database task",
            WebServer,
        ),
    ]
}

struct Create;

impl Workload for Create {
    fn run<P: Peer>(&self, _: &P, scale: Scale) -> Sample {
        const WORKERS: usize = 2;
        let rounds = scale.of(50);
        let begin = Instant::now();
        for i in 0..rounds {
            let fresh = P::start(WORKERS).expect("the system gives threads");
            let task = fresh.spawn_outside(async move { i });
            assert_eq!(fresh.block_on(task), i);
        }
        Sample {
            elapsed: begin.elapsed(),
            operations: rounds,
        }
    }
}

struct SpawnOne;

impl Workload for SpawnOne {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let rounds = scale.of(1_000);
        let begin = Instant::now();
        for i in 0..rounds {
            assert_eq!(peer.block_on(async { P::spawn(async move { i }).await }), i);
        }
        Sample {
            elapsed: begin.elapsed(),
            operations: rounds,
        }
    }
}

struct SpawnManyLocal;

impl Workload for SpawnManyLocal {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let tasks = scale.of(LIGHT_TASKS);
        peer.block_on(timed(tasks, async {
            let tasks: Vec<_> = (0..tasks).map(|i| P::spawn(async move { i })).collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await, i as u64);
            }
        }))
    }
}

struct SpawnRecursively;

impl Workload for SpawnRecursively {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let chains = scale.of(TASKS);
        peer.block_on(timed(chains * STEPS, async {
            let tasks: Vec<_> = (0..chains).map(|_| P::spawn(go::<P>(STEPS))).collect();
            for task in tasks {
                assert_eq!(task.await, STEPS);
            }
        }))
    }
}

/// How many tasks there are below this one. The type of the future contains itself, hence the box.
fn go<P: Peer>(left: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        match left {
            0 => 0,
            _ => P::spawn(go::<P>(left - 1)).await + 1,
        }
    })
}

struct YieldNow;

impl Workload for YieldNow {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let tasks = scale.of(TASKS);
        peer.block_on(timed(tasks * STEPS, async {
            let tasks: Vec<_> = (0..tasks)
                .map(|i| {
                    P::spawn(async move {
                        for _ in 0..STEPS {
                            P::yield_now().await;
                        }
                        i
                    })
                })
                .collect();
            for (i, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await, i as u64);
            }
        }))
    }
}

struct Channels;

impl Workload for Channels {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let items = scale.of(STEPS);
        peer.block_on(timed(TASKS * items, async {
            let (first, mut getter) = P::queue::<u64>(1);
            let mut tasks = Vec::new();
            for _ in 0..TASKS {
                let (putter, next) = P::queue(1);
                tasks.push(P::spawn(async move {
                    while let Some(item) = getter.get().await {
                        putter.put(item + 1).await;
                    }
                    putter.close();
                }));
                getter = next;
            }
            for item in 0..items {
                first.put(item).await;
                assert_eq!(getter.get().await, Some(item + TASKS));
            }
            first.close();
            for task in tasks {
                task.await;
            }
        }))
    }
}

struct WebServer;

impl Workload for WebServer {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let rounds = scale.of(20);
        peer.block_on(timed(rounds * TASKS, async {
            for round in 0..rounds {
                serve::<P>(fastrand::Rng::with_seed(round)).await;
            }
        }))
    }
}

async fn serve<P: Peer>(mut random: fastrand::Rng) {
    let (ask, mut asked) = P::queue::<P::Reply<u64>>((TASKS / 5) as usize);
    let mut pace = random.fork();
    let database = P::spawn(async move {
        let mut n_answers = 0;
        while let Some(reply) = asked.get().await {
            for _ in 0..pace.usize(..10) {
                P::yield_now().await;
            }
            reply.send(n_answers);
            n_answers += 1;
        }
        n_answers
    });
    let mut n_questions = 0;
    let mut connections = Vec::new();
    for _ in 0..TASKS {
        if random.usize(..=16) == 16 {
            P::yield_now().await;
        }
        let mut random = random.fork();
        let ask = random.bool().then(|| ask.clone());
        n_questions += u64::from(ask.is_some());
        connections.push(P::spawn(async move {
            if let Some(ask) = ask {
                let (reply, answer) = P::oneshot();
                ask.put(reply).await;
                assert!(answer.receive().await < TASKS);
            }
            for _ in 0..random.usize(8..16) {
                P::yield_now().await;
            }
        }));
    }
    for connection in connections {
        connection.await;
    }
    ask.close();
    assert_eq!(database.await, n_questions, "questions lost");
}
