//! System errors together with what they are about.

use std::error::Error;
use std::fmt;
use std::io;

/// Says what could not be done, and why; the kind of `error` is kept.
#[cold]
pub(crate) fn cannot(what: impl fmt::Display, error: io::Error) -> io::Error {
    let kind = error.kind();
    io::Error::new(
        kind,
        Cannot {
            what: what.to_string(),
            error,
        },
    )
}

/// `cannot <what>: <error>`.
///
/// An `io::Error` displays no more than what it wraps, so the system's text is part of this one. The system's error is its
/// `source` nevertheless: only there is its number, which tells apart what has no kind of its own.
#[derive(Debug)]
struct Cannot {
    what: String,
    error: io::Error,
}

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.error)
    }
}

impl Error for Cannot {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}
