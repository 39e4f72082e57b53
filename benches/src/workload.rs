//! What a workload is, and how one is run on a runtime chosen while the program runs.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use crate::peer::Ours;
use crate::peer::{Peer, Smol, Tokio};

/// How often a workload repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scale {
    /// Long enough to be timed.
    Full,
    /// A tenth of that: enough to count instructions.
    Tenth,
    /// A hundredth of it: enough to see that the result is right.
    Smoke,
}

impl Scale {
    /// So many repetitions at this scale, where a full run takes `full`.
    pub fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Tenth => full.div_ceil(10),
            Self::Smoke => full.div_ceil(100),
        }
    }

    /// The name on the command line.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Tenth => "tenth",
            Self::Smoke => "smoke",
        }
    }
}

/// What one run of a workload took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The time of all operations together.
    pub elapsed: Duration,
    /// How many there were.
    pub operations: u64,
}

impl Sample {
    /// Nanoseconds for one operation.
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_secs_f64() * 1e9 / self.operations as f64
    }
}

/// Work that is done in the same way on every runtime.
pub trait Workload: 'static {
    /// Does it once and says how long it took; panics when the outcome is wrong.
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample;
}

/// Runs `body` as a task and takes the time inside it, so that the way in and out does not count.
pub(crate) fn timed_in_task<P, F>(peer: &P, operations: u64, body: F) -> Sample
where
    P: Peer,
    F: Future<Output = ()> + Send + 'static,
{
    peer.block_on(async { P::spawn(timed(operations, body)).await })
}

/// Takes the time of `body`.
pub(crate) async fn timed<F: Future<Output = ()>>(operations: u64, body: F) -> Sample {
    let begin = Instant::now();
    body.await;
    Sample {
        elapsed: begin.elapsed(),
        operations,
    }
}

/// A workload from which its type is gone.
type Run = Box<dyn Fn(&AnyPeer, Scale) -> Sample>;

/// A named workload.
pub struct Case {
    /// What `--only` selects.
    pub name: &'static str,
    /// What is counted as one operation.
    pub operation: &'static str,
    run: Run,
}

impl Case {
    pub(crate) fn new(
        name: &'static str,
        operation: &'static str,
        workload: impl Workload,
    ) -> Self {
        let run = Box::new(move |peer: &AnyPeer, scale| {
            peer.visit(Timing {
                workload: &workload,
                scale,
            })
        });
        Self {
            name,
            operation,
            run,
        }
    }

    /// Runs it once.
    ///
    /// # Panics
    ///
    /// When the outcome is wrong.
    pub fn run(&self, peer: &AnyPeer, scale: Scale) -> Sample {
        (self.run)(peer, scale)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

/// Which runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PeerKind {
    /// The runtime of this workspace.
    Rt,
    /// Tokio's multi-thread runtime.
    Tokio,
    /// smol's executor on threads of its own.
    Smol,
}

impl PeerKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Rt, Self::Tokio, Self::Smol];

    /// The one the others are compared with.
    pub const BASE: Self = Self::Tokio;

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rt => Ours::NAME,
            Self::Tokio => Tokio::NAME,
            Self::Smol => Smol::NAME,
        }
    }

    /// The name on the command line.
    pub fn argument(self) -> String {
        self.name().to_lowercase()
    }
}

/// A started runtime, chosen while the program runs.
#[derive(Debug)]
pub enum AnyPeer {
    /// The runtime of this workspace.
    Rt(Ours),
    /// Tokio's multi-thread runtime.
    Tokio(Tokio),
    /// smol's executor on threads of its own.
    Smol(Smol),
}

impl AnyPeer {
    /// Starts it with `workers` threads.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread or a poller.
    pub fn start(kind: PeerKind, workers: usize) -> io::Result<Self> {
        Ok(match kind {
            PeerKind::Rt => Self::Rt(Peer::start(workers)?),
            PeerKind::Tokio => Self::Tokio(Peer::start(workers)?),
            PeerKind::Smol => Self::Smol(Peer::start(workers)?),
        })
    }

    pub(crate) fn visit<V: Visit>(&self, visitor: V) -> V::Output {
        match self {
            Self::Rt(peer) => visitor.visit(peer),
            Self::Tokio(peer) => visitor.visit(peer),
            Self::Smol(peer) => visitor.visit(peer),
        }
    }
}

/// Something to do with a runtime whose type is not known.
pub(crate) trait Visit {
    type Output;

    fn visit<P: Peer>(self, peer: &P) -> Self::Output;
}

struct Timing<'a, W> {
    workload: &'a W,
    scale: Scale,
}

impl<W: Workload> Visit for Timing<'_, W> {
    type Output = Sample;

    fn visit<P: Peer>(self, peer: &P) -> Sample {
        self.workload.run(peer, self.scale)
    }
}
