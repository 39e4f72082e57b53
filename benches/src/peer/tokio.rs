//! Tokio's multi-thread runtime, with its own channels, locks and `JoinSet`.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{
    Answer, Bell, Broadcast, Connection, Follower, Get, Latest, Listener, Lock, News, Peer,
    Permits, Put, ReadFile, Reply, SharedLock, Unwrapped,
};

/// Tokio's multi-thread runtime.
#[derive(Debug)]
pub struct Tokio(Runtime);

impl Peer for Tokio {
    const NAME: &'static str = "Tokio";

    type Task<T: Send + 'static> = Unwrapped<JoinHandle<T>>;
    type Reply<T: Send + 'static> = oneshot::Sender<T>;
    type Answer<T: Send + 'static> = oneshot::Receiver<T>;
    type Putter<T: Send + 'static> = mpsc::Sender<T>;
    type Getter<T: Send + 'static> = mpsc::Receiver<T>;
    type SharedGetter<T: Send + 'static> = Arc<Mutex<mpsc::Receiver<T>>>;
    type Lock = Mutex<u64>;
    type Permits = Semaphore;
    type Broadcast = Notify;
    type SharedLock = RwLock<u64>;
    type Bell = Notify;
    type Sender<T: Send + 'static> = mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = mpsc::Receiver<T>;
    type News = broadcast::Sender<u64>;
    type Latest = watch::Sender<u64>;
    type Listener = TcpListener;
    type Connection = TcpStream;
    type File = File;

    fn start(workers: usize) -> io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .map(Self)
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    #[inline]
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Unwrapped(tokio::spawn(future))
    }

    fn spawn_outside<F>(&self, future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Unwrapped(self.0.spawn(future))
    }

    #[inline]
    fn spawn_blocking<T, F>(work: F) -> Self::Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Unwrapped(tokio::task::spawn_blocking(work))
    }

    async fn group<F>(children: impl Iterator<Item = F> + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let mut set: JoinSet<u64> = children.collect();
        let mut sum = 0;
        while let Some(output) = set.join_next().await {
            sum += output.expect("a child panicked");
        }
        sum
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }

    async fn timeout<F>(duration: Duration, future: F) -> Option<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        tokio::time::timeout(duration, future).await.ok()
    }

    fn oneshot<T: Send + 'static>() -> (Self::Reply<T>, Self::Answer<T>) {
        oneshot::channel()
    }

    fn queue<T: Send + 'static>(capacity: usize) -> (Self::Putter<T>, Self::Getter<T>) {
        mpsc::channel(capacity)
    }

    fn shared_queue<T: Send + 'static>(
        capacity: usize,
    ) -> (Self::Putter<T>, Self::SharedGetter<T>) {
        let (putter, getter) = mpsc::channel(capacity);
        (putter, Arc::new(Mutex::new(getter)))
    }

    fn channel<T: Send + 'static>(capacity: usize) -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::channel(capacity)
    }

    /// With the backlog of ours. `TcpListener::bind` has one of 128: of 1,000 clients that connect at once, hundreds would
    /// come a second later.
    async fn listen() -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        socket.listen(1024)
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
        tokio::io::copy(&mut tokio::io::repeat(0).take(length), sink).await
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

impl<T: Send + 'static> Reply<T> for oneshot::Sender<T> {
    #[inline]
    fn send(self, value: T) {
        assert!(
            oneshot::Sender::send(self, value).is_ok(),
            "nobody waits for the value"
        );
    }
}

impl<T: Send + 'static> Answer<T> for oneshot::Receiver<T> {
    #[inline]
    fn receive(self) -> impl Future<Output = T> + Send {
        Unwrapped(self)
    }
}

impl<T: Send + 'static> Put<T> for mpsc::Sender<T> {
    #[inline]
    async fn put(&self, item: T) {
        assert!(self.send(item).await.is_ok(), "the getter is gone");
    }

    #[inline]
    fn put_at_once(&self, item: T) {
        assert!(self.try_send(item).is_ok(), "the queue has a place");
    }

    fn close(self) {}
}

impl<T: Send + 'static> Get<T> for mpsc::Receiver<T> {
    #[inline]
    fn get(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }
}

impl<T: Send + 'static> Get<T> for Arc<Mutex<mpsc::Receiver<T>>> {
    #[inline]
    async fn get(&mut self) -> Option<T> {
        self.lock().await.recv().await
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
    async fn acquire(&self) -> impl Send {
        self.acquire().await.expect("the semaphore is open")
    }
}

impl Broadcast for Notify {
    fn new() -> Self {
        Notify::new()
    }

    fn wait(&self) -> impl Future<Output = ()> + Send {
        self.notified()
    }

    fn release(&self) {
        self.notify_waiters();
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

impl Bell for Notify {
    fn new() -> Self {
        Notify::new()
    }

    #[inline]
    fn ring(&self) {
        self.notify_one();
    }

    #[inline]
    fn heard(&self) -> impl Future<Output = ()> + Send {
        self.notified()
    }
}

impl News for broadcast::Sender<u64> {
    type Follower = broadcast::Receiver<u64>;

    fn new(capacity: usize) -> Self {
        broadcast::channel(capacity).0
    }

    fn follow(&self) -> broadcast::Receiver<u64> {
        self.subscribe()
    }

    #[inline]
    fn send(&self, number: u64) {
        broadcast::Sender::send(self, number).expect("somebody follows");
    }
}

impl Follower for broadcast::Receiver<u64> {
    #[inline]
    async fn next(&mut self) -> u64 {
        self.recv().await.expect("nothing was missed")
    }
}

impl Latest for watch::Sender<u64> {
    type Watcher = watch::Receiver<u64>;

    fn new() -> Self {
        watch::channel(0).0
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.subscribe()
    }

    #[inline]
    fn set(&self, number: u64) {
        self.send(number).expect("somebody watches");
    }
}

impl Follower for watch::Receiver<u64> {
    #[inline]
    async fn next(&mut self) -> u64 {
        self.changed().await.expect("the sender is there");
        *self.borrow_and_update()
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
