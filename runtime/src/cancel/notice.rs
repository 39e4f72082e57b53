//! Being told of a cancellation: by waiting for it, by a function that is called, and by a point that looks.
//!
//! A request to any of the scopes around asks the code inside to stop, so who listens does so at each of them.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};

use super::chain;
use super::cleanup::report;
use super::signal::{Listener, ListenerKey, Signal};
use crate::locals::{self, Snapshot};
use crate::scheduler::Shared;
use crate::shim::lock_std;
use crate::task::Panic;
use crate::unhandled::Unhandled;
use crate::wait::{self, WaitKind};
use crate::{context, coop};

/// One place at which somebody listens.
struct Place {
    signal: Arc<Signal>,
    key: ListenerKey,
}

/// The places at which somebody listens until this is dropped.
#[derive(Default)]
struct Places(Vec<Place>);

impl Places {
    /// Listens at each of the scopes around; `None` if one of them is asked to stop already.
    fn around(mut listener: impl FnMut() -> Listener) -> Option<Self> {
        let mut places = Self::default();
        for signal in chain::signals() {
            let key = signal.listen(listener()).ok()?;
            places.0.push(Place { signal, key });
        }
        Some(places)
    }

    /// Listens no more. True if a scope was asked to stop before, and its asker has the listener.
    fn leave(&mut self) -> bool {
        let places = std::mem::take(&mut self.0).into_iter();
        let were_listed = places.map(|place| place.signal.unlisten(place.key));
        were_listed.fold(false, |is_asked, was_listed| is_asked | !was_listed)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Waits until the innermost scope is asked to stop: for bodies that end by themselves.
///
/// It resolves when the scope, or one around it, is cancelled [gracefully](crate::CancelScope::cancel_gracefully),
/// and is ready at once after that; children of a group hear of requests to the scopes around their
/// group too. A scope that is cancelled without grace drops its body, and this with it, unless a
/// [`shield`](crate::shield()) holds that back. Cleanup is not asked to stop: there it waits for ever.
///
/// It listens at the scopes in which it is first polled.
///
/// # Cancel safety
///
/// Nothing can be lost: the request stays.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use rt::CancelScope;
/// # use std::time::Duration;
/// rt::block_on(async {
///     let scope = CancelScope::new();
///     let handle = scope.clone();
///     let served = rt::spawn(async move {
///         scope.run(async { rt::cancelled().await; "no more clients" }).await
///     });
///     rt::yield_now().await;
///     handle.cancel_gracefully(Duration::from_secs(10));
///     assert_eq!(served.await.unwrap().unwrap(), "no more clients");
/// });
/// ```
pub fn cancelled() -> UntilCancelled {
    UntilCancelled { places: None }
}

/// The future of [`cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct UntilCancelled {
    /// None until it is first polled.
    places: Option<Places>,
}

impl Future for UntilCancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        let is_asked = match &self.places {
            None => {
                let places = Places::around(|| Listener::Waker(cx.waker().clone()));
                let is_asked = places.is_none();
                self.places = Some(places.unwrap_or_default());
                is_asked
            }
            Some(places) => places
                .0
                .iter()
                .any(|place| !place.signal.update(place.key, cx.waker())),
        };
        if is_asked {
            return Poll::Ready(());
        }
        wait::begins(WaitKind::Request, 0);
        coop::restore();
        Poll::Pending
    }
}

impl fmt::Debug for UntilCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilCancelled")
            .field("waits", &self.places.is_some())
            .finish()
    }
}

