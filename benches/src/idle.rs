//! How much memory does a connection take on which nothing happens?
//!
//! A server accepts so many connections, gives each a task, and each task says a byte and waits in a read of a few. The
//! growth of its resident set is shared out over the connections. Server and client are processes of their own, the
//! server one for each runtime. The buffers of a real server come on top; what the kernel holds for each socket is
//! not in the resident set, and is the same for all.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::child::{Child, tell, until_dismissed};
use crate::memory::resident;
use crate::peer::{Connection, Listener, Peer};
use crate::statistics::Spread;
use crate::workload::{AnyPeer, PeerKind, Visit};

/// Descriptors that a process needs beside those of its connections.
const OTHERS: u64 = 100;

/// What each connection hears when it is accepted.
const GREETING: &[u8] = b"!";

/// What an idle connection takes on one runtime.
#[derive(Debug, Serialize)]
pub struct Footprint {
    /// The runtime.
    pub peer: &'static str,
    /// How many connections there were.
    pub connections: usize,
    /// Resident bytes for each of them.
    pub bytes: Spread,
    /// The same as a multiple of the base's, round by round.
    pub ratio: Spread,
}

/// Measures each runtime in child processes of this program, which must know `idle-server` and `idle-client`.
///
/// # Errors
///
/// When a child cannot be started or fails, for instance because it may not have so many descriptors.
pub fn measure(workers: usize, connections: usize, rounds: usize) -> Result<Vec<Footprint>> {
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let round = PeerKind::ALL.iter().map(|kind| {
            eprintln!(
                "memory of {connections} idle connections on {}",
                kind.name()
            );
            let grown = measure_once(*kind, workers, connections)?;
            Ok((*kind, grown as f64 / connections as f64))
        });
        measured.push(round.collect::<Result<Vec<_>>>()?);
    }
    let of = |round: &[(PeerKind, f64)], wanted: PeerKind| {
        let found = round.iter().find(|(kind, _)| *kind == wanted);
        found.map_or(f64::NAN, |(_, bytes)| *bytes)
    };
    let footprints = PeerKind::ALL.iter().map(|kind| Footprint {
        peer: kind.name(),
        connections,
        bytes: Spread::of(measured.iter().map(|round| of(round, *kind))),
        ratio: Spread::of(
            measured
                .iter()
                .map(|round| of(round, *kind) / of(round, PeerKind::BASE)),
        ),
    });
    Ok(footprints.collect())
}

fn measure_once(kind: PeerKind, workers: usize, connections: usize) -> Result<usize> {
    let (peer, workers) = (kind.argument(), workers.to_string());
    let connections = connections.to_string();
    let of_server = ["idle-server", "--peer", &peer, "--workers", &workers];
    let count = ["--connections", &connections];
    let mut server = Child::start(of_server.into_iter().chain(count))?;
    let address: SocketAddr = server.hear()?;
    let address = address.to_string();
    let _client = Child::start(
        ["idle-client", "--address", &address]
            .into_iter()
            .chain(count),
    )?;
    server.hear()
}

/// Accepts connections in this process, tells by how much it grew, and keeps them until the parent wants no more.
///
/// # Errors
///
/// When the runtime does not start, or the system refuses the descriptors.
pub fn server(kind: PeerKind, workers: usize, connections: usize) -> Result<()> {
    allow_descriptors(connections)?;
    AnyPeer::start(kind, workers)?.visit(Waits { connections })
}

/// Opens connections in this process, and keeps them until the parent wants no more.
///
/// # Errors
///
/// When the system refuses the descriptors, or the server does not accept.
pub fn client(address: SocketAddr, connections: usize) -> Result<()> {
    allow_descriptors(connections)?;
    let connections = (0..connections).map(|_| {
        let mut connection = TcpStream::connect(address)?;
        // One after the other: a server that is slower would have to drop some, and they would try again much later.
        connection.read_exact(&mut [0; GREETING.len()])?;
        // Closed by a reset: what ends in peace keeps its port for a minute, and there are not so many ports.
        set_socket_linger(&connection, Some(Duration::ZERO))?;
        Ok(connection)
    });
    let _connections = connections.collect::<std::io::Result<Vec<_>>>()?;
    until_dismissed()
}

/// Raises the limit of descriptors as far as needed.
fn allow_descriptors(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        if maximum.is_some_and(|maximum| maximum < needed) {
            bail!("{needed} descriptors are needed, and {maximum:?} may be had at most");
        }
        let current = Some(needed);
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    }
    Ok(())
}

/// Connections whose task is about to wait. A static, so that the tasks need not carry a pointer to it.
static WAITING: AtomicUsize = AtomicUsize::new(0);

struct Waits {
    connections: usize,
}

impl Visit for Waits {
    type Output = Result<()>;

    fn visit<P: Peer>(self, peer: &P) -> Result<()> {
        let connections = self.connections;
        peer.block_on(async { P::spawn(grow::<P>(connections)).await })?;
        until_dismissed()
    }
}

/// Accepts so many connections and tells the growth once they all wait.
async fn grow<P: Peer>(connections: usize) -> Result<()> {
    let mut listener = P::listen().await?;
    tell(&listener.address()?)?;
    let before = resident()?;
    for _ in 0..connections {
        let connection = listener.accept().await?;
        P::spawn_detached(wait::<P>(connection));
    }
    while WAITING.load(Ordering::Relaxed) < connections {
        P::sleep(Duration::from_millis(10)).await;
    }
    // The last ones counted themselves just before their read was first polled.
    P::sleep(Duration::from_millis(200)).await;
    tell(&resident()?.saturating_sub(before))
}

/// Greets, and waits for bytes that never come.
async fn wait<P: Peer>(mut connection: P::Connection) {
    if connection.write_all(GREETING).await.is_err() {
        return;
    }
    WAITING.fetch_add(1, Ordering::Relaxed);
    let mut buffer = [0; 64];
    while let Ok(1..) = connection.read(&mut buffer).await {}
}
