//! The body of an answer: bytes from memory or a file, whole or spoiled by a fault.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use rt::fs::File;
use rt::io::AsyncRead;

use super::faults::Fault;

/// How much of a file is read and sent at a time.
const CHUNK: usize = 128 * 1024;

/// A body with a known length.
pub(crate) struct Content {
    source: Source,
    left: u64,
    /// Bytes until the connection is cut.
    left_until_cut: Option<u64>,
    /// Whether the next byte sent will be another.
    is_corrupted: bool,
}

enum Source {
    Memory(Bytes),
    File { file: File, buffer: Vec<u8> },
}

impl Content {
    pub(crate) fn memory(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Content::new(bytes.len() as u64, Source::Memory(bytes))
    }

    pub(crate) fn file(file: File, length: u64) -> Self {
        let buffer = vec![0; CHUNK];
        Content::new(length, Source::File { file, buffer })
    }

    fn new(left: u64, source: Source) -> Self {
        Content {
            source,
            left,
            left_until_cut: None,
            is_corrupted: false,
        }
    }

    /// Spoils the body.
    pub(crate) fn with(mut self, fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::Cut(part)) => self.left_until_cut = Some((self.left as f64 * part) as u64),
            Some(Fault::Corrupted) => self.is_corrupted = true,
            Some(Fault::Slow(_) | Fault::Refused) | None => {}
        }
        self
    }

    /// The next bytes of the source, at most `limit`.
    fn poll_source(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<Bytes>> {
        match &mut self.source {
            Source::Memory(bytes) => Poll::Ready(Ok(bytes.split_to(limit.min(bytes.len())))),
            Source::File { file, buffer } => {
                let limit = limit.min(buffer.len());
                let n = ready!(Pin::new(file).poll_read(cx, &mut buffer[..limit]))?;
                match n {
                    0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    n => Poll::Ready(Ok(Bytes::copy_from_slice(&buffer[..n]))),
                }
            }
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let limit = match self.left_until_cut {
            Some(0) => return Poll::Ready(Some(Err(io::Error::other("cut on demand")))),
            Some(left) => self.left.min(left),
            None => self.left,
        };
        if limit == 0 {
            return Poll::Ready(None);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut bytes = ready!(self.poll_source(cx, limit))?;
        let n = bytes.len() as u64;
        self.left -= n;
        if let Some(left) = &mut self.left_until_cut {
            *left -= n;
        }
        if self.is_corrupted && n > 0 {
            self.is_corrupted = false;
            let mut spoiled = bytes.to_vec();
            spoiled[0] ^= 0x20;
            bytes = spoiled.into();
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.left_until_cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
