//! What is in the answers. Fields that are not known here are passed over: a newer program may tell more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What each answer has, whatever was asked.
#[derive(Deserialize)]
pub(crate) struct Answered<R> {
    pub(crate) process: u32,
    pub(crate) program: String,
    /// One for each runtime of the process.
    pub(crate) runtimes: Vec<R>,
}

/// An answer that is none.
#[derive(Deserialize)]
pub(crate) struct Refused {
    pub(crate) version: u32,
    pub(crate) error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) message: String,
}

pub(crate) type Processes = Answered<RuntimeOutline>;
pub(crate) type Dumps = Answered<Picture>;
pub(crate) type Trees = Answered<Tree>;
pub(crate) type Deadlocks = Answered<Circles>;

/// A runtime in the list of processes.
#[derive(Serialize, Deserialize)]
pub(crate) struct RuntimeOutline {
    pub(crate) runtime: String,
    pub(crate) workers: usize,
    pub(crate) tasks: u64,
    #[serde(with = "seconds")]
    pub(crate) uptime: Duration,
}

#[derive(Deserialize)]
pub(crate) struct Tree {
    pub(crate) tree: String,
}

#[derive(Deserialize)]
pub(crate) struct Circles {
    pub(crate) deadlocks: Vec<Deadlock>,
}

/// Tasks that wait for one another, as sentences.
#[derive(Deserialize)]
pub(crate) struct Deadlock {
    pub(crate) text: String,
}

impl Deadlocks {
    /// Whether no task waits for itself in the end.
    pub(crate) fn is_none(&self) -> bool {
        self.runtimes.iter().all(|found| found.deadlocks.is_empty())
    }
}

/// A runtime with all its tasks.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Picture {
    /// In debug mode it is measured how long tasks are busy.
    #[serde(default)]
    pub(crate) debug: bool,
    pub(crate) dump: Dump,
    pub(crate) metrics: Metrics,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dump {
    pub(crate) runtime: String,
    pub(crate) workers: usize,
    #[serde(with = "seconds")]
    pub(crate) uptime: Duration,
    pub(crate) tasks: Vec<Task>,
    pub(crate) callers: Vec<Caller>,
    /// The numbers of those who wait for one another.
    pub(crate) cycles: Vec<Vec<u64>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) name: Option<String>,
    pub(crate) spawned_at: String,
    /// `ready`, `running` or `waiting`, and what a newer program may have beside.
    pub(crate) state: String,
    pub(crate) waiting_on: Option<Waiting>,
    pub(crate) polls: u64,
    #[serde(with = "seconds")]
    pub(crate) busy: Duration,
    #[serde(with = "seconds")]
    pub(crate) age: Duration,
}

/// A call of `block_on`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Caller {
    pub(crate) id: u64,
    pub(crate) called_at: String,
    pub(crate) thread: Option<String>,
    pub(crate) running: bool,
    pub(crate) waiting_on: Option<Waiting>,
}

impl Caller {
    /// What stands where tasks have their name.
    pub(crate) fn name(&self) -> String {
        match &self.thread {
            Some(thread) => format!("block_on ({thread})"),
            None => "block_on".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) kind: String,
    #[serde(rename = "for", with = "some_seconds")]
    pub(crate) for_long: Option<Duration>,
    #[serde(with = "some_seconds")]
    pub(crate) due_in: Option<Duration>,
    /// Who is awaited, or has the lock.
    pub(crate) on: Option<u64>,
    /// Everyone who has a part of it, where several can.
    #[serde(default)]
    pub(crate) holders: Vec<u64>,
    /// Who has to be served before.
    #[serde(default)]
    pub(crate) behind: Option<u64>,
    /// How many other things are waited for at the same time.
    pub(crate) others: u8,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Metrics {
    pub(crate) n_spawned: u64,
    pub(crate) n_live: u64,
    pub(crate) n_polls: u64,
    pub(crate) workers: Vec<Worker>,
    pub(crate) n_rescues: u64,
    pub(crate) n_spares: usize,
    pub(crate) n_blocking: usize,
    pub(crate) n_blocking_queued: usize,
    pub(crate) n_blocking_threads: usize,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) n_polls: u64,
}

/// Durations are seconds with a fraction.
mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(from)?;
        Duration::try_from_secs_f64(seconds).map_err(Error::custom)
    }
}

/// The same where there may be none.
mod some_seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        let durations = seconds.map(Duration::try_from_secs_f64);
        durations.transpose().map_err(Error::custom)
    }
}
