//! `ScopedBody`: a future that runs a body in a scope of its own, and is over when the cleanup is too.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Cancelled;
use super::catch::Passed;
use super::cleanup::{CleanupFailure, caught, raise_after_drop};
use super::control::Control;
use super::scope::Scope;
use crate::coop;
use crate::task::Panic;
use crate::time::Instant;

/// How the body of a scope ended.
#[doc(hidden)]
#[derive(Debug)]
pub enum ScopeEnd<T> {
    /// With its value.
    Value(T),
    /// It was dropped where it was suspended.
    Dropped,
}

/// The same, or its panic.
#[doc(hidden)]
pub type BodyEnd<T> = Result<ScopeEnd<T>, Panic>;

/// What came of asking a body to end.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Strike {
    /// A shield holds it back; ask again in the next poll, which comes when that may have changed.
    Held,
    /// Regions inside caught it; the body goes on.
    Caught,
    /// The body was dropped.
    Dropped,
}

pin_project_lite::pin_project! {
    /// A body in a scope of its own: polled together with its cleanup, over when both are through.
    #[doc(hidden)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct ScopedBody<F: Future> {
        #[pin]
        body: Option<F>,
        end: Option<BodyEnd<F::Output>>,
        scope: Scope,
        place: &'static Location<'static>,
    }

    impl<F: Future> PinnedDrop for ScopedBody<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this;
            let dropped = match this.body {
                Some(_) => this.as_mut().drop_now(),
                None => Ok(()),
            };
            this.scope.hand_over();
            let failures = this.scope.take_failures();
            failures.into_iter().for_each(CleanupFailure::tell);
            raise_after_drop(dropped);
        }
    }
}

impl<F: Future> ScopedBody<F> {
    #[inline]
    pub fn new(body: F, place: &'static Location<'static>) -> Self {
        Self::in_scope(body, Scope::of_body(), place)
    }

    /// A body that a `CancelScope` runs.
    pub(super) fn controlled(
        body: F,
        control: Arc<Control>,
        place: &'static Location<'static>,
    ) -> Self {
        Self::in_scope(body, Scope::of_control(control), place)
    }

    #[inline]
    fn in_scope(body: F, scope: Scope, place: &'static Location<'static>) -> Self {
        Self {
            body: Some(body),
            end: None,
            scope,
            place,
        }
    }

    /// Says until when the body may run, for those inside who ask.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.scope.set_deadline(deadline);
    }

    /// Keeps what goes wrong in the cleanup of the body, and of scopes inside it, for [`take_failures`].
    ///
    /// [`take_failures`]: Self::take_failures
    pub fn collect_failures(self) -> Self {
        self.scope.collect_failures();
        self
    }

    /// What went wrong in cleanup so far. What nobody takes is told when the body is dropped.
    pub fn take_failures(&self) -> Vec<CleanupFailure> {
        self.scope.take_failures()
    }

    /// Asks the body to end: drops it where it is suspended, or has the regions end that catch it.
    pub fn strike(self: Pin<&mut Self>, cx: &mut Context<'_>, cancelled: &Cancelled) -> Strike {
        self.strike_unless(cx, |scope| scope.pass_on(cancelled))
    }

    /// The same for a request that a scope around has passed on.
    pub(super) fn strike_for(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        asked: &Arc<Passed>,
    ) -> Strike {
        self.strike_unless(cx, |scope| scope.pass(asked))
    }

    fn strike_unless(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        is_caught: impl FnOnce(&Scope) -> bool,
    ) -> Strike {
        self.scope.raise_signal();
        if self.scope.poll_unshielded(cx, self.place).is_pending() {
            return Strike::Held;
        }
        if is_caught(&self.scope) {
            self.scope.lower_signal();
            return Strike::Caught;
        }
        self.drop_body();
        Strike::Dropped
    }

    /// A request that regions caught and that none of them ended for: to be delivered again. The body is polled once
    /// more when there is one.
    pub fn take_given_back(&self) -> Option<Cancelled> {
        self.scope.take_given_back()
    }

    /// Whether the body is through or dropped, and only cleanup is left.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The value, once the body gave one and until the scope is over.
    pub fn value(&self) -> Option<&F::Output> {
        match &self.end {
            Some(Ok(ScopeEnd::Value(value))) => Some(value),
            _ => None,
        }
    }

    /// Drops the body where it is suspended; from then on only its cleanup is polled.
    pub fn drop_body(mut self: Pin<&mut Self>) {
        if !self.has_ended() {
            let dropped = self.as_mut().drop_now();
            *self.project().end = Some(dropped.map(|()| ScopeEnd::Dropped));
        }
    }

    /// Drops the body with its scope as the innermost; what its destructors register is cleanup of that.
    fn drop_now(self: Pin<&mut Self>) -> Result<(), Panic> {
        let mut this = self.project();
        caught(|| this.scope.unwind(|| this.body.set(None)))
    }

    /// Polls the body.
    fn poll_body(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.as_mut().project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return;
        };
        let end = match caught(|| this.scope.enter(|| body.poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(value)) => Ok(ScopeEnd::Value(value)),
            Err(panic) => Err(panic),
        };
        let dropped = self.as_mut().drop_now();
        *self.project().end = Some(dropped.and(end));
    }

    /// Polls body and cleanup. A panic of the body is raised again once the cleanup is through.
    pub fn poll_scope(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ScopeEnd<F::Output>> {
        self.poll_end(cx)
            .map(|end| end.unwrap_or_else(|panic| panic.resume()))
    }

    /// The same, for those who do something else with a panic than raise it.
    pub fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BodyEnd<F::Output>> {
        if !self.has_ended() {
            self.as_mut().poll_body(cx);
        }
        let this = self.project();
        if this.end.is_none() {
            this.scope.poll_beside(cx);
            if this.scope.is_given_back() {
                coop::again(cx);
            }
            return Poll::Pending;
        }
        if this.scope.poll_end(cx, this.place).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(this.end.take().expect("checked above"))
    }
}

impl<F: Future> std::fmt::Debug for ScopedBody<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScopedBody")
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
