//! Running a test in many orders, each drawn from a seed that can be given again.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::Builder;

/// The variable that names the one seed to run with.
const SEED_VARIABLE: &str = "RT_CHAOS_SEED";

/// Runs a test again and again, each time in another order of what may happen in any.
///
/// Each run has a runtime of its own, built with [`Builder::chaos`] and a seed: the same seed gives the same run.
/// When a run panics, its seed is printed; `RT_CHAOS_SEED=<seed>` in the environment then runs that one alone.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// # use std::sync::Arc;
/// rt::test::Chaos::new().runs(20).workers(3).run(|| async {
///     let count = Arc::new(AtomicU32::new(0));
///     let tasks: Vec<_> = (0..4)
///         .map(|_| {
///             let count = count.clone();
///             rt::spawn(async move {
///                 rt::yield_now().await;
///                 count.fetch_add(1, Relaxed);
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(count.load(Relaxed), 4);
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it runs a test"]
pub struct Chaos {
    n_runs: u64,
    n_workers: usize,
    first_seed: u64,
}

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

impl Chaos {
    /// A hundred runs, three workers, the first seed is one.
    pub fn new() -> Self {
        Self {
            n_runs: 100,
            n_workers: 3,
            first_seed: 1,
        }
    }

    /// So many runs.
    pub fn runs(mut self, n_runs: u64) -> Self {
        self.n_runs = n_runs;
        self
    }

    /// So many workers.
    pub fn workers(mut self, n_workers: usize) -> Self {
        self.n_workers = n_workers;
        self
    }

    /// The seed of the first run; the others count up from it.
    pub fn first_seed(mut self, seed: u64) -> Self {
        self.first_seed = seed;
        self
    }

    /// Runs `test` until it panics or has run often enough.
    ///
    /// # Panics
    ///
    /// With the panic of the first run that fails, after its seed was printed; if `RT_CHAOS_SEED` is set and no
    /// number; if the system gives no thread.
    pub fn run<F: Future>(&self, test: impl Fn() -> F) {
        let seeds = match std::env::var(SEED_VARIABLE) {
            Err(_) => self.first_seed..self.first_seed.saturating_add(self.n_runs),
            Ok(text) => {
                let Ok(seed) = text.parse::<u64>() else {
                    panic!("{SEED_VARIABLE} is to be a seed that a test printed, not {text:?}");
                };
                seed..seed.saturating_add(1)
            }
        };
        for seed in seeds {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                let runtime = Builder::new()
                    .workers(self.n_workers)
                    .chaos(seed)
                    .build()
                    .expect("a runtime for a run");
                runtime.block_on(test());
            }));
            if let Err(payload) = ran {
                eprintln!("failed with seed {seed}; again: {SEED_VARIABLE}={seed}");
                resume_unwind(payload);
            }
        }
    }
}
