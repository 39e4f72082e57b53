//! Disorder on purpose: where the seed decides who runs, it also decides what a worker does next.
//!
//! A runtime promises little about order, so a program must be right in any. Before each task a worker of a
//! chaotic runtime may let another thread go on, change the order of its queue, look into the injector first, or
//! steal although it has work; and a poll may begin with a small budget, so that leaf operations yield where
//! they never do, or with the task woken for no reason, so that it is polled again after `Pending`.

use super::worker::{Turn, Worker};
use crate::context::BUDGET;
use crate::task::{Task, run_disturbed};

/// Tasks whose order a shuffle changes.
const MOST_MOVED: usize = 4;

/// The largest of the small budgets.
const SMALL_BUDGET: usize = 4;

impl Worker<'_> {
    /// Lets others go on, changes what this worker would do next, and does it with a budget and a wake-up that the
    /// seed decides.
    #[cold]
    pub(super) fn turn_in_chaos(&self) -> Turn {
        self.shuffle();
        let random = self.random();
        let budget = match random.below(2) {
            0 => random.below(SMALL_BUDGET) as u8 + 1,
            _ => BUDGET,
        };
        let is_woken = random.below(8) == 0;
        self.turn_by(|task| self.recorded(task, |task| run_disturbed(task, budget, is_woken)))
    }

    fn shuffle(&self) {
        let random = self.random();
        if random.below(2) == 0 {
            self.shared.platform.yield_thread();
        }
        match random.below(6) {
            0 => self.rotate(random.below(MOST_MOVED) + 1),
            1 => self.push_back_if_any(self.pop_injector()),
            2 => self.push_back_if_any(self.steal()),
            _ => {}
        }
    }

    /// Moves tasks from the front of the queue to its back, the one that would run next among them.
    fn rotate(&self, n_tasks: usize) {
        for _ in 0..n_tasks {
            let task = self.pop();
            self.push_back_if_any(task);
        }
    }

    fn push_back_if_any(&self, task: Option<Task>) {
        if let Some(task) = task {
            self.push_back(task);
        }
    }
}
