//! Registering async cleanup: `defer` for the end of the scope, `finally` around a body.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::chain;
use super::scope::Scope;
use crate::CancelHandle;
use crate::context;
use crate::locals;
use crate::task::Panic;
use crate::unhandled::Unhandled;

/// What cleanup may return: nothing, or a result whose error is reported.
#[diagnostic::on_unimplemented(
    message = "cleanup returns `()` or `Result<(), E>`, not `{Self}`",
    label = "end the cleanup with `;` or `Ok(())`"
)]
pub trait CleanupOutput {
    /// Turns it into the error to report, if there is one.
    fn into_error(self) -> Option<Box<dyn Error + Send + Sync>>;
}

impl CleanupOutput for () {
    fn into_error(self) -> Option<Box<dyn Error + Send + Sync>> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> CleanupOutput for Result<(), E> {
    fn into_error(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.err().map(Into::into)
    }
}

pub(crate) type CleanupFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the runtime what would otherwise be lost.
pub(crate) fn report(unhandled: Unhandled) {
    context::with_runtime(|runtime| match runtime {
        Some(runtime) => runtime.report(unhandled),
        None => unhandled.print(),
    });
}

/// Calls `f`, and keeps its panic.
pub(super) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(f)).map_err(Panic::new)
}

/// Goes on with the panic of a destructor at the end of another one; a thread that panics already would abort, so
/// there it is reported.
pub(super) fn raise_after_drop(dropped: Result<(), Panic>) {
    match dropped {
        Ok(()) => {}
        Err(panic) if std::thread::panicking() => report(Unhandled::cleanup_panic(panic)),
        Err(panic) => panic.resume(),
    }
}

/// What went wrong in cleanup.
#[doc(hidden)]
#[derive(Debug)]
pub enum CleanupFailure {
    Error(Box<dyn Error + Send + Sync>),
    Panic(Panic),
}

impl CleanupFailure {
    /// Gives it to the nearest scope around that collects such failures, or tells the runtime.
    pub fn tell(self) {
        match chain::collect(self) {
            None => {}
            Some(Self::Error(error)) => report(Unhandled::cleanup_error(error)),
            Some(Self::Panic(panic)) => report(Unhandled::cleanup_panic(panic)),
        }
    }

    pub fn into_error(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Error(error) => error,
            Self::Panic(panic) => Box::new(panic),
        }
    }
}

/// Boxes cleanup so that its error is told.
pub(super) fn boxed<F>(cleanup: F) -> CleanupFuture
where
    F: Future + Send + 'static,
    F::Output: CleanupOutput,
{
    Box::pin(async move {
        if let Some(error) = cleanup.await.into_error() {
            CleanupFailure::Error(error).tell();
        }
    })
}

/// Polls cleanup; a panic in it is told and ends only that one.
pub(super) fn poll_caught(cleanup: &mut CleanupFuture, cx: &mut Context<'_>) -> Poll<()> {
    caught(|| cleanup.as_mut().poll(cx)).unwrap_or_else(|panic| {
        CleanupFailure::Panic(panic).tell();
        Poll::Ready(())
    })
}

/// Gives `f` the innermost scope of this thread, if it is inside one.
fn with_scope<R>(f: impl FnOnce(Option<&Scope>) -> R) -> R {
    context::with(|cx| {
        // SAFETY: context invariant 4.
        if let Some(scope) = unsafe { cx.scope.get().as_ref() } {
            return f(Some(scope));
        }
        context::with_task(|task| f(task.map(|task| &task.cold().scope)))
    })
}

/// Starts cleanup in the innermost scope. Outside any scope it becomes a task of the runtime, and outside any
/// runtime it is run to its end here: it is never lost. If it waits for a task, that is as a guest of the task's
/// runtime, which may have no other thread to run it.
pub(crate) fn start_in_current_scope(cleanup: CleanupFuture, awaited: Option<&CancelHandle>) {
    let cleanup = locals::keep(cleanup);
    let left = with_scope(|scope| match scope {
        Some(scope) => {
            scope.start(cleanup);
            None
        }
        None => Some(cleanup),
    });
    let Some(cleanup) = left else { return };
    match context::runtime() {
        Some(runtime) => {
            if runtime.debug.is_some() {
                runtime.report(Unhandled::cleanup_outside());
            }
            drop(crate::spawn::spawn_on(&runtime, cleanup));
        }
        None => match awaited {
            Some(task) => crate::scheduler::block_on(task.runtime(), cleanup),
            None => crate::scheduler::block_on_anywhere(cleanup),
        },
    }
}

/// Starts cleanup in the innermost scope, which does not end before it is through: plumbing for the structured
/// forms. It waits for `awaited` or tasks of the same runtime, if there are any.
#[doc(hidden)]
pub fn cleanup_now(
    cleanup: impl Future<Output = ()> + Send + 'static,
    awaited: Option<&CancelHandle>,
) {
    start_in_current_scope(Box::pin(cleanup), awaited);
}

