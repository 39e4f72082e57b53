//! What do the benches cost that Tokio measures itself with?
//!
//! Their shapes and sizes, each under the name that it has there: `rt_multi_threaded`, `spawn`,
//! `remote_spawn`, `spawn_blocking`, `time_timeout`, `copy` and `fs`; those of its channels and locks are in
//! their own chapters. Several of them block the thread inside `block_on`, as no program should; what is
//! measured is then how well the others get on without it. Left out: the copies that wait for slow readers
//! and writers, since they measure the sleep of these, and whatever goes round a runtime with one thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Answer, Peer, ReadFile, Reply};
use crate::workload::{Case, Sample, Scale, Workload, timed};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "rt_multi_spawn_many",
            "one of 10,000 tasks spawned in a `block_on` that then blocks its thread until the last reports",
            SpawnMany,
        ),
        Case::new(
            "rt_multi_yield_many",
            "one of 1,000 yields of 200 tasks, spawned from a plain thread that blocks meanwhile",
            YieldMany,
        ),
        Case::new(
            "rt_multi_ping_pong",
            "one of 1,000 pairs over two oneshots, in a `block_on` that blocks its thread",
            PingPong,
        ),
        Case::new(
            "rt_multi_chained_spawn",
            "one task of a chain of 1,000, in a `block_on` that blocks its thread",
            ChainedSpawn,
        ),
        Case::new(
            "threaded_scheduler_spawn",
            "one `block_on` that spawns a task and awaits it",
            SpawnAndAwait { tasks: 1 },
        ),
        Case::new(
            "threaded_scheduler_spawn10",
            "one `block_on` that spawns 10 tasks and awaits them",
            SpawnAndAwait { tasks: 10 },
        ),
        Case::new(
            "remote_spawn_2",
            "one of 12,800 tasks spawned by two plain threads, then awaited",
            RemoteSpawn { threads: 2 },
        ),
        Case::new(
            "spawn_blocking_2",
            "an empty piece of blocking work, of two tasks that await 16 at a time",
            SpawnBlocking,
        ),
        Case::new(
            "time_timeout_8",
            "a timeout around what is ready at once, in eight tasks",
            TimeTimeout,
        ),
        Case::new(
            "copy_mem_to_mem",
            "a KiB of 256 copied from memory to memory",
            CopyMemory,
        ),
        Case::new(
            "fs_read_blocks",
            "a block of 4 KiB read from /dev/zero",
            ReadBlocks,
        ),
    ]
}

/// Counts tasks that finish; the last one tells a thread.
#[derive(Clone)]
struct Remaining {
    left: Arc<AtomicUsize>,
    done: SyncSender<()>,
}

impl Remaining {
    fn arrive(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.send(()).expect("the thread waits");
        }
    }
}

struct SpawnMany;

impl Workload for SpawnMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: usize = 10_000;
        let rounds = scale.of(10);
        let (done, is_done) = sync_channel(1_000);
        peer.block_on(timed(rounds * TASKS as u64, async {
            for _ in 0..rounds {
                let left = Arc::new(AtomicUsize::new(TASKS));
                for _ in 0..TASKS {
                    let remaining = Remaining {
                        left: left.clone(),
                        done: done.clone(),
                    };
                    P::spawn_detached(async move { remaining.arrive() });
                }
                is_done.recv().expect("the last task reports");
            }
        }))
    }
}

struct YieldMany;

impl Workload for YieldMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: usize = 200;
        let yields = scale.of(1_000);
        let (done, is_done) = sync_channel(TASKS);
        let begin = Instant::now();
        // Kept, because a task of smol ends with its handle.
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let done = done.clone();
                peer.spawn_outside(async move {
                    for _ in 0..yields {
                        P::yield_now().await;
                    }
                    done.send(()).expect("the thread waits");
                })
            })
            .collect();
        for _ in &tasks {
            is_done.recv().expect("each task reports");
        }
        Sample {
            elapsed: begin.elapsed(),
            operations: TASKS as u64 * yields,
        }
    }
}

struct PingPong;

impl Workload for PingPong {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const PINGS: usize = 1_000;
        let rounds = scale.of(30);
        let (done, is_done) = sync_channel(1_000);
        peer.block_on(timed(rounds * PINGS as u64, async {
            for _ in 0..rounds {
                let remaining = Remaining {
                    left: Arc::new(AtomicUsize::new(PINGS)),
                    done: done.clone(),
                };
                P::spawn_detached(async move {
                    for _ in 0..PINGS {
                        P::spawn_detached(ping::<P>(remaining.clone()));
                    }
                });
                is_done.recv().expect("the last task reports");
            }
        }))
    }
}

