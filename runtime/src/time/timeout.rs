//! `timeout`: a scope with a deadline.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Instant, Sleep, sleep_until};
use crate::cancel::{Cancelled, ScopeEnd, ScopedBody, Strike};
use crate::coop;

/// Runs `body` for at most `limit`; then drops it where it is suspended, awaits the cleanup it registered, and
/// returns [`Elapsed`].
///
/// The time counts from the first poll. The body runs in the same task, up to its first suspension point even
/// if the limit is zero; a body that is through by then gives its value. A body that catches the cancellation with
/// [`catch_cancel`](crate::catch_cancel()) gives its value too, late.
///
/// # Cancel safety
///
/// Dropping it drops the body; cleanup that the body registered goes to the scope around.
///
/// # Errors
///
/// [`Elapsed`] if the time was up first.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::time::Duration;
/// rt::block_on(async {
///     let limit = Duration::from_millis(1);
///     assert!(rt::timeout(limit, std::future::pending::<()>()).await.is_err());
///     assert_eq!(rt::timeout(limit, async { 7 }).await.unwrap(), 7);
/// });
/// ```
#[inline]
#[track_caller]
#[doc(alias = "wait_for")]
pub fn timeout<F: Future>(limit: Duration, body: F) -> Timeout<F> {
    Timeout::new(Limit::After(limit), body, Location::caller())
}

/// Runs `body` until `deadline` at the latest; see [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] if the deadline came first.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let now = rt::Instant::now();
///     let elapsed = rt::timeout_at(now, std::future::pending::<()>()).await.unwrap_err();
///     assert_eq!(elapsed.deadline(), now);
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, body: F) -> Timeout<F> {
    Timeout::new(Limit::At(deadline), body, Location::caller())
}

/// The time was up before the body was through.
#[derive(Clone, Debug)]
pub struct Elapsed {
    deadline: Instant,
    limit: Option<Duration>,
    at: &'static Location<'static>,
}

impl Elapsed {
    /// Plumbing for the structured forms.
    #[doc(hidden)]
    #[must_use]
    pub fn at_deadline(deadline: Instant, at: &'static Location<'static>) -> Self {
        Self {
            deadline,
            limit: None,
            at,
        }
    }

    /// The moment at which the time was up.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The line that set the limit.
    #[must_use]
    pub fn at(&self) -> &'static Location<'static> {
        self.at
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "timed out after {limit:?} (limit set at {})", self.at),
            None => write!(f, "timed out at its deadline (set at {})", self.at),
        }
    }
}

impl std::error::Error for Elapsed {}

#[derive(Clone, Copy, Debug)]
enum Limit {
    After(Duration),
    At(Instant),
}

/// The clock was read just before the first poll of the body. It is not read again after that poll for a limit from here
/// on, of which the poll has most likely used up little. Reading it takes 25 ns, a timeout that does not elapse 200.
const LONG: Duration = Duration::from_millis(1);

/// How far the time of a body is.
#[derive(Clone, Copy, Debug)]
enum Time {
    /// It counts from the first poll.
    NotBegun,
    EndsAt(Instant),
    /// It was up, and the body was dropped.
    Elapsed(Instant),
    /// It was up, and a region inside the body caught that.
    Caught,
}

pin_project_lite::pin_project! {
    /// The future of [`timeout`].
    #[project = TimeoutParts]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F: Future> {
        #[pin]
        body: ScopedBody<F>,
        // Armed only when the body is not through at once: most are.
        sleep: Option<Sleep>,
        limit: Limit,
        time: Time,
        at: &'static Location<'static>,
    }
}

impl<F: Future> Timeout<F> {
    #[inline]
    fn new(limit: Limit, body: F, at: &'static Location<'static>) -> Self {
        Self {
            body: ScopedBody::new(body, at),
            sleep: None,
            limit,
            time: Time::NotBegun,
            at,
        }
    }
}

impl<F: Future> TimeoutParts<'_, F> {
    /// The time counts from now.
    fn begin(&mut self) {
        let deadline = match *self.limit {
            Limit::After(limit) => Instant::now().saturating_add(limit),
            Limit::At(deadline) => deadline,
        };
        *self.time = Time::EndsAt(deadline);
        self.body.set_deadline(Some(deadline));
    }

    /// Ends the body if the time is up and nothing shields it.
    fn strike(&mut self, cx: &mut Context<'_>) {
        if let (Time::Caught, Some(sleep)) = (*self.time, &self.sleep) {
            if self.body.take_given_back().is_some() {
                *self.time = Time::EndsAt(sleep.deadline());
            }
        }
        let (Time::EndsAt(deadline), Some(sleep)) = (*self.time, self.sleep.as_mut()) else {
            return;
        };
        if self.body.has_ended() || Pin::new(sleep).poll(cx).is_pending() {
            return;
        }
        match self.body.as_mut().strike(cx, &Cancelled::late(self.at)) {
            Strike::Held => {}
            Strike::Caught => {
                *self.time = Time::Caught;
                self.body.set_deadline(None);
            }
            Strike::Dropped => *self.time = Time::Elapsed(deadline),
        }
    }

    /// Has the body polled again when the time is up.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let (Time::EndsAt(deadline), None) = (*self.time, &self.sleep) else {
            return;
        };
        let sleep = self.sleep.insert(sleep_until(deadline));
        if matches!(*self.limit, Limit::After(limit) if limit >= LONG) {
            return sleep.arm_unseen(cx);
        }
        if Pin::new(sleep).poll(cx).is_ready() {
            // Not now: a scope around may be late too, and is asked first in the next poll.
            coop::again(cx);
        }
    }

    fn elapsed(&self, deadline: Instant) -> Elapsed {
        Elapsed {
            deadline,
            limit: match *self.limit {
                Limit::After(limit) => Some(limit),
                Limit::At(_) => None,
            },
            at: self.at,
        }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Time::NotBegun = *this.time {
            this.begin();
        }
        // Before the body: of nested scopes whose deadlines have all passed the outermost wins (rule T3).
        this.strike(cx);
        match (this.body.as_mut().poll_scope(cx), *this.time) {
            (Poll::Ready(ScopeEnd::Value(value)), _) => Poll::Ready(Ok(value)),
            (Poll::Ready(ScopeEnd::Dropped), Time::Elapsed(deadline)) => {
                Poll::Ready(Err(this.elapsed(deadline)))
            }
            (Poll::Ready(ScopeEnd::Dropped), _) => unreachable!("it is dropped when late"),
            (Poll::Pending, _) => {
                if !this.body.has_ended() {
                    this.arm(cx);
                }
                Poll::Pending
            }
        }
    }
}

impl<F: Future> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("limit", &self.limit)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}
