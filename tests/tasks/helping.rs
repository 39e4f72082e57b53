//! Which polls are shared among workers: a worker may leave a busy one alone, but not for long.

use std::sync::{Arc, Barrier};

use crate::support;

/// Polls that block until they run side by side do so, though the worker they are queued on has had nothing but short
/// ones before, for which it needed no help. The monitor, who finds what others miss, is not what they rely on.
#[test]
fn long_polls_after_short_ones_get_help() {
    const ROUNDS: u32 = 100;
    let runtime = support::builder(2).build().unwrap();
    runtime.block_on(async {
        for _ in 0..ROUNDS {
            for _ in 0..300 {
                let short: Vec<_> = (0..4).map(|_| rt::spawn(async {})).collect();
                for task in short {
                    task.await.unwrap();
                }
            }
            let both = Arc::new(Barrier::new(2));
            let wait = || {
                let both = both.clone();
                async move { both.wait().is_leader() }
            };
            let (one, other) = (rt::spawn(wait()), rt::spawn(wait()));
            assert_ne!(one.await.unwrap(), other.await.unwrap());
        }
    });
    let n_rescues = runtime.metrics().n_rescues;
    assert!(n_rescues < ROUNDS / 2, "{n_rescues} of {ROUNDS}");
}
