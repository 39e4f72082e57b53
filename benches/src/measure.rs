//! Running the workloads in turns, and what comes of it.
//!
//! The machine is never quiet: clocks change, neighbours come and go. So each round runs every runtime once,
//! one directly after the other, each round beginning with another one; a ratio is taken within a round, and
//! the medians over the rounds are reported. The first round only warms up. All runtimes stay started
//! throughout; those whose turn it is not are asleep. Libraries and other languages come after them in each
//! round, where they have the same workload.

use std::fmt;
use std::thread;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::beside::{Other, Others};
use crate::counts::Count;
use crate::hello::Hello;
use crate::memory::Footprint;
use crate::quiet::Quiet;
use crate::statistics::{Spread, Unit, geometric_mean};
use crate::workload::{AnyPeer, Case, PeerKind, Scale};
use crate::workloads::chapters;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Worker threads for each runtime.
    pub workers: usize,
    /// Rounds that count, after one that does not.
    pub rounds: usize,
    /// Only workloads whose name contains this.
    pub only: Option<String>,
    /// Whether libraries and other languages take part, too.
    pub beside: Beside,
}

/// Who takes part besides the runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nobody.
    Nobody,
    /// Libraries for threads, and the languages that are installed.
    Everybody,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Worker threads for each runtime.
    pub workers: usize,
    /// Rounds that counted.
    pub rounds: usize,
    /// The timings.
    pub rows: Vec<Row>,
    /// Memory of sleeping tasks, when asked for.
    pub memory: Vec<Footprint>,
    /// Instructions and system calls, when asked for.
    pub counts: Vec<Count>,
    /// What the runtimes do with nothing to do, when asked for.
    pub quiet: Vec<Quiet>,
    /// What a program that greets costs, when asked for.
    pub hello: Vec<Hello>,
}

/// One workload on every runtime.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What the workload belongs to.
    pub chapter: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What is counted as one operation.
    pub operation: &'static str,
    /// One cell for each runtime, in the order of [`PeerKind::ALL`].
    pub cells: Vec<Cell>,
    /// Libraries and other languages that do the same.
    pub others: Vec<OtherCell>,
}

/// One workload, done by somebody who is no Rust runtime.
#[derive(Debug, Serialize)]
pub struct OtherCell {
    /// Who.
    pub name: &'static str,
    /// Nanoseconds for one operation.
    pub nanoseconds: Spread,
    /// The time of our own runtime as a multiple of it, round by round.
    pub ratio: Spread,
}

/// One workload on one runtime.
#[derive(Debug, Serialize)]
pub struct Cell {
    /// The runtime.
    pub peer: &'static str,
    /// Nanoseconds for one operation.
    pub nanoseconds: Spread,
    /// Its time as a multiple of the base's, round by round; `None` for the base itself.
    pub ratio: Option<Spread>,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells.
    pub processor: Option<String>,
    /// Processors this process may use.
    pub processors: usize,
    /// The system and its architecture.
    pub system: String,
    /// The kernel's clock source, where the system tells.
    pub clock: Option<String>,
    /// The memory allocator under all runtimes.
    pub allocator: &'static str,
}

/// The memory allocator under all runtimes.
pub const ALLOCATOR: &str = if cfg!(feature = "mimalloc") {
    "mimalloc"
} else {
    "the system's allocator"
};

/// The name of the page that is written, without its extension.
pub const PAGE: &str = if cfg!(feature = "mimalloc") {
    "benchmarks-mimalloc"
} else {
    "benchmarks"
};

/// Runs the plan.
///
/// # Errors
///
/// When a runtime cannot be started, or no workload has such a name.
///
/// # Panics
///
/// When a workload comes to a wrong result.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut chapters = chapters();
    if let Some(only) = &plan.only {
        for chapter in &mut chapters {
            chapter.cases.retain(|case| case.name.contains(only));
        }
    }
    let n_cases: usize = chapters.iter().map(|chapter| chapter.cases.len()).sum();
    if n_cases == 0 {
        bail!(
            "no workload's name contains {:?}; `list` names them",
            plan.only.as_deref().unwrap_or_default()
        );
    }
    let peers = PeerKind::ALL
        .iter()
        .map(|kind| {
            AnyPeer::start(*kind, plan.workers)
                .with_context(|| format!("{} does not start", kind.name()))
        })
        .collect::<Result<Vec<_>>>()?;

    let others = match plan.beside {
        Beside::Nobody => None,
        Beside::Everybody => Some(Others::find(plan.workers)),
    };
    let progress = ProgressBar::new((n_cases * (plan.rounds + 1)) as u64).with_style(
        ProgressStyle::with_template("{elapsed} {wide_bar} {pos}/{len} {msg} · {eta} left")?,
    );
    let mut rows = Vec::new();
    for chapter in &chapters {
        for case in &chapter.cases {
            progress.set_message(case.name);
            let others = others.as_ref().map_or(Vec::new(), |all| all.of(case.name));
            let row = Turns::take(case, &peers, &others, plan.rounds, &progress)?.into_row(
                chapter.title,
                case,
                &others,
            );
            progress.suspend(|| eprintln!("{}", row.one_line()));
            rows.push(row);
        }
    }
    progress.finish_and_clear();
    Ok(Report {
        machine: Machine::this(),
        workers: plan.workers,
        rounds: plan.rounds,
        rows,
        memory: Vec::new(),
        counts: Vec::new(),
        quiet: Vec::new(),
        hello: Vec::new(),
    })
}

