//! `CancelScope`: a part of a task that can be cancelled by itself, from anywhere.
//!
//! How requests reach the body is in [`control`](super::control).

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Cancelled;
use super::body::{ScopeEnd, ScopedBody, Strike};
use super::control::{Asked, Control, Requests, Seen};
use crate::coop;
use crate::time::{Instant, Sleep, sleep_until};

/// A part of a task that can be cancelled by itself: from any thread, by a deadline that may be moved, at once
/// or with grace.
///
/// [`run`](Self::run) runs a future in it. A cancelled scope drops that future where it is suspended, awaits the
/// cleanup that it registered, and gives [`Cancelled`]; everything inside goes with it, and nothing outside is
/// touched. Clones are handles to the same scope.
///
/// Of nested scopes that are cancelled the outermost one wins. A scope that was cancelled stays so.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use rt::CancelScope;
/// rt::block_on(async {
///     let scope = CancelScope::new();
///     let handle = scope.clone();
///     std::thread::spawn(move || handle.cancel_with("enough"));
///     let cancelled = scope.run(std::future::pending::<()>()).await.unwrap_err();
///     assert_eq!(cancelled.reason(), Some("enough"));
///     assert!(scope.caught());
/// });
/// ```
#[derive(Clone)]
#[doc(alias = "CancellationToken")]
pub struct CancelScope {
    control: Arc<Control>,
    at: &'static Location<'static>,
}

impl CancelScope {
    /// A scope without a deadline.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A scope that is cancelled at `deadline`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::{CancelScope, Instant};
    /// let deadline = Instant::now();
    /// let scope = CancelScope::with_deadline(deadline);
    /// assert_eq!(scope.deadline(), Some(deadline));
    /// assert!(rt::block_on(scope.run(std::future::pending::<()>())).is_err());
    /// ```
    #[track_caller]
    #[must_use]
    pub fn with_deadline(deadline: Instant) -> Self {
        Self::with(Some(deadline))
    }

    /// A scope that is cancelled when `limit` has passed since this call.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// # use std::time::Duration;
    /// let scope = CancelScope::with_timeout(Duration::from_millis(1));
    /// assert!(rt::block_on(scope.run(std::future::pending::<()>())).is_err());
    /// assert!(scope.expired() && scope.caught());
    /// ```
    #[track_caller]
    #[must_use]
    pub fn with_timeout(limit: Duration) -> Self {
        Self::with(Some(Instant::now().saturating_add(limit)))
    }

    #[track_caller]
    fn with(deadline: Option<Instant>) -> Self {
        Self {
            control: Arc::new(Control::new(deadline)),
            at: Location::caller(),
        }
    }

    /// Runs `body` in the scope.
    ///
    /// If the scope is cancelled before the first poll the body never runs. A deadline that has passed by then lets
    /// it run up to its first suspension point, as a [`timeout`](crate::timeout) of zero does.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the body; cleanup that the body registered goes to the scope around.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the body was dropped because this scope was cancelled, or its time was up.
    ///
    /// # Panics
    ///
    /// At the caller's line, if another body runs in the scope already: one at a time, so that
    /// [`caught`](Self::caught) and [`expired`](Self::expired) say something.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// # use std::time::Duration;
    /// rt::block_on(async {
    ///     let scope = CancelScope::with_timeout(Duration::from_millis(1));
    ///     assert!(scope.run(std::future::pending::<()>()).await.is_err());
    ///     assert!(scope.expired());
    ///     assert_eq!(CancelScope::new().run(async { 7 }).await.unwrap(), 7);
    /// });
    /// ```
    #[track_caller]
    pub fn run<F: Future>(&self, body: F) -> RunScope<F> {
        let at = Location::caller();
        if let Some(other) = self.control.begin(at) {
            panic!(
                "CancelScope::run while the scope runs another body, since {other}: make a scope for each"
            );
        }
        RunScope {
            body: ScopedBody::controlled(body, self.control.clone(), at),
            running: Running {
                control: self.control.clone(),
                at: self.at,
                seen: Seen::default(),
                requests: Requests::default(),
                grace_ends: None,
                sleep: None,
                asked: None,
                is_caught: false,
                is_over: Over::No,
            },
        }
    }

