//! Sending a file without taking it into this process first.
//!
//! The system sends straight from its page cache (`sendfile`). What is not in the cache would have to come from the disk
//! first, and the call would block the task's worker meanwhile. So for each piece the cache is asked:
//!
//! ```text
//!   choose ── in the cache ──> send ─────────────┐
//!     │ └──── not, or unknown ──> read on the pool ──> write ──┐
//!     └<─────────────────────────────────────────┴─────────────┘
//! ```

use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use rt_tasks_runtime::reactor::Direction;

use crate::fs::{File, Operation, is_cached, send};
use crate::net::connection::Connection;

/// What the cache is asked for at once.
const PIECE: u64 = 256 * 1024;

/// Sends a file to a connection, from its beginning to its end; gives how many bytes that were.
///
/// [`CopyFile::range`] sends a part. The position of the file is neither used nor changed, and bytes
/// that have been written to it and not flushed may be missing.
///
/// # Cancel safety
///
/// Nothing is lost: [`CopyFile::copied`] tells how much has been sent, also after an error or when the future is not
/// polled any more.
///
/// # Errors
///
/// Those of reading the file and of writing to the connection.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// use rt::net::{TcpListener, TcpStream};
/// # rt_tasks_runtime::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
///
/// let file = rt::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).await?;
/// let copied = rt::io::copy_file(&file, &mut server).range(1..8).await?;
/// assert_eq!(copied, 7);
/// server.close().await?;
/// let mut heard = String::new();
/// client.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "package");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "sendfile")]
pub fn copy_file<'a, W: TakesFile>(file: &File, to: &'a mut W) -> CopyFile<'a, W> {
    CopyFile {
        file: file.shared(),
        to,
        begin: 0,
        at: 0,
        end: u64::MAX,
        stage: Stage::Choose,
        may_send: true,
    }
}

/// What the system can send a file to: the sockets and pipes of [`net`](crate::net), and the halves of them that write.
pub trait TakesFile: AsyncWrite + Connection + Unpin {}

impl<W: AsyncWrite + Connection + Unpin> TakesFile for W {}

/// Sends a file; made by [`copy_file`].
#[must_use = "futures do nothing unless polled"]
pub struct CopyFile<'a, W> {
    file: Arc<fs::File>,
    to: &'a mut W,
    begin: u64,
    /// What is to be sent next.
    at: u64,
    end: u64,
    stage: Stage,
    /// The system has not said yet that it cannot send this file.
    may_send: bool,
}

enum Stage {
    Choose,
    Send { until: u64 },
    Read(Operation<Vec<u8>>),
    Write { bytes: Vec<u8>, n_written: usize },
    Over,
}

impl<W> CopyFile<'_, W> {
    /// Sends only these bytes of the file, as far as there are so many.
    ///
    /// To be called before the first poll.
    pub fn range(mut self, range: impl RangeBounds<u64>) -> Self {
        self.begin = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        self.end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        self.at = self.begin;
        self
    }

    /// How many bytes have been sent so far.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.at - self.begin
    }

    /// How the next piece is to be sent.
    fn choose(&self) -> Stage {
        let len = self.end.saturating_sub(self.at).min(PIECE);
        if len == 0 {
            return Stage::Over;
        }
        let (file, at) = (self.file.clone(), self.at);
        if self.may_send && is_cached(&file, at, len) {
            return Stage::Send { until: at + len };
        }
        Stage::Read(Operation::new(move || {
            let mut bytes = vec![0; len as usize];
            let n_read = file.read_at(&mut bytes, at)?;
            bytes.truncate(n_read);
            Ok(bytes)
        }))
    }
}

impl<W: TakesFile> Future for CopyFile<'_, W> {
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        loop {
            this.stage = match &mut this.stage {
                Stage::Choose => this.choose(),
                Stage::Send { until } => {
                    let (at, until) = (this.at, *until);
                    let file = &*this.file;
                    let send = |to: &W::Io| send(to.as_fd(), file, at, until - at);
                    match ready!(this.to.source().poll_io(Direction::Write, cx, send)) {
                        // The file has become shorter.
                        Ok(0) => Stage::Over,
                        Ok(n_sent) => {
                            this.at += n_sent as u64;
                            match this.at == until {
                                true => Stage::Choose,
                                false => Stage::Send { until },
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                            this.may_send = false;
                            Stage::Choose
                        }
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Stage::Read(reading) => {
                    let bytes = ready!(Pin::new(reading).poll(cx))?;
                    match bytes.is_empty() {
                        true => Stage::Over,
                        false => Stage::Write {
                            bytes,
                            n_written: 0,
                        },
                    }
                }
                Stage::Write { bytes, n_written } => {
                    let rest = &bytes[*n_written..];
                    let n = ready!(Pin::new(&mut *this.to).poll_write(cx, rest))?;
                    if n == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    *n_written += n;
                    this.at += n as u64;
                    if *n_written < bytes.len() {
                        continue;
                    }
                    Stage::Choose
                }
                Stage::Over => return Poll::Ready(Ok(this.copied())),
            };
        }
    }
}

impl<W> fmt::Debug for CopyFile<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyFile")
            .field("file", &self.file)
            .field("copied", &self.copied())
            .finish_non_exhaustive()
    }
}
