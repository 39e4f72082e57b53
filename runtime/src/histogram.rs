//! How long things took, counted in buckets whose width grows with the time: written by one thread, read by any.
//!
//! A bucket is a quarter of a power of two, so what is told is at most 25 % too long. Up to 18 minutes are told apart.
//!
//! **Rejected**: the crate `hdrhistogram`. Its histograms are not read while they are written.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::platform::Nanos;

/// Buckets for each power of two, by the two bits behind the first.
const PARTS: usize = 4;

/// The longest power of two that has buckets of its own.
const LAST_POWER: usize = 40;

const N_BUCKETS: usize = LAST_POWER * PARTS;

/// The bucket of a time.
fn bucket(nanos: Nanos) -> usize {
    if nanos < PARTS as u64 {
        return nanos as usize;
    }
    let power = nanos.ilog2() as usize;
    let part = (nanos >> (power - 2)) as usize % PARTS;
    ((power - 1) * PARTS + part).min(N_BUCKETS - 1)
}

/// The longest time of a bucket.
fn longest(bucket: usize) -> Nanos {
    match bucket.checked_sub(PARTS) {
        None => bucket as Nanos,
        Some(above) => {
            let (power, part) = (above / PARTS, above % PARTS);
            (((PARTS + part + 1) as Nanos) << power) - 1
        }
    }
}

/// Counts that one thread at a time writes.
pub(crate) struct Buckets {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Buckets {
    pub(crate) fn new() -> Self {
        Self {
            counts: (0..N_BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a time, that stands for so many. One thread at a time calls it.
    pub(crate) fn add(&self, nanos: Nanos, weight: u64) {
        let add = |to: &AtomicU64, more: u64| {
            let sum = to.load(Ordering::Relaxed).wrapping_add(more);
            to.store(sum, Ordering::Relaxed);
        };
        add(&self.counts[bucket(nanos)], weight);
        add(&self.sum, nanos.saturating_mul(weight));
    }
}

/// How long something took, over all the times that it happened.
///
/// Times are rounded up to one of four for each power of two of nanoseconds. Samples are taken, and each counts for all
/// that happened since the one before; so the numbers are estimates, and what happens seldom may be missing.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// let runtime = rt::Builder::new().build()?;
/// runtime.block_on(async {
///     for _ in 0..20 {
///         rt::spawn(async { std::thread::sleep(Duration::from_millis(1)) }).await.unwrap();
///     }
/// });
/// let polls = runtime.metrics().poll_time;
/// assert!(polls.percentile(50.0) >= Duration::from_millis(1));
/// assert!(polls.percentile(50.0) <= polls.max());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    sum: Nanos,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; N_BUCKETS].into(),
            sum: 0,
        }
    }
}

impl Histogram {
    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, buckets: &Buckets) {
        for (count, more) in self.counts.iter_mut().zip(&buckets.counts) {
            *count = count.wrapping_add(more.load(Ordering::Relaxed));
        }
        self.sum = self.sum.wrapping_add(buckets.sum.load(Ordering::Relaxed));
    }

    /// How often it happened.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All the times together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The time that so many percent of all did not exceed; zero if nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.count() as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64;
        self.at(wanted.max(1))
    }

    /// The longest time.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.at(self.count())
    }

    /// How often it took at most so long, as far as the buckets tell: those that end later are left out.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> u64 {
        let limit = crate::platform::nanos(limit);
        let below = (0..N_BUCKETS).take_while(|bucket| longest(*bucket) <= limit);
        below.map(|bucket| self.counts[bucket]).sum()
    }

    /// How long the one took that comes at this place in the order of their lengths.
    fn at(&self, place: u64) -> Duration {
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            *count > 0 && seen >= place
        });
        Duration::from_nanos(found.map_or(0, longest))
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.percentile(50.0))
            .field("p99", &self.percentile(99.0))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_that_ends_behind_it() {
        let times = (0..4096).chain((3..63).flat_map(|power| {
            let at = 1u64 << power;
            [at - 1, at, at + at / 3]
        }));
        for nanos in times {
            let bucket = bucket(nanos);
            if bucket == N_BUCKETS - 1 {
                continue;
            }
            assert!(nanos <= longest(bucket), "{nanos}");
            assert!(bucket == 0 || nanos > longest(bucket - 1), "{nanos}");
            assert!(longest(bucket) <= nanos + nanos / 4, "{nanos}");
        }
    }

    #[test]
    fn percentiles_weigh_what_samples_stand_for() {
        let buckets = Buckets::new();
        buckets.add(100, 98);
        buckets.add(1_000_000, 2);
        let mut histogram = Histogram::default();
        histogram.merge(&buckets);
        let close = |percent, nanos: u64| {
            let told = histogram.percentile(percent).as_nanos() as u64;
            (nanos..=nanos + nanos / 4).contains(&told)
        };
        assert!(close(50.0, 100) && close(98.0, 100), "{histogram:?}");
        assert!(close(98.1, 1_000_000) && close(100.0, 1_000_000));
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.total(), Duration::from_nanos(2_009_800));
        assert_eq!(histogram.at_most(Duration::from_nanos(128)), 98);
        assert_eq!(Histogram::default().percentile(99.0), Duration::ZERO);
    }
}
