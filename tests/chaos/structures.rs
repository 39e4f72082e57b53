//! Random programs of everything that is structured, in random orders, and the laws that each of them must keep.
//!
//! A program is a tree of groups, scopes, time limits, races, shields, regions, guards and tasks, in which things
//! sleep, fail, panic, are cancelled, are polled by strangers and moved from task to task. Whatever it does:
//!
//! - When a structured form returns, nothing that was begun in it is left: no child, and no cleanup.
//! - Cleanup that was registered runs once, to its end or to its own panic.
//! - Every value is dropped once, and when the program is over no task is left.

#[path = "drawn.rs"]
mod drawn;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use crate::support::{self, Count, ms, must_end};
use drawn::{Asked, Cleanup, Kind, Part, Random};
use rt::{CancelScope, TaskGroup, TaskSet};

const RUNS: u64 = if cfg!(debug_assertions) {
    8_000
} else {
    40_000
};

/// What was begun and is not over, here and in all that is around.
struct Place {
    n_live: AtomicUsize,
    around: Option<Arc<Place>>,
}

/// Something that was begun in a place, until it is dropped.
struct Live(Arc<Place>);

impl Live {
    fn new(place: &Arc<Place>) -> Self {
        let mut next = Some(place);
        while let Some(place) = next {
            place.n_live.fetch_add(1, SeqCst);
            next = place.around.as_ref();
        }
        Self(place.clone())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut next = Some(&self.0);
        while let Some(place) = next {
            place.n_live.fetch_sub(1, SeqCst);
            next = place.around.as_ref();
        }
    }
}

#[derive(Clone)]
struct World {
    place: Arc<Place>,
    root: Arc<Place>,
    n_made: Count,
    n_dropped: Count,
    n_registered: Count,
    n_cleaned: Count,
}

/// What every part gives: a value that is counted, or a failure that is.
type Output = Result<support::Counted, Failed>;
type Body = Pin<Box<dyn Future<Output = Output> + Send>>;

struct Failed(#[allow(dead_code)] support::Counted);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failed")
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed as planned")
    }
}

impl std::error::Error for Failed {}

/// The payload of a panic that was planned: no hook prints it.
struct Planned;

fn panic_as_planned() -> ! {
    resume_unwind(Box::new(Planned))
}

impl World {
    fn new() -> Self {
        let root = Arc::new(Place {
            n_live: AtomicUsize::new(0),
            around: None,
        });
        Self {
            place: root.clone(),
            root,
            n_made: Count::default(),
            n_dropped: Count::default(),
            n_registered: Count::default(),
            n_cleaned: Count::default(),
        }
    }

    fn value(&self) -> support::Counted {
        self.n_made.add();
        self.n_dropped.on_drop()
    }

    fn failure(&self) -> Failed {
        Failed(self.value())
    }

    /// A world for what is begun inside a structured form.
    fn inside(&self) -> Self {
        let place = Arc::new(Place {
            n_live: AtomicUsize::new(0),
            around: Some(self.place.clone()),
        });
        Self {
            place,
            ..self.clone()
        }
    }

    /// A world for what runs on when the form that began it is over.
    fn outside(&self) -> Self {
        Self {
            place: self.root.clone(),
            ..self.clone()
        }
    }

    /// The form that began things inside has returned.
    #[track_caller]
    fn over(&self) {
        let n_live = self.place.n_live.load(SeqCst);
        assert_eq!(n_live, 0, "a structured form left something behind");
    }

    fn cleanup(&self, cleanup: Cleanup) -> impl Future<Output = ()> + Send + use<> {
        self.n_registered.add();
        let (live, n_cleaned) = (Live::new(&self.place), self.n_cleaned.clone());
        let value = self.value();
        async move {
            match cleanup {
                Cleanup::Short => {}
                Cleanup::Sleeps(time) => rt::sleep(ms(time)).await,
                Cleanup::Panics => {
                    rt::yield_now().await;
                    n_cleaned.add();
                    panic_as_planned();
                }
            }
            n_cleaned.add();
            drop((live, value));
        }
    }

