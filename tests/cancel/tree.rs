//! C10 as a property: random trees of scopes with random requests and deadlines end as a simple model says.
//!
//! The model knows nothing of futures: it goes from moment to moment, looks at the tree from the outside in for what
//! was asked, and from the inside out for what is through. Requests, deadlines and the ends of work fall on moments
//! of different kinds, so that nothing depends on an order that nobody promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::support::{each_size_virtual, exact, ms};
use futures_util::future::join_all;
use rt::{CancelScope, Instant, Runtime, TaskGroup};

/// Set to a number, the tests run that seed alone.
const SEED: &str = "RT_TREE_SEED";

const N_TREES: u64 = 4000;
const DEPTH: usize = 4;

/// Moments, in milliseconds from the start.
type Moment = u64;

/// Numbers that look random: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Task,
    Scope,
    Timeout,
    Region,
    Group,
}

/// One scope: its children wait side by side with its own work, and when all of that is through it does some more.
#[derive(Clone, Debug)]
struct Node {
    id: usize,
    kind: Kind,
    deadline: Option<Moment>,
    requests: Vec<Moment>,
    work_until: Moment,
    more_until: Moment,
    children: Vec<Node>,
}

/// What the moments of a tree may be.
#[derive(Clone, Copy)]
enum Moments {
    /// Few, so that much happens at once.
    Crowded,
    /// Each for one thing only, so that the order of threads does not matter.
    Apart,
}

struct Maker {
    random: Random,
    moments: Moments,
    n_nodes: usize,
    n_moments: u64,
}

impl Maker {
    /// A moment that is `kind` modulo four.
    fn moment(&mut self, kind: u64) -> Moment {
        match self.moments {
            Moments::Crowded => 4 * self.random.below(10) + 4 + kind,
            Moments::Apart => {
                self.n_moments += 1;
                // Nobody else has the higher part.
                let own = self.n_moments;
                4 * (self.random.below(10) * 1000 + own) + kind
            }
        }
    }

    fn node(&mut self, depth: usize) -> Node {
        let id = self.n_nodes;
        self.n_nodes += 1;
        let kind = match self.random.below(8) {
            _ if depth == 0 => Kind::Task,
            0..=2 => Kind::Scope,
            3 => Kind::Timeout,
            4..=6 => Kind::Region,
            _ => Kind::Group,
        };
        let deadline = match kind {
            Kind::Timeout => true,
            Kind::Scope => self.random.one_in(3),
            _ => false,
        };
        let n_requests = match kind {
            Kind::Task => self.random.below(3),
            Kind::Scope => self.random.below(4).saturating_sub(1),
            _ => 0,
        };
        let n_children = match depth {
            DEPTH => 0,
            0 => 1 + self.random.below(2),
            _ => self.random.below(3),
        };
        Node {
            id,
            kind,
            deadline: deadline.then(|| self.moment(2)),
            requests: (0..n_requests).map(|_| self.moment(0)).collect(),
            work_until: self.moment(1),
            more_until: if self.random.one_in(2) {
                self.moment(3)
            } else {
                0
            },
            children: (0..n_children).map(|_| self.node(depth + 1)).collect(),
        }
    }
}

fn tree(seed: u64, moments: Moments) -> Node {
    let mut maker = Maker {
        random: Random(seed),
        moments,
        n_nodes: 0,
        n_moments: 0,
    };
    maker.node(0)
}

/// How a scope ended, as the code around it sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    Value,
    Cancelled,
}

/// What is seen of a tree: which scope ended how and when, for those whose end anybody saw; and for each
/// `CancelScope` whether it caught, and whether it expired.
#[derive(Default, PartialEq, Eq, Debug)]
struct Seen {
    ends: Vec<(usize, End, Moment)>,
    flags: Vec<(usize, bool, bool)>,
}

impl Seen {
    fn sorted(mut self) -> Self {
        self.ends.sort();
        self.flags.sort();
        self
    }
}

/// The model.
mod model {
    use super::{End, Kind, Moment, Node, Seen};