/// Nanoseconds for an operation, of each round, for each who took part.
struct Turns {
    peers: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
}

impl Turns {
    /// Runs one workload on all runtimes in turns, and then by the others.
    fn take(
        case: &Case,
        peers: &[AnyPeer],
        others: &[Other],
        rounds: usize,
        progress: &ProgressBar,
    ) -> Result<Self> {
        let mut turns = Self {
            peers: vec![Vec::with_capacity(rounds); peers.len()],
            others: vec![Vec::with_capacity(rounds); others.len()],
        };
        for round in 0..=rounds {
            for turn in 0..peers.len() {
                let place = (round + turn) % peers.len();
                let sample = case.run(&peers[place], Scale::Full);
                turns.peers[place].push(sample.nanoseconds());
            }
            for (times, other) in turns.others.iter_mut().zip(others) {
                times.push(other.run()?.nanoseconds());
            }
            progress.inc(1);
        }
        // The first round has warmed up.
        for times in turns.peers.iter_mut().chain(&mut turns.others) {
            times.remove(0);
        }
        Ok(turns)
    }

    fn of(&self, kind: PeerKind) -> &[f64] {
        let place = PeerKind::ALL.iter().position(|other| *other == kind);
        &self.peers[place.expect("all are measured")]
    }

    fn into_row(self, chapter: &'static str, case: &Case, others: &[Other]) -> Row {
        let cells = PeerKind::ALL.iter().map(|kind| Cell {
            peer: kind.name(),
            nanoseconds: Spread::of(self.of(*kind).iter().copied()),
            ratio: (*kind != PeerKind::BASE)
                .then(|| ratio(self.of(*kind), self.of(PeerKind::BASE))),
        });
        let others = others
            .iter()
            .zip(&self.others)
            .map(|(other, times)| OtherCell {
                name: other.name,
                nanoseconds: Spread::of(times.iter().copied()),
                ratio: ratio(self.of(PeerKind::Rt), times),
            });
        Row {
            chapter,
            name: case.name,
            operation: case.operation,
            cells: cells.collect(),
            others: others.collect(),
        }
    }
}

/// Times as multiples of others, round by round.
fn ratio(times: &[f64], of: &[f64]) -> Spread {
    Spread::of(times.iter().zip(of).map(|(own, other)| own / other))
}

impl Row {
    /// The medians, for someone who watches.
    fn one_line(&self) -> String {
        let mut line = format!("{:28}", self.name);
        for cell in &self.cells {
            let median = cell.nanoseconds.median;
            let unit = Unit::for_time(median);
            line += &format!("  {} {:>6} {}", cell.peer, unit.number(median), unit.name);
            if let Some(ratio) = cell.ratio {
                line += &format!(" (× {:.2})", ratio.median);
            }
        }
        for other in &self.others {
            let median = other.nanoseconds.median;
            let unit = Unit::for_time(median);
            line += &format!("  {} {} {}", other.name, unit.number(median), unit.name);
        }
        line
    }
}

impl Report {
    /// For each runtime but the base, the geometric mean of its ratios.
    pub fn geometric_means(&self) -> Vec<(&'static str, f64)> {
        PeerKind::ALL
            .iter()
            .filter_map(|kind| {
                let cells = self.rows.iter().flat_map(|row| &row.cells);
                let ratios = cells
                    .filter(|cell| cell.peer == kind.name())
                    .filter_map(|cell| cell.ratio)
                    .map(|ratio| ratio.median);
                Some((kind.name(), geometric_mean(ratios)?))
            })
            .collect()
    }
}

impl Machine {
    /// The one this runs on.
    #[must_use]
    pub fn this() -> Self {
        Self {
            processor: processor_name(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            clock: first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            allocator: ALLOCATOR,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} processors", self.processors)?;
        if let Some(name) = &self.processor {
            write!(f, " ({name})")?;
        }
        write!(f, ", {}", self.system)?;
        if let Some(clock) = &self.clock {
            write!(f, ", clock {clock}")?;
        }
        write!(f, "; {}", self.allocator)
    }
}

fn processor_name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(str::to_owned)
}
