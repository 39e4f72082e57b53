//! A descriptor that tasks can wait for: what sockets and `AsyncFd` are built of.
//!
//! An operation tries the system call and parks only when that would block; how that loses no wake-up is
//! told in `slot.rs`. There are two ways to wait. *Poll-style* operations have one place for a waker in each
//! direction, which costs nothing but the waker: right for `AsyncRead`, where one task reads. *Futures*
//! ([`Source::ready`], [`Source::run`]) each have an entry in a list: right for many tasks that accept.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use polling::AsSource;

use super::slot::{Direction, Slot, Snapshot};
use super::table::Key;
use super::wait::SHORT_READ_DRAINS;
use super::{Reactor, closed_error};
use crate::wait::{self, WaitKind};
use crate::{context, coop};

/// What a [`Source`] must never find missing: only `Drop` and `into_inner` take it.
const HELD: &str = "a source holds its descriptor until it is dropped";

/// A descriptor of type `T`, registered with a reactor for both directions as long as it lives.
///
/// The descriptor must be in non-blocking mode. It is closed when the source is dropped, with `T`.
pub struct Source<T: AsSource> {
    reactor: Arc<Reactor>,
    key: Key,
    /// Empty only while the source is taken apart.
    io: Option<T>,
}

impl<T: AsSource> Source<T> {
    /// Registers `io` with the reactor of the current runtime.
    ///
    /// It counts as ready at first: operations try before they wait.
    ///
    /// # Errors
    ///
    /// There is no runtime here or it has been shut down, or the system refuses, as for a regular file.
    pub fn new(io: T) -> io::Result<Self> {
        Self::with_reactor(context::current_reactor()?, io)
    }

    /// Registers a socket that is about to be connected: it is ready at its first event.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn connecting(io: T) -> io::Result<Self> {
        Self::register(context::current_reactor()?, io, Expect::Event)
    }

    /// Registers `io` with a given reactor.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_reactor(reactor: Arc<Reactor>, io: T) -> io::Result<Self> {
        Self::register(reactor, io, Expect::Ready)
    }

    fn register(reactor: Arc<Reactor>, io: T, expect: Expect) -> io::Result<Self> {
        let key = reactor.table.insert(expect == Expect::Ready)?;
        if let Err(error) = reactor.poller.add(&io, key) {
            reactor.table.remove(key);
            return Err(error);
        }
        Ok(Self {
            reactor,
            key,
            io: Some(io),
        })
    }

    /// The descriptor.
    #[inline]
    pub fn io(&self) -> &T {
        self.io.as_ref().expect(HELD)
    }

    /// The descriptor, to be changed. It must stay the same descriptor.
    pub fn io_mut(&mut self) -> &mut T {
        self.io.as_mut().expect(HELD)
    }

    /// Ends the registration and hands the descriptor back, still in non-blocking mode.
    pub fn into_inner(mut self) -> T {
        let io = self.io.take().expect(HELD);
        self.reactor.poller.remove(&io);
        io
    }

    #[inline]
    fn slot(&self) -> &Slot {
        self.reactor
            .table
            .get(self.key)
            .expect("the key is that of a slot")
    }

    /// Says what the running task waits for; `seen` is how it was before the task registered.
    fn note(&self, direction: Direction, seen: Snapshot) {
        let (reads, writes) = seen.waiting();
        let (kind, waited) = match direction {
            Direction::Read => (WaitKind::Readable, reads),
            Direction::Write => (WaitKind::Writable, writes),
        };
        let note = if waited { wait::goes_on } else { wait::begins };
        note(kind, self.key.number());
    }

    /// Polls for readiness; `Pending` has put the waker into the one place of this direction.
    #[inline]
    fn poll_look(&self, direction: Direction, cx: &Context<'_>) -> Poll<io::Result<Snapshot>> {
        let slot = self.slot();
        let mut seen = slot.look();
        if !seen.is_ready(direction) && !seen.is_closed() {
            let arm = |waiting| self.reactor.poller.arm(self.io(), self.key, waiting);
            match slot.register(direction, cx, context::seat_number(), arm) {
                Ok(()) => {
                    self.note(direction, seen);
                    return Poll::Pending;
                }
                Err(changed) => seen = changed,
            }
        }
        Poll::Ready(open(seen))
    }

    /// Waits, in the poll style, until the direction is ready; see [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// The runtime has been shut down.
    pub fn poll_ready(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(coop::poll_proceed(cx));
        let answer = self.poll_look(direction, cx);
        if answer.is_pending() {
            coop::restore();
        }
        answer.map_ok(|_| ())
    }

    /// Runs `operation` until it does not block, waiting in between, in the poll style.
    ///
    /// `operation` must be a non-blocking call in that direction on this descriptor.
    ///
    /// # Errors
    ///
    /// Those of the operation; or the runtime has been shut down.
    #[inline]
    pub fn poll_io<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_seeing(direction, cx, |io, _| operation(io))
    }

    /// Like [`poll_io`](Self::poll_io) for reading a byte stream into `len` bytes.
    ///
    /// A stream that gave less than was asked for is drained, so that the next read waits without asking
    /// first. Not for descriptors that end a read early for reasons of their own: datagrams, or Unix sockets,
    /// which stop at ancillary data.
    ///
    /// # Errors
    ///
    /// As for [`poll_io`](Self::poll_io).
    #[inline]
    pub fn poll_read_stream(
        &self,
        cx: &mut Context<'_>,
        len: usize,
        mut operation: impl FnMut(&T) -> io::Result<StreamRead>,
    ) -> Poll<io::Result<usize>> {
        self.poll_seeing(Direction::Read, cx, |io, seen| {
            let StreamRead { n_read, is_drained } = operation(io)?;
            let is_drained = is_drained || SHORT_READ_DRAINS && n_read < len;
            if is_drained && seen.is_sure() && n_read > 0 {
                self.slot().clear(Direction::Read, seen);
            }
            Ok(n_read)
        })
    }

    #[inline]
    fn poll_seeing<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T, Snapshot) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(coop::poll_proceed(cx));
        loop {
            let Poll::Ready(seen) = self.poll_look(direction, cx) else {
                coop::restore();
                return Poll::Pending;
            };
            let seen = seen?;
            match operation(self.io(), seen) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.slot().clear(direction, seen);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Runs `operation` once, if the direction is ready.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when it is not ready, or the operation found it used up; those of the operation; the
    /// runtime has been shut down.
    pub fn try_io<R>(
        &self,
        direction: Direction,
        operation: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let slot = self.slot();
        let seen = open(slot.look())?;
        if !seen.is_ready(direction) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = operation(self.io());
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            slot.clear(direction, seen);
        }
        result
    }

    /// Waits until the direction is ready. Any number of tasks may wait.
    ///
    /// Ready means that it is worth trying: another task may have been faster.
    pub fn ready(&self, direction: Direction) -> Ready<'_, T> {
        Ready {
            source: self,
            direction,
            id: None,
        }
    }

    /// Runs `operation` until it does not block, waiting in between. Any number of tasks may do so.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the operation runs and its result is returned within one poll.
    ///
    /// # Errors
    ///
    /// As for [`poll_io`](Self::poll_io).
    pub async fn run<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(direction).await?;
            match self.try_io(direction, &mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// What one read of a byte stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRead {
    /// So many bytes.
    pub n_read: usize,
    /// The system said that nothing is left, and that the stream has not ended. Without that a short read says so.
    pub is_drained: bool,
}

