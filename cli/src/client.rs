//! One question, one answer: speaking to the socket of a process.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::find::{Existence, existence, sockets_of};
use crate::model::{Refusal, Refused};

/// The version of the protocol that is spoken here.
const VERSION: u32 = 1;

/// How long a process may be silent. It answers from a thread of its own, so it is only that slow if it is stopped, or the
/// machine is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Process,
    Dump,
    Tree,
    Deadlocks,
}

impl Question {
    fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Dump => "dump",
            Self::Tree => "tree",
            Self::Deadlocks => "deadlocks",
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    NoProcess(u32),
    NotOn(u32),
    OtherUser(u32, Option<u32>),
    /// The program speaks this version.
    Version(u32, u32),
    Refused(u32, Refusal),
    Silent(u32),
    /// It ended, or broke off.
    BrokenOff(u32),
    Unreadable(u32, serde_json::Error),
    Socket(PathBuf, io::Error),
    Terminal(io::Error),
    Print(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess(id) => write!(
                f,
                "there is no process {id}; `rt ps` lists those that can be inspected"
            ),
            Self::NotOn(id) => write!(
                f,
                "process {id} cannot be inspected: it does not run on rt, or this is not turned on. Start it with RT_INSPECT=1 \
                 in its environment, or build its runtime with Builder::inspect(true)"
            ),
            Self::OtherUser(id, Some(user)) => write!(
                f,
                "process {id} runs as another user, and only that one may inspect it: sudo -u '#{user}' rt …"
            ),
            Self::OtherUser(id, None) => {
                write!(
                    f,
                    "process {id} runs as another user, and only that one may inspect it"
                )
            }
            Self::Version(id, theirs) => write!(
                f,
                "process {id} speaks version {theirs} of the protocol, and this command version {VERSION}: use the `rt` of \
                 the same release as the program"
            ),
            Self::Refused(id, refusal) => write!(f, "process {id} refuses: {}", refusal.message),
            Self::Silent(id) => write!(
                f,
                "process {id} does not answer within {} s; is it stopped (kill -CONT {id}), or in a debugger?",
                PATIENCE.as_secs()
            ),
            Self::BrokenOff(id) => write!(f, "process {id} has ended, or broke off its answer"),
            Self::Unreadable(id, error) => {
                write!(f, "cannot read the answer of process {id}: {error}")
            }
            Self::Socket(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Terminal(error) => write!(f, "the live view needs a terminal: {error}"),
            Self::Print(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// What a process answered: a line of JSON.
pub(crate) struct Answer {
    id: u32,
    pub(crate) line: String,
}

impl Answer {
    /// Reads it.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.line).map_err(|error| Error::Unreadable(self.id, error))
    }
}

/// Asks a process.
pub(crate) fn ask(id: u32, question: Question) -> Result<Answer, Error> {
    let mut locked = None;
    for socket in sockets_of(id) {
        match ask_at(id, &socket, question) {
            Ok(None) => {}
            Ok(Some(answer)) => return Ok(answer),
            Err(Error::Socket(path, error)) if error.kind() == ErrorKind::PermissionDenied => {
                locked = Some(Error::Socket(path, error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(match existence(id) {
        Existence::None => Error::NoProcess(id),
        Existence::Ours => locked.unwrap_or(Error::NotOn(id)),
        Existence::Theirs(user) => Error::OtherUser(id, user),
    })
}

/// Asks at a socket; none if there is no socket or nobody listens.
pub(crate) fn ask_at(id: u32, socket: &Path, question: Question) -> Result<Option<Answer>, Error> {
    match UnixStream::connect(socket) {
        Ok(stream) => speak(id, &stream, question).map(Some),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {
                Ok(None)
            }
            _ => Err(Error::Socket(socket.to_owned(), error)),
        },
    }
}

fn speak(id: u32, stream: &UnixStream, question: Question) -> Result<Answer, Error> {
    let line = converse(stream, question).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Silent(id),
        _ => Error::BrokenOff(id),
    })?;
    if !line.ends_with('\n') {
        return Err(Error::BrokenOff(id));
    }
    let answer = Answer { id, line };
    let Refused { version, error } = answer.read()?;
    if version != VERSION {
        return Err(Error::Version(id, version));
    }
    match error {
        None => Ok(answer),
        Some(refusal) if refusal.kind == "user" => Err(match existence(id) {
            Existence::Theirs(user) => Error::OtherUser(id, user),
            _ => Error::OtherUser(id, None),
        }),
        Some(refusal) => Err(Error::Refused(id, refusal)),
    }
}

fn converse(mut stream: &UnixStream, question: Question) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = serde_json::json!({ "version": VERSION, "request": question.as_str() });
    // Whoever is refused at the door cannot be written to, but has an answer waiting.
    let written = stream.write_all(format!("{request}\n").as_bytes());
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    match line.is_empty() {
        true => written.and(read).map(|_| line),
        false => read.map(|_| line),
    }
}
