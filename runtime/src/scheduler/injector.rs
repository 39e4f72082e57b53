//! The queue for tasks that come from outside: from plain threads, from other runtimes, from callbacks.
//!
//! Sharded, and sticky per producing thread, so that producers do not meet on one lock. Whether there is
//! anything at all is one load of `n_tasks`. A shard is a plain ring buffer: a push allocates only while the
//! ring grows.
//!
//! Each worker's seat has a shard of its own besides, for tasks that its holder had better run (see
//! [`affinity`](super::affinity)). They are nobody's property: who has nothing else to do takes them. Where many wait
//! there, it is best to begin with those that came last, which are still in the caches, and where more come all the time,
//! the first ones would wait for ever. So there are two *generations*: one is taken, the last ones first, the next one is
//! put in, and when the one is empty they change places. A task waits for the rest of a generation and for one more at most.
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

/// Tasks for anybody.
struct Shard<T> {
    tasks: VecDeque<T>,
    is_closed: bool,
}

/// Tasks that the holder of a seat had better run.
struct Home<T> {
    /// The generation that is taken.
    present: Vec<T>,
    /// The one that is put in.
    next: Vec<T>,
    is_closed: bool,
}

impl<T> Shard<T> {
    /// The first ones first.
    fn take(&mut self, limit: usize, take: impl FnMut(T)) -> usize {
        let n = self.tasks.len().min(limit);
        self.tasks.drain(..n).for_each(take);
        if self.tasks.is_empty() && self.tasks.capacity() > KEEP_CAPACITY {
            self.tasks.shrink_to(KEEP_CAPACITY);
        }
        n
    }
}

impl<T> Home<T> {
    /// The last ones of a generation first.
    fn take(&mut self, limit: usize, take: impl FnMut(T)) -> usize {
        if self.present.is_empty() {
            std::mem::swap(&mut self.present, &mut self.next);
        }
        let n = self.present.len().min(limit);
        let first = self.present.len() - n;
        self.present.drain(first..).rev().for_each(take);
        if self.present.is_empty() && self.present.capacity() > KEEP_CAPACITY {
            self.present.shrink_to(KEEP_CAPACITY);
        }
        n
    }

    fn len(&self) -> usize {
        self.present.len() + self.next.len()
    }
}

type Shards<S> = Box<[CachePadded<Mutex<S>>]>;

fn make_shards<S>(n: usize, make: impl Fn() -> S) -> Shards<S> {
    (0..n)
        .map(|_| CachePadded::new(Mutex::new(make())))
        .collect()
}

/// All of them, beginning with number `first`.
fn in_turn<S>(shards: &Shards<S>, first: usize) -> impl Iterator<Item = &Mutex<S>> {
    (0..shards.len()).map(move |offset| &*shards[(first + offset) % shards.len()])
}

/// The first number that is not zero.
fn first_of(mut numbers: impl Iterator<Item = usize>) -> usize {
    numbers.find(|n| *n > 0).unwrap_or(0)
}

pub(crate) struct Injector<T> {
    shards: Shards<Shard<T>>,
    /// For the holders of the first so many seats.
    homes: Shards<Home<T>>,
    n_tasks: CachePadded<AtomicUsize>,
}

