//! `fork_join`: jobs that run in parallel and may borrow from the stack of whoever waits for them.
//!
//! # How it works
//!
//! The jobs of one call lie on a [`Board`] of its own. The worker threads are asked to help by tasks that know
//! nothing but the board: a helper takes one job after the other, lets other tasks run in between, and ends when
//! there is none. The caller runs jobs too, once its closure is through, and a `join` runs the very job that it
//! waits for unless somebody runs it already. So nothing depends on the helpers: with one worker, or none that is
//! free, the caller does everything.
//!
//! Nobody ever runs a job on top of another one's stack, except one that it waits for. (Rejected: helping
//! with any job while a `join` waits. The job on top may wait for the one below, which could go on only after
//! it.) So only jobs that wait for each other in a circle wait for ever.
//!
//! # Invariants
//!
//! 1. A job is counted as unfinished until its closure, what that captured, and a result that nobody took are
//!    dropped (board invariant 2).
//! 2. `fork_join` neither returns nor unwinds before its closure is through and no job is unfinished. Jobs are
//!    added by the closure and by jobs, so none comes after that.
//! 3. Nothing unwinds out of a job.
//! 4. What outlives the call, a helper that comes late, holds the board alone, which has no job then.

mod board;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use board::{Board, Next};

use crate::context::{self, Restore};
use crate::locals;
use crate::scheduler::{self, AbortOnUnwind, Shared};
use crate::shim::lock_std;
use crate::spawn::{Spec, spawn_cell};
use crate::task::{Panic, Plain, ignore_panic};

/// A job that waits a while to be over gives its thread's seat away.
const SHORT_WAIT: Duration = Duration::from_micros(100);

/// A job without its lifetime; never unwinds.
type Work = Box<dyn FnOnce() + Send>;

/// Calls `f` with a scope in which it spawns jobs that may borrow from what is around; returns its value when all
/// jobs have ended.
///
/// It blocks the thread, and needs no `await`. The jobs run on the runtime's worker threads and on this one, in
/// parallel as far as workers are free; they are queued in the order of their spawns. It can be called in a task,
/// in another `fork_join`, in `spawn_blocking` and `spawn_compute`. Without a runtime, and on a current-thread
/// runtime whose thread this is, the jobs run here, one after another. A job has the task-locals of the place that
/// spawned it, and belongs to no cancellation scope of its own: what is cancelled ends after its `fork_join`.
///
/// Jobs should compute. One that sleeps, waits for a task or holds up its thread otherwise keeps a worker from its
/// tasks; that is survived, as for tasks.
///
/// # Panics
///
/// When all jobs have ended: with the panic of `f`, or else the first of those jobs that nobody
/// [joined](ForkHandle::join).
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// let words = ["a", "list", "of", "words"];
/// let mut longest = "";
/// let total = rt::fork_join(|s| {
///     let total = s.spawn(|| words.iter().map(|word| word.len()).sum::<usize>());
///     s.spawn(|| longest = words.iter().max_by_key(|word| word.len()).unwrap());
///     total.join().unwrap()
/// });
/// assert_eq!((total, longest), (12, "words"));
/// ```
///
/// A job borrows from outside the call, not from `f` itself, which may end before it:
///
/// ```compile_fail
/// rt_tasks_runtime::fork_join(|s| {
///     let text = String::from("gone");
///     s.spawn(|| println!("{text}"));
/// });
/// ```
///
/// ```compile_fail
/// let mut handle = None;
/// rt_tasks_runtime::fork_join(|s| handle = Some(s.spawn(|| 7)));
/// ```
#[track_caller]
#[doc(alias = "scope")]
pub fn fork_join<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope ForkScope<'scope, 'env>) -> R,
{
    let scope = ForkScope::new(Location::caller());
    let value = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // Invariant 2: whatever happened, the jobs come first, and nothing leaves early.
    let abort_on_unwind = AbortOnUnwind;
    scope.end();
    std::mem::forget(abort_on_unwind);
    let panics = std::mem::take(&mut *lock_std(&scope.core.panics));
    let first = panics.into_iter().next();
    match (value, first) {
        (Err(payload), _) => resume_unwind(payload),
        (Ok(value), None) => value,
        (Ok(value), Some((_, panic))) => {
            ignore_panic(|| drop(value));
            panic.resume()
        }
    }
}