    /// A part, which lives until its future is dropped.
    fn run(&self, part: Part) -> Body {
        let (world, live, value) = (self.clone(), Live::new(&self.place), self.value());
        Box::pin(async move {
            let output = world.of(part).await;
            drop((live, value));
            output
        })
    }

    fn run_all(&self, parts: Vec<Part>) -> Vec<Body> {
        parts.into_iter().map(|part| self.run(part)).collect()
    }

    async fn of(self, part: Part) -> Output {
        let inside = self.inside();
        match part {
            Part::Sleep(time) => rt::sleep(ms(time)).await,
            Part::Yield => rt::yield_now().await,
            Part::Fail => return Err(self.failure()),
            Part::Panic => panic_as_planned(),
            Part::Sequence(parts) => {
                for part in parts {
                    drop(self.run(part).await?);
                }
            }
            Part::Shield(None, part) => return rt::shield(self.run(*part)).await,
            Part::Shield(Some(limit), part) => {
                return rt::shield_within(ms(limit), self.run(*part)).await;
            }
            Part::Guard(cleanup, part) => {
                let release = self.cleanup(cleanup);
                let guard = rt::guard(self.value(), move |value| async move {
                    release.await;
                    drop(value);
                });
                let output = self.run(*part).await;
                drop(guard);
                return output;
            }
            Part::Defer(cleanup, part) => {
                rt::defer(self.cleanup(cleanup));
                return self.run(*part).await;
            }
            Part::Finally(cleanup, part) => {
                return rt::finally(self.run(*part), self.cleanup(cleanup)).await;
            }
            Part::Foreign(n_polls, parts) => {
                let outputs = Foreign::new(self.run_all(parts), n_polls).await;
                return outputs
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| Ok(self.value()));
            }
            Part::Moved(part) => {
                let mut body = self.run(*part);
                let polled = poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx))).await;
                return match polled {
                    Poll::Ready(output) => output,
                    Poll::Pending => self.task(None, body).await,
                };
            }
            Part::Loose(cleanup, part) => {
                let outside = self.outside();
                drop(rt::spawn(async move {
                    let release = outside.cleanup(cleanup);
                    let guard = rt::guard((), move |()| release);
                    (outside.run(*part).await, guard)
                }));
            }
            Part::Gather(parts) => {
                drop(rt::gather(self.outside().run_all(parts)).await?);
            }
            part => {
                let output = self.of_form(part, &inside).await;
                inside.over();
                return output;
            }
        }
        Ok(self.value())
    }

    /// A form that awaits all that is begun inside.
    async fn of_form(&self, part: Part, inside: &Self) -> Output {
        match part {
            Part::Timeout(limit, part) => match rt::timeout(ms(limit), inside.run(*part)).await {
                Ok(output) => return output,
                Err(_) => return Err(self.failure()),
            },
            Part::Scope(asked, part) => {
                return match inside.scope(asked).run(inside.run(*part)).await {
                    Ok(output) => output,
                    Err(_) => Err(self.failure()),
                };
            }
            Part::Catch(part) => {
                return match rt::catch_cancel(inside.run(*part)).await {
                    Ok(output) => output,
                    Err(_) => Err(self.failure()),
                };
            }
            Part::Group(kind, body, children) => {
                return inside.group(kind, *body, children).await;
            }
            Part::LocalGroup(body, children) => {
                let ended = rt::local_group(async |group| {
                    for child in inside.run_all(children) {
                        group.spawn(child);
                    }
                    inside.run(*body).await.map_err(rt::BoxError::from)
                })
                .await;
                return ended.map_err(|_| self.failure());
            }
            Part::Set(parts) => {
                let mut set = TaskSet::new();
                for (key, part) in inside.run_all(parts).into_iter().enumerate() {
                    set.spawn(key, part);
                }
                drop(set.next().await);
                set.shutdown().await;
            }
            Part::Race(parts) => return rt::race(inside.run_all(parts)).await,
            Part::RaceOk(parts) => {
                let first = rt::race_ok(inside.run_all(parts)).await;
                return first.map_err(|_| self.failure());
            }
            Part::JoinAll(parts) => drop(rt::join_all(inside.run_all(parts)).await),
            Part::TryGather(parts) => drop(rt::try_gather(inside.run_all(parts)).await?),
            Part::Task(cancel, part) => return inside.task(cancel, inside.run(*part)).await,
            other => unreachable!("{other:?}"),
        }
        Ok(self.value())
    }

    fn scope(&self, asked: Asked) -> CancelScope {
        let scope = match asked {
            Asked::Deadline(limit) => CancelScope::with_timeout(ms(limit)),
            _ => CancelScope::new(),
        };
        let theirs = scope.clone();
        rt::spawn(async move {
            match asked {
                Asked::Nothing | Asked::Deadline(_) => {}
                Asked::Cancel(time) => {
                    rt::sleep(ms(time)).await;
                    theirs.cancel();
                }
                Asked::Graceful(time, grace) => {
                    rt::sleep(ms(time)).await;
                    theirs.cancel_gracefully(ms(grace));
                }
            }
        });
        scope
    }

    /// Runs a body in a task of its own.
    async fn task(&self, cancel: Option<u64>, body: Body) -> Output {
        let ended = TaskGroup::scope(async |group| {
            let task = group.spawn_ok(body);
            if let Some(time) = cancel {
                rt::sleep(ms(time)).await;
                task.cancel();
            }
            Ok(task.await)
        });
        match ended.await {
            Ok(Ok(output)) => output,
            Ok(Err(_)) | Err(_) => Err(self.failure()),
        }
    }

    async fn group(&self, kind: Kind, body: Part, children: Vec<Part>) -> Output {
        let mut builder = TaskGroup::options().policy(kind.policy);
        if let Some(limit) = kind.limit {
            builder = builder.limit(limit);
        }
        if let Some(limit) = kind.deadline {
            builder = builder.deadline(rt::Instant::now() + ms(limit));
        }
        if kind.has_handler {
            builder = builder.on_error(drop);
        }
        let ended = builder
            .scope(async |group: TaskGroup| {
                for (number, child) in children.into_iter().enumerate() {
                    let child = self.run(child);
                    if number % 2 == 0 {
                        group.spawn(child);
                    } else {
                        group.spawn_in_turn(child).await;
                    }
                }
                self.run(body).await.map_err(rt::BoxError::from)
            })
            .await;
        ended.map_err(|_| self.failure())
    }
}

