//! The two directions of a connection, for two tasks.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rt_tasks_runtime::reactor::Source;

use super::TcpStream;
use super::connection::{Connection, reads, writes};

/// The direction to read, borrowed; made by the `split` of a stream such as [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a, S = TcpStream>(&'a S);

/// The direction to write, borrowed; made by the `split` of a stream such as [`TcpStream::split`].
///
/// Unlike [`OwnedWriteHalf`] it does not end the direction when it is dropped.
#[derive(Debug)]
pub struct WriteHalf<'a, S = TcpStream>(&'a S);

/// The direction to read; made by the `into_split` of a stream such as [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf<S = TcpStream>(Arc<S>);

/// The direction to write; made by the `into_split` of a stream such as [`TcpStream::into_split`].
///
/// Dropping it ends the direction: the peer reads the end. [`reunite`](OwnedReadHalf::reunite) and
/// [`forget`](Self::forget) do not.
#[derive(Debug)]
pub struct OwnedWriteHalf<S = TcpStream> {
    stream: Arc<S>,
    /// A function pointer, so that the type needs no bound; none once the direction is not to be ended.
    finish: Option<fn(&S)>,
}

pub(super) fn borrowed<S>(stream: &mut S) -> (ReadHalf<'_, S>, WriteHalf<'_, S>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn owned<S: Connection>(stream: S) -> (OwnedReadHalf<S>, OwnedWriteHalf<S>) {
    let stream = Arc::new(stream);
    let write = OwnedWriteHalf {
        stream: stream.clone(),
        // An error says that the connection has ended already.
        finish: Some(|stream| drop(stream.finish())),
    };
    (OwnedReadHalf(stream), write)
}

impl<S> OwnedReadHalf<S> {
    /// Puts the two halves of one connection together again.
    ///
    /// # Errors
    ///
    /// They are of different connections; both come back inside.
    pub fn reunite(self, write: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }
        write.forget();
        Ok(Arc::into_inner(self.0).expect("a connection has two halves, and one has just gone"))
    }
}

impl<S> OwnedWriteHalf<S> {
    /// Drops the half without ending the direction, which then ends with the other half.
    pub fn forget(mut self) {
        self.finish = None;
    }
}

impl<S> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if let Some(finish) = self.finish {
            finish(&self.stream);
        }
    }
}

macro_rules! half {
    ([$($generics:tt)*] $half:ty, $stream:tt) => {
        impl<$($generics)*> AsRef<S> for $half {
            fn as_ref(&self) -> &S {
                &self.$stream
            }
        }

        impl<$($generics)*> Connection for $half
        where
            S: Connection,
        {
            type Io = S::Io;

            fn source(&self) -> &Source<S::Io> {
                self.$stream.source()
            }
        }
    };
}

half!(['a, S] ReadHalf<'a, S>, 0);
half!(['a, S] WriteHalf<'a, S>, 0);
half!([S] OwnedReadHalf<S>, 0);
half!([S] OwnedWriteHalf<S>, stream);

reads!(['a, S: Connection] ReadHalf<'a, S>);
reads!([S: Connection] OwnedReadHalf<S>);
writes!(['a, S: Connection] WriteHalf<'a, S>);
writes!([S: Connection] OwnedWriteHalf<S>);

/// Two halves that were to be put together are not of one connection.
pub struct ReuniteError<S = TcpStream>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S> fmt::Debug for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are of different connections")
    }
}

impl<S> Error for ReuniteError<S> {}
