//! Traits for reading and writing, and the helpers that make them handy.
//!
//! The traits are those of `futures-io`, the helpers those of `futures-lite`: what implements the former,
//! from this crate or another, has the latter.
//!
//! # Cancel safety
//!
//! A single [`read`](AsyncReadExt::read) or [`write`](AsyncWriteExt::write) of a socket or file of this crate
//! loses nothing when it is dropped. Helpers that make several calls, such as
//! [`read_exact`](AsyncReadExt::read_exact), [`write_all`](AsyncWriteExt::write_all) and [`copy`], lose
//! what they had read into a buffer of their own, or forget how much they had written.

pub use futures_lite::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufWriter, Cursor, Empty, Error, ErrorKind, Repeat, Result, SeekFrom,
    Sink, copy, empty, repeat, sink,
};
