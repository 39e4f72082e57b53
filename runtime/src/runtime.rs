//! Building, entering and ending a runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::context;
use crate::dump::Dump;
use crate::inspect;
use crate::interrupt;
use crate::metrics::Metrics;
use crate::platform::Platform;
use crate::scheduler::{self, Shared, ShutdownReport};
use crate::spawn::{Spec, Work, spawn_on, spawn_work_on};
use crate::task::{JoinHandle, Plain};
use crate::unhandled::Unhandled;

type Hook = Arc<dyn Fn() + Send + Sync>;
type Handler = Arc<dyn Fn(&Unhandled) + Send + Sync>;

/// What a runtime was built with.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) current_thread: bool,
    pub(crate) name: Arc<str>,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_keep_alive: Duration,
    pub(crate) grace: Duration,
    pub(crate) debug: bool,
    pub(crate) slow_poll: Duration,
    pub(crate) virtual_time: bool,
    pub(crate) report_deadlocks: bool,
    pub(crate) inspect: bool,
    /// Events that the flight recorder keeps for each worker.
    pub(crate) n_events: usize,
    /// Where the trace goes when the runtime ends.
    pub(crate) trace_file: Option<PathBuf>,
    chaos: Option<u64>,
    #[cfg_attr(not(all(unix, feature = "signal")), expect(dead_code))]
    pub(crate) cancel_on_ctrl_c: bool,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_unhandled: Option<Handler>,
    on_thread_start: Option<Hook>,
    on_thread_stop: Option<Hook>,
}

impl Config {
    /// The world as this runtime is to see it.
    pub(crate) fn platform(&self) -> Platform {
        match self.chaos {
            Some(seed) => Platform::chaos(seed),
            None => Platform::new(self.virtual_time),
        }
    }

    /// A thread of the runtime, named after it.
    pub(crate) fn thread(&self, role: &str) -> std::thread::Builder {
        let builder = std::thread::Builder::new().name(format!("{}-{role}", self.name));
        match self.stack_size {
            Some(size) => builder.stack_size(size),
            None => builder,
        }
    }

    pub(crate) fn thread_started(&self) {
        crate::sys::set_timer_slack();
        if let Some(hook) = &self.on_thread_start {
            crate::task::ignore_panic(|| hook());
        }
    }

    pub(crate) fn thread_stopped(&self) {
        if let Some(hook) = &self.on_thread_stop {
            crate::task::ignore_panic(|| hook());
        }
    }

    /// Tells the owner what nobody else would hear of. A panic of the handler harms nobody.
    pub(crate) fn report(&self, unhandled: Unhandled) {
        let told = self.on_unhandled.as_ref().is_some_and(|handler| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handler(&unhandled)))
                .map_err(std::mem::forget)
                .is_ok()
        });
        if !told {
            unhandled.print();
        }
    }
}

