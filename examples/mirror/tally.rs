//! What has been done so far: shared by all tasks, shown as a bar while it runs and as a summary at its end.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How many files are named when some could not be mirrored.
const NAMED: usize = 20;

/// How a file was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// Its SHA-256 is what the server said.
    Digest,
    /// It is as long as the server said.
    Length,
    /// The server said nothing about it.
    None,
}

/// Counts and failures.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    bar: ProgressBar,
    n_directories: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    by_digest: AtomicU64,
    by_length: AtomicU64,
    unchecked: AtomicU64,
    failures: Mutex<BTreeMap<String, String>>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let style = "{bar:30} {pos}/{len} files  {elapsed}  {msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well formed");
        Tally {
            began: Instant::now(),
            bar: ProgressBar::new(0).with_style(style),
            n_directories: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            by_digest: AtomicU64::new(0),
            by_length: AtomicU64::new(0),
            unchecked: AtomicU64::new(0),
            failures: Mutex::default(),
        }
    }

    pub(crate) fn discovered_file(&self) {
        self.bar.inc_length(1);
    }

    pub(crate) fn listed_directory(&self) {
        self.n_directories.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tries_again(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn mirrored_file(&self, length: u64, check: Check) {
        let counter = match check {
            Check::Digest => &self.by_digest,
            Check::Length => &self.by_length,
            Check::None => &self.unchecked,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        self.bar.set_message(HumanBytes(bytes).to_string());
        self.bar.inc(1);
    }

    /// Notes something that could not be mirrored.
    pub(crate) fn failed(&self, what: impl Into<String>, why: impl Into<String>) {
        self.failures().insert(what.into(), why.into());
    }

    /// Whether something could not be mirrored.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failures().is_empty()
    }

    /// Whether anything was mirrored.
    pub(crate) fn has_files(&self) -> bool {
        self.bar.position() > 0
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The files that could not be mirrored, one on a line; the first of them when they are many.
    pub(crate) fn complaint(&self) -> String {
        let failures = self.failures();
        let mut text = String::new();
        for (what, why) in failures.iter().take(NAMED) {
            let _ = writeln!(text, "  {what}: {why}");
        }
        if failures.len() > NAMED {
            let _ = writeln!(text, "  and {} more", failures.len() - NAMED);
        }
        format!("{} not mirrored:\n{}", failures.len(), text.trim_end())
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The summary.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (by_digest, by_length) = (count(&self.by_digest), count(&self.by_length));
        let unchecked = count(&self.unchecked);
        let (bytes, elapsed) = (count(&self.bytes), self.began.elapsed());
        writeln!(
            f,
            "mirrored {} files in {} directories: {} in {:.2} s ({:.1} MB/s)",
            by_digest + by_length + unchecked,
            count(&self.n_directories),
            HumanBytes(bytes),
            elapsed.as_secs_f64(),
            megabytes_per_second(bytes, elapsed),
        )?;
        write!(f, "checked {by_digest} by SHA-256")?;
        if by_length > 0 {
            write!(
                f,
                ", {by_length} by length alone (the server sends no digest)"
            )?;
        }
        if unchecked > 0 {
            write!(f, ", {unchecked} not at all (the server sends no length)")?;
        }
        write!(f, "; {} retries", count(&self.retries))
    }
}

fn megabytes_per_second(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-9)
}