/// Polls futures that rang, each with a waker of its own, and drops what is left after so many polls.
struct Foreign {
    bodies: Vec<Option<(Body, Arc<Bell>)>>,
    outputs: Vec<Output>,
    n_polls_left: usize,
}

struct Bell {
    has_rung: AtomicBool,
    parent: std::sync::Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, SeqCst);
        let parent = self.parent.lock().unwrap().take();
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl Foreign {
    fn new(bodies: Vec<Body>, n_polls: usize) -> Self {
        let bell = || Bell {
            has_rung: AtomicBool::new(true),
            parent: std::sync::Mutex::default(),
        };
        Self {
            bodies: bodies
                .into_iter()
                .map(|body| Some((body, Arc::new(bell()))))
                .collect(),
            outputs: Vec::new(),
            n_polls_left: n_polls,
        }
    }
}

impl Future for Foreign {
    type Output = Vec<Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Output>> {
        let this = &mut *self;
        for place in &mut this.bodies {
            let Some((body, bell)) = place else { continue };
            *bell.parent.lock().unwrap() = Some(cx.waker().clone());
            if !bell.has_rung.swap(false, SeqCst) {
                continue;
            }
            let waker = Waker::from(bell.clone());
            let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(output) = polled {
                this.outputs.push(output);
                *place = None;
            }
        }
        if this.n_polls_left == 0 {
            this.bodies.clear();
        }
        if this.bodies.iter().all(Option::is_none) {
            return Poll::Ready(std::mem::take(&mut this.outputs));
        }
        this.n_polls_left -= 1;
        Poll::Pending
    }
}