/// Says how a runtime is to be, and builds it.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let runtime = rt::Builder::new().workers(2).name("svc").build()?;
/// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    pub(crate) config: Config,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A runtime with one worker per core: the cores this process may use, by its affinity and cgroup.
    pub fn new() -> Self {
        Self {
            config: Config {
                workers: num_cpus::get().max(1),
                current_thread: false,
                name: Arc::from("rt"),
                blocking_threads: 512,
                blocking_keep_alive: Duration::from_secs(10),
                grace: crate::DEFAULT_GRACE,
                debug: std::env::var_os("RT_DEBUG").is_some_and(|value| value == "1"),
                slow_poll: Duration::from_millis(100),
                virtual_time: false,
                report_deadlocks: true,
                inspect: inspect::is_wanted(),
                n_events: 0,
                trace_file: None,
                chaos: None,
                cancel_on_ctrl_c: false,
                stack_size: None,
                on_unhandled: None,
                on_thread_start: None,
                on_thread_stop: None,
            },
        }
    }

    /// A runtime on the thread that calls `block_on`, and on no other. It can run tasks that are not `Send`.
    pub fn current_thread() -> Self {
        let mut builder = Self::new();
        builder.config.current_thread = true;
        builder.config.workers = 1;
        builder
    }

    /// So many workers.
    ///
    /// # Panics
    ///
    /// If it is zero, or more than one on a current-thread runtime.
    #[track_caller]
    pub fn workers(mut self, n_workers: usize) -> Self {
        assert!(n_workers > 0, "a runtime needs at least one worker");
        assert!(
            n_workers == 1 || !self.config.current_thread,
            "a current-thread runtime has one worker, not {n_workers}"
        );
        self.config.workers = n_workers;
        self
    }

    /// The name that its threads' names begin with.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// At most so many threads for `spawn_blocking`; 512 by default. Jobs beyond wait in line.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn blocking_threads(mut self, max: usize) -> Self {
        assert!(max > 0, "a runtime needs at least one blocking thread");
        self.config.blocking_threads = max;
        self
    }

    /// How long an idle blocking thread is kept; 10 seconds by default.
    pub fn blocking_keep_alive(mut self, duration: Duration) -> Self {
        self.config.blocking_keep_alive = duration;
        self
    }

    /// How long cleanup may take after a cancellation, and everything when the runtime is dropped; 10 seconds
    /// by default. What takes longer is dropped and reported.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// Debug mode; also turned on by `RT_DEBUG=1` in the environment. It tells of mistakes that nobody notices: polls
    /// that take long, while they do, with the stack of their thread (on Linux); errors and panics of tasks whose
    /// handle was dropped; tasks that wait for a lock or permits which they have themselves; tasks that were cancelled a
    /// second ago and go on, and those that are left when the runtime ends. The reports go to
    /// [`on_unhandled`](Self::on_unhandled), or where it says.
    ///
    /// It also measures how long tasks are busy, see [`TaskInfo::busy`](crate::TaskInfo::busy). A stack is had by
    /// interrupting its thread with the signal `SIGURG`; a program that handles that signal gets none.
    pub fn debug(mut self, debug: bool) -> Self {
        self.config.debug = debug;
        self
    }

    /// What debug mode is to report as a slow poll; 100 ms by default.
    pub fn slow_poll(mut self, limit: Duration) -> Self {
        self.config.slow_poll = limit;
        self
    }

    /// A clock that stands still while anything can run and jumps to the next deadline when nothing can.
    pub fn virtual_time(mut self, virtual_time: bool) -> Self {
        self.config.virtual_time = virtual_time;
        self
    }

    /// Lets `seed` decide what a runtime leaves open: which thread goes on, which task is next, who steals, when a
    /// leaf operation yields, which task is polled for no reason. One thread runs at a time, and time is
    /// virtual, so the same seed gives the same run; see [`test::Chaos`](crate::test::Chaos).
    ///
    /// A program must be right in any order. This is for finding out, and slow. Threads that the runtime does not
    /// own (blocking jobs, sockets' peers, other runtimes) go on as they like, and what they do is not repeated.
    /// A task that blocks its thread until another task has done something hangs it, unless it waits by
    /// [`block_on`](crate::block_on) or in [`block_in_place`](crate::block_in_place).
    pub fn chaos(mut self, seed: u64) -> Self {
        self.config.chaos = Some(seed);
        self
    }

    /// Calls `handler` for errors and panics that have nobody to go to, and for what debug mode finds, instead of
    /// telling `tracing` (with the feature of that name and a subscriber) or the standard error output.
    pub fn on_unhandled(mut self, handler: impl Fn(&Unhandled) + Send + Sync + 'static) -> Self {
        self.config.on_unhandled = Some(Arc::new(handler));
        self
    }

    /// Calls `hook` on each thread of the runtime when it starts.
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_start = Some(Arc::new(hook));
        self
    }

    /// Calls `hook` on each thread of the runtime before it ends.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.config.on_thread_stop = Some(Arc::new(hook));
        self
    }

    /// Stack size of its threads, in bytes.
    pub fn stack_size(mut self, n_bytes: usize) -> Self {
        self.config.stack_size = Some(n_bytes);
        self
    }

    /// Builds the runtime. Threads are started when there is work for them.
    ///
    /// # Errors
    ///
    /// If the system gives no thread at all.
    pub fn build(self) -> io::Result<Runtime> {
        let shared = Shared::new(self.config);
        inspect::begin(&shared);
        Ok(Runtime {
            handle: Handle { shared },
            is_shut_down: false,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.config.workers)
            .field("current_thread", &self.config.current_thread)
            .field("name", &self.config.name)
            .field("debug", &self.config.debug)
            .field("slow_poll", &self.config.slow_poll)
            .finish_non_exhaustive()
    }
}

/// A runtime. Dropping it is a shutdown with the builder's grace; inside a task of its own, which has to end
/// first, that goes on in the background.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let runtime = rt::Builder::new().build()?;
/// let task = runtime.spawn(async { 7 });
/// assert_eq!(runtime.block_on(task).unwrap(), 7);
/// assert!(runtime.shutdown(std::time::Duration::from_secs(1)).is_clean());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Runtime {
    handle: Handle,
    is_shut_down: bool,
}

impl Runtime {
    /// Runs a future on this thread, which works for the runtime until the future is ready.
    ///
    /// It may be called anywhere, also inside a task: then it helps to run tasks while it waits.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        interrupt::block_on(&self.handle, future)
    }

    /// Spawns a task; see [`spawn`](crate::spawn()).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a blocking function on a thread of its own; see [`spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn_blocking(function)
    }

    /// What can be cloned and given to others.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Numbers about the runtime.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// A picture of every task and what it waits for; see [`dump`](crate::dump()).
    #[must_use]
    pub fn dump(&self) -> Dump {
        self.handle.dump()
    }

    /// Ends the runtime: cancels every task, runs their cleanup for at most `grace`, drops what is left, joins
    /// the threads, and reports what did not end. A task that refuses cannot hang it.
    pub fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        self.is_shut_down = true;
        scheduler::shut_down(&self.handle.shared, grace)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.is_shut_down {
            return;
        }
        let shared = self.handle.shared.clone();
        let is_own = context::with(|cx| {
            std::ptr::eq(cx.runtime.get(), Arc::as_ptr(&shared)) && !cx.task.get().is_null()
        });
        if !is_own {
            return end(&shared);
        }
        // Inside a task of its own, which cannot end before this returns: another thread sees it out.
        let builder = shared.config.thread("shutdown");
        if let Err(error) = builder.spawn(move || end(&shared)) {
            self.handle.shared.report(Unhandled::no_thread(error, 0));
        }
    }
}

