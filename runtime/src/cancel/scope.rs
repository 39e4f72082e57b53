//! The part of a scope that outlives its body: its cleanup, and what holds its cancellation back or catches it.
//!
//! # Invariants
//!
//! 1. A `Scope` is touched only by the thread that polls or drops its owner; the context points to it only
//!    meanwhile (context invariant 4).
//! 2. A cleanup future is in the set until it is through, is handed to the scope around, or is given up past
//!    the grace and reported.
//! 3. `around` is null, or points to the scope in whose body or cleanup the owner is being polled or dropped, which
//!    cannot go away meanwhile.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::Cancelled;
use super::catch::{Passed, Regions};
use super::cleanup::{CleanupFailure, CleanupFuture, poll_caught, report};
use super::control::Control;
use super::shields::{Held, Shields};
use super::signal::Signal;
use crate::context::{self, Restore};
use crate::task::Header;
use crate::time::{Instant, Sleep};
use crate::unhandled::Unhandled;
use crate::wait::{self, WaitKind};

/// What a scope belongs to.
#[derive(Default)]
enum Owner {
    /// A task: requests are in its header.
    #[default]
    Task,
    /// A future that runs a body, and nothing that others could reach.
    Body,
    /// A `CancelScope`.
    Control(Arc<Control>),
}

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
    /// The last queue of `active` is the one of this unwinding: most register nothing and need none.
    unwinding_queue: Cell<bool>,
    /// Cleanup is being polled, which no request to this scope reaches.
    cleaning: Cell<bool>,
    /// The owner wants to hear what went wrong in cleanup.
    collecting: Cell<bool>,
    around: Cell<*const Scope>,
    owner: Owner,
    deadline: Cell<Option<Instant>>,
    rare: OnceCell<Box<Rare>>,
    grace: RefCell<Option<Pin<Box<Sleep>>>>,
}

/// What few scopes have: made on first use.
#[derive(Default)]
struct Rare {
    /// Shared with the shields, which may be moved out of the scope's body.
    shields: OnceCell<Arc<Shields>>,
    /// A cancellation that they hold back.
    held: RefCell<Option<Held>>,
    /// Shared with the regions, for the same reason.
    regions: OnceCell<Arc<Regions>>,
    /// What was handed to them last.
    passed: RefCell<Option<Arc<Passed>>>,
    /// What they gave back.
    given_back: RefCell<Option<Cancelled>>,
    signal: OnceCell<Arc<Signal>>,
    /// What went wrong in cleanup, for the owner.
    failures: RefCell<Vec<CleanupFailure>>,
}

// SAFETY: Invariant 1: one thread at a time; what is in it is `Send`.
unsafe impl Sync for Scope {}
// SAFETY: `around` is null while nobody polls or drops the owner (Invariant 3); the rest is `Send`.
unsafe impl Send for Scope {}

impl Scope {
    /// The scope of a body that nobody else can reach.
    #[inline]
    pub(super) fn of_body() -> Self {
        // Made where it is to lie: it is too large to be moved about for each `timeout`.
        Self {
            active: RefCell::new(Vec::new()),
            deferred: RefCell::new(Vec::new()),
            unwinding: Cell::new(false),
            unwinding_queue: Cell::new(false),
            cleaning: Cell::new(false),
            collecting: Cell::new(false),
            around: Cell::new(std::ptr::null()),
            owner: Owner::Body,
            deadline: Cell::new(None),
            rare: OnceCell::new(),
            grace: RefCell::new(None),
        }
    }