/// Calls `f` the moment the innermost scope, or one around it, is asked to stop: on the thread that asks, or here
/// if that has happened already.
///
/// It is for telling foreign code that it should give up: closing a handle, setting a flag that a blocking
/// function looks at. `f` must not block; a panic in it is reported and harms nobody. A deadline counts
/// as a request when it is noticed that it has passed. Cleanup is not asked to stop.
///
/// The function is unregistered when the [`OnCancel`] is dropped: bind it to a name.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
/// let stop = Arc::new(AtomicBool::new(false));
/// let flag = stop.clone();
/// rt::block_on(async move {
///     let task = rt::spawn(async move {
///         let theirs = flag.clone();
///         let _registered = rt::on_cancel(move || theirs.store(true, Relaxed));
///         std::future::pending::<()>().await
///     });
///     rt::yield_now().await;
///     task.cancel();
///     assert!(stop.load(Relaxed), "called by `cancel`, before the task was dropped");
/// });
/// ```
#[track_caller]
pub fn on_cancel(f: impl FnOnce() + Send + 'static) -> OnCancel {
    let call = Arc::new(Callback {
        f: Mutex::new(Some(Box::new(f))),
        at: Location::caller(),
        locals: Mutex::new(locals::current()),
        runtime: context::runtime().map_or_else(Weak::new, |runtime| Arc::downgrade(&runtime)),
    });
    let places = Places::around(|| {
        let call = call.clone();
        Listener::Call(Box::new(move || call.call()))
    });
    if places.is_none() {
        call.call();
    }
    OnCancel {
        call,
        places: places.unwrap_or_default(),
    }
}

/// A function that is called at most once, by whichever scope is asked first.
struct Callback {
    f: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    at: &'static Location<'static>,
    /// Of the code that registered it: whoever cancels may belong to none.
    runtime: Weak<Shared>,
    /// The task-locals of that code.
    locals: Mutex<Snapshot>,
}

impl Callback {
    fn call(&self) {
        let Some(f) = lock_std(&self.f).take() else {
            return;
        };
        let locals = std::mem::take(&mut *lock_std(&self.locals));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| locals::within(locals, f))) {
            let unhandled = Unhandled::on_cancel(Panic::new(payload), self.at);
            match self.runtime.upgrade() {
                Some(runtime) => runtime.report(unhandled),
                None => report(unhandled),
            }
        }
    }
}

/// A function that [`on_cancel`] registered. Dropping it unregisters the function; a call that is under way on
/// another thread is not waited for.
pub struct OnCancel {
    call: Arc<Callback>,
    places: Places,
}

impl OnCancel {
    /// Whether the function was called, or is being called.
    #[must_use]
    pub fn was_called(&self) -> bool {
        lock_std(&self.call.f).is_none()
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        // Who was asked before this has a right to the call; the asker may not have come to it yet.
        if self.places.leave() {
            self.call.call();
        }
        let f = lock_std(&self.call.f).take();
        drop(f);
    }
}

impl fmt::Debug for OnCancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCancel")
            .field("was_called", &self.was_called())
            .field("at", &self.call.at)
            .finish()
    }
}

/// A point at which a cancellation may take effect, for code that computes for long without waiting.
///
/// Ready at once, unless something was asked of a scope around, or the budget of this poll is used up: then it
/// suspends once, so that the cancellation takes effect or the others get their turn. It looks at the clock only
/// under a deadline. To let the others run each time use [`yield_now`](crate::yield_now).
///
/// # Cancel safety
///
/// Nothing can be lost.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::block_on(async {
///     let task = rt::spawn(async {
///         loop {
///             std::hint::spin_loop();
///             rt::checkpoint().await;
///         }
///     });
///     rt::yield_now().await;
///     task.cancel();
///     let outcome: Result<(), _> = task.await;
///     assert!(outcome.unwrap_err().is_cancelled());
/// });
/// ```
pub fn checkpoint() -> Checkpoint {
    Checkpoint {
        has_suspended: false,
    }
}

/// The future of [`checkpoint`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Checkpoint {
    has_suspended: bool,
}

impl Future for Checkpoint {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_suspended {
            return Poll::Ready(());
        }
        self.has_suspended = true;
        if chain::is_asked() {
            coop::again(cx);
            return Poll::Pending;
        }
        coop::poll_proceed(cx)
    }
}
