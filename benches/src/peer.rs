//! What a workload asks of a runtime.
//!
//! Every workload is written once, generic over [`Peer`]; what differs between runtimes is in one adapter
//! each, written the way that runtime's users would write it (`JoinSet` on Tokio, async-channel on smol).
//! An adapter adds no allocation and no synchronisation of its own to what it measures.

mod flume;
mod ours;
mod smol;
mod tokio;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use self::ours::Ours;
pub use self::smol::Smol;
pub use self::tokio::Tokio;

/// A runtime under measurement, started with a number of workers.
///
/// The functions without `self` are called from inside its [`block_on`](Self::block_on) or its tasks.
pub trait Peer: Sized + Send + Sync + 'static {
    /// The name in tables.
    const NAME: &'static str;

    /// What awaits a task's output; it panics when the task did.
    type Task<T: Send + 'static>: Future<Output = T> + Send + Unpin + 'static;
    /// The sending half of [`oneshot`](Self::oneshot).
    type Reply<T: Send + 'static>: Reply<T>;
    /// The receiving half of [`oneshot`](Self::oneshot).
    type Answer<T: Send + 'static>: Answer<T>;
    /// The sending half of a queue.
    type Putter<T: Send + 'static>: Put<T>;
    /// The receiving half of a queue with one consumer.
    type Getter<T: Send + 'static>: Get<T>;
    /// The receiving half of a queue with many consumers.
    type SharedGetter<T: Send + 'static>: Get<T> + Clone;
    /// A lock around a number.
    type Lock: Lock;
    /// A counting semaphore.
    type Permits: Permits;
    /// What releases everyone who waits.
    type Broadcast: Broadcast;
    /// A lock around a number, that many may read.
    type SharedLock: SharedLock;
    /// What wakes one who waits, now or later.
    type Bell: Bell;
    /// The sending half of a channel with one receiver.
    type Sender<T: Send + 'static>: Put<T>;
    /// The receiving half of a channel with one receiver.
    type Receiver<T: Send + 'static>: Get<T>;
    /// What sends each number to all who follow it.
    type News: News;
    /// What keeps the latest number for all who watch it.
    type Latest: Latest;
    /// A TCP listener.
    type Listener: Listener<Connection = Self::Connection>;
    /// A TCP connection.
    type Connection: Connection;
    /// A file that is read.
    type File: ReadFile;

    /// Starts `workers` worker threads.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread or a poller.
    fn start(workers: usize) -> io::Result<Self>;

    /// Runs `future` on the calling thread, which is none of the workers.
    fn block_on<F: Future>(&self, future: F) -> F::Output;

    /// Starts a task.
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Starts a task that nobody will join.
    fn spawn_detached<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(Self::spawn(future));
    }

    /// Starts a task from a thread that does not belong to the runtime.
    fn spawn_outside<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Runs `work` on a thread that may block.
    fn spawn_blocking<T, F>(work: F) -> Self::Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// Adds up the outputs of children that belong together, as this runtime's users would write it.
    fn group<F>(
        children: impl Iterator<Item = F> + Send + 'static,
    ) -> impl Future<Output = u64> + Send
    where
        F: Future<Output = u64> + Send + 'static;

    /// Lets the other tasks run.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Waits for `duration`.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;

    /// Waits for `future`, for `duration` at most; `None` when the time is up.
    fn timeout<F>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send;

    /// A channel for one value.
    fn oneshot<T: Send + 'static>() -> (Self::Reply<T>, Self::Answer<T>);

    /// A bounded queue with one consumer.
    fn queue<T: Send + 'static>(capacity: usize) -> (Self::Putter<T>, Self::Getter<T>);

    /// A bounded queue with many consumers.
    fn shared_queue<T: Send + 'static>(capacity: usize)
    -> (Self::Putter<T>, Self::SharedGetter<T>);

    /// A bounded channel with one receiver.
    fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Listens on a free port of the loopback address.
    fn listen() -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects, without Nagle's delay.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Opens a file for reading.
    fn open(path: &'static str) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Copies so many zeros to `sink`, with the runtime's own function for copying.
    fn copy_zeros(length: u64, sink: &mut Vec<u8>) -> impl Future<Output = io::Result<u64>> + Send;
}

/// The half of a oneshot that answers.
pub trait Reply<T>: Send + 'static {
    /// Hands the value over; someone must still be waiting for it.
    fn send(self, value: T);
}

