//! Any descriptor the system can wait for.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::task::{Context, Poll};

use rt_tasks_runtime::reactor::{Direction, Source};

/// A descriptor of any kind that tasks can wait for: a pipe, a device, another library's socket.
///
/// Not for regular files, which are always ready: the system refuses them.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use std::io::{Read, Write};
/// # rt_tasks_runtime::block_on(async {
/// let (near, mut far) = std::os::unix::net::UnixStream::pair()?;
/// let near = rt::net::AsyncFd::new(near)?;
/// far.write_all(b"ping")?;
/// let mut buffer = [0; 16];
/// let n_read = near.read_with(|mut near| near.read(&mut buffer)).await?;
/// assert_eq!(&buffer[..n_read], b"ping");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct AsyncFd<T: AsFd> {
    source: Source<T>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `inner` and puts what its descriptor stands for into non-blocking mode.
    ///
    /// That mode is shared with all duplicates of the descriptor, also in other processes.
    ///
    /// # Errors
    ///
    /// The system cannot wait for such a thing, or has registered it already; there is no runtime here.
    pub fn new(inner: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&inner, true)?;
        Ok(Self {
            source: Source::new(inner)?,
        })
    }

    /// What it was made of.
    pub fn get_ref(&self) -> &T {
        self.source.io()
    }

    /// What it was made of, to be changed. It must keep its descriptor.
    pub fn get_mut(&mut self) -> &mut T {
        self.source.io_mut()
    }

    /// Ends the registration and hands back what it was made of, still in non-blocking mode.
    pub fn into_inner(self) -> T {
        self.source.into_inner()
    }

    /// Waits until it is worth trying to read. Any number of tasks may wait.
    ///
    /// It stays so until [`read_with`](Self::read_with) or [`try_read_with`](Self::try_read_with) finds that
    /// reading would block.
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

    /// Waits until it is worth trying to write; see [`readable`](Self::readable).
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

    /// Runs `read` until it does not return [`WouldBlock`](io::ErrorKind::WouldBlock), waiting in between.
    ///
    /// `read` must really try to read the descriptor, or it waits for something nobody announces.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what `read` returns is returned in the same step.
    ///
    /// # Errors
    ///
    /// Those of `read`; the runtime has been shut down.
    pub async fn read_with<R>(&self, read: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.source.run(Direction::Read, read).await
    }

    /// Runs `write` until it does not return [`WouldBlock`](io::ErrorKind::WouldBlock), waiting in between.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what `write` returns is returned in the same step.
    ///
    /// # Errors
    ///
    /// Those of `write`; the runtime has been shut down.
    pub async fn write_with<R>(&self, write: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.source.run(Direction::Write, write).await
    }

    /// Runs `read` once, unless it is known that it would block.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock); those of `read`; the runtime has been shut down.
    pub fn try_read_with<R>(&self, read: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.source.try_io(Direction::Read, read)
    }

    /// Runs `write` once, unless it is known that it would block.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock); those of `write`; the runtime has been shut down.
    pub fn try_write_with<R>(&self, write: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.source.try_io(Direction::Write, write)
    }

    /// Polls [`read_with`](Self::read_with). One task at a time waits this way in each direction.
    ///
    /// # Errors
    ///
    /// Those of `read`; the runtime has been shut down.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        read: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_io(Direction::Read, cx, read)
    }

    /// Polls [`write_with`](Self::write_with). One task at a time waits this way in each direction.
    ///
    /// # Errors
    ///
    /// Those of `write`; the runtime has been shut down.
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        write: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_io(Direction::Write, cx, write)
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.io().as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.as_raw_fd()).finish()
    }
}
