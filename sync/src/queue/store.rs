//! Where a queue keeps its items: this alone decides which of them comes next.
//!
//! A store is used under the queue's lock. The comparisons of a [`Ranked`] one are the only code of the user's
//! that runs there, and they come before anything is changed: should one panic, the item that was to be put
//! goes with the panic, and the queue is as it was before.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::job::Duty;
use super::shared::Shared;

/// Items, and an order in which they come out. Not to be used from outside: it is not exported.
pub trait Store<T>: Default {
    /// Adds an item.
    fn push(&mut self, item: T);

    /// Takes the next item, if there is one.
    fn pop(&mut self) -> Option<T>;

    /// All items, the next one first.
    fn into_vec(self) -> Vec<T>;

    /// The duty to finish an item of this queue.
    fn duty(queue: Arc<Shared<Self>>) -> Duty<T>;
}

/// The order of a [`Queue`](super::Queue): first in, first out. It stands in the types of its futures.
pub struct Fifo<T>(VecDeque<T>);

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fifo").finish_non_exhaustive()
    }
}

impl<T> Store<T> for Fifo<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    fn into_vec(self) -> Vec<T> {
        self.0.into()
    }

    fn duty(queue: Arc<Shared<Self>>) -> Duty<T> {
        Duty::Fifo(queue)
    }
}

/// The order of a [`LifoQueue`](super::LifoQueue): last in, first out.
pub struct Lifo<T>(Vec<T>);

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> fmt::Debug for Lifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifo").finish_non_exhaustive()
    }
}

impl<T> Store<T> for Lifo<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn into_vec(mut self) -> Vec<T> {
        self.0.reverse();
        self.0
    }

    fn duty(queue: Arc<Shared<Self>>) -> Duty<T> {
        Duty::Lifo(queue)
    }
}

/// The order of a [`PriorityQueue`](super::PriorityQueue): the greatest first; of equal ones, the one that was put
/// first.
///
pub struct Ranked<T> {
    /// A tree and no heap: taking the greatest compares nothing, and adding compares before it changes anything.
    items: BTreeSet<Rank<T>>,
    n_pushed: u64,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self {
            items: BTreeSet::new(),
            n_pushed: 0,
        }
    }
}

impl<T> fmt::Debug for Ranked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranked").finish_non_exhaustive()
    }
}

impl<T: Ord> Store<T> for Ranked<T> {
    fn push(&mut self, item: T) {
        let rank = Rank {
            item,
            age: Reverse(self.n_pushed),
        };
        self.items.insert(rank);
        self.n_pushed += 1;
    }

    fn pop(&mut self) -> Option<T> {
        self.items.pop_last().map(|rank| rank.item)
    }

    fn into_vec(self) -> Vec<T> {
        self.items.into_iter().rev().map(|rank| rank.item).collect()
    }

    fn duty(queue: Arc<Shared<Self>>) -> Duty<T> {
        Duty::Ranked(queue)
    }
}

/// An item among others; no two compare as equal.
struct Rank<T> {
    item: T,
    age: Reverse<u64>,
}

impl<T: Ord> Ord for Rank<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.item
            .cmp(&other.item)
            .then_with(|| self.age.cmp(&other.age))
    }
}

impl<T: Ord> PartialOrd for Rank<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Rank<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Rank<T> {}