async fn ping<P: Peer>(remaining: Remaining) {
    let (ping, pinged) = P::oneshot();
    let (pong, ponged) = P::oneshot();
    P::spawn_detached(async move {
        pinged.receive().await;
        pong.send(());
    });
    ping.send(());
    ponged.receive().await;
    remaining.arrive();
}

struct ChainedSpawn;

impl Workload for ChainedSpawn {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const LENGTH: usize = 1_000;
        let rounds = scale.of(100);
        let (done, is_done) = sync_channel(1_000);
        peer.block_on(timed(rounds * LENGTH as u64, async {
            for _ in 0..rounds {
                let done = done.clone();
                P::spawn_detached(async move { link::<P>(done, LENGTH) });
                is_done.recv().expect("the last task reports");
            }
        }))
    }
}

fn link<P: Peer>(done: SyncSender<()>, left: usize) {
    if left == 0 {
        done.send(()).expect("the thread waits");
    } else {
        P::spawn_detached(async move { link::<P>(done, left - 1) });
    }
}

struct SpawnAndAwait {
    tasks: usize,
}

impl Workload for SpawnAndAwait {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let calls = scale.of(1_000);
        let begin = Instant::now();
        for i in 0..calls {
            peer.block_on(async {
                let tasks: Vec<_> = (0..self.tasks)
                    .map(|_| P::spawn(async move { i + 1 }))
                    .collect();
                for task in tasks {
                    assert_eq!(task.await, i + 1);
                }
            });
        }
        Sample {
            elapsed: begin.elapsed(),
            operations: calls,
        }
    }
}

struct RemoteSpawn {
    threads: usize,
}

impl Workload for RemoteSpawn {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let each = scale.of(12_800) as usize / self.threads;
        let barrier = Barrier::new(self.threads + 1);
        let spawn = || {
            barrier.wait();
            let tasks = (0..each).map(|i| peer.spawn_outside(async move { i }));
            tasks.collect::<Vec<_>>()
        };
        let begin = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(spawn)).collect();
            let begin = Instant::now();
            barrier.wait();
            let tasks = threads.into_iter().map(|thread| thread.join());
            let tasks: Vec<_> = tasks
                .flat_map(|tasks| tasks.expect("no thread panics"))
                .collect();
            peer.block_on(async {
                let mut sum = 0;
                for task in tasks {
                    sum += task.await;
                }
                assert_eq!(sum, self.threads * (each * (each - 1) / 2));
            });
            begin
        });
        Sample {
            elapsed: begin.elapsed(),
            operations: (each * self.threads) as u64,
        }
    }
}

struct SpawnBlocking;

impl Workload for SpawnBlocking {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 2;
        const BATCH: u64 = 16;
        let batches = scale.of(100);
        peer.block_on(timed(TASKS * batches * BATCH, async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    P::spawn(async move {
                        for _ in 0..batches {
                            let batch: Vec<_> =
                                (0..BATCH).map(|i| P::spawn_blocking(move || i)).collect();
                            let mut sum = 0;
                            for work in batch {
                                sum += work.await;
                            }
                            assert_eq!(sum, BATCH * (BATCH - 1) / 2);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        }))
    }
}

struct TimeTimeout;

impl Workload for TimeTimeout {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 8;
        let each = scale.of(80_000) / TASKS;
        peer.block_on(timed(TASKS * each, async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    P::spawn(async move {
                        for i in 0..each {
                            let quick = async move { i };
                            let result = P::timeout(Duration::from_secs(1), quick).await;
                            assert_eq!(result, Some(i));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        }))
    }
}

struct CopyMemory;

impl Workload for CopyMemory {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const KIB: u64 = 1_024;
        const SOURCE: u64 = 256 * KIB;
        let rounds = scale.of(100);
        peer.block_on(timed(rounds * (SOURCE / KIB), async {
            for _ in 0..rounds {
                let mut sink = Vec::new();
                let copied = P::copy_zeros(SOURCE, &mut sink).await;
                assert_eq!(copied.expect("memory does not fail"), SOURCE);
                assert_eq!(sink.len() as u64, SOURCE);
            }
        }))
    }
}

struct ReadBlocks;

impl Workload for ReadBlocks {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let blocks = scale.of(1_000);
        peer.block_on(timed(blocks, async {
            let mut buffer = vec![1; 4_096];
            let mut file = P::open("/dev/zero").await.expect("it is always there");
            for _ in 0..blocks {
                let n_read = file.read(&mut buffer).await.expect("it never fails");
                assert_eq!(n_read, buffer.len());
            }
            assert!(buffer.iter().all(|byte| *byte == 0));
        }))
    }
}
