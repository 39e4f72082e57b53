//! What the rows are meant to reach, and what stops those that do not.

use std::fmt::Write;

use crate::measure::Row;
use crate::workload::PeerKind;

/// Multiples of Tokio's time that were set before anything was built, from what Tokio took then and what a prototype
/// without timers, cancellation, budget and shutdown had reached. The other rows are meant to be no slower than Tokio.
const GOALS: [(&str, f64); 28] = [
    ("spawn_join_seq", 0.25),
    ("spawn_many_local", 0.20),
    ("spawn_many_remote", 0.25),
    ("chained_spawn", 0.20),
    ("yield_many", 0.40),
    ("ping_pong_pairs", 0.30),
    ("ping_pong_one", 0.30),
    ("fork_join_fib", 0.45),
    ("group_1000", 0.30),
    ("queue_1_to_1", 0.20),
    ("queue_4_to_1", 0.35),
    ("queue_4_to_4", 0.25),
    ("oneshot_same_task", 0.70),
    ("mutex_uncontended", 0.60),
    ("mutex_contended", 0.50),
    ("semaphore_uncontended", 0.60),
    ("semaphore_contended", 0.60),
    ("broadcast_256", 0.60),
    ("sleep_lateness_1ms", 0.07),
    ("sleep_lateness_100us", 0.07),
    ("timers_firing", 0.50),
    ("timeout_unused", 0.30),
    ("echo_64", 0.85),
    ("echo_1", 0.95),
    ("blocking_round_trip", 0.40),
    ("blocking_20000", 0.12),
    ("remote_wake", 0.50),
    ("request_reply_block_on", 0.50),
];

/// No row is meant to be slower than this, beside the faster one of Tokio and smol.
const BESIDE_THE_BEST: f64 = 1.05;

/// What stops a row, where it is known.
const ACCOUNTS: [(&str, &str); 16] = [
    (
        "spawn_join_seq",
        "The goal meant 71 ns, a quarter of the 285 that Tokio took when it was set. What is always on (ids, places, wait \
         reasons, the tree) takes 7 % of it.",
    ),
    (
        "chained_spawn",
        "The goal meant 44 ns, a fifth of the 220 that Tokio took when it was set.",
    ),
    (
        "yield_many",
        "It has two modes on two workers, 13 and 20 ns: the tasks are spread over both, or move between them.",
    ),
    (
        "ping_pong_one",
        "As many instructions as Tokio's, 2,150: each of the two queues can have any number of receivers, and is waited \
         for in line twice in a round trip. What is saved is the way to the other worker.",
    ),
    (
        "fork_join_fib",
        "The goal meant 159 ns. A task for each call: both workers spend their time with the life of tasks, \
         as in `spawn_join_seq`, and with stealing them from each other.",
    ),
    (
        "queue_1_to_1",
        "The goal meant 31 ns, a fifth of the 154 that Tokio took when it was set.",
    ),
    (
        "queue_4_to_4_async_channel",
        "The same library on every runtime; its own lock is most of it.",
    ),
    (
        "queue_4_to_4_flume",
        "The same library on every runtime; its own lock is most of it.",
    ),
    (
        "mutex_contended",
        "It has two modes. Where the tasks of both workers meet, the lock is handed on in the order of arrival, which \
         costs a switch of tasks; smol's lets newcomers in first.",
    ),
    (
        "semaphore_contended",
        "Permits are handed on in the order of arrival; smol lets newcomers in first.",
    ),
    (
        "timers_firing",
        "The wall time cannot fall below 500 ns. Each sleeper takes 1.3 µs of processor time, shared by two workers: its \
         task, and a place in a heap of 100,000 that no cache holds.",
    ),
    (
        "timers_firing_cpu",
        "As for `timers_firing`: a place in a heap of 100,000.",
    ),
    (
        "timeout_unused",
        "A timeout is a scope that can be cancelled from outside and knows its deadline before its body begins, so the \
         clock is read once: 25 ns.",
    ),
    (
        "time_timeout_8",
        "As for `timeout_unused`; smol asks its body first, and never sets the timer here.",
    ),
    (
        "echo_64",
        "Of 12.3 µs of processor time for a round trip, both ends together, 11.5 are the kernel's, of Tokio's 12.7 µs 11.6. \
         Tokio's workers sleep for one part in twenty, ours do not. A runtime that took no time at all would reach 0.86.",
    ),
    ("echo_1", "As for `echo_64`."),
];

