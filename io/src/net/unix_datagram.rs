//! Unix sockets for datagrams, which arrive whole and in order.

use std::io;
use std::os::unix::net::{self as std_unix, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll};

use rt_tasks_runtime::reactor::{Direction, Source};

use super::connection::{descriptor, waits};
use super::datagram::datagrams;
use super::options::buffer_options;
use crate::error::cannot;

/// A Unix socket for datagrams: they keep their bounds, none is lost, and a sender waits when nobody receives.
///
/// All of its functions take it by reference, so that tasks may share it in an `Arc`. Dropping it closes it; the file
/// at its path stays.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let (near, far) = rt::net::UnixDatagram::pair()?;
/// near.send(b"one").await?;
/// near.send(b"two").await?;
/// let mut buffer = [0; 64];
/// assert_eq!(far.recv(&mut buffer).await?, 3);
/// assert_eq!(far.recv(&mut buffer).await?, 3);
/// assert_eq!(&buffer[..3], b"two");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixDatagram {
    source: Source<std_unix::UnixDatagram>,
}

descriptor!(UnixDatagram, std_unix::UnixDatagram);
waits!(UnixDatagram: readable);
waits!(UnixDatagram: writable);
buffer_options!(UnixDatagram);
datagrams!(UnixDatagram, std_unix::UnixDatagram, SocketAddr);

impl UnixDatagram {
    fn with(socket: std_unix::UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::register(socket)
    }

    /// Opens a socket at `path`, where a file is made for it.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path: above all that there is a file already. There is no runtime here.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let bound = std_unix::UnixDatagram::bind(path).and_then(Self::with);
        bound.map_err(|error| cannot(format_args!("open a socket at {}", path.display()), error))
    }

    /// Opens a socket at an address: on Linux it may also be an abstract one, which stands in no file system.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        Self::with(std_unix::UnixDatagram::bind_addr(address)?)
    }

    /// Opens a socket without an address: nobody can send to it.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn unbound() -> io::Result<Self> {
        Self::with(std_unix::UnixDatagram::unbound()?)
    }

    /// Makes two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = std_unix::UnixDatagram::pair()?;
        Ok((Self::with(near)?, Self::with(far)?))
    }

    /// Chooses the peer for [`send`](Self::send) and [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// Those of the system, with the path: above all that nobody is there.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let connected = self.source.io().connect(path);
        connected.map_err(|error| cannot(format_args!("connect to {}", path.display()), error))
    }

    /// Chooses the peer by its address; see [`bind_addr`](Self::bind_addr).
    ///
    /// # Errors
    ///
    /// Those of the system, above all that nobody is there.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.source.io().connect_addr(address)
    }

    /// Sends a datagram to the socket at `path`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, for instance that nobody is there; the runtime has been shut down.
    pub async fn send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let path = path.as_ref();
        let send = |io: &std_unix::UnixDatagram| io.send_to(datagram, path);
        self.source.run(Direction::Write, send).await
    }

    /// Sends a datagram to an address; see [`bind_addr`](Self::bind_addr).
    ///
    /// # Cancel safety
    ///
    /// As for [`send_to`](Self::send_to).
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub async fn send_to_addr(&self, datagram: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let send = |io: &std_unix::UnixDatagram| io.send_to_addr(datagram, address);
        self.source.run(Direction::Write, send).await
    }

    /// Sends a datagram to the socket at `path` without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room; as for [`send_to`](Self::send_to).
    pub fn try_send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.source
            .try_io(Direction::Write, |io| io.send_to(datagram, path))
    }

    /// Ends one direction or both, at once.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        self.source.io().shutdown(how)
    }
}
