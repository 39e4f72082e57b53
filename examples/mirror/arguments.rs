//! The command line: what is to be done, and with which settings.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

use super::problem::Problem;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Mirrors a directory tree over HTTP, with real connections on the rt runtime.

Usage:
  mirror                          mirrors the project's docs/ into a temporary folder and verifies it
  mirror <dir> <out> [options]    serves <dir> and mirrors it into <out>, in one process
  mirror --serve <dir> [options]  serves <dir> until Ctrl-C
  mirror --fetch <url> <out>      mirrors the directory listings below <url> into <out>

Options:
  --workers N        worker threads (default: one per core)
  --fetchers N       files that are in hand at a time (default: 16)
  --connections N    connections that are open at a time (default: 8)
  --timeout SECONDS  longest wait for a server that sends nothing (default: 10)
  --retries N        further attempts after one that failed (default: 8)
  --faults P[,SEED]  the server spoils P percent of its answers: slow, 500, cut or corrupted
  --seed N           seed of the faults (default: 1)
  --listen ADDRESS   where --serve listens (default: 127.0.0.1:8080)
  --verify           compares both trees byte by byte afterwards (only with <dir> and <out>)
  --help             this text

Exit status: 0 all is mirrored, 1 some files are not, 2 nothing could be done, 130 interrupted.
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Print the help.
    Help,
    /// Mirror the project's own documents into a temporary folder.
    Demonstrate,
    /// Serve and fetch in one process.
    Mirror { from: PathBuf, to: PathBuf },
    /// The serving half.
    Serve { from: PathBuf, address: String },
    /// The fetching half.
    Fetch { url: String, to: PathBuf },
}

/// How it is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Worker threads; one per core when `None`.
    pub(crate) workers: Option<usize>,
    /// Files in hand at a time.
    pub(crate) fetchers: usize,
    /// Connections open at a time.
    pub(crate) connections: usize,
    /// Longest wait for the next sign of life from the server.
    pub(crate) timeout: Duration,
    /// Attempts after the first.
    pub(crate) retries: u32,
    /// Percentage of answers that the server spoils.
    pub(crate) faults: u8,
    /// Seed of the faults and of the jitter between attempts.
    pub(crate) seed: u64,
    /// Compare both trees afterwards.
    pub(crate) verify: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: None,
            fetchers: 16,
            connections: 8,
            timeout: Duration::from_secs(10),
            retries: 8,
            faults: 0,
            seed: 1,
            verify: false,
        }
    }
}

/// Reads the command line, without the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Command, Settings), Problem> {
    read(lexopt::Parser::from_args(arguments))
        .map_err(|error| Problem::new(error.to_string(), "see `mirror --help`"))
}

fn read(mut parser: lexopt::Parser) -> Result<(Command, Settings), lexopt::Error> {
    let mut settings = Settings::default();
    let mut places: Vec<OsString> = Vec::new();
    let mut serve: Option<PathBuf> = None;
    let mut fetch: Option<String> = None;
    let mut listen: Option<String> = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok((Command::Help, settings)),
            Long("serve") => serve = Some(parser.value()?.into()),
            Long("fetch") => fetch = Some(parser.value()?.string()?),
            Long("listen") => listen = Some(parser.value()?.string()?),
            Long("workers") => settings.workers = Some(at_least_one("workers", &mut parser)?),
            Long("fetchers") => settings.fetchers = at_least_one("fetchers", &mut parser)?,
            Long("connections") => settings.connections = at_least_one("connections", &mut parser)?,
            Long("timeout") => settings.timeout = seconds(&parser.value()?.string()?)?,
            Long("retries") => settings.retries = number("retries", &parser.value()?.string()?)?,
            Long("seed") => settings.seed = number("seed", &parser.value()?.string()?)?,
            Long("faults") => faults(&parser.value()?.string()?, &mut settings)?,
            Long("verify") => settings.verify = true,
            Value(place) => places.push(place),
            other => return Err(other.unexpected()),
        }
    }
    if listen.is_some() && serve.is_none() {
        return Err("--listen goes with --serve".into());
    }
    let command = command(serve, fetch, listen, places)?;
    if settings.verify && !matches!(command, Command::Mirror { .. } | Command::Demonstrate) {
        return Err("--verify needs both trees: mirror <dir> <out> --verify".into());
    }
    Ok((command, settings))
}

