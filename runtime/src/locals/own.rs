//! What is not inherited: values that stay with the code that set them.
//!
//! Such a value may be of a type that two threads must not look at together, so no map that could be copied
//! holds it. It lies in the future of its `scope`, and while that is polled a *frame* on the stack leads to
//! it; the frames of a thread form a list. What is `set` replaces the value of the innermost frame of its key;
//! outside any it lies in the task itself.
//!
//! # Invariants
//!
//! 1. A frame, and the slot that it points to, outlive the time in which the context points to the frame: whoever
//!    pushes it takes it away before it goes, also by unwinding.
//! 2. Frames are pushed by what a poll calls. Who polls anything that is not part of the running task, `block_on`,
//!    an eager spawn or the end of a task, begins with an empty list. So code finds only its own task's frames.
//! 3. A `Held` lies in a slot, in the values of a task or thread, or in a `Reset`: there it belongs to one thread
//!    at a time, the one that polls or drops what it lies in. Its clones lie on the stack of `try_with`, on
//!    that same thread.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::snapshot::here;
use super::{Reset, no_value};
use crate::context::{self, Restore};

/// A value, and those who look at it now.
struct Held<T>(Arc<T>);

// SAFETY: Invariant 3: a value is reached by one thread at a time, and `T: Send` lets that be another one.
unsafe impl<T: Send> Send for Held<T> {}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Where a scope keeps its value.
type Slot<T> = RefCell<Held<T>>;

/// Leads to the value of a scope while that is polled.
pub(crate) struct Frame {
    key: usize,
    slot: *const dyn Any,
    outer: *const Frame,
}

/// What was set in a task outside any scope of its key.
#[derive(Default)]
pub(crate) struct Own(Vec<(usize, Box<dyn Any + Send>)>);

impl Own {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn value<T: 'static>(&self, key: usize) -> Option<&Held<T>> {
        let (_, value) = self.0.iter().find(|(other, _)| *other == key)?;
        value.downcast_ref()
    }

    fn take<T: 'static>(&mut self, key: usize) -> Option<Held<T>> {
        let index = self.0.iter().position(|(other, _)| *other == key)?;
        let (_, value) = self.0.swap_remove(index);
        value.downcast().ok().map(|value| *value)
    }
}

/// Gives `f` the slot of the innermost scope of a key.
fn with_slot<T: 'static, R>(key: usize, f: impl FnOnce(&Slot<T>) -> R) -> Option<R> {
    context::with(|cx| {
        // SAFETY: Invariant 1.
        let mut next = unsafe { cx.frames.get().as_ref() };
        while let Some(frame) = next {
            if frame.key == key {
                // SAFETY: Invariant 1.
                let slot = unsafe { &*frame.slot };
                return slot.downcast_ref().map(f);
            }
            // SAFETY: Invariant 1: the outer frame goes after this one.
            next = unsafe { frame.outer.as_ref() };
        }
        None
    })
}

/// Runs `f` with a frame for `slot`.
fn framed<T: 'static, R>(key: usize, slot: &Slot<T>, f: impl FnOnce() -> R) -> R {
    context::with(|cx| {
        let frame = Frame {
            key,
            slot: ptr::from_ref::<dyn Any>(slot),
            outer: cx.frames.get(),
        };
        // The frame goes after the guard.
        let _frame = Restore::set(&cx.frames, ptr::from_ref(&frame));
        f()
    })
}

/// A key of [`task_local!`](crate::task_local) that is marked `#[no_inherit]`: its value is not passed on to what
/// is spawned, nor to `block_on`, cleanup and callbacks.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::cell::RefCell;
/// rt::task_local! { #[no_inherit] static TRACE: RefCell<Vec<&'static str>>; }
///
/// rt::block_on(TRACE.scope(RefCell::default(), async {
///     TRACE.with(|trace| trace.borrow_mut().push("began"));
///     rt::yield_now().await;
///     assert_eq!(TRACE.with(|trace| trace.borrow().len()), 1);
///     let child = rt::spawn(async { TRACE.try_with(|_| ()).is_some() });
///     assert!(!child.await.unwrap());
/// }));
/// ```
pub struct OwnTaskLocal<T: 'static> {
    /// Also what makes the key take room: two of them never have the same address.
    name: &'static str,
    _value: PhantomData<fn() -> T>,
}

