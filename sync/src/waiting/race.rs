//! `race`, `race_ok`, `race_staggered`: several futures in the calling task, of which one wins.
//!
//! Each racer is a scope with a bell of its own. Once one has won, the bodies of the others are dropped, and the
//! race is over when the cleanup of them all is through.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rt_tasks_runtime::wait::{self, WaitKind};
use rt_tasks_runtime::{BodyEnd, Panic, ScopeEnd, ScopedBody, Sleep, sleep};

use super::ready_list::ReadyList;

/// Runs futures at once, in this task, and gives the output of the one that is ready first.
///
/// They may borrow what is around them. The losers are dropped where they are suspended, and the cleanup that they
/// registered is awaited before the race is over. If several are ready at the first poll the first of the input
/// wins.
///
/// # Cancel safety
///
/// Dropping it drops the racers, and the scope around awaits their cleanup. Whether a loser loses anything is up
/// to the loser.
///
/// # Panics
///
/// At the caller's line without any future: nobody could win. A panic of a racer is raised again once the
/// cleanup of all is through.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use std::time::Duration;
/// # runtime::block_on(async {
/// let delays = [50, 1, 60];
/// let first = rt::race(delays.iter().map(|&delay| async move {
///     runtime::sleep(Duration::from_millis(delay)).await;
///     delay
/// }))
/// .await;
/// assert_eq!(first, 1);
/// # });
/// ```
#[track_caller]
pub fn race<I>(futures: I) -> Race<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let racers = Racers::new(futures, |_| true, Location::caller());
    assert!(
        !racers.bodies.is_empty(),
        "rt::race without a future would never end"
    );
    Race {
        racers,
        has_started: false,
    }
}

/// Runs futures at once, in this task, and gives the first success, or every error if none succeeds (JavaScript's
/// `Promise.any`).
///
/// They may borrow what is around them. The losers are dropped, and their cleanup is awaited. The errors are in
/// the order of the input. Without any future the result is `Err(vec![])`.
///
/// # Cancel safety
///
/// As [`race`].
///
/// # Errors
///
/// Those of all futures, if none succeeds.
///
/// # Panics
///
/// A panic of a racer is raised again once the cleanup of all is through.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let texts = ["x", "7", ""];
/// let number = rt::race_ok(texts.iter().map(|text| async { text.parse::<u32>() })).await;
/// assert_eq!(number, Ok(7));
/// # });
/// ```
#[track_caller]
#[doc(alias = "any")]
pub fn race_ok<I, T, E>(futures: I) -> RaceOk<I::Item>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>>>,
{
    let racers = Racers::new(futures, Result::is_ok, Location::caller());
    RaceOk::new(racers, None)
}

/// Like [`race_ok`], but the futures start one after the other: the next one when `delay` has passed since the
/// last start, or at once when all that were started have failed ("happy eyeballs", RFC 8305).
///
/// # Cancel safety
///
/// As [`race`].
///
/// # Errors
///
/// Those of all futures, if none succeeds.
///
/// # Panics
///
/// As [`race_ok`]; and when it has to wait outside a runtime, where there is no clock.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use std::time::Duration;
/// # runtime::block_on(async {
/// let addresses = [None, Some("second"), Some("third")];
/// let connected = rt::race_staggered(
///     addresses.iter().map(|address| async move { address.ok_or("refused") }),
///     Duration::from_secs(60),
/// );
/// assert_eq!(connected.await, Ok("second"));
/// # });
/// ```
#[track_caller]
#[doc(alias = "staggered_race")]
pub fn race_staggered<I, T, E>(futures: I, delay: Duration) -> RaceOk<I::Item>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>>>,
{
    let racers = Racers::new(futures, Result::is_ok, Location::caller());
    RaceOk::new(racers, Some(delay))
}

/// The futures of a race.
///
/// A racer that wins decides the race as soon as its body gave the output. Then the bodies of the others are
/// dropped, and `output` is given out when every racer's cleanup is through.
struct Racers<F: Future> {
    /// Each stays, pinned, until its cleanup is through.
    bodies: Vec<Option<Racer<F>>>,
    n_left: usize,
    /// What they gave if it does not win.
    failed: Vec<Option<F::Output>>,
    wins: fn(&F::Output) -> bool,
    winner: Option<usize>,
    output: Option<Result<F::Output, Panic>>,
    ready: Arc<ReadyList>,
}

struct Racer<F: Future> {
    body: Pin<Box<ScopedBody<F>>>,
    bell: Waker,
}

// What is pinned is on the heap.
impl<F: Future> Unpin for Racers<F> {}

impl<F: Future> Racers<F> {
    fn new(
        futures: impl IntoIterator<Item = F>,
        wins: fn(&F::Output) -> bool,
        at: &'static Location<'static>,
    ) -> Self {
        let ready: Arc<ReadyList> = Arc::default();
        let racers = (0..).zip(futures).map(|(index, future)| {
            Some(Racer {
                body: Box::pin(ScopedBody::new(future, at)),
                bell: ready.bell(index),
            })
        });
        let bodies: Vec<_> = racers.collect();
        Self {
            n_left: bodies.len(),
            failed: bodies.iter().map(|_| None).collect(),
            bodies,
            wins,
            winner: None,
            output: None,
            ready,
        }
    }

