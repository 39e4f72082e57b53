//! The queue for tasks that come from outside: from plain threads, from other runtimes, from callbacks.
//!
//! Sharded, and sticky per producing thread, so that producers do not meet on one lock. Whether there is
//! anything at all is one load of `n_tasks`. A shard is a plain ring buffer: a push allocates only while the
//! ring grows.
//!
//! Each worker's seat has a shard of its own besides, for tasks that its holder had better run (see
//! [`affinity`](super::affinity)). They are nobody's property: who has nothing else to do takes them.
//!
//! # Invariants
//!
//! 1. `n_tasks` is raised before a task can be seen in its shard and lowered after it was taken: it is never
//!    less than what the shards hold.
//! 2. After `close` no push succeeds: the flag is under the lock of each shard.
//!
//! # Memory ordering
//!
//! The locks order everything but the look at `n_tasks`, which is part of the idle protocol and ordered by
//! its fences (see [`idle`](super::idle)).

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;

use crate::shim::atomic::{AtomicUsize, Ordering};
use crate::shim::{Mutex, lock};

/// A ring that grew beyond this gives its memory back when it is empty.
const KEEP_CAPACITY: usize = 1024;

struct Shard<T> {
    tasks: VecDeque<T>,
    is_closed: bool,
}

type Shards<T> = Box<[CachePadded<Mutex<Shard<T>>>]>;

pub(crate) struct Injector<T> {
    shards: Shards<T>,
    /// For the holders of the first so many seats.
    homes: Shards<T>,
    n_tasks: CachePadded<AtomicUsize>,
}

