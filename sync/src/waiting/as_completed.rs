//! `as_completed`: the results of tasks as they come.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use rt_tasks_runtime::wait::WaitKind;
use rt_tasks_runtime::{JoinError, JoinHandle};

use super::ready_list::ReadyList;
use super::wait::hang_bells;

/// A stream of the results of tasks, each with its index, in the order in which the tasks end.
///
/// # Cancel safety
///
/// Dropping what waits for the next item loses nothing. Dropping the stream detaches the tasks that are left:
/// they run on.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// use futures_lite::StreamExt;
///
/// # runtime::block_on(async {
/// let first = runtime::spawn(async { 1 });
/// let mut results = rt::as_completed([first, runtime::spawn(async { 2 })]);
/// let mut sum = 0;
/// while let Some((index, result)) = results.next().await {
///     let value = result.unwrap();
///     assert_eq!(index + 1, value);
///     sum += value;
/// }
/// assert_eq!(sum, 3);
/// # });
/// ```
pub fn as_completed<I, T>(handles: I) -> AsCompleted<T>
where
    I: IntoIterator<Item = JoinHandle<T>>,
{
    let handles: Vec<_> = handles.into_iter().map(Some).collect();
    AsCompleted {
        n_left: handles.len(),
        handles,
        ready: Arc::default(),
        has_bells: false,
    }
}

/// The stream of [`as_completed`].
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<T> {
    /// None where the result was given.
    handles: Vec<Option<JoinHandle<T>>>,
    n_left: usize,
    ready: Arc<ReadyList>,
    has_bells: bool,
}

impl<T> AsCompleted<T> {
    /// How many results are still to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n_left
    }

    /// Whether every result was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_left == 0
    }
}

impl<T> Unpin for AsCompleted<T> {}

impl<T> Stream for AsCompleted<T> {
    type Item = (usize, Result<T, JoinError>);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_empty() {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut this.has_bells, true) {
            hang_bells(&mut this.handles, &this.ready);
        }
        this.ready.watch(cx);
        let Some(index) = this.ready.pop() else {
            this.ready.note(WaitKind::AnyTask, 0);
            return Poll::Pending;
        };
        let handle = &mut this.handles[index];
        let through = handle
            .as_mut()
            .expect("a task rings once, when it is through");
        let Poll::Ready(result) = Pin::new(through).poll(cx) else {
            // Only the budget of this poll can be lacking; then we are woken already.
            this.ready.push(index);
            return Poll::Pending;
        };
        *handle = None;
        this.n_left -= 1;
        Poll::Ready(Some((index, result)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_left, Some(self.n_left))
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("n_left", &self.n_left)
            .finish_non_exhaustive()
    }
}
