//! Faults on demand: what the serving half does wrong, so that the fetching half can show what it survives.
//!
//! Which answers are spoiled depends on the seed, the path and how often that path was asked for, and on
//! nothing else: a run with the same seed on the same tree spoils the same answers whatever the timing.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How one answer is spoiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It begins late.
    Slow(Duration),
    /// It is `500 Internal Server Error`.
    Refused,
    /// The connection is cut after this part of the content.
    Cut(f64),
    /// One byte of the content is another.
    Corrupted,
}

/// The longest delay of a slow answer.
const SLOWEST: u64 = 400;

/// Decides which answers are spoiled, and counts them.
#[derive(Debug)]
pub(crate) struct Faults {
    percent: u8,
    seed: u64,
    asked: Mutex<HashMap<String, u64>>,
    slow: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    corrupted: AtomicU64,
}

impl Faults {
    pub(crate) fn new(percent: u8, seed: u64) -> Self {
        Faults {
            percent,
            seed,
            asked: Mutex::default(),
            slow: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            corrupted: AtomicU64::new(0),
        }
    }

    /// Decides about the next answer for this path.
    pub(crate) fn next(&self, path: &str) -> Option<Fault> {
        if self.percent == 0 {
            return None;
        }
        let attempt = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = asked.entry(path.to_owned()).or_default();
            *attempt += 1;
            *attempt
        };
        let draw = mix((self.seed, path, attempt));
        if draw % 100 >= u64::from(self.percent) {
            return None;
        }
        let detail = mix(draw);
        let (fault, counter) = match draw / 100 % 4 {
            0 => (
                Fault::Slow(Duration::from_millis(detail % SLOWEST)),
                &self.slow,
            ),
            1 => (Fault::Refused, &self.refused),
            2 => (Fault::Cut((detail % 1000) as f64 / 1000.0), &self.cut),
            _ => (Fault::Corrupted, &self.corrupted),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    /// Whether there are any.
    pub(crate) fn are_on(&self) -> bool {
        self.percent > 0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (slow, refused) = (count(&self.slow), count(&self.refused));
        let (cut, corrupted) = (count(&self.cut), count(&self.corrupted));
        let all = slow + refused + cut + corrupted;
        write!(
            f,
            "{all} ({slow} slow, {refused} refused, {cut} cut, {corrupted} corrupted)"
        )
    }
}

/// A number that looks random and depends on `what` alone.
pub(crate) fn mix(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_spoils_the_same_answers() {
        let draw = |seed| {
            let faults = Faults::new(40, seed);
            let paths = ["/a", "/b", "/a", "/a", "/c", "/b"];
            paths.map(|path| faults.next(path))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_percentage_is_kept() {
        let count = |percent| {
            let faults = Faults::new(percent, 3);
            (0..10_000)
                .filter(|i| faults.next(&i.to_string()).is_some())
                .count()
        };
        assert_eq!(count(0), 0);
        assert!((2_700..3_300).contains(&count(30)), "{}", count(30));
        assert_eq!(count(100), 10_000);
    }

    #[test]
    fn every_kind_occurs_and_is_counted() {
        let faults = Faults::new(100, 1);
        for i in 0..100 {
            faults.next(&i.to_string());
        }
        let text = faults.to_string();
        assert!(
            text.starts_with("100 (") && !text.contains(" 0 ") && !text.contains("(0 "),
            "{text}"
        );
    }
}