    /// Cancels the scope; true if nobody has before.
    ///
    /// The body is dropped when it is next polled: at once if it is suspended. Called from inside the body it
    /// takes effect at the next suspension point.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// let scope = CancelScope::new();
    /// assert!(scope.cancel());
    /// assert!(!scope.cancel());
    /// assert!(rt::block_on(scope.run(async { 7 })).is_err(), "the body never ran");
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.control
            .cancel(Cancelled::new(None, Location::caller()))
    }

    /// Like [`cancel`](Self::cancel), with a reason. The first one is kept.
    #[track_caller]
    pub fn cancel_with(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        let at = Location::caller();
        self.control.cancel(Cancelled::new(Some(reason.into()), at))
    }

    /// Asks the body to end by itself: [`cancelled`](crate::cancelled()) resolves in it and in the children of its
    /// groups, and functions of [`on_cancel`](crate::on_cancel()) are called. After `grace` it is cancelled.
    ///
    /// True if nobody has cancelled it before. The grace counts from when the body is next polled; of several ones
    /// the shortest counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// # use std::time::Duration;
    /// rt::block_on(async {
    ///     let scope = CancelScope::new();
    ///     scope.cancel_gracefully(Duration::from_secs(10));
    ///     let ended = scope.run(async {
    ///         rt::cancelled().await;
    ///         "said goodbye"
    ///     });
    ///     assert_eq!(ended.await.unwrap(), "said goodbye");
    /// });
    /// ```
    #[track_caller]
    pub fn cancel_gracefully(&self, grace: Duration) -> bool {
        let cancelled = Cancelled::new(None, Location::caller());
        self.control.cancel_gracefully(grace, cancelled)
    }

    /// Whether it was cancelled: by a call, in whatever way, or by its deadline.
    ///
    /// The body may have given its value all the same; [`caught`](Self::caught) says whether it was dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// let scope = CancelScope::new();
    /// let value = rt::block_on(scope.run(async {
    ///     scope.cancel();
    ///     7
    /// }));
    /// assert_eq!(value.unwrap(), 7, "nothing to wait for came after the request");
    /// assert!(scope.cancel_called() && !scope.caught());
    /// ```
    #[must_use]
    pub fn cancel_called(&self) -> bool {
        self.control.was_asked()
    }

    /// Whether the last body that ran in it was dropped because it was cancelled.
    #[must_use]
    pub fn caught(&self) -> bool {
        self.control.is_caught()
    }

    /// The moment at which it is cancelled, if there is one.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.control.deadline()
    }

    /// Moves the deadline, forward or back, or takes it away. One in the past takes effect at once.
    ///
    /// # Errors
    ///
    /// [`Expired`] if the deadline of before has passed and taken effect.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # use rt::CancelScope;
    /// # use std::time::Duration;
    /// rt::block_on(async {
    ///     let scope = CancelScope::with_timeout(Duration::from_millis(1));
    ///     scope.set_deadline(None)?;
    ///     let slept = scope.run(rt::sleep(Duration::from_millis(5))).await;
    ///     assert!(slept.is_ok() && !scope.expired());
    ///     # Ok::<(), rt::Expired>(())
    /// }).unwrap();
    /// ```
    pub fn set_deadline(&self, deadline: Option<Instant>) -> Result<(), Expired> {
        if self.control.set_deadline(deadline) {
            Ok(())
        } else {
            Err(Expired(()))
        }
    }

    /// Whether its deadline passed before its body was through, whoever or whatever ended that.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.control.is_expired()
    }
}

impl Default for CancelScope {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope")
            .field("cancel_called", &self.cancel_called())
            .field("caught", &self.caught())
            .field("expired", &self.expired())
            .field("deadline", &self.deadline())
            .field("at", &self.at)
            .finish()
    }
}

/// The deadline has passed: it cannot be moved any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired(());

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline of the scope has passed already")
    }
}

impl std::error::Error for Expired {}

pin_project_lite::pin_project! {
    /// The future of [`CancelScope::run`].
    #[project = RunScopeParts]
    #[must_use = "futures do nothing unless awaited"]
    pub struct RunScope<F: Future> {
        #[pin]
        body: ScopedBody<F>,
        // After the body: dropped by a stranger, the scope is free once the body is gone.
        running: Running,
    }
}

/// What the runner of a body knows, without the type of the body.
struct Running {
    control: Arc<Control>,
    /// Where the scope was made.
    at: &'static Location<'static>,
    seen: Seen,
    /// As of the last look.
    requests: Requests,
    /// When the grace is over that was asked for, and how long it was.
    grace_ends: Option<(Duration, Instant)>,
    /// Armed only when the body is not through at once.
    sleep: Option<Sleep>,
    /// What is being delivered: a shield may hold it back.
    asked: Option<(Asked, Cancelled)>,
    is_caught: bool,
    is_over: Over,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Over {
    No,
    /// The body is through, its cleanup may not be.
    Body,
    Everything,
}

impl Running {
    /// Looks for what is new.
    fn look(&mut self, cx: &Context<'_>) {
        let Some(requests) = self.control.look(&mut self.seen, cx.waker()) else {
            return;
        };
        self.requests = requests;
        self.grace_ends = match (&self.requests.graceful, self.grace_ends) {
            (Some((grace, _)), Some((before, at))) if before == *grace => Some((before, at)),
            (Some((grace, _)), before) => {
                let at = Instant::now().saturating_add(*grace);
                Some((*grace, before.map_or(at, |(_, before)| before.min(at))))
            }
            (None, _) => None,
        };
        if let Some(sleep) = &mut self.sleep {
            match next(&self.requests, self.grace_ends) {
                Some(next) if next != sleep.deadline() => sleep.reset(next),
                Some(_) => {}
                None => self.sleep = None,
            }
        }
    }

