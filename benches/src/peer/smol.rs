//! smol's executor on threads of its own, with async-channel, async-lock and event-listener.
//!
//! smol has no oneshot channel and no notification that is kept; its users take an async-channel of one place for
//! either, and so do we. To send something to everyone they take async-broadcast. There is nothing of theirs that
//! keeps the latest value: Tokio's `watch`, which runs on any executor, stands in.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::thread::JoinHandle;
use std::time::Duration;

use event_listener::Event;
use smol::channel::{self, Receiver, Sender};
use smol::fs::File;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::{Mutex, RwLock, Semaphore};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, Task, Timer, future};

use super::{
    Answer, Bell, Broadcast, Connection, Follower, Get, Listener, Lock, News, Peer, Permits, Put,
    ReadFile, Reply, SharedLock,
};

/// Where `spawn` puts tasks, as `smol::spawn` has it, but without its own threads.
static EXECUTOR: Executor<'static> = Executor::new();

/// smol's executor with its worker threads; the last one dropped leaves the executor without any.
pub struct Smol {
    stop: Sender<()>,
    workers: Vec<JoinHandle<()>>,
}

impl Peer for Smol {
    const NAME: &'static str = "smol";

    type Task<T: Send + 'static> = Task<T>;
    type Reply<T: Send + 'static> = Sender<T>;
    type Answer<T: Send + 'static> = Receiver<T>;
    type Putter<T: Send + 'static> = Sender<T>;
    type Getter<T: Send + 'static> = Receiver<T>;
    type SharedGetter<T: Send + 'static> = Receiver<T>;
    type Lock = Mutex<u64>;
    type Permits = Semaphore;
    type Broadcast = Event;
    type SharedLock = RwLock<u64>;
    type Bell = Kept;
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;
    type News = Overtaken;
    type Latest = tokio::sync::watch::Sender<u64>;
    type Listener = TcpListener;
    type Connection = TcpStream;
    type File = File;

    fn start(workers: usize) -> io::Result<Self> {
        let (stop, stopped) = channel::bounded(1);
        let workers = (0..workers)
            .map(|_| {
                let stopped: Receiver<()> = stopped.clone();
                std::thread::Builder::new()
                    .name("smol".into())
                    .spawn(move || {
                        // An error is how a closed channel says stop.
                        let _ = smol::block_on(EXECUTOR.run(stopped.recv()));
                    })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { stop, workers })
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        smol::block_on(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        EXECUTOR.spawn(future)
    }

    #[inline]
    fn spawn_detached<F>(future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        EXECUTOR.spawn(future).detach();
    }

    fn spawn_outside<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        EXECUTOR.spawn(future)
    }

    #[inline]
    fn spawn_blocking<T, F>(work: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        smol::unblock(work)
    }

    async fn group<F>(children: impl Iterator<Item = F> + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let tasks: Vec<_> = children.map(|child| EXECUTOR.spawn(child)).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        future::yield_now()
    }

    async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    fn timeout<F>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        future::or(async { Some(future.await) }, async move {
            Timer::after(duration).await;
            None
        })
    }

    fn oneshot<T: Send + 'static>() -> (Sender<T>, Receiver<T>) {
        channel::bounded(1)
    }

    fn queue<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel::bounded(capacity)
    }

    fn shared_queue<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel::bounded(capacity)
    }

    fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel::bounded(capacity)
    }

    async fn listen() -> io::Result<TcpListener> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn open(path: &'static str) -> io::Result<File> {
        File::open(path).await
    }

    async fn copy_zeros(length: u64, sink: &mut Vec<u8>) -> io::Result<u64> {
        smol::io::copy(smol::io::repeat(0).take(length), sink).await
    }
}

