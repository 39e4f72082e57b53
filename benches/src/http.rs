//! How many requests does an HTTP server answer, and how late are the slowest?
//!
//! The server is the one that people write: hyper's HTTP/1, a task for each connection, a handler that answers a few
//! bytes; the same on both runtimes, each in a process of its own. `wrk` asks them in turns, beginning with another one
//! each round, and a ratio is taken within a round. It keeps its connections, so neither accepting nor closing is
//! seen, and it runs on the same processors as the server: with few of them it takes about half of the time. Both
//! servers have room for 1,024 connections that are yet to be accepted. With the 128 that Tokio's `TcpListener::bind`
//! asks for, hundreds of 1,000 come a second late, and until then there are fewer to serve.
//!
//! With one connection the server that stays awake until the next request comes has it sooner, and both it and `wrk`
//! are spared the time to fall asleep and wake up. The other rows cannot be far apart: where both runtimes have two
//! processors and `wrk` on them, a request at 64 connections takes 14.6 µs of processor time, of which `wrk` and its
//! part of the system have 7.5, the system on the server's behalf 5.9, and the server's own code 1.2, most of it
//! hyper's. Both runtimes make the same two calls for a request, and one in 17 more to wait. At 1,000 connections what
//! is ours takes 0.4 µs of a request's 20, and so does what is Tokio's. What remains is who runs when: there are more
//! threads than processors, and 100 requests see two to five switches of threads. And it is how the memory of a process
//! comes to lie: the same program, started again, differs by 4 % either way. So each round starts its servers anew.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;

use crate::child::{Child, tell, until_dismissed};
use crate::peer::{Listener, Ours, Peer, Tokio};
use crate::statistics::Spread;
use crate::workload::PeerKind;

/// Who is compared: the second is what the first is a multiple of.
const PEERS: [PeerKind; 2] = [PeerKind::Rt, PeerKind::BASE];

/// The share of the requests that are answered faster than the latency in the tables.
const PERCENTILE: &str = "99%";

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Worker threads for each server.
    pub workers: usize,
    /// Rounds for each number of connections.
    pub rounds: usize,
    /// How long `wrk` asks one server in one round, after it has asked for as long to warm up.
    pub seconds: u64,
    /// How many connections it keeps, one row each.
    pub connections: Vec<usize>,
}

/// A number of connections, on both servers.
#[derive(Debug, Serialize)]
pub struct Row {
    /// How many connections there were.
    pub connections: usize,
    /// One for each server: first rt, then the one it is compared with.
    pub requests_per_second: [Spread; 2],
    /// The one as a multiple of the other, round by round.
    pub requests_ratio: Spread,
    /// Nanoseconds within which 99 of 100 requests were answered.
    pub p99: [Spread; 2],
    /// The one as a multiple of the other, round by round.
    pub p99_ratio: Spread,
}

/// What one run of `wrk` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Answered {
    requests_per_second: f64,
    /// Nanoseconds.
    p99: f64,
}

/// Whether `wrk` can be asked at all.
#[must_use]
pub fn is_possible() -> bool {
    Command::new("wrk").arg("--version").output().is_ok()
}

/// Measures both servers in child processes of this program, which must know `http-server`.
///
/// # Errors
///
/// When a server does not start, `wrk` fails, or a request is not answered.
pub fn measure(plan: &Plan) -> Result<Vec<Row>> {
    let rows = plan.connections.iter().map(|&connections| {
        eprintln!("{connections} connections");
        measure_row(plan, connections)
    });
    rows.collect()
}

fn measure_row(plan: &Plan, connections: usize) -> Result<Row> {
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut answered = [None; PEERS.len()];
        for turn in 0..PEERS.len() {
            let peer = (round + turn) % PEERS.len();
            answered[peer] = Some(measure_once(plan, PEERS[peer], connections)?);
        }
        if let [Some(ours), Some(theirs)] = answered {
            rounds.push([ours, theirs]);
        }
    }
    let spread = |of: &dyn Fn(&[Answered; 2]) -> f64| Spread::of(rounds.iter().map(of));
    Ok(Row {
        connections,
        requests_per_second: [0, 1].map(|peer| spread(&|round| round[peer].requests_per_second)),
        requests_ratio: spread(&|[ours, theirs]| {
            ours.requests_per_second / theirs.requests_per_second
        }),
        p99: [0, 1].map(|peer| spread(&|round| round[peer].p99)),
        p99_ratio: spread(&|[ours, theirs]| ours.p99 / theirs.p99),
    })
}

