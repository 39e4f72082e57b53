//! Who waits for whom.
//!
//! The nodes are tasks, then callers, then the things that several can have: read-write locks and semaphores of which a
//! record is kept. Who waits for such a thing has an edge to it, and it has one to each holder, so that a
//! thousand who wait for a thousand are no million of edges.
//!
//! # All, or any
//!
//! Most nodes need all of their targets: a task that joins another one, a writer that waits for readers. So one target that
//! never goes on is enough to keep them. For a semaphore it is not: any holder may give a permit back. So it is found
//! out first who may still go on: who waits for nothing known, who needs all and all may, who needs any and one may.
//! The others never can, and only then a semaphore is part of a circle.
//!
//! # Queues
//!
//! Who took a job of a queue is known in debug mode, but a job is a value that can be handed on, and nobody sees that
//! before it is dropped elsewhere. So what leads through a queue is never certain, and never makes a circle of
//! permits. Three things keep it from being said where it is likely to be wrong. Who has spawned a task that is still
//! there may have given it the job. Who also waits for a moment may be several parts, of which another one works on
//! the job. And who waits for a slot waits for whoever takes next: those with jobs come back to take, and count
//! only if every one of them waits for a slot of the same queue.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use super::Dump;
use crate::task::TaskId;
use crate::wait::{Held, WaitKind, Waiting};

/// Who waits for whom, by index: tasks first, then callers, then things.
pub(super) struct Graph {
    by_id: HashMap<TaskId, usize>,
    n_waiters: usize,
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    edges: Vec<usize>,
    needs: Needs,
    /// It may go on, though it waits for some who cannot.
    is_free: bool,
}

/// Which of its targets a node needs to go on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Needs {
    #[default]
    All,
    /// Any of them, and perhaps something else would do as well.
    Any,
    /// Any of them, and nothing else would do.
    OnlyAny,
}

/// The things that were met.
#[derive(Default)]
struct Things {
    /// By what is waited for, and its number.
    nodes: HashMap<(WaitKind, u64), usize>,
    /// Those who have spawned a task that is there; looked for where it matters.
    parents: OnceCell<HashSet<Option<TaskId>>>,
}

impl Graph {
    pub(super) fn of(dump: &Dump) -> Self {
        let n_waiters = dump.tasks.len() + dump.callers.len();
        let by_id = (0..n_waiters).map(|node| (dump.id_of(node), node));
        let mut graph = Self {
            by_id: by_id.collect(),
            n_waiters,
            nodes: Vec::new(),
        };
        graph.nodes.resize_with(n_waiters, Node::default);
        graph.add_tasks(dump);
        for (index, caller) in dump.callers.iter().enumerate() {
            if let Some(task) = caller.inside.and_then(|id| graph.node(id)) {
                graph.nodes[task] = Node {
                    edges: vec![dump.tasks.len() + index],
                    ..Node::default()
                };
            }
        }
        let needs_search = graph.nodes.iter().any(|node| node.needs == Needs::OnlyAny);
        if needs_search {
            graph.free();
        }
        graph
    }

    /// Adds the edges of tasks and callers.
    fn add_tasks(&mut self, dump: &Dump) {
        let mut awaited: HashMap<TaskId, Vec<usize>> = HashMap::new();
        let mut members: HashMap<u64, Vec<usize>> = HashMap::new();
        for (node, task) in dump.tasks.iter().enumerate() {
            if let Some(waiter) = task.awaited_by {
                awaited.entry(waiter).or_default().push(node);
            }
            if task.group != 0 {
                members.entry(task.group).or_default().push(node);
            }
        }
        let mut things = Things::default();
        for node in 0..self.n_waiters {
            let Some(waiting) = dump.waiting_of(node) else {
                continue;
            };
            let mut targets = self.direct_targets(dump, waiting, &mut things);
            if matches!(waiting.kind, WaitKind::Group | WaitKind::AnyTask) {
                targets.extend(members.get(&waiting.resource).into_iter().flatten());
            }
            // A handle that was polled once and is kept still names its waiter; it counts only where the wait
            // is for several things.
            let is_for_several = waiting.n_others > 0
                || matches!(
                    waiting.kind,
                    WaitKind::AllTasks | WaitKind::AnyTask | WaitKind::Parts
                );
            if is_for_several {
                targets.extend(awaited.get(&dump.id_of(node)).into_iter().flatten());
            }
            targets.sort_unstable();
            targets.dedup();
            let needs_all = waiting.n_others == 0
                && !matches!(waiting.kind, WaitKind::AnyTask | WaitKind::Parts);
            self.nodes[node].needs = if needs_all { Needs::All } else { Needs::Any };
            self.nodes[node].edges = targets;
        }
    }

