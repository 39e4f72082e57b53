//! Ctrl-C as a cancellation of the body of `block_on`, as `asyncio.run` has it.
//!
//! The first Ctrl-C cancels the body: a listener beside it asks the scope around it. The second one must work even when no
//! thread of ours runs any more, so it is the handler that ends the process. Its first action is ours; it is registered once,
//! for good, before anybody listens to SIGINT. It looks at one word:
//!
//! - `DEFAULT`: have the default effect, which ends the process. signal-hook's handler stays, so without this SIGINT would be
//!   ignored for the rest of the process.
//! - `FIRST`, while bodies run: `DEFAULT` from now on. The listeners are told afterwards, so who has heard of the first one may
//!   send the second.
//! - `HEARD`: nothing, since somebody listens.
//!
//! Then the listeners are told. (Rejected: signal-hook's own flags, one to ask and one to set. Actions run in the order in which
//! they were registered, and the second flag came with the body, after somebody listened. A press that followed as soon as
//! the first was heard of could find it unset, and was lost.)
//!
//! A press that comes while a body begins or ends must not fall between these: it is heard by the body or has its default
//! effect. So SIGINT loses that effect when everybody is in place, and not before. When the last body ends it gets it back,
//! unless somebody listens.

use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use signal_hook::consts::SIGINT;
use signal_hook::low_level::{emulate_default_handler, register};

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

/// It ends the process.
const DEFAULT: u8 = 0;

/// The next one cancels the bodies, and the one after it ends the process.
const FIRST: u8 = 1;

/// Those hear of it who listen.
const HEARD: u8 = 2;

/// What SIGINT does. Relaxed: it is all that there is to see.
static EFFECT: AtomicU8 = AtomicU8::new(DEFAULT);

/// The bodies that run and are to be cancelled, in all runtimes. Who changes the effect holds the lock, but for the handler.
static N_BODIES: Mutex<usize> = Mutex::new(0);

/// Puts our action first, before anybody listens to SIGINT.
pub(crate) fn prepare() -> io::Result<()> {
    static IS_PREPARED: Mutex<bool> = Mutex::new(false);
    let mut is_prepared = lock_std(&IS_PREPARED);
    if !*is_prepared {
        // SAFETY: it uses an atomic, and what signal-hook makes for handlers.
        unsafe { register(SIGINT, act) }?;
        *is_prepared = true;
    }
    Ok(())
}

/// What the handler does first.
fn act() {
    let before = EFFECT.compare_exchange(FIRST, DEFAULT, Ordering::Relaxed, Ordering::Relaxed);
    if before == Err(DEFAULT) {
        let _ = emulate_default_handler(SIGINT);
    }
}

/// A body has heard of SIGINT: the next one ends the process. The handler has seen to that, unless the press came while the
/// body began.
fn is_cancelling() {
    let _bodies = lock_std(&N_BODIES);
    EFFECT.store(DEFAULT, Ordering::Relaxed);
}

/// One body runs.
struct Watch;

impl Watch {
    fn begin() -> io::Result<(Self, Listener)> {
        let mut n_bodies = lock_std(&N_BODIES);
        let listener = Listener::quiet(SIGINT)?;
        if *n_bodies == 0 {
            EFFECT.store(FIRST, Ordering::Relaxed);
        }
        *n_bodies += 1;
        Ok((Self, listener))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut n_bodies = lock_std(&N_BODIES);
        *n_bodies -= 1;
        if *n_bodies == 0 {
            let effect = match signals::is_listened_to(SIGINT) {
                true => HEARD,
                false => DEFAULT,
            };
            EFFECT.store(effect, Ordering::Relaxed);
        }
    }
}

/// Somebody listens to SIGINT, which therefore has no longer its default effect. While bodies run they decide.
pub(crate) fn is_heard() {
    let n_bodies = lock_std(&N_BODIES);
    if *n_bodies == 0 {
        EFFECT.store(HEARD, Ordering::Relaxed);
    }
}
