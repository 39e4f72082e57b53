//! `for_each_concurrent`: the items of a stream, several at once, inside the calling task.
//!
//! In the calling task and not as tasks, so that the futures may borrow and need not be `Send`: whoever wants
//! parallelism spawns in them, or uses a group. Each future has its own bell (see
//! [`ready_list`](crate::waiting)), so a wake-up costs one poll of one future, however many there are.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use pin_project_lite::pin_project;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::{self, WaitKind};

use crate::waiting::ReadyList;

/// Calls `f` with each item of a stream and awaits the futures that it gives, at most `n` at once.
///
/// They run in the calling task, concurrently but not in parallel, so they may borrow. The stream is asked for the
/// next item as soon as fewer than `n` are under way.
///
/// # Cancel safety
///
/// Dropping it drops the stream and the futures where they wait; the scope around awaits their cleanup. Items that
/// were taken and not finished are lost.
///
/// # Panics
///
/// If `n` is zero. A panic of the stream, of `f` or of a future is raised here, and drops the others.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use std::cell::RefCell;
/// use rt::stream::{for_each_concurrent, generate};
///
/// # runtime::block_on(async {
/// let urls = generate(|y| async move {
///     for number in [30, 10, 20] {
///         y.put(number).await;
///     }
/// });
/// let done = RefCell::new(vec![]);
/// for_each_concurrent(urls, 2, async |number| {
///     runtime::sleep(std::time::Duration::from_millis(number)).await;
///     done.borrow_mut().push(number);
/// })
/// .await;
/// assert_eq!(done.into_inner(), [10, 30, 20]);
/// # });
/// ```
#[track_caller]
#[doc(alias = "buffer_unordered")]
pub fn for_each_concurrent<S, F, B>(stream: S, n: usize, f: F) -> ForEachConcurrent<S, F, B>
where
    S: Stream,
    F: FnMut(S::Item) -> B,
    B: Future<Output = ()>,
{
    assert!(n > 0, "with no item at once there would be no end");
    ForEachConcurrent {
        stream: Some(stream),
        f,
        limit: n,
        running: Running {
            places: Vec::new(),
            free: Vec::new(),
            ready: Arc::default(),
        },
    }
}

pin_project! {
    /// The future of [`for_each_concurrent`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct ForEachConcurrent<S, F, B> {
        // None once it is over.
        #[pin]
        stream: Option<S>,
        f: F,
        limit: usize,
        running: Running<B>,
    }
}

/// The futures under way. Places are used again, so there are never more than the limit.
struct Running<B> {
    places: Vec<Place<B>>,
    free: Vec<usize>,
    ready: Arc<ReadyList>,
}

struct Place<B> {
    future: Pin<Box<Option<B>>>,
    bell: Waker,
}

impl<B: Future<Output = ()>> Running<B> {
    fn n_running(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Polls one future; frees its place when it is through.
    fn poll(&mut self, index: usize) {
        let place = &mut self.places[index];
        // It may have rung in its last poll.
        let Some(future) = place.future.as_mut().as_pin_mut() else {
            return;
        };
        if future
            .poll(&mut Context::from_waker(&place.bell))
            .is_ready()
        {
            place.future.set(None);
            self.free.push(index);
        }
    }

    /// Begins one more.
    fn start(&mut self, future: B) {
        let index = match self.free.pop() {
            Some(index) => {
                self.places[index].future.set(Some(future));
                index
            }
            None => {
                let index = self.places.len();
                self.places.push(Place {
                    future: Box::pin(Some(future)),
                    bell: self.ready.bell(index),
                });
                index
            }
        };
        self.poll(index);
    }
}

impl<S, F, B> Future for ForEachConcurrent<S, F, B>
where
    S: Stream,
    F: FnMut(S::Item) -> B,
    B: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        for _ in 0..this.running.ready.watch(cx) {
            let Some(index) = this.running.ready.pop() else {
                break;
            };
            this.running.poll(index);
        }
        while this.running.n_running() < *this.limit {
            let Some(stream) = this.stream.as_mut().as_pin_mut() else {
                break;
            };
            // A stream and futures that never wait must not keep the task to themselves.
            if coop::poll_proceed(cx).is_pending() {
                return Poll::Pending;
            }
            match stream.poll_next(cx) {
                Poll::Ready(Some(item)) => this.running.start((this.f)(item)),
                Poll::Ready(None) => this.stream.set(None),
                Poll::Pending => {
                    coop::restore();
                    break;
                }
            }
        }
        if this.stream.is_none() && this.running.n_running() == 0 {
            Poll::Ready(())
        } else {
            wait::goes_on(WaitKind::Parts, 0);
            Poll::Pending
        }
    }
}

impl<S, F, B> fmt::Debug for ForEachConcurrent<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEachConcurrent")
            .field("limit", &self.limit)
            .field("stream_is_over", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}
