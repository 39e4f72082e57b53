//! Processes of this same program that do one side of a measurement, so that neither side's memory, threads or
//! allocator is the other's.
//!
//! Parent and child speak by lines: the child writes what it has to tell to its standard output, one value of JSON in
//! each line, and ends when its standard input does. So no child outlives a parent that was killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A child, from its start until this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    told: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program with other arguments.
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = process.stdout.take().context("it is a pipe")?;
        let told = BufReader::new(told);
        Ok(Self { process, told })
    }

    /// Waits for the next thing it has to tell.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.told.read_line(&mut line)? == 0 {
            bail!(
                "a process of the measurement failed: {}",
                self.process.wait()?
            );
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It has nothing else to wait for.
        let _ = self.process.wait();
    }
}

/// Tells the parent something.
pub(crate) fn tell(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(value)?)?;
    Ok(out.flush()?)
}

/// Waits until the parent wants no more.
pub(crate) fn until_dismissed() -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
