//! `catch_cancel`: a region that ends in place of the scope around it.
//!
//! A region puts itself into the list of the scope directly around, as long as its body is suspended in there. A
//! scope that is to be dropped looks into its list first: if there are regions, each of them is asked in place
//! of it, and the request counts as delivered. A region that is asked does the same with the regions directly
//! inside of it. So the innermost ones end, and nothing outside of them. If all that were asked are dropped before one
//! of them has ended for it, the scope looks again after its poll, finds that it is the last to know of the
//! request, and is asked once more.
//!
//! Only requests to the scope directly around reach a region, and not those to the scopes further out:
//! these drop the scope between with everything in it (rule C10).

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::body::{ScopeEnd, ScopedBody, Strike};
use super::{Cancelled, chain};
use crate::shim::lock_std;
use crate::task::ignore_panic;

/// Runs `body`, and catches a cancellation of the scope directly around: asyncio's
/// `try … except CancelledError`.
///
/// If the task, [`timeout`](crate::timeout), [`CancelScope`](crate::CancelScope) or group in which this is awaited
/// is cancelled meanwhile, then in its place `body` is dropped where it is suspended, and its cleanup is
/// awaited; the scope goes on with what comes after, and the request counts as delivered. A task then ends with
/// its own value, unless it is cancelled again; a `timeout` gives the value of its body, late.
///
/// Of nested regions the innermost one catches. A request to a scope further out is not caught: it ends the
/// scope between, and this region with it. So code that is given to a `timeout` cannot keep the one who cancels
/// the task from having their way; to catch that put the `timeout` inside: `catch_cancel(timeout(…))`.
/// When regions wait side by side in one scope, in a `join!`, each of them catches.
///
/// # Cancel safety
///
/// Dropping it drops the body; cleanup that the body registered goes to the scope around. A request that it was asked
/// to catch, and for which it has not ended its body yet, is delivered to the scope around after all.
///
/// # Errors
///
/// [`Cancelled`] if the request was caught here.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let task = rt::spawn(async {
///         let caught = rt::catch_cancel(std::future::pending::<()>()).await.unwrap_err();
///         rt::yield_now().await;
///         format!("went on after {:?}", caught.reason())
///     });
///     rt::yield_now().await;
///     task.cancel_with("lunch");
///     assert_eq!(task.await.unwrap(), "went on after Some(\"lunch\")");
/// });
/// ```
#[track_caller]
pub fn catch_cancel<F: Future>(body: F) -> CatchCancel<F> {
    CatchCancel {
        enlisted: None,
        asked: None,
        body: ScopedBody::new(body, Location::caller()),
    }
}

pin_project_lite::pin_project! {
    /// The future of [`catch_cancel`].
    #[project = CatchCancelParts]
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancel<F: Future> {
        // Before the body: what is dropped catches nothing.
        enlisted: Option<Enlisted>,
        asked: Option<Arc<Passed>>,
        #[pin]
        body: ScopedBody<F>,
    }
}

/// The regions whose bodies are suspended directly in one scope.
#[derive(Default)]
pub(crate) struct Regions(Mutex<Vec<Arc<Region>>>);

/// What a region shares with the scope around.
#[derive(Default)]
struct Region(Mutex<RegionState>);

#[derive(Default)]
struct RegionState {
    asked: Option<Arc<Passed>>,
    waker: Option<Waker>,
}

/// A request that a scope passed on to the regions in it. It is delivered once one of them has ended its body for
/// it. If instead they are all dropped, by a `select!` in which something else was ready, it is the scope's again:
/// no request is swallowed by accident (rule C5).
pub(crate) struct Passed {
    cancelled: Cancelled,
    is_delivered: AtomicBool,
}

impl Passed {
    pub(super) fn new(cancelled: Cancelled) -> Arc<Self> {
        Arc::new(Self {
            cancelled,
            is_delivered: AtomicBool::new(false),
        })
    }

    fn deliver(&self) {
        self.is_delivered.store(true, Ordering::Relaxed);
    }

    /// Whether the scope that passed it is the last to have it.
    pub(super) fn is_given_back(this: &Arc<Self>) -> bool {
        Arc::strong_count(this) == 1 && !this.is_delivered.load(Ordering::Relaxed)
    }

    pub(super) fn cancelled(&self) -> &Cancelled {
        &self.cancelled
    }
}

impl Regions {
    pub(super) fn is_empty(&self) -> bool {
        lock_std(&self.0).is_empty()
    }

    /// Asks each of them to end, and sees to it that it is polled; false if there are none.
    pub(super) fn ask(&self, passed: &Arc<Passed>) -> bool {
        let regions = lock_std(&self.0).clone();
        for region in &regions {
            let mut state = lock_std(&region.0);
            let before = state.asked.replace(passed.clone());
            let waker = state.waker.clone();
            drop(state);
            drop(before);
            if let Some(waker) = waker {
                ignore_panic(|| waker.wake());
            }
        }
        !regions.is_empty()
    }
}

/// A region that is in the list of a scope until this is dropped.
struct Enlisted {
    regions: Arc<Regions>,
    region: Arc<Region>,
}

impl Enlisted {
    fn new(regions: Arc<Regions>) -> Self {
        let region = Arc::<Region>::default();
        lock_std(&regions.0).push(region.clone());
        Self { regions, region }
    }

    /// What was asked since the last look; `waker` is woken when more is.
    fn look(&self, waker: &Waker) -> Option<Arc<Passed>> {
        let mut state = lock_std(&self.region.0);
        let before = match &state.waker {
            Some(before) if before.will_wake(waker) => None,
            _ => state.waker.replace(waker.clone()),
        };
        let asked = state.asked.take();
        drop(state);
        drop(before);
        asked
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        lock_std(&self.regions.0).retain(|region| !Arc::ptr_eq(region, &self.region));
    }
}

impl<F: Future> CatchCancelParts<'_, F> {
    /// Sees to it that this region is in the list of the scope directly around, and in no other.
    fn enlist(&mut self) {
        let around = chain::innermost(|scope| scope.regions());
        let is_there = match (&around, &self.enlisted) {
            (Some(around), Some(enlisted)) => Arc::ptr_eq(around, &enlisted.regions),
            (None, None) => true,
            _ => false,
        };
        if !is_there {
            *self.enlisted = around.map(Enlisted::new);
        }
    }

    /// Ends the body if that was asked for, and nothing holds it back or catches it further inside.
    fn heed(&mut self, cx: &mut Context<'_>) {
        if let Some(asked) = self
            .enlisted
            .as_ref()
            .and_then(|here| here.look(cx.waker()))
        {
            *self.asked = Some(asked);
        }
        if let Some(asked) = self.asked.as_ref() {
            match self.body.as_mut().strike_for(cx, asked) {
                Strike::Held => {}
                Strike::Dropped => asked.deliver(),
                Strike::Caught => *self.asked = None,
            }
        }
    }
}

impl<F: Future> Future for CatchCancel<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !this.body.has_ended() {
            this.enlist();
            this.heed(cx);
        }
        let polled = this.body.as_mut().poll_scope(cx);
        if this.body.has_ended() {
            *this.enlisted = None;
        }
        polled.map(|end| match end {
            ScopeEnd::Value(value) => {
                *this.asked = None;
                Ok(value)
            }
            ScopeEnd::Dropped => {
                let asked = this.asked.take().expect("it is dropped when asked");
                Err(asked.cancelled.clone())
            }
        })
    }
}

impl<F: Future> fmt::Debug for CatchCancel<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchCancel")
            .field("is_asked", &self.asked.is_some())
            .finish_non_exhaustive()
    }
}
