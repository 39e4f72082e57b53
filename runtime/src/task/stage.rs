//! The typed part of a cell: the hook, and the stage, which holds the future and later the result.
//!
//! An enum would do for the stage, but its tag would take eight bytes in front of what is aligned for a pointer.
//! Here the tag stands beside the hook, most of which are empty, so that a task which only sleeps fits the
//! smallest block.
//!
//! # Invariants
//!
//! 1. The content is what `held` says, and nobody else keeps a reference to it while it is changed.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::{self, NonNull};

use super::JoinError;
use super::cell::Header;
use super::hook::{Hook, Keep};

/// What the handle of a task gives.
pub(crate) type Outcome<F, H> = Result<<H as Hook<<F as Future>::Output>>::Value, JoinError>;

/// How a cell of these types keeps its result.
type KeptIn<F, H, K> = <K as Keep>::Kept<Outcome<F, H>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Body,
    Result,
    Nothing,
}

#[repr(C)]
union Content<F, R> {
    body: ManuallyDrop<F>,
    result: ManuallyDrop<R>,
}

/// The whole cell.
#[repr(C)]
pub(crate) struct TaskCell<F: Future, H: Hook<F::Output>, K: Keep> {
    pub(crate) header: Header,
    held: Cell<Held>,
    pub(crate) hook: UnsafeCell<Option<H>>,
    content: UnsafeCell<Content<F, KeptIn<F, H, K>>>,
}

impl<F: Future, H: Hook<F::Output>, K: Keep> TaskCell<F, H, K> {
    /// Writes what comes behind the header.
    ///
    /// # Safety
    ///
    /// The block is the caller's, and its class fits the cell.
    #[inline]
    pub(crate) unsafe fn fill(cell: NonNull<Self>, future: F, hook: H) {
        let cell = cell.as_ptr();
        // SAFETY: by the caller's promise; no reference is made to the rest.
        let to_hook = unsafe { &raw mut (*cell).hook };
        // SAFETY: the field lies in the caller's block.
        unsafe { to_hook.write(Some(hook).into()) };
        // SAFETY: as for the hook.
        let to_held = unsafe { &raw mut (*cell).held };
        // SAFETY: as for the hook.
        unsafe { to_held.write(Cell::new(Held::Body)) };
        // SAFETY: as for the hook.
        let to_content = unsafe { &raw mut (*cell).content };
        // SAFETY: as for the hook; both begin at the same address, as the union is `repr(C)`.
        unsafe { to_content.cast::<F>().write(future) };
    }

    fn content<T>(&self) -> *mut T {
        // Both fields of the union begin where it begins.
        self.content.get().cast()
    }

    /// Gives `f` the future, where it stays.
    ///
    /// # Safety
    ///
    /// Nobody else touches the stage meanwhile, and it holds the future.
    #[inline]
    pub(crate) unsafe fn with_body<T>(&self, f: impl FnOnce(Pin<&mut F>) -> T) -> T {
        assert!(self.held.get() == Held::Body, "the stage holds the future");
        // SAFETY: Invariant 1, and by the caller's promise this is the only reference.
        let future = unsafe { &mut *self.content::<F>() };
        // SAFETY: the future stays in the cell until `clear` drops it there.
        f(unsafe { Pin::new_unchecked(future) })
    }

    /// Drops the future; the stage is empty afterwards, also when the destructor panics.
    ///
    /// # Safety
    ///
    /// Nobody else touches the stage meanwhile, and it holds the future.
    #[inline]
    pub(crate) unsafe fn drop_body(&self) {
        self.held.set(Held::Nothing);
        // SAFETY: by the caller's promise; the stage does not hold it any more.
        unsafe { ptr::drop_in_place(self.content::<F>()) };
    }

    /// Drops what the stage holds; it is empty afterwards, also when the destructor panics.
    ///
    /// # Safety
    ///
    /// Nobody else touches the stage meanwhile.
    #[inline]
    pub(crate) unsafe fn clear(&self) {
        match self.held.replace(Held::Nothing) {
            // SAFETY: Invariant 1; it does not hold it any more.
            Held::Body => unsafe { ptr::drop_in_place(self.content::<F>()) },
            // SAFETY: as above.
            Held::Result => unsafe { ptr::drop_in_place(self.content::<KeptIn<F, H, K>>()) },
            Held::Nothing => {}
        }
    }

    /// Puts the result into the empty stage.
    ///
    /// # Safety
    ///
    /// Nobody else touches the stage meanwhile.
    #[inline]
    pub(crate) unsafe fn put_result(&self, result: Outcome<F, H>) {
        debug_assert!(self.held.get() == Held::Nothing, "the stage is empty");
        let kept = K::keep(result);
        // SAFETY: the content is big enough for a result, and the caller's.
        unsafe { self.content::<KeptIn<F, H, K>>().write(kept) };
        self.held.set(Held::Result);
    }

    /// Moves the result out.
    ///
    /// # Safety
    ///
    /// Nobody else touches the stage meanwhile, and it holds the result.
    #[inline]
    pub(crate) unsafe fn take_result(&self) -> Outcome<F, H> {
        let held = self.held.replace(Held::Nothing);
        // No `assert_eq`: it puts the byte on the stack, in the way of what is popped, which costs 5 ns.
        assert!(held == Held::Result, "the result is taken once");
        // SAFETY: Invariant 1; it does not hold it any more.
        K::give(unsafe { self.content::<KeptIn<F, H, K>>().read() })
    }

    /// The result, if the stage holds it.
    ///
    /// # Safety
    ///
    /// Nobody changes the stage while the reference is used.
    #[inline]
    pub(crate) unsafe fn result(&self) -> Option<&Outcome<F, H>> {
        if self.held.get() != Held::Result {
            return None;
        }
        // SAFETY: Invariant 1, and the caller's promise.
        Some(K::look(unsafe { &*self.content::<KeptIn<F, H, K>>() }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::arena::{CLASSES, class_of};
    use super::super::{Inline, Plain};
    use super::TaskCell;
    use std::time::Duration;

    fn class_of_task<F: Future<Output = ()>>(_: F) -> usize {
        let class = class_of(
            size_of::<TaskCell<F, Plain, Inline>>(),
            align_of::<TaskCell<F, Plain, Inline>>(),
        );
        CLASSES[usize::from(class.expect("it fits a block"))]
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_task_that_only_sleeps_fits_the_smallest_block() {
        let sleeper = async { crate::sleep(Duration::from_secs(3_600)).await };
        assert_eq!(class_of_task(sleeper), 160);
        assert_eq!(class_of_task(async {}), 160);
    }

    #[test]
    fn what_is_aligned_for_a_cache_line_gets_a_block_that_is() {
        #[repr(align(64))]
        struct Aligned;
        let task = async {
            let aligned = Aligned;
            std::future::pending::<()>().await;
            std::hint::black_box(&aligned);
        };
        assert_eq!(class_of_task(task) % 64, 0);
    }
}