/// What a scope shares with its jobs and handles.
struct Core {
    board: Board<Work>,
    /// Panics of jobs that nobody has joined so far, in the order of the panics.
    panics: Mutex<Vec<(u64, Panic)>>,
}

/// Where [`fork_join`] spawns its jobs.
pub struct ForkScope<'scope, 'env: 'scope> {
    core: Arc<Core>,
    runtime: Option<Arc<Shared>>,
    /// How many workers beside this thread can help.
    max_helpers: usize,
    location: &'static Location<'static>,
    // Neither lifetime may shrink: a job could borrow from another job's stack otherwise.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> ForkScope<'scope, '_> {
    fn new(location: &'static Location<'static>) -> Self {
        let runtime = context::runtime();
        let has_seat = context::with(|cx| !cx.seat.get().is_null());
        let n_workers = runtime
            .as_ref()
            .map_or(0, |shared| shared.seats.homes().len());
        Self {
            core: Arc::new(Core {
                board: Board::new(),
                panics: Mutex::default(),
            }),
            runtime,
            max_helpers: n_workers.saturating_sub(usize::from(has_seat)),
            location,
            _scope: PhantomData,
            _env: PhantomData,
        }
    }

    /// Spawns a job. It runs once, before the call of [`fork_join`] ends, whether or not its handle is joined.
    ///
    /// May be called in jobs as well: `s.spawn(|| { s.spawn(|| …); })`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let mut parts = [1, 2, 3, 4];
    /// let (left, right) = parts.split_at_mut(2);
    /// rt::fork_join(|s| {
    ///     s.spawn(|| left.iter_mut().for_each(|part| *part *= 10));
    ///     s.spawn(|| {
    ///         for part in right {
    ///             s.spawn(|| *part += 1);
    ///         }
    ///     });
    /// });
    /// assert_eq!(parts, [10, 20, 4, 5]);
    /// ```
    pub fn spawn<F, T>(&'scope self, f: F) -> ForkHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let core: &'scope Core = &self.core;
        let result = Arc::new(Mutex::new(JobResult::Unfinished));
        let theirs = result.clone();
        let locals = locals::current();
        let added = core.board.add(self.max_helpers, move |number| {
            let job: Box<dyn FnOnce() + Send + 'scope> =
                Box::new(move || core.work(number, || locals::within(locals, f), theirs));
            // SAFETY: only the lifetime differs. By Invariants 1 and 2 the job and all that it holds are gone before
            // `fork_join` ends, which `'scope` outlives.
            unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Work>(job) }
        });
        if added.wants_helper {
            self.send_helper();
        }
        ForkHandle {
            core,
            number: added.number,
            result,
        }
    }

    /// Has one more worker look at the board.
    #[cold]
    fn send_helper(&self) {
        let Some(shared) = &self.runtime else {
            return;
        };
        let helper = Helper {
            core: Some(self.core.clone()),
        };
        // Each job has task-locals of its own; the helper, which may come late, must not keep any.
        locals::within(None, || {
            // Not to this worker's queue, which would rest until this call is over.
            spawn_cell(shared, helper, Plain, Spec::at(self.location), |task| {
                shared.inject(task)
            });
        });
    }

    /// Runs jobs, and waits for those that others run, until all have ended.
    fn end(&self) {
        let board = &self.core.board;
        loop {
            match board.next() {
                Next::Work(work) => run(board, work),
                Next::Wait => wait(|limit| board.wait_for_next(limit)),
                Next::Over => return,
            }
        }
    }
}