impl ReadFile for File {
    fn read<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        AsyncReadExt::read(self, buffer)
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        Sender::close(&self.stop);
        for worker in self.workers.drain(..) {
            worker.join().expect("a worker panicked");
        }
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Reply<T> for Sender<T> {
    #[inline]
    fn send(self, value: T) {
        assert!(self.try_send(value).is_ok(), "nobody waits for the value");
    }
}

impl<T: Send + 'static> Answer<T> for Receiver<T> {
    #[inline]
    async fn receive(self) -> T {
        self.recv().await.expect("the sender is gone")
    }
}

impl<T: Send + 'static> Put<T> for Sender<T> {
    #[inline]
    async fn put(&self, item: T) {
        assert!(Sender::send(self, item).await.is_ok(), "the getter is gone");
    }

    #[inline]
    fn put_at_once(&self, item: T) {
        assert!(self.try_send(item).is_ok(), "the queue has a place");
    }

    fn close(self) {
        Sender::close(&self);
    }
}

impl<T: Send + 'static> Get<T> for Receiver<T> {
    #[inline]
    async fn get(&mut self) -> Option<T> {
        self.recv().await.ok()
    }
}

impl Lock for Mutex<u64> {
    fn new() -> Self {
        Mutex::new(0)
    }

    #[inline]
    fn lock(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.lock()
    }
}

impl Permits for Semaphore {
    fn new(permits: usize) -> Self {
        Semaphore::new(permits)
    }

    #[inline]
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire()
    }
}

impl Broadcast for Event {
    fn new() -> Self {
        Event::new()
    }

    async fn wait(&self) {
        self.listen().await;
    }

    fn release(&self) {
        self.notify(usize::MAX);
    }
}

impl SharedLock for RwLock<u64> {
    fn new() -> Self {
        RwLock::new(0)
    }

    #[inline]
    fn read(&self) -> impl Future<Output = impl Deref<Target = u64> + Send> + Send {
        self.read()
    }

    #[inline]
    fn write(&self) -> impl Future<Output = impl DerefMut<Target = u64> + Send> + Send {
        self.write()
    }
}

/// A channel of one place: what is in it is a ring that nobody has heard.
#[derive(Debug)]
pub struct Kept(Sender<()>, Receiver<()>);

impl Bell for Kept {
    fn new() -> Self {
        let (sender, receiver) = channel::bounded(1);
        Self(sender, receiver)
    }

    #[inline]
    fn ring(&self) {
        // An error says that one is kept already.
        let _ = self.0.try_send(());
    }

    #[inline]
    async fn heard(&self) {
        self.1.recv().await.expect("both ends are here");
    }
}

/// async-broadcast, with the oldest value going when there is no room. The channel would close if nobody followed at some
/// moment, but for a receiver that only keeps it open.
#[derive(Debug)]
pub struct Overtaken(
    async_broadcast::Sender<u64>,
    #[allow(dead_code)] async_broadcast::InactiveReceiver<u64>,
);

impl News for Overtaken {
    type Follower = async_broadcast::Receiver<u64>;

    fn new(capacity: usize) -> Self {
        let (mut sender, receiver) = async_broadcast::broadcast(capacity);
        sender.set_overflow(true);
        Self(sender, receiver.deactivate())
    }

    fn follow(&self) -> async_broadcast::Receiver<u64> {
        self.0.new_receiver()
    }

    #[inline]
    fn send(&self, number: u64) {
        self.0.try_broadcast(number).expect("somebody follows");
    }
}

impl Follower for async_broadcast::Receiver<u64> {
    #[inline]
    async fn next(&mut self) -> u64 {
        self.recv().await.expect("nothing was missed")
    }
}

impl Listener for TcpListener {
    type Connection = TcpStream;

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connection for TcpStream {
    #[inline]
    fn read<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send {
        AsyncReadExt::read(self, buffer)
    }

    #[inline]
    fn write_all<'a>(&'a mut self, bytes: &'a [u8]) -> impl Future<Output = io::Result<()>> + Send {
        AsyncWriteExt::write_all(self, bytes)
    }
}
