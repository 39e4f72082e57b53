//! What does work cost that goes to a thread of its own?
//!
//! The work is empty, so the pools are seen with all their threads free. How many threads a pool grows to
//! when the work really blocks, and how soon it shrinks, is not seen.

use crate::peer::Peer;
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "blocking_round_trip",
            "an empty piece of work there and back, one at a time",
            BlockingRoundTrip,
        ),
        Case::new(
            "blocking_20000",
            "one of 20,000 empty pieces of work, asked for at once",
            BlockingMany,
        ),
    ]
}

struct BlockingRoundTrip;

impl Workload for BlockingRoundTrip {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let trips = scale.of(2_000);
        timed_in_task(peer, trips, async move {
            for i in 0..trips {
                assert_eq!(P::spawn_blocking(move || i + 1).await, i + 1);
            }
        })
    }
}

struct BlockingMany;

impl Workload for BlockingMany {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let pieces = scale.of(20_000);
        timed_in_task(peer, pieces, async move {
            let tasks: Vec<_> = (0..pieces)
                .map(|i| P::spawn_blocking(move || i + 1))
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            assert_eq!(sum, pieces * (pieces + 1) / 2);
        })
    }
}
