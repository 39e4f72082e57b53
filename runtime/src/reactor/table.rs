//! The table of slots: stable addresses, found without a lock by whoever holds a key.
//!
//! Chunks double in size and are never moved or freed while the reactor lives, so that the reactor and the
//! sources read a slot by its index while others are added. The lock is for adding and removing only. Freed
//! slots are used again, the last one first; a key's generation tells their lives apart.

use std::io;
use std::sync::OnceLock;

use super::slot::Slot;
use crate::shim::{Mutex, lock};

/// Bits of a key that hold the index; the others hold the generation.
const INDEX_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;
/// Generations that fit beside the index.
const GENERATION_MASK: u32 = (usize::MAX >> INDEX_BITS) as u32;

const FIRST_CHUNK: usize = 64;
/// 64 × (2²⁴ − 1) slots: more than a process can have descriptors.
const N_CHUNKS: usize = 24;

/// What the system hands back with an event: index and generation of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(usize);

impl Key {
    fn new(index: usize, generation: u32) -> Self {
        Self((generation as usize) << INDEX_BITS | index)
    }

    /// The key in an event of the system.
    pub(super) fn from_event(key: usize) -> Self {
        Self(key)
    }

    /// The key as it is given to the system.
    pub(super) fn for_event(self) -> usize {
        self.0
    }

    /// What tells its source from every other one that there is meanwhile.
    pub(super) fn number(self) -> u64 {
        self.0 as u64
    }

    fn index(self) -> usize {
        self.0 & INDEX_MASK
    }

    /// The life of the slot this key is for.
    pub(super) fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }
}

/// All slots of a reactor.
#[derive(Debug)]
pub(super) struct Table {
    chunks: [OnceLock<Box<[Slot]>>; N_CHUNKS],
    vacancies: Mutex<Vacancies>,
}

#[derive(Debug, Default)]
struct Vacancies {
    free: Vec<usize>,
    /// Slots ever used.
    len: usize,
    closed: bool,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; N_CHUNKS],
            vacancies: Mutex::new(Vacancies::default()),
        }
    }

    /// Gives out a slot, ready or not, unless the table is closed.
    pub(super) fn insert(&self, ready: bool) -> io::Result<Key> {
        let mut vacancies = lock(&self.vacancies);
        if vacancies.closed {
            return Err(super::closed_error());
        }
        let index = match vacancies.free.pop() {
            Some(index) => index,
            None if vacancies.len >= INDEX_MASK => {
                return Err(io::Error::other("too many sources in one reactor"));
            }
            None => {
                vacancies.len += 1;
                vacancies.len - 1
            }
        };
        let (chunk, offset) = locate(index);
        let slots = self.chunks[chunk]
            .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| Slot::new()).collect());
        Ok(Key::new(index, slots[offset].open(ready, GENERATION_MASK)))
    }

    /// Takes the slot of a source back.
    pub(super) fn remove(&self, key: Key) {
        if let Some(slot) = self.get(key) {
            slot.vacate();
            lock(&self.vacancies).free.push(key.index());
        }
    }

    /// The slot a key is for, in whichever life it is now.
    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&Slot> {
        self.at(key.index())
    }

    #[inline]
    fn at(&self, index: usize) -> Option<&Slot> {
        let (chunk, offset) = locate(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// Sources that are registered.
    pub(super) fn len(&self) -> usize {
        let vacancies = lock(&self.vacancies);
        vacancies.len - vacancies.free.len()
    }

    /// Whether anybody waits for a source.
    pub(super) fn is_awaited(&self) -> bool {
        let len = lock(&self.vacancies).len;
        let mut slots = (0..len).filter_map(|index| self.at(index));
        slots.any(|slot| slot.look().waiting() != (false, false))
    }

    /// Refuses new sources, closes all slots and wakes everyone who waits.
    pub(super) fn close(&self) {
        let mut vacancies = lock(&self.vacancies);
        vacancies.closed = true;
        let len = vacancies.len;
        drop(vacancies);
        for slot in (0..len).filter_map(|index| self.at(index)) {
            slot.close().wake();
        }
    }
}

/// The chunk of a slot and its place therein.
#[inline]
fn locate(index: usize) -> (usize, usize) {
    let position = index + FIRST_CHUNK;
    let chunk = position.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, position - (FIRST_CHUNK << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_its_own_place_and_chunks_are_filled_without_gaps() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(locate(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn keys_keep_index_and_generation_apart() {
        let key = Key::new(INDEX_MASK - 1, GENERATION_MASK);
        assert_eq!(key.index(), INDEX_MASK - 1);
        assert_eq!(key.generation(), GENERATION_MASK);
        assert_ne!(key.for_event(), usize::MAX);
    }
}