    /// One scope while time goes by.
    struct State<'a> {
        node: &'a Node,
        children: Vec<State<'a>>,
        is_live: bool,
        /// Handed on by a scope around.
        is_asked: bool,
        requests: Vec<Moment>,
        deadline: Option<Moment>,
        is_expired: bool,
        has_caught: bool,
    }

    impl<'a> State<'a> {
        fn new(node: &'a Node) -> Self {
            Self {
                node,
                children: node.children.iter().map(State::new).collect(),
                is_live: true,
                is_asked: false,
                requests: node.requests.clone(),
                deadline: node.deadline,
                is_expired: false,
                has_caught: false,
            }
        }

        /// Takes what is due out of what is to come.
        fn take_due(&mut self, now: Moment) -> bool {
            let n_before = self.requests.len();
            self.requests.retain(|at| *at > now);
            let mut is_due = std::mem::take(&mut self.is_asked) | (self.requests.len() < n_before);
            if self.deadline.is_some_and(|at| at <= now) {
                self.deadline = None;
                self.is_expired = true;
                is_due = true;
            }
            is_due
        }

        /// From the outside in: whatever is asked ends the scope, unless regions directly inside catch it.
        fn heed(&mut self, now: Moment, seen: &mut Seen) {
            if !self.is_live {
                return;
            }
            if self.take_due(now) {
                let is_region =
                    |child: &&mut Self| child.is_live && child.node.kind == Kind::Region;
                let mut regions = self.children.iter_mut().filter(is_region).peekable();
                if regions.peek().is_none() {
                    self.has_caught = true;
                    self.drop_at(now);
                    seen.ends.push((self.node.id, End::Cancelled, now));
                    return;
                }
                regions.for_each(|region| region.is_asked = true);
            }
            for child in &mut self.children {
                child.heed(now, seen);
            }
        }

        /// It goes, with all that is inside.
        fn drop_at(&mut self, now: Moment) {
            if self.is_live {
                self.is_live = false;
                self.is_expired |= self.deadline.is_some_and(|at| at <= now);
                self.children
                    .iter_mut()
                    .for_each(|child| child.drop_at(now));
            }
        }

        /// From the inside out: what has nothing left to wait for gives its value.
        fn finish(&mut self, now: Moment, seen: &mut Seen) {
            if !self.is_live {
                return;
            }
            for child in &mut self.children {
                child.finish(now, seen);
            }
            let is_through = self.children.iter().all(|child| !child.is_live)
                && self.node.work_until <= now
                && self.node.more_until <= now;
            if is_through {
                self.drop_at(now);
                seen.ends.push((self.node.id, End::Value, now));
            }
        }

        fn moments(&self, moments: &mut Vec<Moment>) {
            moments.extend(&self.requests);
            moments.extend(self.deadline);
            moments.extend([self.node.work_until, self.node.more_until]);
            self.children
                .iter()
                .for_each(|child| child.moments(moments));
        }

        fn flags(&self, seen: &mut Seen) {
            if self.node.kind == Kind::Scope {
                let flags = (self.node.id, self.has_caught, self.is_expired);
                seen.flags.push(flags);
            }
            self.children.iter().for_each(|child| child.flags(seen));
        }
    }

    pub(super) fn run(tree: &Node) -> Seen {
        let mut state = State::new(tree);
        let mut moments = Vec::new();
        state.moments(&mut moments);
        moments.sort_unstable();
        moments.dedup();
        let mut seen = Seen::default();
        for now in moments {
            state.heed(now, &mut seen);
            state.finish(now, &mut seen);
        }
        state.flags(&mut seen);
        seen
    }
}

/// What the futures of one tree share.
struct World {
    start: Instant,
    scopes: Mutex<Vec<(usize, CancelScope)>>,
    ends: Mutex<Vec<(usize, End, Moment)>>,
}

