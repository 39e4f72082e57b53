//! Making tasks: from a future or a blocking function to a cell in a queue.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::blocking::Job;
use crate::context;
use crate::locals;
use crate::scheduler::{self, Shared};
use crate::task::{
    Birth, Boxed, Header, Hook, Inline, JoinHandle, Keep, Plain, Table, Task, TaskCell, class_of,
    harness,
};
use crate::trace;

/// What a spawn is told beside its future.
#[derive(Clone, Copy)]
pub(crate) struct Spec<'a> {
    pub(crate) location: &'static Location<'static>,
    pub(crate) name: Option<&'a Arc<str>>,
    pub(crate) is_local: bool,
    /// The end of the runtime is no reason to cancel it.
    pub(crate) is_mandatory: bool,
}

impl Spec<'_> {
    pub(crate) fn at(location: &'static Location<'static>) -> Self {
        Self {
            location,
            name: None,
            is_local: false,
            is_mandatory: false,
        }
    }
}

/// Makes the cell of a task, alive and with the duty to be queued.
fn make<F: Future, H: Hook<F::Output>, K: Keep>(
    shared: &Shared,
    future: F,
    hook: H,
    spec: Spec<'_>,
) -> (Task, JoinHandle<H::Value>) {
    let class = const { class_of_cell::<F, H, K>() };
    let class = class.expect("what does not fit is boxed");
    let (block, id) = scheduler::alloc(shared, class);
    let birth = Birth {
        vtable: &Table::<F, H, K>::VTABLE,
        id,
        parent: context::with_task(|task| task.map(Header::id)),
        location: spec.location,
        born: shared.coarse_millis(),
        is_local: spec.is_local,
    };
    // SAFETY: the block was just given to us.
    unsafe { Header::bear(block, &birth) };
    let cell: NonNull<TaskCell<F, H, K>> = block.cast();
    // SAFETY: the block is ours and its class fits the cell.
    unsafe { TaskCell::fill(cell, future, hook) };
    // SAFETY: the header was written; the block is still ours.
    let header = unsafe { block.as_ref() };
    if let Some(name) = spec.name {
        let _ = header.cold().name.set(name.clone());
    }
    if spec.is_mandatory {
        harness::spare_from_shutdown(header);
    }
    if locals::may_be_set() {
        locals::inherit(header);
    }
    trace::spawned(header);
    header.state.init();
    // SAFETY: `init` made the task scheduled, and gave one reference and the interest to the handle.
    (unsafe { Task::new(block) }, unsafe {
        JoinHandle::from_raw(block)
    })
}

/// The blocks that a cell with these fits.
const fn class_of_cell<F: Future, H: Hook<F::Output>, K: Keep>() -> Option<u8> {
    class_of(
        size_of::<TaskCell<F, H, K>>(),
        align_of::<TaskCell<F, H, K>>(),
    )
}

/// Whether a cell with these fits a block.
const fn fits<F: Future, H: Hook<F::Output>, K: Keep>() -> bool {
    class_of_cell::<F, H, K>().is_some()
}

/// Spawns a future with a hook; futures and results that do not fit a block go to the heap.
pub(crate) fn spawn_cell<F: Future, H: Hook<F::Output>>(
    shared: &Shared,
    future: F,
    hook: H,
    spec: Spec<'_>,
    submit: impl FnOnce(Task),
) -> JoinHandle<H::Value> {
    spawn_entered(shared, future, hook, spec, |_| None, submit)
}

/// Like [`spawn_cell`]; `enter` gets the handle before anybody can run the task, and may give a reason for which it
/// is cancelled from the beginning.
fn spawn_entered<F: Future, H: Hook<F::Output>>(
    shared: &Shared,
    future: F,
    hook: H,
    spec: Spec<'_>,
    enter: impl FnOnce(&JoinHandle<H::Value>) -> Option<&'static str>,
    submit: impl FnOnce(Task),
) -> JoinHandle<H::Value> {
    let (task, handle) = if const { fits::<F, H, Inline>() } {
        make::<_, _, Inline>(shared, future, hook, spec)
    } else if const { fits::<Pin<Box<F>>, H, Inline>() } {
        make::<_, _, Inline>(shared, Box::pin(future), hook, spec)
    } else {
        make::<_, _, Boxed>(shared, Box::pin(future), hook, spec)
    };
    if let Some(reason) = enter(&handle) {
        harness::cancel(task.header(), || {
            crate::Cancelled::new(Some(reason.into()), spec.location)
        });
    }
    if shared.wants_attention() {
        shared.attend(task.header());
    }
    submit(task);
    handle
}

