//! What is inherited: an immutable map behind one pointer, and the cell that holds the present one.
//!
//! The map is a slice with an entry for each key, a handful at most. Setting a value makes a new slice, so
//! that a chain of tasks that each set one does not grow (rejected: a list of what was set, newest first).
//!
//! User code, also the destructor of a value, never runs while a cell is empty handed: what an exchange
//! displaces is dropped by the caller, afterwards.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Value;
use super::own::Own;
use crate::cancel::CleanupFuture;
use crate::context;
use crate::task::{Header, ignore_panic};

/// One key and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The address of the key.
    pub(crate) key: usize,
    pub(crate) value: Value,
}

/// The values of all keys at one moment; none if nothing is set.
pub(crate) type Snapshot = Option<Arc<[Entry]>>;

/// A snapshot with one more value, or another one for its key.
pub(super) fn with_entry(before: Snapshot, entry: Entry) -> Snapshot {
    let key = entry.key;
    let others = before.iter().flat_map(|before| before.iter());
    let others = others.filter(|other| other.key != key).cloned();
    Some(others.chain(std::iter::once(entry)).collect())
}

/// A snapshot without the value of a key.
fn without(before: &[Entry], key: usize) -> Snapshot {
    let rest: Arc<[Entry]> = before
        .iter()
        .filter(|entry| entry.key != key)
        .cloned()
        .collect();
    (!rest.is_empty()).then_some(rest)
}

/// The values of a task, or of what a thread does outside any.
///
/// Touched only by the thread that polls or drops the task, or whose own it is; and by the spawner before
/// anybody else knows the task.
#[derive(Default)]
pub(crate) struct Locals {
    inherited: Cell<Snapshot>,
    pub(super) own: RefCell<Own>,
}

thread_local! {
    /// For code that belongs to no task.
    static OUTSIDE: Locals = const {
        Locals {
            inherited: Cell::new(None),
            own: RefCell::new(Own::new()),
        }
    };
}

impl Locals {
    /// What whoever is spawned now inherits.
    fn snapshot(&self) -> Snapshot {
        let snapshot = self.inherited.take()?;
        self.inherited.set(Some(snapshot.clone()));
        Some(snapshot)
    }

    /// Drops all values: the task is through.
    pub(crate) fn clear(&self) {
        let rest = (self.inherited.take(), self.own.take());
        if rest.0.is_some() || !rest.1.is_empty() {
            ignore_panic(|| drop(rest));
        }
    }

    pub(super) fn value(&self, key: usize) -> Option<Value> {
        let snapshot = self.inherited.take();
        let value = snapshot
            .as_deref()
            .and_then(|entries| value_in(entries, key));
        self.inherited.set(snapshot);
        value
    }

    /// Sets a value; returns the one of before.
    pub(super) fn set(&self, entry: Entry) -> Option<Value> {
        let before = self.snapshot();
        let value = before
            .as_deref()
            .and_then(|entries| value_in(entries, entry.key));
        let displaced = self.inherited.replace(with_entry(before, entry));
        drop(displaced);
        value
    }

    /// Sets a value back, if `ours` is still the present one. Returns what the caller has to drop.
    pub(super) fn reset(
        &self,
        key: usize,
        ours: &Value,
        before: Option<Value>,
    ) -> impl Sized + use<> {
        let snapshot = self.snapshot()?;
        let present = value_in(&snapshot, key)?;
        if !Arc::ptr_eq(&present, ours) {
            return None;
        }
        let restored = match before {
            Some(value) => with_entry(Some(snapshot), Entry { key, value }),
            None => without(&snapshot, key),
        };
        Some((self.inherited.replace(restored), present))
    }
}

fn value_in(entries: &[Entry], key: usize) -> Option<Value> {
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some(entry.value.clone())
}

