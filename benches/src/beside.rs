//! Who does the same work and is no Rust runtime: libraries for threads, and other languages.
//!
//! A workload that they have too is run by them in the same rounds as by the runtimes. What is written in
//! another language runs as a child process, `benches/go` and `benches/python`, that takes the time itself,
//! checks its results and prints one line of JSON.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workload::{Sample, Scale};

/// One run of a workload.
type Run = Box<dyn Fn() -> Result<Sample>>;

/// Somebody who does the same work as a workload.
pub struct Other {
    /// Who.
    pub name: &'static str,
    run: Run,
}

impl Other {
    /// Does the work once.
    ///
    /// # Errors
    ///
    /// When a child process fails.
    pub fn run(&self) -> Result<Sample> {
        (self.run)().with_context(|| format!("{} failed", self.name))
    }
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// All of them that are here.
#[derive(Debug)]
pub struct Others {
    workers: usize,
    languages: Vec<Language>,
}

impl Others {
    /// Looks which languages are installed; says on the terminal which are not.
    pub fn find(workers: usize) -> Self {
        let mut languages = Vec::new();
        for (name, start) in [("Go", go as fn() -> Result<Language>), ("asyncio", python)] {
            match start() {
                Ok(language) => languages.push(language),
                Err(error) => eprintln!("SKIPPED: {name} ({error:#})"),
            }
        }
        Self { workers, languages }
    }

    /// Those who do the work of this workload.
    pub fn of(&self, workload: &'static str) -> Vec<Other> {
        let mut others = libraries(workload, self.workers);
        for language in &self.languages {
            if language.workloads.iter().any(|name| name == workload) {
                let (language, workers) = (language.clone(), self.workers);
                others.push(Other {
                    name: language.name,
                    run: Box::new(move || language.run(workload, workers)),
                });
            }
        }
        others
    }
}

/// A program with workloads of its own.
#[derive(Clone, Debug)]
struct Language {
    name: &'static str,
    /// How the program is started.
    command: Vec<String>,
    scale: Scale,
    workloads: Vec<String>,
}

/// What the child process tells.
#[derive(Debug, Deserialize)]
struct Told {
    operations: u64,
    nanoseconds: u64,
}

impl Language {
    fn new(name: &'static str, command: Vec<String>, scale: Scale) -> Result<Self> {
        let mut language = Self {
            name,
            command,
            scale,
            workloads: Vec::new(),
        };
        language.workloads = serde_json::from_slice(&language.ask(&["list"])?)?;
        Ok(language)
    }

    fn run(&self, workload: &str, workers: usize) -> Result<Sample> {
        let answer = self.ask(&[workload, self.scale.argument(), &workers.to_string()])?;
        let told: Told = serde_json::from_slice(&answer)?;
        Ok(Sample {
            elapsed: Duration::from_nanos(told.nanoseconds),
            operations: told.operations,
        })
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let [program, fixed @ ..] = &self.command[..] else {
            bail!("no program");
        };
        let output = Command::new(program)
            .args(fixed)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{program} cannot be started"))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{arguments:?}: {}", complaint.trim());
        }
        Ok(output.stdout)
    }
}

/// The Go program, built in the folder for what is built.
fn go() -> Result<Language> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/benches-go");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([program.as_path(), Path::new(".")])
        .current_dir(source)
        .output()
        .context("go is not installed")?;
    if !built.status.success() {
        bail!("{}", String::from_utf8_lossy(&built.stderr).trim());
    }
    let program = program.to_string_lossy().into_owned();
    Language::new("Go", vec![program], Scale::Full)
}

/// The program for asyncio, whose operations take so long that a tenth of them is enough.
fn python() -> Result<Language> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/bench.py");
    let source = source.to_string_lossy().into_owned();
    Language::new("asyncio", vec!["python3".into(), source], Scale::Tenth)
}

