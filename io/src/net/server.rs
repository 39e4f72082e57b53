//! What users hold of a server: its options, the handle that ends it, and the waits for its end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rt_tasks_runtime::{CancelHandle, Instant, cleanup_now};

use super::server_state::{Awaited, Shared, Tally};

/// How a server is to be; see [`serve`](fn@super::serve).
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// let options = rt::net::ServeOptions { max_connections: 1_000, ..Default::default() };
/// assert_eq!(options.drain.as_secs(), 10);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServeOptions {
    /// How many connections are served at once. Others wait in the listener's backlog. No limit by default.
    pub max_connections: usize,
    /// How long connections that are asked to end may go on: see [`Server::close_clients`]. Ten seconds by default.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: usize::MAX,
            drain: Duration::from_secs(10),
        }
    }
}

/// A server that runs; made by [`serve`](fn@super::serve).
///
/// Dropping it ends it: nothing more is accepted, every connection is cancelled, and the scope in which it is dropped
/// (a task, a group's body, a timeout) waits until they are through with their cleanup; outside any runtime the thread
/// does. [`drain`](Self::drain) lets them come to their own end before.
///
/// What it does to its connections is done by the call. The futures that its functions return only wait until it has
/// taken effect, and may be dropped.
#[must_use = "dropping the server ends it"]
pub struct Server {
    acceptor: CancelHandle,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) fn new(acceptor: CancelHandle, shared: Arc<Shared>) -> Self {
        Self { acceptor, shared }
    }

    fn wait(&self, awaited: Awaited) -> ServerWait {
        ServerWait {
            shared: self.shared.clone(),
            awaited,
            id: None,
        }
    }

    /// Accepts no more. Connections that were accepted go on.
    ///
    /// Those that wait in the backlog are reset, as the listener is closed. The future waits until it is.
    #[track_caller]
    pub fn stop_accepting(&self) -> ServerWait {
        self.shared.stop();
        self.acceptor.cancel_with("its server accepts no more");
        self.wait(Awaited::Listener)
    }

    /// Asks the connections that there are to end: [`cancelled`](rt_tasks_runtime::cancelled()) resolves in their
    /// handlers. Those that go on for longer than [`ServeOptions::drain`] are then dropped where they wait.
    ///
    /// The server goes on accepting. The future waits until these connections are through.
    #[track_caller]
    pub fn close_clients(&self) -> ServerWait {
        self.ask_clients(self.shared.options.drain)
    }

    #[track_caller]
    fn ask_clients(&self, grace: Duration) -> ServerWait {
        let (clients, next) = self.shared.clients();
        for client in clients {
            client.cancel_gracefully(grace);
        }
        self.wait(Awaited::ClientsBefore(next))
    }

    /// Drops the handlers of the connections that there are where they wait, and with them the connections.
    ///
    /// The server goes on accepting. The future waits until the cleanup of these handlers is through.
    #[track_caller]
    pub fn abort_clients(&self) -> ServerWait {
        let (clients, next) = self.shared.clients();
        for client in clients {
            client.cancel_with("its server aborted its clients");
        }
        self.wait(Awaited::ClientsBefore(next))
    }

    /// Ends the server gently: accepts no more, asks the connections to end, and waits until they have.
    ///
    /// Those that are not through by `deadline`, an [`Instant`] or how long it is until then, are dropped where they
    /// wait. Their cleanup is awaited.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the server goes on ending. A second call waits for the same end.
    #[track_caller]
    #[doc(alias = "graceful_shutdown")]
    pub fn drain(&self, deadline: impl IntoDeadline) -> Drain {
        let before = self.shared.tally();
        drop(self.stop_accepting());
        drop(self.ask_clients(deadline.time_left()));
        Drain {
            before,
            wait: self.wait(Awaited::Everything),
        }
    }

    /// Waits until the server is at its end, whoever ended it: nothing is accepted, and no connection is left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, and nothing ended: the server goes on.
    #[doc(alias = "wait_closed")]
    pub fn join(&self) -> ServerWait {
        self.wait(Awaited::Everything)
    }

    /// How many connections are being served.
    #[must_use]
    pub fn n_clients(&self) -> usize {
        self.shared.n_clients()
    }

    /// Whether the listener is still open.
    #[must_use]
    #[doc(alias = "is_serving")]
    pub fn is_accepting(&self) -> bool {
        !self.shared.is_met(Awaited::Listener)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop_accepting());
        drop(self.abort_clients());
        let end = self.join();
        if !end.is_met() {
            cleanup_now(end, Some(&self.acceptor));
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("at", &self.shared.place)
            .field("n_clients", &self.n_clients())
            .field("is_accepting", &self.is_accepting())
            .finish_non_exhaustive()
    }
}

/// Waits until what a [`Server`] was told has taken effect. Dropping it changes nothing.
///
/// Not `must_use`: the call that made it has done what it says.
pub struct ServerWait {
    shared: Arc<Shared>,
    awaited: Awaited,
    id: Option<u64>,
}

impl ServerWait {
    fn is_met(&self) -> bool {
        self.shared.is_met(self.awaited)
    }
}

impl Future for ServerWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.shared.poll_met(this.awaited, &mut this.id, cx)
    }
}

impl Drop for ServerWait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.forget(id);
        }
    }
}

impl fmt::Debug for ServerWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerWait")
            .field("awaited", &self.awaited)
            .field("is_met", &self.is_met())
            .finish_non_exhaustive()
    }
}

/// What became of the connections that there were when a server was told to [`drain`](Server::drain).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Drained {
    /// How many came to their own end, with or without an error.
    pub ended: u64,
    /// How many were dropped, above all because the deadline had come.
    pub cut_off: u64,
}

/// The future of [`Server::drain`]. Dropping it does not stop the draining.
pub struct Drain {
    /// Of the time before.
    before: Tally,
    wait: ServerWait,
}

impl Future for Drain {
    type Output = Drained;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Drained> {
        ready!(Pin::new(&mut self.wait).poll(cx));
        let now = self.wait.shared.tally();
        let cut_off = now.cut_off - self.before.cut_off;
        Poll::Ready(Drained {
            ended: now.all - self.before.all - cut_off,
            cut_off,
        })
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drain").field(&self.wait).finish()
    }
}

/// A moment, or how long it is until then.
pub trait IntoDeadline: sealed::Deadline {
    #[doc(hidden)]
    fn time_left(self) -> Duration;
}

impl IntoDeadline for Duration {
    fn time_left(self) -> Duration {
        self
    }
}

impl IntoDeadline for Instant {
    fn time_left(self) -> Duration {
        self.duration_since(Self::now())
    }
}

mod sealed {
    pub trait Deadline {}
    impl Deadline for std::time::Duration {}
    impl Deadline for rt_tasks_runtime::Instant {}
}
