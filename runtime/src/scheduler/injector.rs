//! The queue for tasks that come from outside: from plain threads, from other runtimes, from callbacks.
//!
//! Sharded, and sticky per producing thread, so that producers do not meet on one lock. Whether there is
//! anything at all is one load of `n_tasks`. A shard is a plain ring buffer: a push allocates only while the
//! ring grows.
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

pub(crate) struct Injector<T> {
    shards: Box<[CachePadded<Mutex<Shard<T>>>]>,
    n_tasks: CachePadded<AtomicUsize>,
}

impl<T> Injector<T> {
    pub(crate) fn new(n_shards: usize) -> Self {
        let shard = |_| {
            CachePadded::new(Mutex::new(Shard {
                tasks: VecDeque::new(),
                is_closed: false,
            }))
        };
        Self {
            shards: (0..n_shards).map(shard).collect(),
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

    /// Takes at most `limit` tasks from the first shard that has any, beginning with number `first`.
    pub(crate) fn pop_batch(&self, first: usize, limit: usize, mut take: impl FnMut(T)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let n_shards = self.shards.len();
        for offset in 0..n_shards {
            let mut shard = lock(&self.shards[(first + offset) % n_shards]);
            let n = shard.tasks.len().min(limit);
            if n == 0 {
                continue;
            }
            shard.tasks.drain(..n).for_each(&mut take);
            if shard.tasks.is_empty() && shard.tasks.capacity() > KEEP_CAPACITY {
                shard.tasks.shrink_to(KEEP_CAPACITY);
            }
            drop(shard);
            self.n_tasks.fetch_sub(n, Ordering::Relaxed);
            return n;
        }
        0
    }

    /// Lets nothing in any more. What is in stays, to be popped.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            lock(shard).is_closed = true;
        }
    }
}
