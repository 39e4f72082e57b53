//! TCP connections.

use std::io;
use std::net::SocketAddr;

use rt_tasks_runtime::reactor::Source;

use super::addr::{ToSocketAddrs, resolve};
use super::connect::connect_any;
use super::connection::{TcpIo, stream};
use super::options::{buffer_options, tcp_options};

/// A TCP connection.
///
/// It is read and written through [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite),
/// which `&TcpStream` implements as well; for two tasks of which one reads and one writes there are
/// [`split`](Self::split) and [`into_split`](Self::into_split). In each direction one task at a time may wait this
/// way: a second one that polls the same direction displaces the first, which wakes to poll again. Any number of
/// tasks may wait in [`readable`](Self::readable) and [`writable`](Self::writable).
///
/// Nothing is buffered: what a write has taken is with the system, and flushing does nothing. Dropping the
/// stream closes it; what was written is still sent. Dropped with unread bytes it resets the connection.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// # rt_tasks_runtime::block_on(async {
/// # let listener = rt::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// let mut stream = rt::net::TcpStream::connect(address).await?;
/// stream.write_all(b"question").await?;
/// # let (mut peer, _) = listener.accept().await?;
/// # peer.write_all(b"answer").await?;
/// # drop(peer);
/// let mut answer = [0; 6];
/// stream.read_exact(&mut answer).await?;
/// assert_eq!(&answer, b"answer");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpStream {
    pub(super) source: Source<TcpIo>,
}

stream!(TcpStream, std::net::TcpStream, TcpIo);
buffer_options!(TcpStream);
tcp_options!(TcpStream);

impl TcpStream {
    /// Connects to the first address of `address` that answers.
    ///
    /// Of several addresses each has a head start of 250 ms over the next one, families in turns, as in
    /// [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305); who refuses lets the next one begin at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it closes the connections it was making.
    ///
    /// # Errors
    ///
    /// With one address, why it refused. With more, [`ConnectFailures`](super::ConnectFailures) inside, which has why
    /// each of them did; the kind is that of the last. Or the name cannot be resolved, or there is no runtime here.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        connect_any(resolve(&address).await?).await
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system, for instance that there is no connection any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().peer_addr()
    }
}
