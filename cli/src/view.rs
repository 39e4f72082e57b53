//! What the live view shows, apart from how it looks: the rows, their order, and what changed between two looks.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{Caller, Dumps, Picture, Task};
use crate::report;

/// Looks that are remembered for the curve.
const LOOKS: usize = 240;

/// What the rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Rate,
    Polls,
    Busy,
    Age,
    State,
    Name,
    Id,
}

impl Order {
    const ALL: [Self; 7] = [
        Self::Rate,
        Self::Polls,
        Self::Busy,
        Self::Age,
        Self::State,
        Self::Name,
        Self::Id,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "polls/s",
            Self::Polls => "polls",
            Self::Busy => "busy",
            Self::Age => "age",
            Self::State => "state",
            Self::Name => "name",
            Self::Id => "id",
        }
    }

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|order| *order == self);
        Self::ALL[(place.unwrap_or(0) + 1) % Self::ALL.len()]
    }

    /// What stands first is what one looks for: the most, or the first of the alphabet.
    fn compare(self, a: &Row, b: &Row) -> Ordering {
        match self {
            Self::Rate => b.rate.total_cmp(&a.rate),
            Self::Polls => b.polls.cmp(&a.polls),
            Self::Busy => b.busy.cmp(&a.busy),
            Self::Age => b.age.cmp(&a.age),
            Self::State => (a.state.rank(), b.stuck_for).cmp(&(b.state.rank(), a.stuck_for)),
            Self::Name => a.name.cmp(&b.name),
            Self::Id => Ordering::Equal,
        }
        .then(a.id.cmp(&b.id))
    }
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Ready,
    Waiting,
    Other,
}

impl State {
    fn of(word: &str) -> Self {
        match word {
            "running" => Self::Running,
            "ready" => Self::Ready,
            "waiting" => Self::Waiting,
            _ => Self::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Other => "?",
        }
    }

    fn rank(self) -> u8 {
        self as u8
    }
}

/// A task in a line, or a call of `block_on`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) state: State,
    /// Polls in a second, since the look before.
    pub(crate) rate: f64,
    pub(crate) polls: u64,
    pub(crate) busy: Duration,
    pub(crate) age: Duration,
    pub(crate) waits_for: String,
    pub(crate) spawned_at: String,
    /// It has been in one poll for at least so long: it blocks its thread or computes.
    pub(crate) stuck_for: Duration,
    /// It is a call of `block_on`, of which nothing is counted.
    pub(crate) is_call: bool,
    /// It is one of those who wait for one another.
    pub(crate) is_deadlocked: bool,
}

/// A runtime, in its line at the top.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) picture: Picture,
    /// Tasks that run, and tasks that could.
    pub(crate) n_running: usize,
    pub(crate) n_ready: usize,
    pub(crate) polls: f64,
    pub(crate) spawns: f64,
    /// Polls in a second on each worker.
    pub(crate) workers: Vec<f64>,
}

/// All that is shown.
pub(crate) struct View {
    pub(crate) process: u32,
    pub(crate) program: String,
    pub(crate) interval: Duration,
    pub(crate) heads: Vec<Head>,
    pub(crate) rows: Vec<Row>,
    /// The circles, as text.
    pub(crate) deadlocks: Vec<String>,
    /// Polls in a second over time, the latest last.
    pub(crate) history: VecDeque<u64>,
    pub(crate) order: Order,
    pub(crate) is_reversed: bool,
    pub(crate) is_paused: bool,
    /// Why there is no newer picture.
    pub(crate) trouble: Option<String>,
    /// The number of the task that is marked: it keeps the mark when the order changes.
    selected: Option<u64>,
    taken_at: Option<Instant>,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pause,
    NextOrder,
    Order(Order),
    Reverse,
    /// Moves the mark by so many lines.
    Move(isize),
    First,
    Last,
}

impl View {
    pub(crate) fn new(process: u32, interval: Duration) -> Self {
        Self {
            process,
            program: String::new(),
            interval,
            heads: Vec::new(),
            rows: Vec::new(),
            deadlocks: Vec::new(),
            history: VecDeque::new(),
            order: Order::Rate,
            is_reversed: false,
            is_paused: false,
            trouble: None,
            selected: None,
            taken_at: None,
        }
    }

    /// The place of the marked row.
    pub(crate) fn selected(&self) -> Option<usize> {
        let id = self.selected?;
        self.rows.iter().position(|row| row.id == id)
    }

    /// Whether busy times are known.
    pub(crate) fn is_debug(&self) -> bool {
        self.heads.iter().any(|head| head.picture.debug)
    }

    /// There is a new picture, taken at this moment. While it is paused, what is shown stays.
    pub(crate) fn take(&mut self, answer: Dumps, at: Instant) {
        self.trouble = None;
        if self.is_paused {
            return;
        }
        let elapsed = self.taken_at.map(|before| at.duration_since(before));
        self.taken_at = Some(at);
        self.program = answer.program;
        let cycles = answer.runtimes.iter().flat_map(|found| &found.dump.cycles);
        let cycles: Vec<Vec<u64>> = cycles.cloned().collect();
        self.deadlocks = cycles.iter().map(|cycle| report::circle(cycle)).collect();
        self.take_rows(&answer.runtimes, &cycles, elapsed);
        self.take_heads(answer.runtimes, elapsed);
        self.sort();
        if self.selected().is_none() {
            self.selected = self.rows.first().map(|row| row.id);
        }
    }

