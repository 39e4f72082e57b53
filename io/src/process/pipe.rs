//! Pipes to and from a program.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::{self, Stdio};
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use rt_tasks_runtime::reactor::{Direction, Source};
use rustix::io::{ioctl_fionbio, read, readv, write, writev};

/// Of what is missing only in a [`ChildStdin`] that has been closed.
const OPEN: &str = "the pipe was closed";

/// Our end of a pipe.
///
/// Only this end is in non-blocking mode: unlike a socket or a terminal, a pipe has a mode for each of its ends.
struct Pipe(Source<OwnedFd>);

impl Pipe {
    fn new(end: impl Into<OwnedFd>) -> io::Result<Self> {
        let end = end.into();
        ioctl_fionbio(&end, true)?;
        Ok(Self(Source::new(end)?))
    }

    /// The end of the pipe, as others expect it.
    fn into_blocking(self) -> io::Result<OwnedFd> {
        let end = self.0.into_inner();
        ioctl_fionbio(&end, false)?;
        Ok(end)
    }

    fn poll_read<R>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&OwnedFd) -> rustix::io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.0.poll_io(Direction::Read, cx, |end| Ok(read(end)?))
    }

    fn poll_write<R>(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&OwnedFd) -> rustix::io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.0.poll_io(Direction::Write, cx, |end| Ok(write(end)?))
    }
}

/// Writes into the input of a program; [`Child::stdin`](super::Child::stdin).
///
/// The program reads the end of its input when this is closed or dropped. Once the program has gone or has closed its
/// input, writing fails with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Cancel safety
///
/// A write that is dropped has written nothing.
pub struct ChildStdin {
    /// Empty once it is closed.
    pipe: Option<Pipe>,
}

impl ChildStdin {
    pub(super) fn new(end: process::ChildStdin) -> io::Result<Self> {
        let pipe = Some(Pipe::new(end)?);
        Ok(Self { pipe })
    }

    fn pipe(&self) -> io::Result<&Pipe> {
        let closed = || io::Error::new(io::ErrorKind::BrokenPipe, OPEN);
        self.pipe.as_ref().ok_or_else(closed)
    }

    /// The descriptor, in blocking mode.
    ///
    /// # Errors
    ///
    /// It has been closed.
    pub fn into_owned_fd(mut self) -> io::Result<OwnedFd> {
        self.pipe()?;
        self.pipe.take().expect(OPEN).into_blocking()
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe()?.poll_write(cx, |end| write(end, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pipe()?.poll_write(cx, |end| writev(end, buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe = None;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ChildStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.pipe.as_ref().map(|pipe| pipe.0.io().as_raw_fd());
        f.debug_tuple("ChildStdin").field(&fd).finish()
    }
}

impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    fn try_from(pipe: ChildStdin) -> io::Result<Self> {
        pipe.into_owned_fd().map(Self::from)
    }
}

macro_rules! output {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// # Cancel safety
        ///
        /// A read that is dropped has taken no byte.
        pub struct $name(Pipe);

        impl $name {
            pub(super) fn new(end: process::$name) -> io::Result<Self> {
                Pipe::new(end).map(Self)
            }

            /// The descriptor, in blocking mode.
            ///
            /// # Errors
            ///
            /// The system refuses to change the mode.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                self.0.into_blocking()
            }
        }

        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_read(cx, |end| read(end, &mut *buffer))
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_read(cx, |end| readv(end, buffers))
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.0.io().as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.0.io().as_raw_fd()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_raw_fd()).finish()
            }
        }

        impl TryFrom<$name> for Stdio {
            type Error = io::Error;

            fn try_from(pipe: $name) -> io::Result<Self> {
                pipe.into_owned_fd().map(Self::from)
            }
        }
    };
}

output! {
    /// Reads what a program writes; [`Child::stdout`](super::Child::stdout).
    ///
    /// Dropped, the program fails to write; most then end.
    ChildStdout
}

output! {
    /// Reads the messages that a program writes; [`Child::stderr`](super::Child::stderr).
    ChildStderr
}
