//! `rt` itself, with its task groups, queues and primitives.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::DerefMut;
use std::time::Duration;

use rt::fs::File;
use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{TcpListener, TcpStream};
use rt::sync::{Event, Mutex, Queue, Semaphore, oneshot};
use rt::{GroupHandle, JoinHandle, Runtime, TaskGroup};

use super::{
    Answer, Broadcast, Connection, Get, Listener, Lock, Peer, Permits, Put, ReadFile, Reply,
    Unwrapped,
};

/// The runtime of this workspace.
#[derive(Debug)]
pub struct Ours(Runtime);

impl Peer for Ours {
    const NAME: &'static str = "rt";

    type Task<T: Send + 'static> = Unwrapped<JoinHandle<T>>;
    type Reply<T: Send + 'static> = oneshot::Sender<T>;
    type Answer<T: Send + 'static> = oneshot::Receiver<T>;
    type Putter<T: Send + 'static> = Queue<T>;
    type Getter<T: Send + 'static> = Queue<T>;
    type SharedGetter<T: Send + 'static> = Queue<T>;
    type Lock = Mutex<u64>;
    type Permits = Semaphore;
    type Broadcast = Event;
    type Listener = TcpListener;
    type Connection = TcpStream;
    type File = File;

    fn start(workers: usize) -> io::Result<Self> {
        rt::Builder::new().workers(workers).build().map(Self)
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
        Unwrapped(rt::spawn(future))
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
        Unwrapped(rt::spawn_blocking(work))
    }

    async fn group<F>(children: impl Iterator<Item = F> + Send + 'static) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let children = TaskGroup::scope(|group| async move {
            Ok(children
                .map(|child| group.spawn_ok(child))
                .collect::<Vec<_>>())
        })
        .await
        .expect("a child panicked");
        children.into_iter().map(GroupHandle::result).sum()
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        rt::yield_now()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        rt::time::sleep(duration)
    }

    async fn timeout<F>(duration: Duration, future: F) -> Option<F::Output>
    where
        F: Future + Send,
        F::Output: Send,
    {
        rt::timeout(duration, future).await.ok()
    }

    fn oneshot<T: Send + 'static>() -> (Self::Reply<T>, Self::Answer<T>) {
        oneshot::channel()
    }

    fn queue<T: Send + 'static>(capacity: usize) -> (Queue<T>, Queue<T>) {
        let queue = Queue::bounded(capacity);
        (queue.clone(), queue)
    }

    fn shared_queue<T: Send + 'static>(capacity: usize) -> (Queue<T>, Queue<T>) {
        Self::queue(capacity)
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
        rt::io::copy(rt::io::repeat(0).take(length), sink).await
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

impl<T: Send + 'static> Put<T> for Queue<T> {
    #[inline]
    async fn put(&self, item: T) {
        assert!(
            Queue::put(self, item).await.is_ok(),
            "the queue was shut down"
        );
    }

    #[inline]
    fn put_at_once(&self, item: T) {
        assert!(self.try_put(item).is_ok(), "the queue has a place");
    }

    fn close(self) {
        self.shutdown();
    }
}

impl<T: Send + 'static> Get<T> for Queue<T> {
    #[inline]
    async fn get(&mut self) -> Option<T> {
        Queue::get(self).await.ok()
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

impl Broadcast for Event {
    fn new() -> Self {
        Event::new()
    }

    async fn wait(&self) {
        self.wait().await;
    }

    fn release(&self) {
        self.set();
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
