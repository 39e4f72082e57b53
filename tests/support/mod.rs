//! What the contract tests share: runtimes of every size, a log, and a guard against tests that hang.
#![allow(dead_code)] // Each test file uses its part of it.

pub(crate) mod blame;
pub(crate) mod program;

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use rt::{Builder, Runtime};

/// Numbers of workers that tests run with; zero is the current-thread runtime.
pub(crate) const SIZES: [usize; 4] = [0, 1, 2, 8];

/// How long a test may take until it counts as hung. Only ever waited for by a test that fails.
const HUNG: Duration = Duration::from_secs(60);

/// A builder for `n_workers`, where zero stands for the current-thread runtime.
pub(crate) fn builder(n_workers: usize) -> Builder {
    match n_workers {
        0 => Builder::current_thread(),
        n => Builder::new().workers(n),
    }
}

/// Runs a test once with a builder of each size.
pub(crate) fn each_builder(test: impl Fn(Builder) + Send + Sync + 'static) {
    let test = Arc::new(test);
    for n_workers in SIZES {
        let test = Arc::clone(&test);
        must_end(&format!("with {n_workers} worker(s)"), move || {
            test(builder(n_workers))
        });
    }
}

/// Runs a test once on a runtime of each size.
pub(crate) fn each_size(test: impl Fn(&Runtime) + Send + Sync + 'static) {
    each_builder(move |builder| test(&builder.build().unwrap()));
}

/// Runs a test once on a runtime of each size, with a clock that jumps.
pub(crate) fn each_size_virtual(test: impl Fn(&Runtime) + Send + Sync + 'static) {
    each_builder(move |builder| test(&builder.virtual_time(true).build().unwrap()));
}

/// Runs a future once on a runtime of each size, with a clock that jumps.
pub(crate) fn each_body<F: Future<Output = ()>>(body: impl Fn() -> F + Send + Sync + 'static) {
    each_size_virtual(move |runtime| runtime.block_on(body()));
}

/// Runs a future on the one runtime whose order is exact: one thread, a clock that jumps.
pub(crate) fn exact<T: Send + 'static>(body: impl Future<Output = T> + Send + 'static) -> T {
    must_end("on one thread", || {
        let runtime = Builder::current_thread()
            .virtual_time(true)
            .build()
            .unwrap();
        runtime.block_on(body)
    })
}

/// Runs `test` on a thread of its own and fails, instead of hanging, when it does not end.
#[track_caller]
pub(crate) fn must_end<T: Send + 'static>(
    what: &str,
    test: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (ended, end) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ended: mpsc::Sender<()> = ended;
        test()
    });
    let hung = end.recv_timeout(HUNG) == Err(mpsc::RecvTimeoutError::Timeout);
    assert!(!hung, "the test hangs {what}");
    match thread.join() {
        Ok(value) => value,
        Err(panic) => {
            eprintln!("failed {what}");
            resume_unwind(panic)
        }
    }
}

/// Lines that tasks wrote, in their order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A value that writes `line` when it is dropped.
    pub(crate) fn on_drop(&self, line: &str) -> impl Drop + Send + use<> {
        SaysOnDrop(self.clone(), line.to_owned())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().fmt(f)
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Log {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.lines() == other
    }
}

struct SaysOnDrop(Log, String);

impl Drop for SaysOnDrop {
    fn drop(&mut self) {
        self.0.say(std::mem::take(&mut self.1));
    }
}

/// Something that is set once and looked at later.
#[derive(Clone, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn raise(&self) {
        self.0.store(true, SeqCst);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// Blocks the thread until it is up.
    pub(crate) fn wait(&self) {
        while !self.is_up() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Yields until it is up.
    pub(crate) async fn up(&self) {
        while !self.is_up() {
            rt::yield_now().await;
        }
    }
}

/// A number that everybody may add to.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// A value that is counted when it is dropped.
    pub(crate) fn on_drop(&self) -> Counted {
        Counted(self.clone())
    }
}

/// Adds one to its count when it is dropped.
pub(crate) struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Panics when it is dropped, unless the thread panics already.
pub(crate) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("the bomb went off");
        }
    }
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future once, with a waker of one's own.
pub(crate) fn poll_with<F: Future + Unpin>(
    future: &mut F,
    wake: Arc<impl Wake + Send + Sync + 'static>,
) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(wake)))
}

/// Spawns on every path that a task can take and expects an answer: the runtime is well.
#[track_caller]
pub(crate) fn assert_well(runtime: &Runtime) {
    let sum = runtime.block_on(async {
        let tasks: Vec<_> = (0..20u64)
            .map(|i| {
                rt::spawn(async move {
                    rt::yield_now().await;
                    rt::sleep(Duration::from_millis(1)).await;
                    i
                })
            })
            .collect();
        let blocking = rt::spawn_blocking(|| 10);
        let mut sum = blocking.await.unwrap();
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 200);
}

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}
