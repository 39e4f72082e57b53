//! What does a runtime do that has nothing to do?
//!
//! A runtime is started in a process of its own, has some work behind it, and keeps a listener that nobody
//! connects to and a task that sleeps for an hour. Then, for a few seconds, the context switches of all its
//! threads are counted, and their processor time. Only where the system tells of each thread: on Linux.

use std::fs;
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::peer::{Listener, Peer};
use crate::workload::{AnyPeer, PeerKind, Visit};

/// What an idle runtime does.
#[derive(Debug, Serialize)]
pub struct Quiet {
    /// The runtime.
    pub peer: &'static str,
    /// Threads that it keeps.
    pub threads: usize,
    /// Context switches of all of them.
    pub switches_per_second: f64,
    /// Processor time of all of them, microseconds.
    pub micros_per_second: f64,
}

/// What the child process tells.
#[derive(Debug, Deserialize, Serialize)]
pub struct Observed {
    threads: usize,
    seconds: f64,
    switches: u64,
    nanoseconds: u64,
}

/// Watches each runtime in a child process of this program, which must know `quiet-child`.
///
/// # Errors
///
/// When a child cannot be started or fails.
pub fn measure(workers: usize, seconds: u64) -> Result<Vec<Quiet>> {
    let mut all = Vec::new();
    for kind in PeerKind::ALL {
        eprintln!("{} with nothing to do, for {seconds} s", kind.name());
        let output = Command::new(std::env::current_exe()?)
            .args(["quiet-child", "--peer", &kind.argument()])
            .args(["--workers", &workers.to_string()])
            .args(["--seconds", &seconds.to_string()])
            .output()?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("watching {} failed: {}", kind.name(), complaint.trim());
        }
        let observed: Observed = serde_json::from_slice(&output.stdout)?;
        all.push(Quiet {
            peer: kind.name(),
            threads: observed.threads,
            switches_per_second: observed.switches as f64 / observed.seconds,
            micros_per_second: observed.nanoseconds as f64 / 1e3 / observed.seconds,
        });
    }
    Ok(all)
}

/// Watches one runtime in this process, which has no other threads.
///
/// # Errors
///
/// When the runtime does not start, or the system does not tell of threads.
pub fn child(kind: PeerKind, workers: usize, seconds: u64) -> Result<Observed> {
    AnyPeer::start(kind, workers)?.visit(Watch {
        duration: Duration::from_secs(seconds),
    })
}

struct Watch {
    duration: Duration,
}

impl Visit for Watch {
    type Output = Result<Observed>;

    fn visit<P: Peer>(self, peer: &P) -> Result<Observed> {
        // Kept, because a task of smol ends with its handle.
        let _kept = peer.block_on(async {
            let work: Vec<_> = (0..1_000).map(|i| P::spawn(async move { i })).collect();
            for task in work {
                task.await;
            }
            let sleeper = P::spawn(P::sleep(Duration::from_secs(3_600)));
            let mut listener = P::listen().await?;
            listener.address()?;
            let acceptor = P::spawn(async move { drop(listener.accept().await) });
            P::sleep(Duration::from_millis(100)).await;
            anyhow::Ok((sleeper, acceptor))
        })?;
        // What was started for the work above may end.
        thread::sleep(Duration::from_millis(500));
        let (begin, before) = (Instant::now(), Threads::of_runtime()?);
        thread::sleep(self.duration);
        let (seconds, after) = (begin.elapsed().as_secs_f64(), Threads::of_runtime()?);
        Ok(Observed {
            threads: after.n_threads,
            seconds,
            switches: after.switches - before.switches,
            nanoseconds: after.nanoseconds - before.nanoseconds,
        })
    }
}

/// All threads but the first one, which is asleep in between.
struct Threads {
    n_threads: usize,
    switches: u64,
    nanoseconds: u64,
}

impl Threads {
    fn of_runtime() -> Result<Self> {
        let mut all = Self {
            n_threads: 0,
            switches: 0,
            nanoseconds: 0,
        };
        let tasks = fs::read_dir("/proc/self/task").context("no list of threads")?;
        for thread in tasks {
            let thread = thread?.path();
            if thread.ends_with(process::id().to_string()) {
                continue;
            }
            let status = fs::read_to_string(thread.join("status"))?;
            let schedule = fs::read_to_string(thread.join("schedstat"))?;
            all.n_threads += 1;
            all.switches += switches(&status).context("no count of switches")?;
            all.nanoseconds += first_number(&schedule).context("no processor time")?;
        }
        Ok(all)
    }
}

/// Both kinds of switches in a thread's status.
fn switches(status: &str) -> Option<u64> {
    let count = |kind: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(kind))?;
        first_number(line)
    };
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_switches_count() {
        let status =
            "Name:\tworker\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches(status), Some(42));
        assert_eq!(switches("Name:\tworker\n"), None);
    }
}