impl<T> Injector<T> {
    pub(crate) fn new(n_shards: usize, n_homes: usize) -> Self {
        let shard = |_| {
            CachePadded::new(Mutex::new(Shard {
                tasks: VecDeque::new(),
                is_closed: false,
            }))
        };
        Self {
            shards: (0..n_shards).map(shard).collect(),
            homes: (0..n_homes).map(shard).collect(),
            n_tasks: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// Puts a task into the shard of a producer. The caller goes on with the pusher's steps of the idle
    /// protocol.
    ///
    /// # Errors
    ///
    /// The task, if the injector is closed.
    pub(crate) fn push(&self, task: T, producer: usize) -> Result<(), T> {
        let mut shard = lock(&self.shards[producer % self.shards.len()]);
        if shard.is_closed {
            return Err(task);
        }
        self.n_tasks.fetch_add(1, Ordering::Relaxed);
        shard.tasks.push_back(task);
        Ok(())
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.n_tasks.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.n_tasks.load(Ordering::Relaxed)
    }

    /// Puts tasks into the shard of a home seat, in their order. The caller goes on with the pusher's steps of the idle
    /// protocol. If the injector is closed, nothing is taken from the iterator.
    pub(crate) fn push_home(&self, tasks: &mut impl ExactSizeIterator<Item = T>, home: usize) {
        let mut shard = lock(&self.homes[home]);
        if !shard.is_closed {
            self.n_tasks.fetch_add(tasks.len(), Ordering::Relaxed);
            shard.tasks.extend(tasks);
        }
    }

    /// Takes at most `limit` tasks that the holder of a seat had better run.
    pub(crate) fn pop_own(&self, seat: usize, limit: usize, take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let home = self.homes.get(seat);
        home.map_or(0, |home| self.take_from(home, limit, take))
    }

    /// Takes at most `limit` tasks that are for anybody, from the first shard that has any, beginning with number `first`.
    pub(crate) fn pop_batch(&self, first: usize, limit: usize, take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.take_first(&self.shards, first, limit, take)
    }

    /// Takes at most `limit` tasks of those that others had better run, from the first that has any.
    pub(crate) fn pop_others(&self, seat: usize, limit: usize, take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.take_first(&self.homes, seat, limit, take)
    }

    fn take_first(
        &self,
        shards: &Shards<T>,
        first: usize,
        limit: usize,
        mut take: impl FnMut(T),
    ) -> usize {
        let in_turn = (0..shards.len()).map(|offset| &shards[(first + offset) % shards.len()]);
        in_turn
            .map(|shard| self.take_from(shard, limit, &mut take))
            .find(|n_taken| *n_taken > 0)
            .unwrap_or(0)
    }

    fn take_from(&self, shard: &Mutex<Shard<T>>, limit: usize, take: impl FnMut(T)) -> usize {
        let mut shard = lock(shard);
        let n = shard.tasks.len().min(limit);
        if n == 0 {
            return 0;
        }
        shard.tasks.drain(..n).for_each(take);
        if shard.tasks.is_empty() && shard.tasks.capacity() > KEEP_CAPACITY {
            shard.tasks.shrink_to(KEEP_CAPACITY);
        }
        drop(shard);
        self.n_tasks.fetch_sub(n, Ordering::Relaxed);
        n
    }

    /// What the holder of a home seat had better run is anybody's now. True if there was something.
    pub(crate) fn release_home(&self, home: usize) -> bool {
        if self.is_empty() {
            return false;
        }
        let Some(from) = self.homes.get(home) else {
            return false;
        };
        // They count all the time: who looks meanwhile, first here and then there, finds neither, but does not sleep.
        let mut from = lock(from);
        let mut to = lock(&self.shards[home % self.shards.len()]);
        let n_moved = from.tasks.len();
        to.tasks.append(&mut from.tasks);
        n_moved > 0
    }

    /// Lets nothing in any more. What is in stays, to be popped.
    pub(crate) fn close(&self) {
        for shard in self.shards.iter().chain(&self.homes) {
            lock(shard).is_closed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = usize::MAX;

    /// What `pop` takes.
    fn taken(pop: impl FnOnce(&mut dyn FnMut(u32)) -> usize) -> Vec<u32> {
        let mut tasks = Vec::new();
        let n_taken = pop(&mut |task| tasks.push(task));
        assert_eq!(n_taken, tasks.len());
        tasks
    }

    fn own(injector: &Injector<u32>, seat: usize, limit: usize) -> Vec<u32> {
        taken(|take| injector.pop_own(seat, limit, take))
    }

    fn anybodys(injector: &Injector<u32>, seat: usize) -> Vec<u32> {
        taken(|take| injector.pop_batch(seat, ALL, take))
    }

    fn others(injector: &Injector<u32>, seat: usize, limit: usize) -> Vec<u32> {
        taken(|take| injector.pop_others(seat, limit, take))
    }

    /// Task 1 is for anybody, 10 to 12 are for seat 0, 20 for seat 1.
    fn filled() -> Injector<u32> {
        let injector = Injector::new(2, 2);
        injector.push(1, 7).unwrap();
        injector.push_home(&mut [10, 11, 12].into_iter(), 0);
        injector.push_home(&mut [20].into_iter(), 1);
        assert_eq!(injector.len(), 5);
        injector
    }

    #[test]
    fn a_seat_takes_what_it_was_sent_and_what_is_for_anybody() {
        let injector = filled();
        assert_eq!(own(&injector, 0, 2), [10, 11]);
        assert_eq!(anybodys(&injector, 0), [1]);
        assert_eq!(own(&injector, 0, 2), [12]);
        assert_eq!(own(&injector, 0, 2), []);
        assert_eq!(own(&injector, 1, ALL), [20]);
        assert!(injector.is_empty());
    }

    #[test]
    fn who_has_nothing_to_do_takes_what_others_were_sent() {
        let injector = filled();
        assert_eq!(others(&injector, 1, 1), [20]);
        assert_eq!(others(&injector, 1, 2), [10, 11]);
        // A spare seat has no shard of its own.
        assert_eq!(own(&injector, 9, ALL), []);
        assert_eq!(others(&injector, 9, ALL), [12]);
        assert_eq!(anybodys(&injector, 9), [1]);
        assert!(injector.is_empty());
    }

    #[test]
    fn what_is_released_is_for_anybody() {
        let injector = filled();
        assert!(injector.release_home(0));
        assert!(!injector.release_home(0) && !injector.release_home(9));
        assert_eq!(own(&injector, 0, ALL), []);
        let mut tasks = anybodys(&injector, 1);
        tasks.extend(anybodys(&injector, 1));
        tasks.sort_unstable();
        assert_eq!(tasks, [1, 10, 11, 12]);
        assert_eq!(injector.len(), 1);
    }

    #[test]
    fn a_closed_injector_leaves_tasks_where_they_are() {
        let injector = filled();
        injector.close();
        let mut tasks = [13, 14].into_iter();
        injector.push_home(&mut tasks, 0);
        assert_eq!(tasks.len(), 2);
        assert_eq!(injector.push(2, 0), Err(2));
        assert_eq!(own(&injector, 0, ALL), [10, 11, 12]);
        assert_eq!(others(&injector, 0, ALL), [20]);
        assert_eq!(anybodys(&injector, 0), [1]);
        assert!(injector.is_empty());
    }
}
