//! `shield`: a part of a body that cancellation waits for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::chain;
use super::shields::Raised;

/// Defers the cancellation of every scope around until `body` is through.
///
/// The request is noted; it takes effect at the first suspension point after `body`. It does not matter how many
/// scopes lie between the shield and the one that is cancelled: a `timeout` whose time is up waits for it
/// as the task does. A shield that holds a cancellation for over a second is reported, once; see
/// [`shield_within`] for one that is bounded. Shutdown of the runtime waits for it within its grace.
///
/// # Cancel safety
///
/// Dropping it by hand, or as the loser of a race, drops `body` at once: the shield is against cancellation
/// of the scopes around, not against its owner.
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
    Shield {
        body,
        limit: None,
        raised: None,
    }
}

/// Like [`shield`], but holds a cancellation back for at most `limit`, counted from when it would have taken
/// effect; then `body` is dropped like the rest.
///
/// # Cancel safety
///
/// As for [`shield`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// rt::block_on(async {
///     let limit = Duration::from_millis(5);
///     let stubborn = rt::shield_within(limit, std::future::pending::<()>());
///     assert!(rt::timeout(Duration::ZERO, stubborn).await.is_err());
/// });
/// ```
pub fn shield_within<F: Future>(limit: Duration, body: F) -> Shield<F> {
    Shield {
        body,
        limit: Some(limit),
        raised: None,
    }
}

pin_project_lite::pin_project! {
    /// The future of [`shield`] and [`shield_within`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Shield<F> {
        #[pin]
        body: F,
        limit: Option<Duration>,
        raised: Option<Raised>,
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.raised.is_none() {
            let mut scopes = Vec::new();
            chain::for_each(|scope| scopes.push(scope.shields()));
            *this.raised = Some(Raised::new(scopes, *this.limit));
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
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
