//! How many instructions and system calls does an operation take?
//!
//! Counts repeat where times do not, so a small change shows. They say nothing of cache misses, of waiting,
//! or of the cost of one system call against another. Each workload runs in a child process under
//! `valgrind --tool=callgrind` or `strace -c`, once with few repetitions and once with more; the difference
//! leaves starting and stopping out. valgrind runs one thread at a time, so instructions are counted with
//! one worker. strace makes every call slow, so that calls which come by time, as looks at the poller do, are seen more
//! often than there are without it: for `echo_64` on rt it counts 4.8, and `perf stat` 4.2.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::workload::{AnyPeer, Case, PeerKind, Scale};
use crate::workloads::chapters;

/// What one operation takes.
#[derive(Debug, Serialize)]
pub struct Count {
    /// The workload.
    pub workload: &'static str,
    /// What is counted.
    pub what: &'static str,
    /// One number for each runtime that was asked for, in that order.
    pub per_operation: Vec<f64>,
}

/// What the child process tells.
#[derive(Debug, Deserialize, Serialize)]
pub struct Done {
    /// Operations done.
    pub operations: u64,
}

/// A tool that counts, and how it is asked.
struct Counter {
    what: &'static str,
    command: &'static [&'static str],
    read_total: fn(&str) -> Option<u64>,
    workers: usize,
    scale: Scale,
    /// Repetitions of the short and of the long run.
    repetitions: [u64; 2],
    workloads: &'static [&'static str],
}

const COUNTERS: [Counter; 2] = [
    Counter {
        what: "instructions",
        command: &[
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
        ],
        read_total: instructions,
        workers: 1,
        scale: Scale::Tenth,
        repetitions: [1, 3],
        workloads: &[
            "spawn_join_seq",
            "spawn_many_local",
            "yield_many",
            "chained_spawn",
            "ping_pong_one",
            "group_1000",
            "queue_1_to_1",
        ],
    },
    Counter {
        what: "system calls",
        command: &["strace", "-f", "-c"],
        read_total: system_calls,
        workers: 2,
        scale: Scale::Full,
        repetitions: [1, 3],
        workloads: &["echo_1", "echo_64", "blocking_20000"],
    },
];

/// Counts with the tools that are installed; says on the terminal which are not. One number for each of `kinds`.
///
/// # Errors
///
/// When a child cannot be started or fails.
pub fn measure(kinds: &[PeerKind]) -> Result<Vec<Count>> {
    let mut counts = Vec::new();
    for counter in &COUNTERS {
        if !counter.is_installed() {
            continue;
        }
        let program = std::env::current_exe()?;
        for &workload in counter.workloads {
            eprintln!("{} of {workload}", counter.what);
            let per_operation = kinds
                .iter()
                .map(|kind| counter.per_operation(&program, *kind, workload))
                .collect::<Result<_>>()?;
            counts.push(Count {
                workload,
                what: counter.what,
                per_operation,
            });
        }
    }
    Ok(counts)
}

/// Instructions for an operation of one workload in a build of this program; `None` without the tool.
///
/// # Errors
///
/// When a child cannot be started or fails.
pub fn instructions_of(program: &Path, kind: PeerKind, workload: &str) -> Result<Option<f64>> {
    let counter = &COUNTERS[0];
    if !counter.is_installed() {
        return Ok(None);
    }
    counter.per_operation(program, kind, workload).map(Some)
}

impl Counter {
    /// Whether the tool is here; says so on the terminal if not.
    fn is_installed(&self) -> bool {
        let tool = self.command[0];
        let is_installed = Command::new(tool).arg("--version").output().is_ok();
        if !is_installed {
            eprintln!("SKIPPED: {} ({tool} is not installed)", self.what);
        }
        is_installed
    }

    fn per_operation(&self, program: &Path, kind: PeerKind, workload: &str) -> Result<f64> {
        let [few, many] = self.repetitions;
        let (count_few, operations_few) = self.run(program, kind, workload, few)?;
        let (count_many, operations_many) = self.run(program, kind, workload, many)?;
        let more = count_many.saturating_sub(count_few);
        Ok(more as f64 / (operations_many - operations_few) as f64)
    }

    /// Runs a child under the tool; gives the tool's count and the child's operations.
    fn run(
        &self,
        program: &Path,
        kind: PeerKind,
        workload: &str,
        repetitions: u64,
    ) -> Result<(u64, u64)> {
        let output = Command::new(self.command[0])
            .args(&self.command[1..])
            .arg(program)
            .args(["count-child", "--peer", &kind.argument()])
            .args(["--workload", workload, "--scale", self.scale.argument()])
            .args(["--workers", &self.workers.to_string()])
            .args(["--repetitions", &repetitions.to_string()])
            .output()?;
        self.read(&output).with_context(|| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let last = complaint.lines().last().unwrap_or("no reason given");
            format!("{} on {workload}, {}: {last}", self.command[0], kind.name())
        })
    }

    fn read(&self, output: &Output) -> Result<(u64, u64)> {
        if !output.status.success() {
            bail!("the child failed: {}", output.status);
        }
        let done: Done = serde_json::from_slice(&output.stdout)?;
        let total = (self.read_total)(&String::from_utf8_lossy(&output.stderr))
            .context("the tool gave no total")?;
        Ok((total, done.operations))
    }
}

/// Does the work of a child: the workload so many times.
///
/// # Errors
///
/// When there is no such workload, or the runtime does not start.
pub fn child(
    kind: PeerKind,
    workload: &str,
    scale: Scale,
    workers: usize,
    repetitions: u64,
) -> Result<Done> {
    let case = case(workload)?;
    let peer = AnyPeer::start(kind, workers)?;
    let operations = (0..repetitions)
        .map(|_| case.run(&peer, scale).operations)
        .sum();
    Ok(Done { operations })
}

/// The workload of a name.
pub(crate) fn case(workload: &str) -> Result<Case> {
    chapters()
        .into_iter()
        .flat_map(|chapter| chapter.cases)
        .find(|case| case.name == workload)
        .with_context(|| format!("there is no workload named {workload}"))
}

/// Reads callgrind's `==123== Collected : 4567`.
fn instructions(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Reads the last line of strace's table, `100.00 0.001 2 345 6 total`.
fn system_calls(text: &str) -> Option<u64> {
    let total = text.lines().rev().find(|line| line.ends_with("total"))?;
    total.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_of_both_tools_are_read() {
        let callgrind = "==7== Events    : Ir\n==7== Collected : 39172\n==7== \n";
        assert_eq!(instructions(callgrind), Some(39_172));
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      100.00    0.000100           1       345         6 total\n";
        assert_eq!(system_calls(strace), Some(345));
        assert_eq!(system_calls("strace: not permitted"), None);
    }
}