    /// The one who is awaited, who has the thing, or the thing itself.
    fn direct_targets(
        &mut self,
        dump: &Dump,
        waiting: &Waiting,
        things: &mut Things,
    ) -> Vec<usize> {
        let target = match (&waiting.held, waiting.behind) {
            (None, _) => waiting.on.and_then(|id| self.node(id)),
            (Some(_), Some(front)) => self.node(front),
            (Some(_), None) if waiting.kind.has_takers() && !is_only(waiting) => None,
            (Some(held), None) => {
                let Things { nodes, parents } = things;
                let thing = nodes.entry((waiting.kind, waiting.resource));
                Some(*thing.or_insert_with(|| self.add_thing(dump, parents, waiting, held)))
            }
        };
        target.into_iter().collect()
    }

    /// Adds a thing with an edge to each who has a part of it.
    fn add_thing(
        &mut self,
        dump: &Dump,
        parents: &OnceCell<HashSet<Option<TaskId>>>,
        waiting: &Waiting,
        held: &Held,
    ) -> usize {
        let holders = held.holders().iter();
        let mut edges: Vec<_> = holders.filter_map(|id| self.node(*id)).collect();
        let is_known = held.is_all() && edges.len() == held.holders().len();
        let (needs, is_free) = match waiting.kind {
            WaitKind::Permit => (Needs::OnlyAny, !is_known),
            WaitKind::QueueDone | WaitKind::QueueSlot => {
                let find = || dump.tasks.iter().map(|task| task.parent).collect();
                keep_stuck(dump, parents.get_or_init(find), waiting, &mut edges);
                (Needs::Any, true)
            }
            _ => (Needs::All, false),
        };
        self.nodes.push(Node {
            edges,
            needs,
            is_free,
        });
        self.nodes.len() - 1
    }

    /// Finds out who may go on.
    fn free(&mut self) {
        let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for &target in &node.edges {
                waiters[target].push(index);
            }
        }
        let mut n_missing: Vec<usize> = self.nodes.iter().map(|node| node.edges.len()).collect();
        let nodes = self.nodes.iter_mut().enumerate();
        let mut news: Vec<usize> = nodes
            .filter_map(|(index, node)| {
                node.is_free |= node.edges.is_empty();
                node.is_free.then_some(index)
            })
            .collect();
        while let Some(free) = news.pop() {
            for &waiter in &waiters[free] {
                n_missing[waiter] -= 1;
                let node = &mut self.nodes[waiter];
                if !node.is_free && (node.needs != Needs::All || n_missing[waiter] == 0) {
                    node.is_free = true;
                    news.push(waiter);
                }
            }
        }
    }

    pub(super) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Tasks and callers.
    pub(super) fn n_waiters(&self) -> usize {
        self.n_waiters
    }

    pub(super) fn is_waiter(&self, node: usize) -> bool {
        node < self.n_waiters
    }

    pub(super) fn node(&self, id: TaskId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn edges(&self, node: usize) -> &[usize] {
        &self.nodes[node].edges
    }

    /// Whether a wait for this node may lead to a deadlock.
    pub(super) fn is_part(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.needs != Needs::OnlyAny || !node.is_free
    }

    /// Whether a node cannot go on as long as one of its targets does not; asked of those that are part of a circle.
    pub(super) fn needs_all(&self, node: usize) -> bool {
        self.nodes[node].needs != Needs::Any
    }

    /// The tasks and callers that one of them waits for.
    pub(super) fn targets(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        self.edges(node).iter().flat_map(|target| {
            let target = std::slice::from_ref(target);
            match self.is_waiter(target[0]) {
                true => target,
                false => self.edges(target[0]),
            }
            .iter()
            .copied()
        })
    }
}

/// Whether nothing else is known that the task waits for at the same time, not even a moment.
fn is_only(waiting: &Waiting) -> bool {
    waiting.n_others == 0 && !waiting.is_limited
}

/// Of those who took jobs of the queue that this is a wait for, keeps those who still have them, as far as can be known,
/// and keep the queue from going on.
fn keep_stuck(
    dump: &Dump,
    parents: &HashSet<Option<TaskId>>,
    waiting: &Waiting,
    takers: &mut Vec<usize>,
) {
    let has_job = |taker: usize| {
        // What was spawned by no task may be by any call of `block_on`.
        let task = dump.tasks.get(taker).map(|task| task.id);
        !parents.contains(&task)
    };
    let waits_here = |taker: usize| {
        dump.waiting_of(taker).is_some_and(|theirs| {
            let its_queue = (theirs.kind, theirs.resource);
            its_queue == (waiting.kind, waiting.resource) && is_only(theirs)
        })
    };
    if waiting.kind == WaitKind::QueueDone {
        takers.retain(|taker| has_job(*taker));
    } else if !takers
        .iter()
        .all(|taker| has_job(*taker) && waits_here(*taker))
    {
        // One who can go on comes back and takes.
        takers.clear();
    }
}