impl<T> OwnTaskLocal<T> {
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
        ptr::from_ref(self).addr()
    }
}

impl<T: 'static> OwnTaskLocal<T> {
    /// Runs `body` with this value: while it is polled, and while it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `body`, whose destructors still see the value.
    pub fn scope<F: Future>(&'static self, value: T, body: F) -> OwnLocalScope<T, F> {
        OwnLocalScope {
            body: Some(body),
            key: self,
            slot: RefCell::new(Held(Arc::new(value))),
        }
    }

    /// Calls `f` with this value.
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        framed(self.key(), &RefCell::new(Held(Arc::new(value))), f)
    }

    /// Sets the value for the rest of the innermost `scope` of this key, or of the task; dropping the guard sets
    /// back what was there before.
    ///
    /// The guard changes nothing if it is dropped while a later value is set, or in another task or thread.
    pub fn set(&'static self, value: T) -> Reset
    where
        T: Send,
    {
        let ours = Held(Arc::new(value));
        let before = self.exchange(ours.clone());
        Reset::new(self.name, move || {
            // Each closure takes a `Held` whole: its parts are not `Send`.
            let (ours, before) = (ours, before);
            self.reset(&ours, before);
        })
    }

    /// Puts a value where it is looked for, and returns the one of before.
    fn exchange(&'static self, value: Held<T>) -> Option<Held<T>>
    where
        T: Send,
    {
        let mut value = Some(value);
        let in_scope = with_slot::<T, _>(self.key(), |slot| {
            value.take().map(|value| slot.replace(value))
        });
        in_scope.flatten().or_else(|| {
            let value = value?;
            here(|locals| {
                let mut own = locals.own.borrow_mut();
                let before = own.take(self.key());
                own.0.push((self.key(), Box::new(value)));
                before
            })
            .flatten()
        })
    }

    /// Sets a value back, if `ours` is still the present one.
    fn reset(&'static self, ours: &Held<T>, before: Option<Held<T>>)
    where
        T: Send,
    {
        if !self
            .present()
            .is_some_and(|present| Arc::ptr_eq(&present.0, &ours.0))
        {
            return;
        }
        // Dropped here, where no cell is borrowed.
        let _displaced = match before {
            Some(before) => self.exchange(before),
            None => here(|locals| locals.own.borrow_mut().take(self.key())).flatten(),
        };
    }

    /// The value, and one more owner.
    fn present(&'static self) -> Option<Held<T>> {
        let key = self.key();
        with_slot::<T, _>(key, |slot| slot.borrow().clone())
            .or_else(|| here(|locals| locals.own.borrow().value(key).cloned()).flatten())
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
        self.present().map(|held| f(&held.0))
    }
}

impl<T> fmt::Debug for OwnTaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnTaskLocal").field(&self.name).finish()
    }
}

pin_project! {
    /// The future of [`OwnTaskLocal::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct OwnLocalScope<T: 'static, F> {
        #[pin]
        body: Option<F>,
        key: &'static OwnTaskLocal<T>,
        slot: Slot<T>,
    }

    impl<T: 'static, F> PinnedDrop for OwnLocalScope<T, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.body.is_some() {
                framed(this.key.key(), this.slot, || this.body.set(None));
            }
        }
    }
}

impl<T: 'static, F: Future> Future for OwnLocalScope<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        framed(this.key.key(), this.slot, || {
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

impl<T: 'static, F> fmt::Debug for OwnLocalScope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnLocalScope")
            .field("of", &self.key.name)
            .field("is_through", &self.body.is_none())
            .finish_non_exhaustive()
    }
}
