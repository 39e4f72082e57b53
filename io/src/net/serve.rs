//! A server: one task that accepts, and a task for each connection, which end as a group does.
//!
//! The group is kept here and not taken from the crate of the structured forms, which this crate does not use. It
//! needs little of what they do: nobody wants the results of connections, no failure cancels another one, and
//! who waits for the end does not poll a body meanwhile.
//!
//! - Each connection runs in a [`CancelScope`] of its own, so that it can be asked to end with grace or without; the
//!   server keeps these, in the order of the connections. A connection leaves when its task is complete, cleanup
//!   included.
//! - What is around `serve` is around the connections too: they hear of a graceful stop of a scope there, and so
//!   does the task that accepts.
//! - A [`Server`] that is dropped cancels everything, and leaves the waiting for it to the scope it is dropped in.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rt_tasks_runtime::task::Hook;
use rt_tasks_runtime::{
    CancelScope, Cancelled, JoinError, Panic, Surroundings, cancelled, report_lost, spawn_hooked,
};

use super::server::{ServeOptions, Server};
use super::server_state::Shared;
use super::{TcpListener, UnixListener};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The pause after a failure to accept, and the longest one it grows to.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// What accepts connections: [`TcpListener`] and [`UnixListener`].
pub trait Listener: sealed::Listener {
    /// A connection.
    type Stream: Send + 'static;
    /// The address of who made it.
    type Peer: fmt::Debug + Send + 'static;

    #[doc(hidden)]
    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Stream, Self::Peer)>>;
}

macro_rules! listener {
    ($listener:ty, $stream:ty, $peer:ty) => {
        impl sealed::Listener for $listener {}
        impl Listener for $listener {
            type Stream = $stream;
            type Peer = $peer;

            fn poll_next(&self, cx: &mut Context<'_>) -> Poll<io::Result<($stream, $peer)>> {
                self.poll_accept(cx)
            }
        }
    };
}

listener!(TcpListener, super::TcpStream, std::net::SocketAddr);
listener!(
    UnixListener,
    super::UnixStream,
    std::os::unix::net::SocketAddr
);

/// What the handler of a connection may return: nothing, or a result whose error is reported.
#[diagnostic::on_unimplemented(
    message = "the handler of a connection returns `()` or a `Result`, not `{Self}`",
    label = "end the handler with `;` or `Ok(())`"
)]
pub trait HandlerOutput: Send + 'static {
    /// Turns it into the error to report, if there is one.
    fn into_error(self) -> Option<BoxError>;
}

impl HandlerOutput for () {
    fn into_error(self) -> Option<BoxError> {
        None
    }
}

impl<T: Send + 'static, E: Into<BoxError> + Send + 'static> HandlerOutput for Result<T, E> {
    fn into_error(self) -> Option<BoxError> {
        self.err().map(Into::into)
    }
}

mod sealed {
    pub trait Listener: Send + Sync + 'static {}
}

/// Serves the connections of `listener`, each in a task of its own: `handler(stream, peer)`.
///
/// It accepts from now on and until the [`Server`] is told to stop, or dropped. The error or panic of a handler ends
/// its connection alone, and is reported as all that nobody waits for is (`Builder::on_unhandled`). An accept that
/// fails, above all because there are no descriptors left, is reported too, and tried again after a pause that grows
/// from 5 ms to a second, or as soon as a connection has ended.
///
/// A handler that waits for [`cancelled`](rt_tasks_runtime::cancelled()) hears when it should come to an end: from
/// [`drain`](Server::drain) and [`close_clients`](Server::close_clients), and from a graceful stop of the scopes around
/// this call, which also stops accepting.
///
/// # Panics
///
/// Outside a runtime, and if no connection is allowed at all.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # use std::time::Duration;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// use rt::net::{ServeOptions, TcpListener, TcpStream, serve};
/// # rt_tasks_runtime::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let server = serve(listener, ServeOptions::default(), |stream, _peer| async move {
///     let (read, write) = stream.into_split();
///     rt::io::copy(read, write).await
/// });
///
/// let mut client = TcpStream::connect(address).await?;
/// client.write_all(b"hello").await?;
/// client.close().await?;
/// let mut echo = String::new();
/// client.read_to_string(&mut echo).await?;
/// assert_eq!(echo, "hello");
/// assert_eq!(server.drain(Duration::from_secs(5)).await.cut_off, 0);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
#[doc(alias = "start_server")]
pub fn serve<L, H, F>(listener: L, options: ServeOptions, handler: H) -> Server
where
    L: Listener,
    H: FnMut(L::Stream, L::Peer) -> F + Send + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    assert!(
        options.max_connections > 0,
        "a server that may have no connection would wait for ever"
    );
    let place = Location::caller();
    let surroundings = Surroundings::current(None);
    let shared = Arc::new(Shared::new(options, surroundings, place));
    let name = Arc::from(format!("server at {place}"));
    let accepting = accept_all(shared.clone(), listener, handler);
    let hook = Acceptor(shared.clone());
    let acceptor = spawn_hooked(accepting, hook, Some(&name), place, |_| None);
    Server::new(acceptor.cancel_handle(), shared)
}

