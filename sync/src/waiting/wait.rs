//! `wait`: until some of the tasks are through, with their handles given back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rt_tasks_runtime::wait::WaitKind;
use rt_tasks_runtime::{JoinHandle, Sleep, coop, sleep};

use super::ready_list::ReadyList;

/// How long [`wait`] waits.
pub struct Until<T> {
    when: When,
    /// Whether a value counts as an error.
    is_error: fn(&T) -> bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    FirstCompleted,
    FirstError,
    AllCompleted,
}

// Named like the variants of an enum, which they are to those who use them.
#[allow(non_upper_case_globals)]
impl<T> Until<T> {
    /// Until one of the tasks is through, however it ended.
    pub const FirstCompleted: Self = Self::new(When::FirstCompleted, |_| false);
    /// Until all of the tasks are through.
    pub const AllCompleted: Self = Self::new(When::AllCompleted, |_| false);

    const fn new(when: When, is_error: fn(&T) -> bool) -> Self {
        Self { when, is_error }
    }
}

#[allow(non_upper_case_globals)]
impl<T, E> Until<Result<T, E>> {
    /// Until one of the tasks returned an error or panicked, or all are through. That a task was cancelled is no
    /// error.
    pub const FirstError: Self = Self::new(When::FirstError, Result::is_err);
}

impl<T> Clone for Until<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Until<T> {}

impl<T> fmt::Debug for Until<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.when.fmt(f)
    }
}

impl<T> Until<T> {
    /// Whether the end of this task ends the wait.
    fn is_met_by(&self, handle: &mut JoinHandle<T>) -> bool {
        match self.when {
            When::FirstCompleted => true,
            When::AllCompleted => false,
            When::FirstError => match handle.peek() {
                Some(Ok(value)) => (self.is_error)(value),
                Some(Err(error)) => !error.is_cancelled(),
                None => false,
            },
        }
    }
}

/// Waits until some of the tasks are through: the first, the first with an error, or all of them.
///
/// Gives the handles back: first those of tasks that are through, in the order in which that was seen, then the
/// others in the order of the input. No task is cancelled. Without handles it is ready at once.
///
/// # Cancel safety
///
/// Dropping it drops the handles, which detaches the tasks: they run on. To keep them await `&mut` of it.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use rt::Until;
/// # runtime::block_on(async {
/// let tasks = [runtime::spawn(std::future::pending::<u32>()), runtime::spawn(async { 7 })];
/// let (done, pending) = rt::wait(tasks, Until::FirstCompleted).await;
/// assert_eq!((done.len(), pending.len()), (1, 1));
/// for task in done {
///     assert_eq!(task.await.unwrap(), 7);
/// }
/// # });
/// ```
pub fn wait<I, T>(handles: I, until: Until<T>) -> Wait<T>
where
    I: IntoIterator<Item = JoinHandle<T>>,
{
    Wait::new(handles, until, None)
}

/// Like [`wait`], and at most for `limit`, counted from this call. When the time is up the handles are given back
/// all the same.
///
/// # Cancel safety
///
/// As [`wait`].
///
/// # Panics
///
/// When it has to wait outside a runtime: there is no clock.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use std::time::Duration;
/// # runtime::block_on(async {
/// let tasks = [runtime::spawn(std::future::pending::<u32>())];
/// let (done, pending) =
///     rt::wait_timeout(tasks, rt::Until::AllCompleted, Duration::from_millis(1)).await;
/// assert!(done.is_empty() && !pending[0].is_cancelled());
/// # });
/// ```
pub fn wait_timeout<I, T>(handles: I, until: Until<T>, limit: Duration) -> Wait<T>
where
    I: IntoIterator<Item = JoinHandle<T>>,
{
    Wait::new(handles, until, Some(sleep(limit)))
}

/// The future of [`wait`] and [`wait_timeout`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<T> {
    /// None where the task is through.
    handles: Vec<Option<JoinHandle<T>>>,
    done: Vec<JoinHandle<T>>,
    until: Until<T>,
    sleep: Option<Sleep>,
    ready: Arc<ReadyList>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    New,
    /// Each task that is not through has its bell.
    Waiting,
    Over,
}

impl<T> Wait<T> {
    fn new(
        handles: impl IntoIterator<Item = JoinHandle<T>>,
        until: Until<T>,
        sleep: Option<Sleep>,
    ) -> Self {
        Self {
            handles: handles.into_iter().map(Some).collect(),
            done: Vec::new(),
            until,
            sleep,
            ready: Arc::default(),
            state: State::New,
        }
    }

    /// Takes those that rang; true if the wait is over.
    fn take_ready(&mut self, cx: &Context<'_>) -> bool {
        let mut is_met = false;
        for _ in 0..self.ready.watch(cx) {
            let index = self.ready.pop();
            if let Some(mut handle) = index.and_then(|index| self.handles[index].take()) {
                is_met |= self.until.is_met_by(&mut handle);
                self.done.push(handle);
            }
        }
        is_met || self.done.len() == self.handles.len()
    }

    /// Looks at every task for the first time; true if the wait is over.
    fn begin(&mut self, cx: &Context<'_>) -> bool {
        self.state = State::Waiting;
        for (index, handle) in (0..).zip(&self.handles) {
            if handle.as_ref().is_some_and(JoinHandle::is_finished) {
                self.ready.push(index);
            }
        }
        // Perhaps nobody needs a bell.
        self.take_ready(cx) || {
            hang_bells(&mut self.handles, &self.ready);
            self.take_ready(cx)
        }
    }

    /// The handles, done first.
    fn end(&mut self) -> (Vec<JoinHandle<T>>, Vec<JoinHandle<T>>) {
        self.state = State::Over;
        let mut pending: Vec<_> = self.handles.drain(..).flatten().collect();
        pending.iter_mut().for_each(JoinHandle::stop_waiting);
        (std::mem::take(&mut self.done), pending)
    }
}

/// Has each task put its index into the list when it is through.
pub(super) fn hang_bells<T>(handles: &mut [Option<JoinHandle<T>>], ready: &Arc<ReadyList>) {
    for (index, handle) in (0..).zip(handles) {
        let Some(handle) = handle else { continue };
        let is_through = handle.is_finished() || {
            let bell = ready.bell(index);
            handle
                .poll_finished(&mut Context::from_waker(&bell))
                .is_ready()
        };
        if is_through {
            ready.push(index);
        }
    }
}

impl<T> Unpin for Wait<T> {}

impl<T> Future for Wait<T> {
    type Output = (Vec<JoinHandle<T>>, Vec<JoinHandle<T>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(coop::poll_proceed(cx));
        let is_over = match self.state {
            State::New => self.begin(cx),
            State::Waiting => self.take_ready(cx),
            State::Over => panic!("rt::wait was polled after it was over"),
        };
        let mut sleep = self.sleep.as_mut();
        if is_over
            || sleep
                .as_mut()
                .is_some_and(|sleep| Pin::new(&mut **sleep).poll(cx).is_ready())
        {
            return Poll::Ready(self.end());
        }
        let kind = match self.until.when {
            When::AllCompleted => WaitKind::AllTasks,
            When::FirstCompleted | When::FirstError => WaitKind::AnyTask,
        };
        self.ready.note(kind, 0);
        coop::restore();
        Poll::Pending
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("until", &self.until)
            .field("n_done", &self.done.len())
            .field("n_handles", &self.handles.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