impl StreamRead {
    /// So many bytes, and no word about what is left.
    #[must_use]
    pub const fn new(n_read: usize) -> Self {
        Self {
            n_read,
            is_drained: false,
        }
    }
}

/// What a source expects of its descriptor when it is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Ready,
    Event,
}

/// Passes a snapshot on unless the reactor has been closed.
#[inline]
fn open(seen: Snapshot) -> io::Result<Snapshot> {
    if seen.is_closed() {
        Err(closed_error())
    } else {
        Ok(seen)
    }
}

impl<T: AsSource> Drop for Source<T> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            self.reactor.poller.remove(io);
        }
        self.reactor.table.remove(self.key);
        // The descriptor is closed after that, as a field.
    }
}

impl<T: AsSource + fmt::Debug> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(self.io()).finish()
    }
}

/// Waits until a source is ready; made by [`Source::ready`].
///
/// # Cancel safety
///
/// Nothing is lost: readiness stays until an operation has used it up.
#[must_use = "futures do nothing unless polled"]
pub struct Ready<'a, T: AsSource> {
    source: &'a Source<T>,
    direction: Direction,
    /// The entry in the list of the slot, once there is one.
    id: Option<u64>,
}

impl<T: AsSource> Future for Ready<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(coop::poll_proceed(cx));
        let Ready {
            source,
            direction,
            ref mut id,
        } = *self;
        let slot = source.slot();
        let mut seen = slot.look();
        if !seen.is_ready(direction) && !seen.is_closed() {
            let arm = |waiting| source.reactor.poller.arm(source.io(), source.key, waiting);
            match slot.listen(id, direction, cx, context::seat_number(), arm) {
                Ok(()) => {
                    source.note(direction, seen);
                    coop::restore();
                    return Poll::Pending;
                }
                Err(changed) => seen = changed,
            }
        }
        Poll::Ready(open(seen).map(|_| ()))
    }
}

impl<T: AsSource> Drop for Ready<'_, T> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.source.slot().forget(id);
        }
    }
}

impl<T: AsSource> fmt::Debug for Ready<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}
