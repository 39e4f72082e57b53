//! What few tasks have: a name, a span, a request to cancel, cleanup, callbacks, task-locals.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use super::cell::Header;
use super::info::TaskInfo;
use crate::cancel::{Cancelled, Scope, Signal};
use crate::locals::{Locals, Snapshot};
use crate::trace::TaskSpan;

/// What few tasks have: made on first use.
///
/// Each part is under its own lock or set once, except `scope` and `locals`, which belong to the thread that
/// has `RUNNING`; what is inherited is written before the task is shared.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: OnceLock<Arc<str>>,
    pub(crate) request: Mutex<Request>,
    pub(crate) on_finish: Mutex<Callbacks>,
    pub(crate) scope: Scope,
    pub(crate) locals: Locals,
    pub(crate) busy_micros: AtomicU64,
    #[cfg_attr(not(feature = "tracing"), expect(dead_code))]
    pub(crate) span: TaskSpan,
}

/// The request to cancel a task.
///
/// `CANCELLED` in the state word is set and cleared under the lock of this, together with `cancelled`; so
/// whoever listens first finds the request, or the request finds the signal.
#[derive(Default)]
pub(crate) struct Request {
    /// Why, until a region catches it.
    pub(crate) cancelled: Option<Cancelled>,
    /// Made when somebody first listens.
    pub(crate) signal: Option<Arc<Signal>>,
    /// The task was told that its runtime shuts down, which happens once; or it is never to be told.
    pub(crate) is_shutdown: bool,
}

/// The done callbacks that were not called yet.
#[derive(Default)]
pub(crate) struct Callbacks {
    pub(crate) waiting: VecDeque<(Snapshot, Callback)>,
    /// A thread is calling them, and looks for more before it stops.
    pub(crate) is_calling: bool,
    /// One of them looks at the result.
    pub(crate) is_looking: bool,
}

/// A done callback. It gets the header while the result is in place and nobody else touches it, and runs with the
/// task-locals of the place where it was registered.
pub(crate) type Callback = Box<dyn FnOnce(NonNull<Header>, &TaskInfo) + Send>;