    /// What there is to deliver now, if anything.
    fn due(&mut self, cx: &mut Context<'_>) -> Option<&Cancelled> {
        if self.asked.is_none() {
            self.asked = match self.requests.cancelled.take() {
                Some(cancelled) => Some((Asked::Cancel, cancelled)),
                None => self.due_by_time(cx),
            };
        }
        self.asked.as_ref().map(|(_, cancelled)| cancelled)
    }

    fn due_by_time(&mut self, cx: &mut Context<'_>) -> Option<(Asked, Cancelled)> {
        if Pin::new(self.sleep.as_mut()?).poll(cx).is_pending() {
            return None;
        }
        let now = Instant::now();
        if self.control.expire(now) {
            return Some((Asked::Deadline, Cancelled::late(self.at)));
        }
        let (_, ends) = self.grace_ends?;
        let (_, cancelled) = self.requests.graceful.as_ref()?;
        (ends <= now).then(|| (Asked::Grace, cancelled.clone()))
    }

    /// Regions inside caught what was being delivered.
    fn passed_on(&mut self, cx: &Context<'_>) {
        if let Some((asked, _)) = self.asked.take() {
            self.control.passed_on(asked);
            // What is left to wait for is armed after the body.
            self.sleep = None;
            self.look(cx);
        }
    }

    /// Has the body polled again when its time is up.
    fn arm(&mut self, cx: &mut Context<'_>) {
        if self.asked.is_some() || self.sleep.is_some() {
            // What is there was polled before the body.
            return;
        }
        let Some(next) = next(&self.requests, self.grace_ends) else {
            return;
        };
        let sleep = self.sleep.insert(sleep_until(next));
        if Pin::new(sleep).poll(cx).is_ready() {
            // Not now: a scope around may be late too, and is asked first in the next poll.
            coop::again(cx);
        }
    }
}

/// When the time of the body is up.
fn next(requests: &Requests, grace_ends: Option<(Duration, Instant)>) -> Option<Instant> {
    let grace_ends = grace_ends.map(|(_, at)| at);
    requests.deadline.into_iter().chain(grace_ends).min()
}

impl Running {
    /// The body is through or dropped.
    fn body_ended(&mut self) {
        if self.is_over == Over::No {
            self.is_over = Over::Body;
            if self.requests.deadline.is_some() {
                // Whatever ended the body, the deadline may have passed before (rules T2 and T7).
                self.control.expire(Instant::now());
            }
        }
    }

    /// The scope is free for another body.
    fn end(&mut self) {
        self.body_ended();
        if self.is_over != Over::Everything {
            self.is_over = Over::Everything;
            self.control.end(self.is_caught);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl<F: Future> Future for RunScope<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let RunScopeParts { mut body, running } = self.project();
        if !body.has_ended() {
            // Before the body: of nested scopes that are all cancelled the outermost wins (rules T2 and T3).
            running.look(cx);
            if let Some(cancelled) = body.take_given_back() {
                running.asked.get_or_insert((Asked::Cancel, cancelled));
            }
            if let Some(cancelled) = running.due(cx) {
                match body.as_mut().strike(cx, cancelled) {
                    Strike::Held => {}
                    Strike::Caught => running.passed_on(cx),
                    Strike::Dropped => running.is_caught = true,
                }
            }
        }
        let end = match body.as_mut().poll_scope(cx) {
            Poll::Ready(end) => end,
            Poll::Pending if body.has_ended() => {
                running.body_ended();
                return Poll::Pending;
            }
            Poll::Pending => {
                running.arm(cx);
                return Poll::Pending;
            }
        };
        running.end();
        Poll::Ready(match end {
            ScopeEnd::Value(value) => Ok(value),
            ScopeEnd::Dropped => {
                let (_, cancelled) = running.asked.take().expect("it is dropped when asked");
                Err(cancelled)
            }
        })
    }
}

impl<F: Future> fmt::Debug for RunScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunScope")
            .field("body", &self.body)
            .field("made_at", &self.running.at)
            .finish_non_exhaustive()
    }
}
