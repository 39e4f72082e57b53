//! Sockets that accept connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rt_tasks_runtime::reactor::{Direction, Source};
use socket2::{Domain, Socket, Type};

use super::addr::{ToSocketAddrs, resolve};
use super::connection::descriptor;
use super::serve::Listener;
use super::system;
use super::{TcpStream, UnixListener};
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
    pub(super) source: Source<std::net::TcpListener>,
}

descriptor!(TcpListener, std::net::TcpListener);

impl TcpListener {
    /// Listens on the first address of `address` on which the system allows it; port 0 is any free port.
    ///
    /// As in the standard library, the address of connections that ended a moment ago may be used again
    /// (`SO_REUSEADDR`, except on Windows, where it means something else). For other options begin with a
    /// [`TcpSocket`](super::TcpSocket).
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
                Ok(listener) => return Self::register(listener.into()),
                Err(error) => {
                    refusal = Some(cannot(format_args!("listen on {address}"), error));
                }
            }
        }
        Err(refusal.expect("there was an address, and it was refused"))
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// Accepts a connection that is there.
    fn accept_now(listener: &std::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = loop {
            match system::accept(listener) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                result => break result?,
            }
        };
        Ok((TcpStream::register(stream)?, peer))
    }
}

/// Opens a socket and has it listen on `address`.
fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = system::open(Domain::for_address(address), Type::STREAM)?;
    if cfg!(not(windows)) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

macro_rules! accepts {
    ($listener:ident, $stream:ty, $peer:ty) => {
        impl $listener {
            /// Waits for a connection and accepts it. Any number of tasks may do so.
            ///
            /// # Cancel safety
            ///
            /// No connection is lost: it is accepted and returned in one step.
            ///
            /// # Errors
            ///
            /// Those of the system, above all when there are no descriptors left: a server waits a moment and
            /// goes on, as [`serve`](fn@super::serve) does. A connection that its peer has given up meanwhile is
            /// passed over. The runtime has been shut down.
            pub async fn accept(&self) -> io::Result<($stream, $peer)> {
                self.source.run(Direction::Read, Self::accept_now).await
            }

            /// Accepts a connection in the poll style: one task at a time.
            ///
            /// # Errors
            ///
            /// As for [`accept`](Self::accept).
            pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<($stream, $peer)>> {
                self.source.poll_io(Direction::Read, cx, Self::accept_now)
            }

            /// The connections, one after the other, as a stream that never ends.
            ///
            /// Its errors are those of [`accept`](Self::accept); it goes on after each.
            pub fn incoming(&self) -> Incoming<'_, Self> {
                Incoming { listener: self }
            }
        }
    };
}

accepts!(TcpListener, TcpStream, SocketAddr);
accepts!(
    UnixListener,
    super::UnixStream,
    std::os::unix::net::SocketAddr
);

/// The connections of a listener; made by [`TcpListener::incoming`] and [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, L = TcpListener> {
    listener: &'a L,
}

impl<L: Listener> Stream for Incoming<'_, L> {
    type Item = io::Result<L::Stream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = self.listener.poll_next(cx);
        accepted.map_ok(|(stream, _)| stream).map(Some)
    }
}
