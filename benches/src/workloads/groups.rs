//! What do tasks cost that are joined together?
//!
//! The children return numbers at once. A group that must cancel, clean up or report errors does work that
//! is not seen here, and only the runtimes that have groups would do it. smol has none: a vector of its
//! tasks takes the place.

use std::future::Future;
use std::pin::Pin;

use crate::peer::Peer;
use crate::workload::{Case, Sample, Scale, Workload, timed_in_task};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "fork_join_fib",
            "one call of fib(22), a task each, joined in a tree",
            ForkJoinFib,
        ),
        Case::new("group_1000", "one child of a group of 1,000", Group),
    ]
}

const GOLDEN_RATIO: f64 = 1.618_033_988_749_895;

struct ForkJoinFib;

impl Workload for ForkJoinFib {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let (n, result) = match scale {
            Scale::Full => (22, 17_711),
            Scale::Tenth => (17, 1_597),
            Scale::Smoke => (12, 144),
        };
        // The calls of fib(n) number 2 · fib(n + 1) - 1; fib(n + 1) is about fib(n) times the golden ratio.
        let calls = 2 * (result as f64 * GOLDEN_RATIO).round() as u64 - 1;
        timed_in_task(peer, calls, async move {
            assert_eq!(P::spawn(fib::<P>(n)).await, result);
        })
    }
}

/// A call that spawns both of its halves. The type of the future contains itself, hence the box.
fn fib<P: Peer>(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let left = P::spawn(fib::<P>(n - 1));
        let right = P::spawn(fib::<P>(n - 2));
        left.await + right.await
    })
}

struct Group;

impl Workload for Group {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        const CHILDREN: u64 = 1_000;
        let rounds = scale.of(100);
        timed_in_task(peer, rounds * CHILDREN, async move {
            for _ in 0..rounds {
                let sum = P::group((0..CHILDREN).map(|i| async move { i })).await;
                assert_eq!(sum, CHILDREN * (CHILDREN - 1) / 2);
            }
        })
    }
}
