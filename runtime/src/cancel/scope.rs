//! The cleanup set of one scope, and the future that runs a body inside a scope of its own.
//!
//! # Invariants
//!
//! 1. A `Scope` is touched only by the thread that polls or drops its owner; the context points to it only
//!    meanwhile (context invariant 4).
//! 2. A cleanup future is in the set until it is through, is handed to the scope around, or is given up past
//!    the grace and reported.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context::{self, Restore};
use crate::task::{Header, Panic};
use crate::time::Sleep;
use crate::unhandled::Unhandled;

pub(crate) type CleanupFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One scope's part that outlives its body: cleanup under way, and cleanup that waits for the end.
#[derive(Default)]
pub(crate) struct Scope {
    /// Started, independent of each other; each queue runs front to back.
    active: RefCell<Vec<VecDeque<CleanupFuture>>>,
    /// For the end of the body, last in first out.
    deferred: RefCell<Vec<CleanupFuture>>,
    /// The body is being dropped: what its destructors register runs one after another, in the order of the
    /// drops, which is the reverse of the order in which the resources were acquired.
    unwinding: Cell<bool>,
    /// How many shields are up; shared with them, since a shield may be moved out of the scope's body.
    shields: OnceCell<Arc<AtomicUsize>>,
    grace: RefCell<Option<Pin<Box<Sleep>>>>,
}

// SAFETY: Invariant 1: one thread at a time; what is in it is `Send`.
unsafe impl Sync for Scope {}

impl Scope {
    pub(crate) fn is_shielded(&self) -> bool {
        self.shields
            .get()
            .is_some_and(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// The count that a shield raises while it is up.
    pub(crate) fn shields(&self) -> Arc<AtomicUsize> {
        self.shields.get_or_init(Arc::default).clone()
    }

    /// Whether the body is being dropped, so that whatever is dropped now goes with it.
    pub(crate) fn is_unwinding(&self) -> bool {
        self.unwinding.get()
    }

    fn is_empty(&self) -> bool {
        self.active.borrow().is_empty() && self.deferred.borrow().is_empty()
    }

    /// Starts cleanup now, beside whatever else is under way.
    pub(crate) fn start(&self, cleanup: CleanupFuture) {
        let mut active = self.active.borrow_mut();
        match active.last_mut() {
            Some(last) if self.unwinding.get() => last.push_back(cleanup),
            _ => active.push(VecDeque::from([cleanup])),
        }
    }

    /// Keeps cleanup for the end of the body.
    pub(crate) fn defer(&self, cleanup: CleanupFuture) {
        self.deferred.borrow_mut().push(cleanup);
    }

    /// Runs `f`, which drops the body or a part of it, with this scope as the innermost.
    pub(crate) fn unwind<R>(&self, f: impl FnOnce() -> R) -> R {
        context::with(|cx| {
            let _scope = Restore::set(&cx.scope, std::ptr::from_ref(self));
            let _unwinding = Restore::set(&self.unwinding, true);
            self.active.borrow_mut().push(VecDeque::new());
            let result = f();
            self.active.borrow_mut().retain(|chain| !chain.is_empty());
            result
        })
    }

    /// Runs `f`, which polls the body, with this scope as the innermost.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        context::with(|cx| {
            let _scope = Restore::set(&cx.scope, std::ptr::from_ref(self));
            f()
        })
    }

    /// Polls what is under way, beside the body.
    pub(crate) fn poll_beside(&self, cx: &mut Context<'_>) {
        if self.active.borrow().is_empty() {
            return;
        }
        // Cleanup may register cleanup: the set is not borrowed while its futures run.
        let mut active = self.active.take();
        self.enter(|| {
            active.retain_mut(|chain| {
                while let Some(first) = chain.front_mut() {
                    match poll_caught(first, cx) {
                        Poll::Pending => return true,
                        Poll::Ready(()) => drop(chain.pop_front()),
                    }
                }
                false
            });
        });
        let mut added = self.active.borrow_mut();
        active.append(&mut added);
        *added = active;
    }

    /// Polls everything to its end, once the body is through: first what is under way, then what was
    /// deferred. Past the runtime's grace the rest is dropped and reported with the place `of` the scope.
    pub(crate) fn poll_end(
        &self,
        cx: &mut Context<'_>,
        of: &'static Location<'static>,
    ) -> Poll<()> {
        loop {
            self.poll_beside(cx);
            if !self.active.borrow().is_empty() {
                break;
            }
            match self.deferred.borrow_mut().pop() {
                Some(cleanup) => self.active.borrow_mut().push(VecDeque::from([cleanup])),
                None => {
                    self.grace.take();
                    return Poll::Ready(());
                }
            }
        }
        let mut grace = self.grace.borrow_mut();
        let sleep = grace.get_or_insert_with(|| Box::pin(crate::time::sleep(grace_of_runtime())));
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        drop(grace.take());
        drop(grace);
        self.give_up(of);
        Poll::Ready(())
    }

    /// Drops what is left and reports how much that was.
    fn give_up(&self, of: &'static Location<'static>) {
        let rest = (self.active.take(), self.deferred.take());
        let n_left = rest.0.iter().map(VecDeque::len).sum::<usize>() + rest.1.len();
        crate::task::ignore_panic(|| drop(rest));
        if n_left > 0 {
            report(Unhandled::cleanup_abandoned(n_left, of));
        }
    }

    /// The runtime goes away: drops what is left and reports it.
    pub(crate) fn abandon(&self, header: &Header) {
        self.grace.take();
        self.give_up(header.location());
    }

    /// Hands everything to the scope around, which then waits for it: the owner was dropped half-way.
    pub(crate) fn hand_over(&self) {
        if self.is_empty() {
            return;
        }
        let mut chain: VecDeque<CleanupFuture> = VecDeque::new();
        chain.extend(self.deferred.take().into_iter().rev());
        for cleanups in self.active.take().into_iter().rev() {
            for cleanup in cleanups.into_iter().rev() {
                chain.push_front(cleanup);
            }
        }
        super::cleanup::start_in_current_scope(Box::pin(async move {
            for cleanup in chain {
                cleanup.await;
            }
        }));
    }
}

