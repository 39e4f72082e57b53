//! The workloads, by what they ask.

mod blocking;
mod channels;
mod echo;
mod groups;
mod locks;
mod of_async_executor;
mod of_tokio;
mod outside;
mod spawning;
mod switching;
mod timers;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::peer::{Peer, Reply};
use crate::workload::Case;

/// Workloads that share a question.
#[derive(Debug)]
pub struct Chapter {
    /// What it is about, in a word.
    pub title: &'static str,
    source: &'static str,
    /// The workloads.
    pub cases: Vec<Case>,
}

impl Chapter {
    /// The question, and what the answer does not show: what the file of the workloads begins with.
    pub fn preface(&self) -> String {
        self.source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| format!("{}\n", line.trim()))
            .collect()
    }
}

macro_rules! chapters {
    ($($title:literal: $module:ident),* $(,)?) => {
        /// All workloads.
        pub fn chapters() -> Vec<Chapter> {
            vec![$(Chapter {
                title: $title,
                source: include_str!(concat!("workloads/", stringify!($module), ".rs")),
                cases: $module::cases(),
            }),*]
        }
    };
}

chapters! {
    "Spawning": spawning,
    "Switching": switching,
    "Groups": groups,
    "Channels": channels,
    "Locks": locks,
    "Timers": timers,
    "Echo": echo,
    "Blocking work": blocking,
    "From outside": outside,
    "Tokio's own": of_tokio,
    "async-executor's own": of_async_executor,
}

/// Counts tasks that finish; the last one reports.
struct Countdown<P: Peer> {
    left: AtomicUsize,
    report: Mutex<Option<P::Reply<()>>>,
}

impl<P: Peer> Countdown<P> {
    fn new(tasks: usize, report: P::Reply<()>) -> Self {
        Self {
            left: AtomicUsize::new(tasks),
            report: Mutex::new(Some(report)),
        }
    }

    fn arrive(&self) {
        // ORDERING(countdown): Release, so that the last to arrive has seen what this task did;
        // ORDERING(countdown): Acquire, in case this is the last.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let report = self.report.lock().expect("no arrival panics").take();
            report.expect("more arrivals than tasks").send(());
        }
    }
}
