//! Connecting to whichever of several addresses answers first, as RFC 8305 ("Happy Eyeballs") has it.
//!
//! Addresses are tried in the order in which the resolver put them, except that families take turns. Each has a head
//! start over the next one, so that a good first address is the only one that is asked, and a dead one costs no
//! more than that. Whoever refuses lets the next one begin at once. All of it happens in the calling task: dropping
//! the future closes every attempt.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use rt_tasks_runtime::reactor::{Direction, Source};
use rt_tasks_runtime::{Sleep, sleep};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::TcpStream;
use super::connection::TcpIo;
use super::system;
use crate::error::cannot;

/// The head start of an address over the next one (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to the first of these addresses that answers; there is at least one.
pub(super) async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        let connected = connect_to(address).await;
        return connected.map_err(|error| cannot(format_args!("connect to {address}"), error));
    }
    let mut race = Race {
        waiting: take_turns(addresses).into_iter(),
        attempts: Vec::new(),
        next: None,
        failures: Vec::new(),
    };
    poll_fn(|cx| race.poll(cx)).await
}

/// Has IPv6 and IPv4 take turns, beginning with the family of the first address.
fn take_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let n = addresses.len();
    let (ours, theirs): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut turns = Vec::with_capacity(n);
    while turns.len() < n {
        turns.extend(ours.next());
        turns.extend(theirs.next());
    }
    turns
}

/// Attempts that run, and those that wait for their turn.
struct Race {
    waiting: vec::IntoIter<SocketAddr>,
    attempts: Vec<(SocketAddr, Attempt)>,
    /// When the next one begins.
    next: Option<Sleep>,
    failures: Vec<(SocketAddr, io::Error)>,
}

impl Race {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            if let Some(stream) = self.poll_attempts(cx) {
                return Poll::Ready(Ok(stream));
            }
            let is_time = match &mut self.next {
                _ if self.attempts.is_empty() => true,
                Some(next) => Pin::new(next).poll(cx).is_ready(),
                None => false,
            };
            if !is_time {
                return Poll::Pending;
            }
            match self.waiting.next() {
                Some(address) => {
                    let attempt = Box::pin(connect_to(address));
                    self.attempts.push((address, attempt));
                    self.next = Some(sleep(HEAD_START));
                }
                None if self.attempts.is_empty() => return Poll::Ready(Err(self.failed())),
                None => self.next = None,
            }
        }
    }

    /// Polls everybody who is on the way, and has the next one begin when one of them fails.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut i = 0;
        while let Some((address, attempt)) = self.attempts.get_mut(i) {
            match attempt.as_mut().poll(cx) {
                Poll::Pending => i += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    self.failures.push((*address, error));
                    drop(self.attempts.remove(i));
                    if let Some(next) = &mut self.next {
                        next.reset(rt_tasks_runtime::Instant::now());
                    }
                }
            }
        }
        None
    }

    #[cold]
    fn failed(&mut self) -> io::Error {
        let failures = std::mem::take(&mut self.failures);
        let kind = failures.last().map(|(_, error)| error.kind());
        let kind = kind.expect("there was an address, and it refused");
        io::Error::new(kind, ConnectFailures { failures })
    }
}

/// Why none of several addresses answered: what is inside the `io::Error` of
/// [`TcpStream::connect`](super::TcpStream::connect) then.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::net::{ConnectFailures, TcpStream};
/// # rt_tasks_runtime::block_on(async {
/// # let listener = rt::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let closed = listener.local_addr()?;
/// # drop(listener);
/// let error = TcpStream::connect([closed, closed]).await.unwrap_err();
/// let failures = error.get_ref().unwrap().downcast_ref::<ConnectFailures>().unwrap();
/// for (address, error) in failures.failures() {
///     println!("{address}: {error}");
/// }
/// assert_eq!(failures.failures().len(), 2);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ConnectFailures {
    failures: Vec<(SocketAddr, io::Error)>,
}

impl ConnectFailures {
    /// Each address and why it refused, in the order in which they did.
    #[must_use]
    pub fn failures(&self) -> &[(SocketAddr, io::Error)] {
        &self.failures
    }
}

impl fmt::Display for ConnectFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot connect to any address: ")?;
        for (i, (address, error)) in self.failures.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

impl Error for ConnectFailures {}

/// Connects to one address.
async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = system::open(Domain::for_address(address), Type::STREAM)?;
    connect_socket(socket, address).await
}

/// Connects a socket, which is in non-blocking mode.
pub(super) async fn connect_socket(socket: Socket, address: SocketAddr) -> io::Result<TcpStream> {
    match socket.connect(&address.into()) {
        Ok(()) => return TcpStream::register(socket.into()),
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    // Registered only now: a socket that is not yet connecting counts as hung up.
    let source = Source::connecting(TcpIo::from(std::net::TcpStream::from(socket)))?;
    poll_fn(|cx| source.poll_ready(Direction::Write, cx)).await?;
    match source.io().take_error()? {
        Some(error) => Err(error),
        None => Ok(TcpStream { source }),
    }
}

#[cfg(test)]
mod tests {
    use super::take_turns;

    #[test]
    fn families_take_turns_beginning_with_the_first() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = take_turns(addresses.map(|address| address.parse().unwrap()).into());
        let turns: Vec<_> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(
            turns,
            ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]
        );
    }
}
