//! The report of a poll that takes long.

use std::fmt;
use std::time::Duration;

use super::Polled;

/// A poll that took, or takes, longer than it should.
#[derive(Debug)]
pub(crate) struct SlowPoll {
    pub(crate) what: Polled,
    pub(crate) lasted: Duration,
    pub(crate) told: Told,
}

/// What is told about it.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is under way.
    Lasts {
        /// Whether its thread waits in the system; none if nobody knows.
        is_blocked: Option<bool>,
        stack: Stack,
    },
    /// Where it was when that was told.
    Where(Vec<String>),
    /// It is over.
    Over,
}

/// The stack of the thread, from the innermost call to the poll.
#[derive(Debug)]
pub(crate) enum Stack {
    Known(Vec<String>),
    Unknown(&'static str),
    /// Its names are yet to be found, which takes a while for the first time: a report of its own.
    Follows,
}

/// Whole milliseconds, or tenths of seconds: nobody needs more.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

impl fmt::Display for Polled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => {
                write!(f, "task {} spawned at {}", task.label(), task.spawned_at)
            }
            Self::BlockOn(place) => write!(f, "the future of block_on at {place}"),
        }
    }
}

impl fmt::Display for SlowPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, lasted) = (&self.what, Rounded(self.lasted));
        match &self.told {
            Told::Lasts { is_blocked, stack } => {
                let how = match is_blocked {
                    Some(true) => "blocks",
                    Some(false) => "computes on",
                    None => "keeps",
                };
                write!(
                    f,
                    "{what} {how} its thread, since {lasted} without an .await"
                )?;
                match stack {
                    Stack::Known(frames) => write_frames(f, frames),
                    Stack::Unknown(why) => write!(f, " (no stack: {why})"),
                    Stack::Follows => Ok(()),
                }
            }
            Told::Where(frames) => {
                write!(f, "{what} was here after {lasted} without an .await:")?;
                write_frames(f, frames)
            }
            Told::Over => write!(
                f,
                "{what} kept its thread for {lasted} without an .await: what blocks belongs into \
                 rt::spawn_blocking or rt::block_in_place, what computes into rt::spawn_compute"
            ),
        }
    }
}

fn write_frames(f: &mut fmt::Formatter<'_>, frames: &[String]) -> fmt::Result {
    frames.iter().try_for_each(|frame| write!(f, "\n  {frame}"))
}