    fn take_rows(&mut self, pictures: &[Picture], cycles: &[Vec<u64>], elapsed: Option<Duration>) {
        let rows = std::mem::take(&mut self.rows).into_iter();
        let before: HashMap<u64, Row> = rows.map(|row| (row.id, row)).collect();
        let deadlocked: HashSet<u64> = cycles.iter().flatten().copied().collect();
        let dumps = || pictures.iter().map(|picture| &picture.dump);
        let tasks = dumps().flat_map(|dump| &dump.tasks);
        let tasks = tasks.map(|task| Row::of(task, before.get(&task.id), elapsed));
        let callers = dumps().flat_map(|dump| &dump.callers).map(Row::of_caller);
        self.rows = callers.chain(tasks).collect();
        for row in &mut self.rows {
            row.is_deadlocked = deadlocked.contains(&row.id);
        }
    }

    fn take_heads(&mut self, pictures: Vec<Picture>, elapsed: Option<Duration>) {
        let before = std::mem::take(&mut self.heads);
        let heads = pictures.into_iter().enumerate().map(|(index, picture)| {
            // Runtimes have no number; one that came in the place of another shows in its counters.
            let same = before.get(index).map(|head| &head.picture);
            let same = same.filter(|old| old.dump.uptime <= picture.dump.uptime);
            Head::of(picture, same, elapsed)
        });
        self.heads = heads.collect();
        if elapsed.is_some() {
            let polls: f64 = self.heads.iter().map(|head| head.polls).sum();
            self.history.push_back(polls as u64);
            if self.history.len() > LOOKS {
                self.history.pop_front();
            }
        }
    }

    /// Does what a key stands for.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Pause => self.is_paused = !self.is_paused,
            Action::NextOrder => self.order = self.order.next(),
            Action::Order(order) if order == self.order => self.is_reversed = !self.is_reversed,
            Action::Order(order) => (self.order, self.is_reversed) = (order, false),
            Action::Reverse => self.is_reversed = !self.is_reversed,
            Action::Move(lines) => {
                let place = self.selected().unwrap_or(0);
                self.select(place.saturating_add_signed(lines));
            }
            Action::First => self.select(0),
            Action::Last => self.select(usize::MAX),
        }
        self.sort();
    }

    fn select(&mut self, place: usize) {
        let place = place.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(place).map(|row| row.id);
    }

    fn sort(&mut self) {
        let order = self.order;
        match self.is_reversed {
            false => self.rows.sort_unstable_by(|a, b| order.compare(a, b)),
            true => self.rows.sort_unstable_by(|a, b| order.compare(b, a)),
        }
    }
}

impl Row {
    fn of(task: &Task, before: Option<&Self>, elapsed: Option<Duration>) -> Self {
        let state = State::of(&task.state);
        let n_new = task.polls - before.map_or(0, |row| row.polls.min(task.polls));
        // A task that was not there before has done all it did since.
        let is_same_poll = before.is_some_and(|row| {
            (row.state, row.polls, state) == (State::Running, task.polls, State::Running)
        });
        let stuck_before = before.map_or(Duration::ZERO, |row| row.stuck_for);
        Self {
            id: task.id,
            name: task.name.clone().unwrap_or_default(),
            state,
            rate: rate(n_new, elapsed),
            polls: task.polls,
            busy: task.busy,
            age: task.age,
            waits_for: report::waits_for(task.waiting_on.as_ref()),
            spawned_at: end_of(&task.spawned_at).to_owned(),
            stuck_for: match is_same_poll {
                true => stuck_before + elapsed.unwrap_or_default(),
                false => Duration::ZERO,
            },
            is_call: false,
            is_deadlocked: false,
        }
    }

    fn of_caller(caller: &Caller) -> Self {
        Self {
            id: caller.id,
            name: caller.name(),
            state: match caller.running {
                true => State::Running,
                false => State::Waiting,
            },
            rate: 0.0,
            polls: 0,
            busy: Duration::ZERO,
            age: Duration::ZERO,
            waits_for: report::waits_for(caller.waiting_on.as_ref()),
            spawned_at: end_of(&caller.called_at).to_owned(),
            stuck_for: Duration::ZERO,
            is_call: true,
            is_deadlocked: false,
        }
    }
}

/// The last two parts of a path with the line, without the column: they tell the most, and fit.
fn end_of(place: &str) -> &str {
    let place = place.rsplit_once(':').map_or(place, |(line, _)| line);
    let mut slashes = place.rmatch_indices('/');
    slashes
        .nth(1)
        .map_or(place, |(index, _)| &place[index + 1..])
}

impl Head {
    fn of(picture: Picture, before: Option<&Picture>, elapsed: Option<Duration>) -> Self {
        let n_in = |word| {
            let tasks = picture.dump.tasks.iter();
            tasks.filter(|task| task.state == word).count()
        };
        let (now, then) = (&picture.metrics, before.map(|picture| &picture.metrics));
        let elapsed = elapsed.filter(|_| then.is_some());
        let since = |now: u64, then: Option<u64>| {
            rate(now.saturating_sub(then.unwrap_or_default()), elapsed)
        };
        let workers = now.workers.iter().enumerate();
        Self {
            n_running: n_in("running"),
            n_ready: n_in("ready"),
            polls: since(now.n_polls, then.map(|then| then.n_polls)),
            spawns: since(now.n_spawned, then.map(|then| then.n_spawned)),
            workers: workers
                .map(|(index, worker)| {
                    let then = then.and_then(|then| then.workers.get(index));
                    since(worker.n_polls, then.map(|then| then.n_polls))
                })
                .collect(),
            picture,
        }
    }
}

/// So many in a second; zero at the first look.
fn rate(n: u64, elapsed: Option<Duration>) -> f64 {
    match elapsed {
        Some(elapsed) if !elapsed.is_zero() => n as f64 / elapsed.as_secs_f64(),
        _ => 0.0,
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(crate) mod tests;
