//! What does a program that greets cost, to compile and on the disk?
//!
//! A package of one task that prints a line is made for each runtime and compiled with all that it needs, from
//! nothing, with the release profile as Cargo makes it. The crates come from Cargo's cache, and each time is
//! that of one compilation: it depends on the machine and what else it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::workload::PeerKind;

/// What a program that greets costs.
#[derive(Debug, Serialize)]
pub struct Hello {
    /// The runtime.
    pub peer: &'static str,
    /// Crates that were compiled for it, its own included.
    pub crates: usize,
    /// Seconds to compile them.
    pub seconds: f64,
    /// Size of the program in bytes.
    pub bytes: u64,
    /// The same without symbols, where `strip` is installed.
    pub stripped: Option<u64>,
}

struct Package {
    dependency: &'static str,
    program: &'static str,
}

fn package(kind: PeerKind) -> Package {
    match kind {
        PeerKind::Rt => Package {
            dependency: concat!(
                "rt-tasks = { path = \"",
                env!("CARGO_MANIFEST_DIR"),
                "/..\" }"
            ),
            program: "#[rt::main]\nasync fn main() {\n    \
                rt::spawn(async { println!(\"hello\") }).await.unwrap();\n}\n",
        },
        PeerKind::Tokio => Package {
            dependency: "tokio = { version = \"1\", features = \
                [\"rt-multi-thread\", \"macros\", \"net\", \"fs\", \"process\", \"signal\", \"sync\", \"time\", \"io-util\"] }",
            program: "#[tokio::main]\nasync fn main() {\n    \
                tokio::spawn(async { println!(\"hello\") }).await.unwrap();\n}\n",
        },
        PeerKind::Smol => Package {
            dependency: "smol = \"2\"",
            program: "fn main() {\n    \
                smol::block_on(smol::spawn(async { println!(\"hello\") }));\n}\n",
        },
    }
}

/// Compiles a program that greets for each runtime, below `folder`, which is emptied first.
///
/// # Errors
///
/// When one cannot be written or compiled, or does not greet.
pub fn measure(folder: &Path) -> Result<Vec<Hello>> {
    PeerKind::ALL
        .iter()
        .map(|kind| {
            eprintln!("compiling a program that greets with {}", kind.name());
            let folder = folder.join(kind.argument());
            one(*kind, &folder).with_context(|| format!("a program for {}", kind.name()))
        })
        .collect()
}

fn one(kind: PeerKind, folder: &Path) -> Result<Hello> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder.join("src"))?;
    let package = package(kind);
    let manifest = format!(
        "[package]\nname = \"hello\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\n[workspace]\n",
        package.dependency
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/main.rs"), package.program)?;
    // The versions that everything else here is measured with, as far as they are needed.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock"))?;
    cargo(folder, "fetch")?;

    let begin = Instant::now();
    let log = cargo(folder, "build")?;
    let seconds = begin.elapsed().as_secs_f64();
    let crates = log
        .lines()
        .filter(|line| line.contains("Compiling "))
        .count();
    let program = folder.join("target/release/hello");
    let greeting = Command::new(&program).output()?;
    if greeting.stdout != b"hello\n" {
        bail!("it says {:?}", String::from_utf8_lossy(&greeting.stdout));
    }
    Ok(Hello {
        peer: kind.name(),
        crates,
        seconds,
        bytes: fs::metadata(&program)?.len(),
        stripped: stripped(&program)?,
    })
}

/// Runs Cargo in a folder, apart from how this program was built, and gives what it says.
fn cargo(folder: &Path, subcommand: &str) -> Result<String> {
    let mut command = Command::new("cargo");
    command
        .arg(subcommand)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS");
    if subcommand == "build" {
        command.args(["--release", "--offline"]);
    }
    let output = command.output().context("cargo cannot be started")?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("cargo {subcommand}: {}", log.trim());
    }
    Ok(log)
}

/// The size of a copy without symbols; `None` where there is no `strip`.
fn stripped(program: &Path) -> Result<Option<u64>> {
    let copy: PathBuf = program.with_extension("stripped");
    let strip = Command::new("strip")
        .arg("-o")
        .args([&copy, program])
        .status();
    match strip {
        Ok(status) if status.success() => Ok(Some(fs::metadata(copy)?.len())),
        _ => Ok(None),
    }
}