/// Runs a job that was taken from the board.
fn run(board: &Board<Work>, work: Work) {
    let abort_on_unwind = AbortOnUnwind;
    context::with(|cx| {
        // What its thread has below it on the stack is not the job's.
        let _frames = Restore::set(&cx.frames, std::ptr::null());
        work();
    });
    std::mem::forget(abort_on_unwind);
    board.finish();
}

/// Waits, for a while on this thread's seat and then without one. `wait` is told for how long, and says whether it
/// is over.
fn wait(wait: impl Fn(Option<Duration>) -> bool) {
    if !wait(Some(SHORT_WAIT)) {
        scheduler::hand_seat_away(|| wait(None));
    }
}

impl Core {
    /// Does the work of one job, and leaves nothing of it behind but its result, if somebody waits for that.
    fn work<T>(&self, number: u64, f: impl FnOnce() -> T, result: Arc<Mutex<JobResult<T>>>) {
        let outcome = match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => JobResult::Value(value),
            Err(payload) => {
                self.keep_panic(number, payload);
                JobResult::Panicked
            }
        };
        *lock_std(&result) = outcome;
        // Without a handle this drops the value.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(result))) {
            self.keep_panic(number, payload);
        }
    }

    fn keep_panic(&self, number: u64, payload: Box<dyn Any + Send>) {
        lock_std(&self.panics).push((number, Panic::new(payload)));
    }

    /// The panic of a job, for whoever joins it.
    fn take_panic(&self, number: u64) -> Option<Panic> {
        let mut panics = lock_std(&self.panics);
        let index = panics.iter().position(|(other, _)| *other == number)?;
        Some(panics.remove(index).1)
    }
}

/// How far a job is.
enum JobResult<T> {
    Unfinished,
    Value(T),
    /// The panic is the scope's, until somebody joins.
    Panicked,
}

/// A task that runs jobs, one in each poll.
struct Helper {
    /// None once it has left the board.
    core: Option<Arc<Core>>,
}

impl Future for Helper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(core) = self.core.take() else {
            return Poll::Ready(());
        };
        let Some(work) = core.board.take_or_leave() else {
            return Poll::Ready(());
        };
        run(&core.board, work);
        self.core = Some(core);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            core.board.leave();
        }
    }
}

/// A job of [`fork_join`] whose value can be waited for. Dropping it changes nothing for the job.
pub struct ForkHandle<'scope, T> {
    core: &'scope Core,
    number: u64,
    result: Arc<Mutex<JobResult<T>>>,
}

impl<T> ForkHandle<'_, T> {
    /// Waits for the job; runs it here if nobody does so far.
    ///
    /// # Errors
    ///
    /// The panic of the job, which [`fork_join`] then does not raise again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// rt::fork_join(|s| {
    ///     assert_eq!(s.spawn(|| 7).join().unwrap(), 7);
    ///     let error = s.spawn(|| panic!("no luck")).join().unwrap_err();
    ///     assert_eq!(error.message(), "no luck");
    /// });
    /// ```
    pub fn join(self) -> Result<T, Panic> {
        let board = &self.core.board;
        match board.claim(self.number) {
            Some(work) => run(board, work),
            None => wait(|limit| board.wait_for(limit, || self.is_finished())),
        }
        let result = std::mem::replace(&mut *lock_std(&self.result), JobResult::Panicked);
        match result {
            JobResult::Value(value) => Ok(value),
            JobResult::Panicked => Err(self
                .core
                .take_panic(self.number)
                .expect("a panic is taken by one handle")),
            JobResult::Unfinished => unreachable!("the job was waited for"),
        }
    }

    /// Whether the job is through.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !matches!(*lock_std(&self.result), JobResult::Unfinished)
    }
}

impl<T> fmt::Debug for ForkHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForkHandle")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ForkScope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForkScope")
            .field("at", &self.location)
            .finish_non_exhaustive()
    }
}
