//! Memory for task cells: recycled per worker, freed from anywhere, walked as the registry of live tasks.
//!
//! A runtime that allocates and frees a cell per task through the system's allocator spends more time there
//! than in scheduling. So each seat owns an arena: chunks of blocks in a few size classes, with a free list
//! per class that only the holder of the seat touches. A block freed by anybody else goes onto the arena's
//! `remote` stack in one exchange, and the owner takes the whole stack when its own list is empty.
//!
//! The chunks are also the registry of live tasks: [`Arena::walk`] visits every block whose state word counts
//! a reference. No list is kept per spawn, so spawning writes no line that another worker writes.
//!
//! # Invariants
//!
//! 1. `local` is touched by one thread at a time: the holder of the seat, or of the lock that stands for one.
//! 2. A block is in exactly one place: in use, in a free list of `local`, or on `remote`.
//! 3. Every block ever handed out has its `home` and `class` set, and keeps both until the arena is freed;
//!    one that was never handed out is all zeros. So the state word at its start can always be read.
//! 4. The arena is freed by whoever is told so by [`Returns`]: the last of the blocks in use after `close`, the
//!    walkers, and `close` itself.
//! 5. `runtime` is set once, before the arena is shared.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::cell::{Header, Retained};
use super::returns::{Node, Returns};
use crate::scheduler::Shared;
use crate::shim::{Mutex, UnsafeCell, lock};

/// Sizes of blocks in bytes; a future that needs more goes to the heap behind a cell.
///
/// Blocks begin on a cache line, but for those of the smallest class, which begin on one or in the middle of one.
/// That one is for tasks that are many and do little, such as those that only sleep.
pub(crate) const CLASSES: [usize; 12] = [
    160, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048,
];

/// Chunks begin on a cache line.
const ALIGN: usize = 64;

/// Chunks double from the first size to the second, per class.
const CHUNK_BYTES: std::ops::RangeInclusive<usize> = 4096..=256 * 1024;

/// What an allocator keeps beside a chunk, so that both together fill whole pages.
const KEPT_BESIDE: usize = 128;

/// The smallest class whose blocks hold `size` bytes and are aligned for what they hold.
pub(crate) const fn class_of(size: usize, align: usize) -> Option<u8> {
    let mut class = 0;
    while class < CLASSES.len() {
        if size <= CLASSES[class] && CLASSES[class] % align == 0 && align <= ALIGN {
            return Some(class as u8);
        }
        class += 1;
    }
    None
}

#[derive(Clone, Copy)]
struct Chunk {
    base: NonNull<u8>,
    bytes: usize,
    class: u8,
}

impl Chunk {
    fn n_blocks(&self) -> usize {
        self.bytes / CLASSES[usize::from(self.class)]
    }
}

/// The owner's part.
struct Local {
    free: [*mut Header; CLASSES.len()],
    /// What is left of the newest chunk of each class: blocks that were never handed out.
    fresh: [(*mut u8, usize); CLASSES.len()],
    next_bytes: [usize; CLASSES.len()],
    n_handed_out: usize,
}

pub(crate) struct Arena {
    local: UnsafeCell<Local>,
    returns: Returns<Header>,
    chunks: Mutex<Vec<Chunk>>,
    runtime: UnsafeCell<Option<Arc<Shared>>>,
}