    fn is_decided(&self) -> bool {
        self.winner.is_some()
    }

    /// Polls one racer; its end, once its cleanup is through.
    fn poll_racer(&mut self, index: usize) -> Option<BodyEnd<F::Output>> {
        let racer = self.bodies[index].as_mut()?;
        let cx = &mut Context::from_waker(&racer.bell);
        let Poll::Ready(end) = racer.body.as_mut().poll_end(cx) else {
            if !self.is_decided() && self.has_won(index) {
                self.decide(index);
            }
            return None;
        };
        self.bodies[index] = None;
        self.n_left -= 1;
        Some(end)
    }

    /// Whether a racer that is not through ended in a way that decides the race: only its cleanup is left.
    fn has_won(&self, index: usize) -> bool {
        self.bodies[index]
            .as_ref()
            .is_some_and(|racer| racer.body.has_ended() && racer.body.value().is_none_or(self.wins))
    }

    /// Looks at one racer that wants it.
    fn look(&mut self, index: usize) {
        match self.poll_racer(index) {
            Some(Ok(ScopeEnd::Value(output))) if !self.is_decided() && !(self.wins)(&output) => {
                self.failed[index] = Some(output);
            }
            Some(Ok(ScopeEnd::Value(output)))
                if self.winner.is_none_or(|winner| winner == index) =>
            {
                self.output.get_or_insert(Ok(output));
                self.decide(index);
            }
            // A panic is raised, whosever it is.
            Some(Err(panic)) if !matches!(self.output, Some(Err(_))) => {
                self.output = Some(Err(panic));
                self.decide(index);
            }
            _ => {}
        }
    }

    /// Drops the bodies of the losers, and starts their cleanup.
    fn decide(&mut self, winner: usize) {
        if self.is_decided() {
            return;
        }
        self.winner = Some(winner);
        for loser in (0..self.bodies.len()).filter(|&index| index != winner) {
            if let Some(racer) = self.bodies[loser].as_mut() {
                racer.body.as_mut().drop_body();
                self.look(loser);
            }
        }
    }

    /// Looks at those that rang.
    fn look_at_ready(&mut self, cx: &Context<'_>) {
        for _ in 0..self.ready.watch(cx) {
            let Some(index) = self.ready.pop() else { break };
            self.look(index);
        }
    }

    /// The output of the winner, once everybody is through.
    fn poll_output(&mut self) -> Poll<F::Output> {
        if self.n_left > 0 {
            wait::goes_on(WaitKind::Parts, 0);
            return Poll::Pending;
        }
        match self.output.take() {
            Some(Ok(output)) => Poll::Ready(output),
            Some(Err(panic)) => panic.resume(),
            None => panic!("a race was polled after it was over"),
        }
    }
}

/// The future of [`race`].
#[must_use = "futures do nothing unless awaited"]
pub struct Race<F: Future> {
    racers: Racers<F>,
    has_started: bool,
}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.racers.look_at_ready(cx);
        if !std::mem::replace(&mut this.has_started, true) {
            for index in 0..this.racers.bodies.len() {
                if !this.racers.is_decided() {
                    this.racers.look(index);
                }
            }
        }
        this.racers.poll_output()
    }
}

impl<F: Future> fmt::Debug for Race<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("n_left", &self.racers.n_left)
            .field("winner", &self.racers.winner)
            .finish_non_exhaustive()
    }
}

/// The future of [`race_ok`] and [`race_staggered`].
#[must_use = "futures do nothing unless awaited"]
pub struct RaceOk<F: Future> {
    racers: Racers<F>,
    n_started: usize,
    /// What lies between two starts.
    delay: Option<Duration>,
    sleep: Option<Sleep>,
}

impl<F: Future> RaceOk<F> {
    fn new(racers: Racers<F>, delay: Option<Duration>) -> Self {
        Self {
            racers,
            n_started: 0,
            delay,
            sleep: None,
        }
    }

    /// Starts those whose time has come.
    fn start(&mut self, cx: &mut Context<'_>) {
        let n_racers = self.racers.bodies.len();
        while self.n_started < n_racers && !self.racers.is_decided() {
            let n_running = self.racers.n_left - (n_racers - self.n_started);
            if let Some(sleep) = self.sleep.as_mut().filter(|_| n_running > 0) {
                if Pin::new(sleep).poll(cx).is_pending() {
                    return;
                }
            }
            self.sleep = self.delay.map(sleep);
            self.n_started += 1;
            self.racers.look(self.n_started - 1);
        }
        self.sleep = None;
    }
}

impl<F, T, E> Future for RaceOk<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Vec<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.racers.look_at_ready(cx);
        this.start(cx);
        let racers = &mut this.racers;
        if racers.n_left == 0 && !racers.is_decided() {
            let failed = racers.failed.drain(..).flatten();
            return Poll::Ready(Err(failed.filter_map(Result::err).collect()));
        }
        racers.poll_output().map(|output| match output {
            Ok(value) => Ok(value),
            Err(_) => unreachable!("an error does not win"),
        })
    }
}

impl<F: Future> fmt::Debug for RaceOk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaceOk")
            .field("n_started", &self.n_started)
            .field("n_left", &self.racers.n_left)
            .field("winner", &self.racers.winner)
            .finish_non_exhaustive()
    }
}
