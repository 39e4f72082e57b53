//! Reading up to one of several separators.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncBufRead;

/// Reads into `buffer` up to and with the first of `separators`; which one it was, or `None` if the input ended before.
///
/// What is in `buffer` already counts as read: it is searched too, and it counts for the limit. So a call that was given up, or
/// has hit the limit, is continued by another one with the same buffer. What comes after the separator stays
/// in the reader, or, if it was in `buffer`, there. If two separators end at the same place it is the longer one.
///
/// # Cancel safety
///
/// Nothing is lost: what was read is in `buffer`, the rest in the reader.
///
/// # Errors
///
/// [`InvalidData`](io::ErrorKind::InvalidData) with a [`LimitReached`] inside, if there is no separator within `limit`
/// bytes: they are in `buffer`, and nothing has been read beyond them. Those of the reader.
///
/// # Panics
///
/// At the first poll, if there is no separator, or an empty one.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{BufReader, read_until_any};
/// # rt_tasks_runtime::block_on(async {
/// let mut input = BufReader::new(&b"one\r\ntwo;three"[..]);
/// let mut line = Vec::new();
/// let which = read_until_any(&mut input, &[b"\r\n", b";"], 100, &mut line).await?;
/// assert_eq!((which, &line[..]), (Some(0), &b"one\r\n"[..]));
/// line.clear();
/// assert_eq!(read_until_any(&mut input, &[b"\r\n", b";"], 100, &mut line).await?, Some(1));
/// line.clear();
/// assert!(read_until_any(&mut input, &[b";"], 3, &mut line).await.is_err());
/// assert_eq!(line, b"thr", "it is kept");
/// assert_eq!(read_until_any(&mut input, &[b";"], 100, &mut line).await?, None);
/// assert_eq!(line, b"three");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "readuntil")]
pub fn read_until_any<'a, R: AsyncBufRead + Unpin + ?Sized>(
    reader: &'a mut R,
    separators: &'a [&'a [u8]],
    limit: usize,
    buffer: &'a mut Vec<u8>,
) -> ReadUntilAny<'a, R> {
    ReadUntilAny {
        reader,
        separators,
        limit,
        buffer,
        n_searched: 0,
    }
}

/// Reads up to a separator; made by [`read_until_any`].
#[must_use = "futures do nothing unless polled"]
pub struct ReadUntilAny<'a, R: ?Sized> {
    reader: &'a mut R,
    separators: &'a [&'a [u8]],
    limit: usize,
    buffer: &'a mut Vec<u8>,
    /// No separator ends within so many bytes of the buffer.
    n_searched: usize,
}

impl<R: ?Sized> ReadUntilAny<'_, R> {
    /// Looks for the place where a separator ends, in what is new.
    fn search(&mut self) -> Option<(usize, usize)> {
        let last_bytes = |byte: &u8| self.separators.iter().any(|s| s.last() == Some(byte));
        let mut from = self.n_searched;
        while let Some(place) = self.buffer[from..].iter().position(last_bytes) {
            let end = from + place + 1;
            let ending = self.separators.iter().enumerate();
            let found = ending
                .filter(|(_, separator)| self.buffer[..end].ends_with(separator))
                .max_by_key(|(_, separator)| separator.len());
            if let Some((which, _)) = found {
                return Some((which, end));
            }
            from = end;
        }
        self.n_searched = self.buffer.len();
        None
    }
}

impl<R: AsyncBufRead + Unpin + ?Sized> Future for ReadUntilAny<'_, R> {
    type Output = io::Result<Option<usize>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let is_sound = !this.separators.is_empty() && this.separators.iter().all(|s| !s.is_empty());
        assert!(
            is_sound,
            "without a separator there is nothing to read up to"
        );
        if let Some((which, _)) = this.search() {
            return Poll::Ready(Ok(Some(which)));
        }
        loop {
            let n_wanted = this.limit.saturating_sub(this.buffer.len());
            if n_wanted == 0 {
                let reached = LimitReached { limit: this.limit };
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reached)));
            }
            let available = ready!(Pin::new(&mut *this.reader).poll_fill_buf(cx))?;
            if available.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let n_before = this.buffer.len();
            let n_taken = available.len().min(n_wanted);
            this.buffer.extend_from_slice(&available[..n_taken]);
            let found = this.search();
            if let Some((_, end)) = found {
                this.buffer.truncate(end);
            }
            Pin::new(&mut *this.reader).consume(this.buffer.len() - n_before);
            if let Some((which, _)) = found {
                return Poll::Ready(Ok(Some(which)));
            }
        }
    }
}

impl<R: ?Sized> fmt::Debug for ReadUntilAny<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadUntilAny")
            .field("limit", &self.limit)
            .field("read", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// There was no separator within the limit; see [`read_until_any`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitReached {
    limit: usize,
}

impl LimitReached {
    /// How many bytes were allowed.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no separator within {} bytes", self.limit)
    }
}

impl Error for LimitReached {}
