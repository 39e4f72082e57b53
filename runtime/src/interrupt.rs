//! Ctrl-C as a cancellation of the body of `block_on`, as `asyncio.run` has it.
//!
//! The first Ctrl-C cancels the body: a listener beside it asks the scope around it. The second one must work even when no
//! thread of ours runs any more, so it is the handler that ends the process. Its actions, in their order:
//!
//! 1. If SIGINT has its default effect now, have it: the process ends. Registered once, for good: signal-hook's handler
//!    stays, so without it SIGINT would be ignored for the rest of the process.
//! 2. While a body runs: SIGINT has its default effect from now on.
//! 3. Tell the listeners.
//!
//! A press that comes while a body begins or ends must not fall between these: it is heard by the body or has its default
//! effect. So SIGINT loses that effect when everybody is in place, and not before. When the last body ends it gets it back
//! before action 2 goes.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use signal_hook::low_level::{emulate_default_handler, unregister};

use crate::cancel::{CancelScope, Cancelled, RunScope};
use crate::context;
use crate::runtime::{Builder, Handle};
use crate::scheduler;
use crate::shim::lock_std;
use crate::signals::{self, Listener};

impl Builder {
    /// Makes Ctrl-C, or any other SIGINT, cancel the future that [`Runtime::block_on`](crate::Runtime::block_on) runs;
    /// off by default. As in `asyncio.run`:
    ///
    /// - The first one drops that future where it waits and awaits its cleanup. Then the runtime is shut down
    ///   with its grace, and the process ends by SIGINT, as whoever waits for it can see.
    /// - A future that ends in spite of the request, since it hears of it by [`cancelled`](crate::cancelled()) or stands in
    ///   [`catch_cancel`](crate::catch_cancel()), makes `block_on` return as usual.
    /// - The second one ends the process at once.
    ///
    /// It counts for `block_on` on a thread that is in no runtime yet. Who listens to the signal otherwise hears of it
    /// too. Afterwards SIGINT has the effect that it has by default, unless somebody listens.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// # #[cfg(unix)] {
    /// let runtime = rt::Builder::new().cancel_on_ctrl_c(true).build()?;
    /// let ended = runtime.block_on(rt::catch_cancel(async {
    /// #   signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
    ///     std::future::pending::<()>().await // until Ctrl-C is pressed
    /// }));
    /// assert_eq!(ended.unwrap_err().reason(), Some("Ctrl-C"));
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.config.cancel_on_ctrl_c = cancel;
        self
    }
}

/// Whether anybody waits for a signal.
pub(crate) fn is_signal_awaited() -> bool {
    crate::signals::is_any_awaited()
}

/// Runs a future on this thread; Ctrl-C cancels it, if the runtime was built so.
#[track_caller]
pub(crate) fn block_on<F: Future>(handle: &Handle, future: F) -> F::Output {
    if handle.shared.config.cancel_on_ctrl_c && context::runtime().is_none() {
        cancel_on_ctrl_c(handle, future)
    } else {
        handle.block_on(future)
    }
}

#[cold]
#[track_caller]
fn cancel_on_ctrl_c<F: Future>(handle: &Handle, future: F) -> F::Output {
    let scope = CancelScope::new();
    let (_watch, listener) = match Watch::begin() {
        Ok(both) => both,
        Err(error) => {
            eprintln!("rt: Ctrl-C cannot be listened to, and ends the process: {error}");
            return handle.block_on(future);
        }
    };
    let outcome = handle.block_on(Interruptible {
        body: scope.run(future),
        scope,
        listener: Some(listener),
    });
    match outcome {
        Ok(value) => value,
        Err(_) => end(handle),
    }
}

/// Ends the process as SIGINT does, after the tasks of the runtime. It is still watched: a second one ends it at once.
fn end(handle: &Handle) -> ! {
    let report = scheduler::shut_down(&handle.shared, handle.shared.grace());
    if !report.is_clean() {
        eprintln!("rt: interrupted: {report}");
    }
    // Nobody is left to hear of an error.
    let _ = io::stdout().flush();
    let _ = emulate_default_handler(SIGINT);
    std::process::abort()
}

pin_project_lite::pin_project! {
    /// A body, and what cancels it.
    struct Interruptible<F: Future> {
        #[pin]
        body: RunScope<F>,
        scope: CancelScope,
        // Until it has heard of the signal.
        listener: Option<Listener>,
    }
}

impl<F: Future> Future for Interruptible<F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(listener) = this.listener {
            if listener.poll(cx).is_ready() {
                this.scope.cancel_with("Ctrl-C");
                *this.listener = None;
                is_cancelling();
            }
        }
        this.body.poll(cx)
    }
}

static BODIES: Mutex<Bodies> = Mutex::new(Bodies {
    n_running: 0,
    has_default: None,
    at_first: None,
});

/// The bodies that run and are to be cancelled, in all runtimes.
struct Bodies {
    n_running: usize,
    /// Whether SIGINT has its default effect; present once the handler asks for it.
    has_default: Option<Arc<AtomicBool>>,
    /// What gives it that effect, while bodies run.
    at_first: Option<SigId>,
}

impl Bodies {
    /// Whether SIGINT is to have its default effect from now on.
    fn set_default(&self, is_default: bool) {
        if let Some(has_default) = &self.has_default {
            has_default.store(is_default, Ordering::Relaxed);
        }
    }
}

/// A body has heard of SIGINT: the next one ends the process. The handler has seen to that, unless the press came while the
/// body began.
fn is_cancelling() {
    lock_std(&BODIES).set_default(true);
}

/// One body runs.
struct Watch;

impl Watch {
    fn begin() -> io::Result<(Self, Listener)> {
        let mut bodies = lock_std(&BODIES);
        let has_default = match &bodies.has_default {
            Some(has_default) => has_default.clone(),
            None => {
                let is_default = !signals::is_listened_to(SIGINT);
                let has_default = Arc::new(AtomicBool::new(is_default));
                flag::register_conditional_default(SIGINT, has_default.clone())?;
                bodies.has_default.insert(has_default).clone()
            }
        };
        let listener = Listener::quiet(SIGINT)?;
        if bodies.n_running == 0 {
            let was_default = has_default.load(Ordering::Relaxed);
            bodies.at_first = Some(flag::register(SIGINT, has_default.clone())?);
            // Where it was not, a press has been heard since the listener is there, and this may be its mark.
            if was_default {
                has_default.store(false, Ordering::Relaxed);
            }
        }
        bodies.n_running += 1;
        Ok((Self, listener))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut bodies = lock_std(&BODIES);
        bodies.n_running -= 1;
        if bodies.n_running > 0 {
            return;
        }
        let is_default = !signals::is_listened_to(SIGINT);
        bodies.set_default(is_default);
        bodies.at_first.take().map(unregister);
        // Action 2 may have been taken in between, and somebody else has heard of it.
        bodies.set_default(is_default);
    }
}

/// Somebody listens to SIGINT, which therefore has no longer its default effect. While bodies run they decide.
pub(crate) fn is_heard() {
    let bodies = lock_std(&BODIES);
    if bodies.n_running == 0 {
        bodies.set_default(false);
    }
}
