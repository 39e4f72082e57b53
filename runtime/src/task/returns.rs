//! How blocks come back to an arena from other threads, and how a closed arena learns that it may go.
//!
//! A stack with many pushers and one taker, who always takes the whole stack: so there is no ABA. Closing
//! swaps in a head that no pusher will build on; from then on each return counts `outstanding` down instead,
//! and whoever brings it to zero frees the arena.
//!
//! # Invariants
//!
//! 1. A node is linked into the stack by the thread that owns it, and belongs to the taker afterwards.
//! 2. `outstanding` is at least one until `close` has counted what is still out: a return that overtakes the
//!    counting cannot bring it to zero, because `close` adds every node first and subtracts those that are
//!    back afterwards.
//!
//! # Memory ordering
//!
//! `recycle`: the push releases the last uses of the node, the swap acquires them.
//! `closed`: closing releases what it added to `outstanding`; who finds the stack closed acquires it, and then
//! counts down.
//! `outstanding`: each decrement releases, the one that reaches zero acquires all the others.

use std::ptr::{self, NonNull};

use crate::shim::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

/// Something with a place for a link.
pub(crate) trait Node {
    fn next(&self) -> *mut Self;
    fn set_next(&self, next: *mut Self);
}

/// The head of a closed stack.
fn closed<N>() -> *mut N {
    ptr::without_provenance_mut(1)
}

pub(crate) struct Returns<N> {
    head: AtomicPtr<N>,
    outstanding: AtomicUsize,
}

impl<N: Node> Returns<N> {
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            outstanding: AtomicUsize::new(1),
        }
    }

    /// Gives a node back. True if the stack is closed and this was the last thing outstanding: the caller
    /// frees the arena.
    ///
    /// # Safety
    ///
    /// The node is the caller's, and lives as long as the arena.
    pub(crate) unsafe fn push(&self, node: NonNull<N>) -> bool {
        // ORDERING(closed): Acquire, who finds the stack closed counts down what `close` has added.
        let mut head = self.head.load(Ordering::Acquire);
        while head != closed() {
            // SAFETY: the node is the caller's, so it is alive.
            unsafe { node.as_ref() }.set_next(head);
            // ORDERING(recycle): Release, our uses of the node come before the taker's.
            // ORDERING(closed): Acquire on failure, as above.
            match self.head.compare_exchange_weak(
                head,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return false,
                Err(seen) => head = seen,
            }
        }
        self.release()
    }

    /// Whether nothing was given back. What comes meanwhile may be missed.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Takes all nodes; follow their links.
    pub(crate) fn take(&self) -> *mut N {
        // ORDERING(recycle): Acquire, the last uses of the nodes by those who gave them back.
        self.head.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// Closes the stack. `n_handed_out` nodes were ever made, of which `n_kept` are with the caller. True if
    /// nothing is outstanding any more: the caller frees the arena.
    ///
    /// # Safety
    ///
    /// Called once.
    pub(crate) unsafe fn close(&self, n_handed_out: usize, n_kept: usize) -> bool {
        // Invariant 2: first all of them, so that no return after the swap can reach zero.
        self.outstanding.fetch_add(n_handed_out, Ordering::Relaxed);
        // ORDERING(recycle): Acquire, the last uses of the nodes by those who gave them back.
        // ORDERING(closed): Release, the count above.
        let mut node = self.head.swap(closed(), Ordering::AcqRel);
        let mut n_back = n_kept;
        while let Some(returned) = NonNull::new(node) {
            n_back += 1;
            // SAFETY: Invariant 1: the swap made the nodes of the stack ours.
            node = unsafe { returned.as_ref() }.next();
        }
        self.outstanding.fetch_sub(n_back, Ordering::Relaxed);
        self.release()
    }

    /// Keeps the arena from being freed until the matching `release`. Only before `close`.
    pub(crate) fn pin(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one thing down; true if it was the last.
    pub(crate) fn release(&self) -> bool {
        // ORDERING(outstanding): Release, what we did with the arena comes before it is freed.
        if self.outstanding.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // ORDERING(outstanding): Acquire, what all the others did with it.
        fence(Ordering::Acquire);
        true
    }
}
