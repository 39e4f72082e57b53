//! Tasks that are not `Send`: which thread they belong to, and what happens to those that come to another one.

use std::sync::atomic::Ordering;

use super::Shared;
use crate::shim::lock_std;
use crate::task::{Ran, Task};

impl Shared {
    /// Whether this thread is the one for `!Send` tasks; the first to ask is.
    pub(crate) fn holds_local_tasks_here(&self) -> bool {
        let here = std::thread::current().id();
        *self.local_thread.get_or_init(|| here) == here
    }

    pub(crate) fn count_local(&self) {
        self.n_local.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are `!Send` tasks that this thread must not touch.
    pub(crate) fn has_foreign_local_tasks(&self) -> bool {
        self.n_local.load(Ordering::Relaxed) > 0
            && self
                .local_thread
                .get()
                .is_some_and(|thread| *thread != std::thread::current().id())
    }

    /// Runs a task by `run`, or, if it is `!Send` and belongs to another thread, puts it where that one looks.
    #[inline]
    pub(super) fn run_here(&self, task: Task, run: impl FnOnce(Task) -> Ran) -> Ran {
        if self.is_current_thread() && task.header().is_local() && self.has_foreign_local_tasks() {
            self.put_aside(task);
            return Ran::Rest;
        }
        run(task)
    }

    #[cold]
    fn put_aside(&self, task: Task) {
        lock_std(&self.local_aside).push(task);
        for main in &*lock_std(&self.standing) {
            main.nudge();
        }
    }

    /// The tasks that were put aside for this thread.
    pub(super) fn take_aside(&self) -> Vec<Task> {
        if !self.is_current_thread() || self.has_foreign_local_tasks() {
            return Vec::new();
        }
        std::mem::take(&mut *lock_std(&self.local_aside))
    }
}
