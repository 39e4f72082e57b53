//! Which reactor the current thread belongs to, and the least that runs futures on it.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::reactor::{Events, Reactor};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// The reactor of the runtime this thread is in.
///
/// # Errors
///
/// There is no runtime here.
pub fn current_reactor() -> io::Result<Arc<Reactor>> {
    CURRENT.with_borrow(Clone::clone).ok_or_else(|| {
        io::Error::other(
            "there is no runtime here: call this inside rt::block_on, #[rt::main] or with Handle::enter",
        )
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn shared() -> Arc<Reactor> {
    static SHARED: OnceLock<Arc<Reactor>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            let reactor = Arc::new(Reactor::new().expect("a poller"));
            let driver = reactor.clone();
            std::thread::spawn(move || {
                let mut events = Events::new();
                loop {
                    driver.wait(&mut events, None).expect("a wait");
                    driver.dispatch(&mut events);
                }
            });
            reactor
        })
        .clone()
}

/// Runs `future` on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let before = CURRENT.replace(Some(shared()));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            CURRENT.set(before);
            return value;
        }
        std::thread::park();
    }
}

#[derive(Debug)]
struct Cell<T>(Mutex<(Option<Result<T, JoinError>>, Option<Waker>)>);

/// Waits for a task.
#[derive(Debug)]
pub struct JoinHandle<T>(Arc<Cell<T>>);

/// A task's panic.
#[derive(Debug)]
pub struct JoinError;

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("panicked")
    }
}

impl std::error::Error for JoinError {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut cell = self.0.0.lock().expect("no panic");
        match cell.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                cell.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Runs `f` on a thread.
pub fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let cell = Arc::new(Cell(Mutex::new((None, None))));
    let theirs = cell.clone();
    std::thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        let mut cell = theirs.0.lock().expect("no panic");
        cell.0 = Some(result.map_err(|_| JoinError));
        if let Some(waker) = cell.1.take() {
            waker.wake();
        }
    });
    JoinHandle(cell)
}

/// Runs `future` on a thread.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_blocking(move || block_on(future))
}

/// Waits.
pub type Sleep = JoinHandleUnit;

/// Waits for a duration.
pub fn sleep(duration: std::time::Duration) -> Sleep {
    JoinHandleUnit(spawn_blocking(move || std::thread::sleep(duration)))
}

/// Waits.
#[derive(Debug)]
pub struct JoinHandleUnit(JoinHandle<()>);

impl Future for JoinHandleUnit {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}