/// Shuts a runtime down with its own grace.
fn end(shared: &Arc<Shared>) {
    let report = scheduler::shut_down(shared, shared.grace());
    if !report.is_clean() {
        eprintln!("rt: dropping a runtime: {report}");
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// A reference to a runtime, for other threads and for libraries. It does not keep the runtime from ending.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The runtime that this code runs in.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("Handle::current: {error}"),
        }
    }

    /// The runtime that this code runs in.
    ///
    /// # Errors
    ///
    /// [`NoRuntime`] outside a runtime.
    pub fn try_current() -> Result<Self, NoRuntime> {
        context::runtime()
            .map(|shared| Self { shared })
            .ok_or(NoRuntime(()))
    }

    /// Spawns a task; see [`spawn`](crate::spawn()). From any thread.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn_on(&self.shared, future)
    }

    /// Runs a blocking function on a thread of its own; see [`spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let spec = Spec::at(std::panic::Location::caller());
        spawn_work_on(&self.shared, function, Plain, Work::Blocking, spec, |_| {
            None
        })
    }

    /// Runs a future on this thread; see [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        scheduler::block_on(&self.shared, future)
    }

    /// Makes this the current runtime of the thread until the guard is dropped, so that `rt::spawn` works.
    ///
    /// Guards are dropped in the reverse order of their making, and before the next suspension of the future
    /// that made them: a task that is suspended leaves what it entered.
    ///
    /// # Panics
    ///
    /// The guard panics if it is dropped in another order or after a suspension.
    #[must_use = "the runtime is only entered while the guard lives"]
    pub fn enter(&self) -> EnterGuard<'_> {
        context::with(|cx| {
            let (entry, entry_before) = cx.begin_entry();
            let guard = EnterGuard {
                entry,
                entry_before,
                runtime_before: cx.runtime.get(),
                seat_before: cx.seat.get(),
                seat_behind: cx.seat_behind.get(),
                shared: ManuallyDrop::new(self.shared.clone()),
                _handle: PhantomData,
                _here: PhantomData,
            };
            if !std::ptr::eq(guard.runtime_before, Arc::as_ptr(&self.shared)) {
                cx.runtime.set(Arc::as_ptr(&self.shared));
                cx.seat.set(std::ptr::null());
                if !guard.seat_before.is_null() {
                    cx.seat_behind.set(guard.seat_before);
                }
            }
            guard
        })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.shared.config.name)
            .field("workers", &self.shared.seats.homes().len())
            .finish_non_exhaustive()
    }
}

/// Leaves a runtime again when it is dropped; made by [`Handle::enter`].
pub struct EnterGuard<'a> {
    entry: u64,
    entry_before: u64,
    runtime_before: *const Shared,
    seat_before: *const scheduler::Seat,
    seat_behind: *const scheduler::Seat,
    /// What the context points to meanwhile, kept alive also when the guard is forgotten.
    shared: ManuallyDrop<Arc<Shared>>,
    _handle: PhantomData<&'a Handle>,
    _here: PhantomData<*const ()>,
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        let is_innermost = context::with(|cx| {
            let is_innermost = cx.entry.get() == self.entry;
            if is_innermost {
                cx.entry.set(self.entry_before);
                cx.seat_behind.set(self.seat_behind);
                if !std::ptr::eq(self.runtime_before, Arc::as_ptr(&self.shared)) {
                    cx.runtime.set(self.runtime_before);
                    cx.seat.set(self.seat_before);
                }
            }
            is_innermost
        });
        if is_innermost {
            // SAFETY: it is dropped once, here; the context points to it no more.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        } else if !std::thread::panicking() {
            // Somebody else's guard may still lead back to this runtime: it stays for good.
            panic!("a guard of Handle::enter was dropped out of order, or kept across an .await");
        }
    }
}

impl fmt::Debug for EnterGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// There is no runtime where one was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct NoRuntime(());

impl fmt::Debug for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoRuntime")
    }
}

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::NO_RUNTIME)
    }
}

impl std::error::Error for NoRuntime {}

/// Runs a future to its end on a runtime for this one call, like `asyncio.run`: what it leaves behind is
/// cancelled, cleaned up and awaited. Inside a runtime it runs on that one, and helps to run its tasks.
///
/// # Panics
///
/// If no runtime can be built; use a [`Builder`] where that has to be handled.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// assert_eq!(rt::block_on(async { rt::spawn(async { 7 }).await.unwrap() }), 7);
/// ```
#[track_caller]
#[doc(alias = "run")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    if let Some(shared) = context::runtime() {
        return scheduler::block_on(&shared, future);
    }
    match Builder::new().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("rt::block_on cannot build a runtime: {error}"),
    }
}
