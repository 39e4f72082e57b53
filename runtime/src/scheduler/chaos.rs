//! Disorder on purpose: where the seed decides who runs, it also decides what a worker does next.
//!
//! A runtime promises little about order, so a program must be right in any. Before each task a worker of a
//! chaotic runtime may let another thread go on, change the order of its queue, look into the injector first, or
//! steal although it has work; and a poll may begin with a small budget, so that leaf operations yield where
//! they never do, or with the task woken for no reason, so that it is polled again after `Pending`.

use super::Shared;
use super::worker::Worker;
use crate::context::{self, BUDGET, Restore};
use crate::platform::Random;
use crate::task::{Ran, Task};

/// Tasks whose order a shuffle changes.
const MOST_MOVED: usize = 4;

/// The largest of the small budgets.
const SMALL_BUDGET: usize = 4;

impl Worker<'_> {
    /// Lets others go on, and changes what this worker would do next.
    #[cold]
    pub(super) fn shuffle(&self) {
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

/// Runs a task with a budget and a wake-up that the seed decides.
#[cold]
pub(super) fn run(shared: &Shared, random: &Random, task: Task) -> Ran {
    let budget = match random.below(2) {
        0 => random.below(SMALL_BUDGET) as u8 + 1,
        _ => BUDGET,
    };
    let is_woken = random.below(8) == 0;
    context::with(|cx| {
        let _budget = Restore::set(&cx.first_budget, budget);
        let _yielded = Restore::set(&cx.first_yielded, is_woken);
        shared.run_here(task)
    })
}