/// Polls cleanup; a panic in it is reported and ends only that one.
fn poll_caught(cleanup: &mut CleanupFuture, cx: &mut Context<'_>) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| cleanup.as_mut().poll(cx))).unwrap_or_else(|payload| {
        report(Unhandled::cleanup_panic(Panic::new(payload)));
        Poll::Ready(())
    })
}

pub(crate) fn report(unhandled: Unhandled) {
    context::with_runtime(|runtime| match runtime {
        Some(runtime) => runtime.report(unhandled),
        None => unhandled.print(),
    });
}

fn grace_of_runtime() -> Duration {
    context::with_runtime(|runtime| runtime.map_or(crate::DEFAULT_GRACE, |runtime| runtime.grace()))
}

/// How the body of a scope ended.
#[doc(hidden)]
#[derive(Debug)]
pub enum ScopeEnd<T> {
    /// With its value.
    Value(T),
    /// It was dropped where it was suspended.
    Dropped,
}

pin_project_lite::pin_project! {
    /// A body in a scope of its own: polled together with its cleanup, over when both are through.
    #[doc(hidden)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct ScopedBody<F: Future> {
        #[pin]
        body: Option<F>,
        end: Option<Result<ScopeEnd<F::Output>, Panic>>,
        scope: Scope,
        place: &'static Location<'static>,
    }

    impl<F: Future> PinnedDrop for ScopedBody<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                if this.body.is_some() {
                    this.scope.unwind(|| this.body.set(None));
                }
            }));
            this.scope.hand_over();
            if let Err(payload) = dropped {
                if std::thread::panicking() {
                    report(Unhandled::cleanup_panic(Panic::new(payload)));
                } else {
                    std::panic::resume_unwind(payload);
                }
            }
        }
    }
}

impl<F: Future> ScopedBody<F> {
    pub fn new(body: F, place: &'static Location<'static>) -> Self {
        Self {
            body: Some(body),
            end: None,
            scope: Scope::default(),
            place,
        }
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

    /// Whether dropping the body has to wait.
    pub fn is_shielded(&self) -> bool {
        self.scope.is_shielded()
    }

    /// Drops the body where it is suspended; from then on only its cleanup is polled.
    pub fn drop_body(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.end.is_none() {
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                this.scope.unwind(|| this.body.set(None))
            }));
            *this.end = Some(match dropped {
                Ok(()) => Ok(ScopeEnd::Dropped),
                Err(payload) => Err(Panic::new(payload)),
            });
        }
    }

    /// Polls the body.
    fn poll_body(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return;
        };
        let polled = catch_unwind(AssertUnwindSafe(|| this.scope.enter(|| body.poll(cx))));
        let end = match polled {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(value)) => Ok(ScopeEnd::Value(value)),
            Err(payload) => Err(Panic::new(payload)),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            this.scope.unwind(|| this.body.set(None))
        }));
        *this.end = Some(match dropped {
            Ok(()) => end,
            Err(payload) => Err(Panic::new(payload)),
        });
    }

    /// Polls body and cleanup. A panic of the body is raised again once the cleanup is through.
    pub fn poll_scope(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ScopeEnd<F::Output>> {
        if !self.has_ended() {
            self.as_mut().poll_body(cx);
        }
        let this = self.project();
        if this.end.is_none() {
            this.scope.poll_beside(cx);
            return Poll::Pending;
        }
        if this.scope.poll_end(cx, this.place).is_pending() {
            return Poll::Pending;
        }
        match this.end.take().expect("checked above") {
            Ok(end) => Poll::Ready(end),
            Err(panic) => panic.resume(),
        }
    }
}

impl<F: Future> std::fmt::Debug for ScopedBody<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScopedBody")
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
