//! Traits for reading and writing, the helpers that make them handy, and what reads and writes without a system:
//! standard input and output, pipes in memory.
//!
//! The traits are those of `futures-io`, most helpers those of `futures-lite`: what implements the former,
//! from this crate or another, has the latter. So libraries for framing and the like that are made for `futures-io`
//! work as they are.
//!
//! # Cancel safety
//!
//! A single [`read`](AsyncReadExt::read) or [`write`](AsyncWriteExt::write) of a socket, pipe or file of this crate
//! loses nothing when it is dropped. Helpers that make several calls, such as
//! [`read_exact`](AsyncReadExt::read_exact), [`write_all`](AsyncWriteExt::write_all) and [`copy`], lose
//! what they had read into a buffer of their own, or forget how much they had written. [`read_until_any`] keeps what it
//! has read, and so do [`lines`](AsyncBufReadExt::lines).

mod copy_bidirectional;
#[cfg(all(unix, feature = "fs", feature = "net"))]
mod copy_file;
mod duplex;
mod read_until;
mod stdin;
mod stdout;

pub use copy_bidirectional::{CopyBidirectional, copy_bidirectional};
#[cfg(all(unix, feature = "fs", feature = "net"))]
pub use copy_file::{CopyFile, TakesFile, copy_file};
pub use duplex::{DuplexStream, duplex};
pub use futures_lite::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufWriter, Cursor, Empty, Error, ErrorKind, Repeat, Result, SeekFrom,
    Sink, copy, empty, repeat, sink,
};
pub use read_until::{LimitReached, ReadUntilAny, read_until_any};
pub use stdin::{Stdin, stdin};
pub use stdout::{Stderr, Stdout, stderr, stdout};
