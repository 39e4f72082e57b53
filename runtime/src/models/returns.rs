//! Models of how blocks come back to an arena: none is lost, and the arena is freed once, by the last.

use std::ptr::{self, NonNull};

use crate::shim::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::shim::{Arc, UnsafeCell, thread};
use crate::task::returns::{Node, Returns};

/// A block: its link is a plain cell, so loom sees two threads that both think it theirs.
struct Block(UnsafeCell<*mut Block>);

impl Node for Block {
    fn next(&self) -> *mut Self {
        // SAFETY: the block is the caller's; loom checks it.
        self.0.with(|next| unsafe { *next })
    }

    fn set_next(&self, next: *mut Self) {
        // SAFETY: the block is the caller's; loom checks it.
        self.0.with_mut(|slot| unsafe { *slot = next });
    }
}

/// Blocks that live as long as the model.
#[derive(Clone, Copy)]
struct Lent(NonNull<Block>);

// SAFETY: it is passed on whole: each model gives a block to one thread.
unsafe impl Send for Lent {}

impl Lent {
    fn new() -> Self {
        Self(NonNull::from(Box::leak(Box::new(Block(UnsafeCell::new(
            ptr::null_mut(),
        ))))))
    }

    /// # Safety
    ///
    /// Nobody uses the block any more.
    unsafe fn end(self) {
        // SAFETY: `new` leaked a box, and by the caller's promise nobody uses it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// What an arena's `Returns` does, for the real one and the mutant.
trait Recycle: Send + Sync + 'static {
    fn new() -> Self;
    fn give_back(&self, block: Lent) -> bool;
    fn close(&self, n_handed_out: usize, n_kept: usize) -> bool;
}

impl Recycle for Returns<Block> {
    fn new() -> Self {
        Self::new()
    }

    fn give_back(&self, block: Lent) -> bool {
        // SAFETY: each block is given back by one thread, and lives as long as the model.
        unsafe { self.push(block.0) }
    }

    fn close(&self, n_handed_out: usize, n_kept: usize) -> bool {
        // SAFETY: called once.
        unsafe { Returns::close(self, n_handed_out, n_kept) }
    }
}

/// The known-bad mutant: it closes first and counts afterwards.
struct CountsLate {
    head: AtomicPtr<Block>,
    outstanding: AtomicUsize,
}

impl CountsLate {
    fn release(&self) -> bool {
        self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

fn closed() -> *mut Block {
    ptr::without_provenance_mut(1)
}

impl Recycle for CountsLate {
    fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            outstanding: AtomicUsize::new(1),
        }
    }

    fn give_back(&self, block: Lent) -> bool {
        let mut head = self.head.load(Ordering::Acquire);
        while head != closed() {
            // SAFETY: the block is the caller's and lives as long as the model.
            unsafe { block.0.as_ref() }.set_next(head);
            let new = block.0.as_ptr();
            match self
                .head
                .compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return false,
                Err(seen) => head = seen,
            }
        }
        self.release()
    }

    fn close(&self, n_handed_out: usize, n_kept: usize) -> bool {
        let mut node = self.head.swap(closed(), Ordering::AcqRel);
        let mut n_back = n_kept;
        while let Some(block) = NonNull::new(node) {
            n_back += 1;
            // SAFETY: the swap made the blocks ours.
            node = unsafe { block.as_ref() }.next();
        }
        self.outstanding
            .fetch_add(n_handed_out - n_back, Ordering::AcqRel);
        self.release()
    }
}

fn blocks_come_back_during_the_close<R: Recycle>() {
    loom::model(|| {
        let returns = Arc::new(R::new());
        let blocks = [Lent::new(), Lent::new()];
        let givers: Vec<_> = blocks
            .map(|block| {
                let returns = returns.clone();
                thread::spawn(move || returns.give_back(block))
            })
            .into_iter()
            .collect();
        let is_last = returns.close(2, 0);
        let n_told = givers
            .into_iter()
            .map(|giver| usize::from(giver.join().unwrap()))
            .sum::<usize>();
        assert_eq!(
            n_told + usize::from(is_last),
            1,
            "the arena was freed twice, or never"
        );
        for block in blocks {
            // SAFETY: all threads have ended.
            unsafe { block.end() };
        }
    });
}

#[test]
fn the_last_block_of_a_closed_arena_frees_it_once() {
    blocks_come_back_during_the_close::<Returns<Block>>();
}

#[test]
#[should_panic(expected = "the arena was freed twice, or never")]
fn mutant_counting_after_the_close_frees_twice() {
    blocks_come_back_during_the_close::<CountsLate>();
}

#[test]
fn what_comes_back_while_the_owner_takes_is_taken_once() {
    loom::model(|| {
        let returns = Arc::new(Returns::<Block>::new());
        let blocks = [Lent::new(), Lent::new()];
        let givers: Vec<_> = blocks
            .map(|block| {
                let returns = returns.clone();
                thread::spawn(move || assert!(!returns.give_back(block)))
            })
            .into_iter()
            .collect();
        let mut n_taken = 0;
        let mut take = || {
            let mut node = returns.take();
            while let Some(block) = NonNull::new(node) {
                n_taken += 1;
                // SAFETY: the stack that was taken is ours.
                node = unsafe { block.as_ref() }.next();
            }
        };
        take();
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        take();
        assert_eq!(n_taken, 2, "a block was lost, or taken twice");
        assert!(Recycle::close(&*returns, 2, 2), "nothing is outstanding");
        for block in blocks {
            // SAFETY: all threads have ended.
            unsafe { block.end() };
        }
    });
}
