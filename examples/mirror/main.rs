//! Mirrors a directory tree over HTTP: a real program on the runtime, with real files and sockets.
//!
//! One half serves a tree, the other discovers what there is and brings it over, and either works alone,
//! with other people's servers and clients. It shows how the parts of `rt` are used together: a task group
//! that owns every task, queues between crawlers and fetchers, a semaphore that bounds connections,
//! timeouts with retries, blocking work beside it, hyper on the sockets, and a Ctrl-C that cancels
//! everything, with cleanup, wherever it happens to be.
//!
//! - `cargo run --release --example mirror` mirrors the project's documents into a temporary folder.
//! - `cargo run --release --example mirror -- --help` tells the rest.
//!
//! Its parts have unit tests, which run with `cargo test --test mirror`.

mod arguments;
mod client;
mod content;
mod digest;
mod faults;
mod fetch;
mod links;
mod output;
mod place;
mod problem;
mod server;
mod site;
mod tally;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::Arc;

use rt::BoxError;

use arguments::{Command, HELP, Settings};
use client::Address;
use faults::Faults;
use output::Output;
use problem::Problem;
use server::Server;
use site::Site;
use tally::Tally;

/// How a job that met no problem ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    SomeMissing,
    Interrupted,
}

/// The exit status after a problem that ended everything.
const PROBLEM: u8 = 2;

/// The exit status after Ctrl-C, as shells know it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let parsed = arguments::parse(std::env::args_os().skip(1));
    let ended = parsed
        .map_err(BoxError::from)
        .and_then(|(command, settings)| {
            Ok(match command {
                Command::Help => {
                    print!("{HELP}");
                    Ended::Done
                }
                Command::Demonstrate => demonstrate(settings)?,
                Command::Mirror { from, to } => mirror(&from, &to, settings)?,
                Command::Serve { from, address } => serve(&from, address, &settings)?,
                Command::Fetch { url, to } => fetch(&url, &to, settings)?,
            })
        });
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::SomeMissing) => ExitCode::FAILURE,
        Ok(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("mirror: {error}");
            ExitCode::from(PROBLEM)
        }
    }
}

/// Mirrors the project's own documents and verifies the copy.
fn demonstrate(mut settings: Settings) -> Result<Ended, BoxError> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let to = tempfile::Builder::new().prefix("mirror-").tempdir()?;
    settings.verify = true;
    println!("mirroring {} into {}", from.display(), to.path().display());
    let ended = mirror(&from, to.path(), settings)?;
    to.close()?;
    println!("the copy was temporary and is gone again; give <dir> and <out> to keep one");
    Ok(ended)
}

/// Both halves, joined by connections over the loopback.
fn mirror(from: &Path, to: &Path, settings: Settings) -> Result<Ended, BoxError> {
    let site = Site::open(from)?;
    check_apart(site.root(), to)?;
    let output = Arc::new(Output::open(to)?);
    let tally = Arc::new(Tally::new());
    let faults = Faults::new(settings.faults, settings.seed);
    let server = Arc::new(Server { site, faults });

    let both = {
        let (server, output) = (Arc::clone(&server), Arc::clone(&output));
        let (tally, settings) = (Arc::clone(&tally), settings.clone());
        async move {
            let (listener, local) = server::listen("127.0.0.1:0").await?;
            let serving = rt::spawn(server::serve(listener, server)).cancel_on_drop();
            let address = Address::parse(&format!("http://{local}/"))?;
            fetch::fetch(address, output, tally, settings).await?;
            serving.cancel();
            // It says that it was cancelled, and that all its connections are closed.
            let _ = serving.await;
            Ok(())
        }
    };
    let ended = report(run(&settings, both), &tally)?;
    if server.faults.are_on() {
        println!("faults {}", server.faults);
    }
    for (path, reason) in server.site.left_out() {
        println!("left out {}: {reason}", path.display());
    }
    if settings.verify && ended == Ended::Done {
        let n_equal = verify::compare(&server.site, output.root())?;
        println!("verified {n_equal} files, byte by byte");
    }
    Ok(ended)
}

/// The serving half alone, until Ctrl-C.
fn serve(from: &Path, address: String, settings: &Settings) -> Result<Ended, BoxError> {
    let site = Site::open(from)?;
    let faults = Faults::new(settings.faults, settings.seed);
    let server = Arc::new(Server { site, faults });
    run(settings, async move {
        let (listener, local) = server::listen(&address).await?;
        println!(
            "serving {} at http://{local}/",
            server.site.root().display()
        );
        server::serve(listener, server).await
    })?;
    println!("stopped");
    Ok(Ended::Done)
}

/// The fetching half alone.
fn fetch(url: &str, to: &Path, settings: Settings) -> Result<Ended, BoxError> {
    let address = Address::parse(url)?;
    let output = Arc::new(Output::open(to)?);
    let tally = Arc::new(Tally::new());
    let job = fetch::fetch(
        address,
        Arc::clone(&output),
        Arc::clone(&tally),
        settings.clone(),
    );
    report(run(&settings, job), &tally)
}

/// Runs a job on a runtime of its own, and cancels it at the first Ctrl-C. A second one is not waited out.
///
/// When this returns, the runtime is gone: all tasks have ended, and so has all blocking work.
fn run(
    settings: &Settings,
    job: impl Future<Output = Result<(), BoxError>> + Send + 'static,
) -> Result<Ended, BoxError> {
    let mut builder = rt::Builder::new().name("mirror");
    if let Some(n) = settings.workers {
        builder = builder.workers(n);
    }
    let runtime = builder
        .build()
        .map_err(|error| Problem::with("start", "the runtime", &error))?;
    // Each is listened to before anybody can know that it is time for it.
    let first = rt::signal::ctrl_c();
    let job = runtime.spawn(job);
    let stop = job.cancel_handle();
    runtime.spawn(async move {
        if first.await.is_ok() {
            let second = rt::signal::ctrl_c();
            stop.cancel();
            let _ = second.await;
            process::exit(INTERRUPTED.into());
        }
    });
    match runtime.block_on(job) {
        Ok(result) => result.map(|()| Ended::Done),
        Err(error) if error.is_cancelled() => Ok(Ended::Interrupted),
        Err(error) => Err(error.into()),
    }
}

/// Says what was done and what was not.
fn report(ended: Result<Ended, BoxError>, tally: &Tally) -> Result<Ended, BoxError> {
    tally.finish();
    if ended.is_ok() || tally.has_files() {
        println!("{tally}");
    }
    let ended = ended?;
    if tally.has_failures() {
        eprintln!("mirror: {}", tally.complaint());
    }
    match ended {
        Ended::Interrupted => {
            eprintln!("mirror: interrupted; what is complete stays, and nothing partial is left");
            Ok(ended)
        }
        _ if tally.has_failures() => Ok(Ended::SomeMissing),
        _ => Ok(ended),
    }
}

/// Refuses an output that lies in the input or holds it: the copy would feed on itself.
fn check_apart(from: &Path, to: &Path) -> Result<(), Problem> {
    let to = real_path(to).map_err(|error| Problem::with("write into", to.display(), &error))?;
    if to.starts_with(from) || from.starts_with(&to) {
        let what = format!(
            "cannot mirror {} into {}: one lies in the other",
            from.display(),
            to.display()
        );
        return Err(Problem::new(what, "choose an output somewhere else"));
    }
    Ok(())
}

/// The real path of something that may not be there yet.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or(&path);
    let missing = path.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(there.canonicalize()?.join(missing))
}
