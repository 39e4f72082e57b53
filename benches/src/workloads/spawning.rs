//! What does it cost to start a task and to learn that it is through?
//!
//! The tasks do nothing, so a second worker cannot help: this is the price of a task, not the speed-up it
//! buys. Tasks with large futures pay for the copy on top, and nothing here shows how a burst of spawns
//! delays the tasks that were there before.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Countdown;
use crate::peer::{Answer, Peer, Reply};
use crate::workload::{Case, Sample, Scale, Workload, timed, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("spawn_join_seq", "a task spawned and awaited", SpawnJoinSeq),
        Case::new(
            "spawn_many_local",
            "one of 10,000 tasks, spawned from a task; the last reports",
            SpawnMany(From::Task),
        ),
        Case::new(
            "spawn_many_remote",
            "the same, spawned from `block_on`",
            SpawnMany(From::BlockOn),
        ),
        Case::new(
            "chained_spawn",
            "one task of a chain in which each spawns the next, 1,000 deep",
            ChainedSpawn,
        ),
    ]
}

struct SpawnJoinSeq;

impl Workload for SpawnJoinSeq {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let tasks = scale.of(100_000);
        timed_in_task(peer, tasks, async move {
            for i in 0..tasks {
                assert_eq!(P::spawn(async move { i }).await, i);
            }
        })
    }
}

enum From {
    Task,
    BlockOn,
}

struct SpawnMany(From);

impl Workload for SpawnMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: usize = 10_000;
        let rounds = scale.of(10);
        let operations = rounds * TASKS as u64;
        let body = async move {
            for _ in 0..rounds {
                let (report, all_through) = P::oneshot();
                let countdown = Arc::new(Countdown::<P>::new(TASKS, report));
                for _ in 0..TASKS {
                    let countdown = countdown.clone();
                    P::spawn_detached(async move { countdown.arrive() });
                }
                all_through.receive().await;
            }
        };
        match self.0 {
            From::Task => timed_in_task(peer, operations, body),
            From::BlockOn => peer.block_on(timed(operations, body)),
        }
    }
}

struct ChainedSpawn;

impl Workload for ChainedSpawn {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const DEPTH: u64 = 1_000;
        let rounds = scale.of(100);
        timed_in_task(peer, rounds * DEPTH, async move {
            for _ in 0..rounds {
                let (report, length) = P::oneshot();
                P::spawn_detached(link::<P>(1, DEPTH, report));
                assert_eq!(length.receive().await, DEPTH);
            }
        })
    }
}

/// One task of the chain. The type of the future contains itself, hence the box, for everyone.
fn link<P: Peer>(
    position: u64,
    length: u64,
    report: P::Reply<u64>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if position == length {
            report.send(position);
        } else {
            P::spawn_detached(link::<P>(position + 1, length, report));
        }
    })
}