/// If the innermost scope is dropping its body: has it wait for `cleanup`, which is made only then.
pub(crate) fn add_while_unwinding(cleanup: impl FnOnce() -> CleanupFuture) {
    with_scope(|scope| {
        if let Some(scope) = scope.filter(|scope| scope.is_unwinding()) {
            scope.start(cleanup());
        }
    });
}

/// Runs `cleanup` when the innermost scope (task, `timeout`, `block_on`) ends: after success, error, panic and
/// cancellation, last in first out, awaited before the scope is over.
///
/// Cleanup is shielded from cancellation and bounded by the runtime's grace.
///
/// # Panics
///
/// Outside any scope of a runtime: there would be no end to wait for.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::{Arc, Mutex};
/// let log = Arc::new(Mutex::new(vec![]));
/// let theirs = log.clone();
/// rt::block_on(async move {
///     let task = rt::spawn(async move {
///         let log = theirs.clone();
///         rt::defer(async move { log.lock().unwrap().push("last") });
///         let log = theirs.clone();
///         rt::defer(async move { log.lock().unwrap().push("first") });
///         theirs.lock().unwrap().push("body");
///     });
///     task.await.unwrap();
/// });
/// assert_eq!(*log.lock().unwrap(), ["body", "first", "last"]);
/// ```
#[track_caller]
pub fn defer<F>(cleanup: F)
where
    F: Future + Send + 'static,
    F::Output: CleanupOutput,
{
    let cleanup = locals::keep(boxed(cleanup));
    if with_scope(|scope| scope.map(|scope| scope.defer(cleanup))).is_none() {
        panic!(
            "rt::defer outside any scope: call it inside a task, a timeout or the future of block_on"
        );
    }
}

/// Runs `cleanup` after `body`: after success, error, panic and cancellation.
///
/// After success, error and panic the cleanup is awaited here, before the output is returned or the panic goes
/// on. If this future is dropped, by cancellation or otherwise, the scope around it awaits the cleanup before
/// it ends. Cleanup is shielded from cancellation and bounded by the runtime's grace.
///
/// # Cancel safety
///
/// Dropping it drops the body, and then runs the cleanup exactly once.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// # use std::sync::Arc;
/// let closed = Arc::new(AtomicBool::new(false));
/// let flag = closed.clone();
/// rt::block_on(async move {
///     let task = rt::spawn(rt::finally(std::future::pending::<()>(), async move {
///         rt::yield_now().await;
///         flag.store(true, Relaxed);
///     }));
///     rt::yield_now().await;
///     task.cancel();
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// assert!(closed.load(Relaxed), "the cleanup was awaited before the join resolved");
/// ```
pub fn finally<B, C>(body: B, cleanup: C) -> Finally<B, C>
where
    B: Future,
    C: Future + Send + 'static,
    C::Output: CleanupOutput,
{
    Finally {
        body: Some(body),
        end: None,
        cleanup: Some(cleanup),
        running: None,
    }
}

pin_project_lite::pin_project! {
    /// The future of [`finally`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Finally<B, C>
    where
        B: Future,
        C: Future,
        C: Send,
        C: 'static,
        C::Output: CleanupOutput,
    {
        #[pin]
        body: Option<B>,
        end: Option<Result<B::Output, Panic>>,
        cleanup: Option<C>,
        running: Option<CleanupFuture>,
    }

    impl<B, C> PinnedDrop for Finally<B, C>
    where
        B: Future,
        C: Future,
        C: Send,
        C: 'static,
        C::Output: CleanupOutput,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let dropped = caught(|| this.body.set(None));
            // The rest of the cleanup, or all of it.
            if let Some(rest) = this.running.take().or_else(|| this.cleanup.take().map(boxed)) {
                start_in_current_scope(rest, None);
            }
            raise_after_drop(dropped);
        }
    }
}

impl<B, C> Future for Finally<B, C>
where
    B: Future,
    C: Future + Send + 'static,
    C::Output: CleanupOutput,
{
    type Output = B::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
        let mut this = self.project();
        if let Some(body) = this.body.as_mut().as_pin_mut() {
            let end = match caught(|| body.poll(cx)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(panic) => Err(panic),
            };
            let dropped = caught(|| this.body.set(None));
            *this.end = Some(end.and_then(|output| dropped.map(|()| output)));
            *this.running = this.cleanup.take().map(boxed);
        }
        if let Some(cleanup) = this.running.as_mut() {
            ready!(poll_caught(cleanup, cx));
            *this.running = None;
        }
        match this
            .end
            .take()
            .expect("rt::finally was polled after it was through")
        {
            Ok(output) => Poll::Ready(output),
            Err(panic) => panic.resume(),
        }
    }
}

impl<B, C> fmt::Debug for Finally<B, C>
where
    B: Future,
    C: Future + Send + 'static,
    C::Output: CleanupOutput,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finally")
            .field("body_is_through", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