/// Gives `f` the values of the running task, or of this thread. None while the thread is being torn down.
pub(super) fn here<R>(f: impl FnOnce(&Locals) -> R) -> Option<R> {
    context::with_task(|task| match task {
        Some(task) => Some(f(&task.cold().locals)),
        None => {
            context::with(|cx| cx.has_locals.set(true));
            OUTSIDE.try_with(f).ok()
        }
    })
}

/// Whether any value may be set here: all that a spawn asks where none is.
#[inline(always)]
pub(crate) fn may_be_set() -> bool {
    context::with_task(|task| match task {
        Some(task) => task.has_cold(),
        None => context::with(|cx| cx.has_locals.get()),
    })
}

/// What whoever is spawned now inherits.
pub(crate) fn current() -> Snapshot {
    if !may_be_set() {
        return None;
    }
    context::with_task(|task| match task {
        Some(task) => task.cold_if_any().and_then(|cold| cold.locals.snapshot()),
        None => OUTSIDE.try_with(Locals::snapshot).ok().flatten(),
    })
}

/// Gives a task that nobody knows yet what it inherits.
#[cold]
pub(crate) fn inherit(task: &Header) {
    let snapshot = current();
    if snapshot.is_some() {
        task.cold().locals.inherited.set(snapshot);
    }
}

/// Runs `f` with the values of `inside`, and leaves there what `f` has made of them.
pub(super) fn swapped<R>(inside: &mut Snapshot, f: impl FnOnce() -> R) -> R {
    struct Swapped<'a>(&'a mut Snapshot);
    impl Swapped<'_> {
        fn swap(&mut self) {
            let theirs = self.0.take();
            *self.0 = here(|locals| locals.inherited.replace(theirs)).flatten();
        }
    }
    impl Drop for Swapped<'_> {
        fn drop(&mut self) {
            self.swap();
        }
    }
    let mut swapped = Swapped(inside);
    swapped.swap();
    f()
}

/// Runs `f` with the values of a snapshot.
pub(crate) fn within<R>(mut snapshot: Snapshot, f: impl FnOnce() -> R) -> R {
    if snapshot.is_none() && current().is_none() {
        return f();
    }
    swapped(&mut snapshot, f)
}

/// Cleanup that will run with the values of this place, wherever it runs.
pub(crate) fn keep(cleanup: CleanupFuture) -> CleanupFuture {
    match current() {
        None => cleanup,
        inside => Box::pin(Within {
            body: Some(cleanup),
            inside,
        }),
    }
}

pin_project! {
    /// A future that is polled and dropped with the values of a snapshot.
    struct Within<F> {
        #[pin]
        body: Option<F>,
        inside: Snapshot,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            swapped(this.inside, || this.body.set(None));
        }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        swapped(this.inside, || {
            let body = this.body.as_pin_mut();
            body.expect("the body stays until this is dropped").poll(cx)
        })
    }
}

/// What this thread had outside any task before a `block_on`, which has values of its own. None: nothing.
pub(crate) struct Outside(Option<(Snapshot, Own)>);

impl Outside {
    /// Begins with what the caller would pass on.
    pub(crate) fn enter() -> Self {
        let inside = current();
        let had_locals = context::with(|cx| cx.has_locals.replace(inside.is_some()));
        if !had_locals && inside.is_none() {
            return Self(None);
        }
        let before =
            OUTSIDE.try_with(|outside| (outside.inherited.replace(inside), outside.own.take()));
        Self(before.ok())
    }

    /// Goes back to what was before.
    pub(crate) fn leave(&mut self) {
        let before = self.0.take();
        let has_locals = context::with(|cx| cx.has_locals.replace(before.is_some()));
        if !has_locals && before.is_none() {
            return;
        }
        let (inherited, own) = before.unwrap_or_default();
        let displaced = OUTSIDE.try_with(|outside| {
            (
                outside.inherited.replace(inherited),
                outside.own.replace(own),
            )
        });
        ignore_panic(|| drop(displaced));
    }
}
