//! Programs of tutorials: run with a log, and compared with what the tutorial prints and how long it takes.

use std::fmt::{self, Debug};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rt::Instant;

use super::{Log, each_size_virtual, exact};

/// What came of one run of a program.
pub(crate) struct Run<T> {
    /// What it printed.
    pub(crate) log: Log,
    /// What it returned.
    pub(crate) value: T,
    /// How long it took, on the clock that jumps.
    pub(crate) took: Duration,
}

/// Runs a program on the one runtime whose order is exact.
pub(crate) fn run_exact<T, F>(program: impl FnOnce(Log) -> F + Send + 'static) -> Run<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let log = Log::default();
    let (value, took) = exact(timed(program, log.clone()));
    Run { log, value, took }
}

/// Runs a program once on a runtime of each size, with a clock that jumps, and has each run checked.
pub(crate) fn run_each<T, F>(
    program: impl Fn(Log) -> F + Send + Sync + 'static,
    check: impl Fn(Run<T>) + Send + Sync + 'static,
) where
    F: Future<Output = T>,
{
    each_size_virtual(move |runtime| {
        let log = Log::default();
        let (value, took) = runtime.block_on(timed(&program, log.clone()));
        check(Run { log, value, took });
    });
}

/// Runs a program and tells how long it took on the clock of the runtime.
async fn timed<F: Future>(program: impl FnOnce(Log) -> F, log: Log) -> (F::Output, Duration) {
    let start = Instant::now();
    let value = program(log).await;
    (value, start.elapsed())
}

impl Log {
    /// The lines, sorted, for programs whose tasks run side by side.
    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.sort();
        lines
    }

    /// Where a line stands.
    #[track_caller]
    pub(crate) fn place(&self, line: &str) -> usize {
        let place = self.lines().iter().position(|other| other == line);
        place.unwrap_or_else(|| panic!("{line:?} was not logged: {self:?}"))
    }

    /// Fails unless `before` was logged earlier than `after`.
    #[track_caller]
    pub(crate) fn assert_before(&self, before: &str, after: &str) {
        let (first, second) = (self.place(before), self.place(after));
        assert!(first < second, "{before:?} came after {after:?}: {self:?}");
    }
}

/// Seconds.
pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sleeps `delay` and gives `value`.
pub(crate) async fn after<T>(delay: Duration, value: T) -> T {
    rt::sleep(delay).await;
    value
}

/// A span on the real clock, and how late a plain thread that sleeps a little, again and again, was meanwhile: so long
/// the machine was busy with something else.
pub(crate) struct Stopwatch {
    began: std::time::Instant,
    is_over: Arc<AtomicBool>,
    sleeper: JoinHandle<Duration>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        const NAP: Duration = Duration::from_millis(5);
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = is_over.clone();
        let sleeper = thread::spawn(move || {
            let mut late = Duration::ZERO;
            while !stop.load(SeqCst) {
                let began = std::time::Instant::now();
                thread::sleep(NAP);
                late += began.elapsed() - NAP;
            }
            late
        });
        Self {
            began: std::time::Instant::now(),
            is_over,
            sleeper,
        }
    }

    /// Fails unless the span was about as long as expected. On a machine at rest the bound tells one time from three in
    /// a row.
    #[track_caller]
    pub(crate) fn assert_took(self, expected: Duration) {
        let took = self.began.elapsed();
        let late = self.stop();
        let most = expected * 2 + Duration::from_millis(150) + late;
        assert!(
            took >= expected && took < most,
            "{took:?}, not {expected:?}; a plain thread was {late:?} late"
        );
    }

    /// Ends the span, and tells how late the plain thread was in it.
    pub(crate) fn stop(self) -> Duration {
        self.is_over.store(true, SeqCst);
        self.sleeper.join().unwrap()
    }
}

/// Fails unless there was an error whose text is this.
#[track_caller]
pub(crate) fn assert_error<T: Debug, E: ToString>(result: Result<T, E>, text: &str) {
    assert_eq!(result.map_err(|error| error.to_string()).unwrap_err(), text);
}

/// The error that the tutorials raise.
#[derive(Clone, Debug)]
pub(crate) struct ValueError(pub(crate) &'static str);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ValueError {}