/// Spawns on a runtime, with a hook.
pub(crate) fn spawn_with<F, H>(
    shared: &Shared,
    future: F,
    hook: H,
    spec: Spec<'_>,
) -> JoinHandle<H::Value>
where
    F: Future + Send + 'static,
    H: Hook<F::Output> + Send + 'static,
{
    spawn_cell(shared, future, hook, spec, |task| {
        scheduler::submit(shared, task)
    })
}

/// Spawns on a runtime.
#[track_caller]
pub(crate) fn spawn_on<F>(shared: &Shared, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_with(shared, future, Plain, Spec::at(Location::caller()))
}

/// Gives `f` the current runtime, or panics at the caller's line.
#[track_caller]
pub(crate) fn on_current<R>(what: &str, f: impl FnOnce(&Shared) -> R) -> R {
    // Not in the closure: there the panic would not be the caller's.
    match context::with_runtime(|runtime| runtime.map(f)) {
        Some(result) => result,
        None => no_runtime(what),
    }
}

#[cold]
#[track_caller]
fn no_runtime(what: &str) -> ! {
    panic!("{what}: {}", crate::NO_RUNTIME)
}

/// Spawns a task: it begins to run at once, on any worker, whether or not the handle is awaited.
///
/// The runtime keeps the task; dropping the handle detaches it. On a current-thread runtime the task runs while
/// some thread is inside `block_on`.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let sum = rt::block_on(async {
///     let parts: Vec<_> = (0..4u64).map(|i| rt::spawn(async move { i * i })).collect();
///     let mut sum = 0;
///     for part in parts {
///         sum += part.await.unwrap();
///     }
///     sum
/// });
/// assert_eq!(sum, 14);
/// ```
#[track_caller]
#[doc(alias = "create_task")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    on_current("rt::spawn", |shared| {
        spawn_with(shared, future, Plain, Spec::at(location))
    })
}

/// Spawns a task that follows `hook`: plumbing for the structured forms.
///
/// `enter` is called with the handle once there is a task, and before anybody can run it, so that it can be counted
/// and listed without a lock around the spawn: a task that comes too late ends in this very call. If `enter` gives
/// a reason the task is cancelled from the beginning.
///
/// # Panics
///
/// Outside a runtime.
#[doc(hidden)]
#[track_caller]
pub fn spawn_hooked<F, H>(
    future: F,
    hook: H,
    name: Option<&Arc<str>>,
    location: &'static Location<'static>,
    enter: impl FnOnce(&JoinHandle<H::Value>) -> Option<&'static str>,
) -> JoinHandle<H::Value>
where
    F: Future + Send + 'static,
    H: Hook<F::Output, Value: Send> + Send + 'static,
{
    let spec = Spec {
        name,
        ..Spec::at(location)
    };
    on_current("spawning a child", |shared| {
        spawn_entered(shared, future, hook, spec, enter, |task| {
            scheduler::submit(shared, task)
        })
    })
}

/// Spawns a task that stays on this thread, so that it need not be `Send`.
///
/// Only on a current-thread runtime, from the thread that runs it.
///
/// # Panics
///
/// Outside a runtime, on a runtime with worker threads, and on another thread than the one that spawned the
/// first local task.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::{cell::Cell, rc::Rc};
/// let runtime = rt::Builder::current_thread().build().unwrap();
/// runtime.block_on(async {
///     let shared = Rc::new(Cell::new(0));
///     let theirs = shared.clone();
///     rt::spawn_local(async move { theirs.set(7) }).await.unwrap();
///     assert_eq!(shared.get(), 7);
/// });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_local_named(future, None, Location::caller())
}

#[track_caller]
pub(crate) fn spawn_local_named<F>(
    future: F,
    name: Option<&Arc<str>>,
    location: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let spawned = on_current("rt::spawn_local", |shared| {
        if !shared.is_current_thread() {
            return Err(
                "only a current-thread runtime runs local tasks; build it with Builder::current_thread() or \
                 #[rt::main(current_thread)]",
            );
        }
        if !shared.holds_local_tasks_here() {
            return Err("the local tasks of this runtime live on another thread");
        }
        shared.count_local();
        let spec = Spec {
            name,
            is_local: true,
            ..Spec::at(location)
        };
        Ok(spawn_cell(shared, future, Plain, spec, |task| {
            scheduler::submit(shared, task)
        }))
    });
    match spawned {
        Ok(handle) => handle,
        Err(hint) => panic!("rt::spawn_local: {hint}"),
    }
}

/// A function as a future that is through in one poll.
struct Blocking<F> {
    function: Option<F>,
}

impl<F> Unpin for Blocking<F> {}

impl<F: FnOnce() -> T, T> Future for Blocking<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let function = self.function.take().expect("blocking work is polled once");
        context::with(|cx| cx.budget.set(context::UNLIMITED));
        let output = function();
        // Before whoever awaits it can go on and ask for a thread.
        context::blocking_work_is_done();
        Poll::Ready(output)
    }
}