fn command(
    serve: Option<PathBuf>,
    fetch: Option<String>,
    listen: Option<String>,
    places: Vec<OsString>,
) -> Result<Command, lexopt::Error> {
    let mut places = places.into_iter().map(PathBuf::from);
    let command = match (serve, fetch, places.next(), places.next()) {
        (None, None, None, _) => Command::Demonstrate,
        (None, None, Some(from), Some(to)) => Command::Mirror { from, to },
        (None, None, Some(_), None) => return Err("where to? give <dir> and <out>".into()),
        (Some(from), None, None, _) => Command::Serve {
            from,
            address: listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
        },
        (None, Some(url), Some(to), None) => Command::Fetch { url, to },
        (None, Some(_), None, _) => return Err("where to? give --fetch <url> <out>".into()),
        (Some(_), Some(_), ..) => return Err("--serve and --fetch are two programs".into()),
        (_, _, Some(extra), _) => return Err(format!("unexpected {extra:?}").into()),
    };
    match places.next() {
        Some(extra) => Err(format!("unexpected {extra:?}").into()),
        None => Ok(command),
    }
}

fn number<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, lexopt::Error> {
    text.parse()
        .map_err(|error| format!("--{name} {text:?}: {error}").into())
}

fn at_least_one(name: &str, parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    match number(name, &parser.value()?.string()?)? {
        0 => Err(format!("--{name} must be at least 1").into()),
        n => Ok(n),
    }
}

/// Reads seconds, fractions included.
fn seconds(text: &str) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = number("timeout", text)?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if !timeout.is_zero() => Ok(timeout),
        _ => Err(format!("--timeout {text}: give seconds, more than 0").into()),
    }
}

/// Reads `P` or `P,SEED`.
fn faults(text: &str, settings: &mut Settings) -> Result<(), lexopt::Error> {
    let (percent, seed) = match text.split_once(',') {
        Some((percent, seed)) => (percent, Some(seed)),
        None => (text, None),
    };
    settings.faults = number("faults", percent)?;
    if settings.faults > 100 {
        return Err(format!("--faults {text}: a percentage is at most 100").into());
    }
    if let Some(seed) = seed {
        settings.seed = number("faults", seed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, Settings), String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn commands_are_told_apart() {
        let command = |line| parsed(line).map(|(command, _)| command);
        assert_eq!(command(""), Ok(Command::Demonstrate));
        let (from, to) = (PathBuf::from("a"), PathBuf::from("b"));
        assert_eq!(command("a b"), Ok(Command::Mirror { from, to }));
        let (url, to) = ("http://c/".to_owned(), PathBuf::from("b"));
        assert_eq!(
            command("--fetch http://c/ b"),
            Ok(Command::Fetch { url, to })
        );
        let (from, address) = (PathBuf::from("a"), "[::1]:0".to_owned());
        assert_eq!(
            command("--serve a --listen [::1]:0"),
            Ok(Command::Serve { from, address })
        );
    }

    #[test]
    fn settings_are_read() {
        let (_, settings) = parsed("a b --faults 30,9 --timeout 0.5 --workers=2 --verify").unwrap();
        assert_eq!((settings.faults, settings.seed), (30, 9));
        assert_eq!(settings.timeout, Duration::from_millis(500));
        assert_eq!((settings.workers, settings.verify), (Some(2), true));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "a",
            "a b c",
            "--fetch http://c/",
            "--serve a b",
            "--serve a --fetch http://c/ b",
            "a b --listen :80",
            "a b --workers 0",
            "a b --faults 101",
            "a b --timeout 0",
            "a b --timeout nan",
            "a b --retries -1",
            "--serve a --verify",
            "--unknown",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