/// Starts a server, and has `wrk` ask it.
fn measure_once(plan: &Plan, kind: PeerKind, connections: usize) -> Result<Answered> {
    let (peer, workers) = (kind.argument(), plan.workers.to_string());
    let mut server = Child::start(["http-server", "--peer", &peer, "--workers", &workers])?;
    let address = server.hear()?;
    let ask = || ask(address, connections, plan.seconds);
    ask()
        .and_then(|_| ask())
        .with_context(|| format!("{peer}, {connections} connections"))
}

/// Has `wrk` ask one server.
fn ask(server: SocketAddr, connections: usize, seconds: u64) -> Result<Answered> {
    let output = Command::new("wrk")
        .args(["--threads", &connections.min(2).to_string()])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--latency"])
        .arg(format!("http://{server}/"))
        .output()
        .context("wrk cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "wrk failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    read(&text).with_context(|| format!("what wrk said is no measurement:\n{text}"))
}

/// Reads what `wrk` writes; nothing if requests failed.
fn read(text: &str) -> Option<Answered> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return None;
    }
    let value = |name: &str| {
        let mut lines = text.lines().map(str::trim);
        lines
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    Some(Answered {
        requests_per_second: value("Requests/sec:")?.parse().ok()?,
        p99: nanoseconds(value(PERCENTILE)?)?,
    })
}

/// Reads a time as `wrk` writes it.
fn nanoseconds(time: &str) -> Option<f64> {
    let split = time.find(|c: char| c.is_alphabetic())?;
    let (number, unit) = time.split_at(split);
    let unit = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// A runtime whose connections hyper takes.
trait Hosts: Peer {
    /// What hyper reads from and writes to.
    type Io: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static;

    fn for_hyper(connection: Self::Connection) -> Self::Io;
}

impl Hosts for Ours {
    type Io = rt::net::TcpStream;

    fn for_hyper(connection: Self::Connection) -> Self::Io {
        connection
    }
}

impl Hosts for Tokio {
    type Io = TokioIo<tokio::net::TcpStream>;

    fn for_hyper(connection: Self::Connection) -> Self::Io {
        TokioIo::new(connection)
    }
}

/// Serves in this process until the parent wants no more.
///
/// # Errors
///
/// When the runtime does not start, or there is no server for it.
pub fn server(kind: PeerKind, workers: usize) -> Result<()> {
    match kind {
        PeerKind::Rt => host::<Ours>(workers),
        PeerKind::Tokio => host::<Tokio>(workers),
        PeerKind::Smol => bail!("there is no HTTP server on smol"),
    }
}

fn host<P: Hosts>(workers: usize) -> Result<()> {
    let peer = P::start(workers)?;
    let mut listener = peer.block_on(P::listen())?;
    tell(&listener.address()?)?;
    std::thread::spawn(move || {
        peer.block_on(async {
            P::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok(connection) => P::spawn_detached(answer::<P>(connection)),
                        // There are no descriptors; one will be given back.
                        Err(_) => P::sleep(Duration::from_millis(10)).await,
                    }
                }
            })
            .await
        })
    });
    until_dismissed()
}

/// Answers the requests of one connection.
async fn answer<P: Hosts>(connection: P::Connection) {
    let serving =
        http1::Builder::new().serve_connection(P::for_hyper(connection), service_fn(hello));
    // An error is a client that went in the middle of a request.
    let _ = serving.await;
}

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(
        b"Hello, world!",
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   643.59us  334.72us   9.77ms   92.19%
    Req/Sec    50.18k     2.55k   55.99k    82.50%
  Latency Distribution
     50%  606.00us
     99%    1.85ms
  199787 requests in 2.00s, 24.77MB read
Requests/sec:  99783.66
Transfer/sec:     12.37MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let expected = Answered {
            requests_per_second: 99_783.66,
            p99: 1_850_000.0,
        };
        assert_eq!(read(SAID), Some(expected));
        assert_eq!(nanoseconds("606.00us"), Some(606_000.0));
        assert_eq!(nanoseconds("1.00s"), Some(1e9));
    }

    #[test]
    fn requests_that_failed_are_no_measurement() {
        let failed = format!("{SAID}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert_eq!(read(&failed), None);
        assert_eq!(read(""), None);
    }
}
