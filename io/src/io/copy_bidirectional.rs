//! Joining two connections: what a proxy does.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

/// What is on its way in each direction, at most.
const BUFFER: usize = 16 * 1024;

/// Copies what comes from `a` to `b` and what comes from `b` to `a`, until both have ended.
///
/// When one has ended, the other is told so by closing its direction to write, and the other direction goes on. Gives how
/// many bytes went from `a` to `b` and from `b` to `a`.
///
/// # Cancel safety
///
/// Up to 16 KiB of each direction, read and not yet written, are lost.
///
/// # Errors
///
/// The first one that reading, writing or closing has, in either direction; the other is then given up.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// # rt_tasks_runtime::block_on(async {
/// let (mut client, mut from_client) = rt::io::duplex(64);
/// let (mut to_server, mut server) = rt::io::duplex(64);
/// client.write_all(b"question").await?;
/// client.close().await?;
/// server.write_all(b"answer").await?;
/// server.close().await?;
/// let copied = rt::io::copy_bidirectional(&mut from_client, &mut to_server).await?;
/// assert_eq!(copied, (8, 6));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn copy_bidirectional<'a, A, B>(a: &'a mut A, b: &'a mut B) -> CopyBidirectional<'a, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    CopyBidirectional {
        a,
        b,
        there: Transfer::new(),
        back: Transfer::new(),
    }
}

/// Copies in both directions; made by [`copy_bidirectional`].
#[must_use = "futures do nothing unless polled"]
pub struct CopyBidirectional<'a, A: ?Sized, B: ?Sized> {
    a: &'a mut A,
    b: &'a mut B,
    there: Transfer,
    back: Transfer,
}

impl<A, B> Future for CopyBidirectional<'_, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<(u64, u64)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { a, b, there, back } = &mut *self;
        // Both are asked each time, so that neither keeps the other waiting.
        let there = there.poll(cx, a, b)?;
        let back = back.poll(cx, b, a)?;
        Poll::Ready(Ok((ready!(there), ready!(back))))
    }
}

impl<A: ?Sized, B: ?Sized> fmt::Debug for CopyBidirectional<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("there", &self.there.n_copied)
            .field("back", &self.back.n_copied)
            .finish()
    }
}

/// One direction.
struct Transfer {
    buffer: Box<[u8]>,
    /// What has been read and not been written.
    start: usize,
    end: usize,
    n_copied: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Copying,
    /// The source has ended and all is written: the sink is being told.
    Closing,
    Over,
}

impl Transfer {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
            n_copied: 0,
            stage: Stage::Copying,
        }
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        if self.stage == Stage::Copying {
            ready!(self.poll_copy(cx, source, sink))?;
            self.stage = Stage::Closing;
        }
        if self.stage == Stage::Closing {
            ready!(Pin::new(sink).poll_close(cx))?;
            self.stage = Stage::Over;
        }
        Poll::Ready(Ok(self.n_copied))
    }

    /// Copies until the source has ended.
    fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            if self.start == self.end {
                let read = Pin::new(&mut *source).poll_read(cx, &mut self.buffer);
                let Poll::Ready(n_read) = read? else {
                    // A sink that gathers must not keep what there is until more comes.
                    ready!(Pin::new(&mut *sink).poll_flush(cx))?;
                    return Poll::Pending;
                };
                if n_read == 0 {
                    return Poll::Ready(Ok(()));
                }
                (self.start, self.end) = (0, n_read);
            }
            let rest = &self.buffer[self.start..self.end];
            let n_written = ready!(Pin::new(&mut *sink).poll_write(cx, rest))?;
            if n_written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += n_written;
            self.n_copied += n_written as u64;
        }
    }
}