fn goal_of(workload: &str) -> f64 {
    let set = GOALS.iter().find(|(name, _)| *name == workload);
    set.map_or(1.0, |(_, goal)| *goal)
}

fn account_of(workload: &str) -> &'static str {
    let known = ACCOUNTS.iter().find(|(name, _)| *name == workload);
    known.map_or("Not known.", |(_, account)| account)
}

/// What a row has reached.
struct Reached {
    ours: f64,
    /// The best of the others, Tokio among them.
    best: f64,
}

impl Reached {
    fn of(row: &Row) -> Option<Self> {
        let ratio_of = |kind: PeerKind| {
            let cell = row.cells.iter().find(|cell| cell.peer == kind.name())?;
            Some(cell.ratio?.median)
        };
        let others = PeerKind::ALL
            .iter()
            .filter(|kind| **kind != PeerKind::Rt)
            .filter_map(|kind| ratio_of(*kind));
        Some(Self {
            ours: ratio_of(PeerKind::Rt)?,
            best: others.fold(1.0, f64::min),
        })
    }

    /// Within what the page shows, two places.
    fn is_enough(&self, goal: f64) -> bool {
        self.ours < goal + 0.005 && self.ours <= BESIDE_THE_BEST * self.best
    }
}

/// The chapter about goals of the page; nothing where no row was measured.
#[must_use]
pub fn chapter(rows: &[Row]) -> String {
    let reached: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.name, goal_of(row.name), Reached::of(row)?)))
        .collect();
    let missed: Vec<_> = reached
        .iter()
        .filter(|(_, goal, reached)| !reached.is_enough(*goal))
        .collect();
    if reached.is_empty() {
        return String::new();
    }
    let mut text = format!("## Goals\n\n{PREFACE}\n");
    let n_enough = reached.len() - missed.len();
    let _ = writeln!(
        text,
        "{n_enough} of {} rows reach both. Those that miss one, and why:\n",
        reached.len()
    );
    for (workload, goal, reached) in missed {
        let Reached { ours, best } = reached;
        let _ = write!(
            text,
            "- `{workload}`: {ours:.2} × Tokio, where the goal is {goal:.2}"
        );
        if *ours > BESIDE_THE_BEST * best {
            let _ = write!(text, " and the best other takes {best:.2}");
        }
        let _ = writeln!(text, ". {}", account_of(workload));
    }
    text.push('\n');
    text
}

const PREFACE: &str = "\
Each row has a goal, a multiple of Tokio's time that was set before anything was built, or else 1.00. And none is
meant to take more than 1.05 of the time of the faster one of Tokio and smol.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Cell;
    use crate::statistics::Spread;
    use crate::workloads::chapters;

    fn row(name: &'static str, ours: f64, smol: f64) -> Row {
        let ratio_of = |kind: &PeerKind| match kind {
            PeerKind::Rt => Some(ours),
            PeerKind::Smol => Some(smol),
            PeerKind::Tokio => None,
        };
        let spread = |median| Spread {
            median,
            lower: median,
            upper: median,
        };
        let cells = PeerKind::ALL.iter().map(|kind| Cell {
            peer: kind.name(),
            nanoseconds: spread(1.0),
            ratio: ratio_of(kind).map(spread),
        });
        Row {
            chapter: "of the test",
            name,
            operation: "nothing",
            cells: cells.collect(),
            others: Vec::new(),
        }
    }

    #[test]
    fn what_misses_its_goal_or_is_slower_than_the_best_is_listed() {
        let text = chapter(&[
            row("yield_many", 0.39, 1.5),
            row("echo_1", 0.97, 1.5),
            row("mutex_contended", 0.40, 0.20),
            row("of_no_goal", 0.99, 2.0),
        ]);
        assert!(text.contains("2 of 4 rows"), "{text}");
        assert!(
            text.contains("- `echo_1`: 0.97 × Tokio, where the goal is 0.95. As"),
            "{text}"
        );
        assert!(text.contains("- `mutex_contended`: 0.40 × Tokio, where the goal is 0.50 and the best other takes 0.20."));
        assert!(!text.contains("- `yield_many`") && !text.contains("- `of_no_goal`"));
    }

    #[test]
    fn goals_and_accounts_are_those_of_workloads() {
        let chapters = chapters();
        let cases = || chapters.iter().flat_map(|chapter| &chapter.cases);
        let named = GOALS.iter().map(|(name, _)| name);
        for name in named.chain(ACCOUNTS.iter().map(|(name, _)| name)) {
            assert!(cases().any(|case| case.name == *name), "{name}");
        }
    }
}
