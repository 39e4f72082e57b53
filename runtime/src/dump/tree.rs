//! The picture as text: each task under the one that spawned it.

use std::collections::HashMap;
use std::fmt;

use super::{CallerInfo, Dump};
use crate::task::{TaskId, TaskInfo, TaskState};

/// Tasks that are nested deeper are drawn at this depth: a chain of spawns has no end.
const MAX_DEPTH: usize = 40;

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "runtime `{}`: {} in {}, {} worker{}, up {:.1?}",
            self.name,
            count(self.tasks.len(), "task"),
            count(self.callers.len(), "block_on"),
            self.n_workers,
            if self.n_workers == 1 { "" } else { "s" },
            self.uptime
        )?;
        Tree::of(self).write(f)?;
        for cycle in self.cycles() {
            write!(f, "\n{cycle}")?;
        }
        Ok(())
    }
}

/// A number and its noun, as a sentence has them.
fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// What stands on one line.
#[derive(Clone, Copy)]
enum Node<'a> {
    Task(&'a TaskInfo),
    Caller(&'a CallerInfo),
}

struct Tree<'a> {
    roots: Vec<Node<'a>>,
    children: HashMap<TaskId, Vec<Node<'a>>>,
}

impl<'a> Tree<'a> {
    fn of(dump: &'a Dump) -> Self {
        let mut tree = Self {
            roots: Vec::new(),
            children: HashMap::new(),
        };
        for caller in &dump.callers {
            tree.add(dump, caller.inside, Node::Caller(caller));
        }
        for task in &dump.tasks {
            tree.add(dump, task.parent, Node::Task(task));
        }
        tree
    }

    /// Puts a node under its parent, if that still lives.
    fn add(&mut self, dump: &Dump, parent: Option<TaskId>, node: Node<'a>) {
        match parent.filter(|id| dump.task(*id).is_some()) {
            Some(parent) => self.children.entry(parent).or_default().push(node),
            None => self.roots.push(node),
        }
    }

    fn children_of(&self, node: Node<'_>) -> &[Node<'a>] {
        match node {
            Node::Task(task) => self.children.get(&task.id).map_or(&[], Vec::as_slice),
            Node::Caller(_) => &[],
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest of each level, from the outermost.
        let mut levels = vec![self.roots.iter()];
        while let Some(level) = levels.last_mut() {
            let Some(node) = level.next() else {
                levels.pop();
                continue;
            };
            f.write_str("\n")?;
            let depth = levels.len() - 1;
            for (index, level) in (1..).zip(&levels[1..]).take(MAX_DEPTH) {
                let is_last = level.as_slice().is_empty();
                f.write_str(match (index == depth.min(MAX_DEPTH), is_last) {
                    (true, false) => "├─ ",
                    (true, true) => "└─ ",
                    (false, false) => "│  ",
                    (false, true) => "   ",
                })?;
            }
            node.write(f)?;
            levels.push(self.children_of(*node).iter());
        }
        Ok(())
    }
}

impl Node<'_> {
    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => write_task(task, f),
            Self::Caller(caller) => {
                write!(f, "block_on #{} at {}", caller.id, caller.called_at)?;
                if let Some(thread) = &caller.thread {
                    write!(f, " on thread `{thread}`")?;
                }
                match &caller.waiting_on {
                    Some(waiting) => write!(f, ": waits for {waiting}"),
                    None if caller.is_running => f.write_str(": running"),
                    None => f.write_str(": waits"),
                }
            }
        }
    }
}

fn write_task(task: &TaskInfo, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "#{} ", task.id)?;
    if let Some(name) = &task.name {
        write!(f, "`{name}` ")?;
    }
    write!(f, "at {}: ", task.spawned_at)?;
    match (task.state, &task.waiting_on) {
        (TaskState::Waiting, Some(waiting)) => write!(f, "waits for {waiting}")?,
        (TaskState::Waiting, None) => f.write_str("waits")?,
        (state, _) => f.write_str(state.as_str())?,
    }
    let n_polls = usize::try_from(task.polls).unwrap_or(usize::MAX);
    write!(f, " ({}, age {:.1?}", count(n_polls, "poll"), task.age)?;
    if !task.busy.is_zero() {
        write!(f, ", busy {:.1?}", task.busy)?;
    }
    f.write_str(")")
}
