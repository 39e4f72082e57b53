//! TCP sockets that accept connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rt_tasks_runtime::reactor::{Direction, Ownership, Source};

use super::TcpStream;
use super::addr::{ToSocketAddrs, resolve};
use super::system;
use crate::error::cannot;

/// Connections the system keeps ready for a listener; it has its own limit as well.
const BACKLOG: i32 = 1024;

/// A TCP socket that listens for connections.
///
/// Dropping it closes it. Connections nobody has accepted by then are reset by the system.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let listener = rt::net::TcpListener::bind("127.0.0.1:0").await?;
/// let client = rt::net::TcpStream::connect(listener.local_addr()?).await?;
/// let (_server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpListener {
    source: Source<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens on the first address of `address` on which the system allows it; port 0 is any free port.
    ///
    /// As in the standard library, the address of connections that ended a moment ago may be used again
    /// (`SO_REUSEADDR`, except on Windows, where it means something else).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it listens nowhere.
    ///
    /// # Errors
    ///
    /// The last refusal, with its address; the name cannot be resolved; there is no runtime here.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut refusal = None;
        for address in resolve(&address).await? {
            match listen(address) {
                Ok(listener) => return Self::register(listener, Ownership::Sole),
                Err(error) => {
                    refusal = Some(cannot(format_args!("listen on {address}"), error));
                }
            }
        }
        Err(refusal.expect("there was an address, and it was refused"))
    }

    fn register(listener: std::net::TcpListener, ownership: Ownership) -> io::Result<Self> {
        Ok(Self {
            source: Source::new(listener, ownership)?,
        })
    }

    /// Takes a listener of the standard library over and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system; there is no runtime here.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::register(listener, Ownership::Shared)
    }

    /// Hands the listener to the standard library, still in non-blocking mode.
    pub fn into_std(self) -> std::net::TcpListener {
        self.source.into_inner()
    }

    /// Waits for a connection and accepts it. Any number of tasks may do so.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost: it is accepted and returned in one step.
    ///
    /// # Errors
    ///
    /// Those of the system, above all when there are no descriptors left: a server waits a moment and
    /// goes on. A connection that its peer has given up meanwhile is passed over. The runtime has
    /// been shut down.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.source.run(Direction::Read, accept).await?;
        Ok((TcpStream::accepted(stream)?, peer))
    }

    /// Accepts a connection in the poll style: one task at a time.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.source.poll_io(Direction::Read, cx, accept);
        accepted.map(|accepted| {
            let (stream, peer) = accepted?;
            Ok((TcpStream::accepted(stream)?, peer))
        })
    }

    /// The connections, one after the other, as a stream that never ends.
    ///
    /// Its errors are those of [`accept`](Self::accept); it goes on after each.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }
}

/// Opens a socket and has it listen on `address`.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = system::open(address)?;
    if cfg!(not(windows)) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts a connection that is ready, in non-blocking mode.
fn accept(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    loop {
        match system::accept(listener) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            result => return result,
        }
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.io().as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.source.io().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.source.io(), f)
    }
}

/// The connections of a listener; made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener
            .poll_accept(cx)
            .map_ok(|(stream, _)| stream)
            .map(Some)
    }
}
