//! TCP connections.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use rt_tasks_runtime::reactor::{Direction, Ownership, Source};
use rustix::io::Errno;
use socket2::SockRef;

use super::addr::{ToSocketAddrs, resolve};
use super::leftover::Leftover;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::system;
use crate::error::cannot;

/// A TCP connection.
///
/// It is read and written through [`AsyncRead`] and [`AsyncWrite`], which `&TcpStream` implements as well; for
/// two tasks of which one reads and one writes there are [`split`](Self::split) and
/// [`into_split`](Self::into_split). In each direction one task at a time may wait this way: a second one that
/// polls the same direction displaces the first, which wakes to poll again. Any number of tasks may wait in
/// [`readable`](Self::readable) and [`writable`](Self::writable).
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
    source: Source<std::net::TcpStream>,
    leftover: Leftover,
}

impl TcpStream {
    /// Connects to the first address of `address` that answers.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it closes the connection it was making.
    ///
    /// # Errors
    ///
    /// With one address, why it refused. With more, why each of them did; the kind is that of the last. Or the
    /// name cannot be resolved, or there is no runtime here.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut refusals = Vec::new();
        for address in resolve(&address).await? {
            match connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => refusals.push((address, error)),
            }
        }
        Err(refused(refusals))
    }

    /// Registers a connection that has been accepted.
    pub(super) fn accepted(stream: std::net::TcpStream) -> io::Result<Self> {
        Ok(Self {
            source: Source::new(stream, Ownership::Sole)?,
            leftover: Leftover::new(),
        })
    }

    /// Takes a connection of the standard library over and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system; there is no runtime here.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            source: Source::new(stream, Ownership::Shared)?,
            leftover: Leftover::new(),
        })
    }

    /// Hands the connection to the standard library, still in non-blocking mode.
    pub fn into_std(self) -> std::net::TcpStream {
        self.source.into_inner()
    }

    /// Lends out a half to read from and one to write to.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(self)
    }

    /// Splits it into a half to read from and one to write to, each of which may go to a task of its own.
    ///
    /// Dropping the half to write to ends that direction, as [`shutdown`](Self::shutdown) does.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(self)
    }

    /// Waits until there is something to read: bytes, the end, or an error.
    ///
    /// It may return for nothing: go on with [`try_read`](Self::try_read) and wait again when that would block.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The runtime has been shut down.
    pub async fn readable(&self) -> io::Result<()> {
        self.source.ready(Direction::Read).await
    }

    /// Waits until something can be written; see [`readable`](Self::readable).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The runtime has been shut down.
    pub async fn writable(&self) -> io::Result<()> {
        self.source.ready(Direction::Write).await
    }

    /// Reads what is there without waiting; 0 is the end.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing is there; those of the system; the runtime has
    /// been shut down.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source
            .try_io(Direction::Read, |mut io| io.read(buffer))
    }

    /// Writes what there is room for without waiting.
    ///
    /// # Errors
    ///
    /// As for [`try_read`](Self::try_read), of room instead of bytes.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.source
            .try_io(Direction::Write, |mut io| io.write(bytes))
    }

    /// Writes what there is room for out of several buffers without waiting.
    ///
    /// # Errors
    ///
    /// As for [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.source
            .try_io(Direction::Write, |mut io| io.write_vectored(buffers))
    }

    /// Waits for bytes and copies them without taking them out.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of the system; the runtime has been shut down.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.run(Direction::Read, |io| io.peek(buffer)).await
    }

    /// Ends one direction or both, at once.
    ///
    /// After the direction to write, the peer reads its end once it has read everything before it, and may still
    /// answer. [`close`](futures_lite::AsyncWriteExt::close) does this too.
    ///
    /// # Errors
    ///
    /// Those of the system, for instance that there is no connection any more.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.source.io().shutdown(how)
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

    /// Whether small writes are sent at once instead of being gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.io().nodelay()
    }

    /// Has small writes sent at once, or gathered (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.io().set_nodelay(nodelay)
    }

    /// Sets how long closing goes on sending what is left (`SO_LINGER`); zero resets the connection instead.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(self).set_linger(linger)
    }

    /// Takes the error the system has noted for this connection.
    ///
    /// # Errors
    ///
    /// Those of the system while asking for it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.source.io().take_error()
    }

    pub(super) fn poll_read_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored_from(cx, &mut [IoSliceMut::new(buffer)])
    }

    pub(super) fn poll_read_vectored_from(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.source
            .poll_read_stream(cx, len, |io| self.leftover.read(io, buffers))
    }

    pub(crate) fn poll_write_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.source
            .poll_io(Direction::Write, cx, |mut io| io.write(bytes))
    }

    pub(crate) fn poll_write_vectored_to(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.source
            .poll_io(Direction::Write, cx, |mut io| io.write_vectored(buffers))
    }

    /// Ends the direction to write. That there is no connection any more is as good an end.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    #[cfg(feature = "hyper")]
    pub(crate) fn source(&self) -> &Source<std::net::TcpStream> {
        &self.source
    }
}

/// Connects to one address.
async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = system::open(address)?;
    match socket.connect(&address.into()) {
        Ok(()) => return TcpStream::accepted(socket.into()),
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    // Registered only now: a socket that is not yet connecting counts as hung up.
    let source = Source::connecting(std::net::TcpStream::from(socket), Ownership::Sole)?;
    poll_fn(|cx| source.poll_ready(Direction::Write, cx)).await?;
    match source.io().take_error()? {
        Some(error) => Err(error),
        None => Ok(TcpStream {
            source,
            leftover: Leftover::new(),
        }),
    }
}

/// What to say when none of the addresses answered.
#[cold]
fn refused(mut refusals: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let (address, last) = refusals
        .pop()
        .expect("there was an address, and it refused");
    if refusals.is_empty() {
        return cannot(format_args!("connect to {address}"), last);
    }
    let mut all = String::new();
    for (address, error) in &refusals {
        all += &format!("{address}: {error}; ");
    }
    let kind = last.kind();
    io::Error::new(
        kind,
        format!("cannot connect to any address: {all}{address}: {last}"),
    )
}

impl AsyncRead for &TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_from(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored_from(cx, buffers)
    }
}

impl AsyncWrite for &TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_to(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_to(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_from(cx, buffer)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored_from(cx, buffers)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_to(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_to(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish())
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.io().as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.source.io().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.source.io(), f)
    }
}
