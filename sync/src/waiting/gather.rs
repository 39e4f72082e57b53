//! `join_all`, `gather`, `gather_settled`, `try_gather`: the values of many tasks, in the order of the input.

use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::gathering::{Fallible, Gathering, OnError, Whole};

/// Runs futures in parallel, each as a task, and gives their outputs in the order of the input.
///
/// The tasks are spawned at the first poll. If one of them panics, the others are cancelled and awaited, and the
/// panic is raised again here. Without futures the result is empty at once.
///
/// # Cancel safety
///
/// Dropping it cancels the tasks, and the scope around awaits them. What they had computed is lost.
///
/// # Panics
///
/// Outside a runtime, when it is polled; if a task panicked; and if the runtime ends a task that somebody outside
/// it waits for.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let squares = rt::join_all((1..=3u32).map(|n| async move {
///     runtime::yield_now().await;
///     n * n
/// }))
/// .await;
/// assert_eq!(squares, [1, 4, 9]);
/// # });
/// ```
#[track_caller]
pub fn join_all<I, F>(futures: I) -> JoinAll<F::Output>
where
    I: IntoIterator<Item = F>,
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    JoinAll(Gathering::new(futures, OnError::Cancel, Whole, location))
}

/// The future of [`join_all`] and [`gather_settled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct JoinAll<T>(Gathering<T, Infallible>);

impl<T> Future for JoinAll<T> {
    type Output = Vec<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        self.0.poll_values(cx).map(|values| match values {
            Ok(values) => values,
        })
    }
}

/// Runs futures in parallel, each as a task, and gives every result in the order of the input (asyncio's
/// `gather` with `return_exceptions=True`).
///
/// It is [`join_all`] of futures that return a `Result`: errors stop nobody.
///
/// # Cancel safety
///
/// As [`join_all`].
///
/// # Panics
///
/// As [`join_all`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let texts = ["1", "x", "3"];
/// let numbers = rt::gather_settled(texts.map(|text| async { text.parse::<u32>() })).await;
/// assert_eq!(numbers.iter().flatten().collect::<Vec<_>>(), [&1, &3]);
/// # });
/// ```
#[track_caller]
pub fn gather_settled<I, F, T, E>(futures: I) -> JoinAll<Result<T, E>>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    join_all(futures)
}

/// Runs futures in parallel, each as a task, and gives their values in the order of the input, or the first
/// error at once; the other tasks then run on (as with asyncio's `gather`).
///
/// The tasks are spawned at the first poll. An error that comes after the first goes to the runtime's
/// [`on_unhandled`](rt_tasks_runtime::Builder::on_unhandled), as does a panic. A panic that comes first cancels
/// the others, awaits them and is raised again here. Without futures the result is empty at once.
///
/// Where the others should not run on use [`try_gather`]; to see every error use [`gather_settled`].
///
/// # Cancel safety
///
/// Dropping it before it is ready cancels the tasks, and the scope around awaits them. What they had computed is
/// lost.
///
/// # Errors
///
/// The first error of a task, first in time.
///
/// # Panics
///
/// As [`join_all`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let numbers = rt::gather(["1", "2"].map(|text| async { text.parse::<u32>() })).await?;
/// assert_eq!(numbers, [1, 2]);
/// assert!(rt::gather(["1", "x"].map(|text| async { text.parse::<u32>() })).await.is_err());
/// # Ok::<(), rt::BoxError>(()) }).unwrap();
/// ```
#[track_caller]
pub fn gather<I, F, T, E>(futures: I) -> Gather<T, E>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let location = Location::caller();
    Gather(Gathering::new(futures, OnError::RunOn, Fallible, location))
}

/// Runs futures in parallel, each as a task, and gives their values in the order of the input; the first error
/// cancels the other tasks and awaits them.
///
/// The tasks are spawned at the first poll. Errors and panics of tasks that were ending meanwhile go to the runtime's
/// [`on_unhandled`](rt_tasks_runtime::Builder::on_unhandled); a [`TaskGroup`](crate::TaskGroup) keeps them all.
///
/// # Cancel safety
///
/// As [`gather`].
///
/// # Errors
///
/// The first error of a task, once all of them are through, cleanup included.
///
/// # Panics
///
/// As [`join_all`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use std::future::pending;
/// # runtime::block_on(async {
/// let sleepy = async |text: &str| if text.is_empty() { pending().await } else { text.parse::<u32>() };
/// assert!(rt::try_gather(["", "x"].map(move |text| sleepy(text))).await.is_err());
/// # });
/// ```
#[track_caller]
pub fn try_gather<I, F, T, E>(futures: I) -> Gather<T, E>
where
    I: IntoIterator<Item = F>,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let location = Location::caller();
    Gather(Gathering::new(futures, OnError::Cancel, Fallible, location))
}

/// The future of [`gather`] and [`try_gather`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<T, E>(Gathering<T, E>);

impl<T, E> Future for Gather<T, E> {
    type Output = Result<Vec<T>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_values(cx)
    }
}