/// Which pool a blocking function goes to.
#[derive(Clone, Copy)]
#[doc(hidden)]
#[derive(Debug)]
pub enum Work {
    /// It waits.
    Blocking,
    /// The same, and it is done even if the runtime is shut down before it has begun.
    Mandatory,
    /// It computes.
    Compute,
    /// It asks for the addresses of a host.
    LookUp,
}

/// Spawns a blocking function with a hook: plumbing for the structured forms; for `enter` see [`spawn_hooked`].
#[doc(hidden)]
#[track_caller]
pub fn spawn_work<F, T, H>(
    function: F,
    hook: H,
    work: Work,
    name: Option<&Arc<str>>,
    location: &'static Location<'static>,
    enter: impl FnOnce(&JoinHandle<H::Value>) -> Option<&'static str>,
) -> JoinHandle<H::Value>
where
    F: FnOnce() -> T + Send + 'static,
    H: Hook<T, Value: Send> + Send + 'static,
{
    on_current("spawning blocking work", |shared| {
        spawn_work_on(
            shared,
            function,
            hook,
            work,
            Spec {
                name,
                ..Spec::at(location)
            },
            enter,
        )
    })
}

pub(crate) fn spawn_work_on<F, T, H>(
    shared: &Shared,
    function: F,
    hook: H,
    work: Work,
    spec: Spec<'_>,
    enter: impl FnOnce(&JoinHandle<H::Value>) -> Option<&'static str>,
) -> JoinHandle<H::Value>
where
    F: FnOnce() -> T + Send + 'static,
    H: Hook<T> + Send + 'static,
{
    let spec = Spec {
        is_mandatory: matches!(work, Work::Mandatory),
        ..spec
    };
    let pool = match work {
        Work::Blocking | Work::Mandatory => &shared.blocking,
        Work::Compute => &shared.compute,
        Work::LookUp => &shared.look_up,
    };
    let future = Blocking {
        function: Some(function),
    };
    spawn_entered(shared, future, hook, spec, enter, |task| {
        pool.execute(match work {
            Work::Mandatory => Job::Mandatory(task),
            _ => Job::Task(task),
        })
    })
}

/// Spawns a blocking function that nothing is known of but where it goes.
#[track_caller]
fn spawn_plain_work<F, T>(function: F, work: Work) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_work(function, Plain, work, None, Location::caller(), |_| None)
}

/// Runs a blocking function on a thread of its own (asyncio's `to_thread`).
///
/// Cancelling it before it began means that it never runs; once it runs nothing can stop it, and the handle
/// resolves when it is through.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let answer = rt::block_on(async {
///     rt::spawn_blocking(|| {
///         std::thread::sleep(std::time::Duration::from_millis(1));
///         42
///     })
///     .await
///     .unwrap()
/// });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
#[doc(alias = "to_thread")]
pub fn spawn_blocking<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_plain_work(function, Work::Blocking)
}

/// Runs a function that computes on a pool with one thread per core, so that it cannot starve I/O.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let sum = rt::block_on(async { rt::spawn_compute(|| (0..1000u64).sum::<u64>()).await.unwrap() });
/// assert_eq!(sum, 499_500);
/// ```
#[track_caller]
pub fn spawn_compute<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_plain_work(function, Work::Compute)
}

/// As [`spawn_blocking`], for a call of which the caller has been told that it is made: plumbing for the crate of files. A
/// shutdown does not cancel it, and waits for it as long as for a call that has begun.
///
/// Cleanup that runs while the runtime shuts down may make such calls too.
#[doc(hidden)]
#[track_caller]
pub fn spawn_mandatory<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_plain_work(function, Work::Mandatory)
}

/// As [`spawn_blocking`], for a function that asks for the addresses of a host: plumbing for the crate of sockets.
///
/// It has threads of its own. If it shared those of `spawn_blocking`, a program that keeps them busy would see names that
/// are not resolved in time, and look for a fault in its network.
#[doc(hidden)]
#[track_caller]
pub fn spawn_look_up<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_plain_work(function, Work::LookUp)
}

/// Runs a blocking function here, while another thread works in this thread's place.
///
/// It may borrow, unlike the function of [`spawn_blocking`]. On a current-thread runtime, and outside any, it
/// just runs: there is nobody to take over.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let mut text = String::new();
/// rt::block_on(async { rt::block_in_place(|| text.push_str("borrowed")) });
/// assert_eq!(text, "borrowed");
/// ```
pub fn block_in_place<T>(function: impl FnOnce() -> T) -> T {
    scheduler::hand_seat_away(function)
}