/// Runs the program of a seed, and looks whether it kept the laws.
fn check(builder: rt::Builder, seed: u64) {
    let part = Random(seed).part(3 + (seed % 4) as u32);
    let shown = format!("{part:?}");
    let runtime = builder
        .virtual_time(true)
        .grace(ms(100_000))
        .on_unhandled(|_| {})
        .build()
        .unwrap();
    let world = World::new();
    let laws = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let run = world.run(part);
        runtime.block_on(async {
            match rt::spawn(run).await {
                Err(error) if error.is_panic() => {
                    let payload = error.into_panic().into_inner();
                    assert!(payload.is::<Planned>(), "an unplanned panic");
                }
                _ => {}
            }
            // What runs on by itself.
            rt::sleep(ms(10_000)).await;
            rt::test::quiescent().await;
        });
        let n_left = world.root.n_live.load(SeqCst);
        assert_eq!(n_left, 0, "something is left");
        assert_eq!(runtime.metrics().n_live, 0, "a task is left");
        assert_eq!(world.n_cleaned.get(), world.n_registered.get(), "cleanup");
        assert_eq!(world.n_dropped.get(), world.n_made.get(), "values");
    }));
    if let Err(payload) = laws {
        eprintln!("the program of seed {seed}: {shown}");
        resume_unwind(payload);
    }
}

/// Runs the programs of so many seeds, a few at a time, so that one that hangs is found.
fn check_all(n_seeds: u64, builder: fn(u64) -> rt::Builder) {
    for first in (0..n_seeds).step_by(250) {
        must_end(&format!("from seed {first}"), move || {
            (first..first + 250).for_each(|seed| check(builder(seed), seed));
        });
    }
}

#[test]
fn random_programs_keep_the_laws_in_random_orders() {
    check_all(RUNS, |seed| rt::Builder::new().workers(3).chaos(seed));
}

#[test]
fn random_programs_keep_the_laws_on_threads() {
    check_all(RUNS / 4, |seed| {
        support::builder(support::SIZES[seed as usize % support::SIZES.len()])
    });
}

/// Runs the program of a seed for a while, and then drops its runtime: every value is dropped, and nothing hangs.
fn interrupt(builder: rt::Builder, seed: u64) {
    let mut random = Random(seed);
    let (part, time) = (random.part(3 + (seed % 3) as u32), random.below(12));
    let grace = [0, 3, 1_000][random.below(3) as usize];
    let runtime = builder
        .virtual_time(true)
        .grace(ms(grace))
        .on_unhandled(|_| {})
        .build()
        .unwrap();
    let world = World::new();
    runtime.spawn(world.run(part));
    runtime.block_on(rt::sleep(ms(time)));
    drop(runtime);
    let n_left = world.n_made.get() - world.n_dropped.get();
    assert_eq!(n_left, 0, "values are left after the end, with seed {seed}");
    assert_eq!(world.root.n_live.load(SeqCst), 0, "seed {seed}");
}

#[test]
fn random_programs_end_with_their_runtime() {
    for first in (0..RUNS / 2).step_by(250) {
        must_end(&format!("from seed {first}"), move || {
            for seed in first..first + 250 {
                interrupt(rt::Builder::new().workers(3).chaos(seed), seed);
                let n_workers = support::SIZES[seed as usize % support::SIZES.len()];
                interrupt(support::builder(n_workers), seed);
            }
        });
    }
}
