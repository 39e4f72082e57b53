//! The command line, and what each subcommand does.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::client::{Error, Question, ask};
use crate::model::{Deadlocks, Trees};
use crate::{find, model, report, top};

/// What a program that runs on rt is doing, seen from outside.
///
/// The program has to allow it: start it with RT_INSPECT=1 in its environment, or build its runtime with
/// Builder::inspect(true).
#[derive(Parser)]
#[command(name = "rt", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exit status: 0 when all is well, 1 when `rt deadlock` found one, 2 when the question could not be \
answered.\nColours are used on terminals only; NO_COLOR=1 turns them off.";

#[derive(Subcommand)]
enum Command {
    /// Lists the processes that can be inspected, or the tasks of one of them
    Ps {
        /// The process whose tasks are listed
        #[arg(value_name = "PID")]
        id: Option<u32>,
        /// Print what the process answered, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows the tasks of a process as a tree: who spawned whom, and what each waits for
    Tree(Target),
    /// Shows the tasks of a process live, as top(1) does with processes
    Top {
        /// The process
        #[arg(value_name = "PID")]
        id: u32,
        /// Seconds between two looks
        #[arg(long, short, default_value = "1", value_parser = seconds)]
        interval: Duration,
    },
    /// Names the tasks of a process that wait for one another in a circle; the exit status is 1 if there are any
    Deadlock(Target),
}

#[derive(Args)]
struct Target {
    /// The process
    #[arg(value_name = "PID")]
    id: u32,
    /// Print what the process answered, as JSON
    #[arg(long)]
    json: bool,
}

/// A number of seconds, with a fraction, that is long enough to leave the process alone in between.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.1..=3600.0) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err("between 0.1 and 3600 seconds".to_owned()),
        Err(_) => Err("not a number of seconds".to_owned()),
    }
}

/// The status when tasks wait for one another in a circle.
const FOUND: u8 = 1;

/// The status when there is no answer; clap uses it for a wrong command line, too.
const FAILED: u8 = 2;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Ps { id: None, json } => processes(json),
        Command::Ps { id: Some(id), json } => tasks(id, json),
        Command::Tree(target) => tree(&target),
        Command::Top { id, interval } => top::run(id, interval),
        Command::Deadlock(target) => deadlock(&target),
    };
    match done {
        Ok(status) => status,
        // Whoever reads has seen enough: `rt ps 7 | head`.
        Err(Error::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rt: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Print)
}

fn processes(json: bool) -> Result<ExitCode, Error> {
    let found = find::processes();
    match json {
        true => print(&report::json(&found))?,
        false => print(&report::processes(&found))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tasks(id: u32, json: bool) -> Result<ExitCode, Error> {
    let answer = ask(id, Question::Dump)?;
    match json {
        true => print(&answer.line)?,
        false => print(&report::tasks(&answer.read::<model::Dumps>()?))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tree(target: &Target) -> Result<ExitCode, Error> {
    if target.json {
        // As a tree it is nested by lines; the same with its structure is the dump.
        print(&ask(target.id, Question::Dump)?.line)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = ask(target.id, Question::Tree)?;
    print(&report::trees(&answer.read::<Trees>()?))?;
    Ok(ExitCode::SUCCESS)
}

fn deadlock(target: &Target) -> Result<ExitCode, Error> {
    let answer = ask(target.id, Question::Deadlocks)?;
    let deadlocks: Deadlocks = answer.read()?;
    match target.json {
        true => print(&answer.line)?,
        false => print(&report::deadlocks(target.id, &deadlocks))?,
    }
    Ok(match deadlocks.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FOUND),
    })
}