/// Libraries that do the work of this workload on threads.
fn libraries(workload: &str, workers: usize) -> Vec<Other> {
    let rayon = |run| Other { name: "rayon", run };
    let crossbeam = |producers, consumers| Other {
        name: "crossbeam-channel, on threads",
        run: Box::new(move || Ok(pump(producers, consumers))),
    };
    match workload {
        "fork_join_fib" => match rayon_fib(workers) {
            Ok(run) => vec![rayon(run)],
            Err(error) => {
                eprintln!("SKIPPED: rayon ({error:#})");
                Vec::new()
            }
        },
        "queue_1_to_1" => vec![crossbeam(1, 1)],
        "queue_4_to_1" => vec![crossbeam(4, 1)],
        "queue_4_to_4" => vec![crossbeam(4, 4)],
        _ => Vec::new(),
    }
}

/// fib(22) with a `join` for each call, as the workload has a task for each.
fn rayon_fib(workers: usize) -> Result<Run> {
    fn fib(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let (left, right) = rayon::join(|| fib(n - 1), || fib(n - 2));
        left + right
    }
    const CALLS: u64 = 57_313;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()?;
    Ok(Box::new(move || {
        let begin = Instant::now();
        assert_eq!(pool.install(|| fib(22)), 17_711);
        Ok(Sample {
            elapsed: begin.elapsed(),
            operations: CALLS,
        })
    }))
}

/// Moves items over a bounded channel, a thread for each end.
fn pump(producers: u64, consumers: u64) -> Sample {
    const CAPACITY: usize = 128;
    let each = Scale::Full.of(400_000) / producers;
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    let begin = Instant::now();
    let sum: u64 = thread::scope(|scope| {
        let getting: Vec<_> = (0..consumers)
            .map(|_| scope.spawn(|| receiver.iter().sum::<u64>()))
            .collect();
        for _ in 0..producers {
            let sender = sender.clone();
            scope.spawn(move || {
                for item in 0..each {
                    sender.send(item).expect("the receivers wait");
                }
            });
        }
        drop(sender);
        let sums = getting.into_iter().map(|thread| thread.join());
        sums.map(|sum| sum.expect("no thread panics")).sum()
    });
    assert_eq!(sum, producers * (each * (each - 1) / 2), "items changed");
    Sample {
        elapsed: begin.elapsed(),
        operations: each * producers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_to_the_right_result() {
        for workload in ["fork_join_fib", "queue_4_to_4"] {
            let others = libraries(workload, 2);
            assert_eq!(others.len(), 1, "{workload}");
            for other in others {
                let sample = other.run().expect("it runs in this process");
                assert!(sample.operations > 0 && !sample.elapsed.is_zero());
            }
        }
    }

    #[test]
    fn a_child_is_read_and_one_that_fails_says_why() {
        let shell = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let told = Language {
            name: "a shell",
            command: shell(r#"echo '{"operations":2,"nanoseconds":30}'"#),
            scale: Scale::Smoke,
            workloads: Vec::new(),
        };
        let sample = told.run("anything", 1).expect("it is well-formed");
        assert!((sample.nanoseconds() - 15.0).abs() < 1e-9);
        let fails = Language {
            command: shell("echo broken >&2; exit 3"),
            ..told
        };
        let error = fails.run("anything", 1).expect_err("it exits with 3");
        assert!(error.to_string().contains("broken"), "{error}");
    }

    #[test]
    fn what_another_language_measures_is_a_workload_of_ours() {
        let names: Vec<_> = crate::workloads::chapters()
            .iter()
            .flat_map(|chapter| &chapter.cases)
            .map(|case| case.name)
            .collect();
        for language in Others::find(2).languages {
            for workload in &language.workloads {
                assert!(names.contains(&workload.as_str()), "{workload}");
            }
            let mut quick = language.clone();
            quick.scale = Scale::Smoke;
            let sample = quick.run("yield_many", 2).expect("it has that one");
            assert_eq!(sample.operations, 200 * 10);
        }
    }
}
