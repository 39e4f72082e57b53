//! Deadlocks: who waits for whom in a circle.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::{Dump, Graph};
use crate::task::TaskId;
use crate::wait::Waiting;

/// Tasks that wait for one another in a circle, by locks, permits, queues, joins and groups.
///
/// Its `Display` has a line for each.
#[derive(Clone, Debug)]
pub struct Cycle {
    steps: Vec<Step>,
    is_certain: bool,
}

/// One of those who wait in a [`Cycle`], for the next one; the last one waits for the first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The number of the task, or of the call of `block_on`.
    pub id: TaskId,
    /// The name of the task, if it has one.
    pub name: Option<Arc<str>>,
    /// The line that spawned the task, or that called `block_on`.
    pub at: &'static Location<'static>,
    /// It is a call of `block_on`.
    pub is_block_on: bool,
    /// What it waits for; none where it is a task inside `block_on`, which is the next step.
    pub waiting_on: Option<Waiting>,
}

impl Cycle {
    /// Those who wait, each for the next.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether nobody in it waits for anything else beside, which might end its wait: the other branch of a `select!`,
    /// another task of a set. A circle that leads through a queue never is: a job can be handed on.
    ///
    /// A cancellation or a time limit can end any wait, and a guard or permit that was handed to another task is not seen
    /// before it is given back there.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// Whether it leads through a queue.
    fn has_queue(&self) -> bool {
        let mut waits = self
            .steps
            .iter()
            .filter_map(|step| step.waiting_on.as_ref());
        waits.any(|waiting| waiting.kind.has_takers())
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_certain, self.has_queue()) {
            (true, _) => "deadlock:",
            (false, false) => "deadlock, unless something else ends one of these waits:",
            (false, true) => {
                "deadlock, unless a job was handed on, or something else ends one of these waits:"
            }
        })?;
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_block_on, &self.name) {
            (true, _) => write!(f, "block_on #{} at {}", self.id, self.at)?,
            (false, Some(name)) => write!(f, "task #{} `{name}` spawned at {}", self.id, self.at)?,
            (false, None) => write!(f, "task #{} spawned at {}", self.id, self.at)?,
        }
        match &self.waiting_on {
            Some(waiting) => write!(f, " waits for {waiting}"),
            None => f.write_str(" is inside block_on"),
        }
    }
}

impl Dump {
    /// The circles in which tasks wait for one another: for locks, for one another's end, for the end of a group.
    /// They are found also while other tasks run.
    ///
    /// Who reads, who has the permits of a semaphore, and who took jobs of a queue, is known in debug mode only. A wait for
    /// a permit is part of a circle only where everyone who has a permit waits in a circle too; a wait for a slot of a
    /// queue, where everyone who has a job of it waits for a slot of it too.
    ///
    /// At least one for each set of tasks that wait for one another, none twice.
    #[must_use]
    pub fn cycles(&self) -> Vec<Cycle> {
        let graph = self.graph();
        let mut search = Search::new(&graph);
        for node in 0..graph.n_waiters() {
            search.visit(node, |node| graph.is_part(node));
        }
        let cycles = search.cycles.iter();
        cycles.map(|nodes| self.cycle(&graph, nodes)).collect()
    }

    /// A circle that this call of `block_on`, or task, waits for, so that it can never go on.
    pub(crate) fn deadlock_of(&self, id: TaskId) -> Option<Cycle> {
        let graph = self.graph();
        let mut search = Search::new(&graph);
        search.visit(graph.node(id)?, |node| {
            graph.is_part(node) && graph.needs_all(node)
        });
        search.cycles.first().map(|nodes| self.cycle(&graph, nodes))
    }

    fn cycle(&self, graph: &Graph, nodes: &[usize]) -> Cycle {
        let waiters = nodes.iter().filter(|&&node| graph.is_waiter(node));
        Cycle {
            steps: waiters.map(|&node| self.step(node)).collect(),
            is_certain: nodes.iter().all(|&node| graph.needs_all(node)),
        }
    }

    fn step(&self, node: usize) -> Step {
        let waiting_on = self.waiting_of(node).cloned();
        match self.tasks.get(node) {
            Some(task) => Step {
                id: task.id,
                name: task.name.clone(),
                at: task.spawned_at,
                is_block_on: false,
                waiting_on,
            },
            None => {
                let caller = &self.callers[node - self.tasks.len()];
                Step {
                    id: caller.id,
                    name: None,
                    at: caller.called_at,
                    is_block_on: true,
                    waiting_on,
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// A search in depth, without recursion: a chain of joins may be as long as there are tasks.
struct Search<'a> {
    graph: &'a Graph,
    marks: Vec<Mark>,
    cycles: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            marks: vec![Mark::New; graph.n_nodes()],
            cycles: Vec::new(),
        }
    }

    /// Follows the edges of those that `follows`, and keeps the path of each that leads back.
    fn visit(&mut self, root: usize, follows: impl Fn(usize) -> bool) {
        if self.marks[root] != Mark::New {
            return;
        }
        self.marks[root] = Mark::OnPath;
        // Each with the number of its edges that were looked at.
        let mut path = vec![(root, 0)];
        while let Some((node, n_seen)) = path.last_mut() {
            let (node, edge) = (*node, *n_seen);
            *n_seen += 1;
            let target = self.graph.edges(node).get(edge).copied();
            let Some(target) = target.filter(|_| follows(node)) else {
                self.marks[node] = Mark::Done;
                path.pop();
                continue;
            };
            match self.marks[target] {
                Mark::New => {
                    self.marks[target] = Mark::OnPath;
                    path.push((target, 0));
                }
                Mark::OnPath => {
                    let nodes = path.iter().map(|(node, _)| *node);
                    self.cycles
                        .push(nodes.skip_while(|node| *node != target).collect());
                }
                Mark::Done => {}
            }
        }
    }
}
