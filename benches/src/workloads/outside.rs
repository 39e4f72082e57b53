//! What does it cost to talk with a task from a thread that is none of the workers?
//!
//! Parking and waking a thread costs tens of microseconds, more than the machine's own spread on a virtual
//! machine, and comes in two modes depending on where the kernel puts the threads. A runtime that runs
//! tasks on the thread in `block_on` avoids the hop altogether; code that keeps that thread busy with
//! something else gains nothing from it.

use std::sync::mpsc;
use std::time::Instant;

use super::channels::request_reply;
use crate::peer::{Get, Peer, Put};
use crate::workload::{Case, Sample, Scale, Workload, timed};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "remote_wake",
            "from a plain thread to a task and back, the thread parked meanwhile",
            RemoteWake,
        ),
        Case::new(
            "request_reply_block_on",
            "a request by queue from `block_on`, answered by oneshot",
            RequestReplyBlockOn,
        ),
    ]
}

struct RemoteWake;

impl Workload for RemoteWake {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let trips = scale.of(2_000);
        let (ping, mut pinged) = P::queue(1);
        let (pong, ponged) = mpsc::channel();
        let mut task = None;
        peer.block_on(async {
            task = Some(P::spawn(async move {
                while let Some(i) = pinged.get().await {
                    pong.send(i + 1).expect("the thread waits");
                }
            }));
        });
        let begin = Instant::now();
        for i in 0..trips {
            ping.put_at_once(i);
            assert_eq!(ponged.recv(), Ok(i + 1));
        }
        let elapsed = begin.elapsed();
        ping.close();
        peer.block_on(task.expect("just spawned"));
        Sample {
            elapsed,
            operations: trips,
        }
    }
}

struct RequestReplyBlockOn;

impl Workload for RequestReplyBlockOn {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let requests = scale.of(2_000);
        peer.block_on(timed(requests, request_reply::<P>(requests)))
    }
}
