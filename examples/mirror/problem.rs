//! What can go wrong, said so that the user knows what to do.

use std::error::Error;
use std::fmt;
use std::io;

/// A reason to stop: what happened and where, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    advice: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem {
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// A problem with something on this machine.
    pub(crate) fn with(doing: &str, place: impl fmt::Display, error: &io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check who owns it and its permissions",
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                "move what is there away, or choose another place"
            }
            io::ErrorKind::AddrInUse => "choose another with --listen, or port 0 for any free one",
            io::ErrorKind::AddrNotAvailable => "--listen needs an address of this machine",
            io::ErrorKind::ConnectionRefused => "is the server running, and is that its port?",
            _ if is_full(error) => "free some space, then run the same command again",
            _ => "mend that, then run the same command again",
        };
        Problem::new(format!("cannot {doing} {place}: {error}"), advice)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.what, self.advice)
    }
}

impl Error for Problem {}

/// Whether no further file can be written either.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Why an attempt to fetch something failed, by what is to be done about it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another attempt may succeed.
    Passing(String),
    /// It will fail again; the other files may still succeed.
    Lasting(String),
    /// Everything else will fail too.
    Fatal(Problem),
}

impl Trouble {
    /// An error while something was written.
    pub(crate) fn writing(place: impl fmt::Display, error: &io::Error) -> Self {
        match is_full(error) {
            true => Trouble::Fatal(Problem::with("write", place, error)),
            false => Trouble::Lasting(format!("cannot write {place}: {error}")),
        }
    }

    /// An error of a connection, with all its causes.
    pub(crate) fn passing(doing: &str, error: &dyn Error) -> Self {
        let mut text = format!("{doing}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Trouble::Passing(text)
    }
}
