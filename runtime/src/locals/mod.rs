//! Task-locals: values that belong to a task, and that what it spawns inherits (asyncio's `contextvars`).
//!
//! There are two kinds of key, told apart by `#[no_inherit]` in [`task_local!`](crate::task_local). The values of
//! a [`TaskLocal`] are shared with whatever is spawned, so they are `Send + Sync`, and lie in an immutable
//! map that a spawn passes on as one pointer: [`snapshot`]. The value of an [`OwnTaskLocal`] stays where it
//! is, so it may be anything: [`own`].
//!
//! # What sees which values
//!
//! Every task has values of its own: those of its spawner at the time of the spawn. Code that belongs to no
//! task, the future of `block_on` or a plain thread, has those of its thread; `block_on` begins with those
//! of its caller. A `scope` exchanges them while its future is polled or dropped, and keeps what the
//! future has set. Cleanup (`defer`, `finally`, `guard`) and done callbacks run with the values of the
//! place where they were registered, as a user reads them there.
//!
//! Nothing is done per poll: who asks for a value looks into the running task, whose values lie in the part of
//! the header that is made on first use. So a spawn costs one test where nothing is set.

mod own;
mod snapshot;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pub(crate) use own::Frame;
pub use own::{OwnLocalScope, OwnTaskLocal};
pub(crate) use snapshot::{Entry, Locals, Outside, Snapshot};
pub(crate) use snapshot::{current, inherit, keep, may_be_set, within};

use snapshot::{here, with_entry};

/// Declares task-locals: values that belong to a task and that what it spawns inherits.
///
/// A key is a `static` without a value. Outside [`scope`]($crate::task::TaskLocal::scope) and
/// [`set`]($crate::task::TaskLocal::set) it has none. A key marked `#[no_inherit]` is not passed on to what is
/// spawned, and its type need be neither `Sync` nor `Send`.
///
/// Inherited, as they are at that moment, by `spawn`, `spawn_local`, groups, `gather` and the like,
/// `spawn_blocking`, `spawn_compute`, `call_later`, `call_at`, and `block_on`; a child that sets a
/// value changes nothing for its parent. `block_in_place`, `timeout` and other scopes inside a task are the
/// task. `defer`, `finally`, `guard` and done callbacks see the values of the place where they were
/// registered. A thread made with `std::thread` inherits nothing.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::task_local! {
///     /// The request that this task serves.
///     pub static REQUEST: u64;
///     #[no_inherit]
///     static DEPTH: std::cell::Cell<u32>;
/// }
///
/// rt::block_on(REQUEST.scope(7, async {
///     assert_eq!(rt::spawn(async { REQUEST.get() }).await.unwrap(), 7);
///     assert_eq!(rt::spawn_blocking(|| REQUEST.get() + 1).await.unwrap(), 8);
///     DEPTH.sync_scope(1.into(), || DEPTH.with(|depth| depth.set(depth.get() + 1)));
///     assert!(DEPTH.try_with(|_| ()).is_none(), "its scope is over");
/// }));
/// assert_eq!(REQUEST.try_get(), None);
/// ```
#[macro_export]
#[doc(alias = "contextvars")]
#[doc(alias = "ContextVar")]
macro_rules! task_local {
    () => {};
    ($($key:tt)+) => {
        $crate::__task_local! { TaskLocal [] $($key)+ }
    };
}