impl World {
    fn now(&self) -> Moment {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    fn saw(&self, node: &Node, end: End) {
        self.ends.lock().unwrap().push((node.id, end, self.now()));
    }

    async fn until(&self, moment: Moment) {
        rt::sleep_until(self.start + ms(moment)).await;
    }
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What runs inside a scope.
fn body(world: &Arc<World>, node: &Node) -> Boxed {
    let mut parts: Vec<Boxed> = node
        .children
        .iter()
        .map(|child| run(world.clone(), child.clone()))
        .collect();
    let (world, work_until, more_until) = (world.clone(), node.work_until, node.more_until);
    let theirs = world.clone();
    parts.push(Box::pin(async move { theirs.until(work_until).await }));
    Box::pin(async move {
        join_all(parts).await;
        world.until(more_until).await;
    })
}

/// A scope, and who sees its end.
fn run(world: Arc<World>, node: Node) -> Boxed {
    let inside = body(&world, &node);
    let scope = match node.kind {
        Kind::Scope => {
            let scope = match node.deadline {
                Some(deadline) => CancelScope::with_deadline(world.start + ms(deadline)),
                None => CancelScope::new(),
            };
            let entry = (node.id, scope.clone());
            world.scopes.lock().unwrap().push(entry);
            Some(scope)
        }
        _ => None,
    };
    Box::pin(async move {
        let is_value = match node.kind {
            Kind::Task => unreachable!("the root is spawned"),
            Kind::Scope => scope.unwrap().run(inside).await.is_ok(),
            Kind::Timeout => {
                let deadline = world.start + ms(node.deadline.unwrap());
                rt::timeout_at(deadline, inside).await.is_ok()
            }
            Kind::Region => rt::catch_cancel(inside).await.is_ok(),
            Kind::Group => {
                let group = TaskGroup::scope(async |_| {
                    inside.await;
                    Ok(())
                });
                group.await.is_ok()
            }
        };
        world.saw(&node, if is_value { End::Value } else { End::Cancelled });
    })
}

/// All requests of a tree, in time, those of one moment in any order.
fn requests(node: &Node, random: &mut Random) -> Vec<(Moment, usize)> {
    fn collect(node: &Node, all: &mut Vec<(Moment, usize)>) {
        all.extend(node.requests.iter().map(|at| (*at, node.id)));
        node.children.iter().for_each(|child| collect(child, all));
    }
    let mut all = Vec::new();
    collect(node, &mut all);
    all.sort_by_cached_key(|(at, _)| (*at, random.next()));
    all
}

/// The tree as it is.
async fn real(tree: &Node, random: &mut Random) -> Seen {
    let world = Arc::new(World {
        start: Instant::now(),
        scopes: Mutex::default(),
        ends: Mutex::default(),
    });
    let root = rt::spawn(body(&world, tree));
    let canceller = root.cancel_handle();
    let theirs = world.clone();
    root.on_finish(move |_| {
        theirs
            .ends
            .lock()
            .unwrap()
            .push((0, End::Value, theirs.now()))
    });
    for (at, id) in requests(tree, random) {
        if world.now() < at {
            world.until(at).await;
        }
        if id == 0 {
            canceller.cancel();
        } else {
            let scopes = world.scopes.lock().unwrap();
            scopes
                .iter()
                .find(|(other, _)| *other == id)
                .unwrap()
                .1
                .cancel();
        }
    }
    let is_cancelled = root.await.is_err_and(|error| error.is_cancelled());
    let mut ends = std::mem::take(&mut *world.ends.lock().unwrap());
    if is_cancelled {
        let root = ends.iter_mut().find(|(id, ..)| *id == 0).unwrap();
        root.1 = End::Cancelled;
    }
    let scopes = world.scopes.lock().unwrap();
    let flags = scopes
        .iter()
        .map(|(id, scope)| (*id, scope.caught(), scope.expired()))
        .collect();
    Seen { ends, flags }
}

async fn check(seed: u64, moments: Moments) {
    let tree = tree(seed, moments);
    let expected = model::run(&tree).sorted();
    let seen = real(&tree, &mut Random(!seed)).await.sorted();
    assert!(
        seen == expected,
        "with {SEED}={seed}\n seen     {seen:?}\n expected {expected:?}\n{tree:#?}"
    );
}

fn seeds(n: u64) -> std::ops::Range<u64> {
    match std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..n,
    }
}

/// C10: a scope catches only what was aimed at it, the outermost cancelled one wins, and regions catch for the scope
/// directly around; much of it at once.
#[test]
fn c10_random_trees_of_scopes_end_as_the_model_says() {
    exact(async {
        for seed in seeds(N_TREES) {
            check(seed, Moments::Crowded).await;
        }
    });
}

/// C10: the same on any number of workers.
#[test]
fn c10_random_trees_of_scopes_end_as_the_model_says_on_many_workers() {
    each_size_virtual(|runtime: &Runtime| {
        runtime.block_on(async {
            for seed in seeds(N_TREES / 20) {
                check(seed, Moments::Apart).await;
            }
        });
    });
}

/// The trees are no trivial ones: all kinds of ends occur, and at all depths.
#[test]
fn the_trees_are_worth_testing() {
    let (mut n_values, mut n_cancelled, mut n_unseen, mut n_expired) = (0, 0, 0, 0);
    for seed in 0..N_TREES {
        let tree = tree(seed, Moments::Crowded);
        let seen = model::run(&tree);
        n_unseen += count(&tree) - seen.ends.len();
        for (_, end, _) in seen.ends {
            match end {
                End::Value => n_values += 1,
                End::Cancelled => n_cancelled += 1,
            }
        }
        n_expired += seen.flags.iter().filter(|flags| flags.2).count();
    }
    let least = usize::try_from(N_TREES).unwrap();
    let all = [n_values, n_cancelled, n_unseen, 5 * n_expired];
    assert!(all.iter().all(|n| *n > least), "{all:?}");

    fn count(node: &Node) -> usize {
        1 + node.children.iter().map(count).sum::<usize>()
    }
}
