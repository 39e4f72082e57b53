//! Numbers about a runtime, put together when somebody asks.

use crate::histogram::Histogram;
use crate::runtime::Handle;

/// Numbers about a runtime, as of one moment. Each is counted per worker, so that counting costs no shared line.
///
/// The histograms are of samples: each worker measures a poll at most every 200 µs, and the next wake-up of the task that
/// it polled. With a clock that stands still nothing is measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// Workers it was built with.
    pub n_workers: usize,
    /// Tasks that were ever spawned.
    pub n_spawned: u64,
    /// Tasks that are not through.
    pub n_live: u64,
    /// Polls of tasks.
    pub n_polls: u64,
    /// The same by worker; the spare ones that were ever needed come after the others.
    pub workers: Vec<WorkerMetrics>,
    /// Tasks in the queue for those from outside.
    pub n_injected: usize,
    /// How often work was found waiting behind a poll that took long.
    pub n_rescues: u32,
    /// Threads that work at present in the place of workers that are blocked.
    pub n_spares: usize,
    /// Blocking jobs that run or wait.
    pub n_blocking: usize,
    /// Of those, the ones that wait for a thread.
    pub n_blocking_queued: usize,
    /// Threads for blocking jobs, busy or not.
    pub n_blocking_threads: usize,
    /// How long polls of tasks took.
    pub poll_time: Histogram,
    /// How long tasks stood in a queue: from being woken, or from a `yield_now`, to the poll that followed. What passes
    /// from a spawn to the first poll is not counted.
    pub schedule_latency: Histogram,
}

/// Numbers about one worker, or about the guests of `block_on` that worked in its place.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Polls of tasks.
    pub n_polls: u64,
    /// Tasks that were spawned there.
    pub n_spawned: u64,
    /// Tasks that ended there.
    pub n_ended: u64,
}

impl Handle {
    /// Numbers about the runtime.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let n_ended = self.shared.n_ended();
        let (poll_time, schedule_latency) = self.shared.times();
        Metrics {
            n_workers: self.shared.seats.homes().len(),
            n_spawned: self.shared.n_spawned(),
            n_live: self.shared.n_spawned().saturating_sub(n_ended),
            n_polls: self.shared.n_polls(),
            workers: self.shared.worker_metrics(),
            n_injected: self.shared.n_injected(),
            n_rescues: self.shared.n_rescues(),
            n_spares: self.shared.n_spares(),
            n_blocking: self.shared.blocking.n_jobs(),
            n_blocking_queued: self.shared.blocking.n_queued(),
            n_blocking_threads: self.shared.blocking.n_threads(),
            poll_time,
            schedule_latency,
        }
    }
}