/// Accepts until it is asked to stop by a scope around the server; [`Server::stop_accepting`] cancels it.
async fn accept_all<L, H, F>(shared: Arc<Shared>, listener: L, mut handler: H)
where
    L: Listener,
    H: FnMut(L::Stream, L::Peer) -> F,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let mut asked = pin!(cancelled());
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    let mut number = 0;
    loop {
        let accepted = poll_fn(|cx| {
            if asked.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            ready!(shared.poll_room(cx));
            listener.poll_next(cx).map(Some)
        });
        let (stream, peer) = match accepted.await {
            None => return,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                if pause == shortest {
                    report("accepting", shared.place, Box::new(error));
                }
                shared.pause(pause).await;
                pause = (pause * 2).min(longest);
                continue;
            }
        };
        pause = shortest;
        let name = Arc::from(format!("connection of {peer:?}"));
        match catch_unwind(AssertUnwindSafe(|| handler(stream, peer))) {
            Ok(body) => begin(&shared, number, name, body),
            Err(panic) => report(&name, shared.place, Box::new(Panic::new(panic))),
        }
        number += 1;
    }
}

/// Spawns the task of a connection.
fn begin<F>(shared: &Arc<Shared>, number: u64, name: Arc<str>, body: F)
where
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let scope = CancelScope::new();
    let body = scope.run(body);
    let hook = Client {
        shared: shared.clone(),
        number,
        name: name.clone(),
    };
    let enter = |_: &_| shared.enter(number, scope);
    drop(spawn_hooked(body, hook, Some(&name), shared.place, enter));
}

/// Reports what nobody waits for.
#[cold]
fn report(what: &str, place: &Location<'_>, error: BoxError) {
    report_lost(format!("{what}, in the server at {place},"), error);
}

/// Tells when the listener is closed.
struct Acceptor(Arc<Shared>);

impl Hook<()> for Acceptor {
    type Value = ();

    fn outcome(&self, result: Result<(), JoinError>) -> Result<(), JoinError> {
        result
    }

    fn surroundings(&self) -> Surroundings {
        self.0.surroundings.clone()
    }

    fn finished(self) {
        self.0.close();
    }
}

/// Reports what a connection failed with, and counts it off.
struct Client {
    shared: Arc<Shared>,
    number: u64,
    name: Arc<str>,
}

impl Client {
    fn report(&self, error: BoxError) {
        report(&self.name, self.shared.place, error);
    }
}

impl<O: HandlerOutput> Hook<Result<O, Cancelled>> for Client {
    type Value = ();

    fn outcome(&self, result: Result<Result<O, Cancelled>, JoinError>) -> Result<(), JoinError> {
        match result {
            Ok(Ok(output)) => {
                if let Some(error) = output.into_error() {
                    self.report(error);
                }
            }
            Err(error) if error.is_panic() => self.report(Box::new(error.into_panic())),
            Ok(Err(_)) | Err(_) => self.shared.cut_off(),
        }
        Ok(())
    }

    fn surroundings(&self) -> Surroundings {
        self.shared.surroundings.clone()
    }

    fn finished(self) {
        self.shared.leave(self.number);
    }
}
