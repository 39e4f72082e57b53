//! What does it cost to go from one ready task to another?
//!
//! Either both ends stay on one worker, or each hand-over crosses cores; which of them happens is the
//! scheduler's choice and part of the answer, but the table shows only the sum. Programs whose tasks work
//! longer between two hand-overs may want the opposite choice.

use std::sync::Arc;

use super::Countdown;
use crate::peer::{Answer, Get, Peer, Put, Reply};
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("yield_many", "one of 1,000 yields of 200 tasks", YieldMany),
        Case::new(
            "ping_pong_pairs",
            "one of 1,000 pairs that exchange over two oneshots, both tasks spawned",
            PingPongPairs,
        ),
        Case::new(
            "ping_pong_one",
            "a round trip of one pair over two queues of one place",
            PingPongOne,
        ),
    ]
}

struct YieldMany;

impl Workload for YieldMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const TASKS: u64 = 200;
        let yields = scale.of(1_000);
        timed_in_task(peer, TASKS * yields, async move {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    P::spawn(async move {
                        for _ in 0..yields {
                            P::yield_now().await;
                        }
                        yields
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await, yields);
            }
        })
    }
}

struct PingPongPairs;

impl Workload for PingPongPairs {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const PAIRS: usize = 1_000;
        let rounds = scale.of(30);
        timed_in_task(peer, rounds * PAIRS as u64, async move {
            for _ in 0..rounds {
                let (report, all_through) = P::oneshot();
                let countdown = Arc::new(Countdown::<P>::new(PAIRS, report));
                for i in 0..PAIRS {
                    let countdown = countdown.clone();
                    P::spawn_detached(exchange::<P>(i, countdown));
                }
                all_through.receive().await;
            }
        })
    }
}

async fn exchange<P: Peer>(i: usize, countdown: Arc<Countdown<P>>) {
    let (ping, pinged) = P::oneshot();
    let (pong, ponged) = P::oneshot();
    P::spawn_detached(async move { pong.send(pinged.receive().await + 1) });
    ping.send(i);
    assert_eq!(ponged.receive().await, i + 1);
    countdown.arrive();
}

struct PingPongOne;

impl Workload for PingPongOne {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let trips = scale.of(100_000);
        timed_in_task(peer, trips, async move {
            let (ping, mut pinged) = P::queue(1);
            let (pong, mut ponged) = P::queue(1);
            let other = P::spawn(async move {
                while let Some(i) = pinged.get().await {
                    pong.put(i + 1).await;
                }
            });
            for i in 0..trips {
                ping.put(i).await;
                assert_eq!(ponged.get().await, Some(i + 1));
            }
            ping.close();
            other.await;
        })
    }
}
