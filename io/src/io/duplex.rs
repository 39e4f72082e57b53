//! A connection in memory, between two tasks: for tests, and to put one protocol into another.
//!
//! A ring of bytes for each direction, under a lock that is held for a copy. **Rejected**: `piper`, which has no lock, and
//! yields at random, so that a run could not be repeated.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::lock_std;

/// Makes two ends of a connection in memory: what is written to one is read from the other.
///
/// In each direction up to `capacity` bytes are on their way; who writes more waits. Closing an end lets the
/// other read the end once it has read the rest; it can still write. Once an end is dropped, writing to the other fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// # Panics
///
/// If the capacity is zero.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// # rt_tasks_runtime::block_on(async {
/// let (mut client, mut server) = rt::io::duplex(64);
/// client.write_all(b"ping").await?;
/// client.close().await?;
/// let mut heard = String::new();
/// server.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "ping");
///
/// server.write_all(b"pong").await?;
/// let mut answer = [0; 4];
/// client.read_exact(&mut answer).await?;
/// assert_eq!(&answer, b"pong");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
#[must_use]
pub fn duplex(capacity: usize) -> (DuplexStream, DuplexStream) {
    assert!(capacity > 0, "nothing fits into a pipe of no bytes");
    let (there, back) = (Direction::new(capacity), Direction::new(capacity));
    let near = DuplexStream {
        incoming: back.clone(),
        outgoing: there.clone(),
    };
    let far = DuplexStream {
        incoming: there,
        outgoing: back,
    };
    (near, far)
}

/// One end of a connection in memory; made by [`duplex`].
///
/// In each direction one task at a time may wait.
///
/// # Cancel safety
///
/// Nothing is lost: a read that is dropped has taken no byte, a write has written none.
pub struct DuplexStream {
    incoming: Arc<Direction>,
    outgoing: Arc<Direction>,
}

/// What is on its way from one end to the other.
struct Direction {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The writer has closed it or is gone.
    is_ended: bool,
    /// The reader is gone.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Direction {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
        })
    }

    /// Does something to the state, and wakes whom that returns when the lock is free again.
    fn change(&self, change: impl FnOnce(&mut State) -> Option<Waker>) {
        let waker = change(&mut lock_std(&self.state));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let waker = cx.waker().clone();
        let mut state = lock_std(&self.state);
        if state.bytes.is_empty() && !state.is_ended && !buffer.is_empty() {
            let before = state.reader.replace(waker);
            drop(state);
            drop(before);
            coop::restore();
            return Poll::Pending;
        }
        let n_read = state.bytes.read(buffer)?;
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Ok(n_read))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(coop::poll_proceed(cx));
        let waker = cx.waker().clone();
        let mut state = lock_std(&self.state);
        if state.is_deaf || state.is_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n_free = self.capacity - state.bytes.len();
        if n_free == 0 && !bytes.is_empty() {
            let before = state.writer.replace(waker);
            drop(state);
            drop(before);
            coop::restore();
            return Poll::Pending;
        }
        let n_written = state.bytes.write(&bytes[..bytes.len().min(n_free)])?;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(n_written))
    }

    /// The writer is through.
    fn end(&self) {
        self.change(|state| {
            state.is_ended = true;
            state.reader.take()
        });
    }

    /// The reader is gone.
    fn deafen(&self) {
        self.change(|state| {
            state.is_deaf = true;
            state.writer.take()
        });
    }
}

impl AsyncRead for DuplexStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.incoming.poll_read(cx, buffer)
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.deafen();
    }
}

impl fmt::Debug for DuplexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = |direction: &Direction| lock_std(&direction.state).bytes.len();
        f.debug_struct("DuplexStream")
            .field("incoming", &len(&self.incoming))
            .field("outgoing", &len(&self.outgoing))
            .field("capacity", &self.incoming.capacity)
            .finish()
    }
}