    /// The scope of a body that a `CancelScope` runs.
    pub(super) fn of_control(control: Arc<Control>) -> Self {
        Self {
            owner: Owner::Control(control),
            ..Self::default()
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// The shields that are up in it.
    pub(super) fn shields(&self) -> Arc<Shields> {
        self.rare().shields.get_or_init(Arc::default).clone()
    }

    /// The regions in it that catch its cancellation.
    pub(super) fn regions(&self) -> Arc<Regions> {
        self.rare().regions.get_or_init(Arc::default).clone()
    }

    pub(super) fn control(&self) -> Option<&Arc<Control>> {
        match &self.owner {
            Owner::Control(control) => Some(control),
            Owner::Task | Owner::Body => None,
        }
    }

    /// What tells of requests to it; that of a task is in its header.
    pub(super) fn signal(&self) -> Option<Arc<Signal>> {
        match &self.owner {
            Owner::Task => None,
            Owner::Body => Some(self.rare().signal.get_or_init(Arc::default).clone()),
            Owner::Control(control) => Some(control.signal()),
        }
    }

    /// The signal of a body that nobody else can reach, if anybody listens.
    fn own_signal(&self) -> Option<&Arc<Signal>> {
        self.rare.get()?.signal.get()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.owner {
            Owner::Control(control) => control.deadline(),
            Owner::Task | Owner::Body => self.deadline.get(),
        }
    }

    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// Keeps what goes wrong in cleanup for the owner, from now on.
    pub(super) fn collect_failures(&self) {
        self.collecting.set(true);
    }

    pub(super) fn is_collecting(&self) -> bool {
        self.collecting.get()
    }

    pub(super) fn add_failure(&self, failure: CleanupFailure) {
        self.rare().failures.borrow_mut().push(failure);
    }

    /// What went wrong in cleanup so far.
    pub(super) fn take_failures(&self) -> Vec<CleanupFailure> {
        let rare = self.rare.get();
        rare.map_or_else(Vec::new, |rare| rare.failures.take())
    }

    /// Whether something was asked of it that takes effect at its next poll.
    pub(super) fn has_request(&self) -> bool {
        self.control().is_some_and(|control| control.has_request())
    }

    pub(super) fn is_cleaning(&self) -> bool {
        self.cleaning.get()
    }

    /// The scope around it, while it is being polled.
    pub(super) fn around(&self) -> *const Self {
        self.around.get()
    }

    /// Ready if no shield holds a cancellation back any more. Until then `cx` is woken when that may be so, and
    /// a shield that takes long is reported with the place `of` the scope.
    pub(crate) fn poll_unshielded(
        &self,
        cx: &mut Context<'_>,
        of: &'static Location<'static>,
    ) -> Poll<()> {
        let Some(rare) = self.rare.get() else {
            return Poll::Ready(());
        };
        let mut held = rare.held.borrow_mut();
        match rare.shields.get() {
            Some(shields) if held.is_some() || shields.is_any_up() => {
                let polled = held.get_or_insert_with(Held::new).poll(shields, cx, of);
                if polled.is_ready() {
                    held.take();
                }
                polled
            }
            _ => Poll::Ready(()),
        }
    }

    /// Whether a region inside would catch a cancellation.
    pub(crate) fn is_caught_inside(&self) -> bool {
        let regions = self.rare.get().and_then(|rare| rare.regions.get());
        regions.is_some_and(|regions| !regions.is_empty())
    }

    /// Hands a cancellation to the regions inside that catch it; false if there are none.
    pub(crate) fn pass_on(&self, cancelled: &Cancelled) -> bool {
        if !self.is_caught_inside() {
            return false;
        }
        let passed = Passed::new(cancelled.clone());
        let is_caught = self.pass(&passed);
        *self.rare().passed.borrow_mut() = Some(passed);
        is_caught
    }

    /// Hands on what a scope around has passed.
    pub(super) fn pass(&self, passed: &Arc<Passed>) -> bool {
        let regions = self.rare.get().and_then(|rare| rare.regions.get());
        regions.is_some_and(|regions| regions.ask(passed))
    }

    /// Whether the regions that caught a cancellation are now all gone, and none of them ended for it. Says so once.
    pub(crate) fn is_given_back(&self) -> bool {
        let Some(rare) = self.rare.get() else {
            return false;
        };
        let mut passed = rare.passed.borrow_mut();
        let is_back = passed.as_ref().is_some_and(Passed::is_given_back);
        if is_back {
            let cancelled = passed.take().map(|passed| passed.cancelled().clone());
            *rare.given_back.borrow_mut() = cancelled;
        }
        is_back
    }

    /// A cancellation that was given back, to be delivered again.
    pub(crate) fn take_given_back(&self) -> Option<Cancelled> {
        self.rare.get()?.given_back.take()
    }

    /// Tells those who listen inside that it is asked to stop.
    pub(super) fn raise_signal(&self) {
        if let Some(signal) = self.own_signal() {
            signal.raise().call();
        }
    }

    /// What it was asked for was caught inside.
    pub(super) fn lower_signal(&self) {
        if let Some(signal) = self.own_signal() {
            signal.lower();
        }
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
            Some(last) if self.unwinding_queue.get() => last.push_back(cleanup),
            _ => {
                active.push(VecDeque::from([cleanup]));
                self.unwinding_queue.set(self.unwinding.get());
            }
        }
    }

    /// Keeps cleanup for the end of the body.
    pub(crate) fn defer(&self, cleanup: CleanupFuture) {
        self.deferred.borrow_mut().push(cleanup);
    }

    /// Runs `f`, which drops the body or a part of it, with this scope as the innermost.
    pub(crate) fn unwind<R>(&self, f: impl FnOnce() -> R) -> R {
        let _unwinding = Restore::set(&self.unwinding, true);
        let _queue = Restore::set(&self.unwinding_queue, false);
        self.enter(f)
    }

    /// Runs `f`, which polls the body, with this scope as the innermost.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        context::with(|cx| {
            let inside = Restore::set(&cx.scope, ptr::from_ref(self));
            let _around = Restore::set(&self.around, inside.before());
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
        let _cleaning = Restore::set(&self.cleaning, true);
        self.enter(|| poll_side_by_side(&mut active, cx));
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
        wait::goes_on(WaitKind::Cleanup, 0);
        if context::with_runtime(|runtime| runtime.is_none()) {
            // On another executor nobody tells the time.
            return Poll::Pending;
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
        let mut n_left = 0;
        // Guards in what is dropped register their release.
        while !self.is_empty() {
            let rest = (self.active.take(), self.deferred.take());
            n_left += rest.0.iter().map(VecDeque::len).sum::<usize>() + rest.1.len();
            crate::task::ignore_panic(|| drop(rest));
        }
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
        let rest = Box::pin(Rest {
            active: self.active.take(),
            deferred: self.deferred.take(),
        });
        super::cleanup::start_in_current_scope(rest, None);
    }
}

/// The cleanup of a scope that is gone, in the order that it would have had there.
struct Rest {
    active: Vec<VecDeque<CleanupFuture>>,
    deferred: Vec<CleanupFuture>,
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            poll_side_by_side(&mut self.active, cx);
            if !self.active.is_empty() {
                return Poll::Pending;
            }
            match self.deferred.pop() {
                Some(cleanup) => self.active.push(VecDeque::from([cleanup])),
                None => return Poll::Ready(()),
            }
        }
    }
}

/// Polls the first of each queue, and removes what is through.
fn poll_side_by_side(queues: &mut Vec<VecDeque<CleanupFuture>>, cx: &mut Context<'_>) {
    queues.retain_mut(|queue| {
        while let Some(first) = queue.front_mut() {
            match poll_caught(first, cx) {
                Poll::Pending => return true,
                Poll::Ready(()) => drop(queue.pop_front()),
            }
        }
        false
    });
}

fn grace_of_runtime() -> Duration {
    context::with_runtime(|runtime| runtime.map_or(crate::DEFAULT_GRACE, |runtime| runtime.grace()))
}
