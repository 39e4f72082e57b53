//! Which task comes next in a run queue, so that its memory is asked for while the one before it is polled.
//!
//! The queue is somebody else's, and shows nothing but its length. So the addresses of what is pushed are written into a
//! ring beside it. Nothing is taken out of the ring: what the queue gives next was pushed as many pushes ago as there are
//! tasks left, whoever took the others. An address is a hint and no pointer: its task may have been stolen and be
//! gone. A queue that is longer than the ring is not looked at.

use std::cell::Cell;

use crate::prefetch::{LINE, prefetch};
use crate::task::Header;

/// As many as a wait in the poller wakes.
const LEN: usize = 512;

/// Lines at most that are asked for: what a task needs first is in its header and at the beginning of its future.
const MOST_LINES: usize = 12;

/// The number of lines is kept where addresses of headers have zeros, or where it does not matter: within a line.
const LINES_MASK: usize = 31;

const _: () = assert!(MOST_LINES <= LINES_MASK && LINE % (LINES_MASK + 1) == 0);

/// What was pushed to a queue; its owner writes and reads.
pub(super) struct Upcoming {
    ring: Box<[Cell<usize>; LEN]>,
    n_pushed: Cell<usize>,
}

impl Upcoming {
    pub(super) fn new() -> Self {
        Self {
            ring: Box::new([const { Cell::new(0) }; LEN]),
            n_pushed: Cell::new(0),
        }
    }

    /// So many tasks are pushed whose memory is in the cache, or of which nothing is known.
    #[inline]
    pub(super) fn pass_over(&self, n_tasks: usize) {
        for _ in 0..n_tasks {
            self.note(0);
        }
    }

    /// A task is pushed whose memory has left the cache.
    #[inline]
    pub(super) fn push_cold(&self, task: &Header) {
        let lines = usize::from(task.vtable().n_lines).min(MOST_LINES);
        self.note(std::ptr::from_ref(task).addr() & !LINES_MASK | lines);
    }

    #[inline]
    fn note(&self, entry: usize) {
        let n_pushed = self.n_pushed.get();
        self.ring[n_pushed % LEN].set(entry);
        self.n_pushed.set(n_pushed.wrapping_add(1));
    }

    /// The address of what is next with so many tasks left, and its lines.
    #[inline]
    fn next(&self, n_left: usize) -> (usize, usize) {
        if n_left == 0 || n_left > LEN {
            return (0, 0);
        }
        let entry = self.ring[self.n_pushed.get().wrapping_sub(n_left) % LEN].get();
        (entry & !LINES_MASK, entry & LINES_MASK)
    }

    /// Asks for the memory of the task that comes next, with so many left in the queue.
    #[inline]
    pub(super) fn fetch(&self, n_left: usize) {
        let (address, n_lines) = self.next(n_left);
        prefetch(std::ptr::without_provenance(address), n_lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pushes: impl IntoIterator<Item = usize>) -> Upcoming {
        let upcoming = Upcoming::new();
        pushes
            .into_iter()
            .for_each(|number| upcoming.note((number * LINE) | 3));
        upcoming
    }

    #[test]
    fn what_comes_next_was_pushed_as_many_pushes_ago_as_are_left() {
        let upcoming = after(1..=5);
        assert_eq!(upcoming.next(5), (LINE, 3));
        assert_eq!(upcoming.next(2), (4 * LINE, 3));
        assert_eq!(upcoming.next(1), (5 * LINE, 3));
        assert_eq!(upcoming.next(0), (0, 0));
    }

    #[test]
    fn what_came_from_elsewhere_is_passed_over() {
        let upcoming = after(1..=2);
        upcoming.pass_over(3);
        upcoming.note((9 * LINE) | 1);
        assert_eq!(upcoming.next(6), (LINE, 3));
        assert_eq!(upcoming.next(4), (0, 0));
        assert_eq!(upcoming.next(1), (9 * LINE, 1));
    }

    #[test]
    fn a_queue_longer_than_the_ring_tells_nothing() {
        let upcoming = after(1..=LEN + 2);
        assert_eq!(upcoming.next(LEN + 1), (0, 0));
        assert_eq!(upcoming.next(LEN), (3 * LINE, 3));
        assert_eq!(upcoming.next(1), ((LEN + 2) * LINE, 3));
    }
}