/// The half of a oneshot that waits.
pub trait Answer<T>: Send + 'static {
    /// Waits for the value.
    fn receive(self) -> impl Future<Output = T> + Send;
}

/// The half of a queue that puts.
pub trait Put<T>: Clone + Send + Sync + 'static {
    /// Waits for a place and puts `item` there.
    fn put(&self, item: T) -> impl Future<Output = ()> + Send;

    /// Puts `item`, from anywhere, into a queue that is known to have a place.
    fn put_at_once(&self, item: T);

    /// Ends the queue: getters drain it, then see its end. Called when no other putter is left.
    fn close(self);
}

/// The half of a queue that gets.
pub trait Get<T>: Send + 'static {
    /// Waits for an item; `None` once the queue is closed and empty.
    fn get(&mut self) -> impl Future<Output = Option<T>> + Send;
}

/// A lock around a number.
pub trait Lock: Send + Sync + 'static {
    /// A lock that holds zero.
    fn new() -> Self;

    /// Waits for the lock.
    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send;
}

/// A counting semaphore.
pub trait Permits: Send + Sync + 'static {
    /// A semaphore with so many permits.
    fn new(permits: usize) -> Self;

    /// Waits for a permit, which goes back when dropped.
    fn acquire(&self) -> impl Future<Output = impl Send> + Send;
}

/// What releases everyone who waits, once.
pub trait Broadcast: Send + Sync + 'static {
    /// Nobody waits yet.
    fn new() -> Self;

    /// Waits, from the first poll on, for the [`release`](Self::release).
    fn wait(&self) -> impl Future<Output = ()> + Send;

    /// Releases those who wait.
    fn release(&self);
}

/// A lock around a number, that many may read.
pub trait SharedLock: Send + Sync + 'static {
    /// A lock that holds zero.
    fn new() -> Self;

    /// Waits until it may be read.
    fn read(&self) -> impl Future<Output = impl Deref<Target = u64> + Send> + Send;

    /// Waits until it may be written.
    fn write(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send;
}

/// What wakes one who waits; one ring is kept if nobody does.
pub trait Bell: Send + Sync + 'static {
    /// Nobody has rung.
    fn new() -> Self;

    /// Wakes one.
    fn ring(&self);

    /// Waits for a ring.
    fn heard(&self) -> impl Future<Output = ()> + Send;
}

/// What sends each number to all who follow it.
pub trait News: Send + Sync + 'static {
    /// Who gets each number.
    type Follower: Follower;

    /// Keeps so many numbers for those who are slow.
    fn new(capacity: usize) -> Self;

    /// Follows what is sent from now on.
    fn follow(&self) -> Self::Follower;

    /// Sends a number, for which there is room.
    fn send(&self, number: u64);
}

/// What keeps the latest number for all who watch it.
pub trait Latest: Send + Sync + 'static {
    /// Who watches it.
    type Watcher: Follower;

    /// It is zero.
    fn new() -> Self;

    /// Watches it from now on.
    fn watch(&self) -> Self::Watcher;

    /// Sets it, and tells those who watch.
    fn set(&self, number: u64);
}

/// Who is told numbers.
pub trait Follower: Send + 'static {
    /// Waits for the next number, or the next change.
    fn next(&mut self) -> impl Future<Output = u64> + Send;
}

/// A TCP listener.
pub trait Listener: Send + 'static {
    /// What it accepts.
    type Connection: Connection;

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn address(&self) -> io::Result<SocketAddr>;

    /// Accepts a connection, without Nagle's delay.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// A TCP connection.
pub trait Connection: Send + 'static {
    /// Reads what is there, or waits for it; zero at the end.
    fn read<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes all of `bytes`.
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> impl Future<Output = io::Result<()>> + Send;
}

/// A file that is read.
pub trait ReadFile: Send + 'static {
    /// Reads what comes next; zero at the end.
    fn read<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send;
}

/// A future of a result, turned into one of its value: a failure in a workload ends the run.
#[derive(Debug)]
pub struct Unwrapped<F>(F);

impl<F, T, E> Future for Unwrapped<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
    E: std::fmt::Display,
{
    type Output = T;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx).map(|result| match result {
            Ok(value) => value,
            Err(error) => panic!("part of a workload failed: {error}"),
        })
    }
}