/// One key of [`task_local!`] after the other: its kind and its attributes so far, then what is left to read.
#[doc(hidden)]
#[macro_export]
macro_rules! __task_local {
    ($kind:ident [$($seen:tt)*] #[no_inherit] $($rest:tt)+) => {
        $crate::__task_local! { OwnTaskLocal [$($seen)*] $($rest)+ }
    };
    ($kind:ident [$($seen:tt)*] #[$attribute:meta] $($rest:tt)+) => {
        $crate::__task_local! { $kind [$($seen)* #[$attribute]] $($rest)+ }
    };
    ($kind:ident [$($seen:tt)*] $visibility:vis static $name:ident: $value:ty; $($rest:tt)*) => {
        $crate::__task_local! { $kind [$($seen)*] $visibility static $name: $value }
        $crate::task_local! { $($rest)* }
    };
    ($kind:ident [$($seen:tt)*] $visibility:vis static $name:ident: $value:ty) => {
        $($seen)*
        $visibility static $name: $crate::task::$kind<$value> =
            $crate::task::$kind::new(::core::stringify!($name));
    };
}

/// A key of [`task_local!`](crate::task_local) whose value is inherited.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// rt::task_local! { static USER: String; }
///
/// USER.sync_scope("ada".into(), || {
///     assert_eq!(USER.with(|user| user.len()), 3);
///     let _reset = USER.set("grace".into());
///     assert_eq!(USER.get(), "grace");
/// });
/// assert!(USER.try_get().is_none());
/// ```
pub struct TaskLocal<T: 'static> {
    /// Also what makes the key take room: two of them never have the same address.
    name: &'static str,
    _value: PhantomData<fn() -> T>,
}

/// A value as the maps hold it.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

impl<T> TaskLocal<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            _value: PhantomData,
        }
    }

    /// Which key this is.
    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T: Send + Sync + 'static> TaskLocal<T> {
    /// Runs `body` with this value: while it is polled, and while it is dropped.
    ///
    /// What `body` spawns inherits the value. The other keys have, inside, the values of the place where it is
    /// first polled. It works on any executor; what it spawns inherits on ours.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `body`, whose destructors still see the value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// rt::task_local! { static REQUEST: u64; }
    ///
    /// let seen = rt::block_on(REQUEST.scope(7, async {
    ///     rt::yield_now().await;
    ///     REQUEST.get()
    /// }));
    /// assert_eq!(seen, 7);
    /// ```
    pub fn scope<F: Future>(&'static self, value: T, body: F) -> LocalScope<F> {
        LocalScope {
            body: Some(body),
            name: self.name,
            entry: Some(self.entry(value)),
            inside: None,
        }
    }

    /// Calls `f` with this value.
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        within(with_entry(current(), self.entry(value)), f)
    }

    /// Sets the value for the rest of the innermost `scope`, of the task, or, outside any task, of this
    /// thread's work; dropping the guard sets back what was there before.
    ///
    /// What was spawned before keeps what it inherited; what is spawned from now on inherits the new value. It
    /// holds for the whole task, so also for futures that are polled beside this one.
    ///
    /// Guards are dropped in the reverse order of their making; one that is dropped while a later value is set
    /// changes nothing. The guard may go with its task from thread to thread. In another task or thread it
    /// finds the value only where that was inherited, and sets it back there; where it was set it then stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// rt::task_local! { static REQUEST: u64; }
    ///
    /// rt::block_on(REQUEST.scope(7, async {
    ///     let reset = REQUEST.set(8);
    ///     assert_eq!(rt::spawn(async { REQUEST.get() }).await.unwrap(), 8);
    ///     drop(reset);
    ///     assert_eq!(REQUEST.get(), 7);
    /// }));
    /// ```
    pub fn set(&'static self, value: T) -> Reset {
        let entry = self.entry(value);
        let (key, ours) = (entry.key, entry.value.clone());
        let before = here(|locals| locals.set(entry)).flatten();
        Reset::new(self.name, move || {
            let reset = here(|locals| locals.reset(key, &ours, before));
            drop(reset);
        })
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If there is none here.
    #[must_use]
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        match self.try_get() {
            Some(value) => value,
            None => no_value(self.name),
        }
    }

    /// The value, if there is one here.
    #[must_use]
    pub fn try_get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// Gives `f` the value.
    ///
    /// # Panics
    ///
    /// If there is none here.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Some(result) => result,
            None => no_value(self.name),
        }
    }

    /// Gives `f` the value, if there is one here.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Option<R> {
        // One more owner while `f` looks: it may set another value.
        let value = here(|locals| locals.value(self.key())).flatten()?;
        value.downcast_ref().map(f)
    }

    fn entry(&'static self, value: T) -> Entry {
        Entry {
            key: self.key(),
            value: Arc::new(value),
        }
    }
}

#[cold]
#[track_caller]
fn no_value(name: &str) -> ! {
    panic!(
        "the task-local `{name}` has no value here: call this inside `{name}.scope(…)`, or use a method that tries"
    )
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskLocal").field(&self.name).finish()
    }
}

/// Sets a task-local back to what it was before, when it is dropped; made by [`TaskLocal::set`].
#[must_use = "the value is set back at once if this is dropped"]
pub struct Reset {
    name: &'static str,
    undo: Option<Box<dyn FnOnce() + Send>>,
}

impl Reset {
    fn new(name: &'static str, undo: impl FnOnce() + Send + 'static) -> Self {
        Self {
            name,
            undo: Some(Box::new(undo)),
        }
    }
}

impl Drop for Reset {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take() {
            undo();
        }
    }
}

impl fmt::Debug for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reset")
            .field("of", &self.name)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`TaskLocal::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct LocalScope<F> {
        #[pin]
        body: Option<F>,
        name: &'static str,
        // The value, until the body is first entered.
        entry: Option<Entry>,
        // What the body sees, while it is not running.
        inside: Snapshot,
    }

    impl<F> PinnedDrop for LocalScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.body.is_some() {
                enter(this.entry, this.inside, || this.body.set(None));
            }
        }
    }
}

/// Runs `f` with the values of a scope.
fn enter<R>(entry: &mut Option<Entry>, inside: &mut Snapshot, f: impl FnOnce() -> R) -> R {
    if let Some(entry) = entry.take() {
        *inside = with_entry(current(), entry);
    }
    snapshot::swapped(inside, f)
}

impl<F: Future> Future for LocalScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        enter(this.entry, this.inside, || {
            let body = this.body.as_mut().as_pin_mut();
            let poll = body
                .expect("a scope was polled after it was through")
                .poll(cx);
            if poll.is_ready() {
                this.body.set(None);
            }
            poll
        })
    }
}

impl<F> fmt::Debug for LocalScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope")
            .field("of", &self.name)
            .field("is_through", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
