//! A ring of entries of one size: one thread writes, any thread reads at any time, and nobody waits.
//!
//! # The protocol
//!
//! Each slot has a *sequence word* beside the words of its entry. The writer of entry number `n` (from zero):
//!
//! 1. stores `2n + 1`: the slot is being written;
//! 2. a release fence, then the words of the entry, each by a relaxed store;
//! 3. stores `2n + 2` with release: the slot holds entry `n`, whole;
//! 4. stores `n + 1` into the count of the ring.
//!
//! A reader takes the count and looks for the entries before it, as many as there are slots:
//!
//! 1. loads the sequence word with acquire; unless it is `2n + 2` the entry is gone;
//! 2. loads the words, relaxed, then an acquire fence;
//! 3. loads the sequence word again: if it has changed the entry is gone, and what was read is thrown away.
//!
//! Why that is enough: if any word came from a later writer, the reader's fence synchronizes with that writer's
//! fence, so the second look sees its odd mark or something newer, and no number comes twice. If no word did,
//! the first look has acquired step 3 of the writer of `n`, so they are all of entry `n`.
//!
//! All shared words are atomic, so a lost race costs an entry and never is a data race. On x86 all of the writer's
//! steps are plain stores.
//!
//! **Rejected**: one sequence word for the whole ring. A reader would have to find a moment at which nobody writes.
//! **Rejected**: a lock for each ring, free as it nearly always is; a reader that is preempted while it copies would
//! stop a worker. **Rejected**: a queue that a thread drains; it needs a thread, and memory that grows with it.
//!
//! # Invariants
//!
//! 1. One thread at a time writes, and the next one has synchronized with it: the holder of a seat, or of a lock.
//!    Two at once would mix their entries; there is no undefined behaviour in that.
//!
//! # Memory ordering
//!
//! `entry`: the fence and the last store of the writer, the first load and the fence of the reader; see above.
//! `count`: whoever reads a count finds the entries before it whole, or gone.

use std::panic::Location;

use crate::shim::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// What a slot holds: words, and a place in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry<const N: usize> {
    pub(crate) words: [u64; N],
    pub(crate) place: Option<&'static Location<'static>>,
}

/// One cache line, with six words.
#[repr(align(64))]
pub(crate) struct Slot<const N: usize> {
    pub(crate) sequence: AtomicU64,
    pub(crate) words: [AtomicU64; N],
    /// Null, or a `&'static`: nothing else is ever stored.
    pub(crate) place: AtomicPtr<Location<'static>>,
}

impl<const N: usize> Slot<N> {
    fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            words: [(); N].map(|()| AtomicU64::new(0)),
            place: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    pub(crate) fn store(&self, entry: &Entry<N>) {
        for (to, word) in self.words.iter().zip(entry.words) {
            to.store(word, Ordering::Relaxed);
        }
        let place = entry.place.map_or(std::ptr::null(), std::ptr::from_ref);
        self.place.store(place.cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> Entry<N> {
        let words = std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
        let place = self.place.load(Ordering::Relaxed);
        // SAFETY: it is null or points to something static: `store` puts nothing else there.
        let place = unsafe { place.as_ref() };
        Entry { words, place }
    }
}

pub(crate) struct Ring<const N: usize> {
    pub(crate) slots: Box<[Slot<N>]>,
    /// How many entries were ever written.
    pub(crate) n_written: AtomicU64,
}

/// What a reader found.
#[derive(Debug)]
pub(crate) struct Reading<const N: usize> {
    /// In the order in which they were written.
    pub(crate) entries: Vec<Entry<N>>,
    /// Entries that were there once.
    pub(crate) n_lost: u64,
}

impl<const N: usize> Ring<N> {
    /// A ring for so many entries, or somewhat more.
    pub(crate) fn new(n_entries: usize) -> Self {
        Self {
            slots: (0..n_entries.next_power_of_two())
                .map(|_| Slot::new())
                .collect(),
            n_written: AtomicU64::new(0),
        }
    }

    pub(crate) fn slot(&self, number: u64) -> &Slot<N> {
        &self.slots[number as usize & (self.slots.len() - 1)]
    }

    /// Writes an entry over the oldest one (Invariant 1).
    pub(crate) fn write(&self, entry: &Entry<N>) {
        let number = self.n_written.load(Ordering::Relaxed);
        let slot = self.slot(number);
        slot.sequence.store(2 * number + 1, Ordering::Relaxed);
        // ORDERING(entry): Release, the odd mark for whoever reads a word of what follows.
        fence(Ordering::Release);
        slot.store(entry);
        // ORDERING(entry): Release, the words for whoever sees the even mark.
        slot.sequence.store(2 * number + 2, Ordering::Release);
        // ORDERING(count): Release, the entry for whoever sees that it is there.
        self.n_written.store(number + 1, Ordering::Release);
    }

    /// The entries that are there; those that are overwritten meanwhile count as lost.
    pub(crate) fn read(&self) -> Reading<N> {
        // ORDERING(count): Acquire, for the entries that were written.
        let end = self.n_written.load(Ordering::Acquire);
        let begin = end.saturating_sub(self.slots.len() as u64);
        let entries: Vec<_> = (begin..end)
            .filter_map(|number| self.read_one(number))
            .collect();
        Reading {
            n_lost: end - entries.len() as u64,
            entries,
        }
    }

    fn read_one(&self, number: u64) -> Option<Entry<N>> {
        let slot = self.slot(number);
        let whole = 2 * number + 2;
        // ORDERING(entry): Acquire, for the words of this entry.
        if slot.sequence.load(Ordering::Acquire) != whole {
            return None;
        }
        let entry = slot.load();
        // ORDERING(entry): Acquire, for the mark of whoever wrote what was just read.
        fence(Ordering::Acquire);
        (slot.sequence.load(Ordering::Relaxed) == whole).then_some(entry)
    }
}
