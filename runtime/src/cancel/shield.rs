//! `shield`: a part of a body that cancellation waits for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use super::cleanup::current_shields;

/// Defers the cancellation of the innermost scope until `body` is through.
///
/// The request is noted; it takes effect at the first suspension point after `body`. Shutdown of the runtime
/// waits for it within its grace.
///
/// # Cancel safety
///
/// Dropping it by hand, or as the loser of a race, drops `body` at once: the shield is against cancellation
/// of the scope, not against its owner.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let task = rt::spawn(async {
///         rt::shield(async { rt::yield_now().await; rt::yield_now().await }).await;
///         7
///     });
///     rt::yield_now().await;
///     task.cancel();
///     assert_eq!(task.await.unwrap(), 7, "nothing to wait for came after the shield");
/// });
/// ```
pub fn shield<F: Future>(body: F) -> Shield<F> {
    Shield { body, raised: None }
}

pin_project_lite::pin_project! {
    /// The future of [`shield`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Shield<F> {
        #[pin]
        body: F,
        raised: Option<Raised>,
    }
}

/// A shield that is up: it counts in its scope.
struct Raised(Arc<AtomicUsize>);

impl Raised {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.raised.is_none() {
            *this.raised = current_shields().map(Raised::new);
        }
        let poll = this.body.poll(cx);
        if poll.is_ready() {
            *this.raised = None;
        }
        poll
    }
}

impl<F> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield")
            .field("is_up", &self.raised.is_some())
            .finish_non_exhaustive()
    }
}