impl<T> Injector<T> {
    pub(crate) fn new(n_shards: usize, n_homes: usize) -> Self {
        let shard = || Shard {
            tasks: VecDeque::new(),
            is_closed: false,
        };
        let home = || Home {
            present: Vec::new(),
            next: Vec::new(),
            is_closed: false,
        };
        Self {
            shards: make_shards(n_shards, shard),
            homes: make_shards(n_homes, home),
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
        let mut home = lock(&self.homes[home]);
        if !home.is_closed {
            self.n_tasks.fetch_add(tasks.len(), Ordering::Relaxed);
            home.next.extend(tasks);
        }
    }

    /// How many tasks the holder of a seat had better run.
    pub(crate) fn n_own(&self, seat: usize) -> usize {
        if self.is_empty() {
            return 0;
        }
        let home = self.homes.get(seat);
        home.map_or(0, |home| lock(home).len())
    }

    /// Takes at most `limit` tasks that the holder of a seat had better run.
    pub(crate) fn pop_own(&self, seat: usize, limit: usize, take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let home = self.homes.get(seat);
        self.taken(home.map_or(0, |home| lock(home).take(limit, take)))
    }

    /// Takes at most `limit` tasks that are for anybody, from the first shard that has any, beginning with number `first`.
    pub(crate) fn pop_batch(&self, first: usize, limit: usize, mut take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let taken = in_turn(&self.shards, first).map(|shard| lock(shard).take(limit, &mut take));
        self.taken(first_of(taken))
    }

    /// Takes at most `limit` tasks of those that others had better run, from the first that has any.
    pub(crate) fn pop_others(&self, seat: usize, limit: usize, mut take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let taken = in_turn(&self.homes, seat).map(|home| lock(home).take(limit, &mut take));
        self.taken(first_of(taken))
    }

    fn taken(&self, n: usize) -> usize {
        if n > 0 {
            self.n_tasks.fetch_sub(n, Ordering::Relaxed);
        }
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
        let from = &mut *from;
        let n_moved = from.len();
        to.tasks.extend(from.present.drain(..));
        to.tasks.extend(from.next.drain(..));
        n_moved > 0
    }

    /// Lets nothing in any more. What is in stays, to be popped.
    pub(crate) fn close(&self) {
        self.shards
            .iter()
            .for_each(|shard| lock(shard).is_closed = true);
        self.homes
            .iter()
            .for_each(|home| lock(home).is_closed = true);
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
        assert_eq!(own(&injector, 0, 2), [12, 11]);
        assert_eq!(anybodys(&injector, 0), [1]);
        assert_eq!(own(&injector, 0, 2), [10]);
        assert_eq!(own(&injector, 0, 2), []);
        assert_eq!(own(&injector, 1, ALL), [20]);
        assert!(injector.is_empty());
    }

    #[test]
    fn those_that_came_last_are_taken_first_but_one_generation_after_the_other() {
        let injector = filled();
        assert_eq!(own(&injector, 0, 1), [12]);
        injector.push_home(&mut [13, 14].into_iter(), 0);
        assert_eq!(own(&injector, 0, 1), [11]);
        injector.push_home(&mut [15].into_iter(), 0);
        assert_eq!(injector.n_own(0), 4);
        assert_eq!(own(&injector, 0, ALL), [10]);
        assert_eq!(own(&injector, 0, 2), [15, 14]);
        injector.push_home(&mut [16].into_iter(), 0);
        assert_eq!(own(&injector, 0, ALL), [13]);
        assert_eq!(own(&injector, 0, ALL), [16]);
        assert_eq!(injector.n_own(0), 0);
    }

    #[test]
    fn who_has_nothing_to_do_takes_what_others_were_sent() {
        let injector = filled();
        assert_eq!(others(&injector, 1, 1), [20]);
        assert_eq!(others(&injector, 1, 2), [12, 11]);
        // A spare seat has no shard of its own.
        assert_eq!(injector.n_own(9), 0);
        assert_eq!(own(&injector, 9, ALL), []);
        assert_eq!(others(&injector, 9, ALL), [10]);
        assert_eq!(anybodys(&injector, 9), [1]);
        assert!(injector.is_empty());
    }

    #[test]
    fn what_is_released_is_for_anybody() {
        let injector = filled();
        // Of both generations.
        assert_eq!(own(&injector, 0, 1), [12]);
        injector.push_home(&mut [12].into_iter(), 0);
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
        assert_eq!(own(&injector, 0, ALL), [12, 11, 10]);
        assert_eq!(others(&injector, 0, ALL), [20]);
        assert_eq!(anybodys(&injector, 0), [1]);
        assert!(injector.is_empty());
    }
}
