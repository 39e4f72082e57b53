//! What does a change cost? Another build of this program, beside this one.
//!
//! Each workload runs in child processes of both builds in turns; each child warms up and gives the best of a few
//! runs, so that what else the machine does falls on neither side. Instructions are counted where valgrind is
//! installed. Only our own runtime is compared.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::counts;
use crate::statistics::Spread;
use crate::workload::{AnyPeer, Case, PeerKind, Scale};
use crate::workloads::chapters;

/// One workload on two builds.
#[derive(Debug)]
pub struct Compared {
    /// Its name.
    pub workload: &'static str,
    /// Nanoseconds for an operation: the other build, then this one.
    pub nanoseconds: [Spread; 2],
    /// The time of this build as a multiple of the other's, round by round.
    pub ratio: Spread,
    /// Instructions for an operation, where they could be counted: the other build, then this one.
    pub instructions: Option<[f64; 2]>,
}

/// What the child process tells.
#[derive(Debug, Deserialize, Serialize)]
pub struct Best {
    /// Nanoseconds for an operation.
    pub nanoseconds: f64,
}

/// Compares the build at `other` with this one, which must both know `time-child`.
///
/// # Errors
///
/// When no workload is selected, or a child cannot be started or fails.
pub fn measure(
    other: &Path,
    only: &[String],
    workers: usize,
    rounds: usize,
) -> Result<Vec<Compared>> {
    let this = std::env::current_exe()?;
    let programs = [other, this.as_path()];
    let cases: Vec<Case> = chapters()
        .into_iter()
        .flat_map(|chapter| chapter.cases)
        .filter(|case| only.iter().any(|name| name == case.name))
        .collect();
    if cases.len() != only.len() {
        bail!("not all of {only:?} are names of workloads; `list` names them");
    }
    let mut all = Vec::new();
    for case in cases {
        eprintln!("{} on two builds", case.name);
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in [round % 2, (round + 1) % 2] {
                times[turn].push(best(programs[turn], case.name, workers)?);
            }
        }
        let ratios = times[1]
            .iter()
            .zip(&times[0])
            .map(|(this, other)| this / other);
        all.push(Compared {
            workload: case.name,
            ratio: Spread::of(ratios),
            nanoseconds: times.map(Spread::of),
            instructions: instructions(programs, case.name)?,
        });
    }
    Ok(all)
}

fn best(program: &Path, workload: &str, workers: usize) -> Result<f64> {
    let output = Command::new(program)
        .args(["time-child", "--workload", workload])
        .args(["--workers", &workers.to_string()])
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} on {workload}: {}", program.display(), complaint.trim());
    }
    let best: Best = serde_json::from_slice(&output.stdout)?;
    Ok(best.nanoseconds)
}

fn instructions(programs: [&Path; 2], workload: &'static str) -> Result<Option<[f64; 2]>> {
    let mut both = [0.0; 2];
    for (counted, program) in both.iter_mut().zip(programs) {
        match counts::instructions_of(program, PeerKind::Rt, workload)? {
            Some(instructions) => *counted = instructions,
            None => return Ok(None),
        }
    }
    Ok(Some(both))
}

/// Runs one workload on our own runtime, after a run that warms up, and gives the best of a few.
///
/// # Errors
///
/// When there is no such workload, or the runtime does not start.
pub fn child(workload: &str, workers: usize) -> Result<Best> {
    const RUNS: usize = 7;
    let case = counts::case(workload)?;
    let peer = AnyPeer::start(PeerKind::Rt, workers)?;
    case.run(&peer, Scale::Full);
    let times = (0..RUNS).map(|_| case.run(&peer, Scale::Full).nanoseconds());
    Ok(Best {
        nanoseconds: times.fold(f64::INFINITY, f64::min),
    })
}
