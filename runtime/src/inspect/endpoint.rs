//! The endpoint of this process: it comes with the first runtime that can be inspected, and goes with the last.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use super::place::Place;
use super::server::Server;
use crate::scheduler::Shared;
use crate::shim::lock_std;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    runtimes: Vec::new(),
    endpoint: None,
});

/// The lock is held for bookkeeping and for making the socket; never while a picture is taken or a thread joined.
struct Registry {
    runtimes: Vec<Weak<Shared>>,
    /// There, unless it could not be had, while there are runtimes.
    endpoint: Option<Endpoint>,
}

struct Endpoint {
    /// Dropped, it removes the socket from its folder.
    place: Place,
    /// Dropped, it ends the thread.
    bell: UnixStream,
    thread: JoinHandle<()>,
}

/// One more runtime; the first starts the endpoint.
pub(super) fn add(shared: &Arc<Shared>) -> io::Result<()> {
    let mut registry = lock_std(&REGISTRY);
    registry.runtimes.push(Arc::downgrade(shared));
    if registry.endpoint.is_none() {
        registry.endpoint = Some(Endpoint::start()?);
    }
    Ok(())
}

/// One runtime less; the last ends the endpoint and waits for its thread.
pub(super) fn remove(shared: &Arc<Shared>) {
    let mut registry = lock_std(&REGISTRY);
    let gone = Arc::downgrade(shared);
    registry.runtimes.retain(|runtime| !runtime.ptr_eq(&gone));
    if !registry.runtimes.is_empty() {
        return;
    }
    let Some(endpoint) = registry.endpoint.take() else {
        return;
    };
    // Under the lock: the next endpoint may come at once, at the same place.
    drop(endpoint.place);
    drop(registry);
    drop(endpoint.bell);
    // It may be that thread which ends a runtime, if it was the last to know of something that owned one.
    if endpoint.thread.thread().id() != thread::current().id() {
        // It catches no panic of its own, and what it panics with has been printed.
        let _ = endpoint.thread.join();
    }
}

/// The runtimes there are, in the order in which they were built.
pub(super) fn runtimes() -> Vec<Arc<Shared>> {
    let registry = lock_std(&REGISTRY);
    registry.runtimes.iter().filter_map(Weak::upgrade).collect()
}

impl Endpoint {
    fn start() -> io::Result<Self> {
        let (place, listener) = Place::bind()?;
        let (bell, hears) = UnixStream::pair()?;
        let server = Server::new(listener, hears)?;
        let thread = thread::Builder::new()
            .name("rt-inspect".to_owned())
            .spawn(move || server.serve())?;
        Ok(Self {
            place,
            bell,
            thread,
        })
    }
}