// SAFETY: `local` by Invariant 1, `runtime` by Invariant 5; blocks are passed on whole by Invariant 2.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Makes an arena; it frees itself after `close`.
    pub(crate) fn new() -> NonNull<Self> {
        let arena = Self {
            local: UnsafeCell::new(Local {
                free: [ptr::null_mut(); CLASSES.len()],
                fresh: [(ptr::null_mut(), 0); CLASSES.len()],
                next_bytes: [*CHUNK_BYTES.start(); CLASSES.len()],
                n_handed_out: 0,
            }),
            returns: Returns::new(),
            chunks: Mutex::new(Vec::new()),
            runtime: UnsafeCell::new(None),
        };
        NonNull::from(Box::leak(Box::new(arena)))
    }

    /// Ties the arena to its runtime, which every task that lives in it keeps alive.
    ///
    /// # Safety
    ///
    /// Called once, before anybody else has the arena.
    pub(crate) unsafe fn attach(&self, runtime: Arc<Shared>) {
        // SAFETY: Invariant 5, by the caller's promise.
        self.runtime
            .with_mut(|slot| unsafe { *slot = Some(runtime) });
    }

    /// The runtime whose tasks live here.
    #[inline]
    pub(crate) fn runtime(&self) -> &Arc<Shared> {
        // SAFETY: Invariant 5: nobody writes it any more.
        let runtime = self.runtime.with(|slot| unsafe { &*slot });
        runtime
            .as_ref()
            .expect("an arena is attached before it is used")
    }

    /// Takes a block of a class. Its state word is dead; the caller writes the header, then brings it to life.
    ///
    /// # Safety
    ///
    /// The caller is the owner of `local` (Invariant 1).
    #[inline]
    pub(crate) unsafe fn alloc(&self, class: u8) -> NonNull<Header> {
        self.local.with_mut(|local| {
            // SAFETY: Invariant 1, by the caller's promise.
            let local = unsafe { &mut *local };
            let head = local.free[usize::from(class)];
            match NonNull::new(head) {
                Some(block) => {
                    // SAFETY: Invariant 2: a block in our free list is ours.
                    local.free[usize::from(class)] = unsafe { block.as_ref() }.next();
                    block
                }
                None => self.alloc_slow(local, class),
            }
        })
    }

    #[cold]
    fn alloc_slow(&self, local: &mut Local, class: u8) -> NonNull<Header> {
        let index = usize::from(class);
        self.take_returns(local);
        if let Some(block) = NonNull::new(local.free[index]) {
            // SAFETY: Invariant 2: a block in our free list is ours.
            local.free[index] = unsafe { block.as_ref() }.next();
            return block;
        }
        self.carve(local, class)
    }

    /// Puts the blocks that others freed at the front of the free lists.
    fn take_returns(&self, local: &mut Local) {
        let mut block = self.returns.take();
        while let Some(freed) = NonNull::new(block) {
            // SAFETY: Invariant 2: the blocks of the stack are ours now.
            let header = unsafe { freed.as_ref() };
            block = header.next();
            let list = &mut local.free[usize::from(header.class())];
            header.set_next(*list);
            *list = freed.as_ptr();
        }
    }

    /// Has the blocks that others freed used again before those that have lain here for longer: they are in a
    /// cache, and those may not be. The owner does so now and then.
    ///
    /// # Safety
    ///
    /// The caller is the owner of `local` (Invariant 1).
    pub(crate) unsafe fn recycle(&self) {
        if !self.returns.is_empty() {
            self.local.with_mut(|local| {
                // SAFETY: Invariant 1, by the caller's promise.
                self.take_returns(unsafe { &mut *local });
            });
        }
    }

    /// Hands out a block for the first time.
    fn carve(&self, local: &mut Local, class: u8) -> NonNull<Header> {
        let index = usize::from(class);
        if local.fresh[index].1 == 0 {
            let with_rest = local.next_bytes[index];
            local.next_bytes[index] = (with_rest * 2).min(*CHUNK_BYTES.end());
            let bytes = with_rest - KEPT_BESIDE;
            let layout = Layout::from_size_align(bytes, ALIGN).expect("a chunk has a layout");
            // SAFETY: the layout is not empty.
            let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
                handle_alloc_error(layout)
            };
            let chunk = Chunk { base, bytes, class };
            lock(&self.chunks).push(chunk);
            local.fresh[index] = (base.as_ptr(), chunk.n_blocks());
        }
        let (block, left) = local.fresh[index];
        // SAFETY: at least one block is left, so the next begins within the chunk or at its end.
        local.fresh[index] = (unsafe { block.add(CLASSES[index]) }, left - 1);
        local.n_handed_out += 1;
        let block = NonNull::new(block.cast::<Header>()).expect("inside a chunk");
        // SAFETY: the block is ours, big enough and aligned; walkers only look at its state word, which
        // stays zero.
        unsafe { Header::settle(block, NonNull::from(self), class) };
        block
    }

    /// Takes a block back from the owner of `local`.
    ///
    /// # Safety
    ///
    /// The caller is the owner of `local` (Invariant 1) and of the block, whose state word is dead.
    #[inline]
    pub(crate) unsafe fn free_local(&self, block: NonNull<Header>) {
        self.local.with_mut(|local| {
            // SAFETY: Invariant 1, by the caller's promise.
            let local = unsafe { &mut *local };
            // SAFETY: the block is the caller's, so it is alive.
            let header = unsafe { block.as_ref() };
            let list = &mut local.free[usize::from(header.class())];
            header.set_next(*list);
            *list = block.as_ptr();
        });
    }

    /// Takes a block back from anybody, and frees the arena with the last block of a closed one.
    ///
    /// # Safety
    ///
    /// The block is the caller's, and its state word is dead.
    pub(crate) unsafe fn free_remote(arena: NonNull<Self>, block: NonNull<Header>) {
        // SAFETY: Invariant 4: a block of it is in use, so the arena is there.
        let returns = unsafe { &arena.as_ref().returns };
        // SAFETY: the block is the caller's, and lies in this arena.
        if unsafe { returns.push(block) } {
            // SAFETY: Invariant 4: we were told so.
            unsafe { Self::free(arena) };
        }
    }

    /// Frees the arena.
    ///
    /// # Safety
    ///
    /// Nobody else has it any more (Invariant 4).
    #[cold]
    unsafe fn free(arena: NonNull<Self>) {
        // SAFETY: `new` made it with a box, and by the caller's promise nobody has it any more.
        let arena = unsafe { Box::from_raw(arena.as_ptr()) };
        for chunk in lock(&arena.chunks).drain(..) {
            let layout = Layout::from_size_align(chunk.bytes, ALIGN).expect("it had a layout");
            // SAFETY: `carve` allocated it with this layout, and no block of it is in use.
            unsafe { dealloc(chunk.base.as_ptr(), layout) };
        }
    }

    /// Closes the arena: it is freed as soon as the last block and the last walker are gone.
    ///
    /// # Safety
    ///
    /// Called once, by the last owner of `local`, and nobody allocates here afterwards.
    pub(crate) unsafe fn close(arena: NonNull<Self>) {
        // SAFETY: Invariant 4: it is there until `Returns::close` has returned.
        let this = unsafe { arena.as_ref() };
        let (n_handed_out, n_free) = this.local.with(|local| {
            // SAFETY: Invariant 1, by the caller's promise.
            let local = unsafe { &*local };
            let mut n_free = 0;
            for mut block in local.free {
                while let Some(header) = NonNull::new(block) {
                    n_free += 1;
                    // SAFETY: Invariant 2: the blocks of the list are ours.
                    block = unsafe { header.as_ref() }.next();
                }
            }
            (local.n_handed_out, n_free)
        });
        // SAFETY: called once, by the caller's promise.
        if unsafe { this.returns.close(n_handed_out, n_free) } {
            // SAFETY: Invariant 4: we were told so.
            unsafe { Self::free(arena) };
        }
    }

    /// Keeps the arena alive for a walk.
    ///
    /// # Safety
    ///
    /// The arena is not closed yet, and is not closed during this call.
    pub(crate) unsafe fn pin(arena: NonNull<Self>) -> Pinned {
        // SAFETY: by the caller's promise it is there.
        unsafe { arena.as_ref() }.returns.pin();
        Pinned(arena)
    }
}

/// An arena that cannot go away while its tasks are visited.
pub(crate) struct Pinned(NonNull<Arena>);

impl Pinned {
    /// Visits every task that is alive: at least all that were alive at the beginning and still are at the
    /// end. Takes no lock that a worker holds for longer than a chunk's allocation.
    pub(crate) fn walk(&self, mut visit: impl FnMut(Retained)) {
        // SAFETY: Invariant 4: the pin keeps it alive.
        let arena = unsafe { self.0.as_ref() };
        let chunks = lock(&arena.chunks).clone();
        for chunk in chunks {
            for index in 0..chunk.n_blocks() {
                // SAFETY: the block lies within the chunk.
                let block = unsafe { chunk.base.add(index * CLASSES[usize::from(chunk.class)]) };
                // SAFETY: Invariant 3: the state word can be read, whatever the block is used for.
                if let Some(task) = unsafe { Retained::from_block(block.as_ptr().cast()) } {
                    visit(task);
                }
            }
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: Invariant 4: the pin keeps it alive.
        if unsafe { self.0.as_ref() }.returns.release() {
            // SAFETY: Invariant 4: we were told so.
            unsafe { Arena::free(self.0) };
        }
    }
}
