//! Tokio's traits for reading and writing on our streams, for libraries that were written for it.
//!
//! They are the traits alone: nothing of Tokio's runtime is there, nor is it needed. Both kinds of traits have methods
//! of the same names, so a module imports the helpers of one of them.
//!
//! Tokio's buffer keeps track of what has been initialised, so handing it on as plain bytes costs one pass over a fresh
//! buffer and nothing later; that buys a file without `unsafe`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::{DuplexStream, Stderr, Stdin, Stdout};
use crate::net::connection::Connection;
use crate::net::pipe::{Receiver, Sender};
use crate::net::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, UnixStream, WriteHalf};

macro_rules! reads {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let unfilled = buffer.initialize_unfilled();
                let n_read = ready!(futures_io::AsyncRead::poll_read(self, cx, unfilled))?;
                buffer.advance(n_read);
                Poll::Ready(Ok(()))
            }
        }
    )*};
}

macro_rules! writes {
    (vectored: $is_vectored:expr; $([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_close(self, cx)
            }

            fn is_write_vectored(&self) -> bool {
                $is_vectored
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, buffers)
            }
        }
    )*};
}

reads! {
    [] TcpStream;
    [] UnixStream;
    [] Receiver;
    [S: Connection] ReadHalf<'_, S>;
    [S: Connection] OwnedReadHalf<S>;
    [] DuplexStream;
    [] Stdin;
}

writes! {
    vectored: true;
    [] TcpStream;
    [] UnixStream;
    [] Sender;
    [S: Connection] WriteHalf<'_, S>;
    [S: Connection] OwnedWriteHalf<S>;
}

writes! {
    vectored: false;
    [] DuplexStream;
    [] Stdout;
    [] Stderr;
}

#[cfg(feature = "fs")]
reads!([] crate::fs::File; [] crate::fs::TempFile;);
#[cfg(feature = "fs")]
writes!(vectored: false; [] crate::fs::File; [] crate::fs::TempFile;);

#[cfg(feature = "process")]
reads!([] crate::process::ChildStdout; [] crate::process::ChildStderr;);
#[cfg(feature = "process")]
writes!(vectored: false; [] crate::process::ChildStdin;);
