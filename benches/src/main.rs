//! The report command: every workload on every runtime, in turns.
//!
//! Thin on purpose: the arguments and where the output goes. The workloads and the measuring are in the
//! library, where the criterion benches find them too.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use rt_tasks_benches::measure::{self, Beside, Plan};
use rt_tasks_benches::present::Medium;
use rt_tasks_benches::workload::{PeerKind, Scale};
use rt_tasks_benches::workloads::chapters;
use rt_tasks_benches::{
    budget, chart, compare, counts, hello, http, idle, memory, present, present_servers, quiet,
};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// rt measured beside Tokio and smol.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the workloads on all runtimes in turns and prints medians and ratios
    Report(ReportArguments),
    /// Names the workloads
    List,
    /// Measures the memory of sleeping tasks, a child process for each runtime
    Memory(MemoryArguments),
    /// Measures the memory of idle connections, a child process for each runtime
    Idle(IdleArguments),
    /// Measures an HTTP server on rt and on Tokio, with wrk
    Http(HttpArguments),
    /// Counts context switches and processor time of runtimes that have nothing to do
    Quiet(QuietArguments),
    /// Compiles a program that greets with each runtime, and tells its size
    Hello,
    /// Compares another build of this program with this one, on our own runtime alone
    Compare(CompareArguments),
    /// Counts instructions and system calls per operation, with valgrind and strace
    Count,
    /// Fails when an operation takes more instructions or system calls than its budget
    Budget,
    #[command(flatten)]
    Part(Part),
}

/// What child processes do for the others.
#[derive(Debug, Subcommand)]
enum Part {
    /// One runtime's part of `memory`
    #[command(hide = true)]
    MemoryChild {
        #[arg(long)]
        peer: PeerKind,
        #[command(flatten)]
        arguments: MemoryArguments,
    },
    /// One runtime's part of `quiet`
    #[command(hide = true)]
    QuietChild {
        #[arg(long)]
        peer: PeerKind,
        #[command(flatten)]
        arguments: QuietArguments,
    },
    /// One run of `compare`
    #[command(hide = true)]
    TimeChild {
        #[arg(long)]
        workload: String,
        #[arg(long)]
        workers: usize,
    },
    /// One runtime's server for `idle`
    #[command(hide = true)]
    IdleServer {
        #[arg(long)]
        peer: PeerKind,
        #[command(flatten)]
        arguments: IdleArguments,
    },
    /// The client for `idle`
    #[command(hide = true)]
    IdleClient {
        #[arg(long)]
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
    },
    /// One runtime's server for `http`
    #[command(hide = true)]
    HttpServer {
        #[arg(long)]
        peer: PeerKind,
        #[arg(long)]
        workers: usize,
    },
    /// One run of `count`
    #[command(hide = true)]
    CountChild {
        #[arg(long)]
        peer: PeerKind,
        #[arg(long)]
        workload: String,
        #[arg(long)]
        scale: Scale,
        #[arg(long)]
        workers: usize,
        #[arg(long)]
        repetitions: u64,
    },
}

#[derive(Args, Debug)]
struct ReportArguments {
    /// Worker threads for each runtime; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// Rounds that count, after one that warms up
    #[arg(long, default_value_t = 11, value_parser = at_least_one)]
    rounds: usize,
    /// Only workloads whose name contains this
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Also measures memory, quiet runtimes, instructions and a program that greets
    #[arg(long)]
    full: bool,
    /// Only the runtimes, without libraries and other languages
    #[arg(long)]
    alone: bool,
    /// Writes all numbers to this file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Writes benchmarks.md and benchmarks.svg, or, with mimalloc, benchmarks-mimalloc.md and its picture
    #[arg(long)]
    write: bool,
    /// Where `--write` puts them; the repository's docs when left out
    #[arg(long, value_name = "FOLDER", requires = "write")]
    folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct MemoryArguments {
    /// Worker threads for each runtime; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// Tasks to put to sleep
    #[arg(long, default_value_t = MILLION, value_parser = at_least_one)]
    tasks: usize,
}

#[derive(Args, Debug)]
struct IdleArguments {
    /// Worker threads for each runtime; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// Connections to keep
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    connections: usize,
    /// How often each runtime is measured
    #[arg(long, default_value_t = 5, value_parser = at_least_one)]
    rounds: usize,
    /// Writes benchmarks-idle.md to the repository's docs
    #[arg(long)]
    write: bool,
}

#[derive(Args, Debug)]
struct QuietArguments {
    /// Worker threads for each runtime; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// How long to watch each of them
    #[arg(long, default_value_t = QUIET_SECONDS)]
    seconds: u64,
}

#[derive(Args, Debug)]
struct CompareArguments {
    /// The other build
    other: PathBuf,
    /// Workloads by their full names
    #[arg(required = true)]
    only: Vec<String>,
    /// Worker threads; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// How often each build has its turn
    #[arg(long, default_value_t = 11, value_parser = at_least_one)]
    rounds: usize,
}

#[derive(Args, Debug)]
struct HttpArguments {
    /// Worker threads for each server; one for each processor when left out
    #[arg(long, value_parser = at_least_one)]
    workers: Option<usize>,
    /// Rounds; each starts the servers anew
    #[arg(long, default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    /// How long each server is asked in each round
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Connections to keep, one row each
    #[arg(long, value_delimiter = ',', default_value = "1,64,1000", value_parser = at_least_one)]
    connections: Vec<usize>,
    /// Writes benchmarks-http.md to the repository's docs
    #[arg(long)]
    write: bool,
}

const MILLION: usize = 1_000_000;
const QUIET_SECONDS: u64 = 10;

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(n) => Ok(n),
        Err(error) => Err(format!("{error}")),
    }
}

