//! Requests and answers: a line of JSON each. They are described in `docs/src/inspecting.md`.
//!
//! An answer may get fields that older clients do not know; whatever they know keeps its meaning as long as the version
//! stays.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tinyjson::JsonValue;

use super::endpoint;
use crate::dump::whole_cycle;
use crate::json::{list, object};
use crate::metrics::{Metrics, WorkerMetrics};
use crate::runtime::Handle;

/// The version of what is spoken here.
const VERSION: u32 = 1;

/// What can be asked.
#[derive(Clone, Copy)]
enum Request {
    /// Which process this is and which runtimes it has.
    Process,
    /// Every task, and the numbers.
    Dump,
    /// The same as a tree, to be read by people.
    Tree,
    /// The tasks that wait for one another.
    Deadlocks,
}

/// Why there is no answer.
pub(super) enum Refusal {
    /// It is not a request.
    Malformed(&'static str),
    /// Another version of the protocol is spoken.
    Version,
    /// Nothing of that name can be asked.
    Unknown,
    /// Too many ask at the same time.
    Busy,
    /// Another user asks.
    User,
}

impl Refusal {
    fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Version => "version",
            Self::Unknown => "unknown",
            Self::Busy => "busy",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(
                f,
                "a request is a line such as {{\"version\":{VERSION},\"request\":\"tree\"}}: {why}"
            ),
            Self::Version => write!(f, "this program speaks version {VERSION}"),
            Self::Unknown => {
                f.write_str("the requests are \"process\", \"dump\", \"tree\" and \"deadlocks\"")
            }
            Self::Busy => f.write_str("too many ask at the same time; try again"),
            Self::User => f.write_str("only the user that the program runs as may ask"),
        }
    }
}

/// The answer to a line.
pub(super) fn answer(line: &[u8]) -> String {
    match parse(line) {
        Ok(request) => reply(request),
        Err(refusal) => refuse(refusal),
    }
}

fn parse(line: &[u8]) -> Result<Request, Refusal> {
    use Refusal::{Malformed, Unknown, Version};
    let line = std::str::from_utf8(line).map_err(|_| Malformed("this is not UTF-8"))?;
    let value: JsonValue = line
        .parse()
        .map_err(|_| Malformed("this is not JSON, or too long"))?;
    let JsonValue::Object(fields) = value else {
        return Err(Malformed("this is not an object"));
    };
    match fields.get("version") {
        Some(JsonValue::Number(version)) if *version == f64::from(VERSION) => {}
        Some(JsonValue::Number(_)) => return Err(Version),
        _ => return Err(Malformed("it has no \"version\" with a number")),
    }
    let Some(JsonValue::String(request)) = fields.get("request") else {
        return Err(Malformed("it has no \"request\" with a text"));
    };
    match request.as_str() {
        "process" => Ok(Request::Process),
        "dump" => Ok(Request::Dump),
        "tree" => Ok(Request::Tree),
        "deadlocks" => Ok(Request::Deadlocks),
        _ => Err(Unknown),
    }
}

/// The line that says no.
pub(super) fn refuse(refusal: Refusal) -> String {
    let mut out = String::new();
    object(&mut out, |out| {
        out.plain("version", VERSION);
        out.field("error", |out| {
            object(out, |out| {
                out.text("kind", refusal.kind());
                out.text("message", &refusal);
            });
        });
    });
    out.push('\n');
    out
}

fn reply(request: Request) -> String {
    let shared = endpoint::runtimes().into_iter();
    let runtimes: Vec<Handle> = shared.map(|shared| Handle { shared }).collect();
    let mut out = String::new();
    object(&mut out, |out| {
        out.plain("version", VERSION);
        out.plain("process", std::process::id());
        out.text("program", program());
        out.field("runtimes", |out| {
            list(out, &runtimes, |out, runtime| match request {
                Request::Process => process(out, runtime),
                Request::Dump => dump(out, runtime),
                Request::Tree => tree(out, runtime),
                Request::Deadlocks => deadlocks(out, runtime),
            });
        });
    });
    out.push('\n');
    out
}

/// What the program was called by.
fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn process(out: &mut String, runtime: &Handle) {
    let numbers = runtime.metrics();
    let uptime = Duration::from_nanos(runtime.shared.clock.now());
    object(out, |out| {
        out.text("runtime", &runtime.shared.config.name);
        out.plain("workers", numbers.n_workers);
        out.plain("tasks", numbers.n_live);
        out.plain("uptime", uptime.as_secs_f64());
    });
}

fn dump(out: &mut String, runtime: &Handle) {
    object(out, |out| {
        out.plain("debug", runtime.shared.config.debug);
        out.field("dump", |out| out.push_str(&runtime.dump().to_json()));
        out.field("metrics", |out| metrics(out, &runtime.metrics()));
    });
}

fn tree(out: &mut String, runtime: &Handle) {
    object(out, |out| out.text("tree", runtime.dump()));
}

fn deadlocks(out: &mut String, runtime: &Handle) {
    let cycles = runtime.dump().cycles();
    object(out, |out| {
        out.text("runtime", &runtime.shared.config.name);
        out.field("deadlocks", |out| list(out, &cycles, whole_cycle));
    });
}

fn metrics(out: &mut String, metrics: &Metrics) {
    object(out, |out| {
        out.plain("n_spawned", metrics.n_spawned);
        out.plain("n_live", metrics.n_live);
        out.plain("n_polls", metrics.n_polls);
        out.field("workers", |out| list(out, &metrics.workers, worker));
        out.plain("n_injected", metrics.n_injected);
        out.plain("n_rescues", metrics.n_rescues);
        out.plain("n_spares", metrics.n_spares);
        out.plain("n_blocking", metrics.n_blocking);
        out.plain("n_blocking_queued", metrics.n_blocking_queued);
        out.plain("n_blocking_threads", metrics.n_blocking_threads);
    });
}

fn worker(out: &mut String, worker: &WorkerMetrics) {
    object(out, |out| {
        out.plain("n_polls", worker.n_polls);
        out.plain("n_spawned", worker.n_spawned);
        out.plain("n_ended", worker.n_ended);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_request_is_refused_with_the_reason() {
        for (line, kind, part) in [
            (&b"tree"[..], "malformed", "not JSON"),
            (b"", "malformed", "not JSON"),
            (b"\xff", "malformed", "not UTF-8"),
            (b"[1]", "malformed", "not an object"),
            (b"{\"request\":\"tree\"}", "malformed", "no \\\"version\\\""),
            (b"{\"version\":1}", "malformed", "no \\\"request\\\""),
            (
                b"{\"version\":2,\"request\":\"tree\"}",
                "version",
                "version 1",
            ),
            (
                b"{\"version\":1,\"request\":\"kill\"}",
                "unknown",
                "deadlocks",
            ),
        ] {
            let answer = answer(line);
            let start = format!("{{\"version\":1,\"error\":{{\"kind\":\"{kind}\",");
            assert!(
                answer.starts_with(&start) && answer.contains(part),
                "{answer}"
            );
            assert!(answer.parse::<JsonValue>().is_ok(), "{answer}");
        }
    }

    #[test]
    fn a_request_may_have_more_than_is_known() {
        let line = b" {\"request\": \"process\", \"version\": 1, \"more\": [null]} ";
        assert!(answer(line).contains("\"runtimes\":["));
    }
}