fn workers_or_default(workers: Option<usize>) -> usize {
    workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// Ends the program when a task panics: whoever waits for that task's part in a workload would wait for ever.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::exit(101);
    }));
}

fn main() -> Result<()> {
    end_on_panic();
    match Arguments::parse().command {
        Command::Report(arguments) => report(&arguments),
        Command::List => list(),
        Command::Memory(arguments) => {
            let workers = workers_or_default(arguments.workers);
            let footprints = memory::measure(workers, arguments.tasks)?;
            print(&present::memory(&footprints))
        }
        Command::Idle(arguments) => idle(&arguments),
        Command::Http(arguments) => http(&arguments),
        Command::Quiet(arguments) => {
            let workers = workers_or_default(arguments.workers);
            print(&present::quiet(&quiet::measure(
                workers,
                arguments.seconds,
            )?))
        }
        Command::Hello => print(&present::hello(&hello::measure(&hello_folder())?)),
        Command::Compare(arguments) => {
            let workers = workers_or_default(arguments.workers);
            let CompareArguments { other, only, .. } = &arguments;
            let compared = compare::measure(other, only, workers, arguments.rounds)?;
            print(&present::compared(&compared))
        }
        Command::Count => print(&present::counts(&counts::measure(PeerKind::ALL)?)),
        Command::Budget => {
            let counted = counts::measure(&[PeerKind::Rt])?;
            print(&budget::table(&counted))?;
            budget::check(&counted)
        }
        Command::Part(part) => run_part(part),
    }
}

/// Does a child's part of a measurement.
fn run_part(part: Part) -> Result<()> {
    match part {
        Part::MemoryChild { peer, arguments } => {
            let workers = workers_or_default(arguments.workers);
            let growth = memory::child(peer, workers, arguments.tasks)?;
            print(&serde_json::to_string(&growth)?)
        }
        Part::QuietChild { peer, arguments } => {
            let workers = workers_or_default(arguments.workers);
            let observed = quiet::child(peer, workers, arguments.seconds)?;
            print(&serde_json::to_string(&observed)?)
        }
        Part::TimeChild { workload, workers } => {
            let best = compare::child(&workload, workers)?;
            print(&serde_json::to_string(&best)?)
        }
        Part::IdleServer { peer, arguments } => {
            let workers = workers_or_default(arguments.workers);
            idle::server(peer, workers, arguments.connections)
        }
        Part::IdleClient {
            address,
            connections,
        } => idle::client(address, connections),
        Part::HttpServer { peer, workers } => http::server(peer, workers),
        Part::CountChild {
            peer,
            workload,
            scale,
            workers,
            repetitions,
        } => {
            let done = counts::child(peer, &workload, scale, workers, repetitions)?;
            print(&serde_json::to_string(&done)?)
        }
    }
}

fn report(arguments: &ReportArguments) -> Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("warning: built without optimisation, the numbers mean nothing");
    }
    let plan = Plan {
        workers: workers_or_default(arguments.workers),
        rounds: arguments.rounds,
        only: arguments.only.clone(),
        beside: match arguments.alone {
            true => Beside::Nobody,
            false => Beside::Everybody,
        },
    };
    let mut report = measure::run(&plan)?;
    if arguments.full {
        report.memory = memory::measure(plan.workers, MILLION)?;
        report.quiet = quiet::measure(plan.workers, QUIET_SECONDS)?;
        report.counts = counts::measure(PeerKind::ALL)?;
        report.hello = hello::measure(&hello_folder())?;
    }
    print(&present::for_terminal(&report))?;
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    if arguments.write {
        let folder = arguments.folder.clone().unwrap_or_else(docs);
        let page = folder.join(measure::PAGE);
        write(&page.with_extension("md"), &present::for_docs(&report))?;
        write(&page.with_extension("svg"), &chart::svg(&report)?)?;
    }
    Ok(())
}

fn idle(arguments: &IdleArguments) -> Result<()> {
    let workers = workers_or_default(arguments.workers);
    let footprints = idle::measure(workers, arguments.connections, arguments.rounds)?;
    print(&present_servers::idle_table(&footprints, Medium::Terminal).to_string())?;
    if arguments.write {
        let page = present_servers::idle_page(&footprints, workers, arguments.rounds);
        write(&docs().join("benchmarks-idle.md"), &page)?;
    }
    Ok(())
}

fn http(arguments: &HttpArguments) -> Result<()> {
    if !http::is_possible() {
        return print("SKIPPED: wrk is not installed");
    }
    let plan = http::Plan {
        workers: workers_or_default(arguments.workers),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        connections: arguments.connections.clone(),
    };
    let rows = http::measure(&plan)?;
    print(&present_servers::http_table(&rows, Medium::Terminal).to_string())?;
    if arguments.write {
        write(
            &docs().join("benchmarks-http.md"),
            &present_servers::http_page(&rows, &plan),
        )?;
    }
    Ok(())
}

/// The folder of the repository's documents.
fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn hello_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/benches-hello")
}

fn list() -> Result<()> {
    let mut text = String::new();
    for chapter in chapters() {
        for case in &chapter.cases {
            text += &format!("{:28} {}\n", case.name, case.operation);
        }
    }
    print(&text)
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end())
        .context("cannot write to the standard output")
}

/// Writes a file, and makes its folder where there is none.
fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
