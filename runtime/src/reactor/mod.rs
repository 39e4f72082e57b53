//! The reactor: one shared poller that tells tasks when their sources are ready.
//!
//! ```text
//!   socket, AsyncFd … ── owns ──> Source ── key ──> Slot (readiness, wakers)   slot.rs: the protocol
//!        │ tries the system call first                ^ found by key            table.rs
//!        │                                            │
//!   wait(events) by one thread at a time ──> dispatch(events) by the same or another
//!        wait_linux.rs, wait_portable.rs
//! ```
//!
//! Whoever has nothing to do waits: a parked worker, a `block_on` without a worker. The scheduler lets one
//! thread in at a time; [`Reactor::wait`] only collects events, so that the thread can hand the poller to the
//! next before it [`dispatch`](Reactor::dispatch)es them and runs what they woke. That two threads
//! then dispatch out of order does no harm: an event only ever *sets* readiness.
//!
//! The system is told about a source twice ([`Source`]): when it comes and before it is closed. Events that were on
//! their way then are recognised by their generation.

pub(crate) mod slot;
mod source;
mod table;

#[cfg(all(target_os = "linux", not(rt_portable)))]
#[path = "wait_linux.rs"]
mod wait;
#[cfg(not(all(target_os = "linux", not(rt_portable))))]
#[path = "wait_portable.rs"]
mod wait;

use std::array;
use std::fmt;
use std::io;
use std::time::Duration;

pub use slot::Direction;
pub(crate) use slot::Wakers;
pub use source::{Ready, Source, StreamRead};
pub use wait::Events;

use table::Table;
use wait::Poller;

/// So many events are looked at together. A fetch from memory takes about as long as looking at so many.
const AT_ONCE: usize = 8;

/// One poller and the slots of everything that is registered with it.
pub struct Reactor {
    poller: Poller,
    table: Table,
}

impl Reactor {
    /// Opens a poller.
    ///
    /// # Errors
    ///
    /// Those of the system, above all when there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            table: Table::new(),
        })
    }

    /// Waits until there are events, until [`notify`](Self::notify), or for `timeout`.
    ///
    /// `None` waits without a limit, zero only looks. It may return early, without an event: the caller
    /// looks at its timers and queues and waits again. One thread at a time; the caller sees to that.
    ///
    /// # Errors
    ///
    /// Those of the system; none is to be expected from a working poller.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.wait(events, timeout)
    }

    /// Whether anybody waits for a descriptor.
    pub(crate) fn is_awaited(&self) -> bool {
        self.table.is_awaited()
    }

    /// Marks what `events` report and wakes who waited for it; returns how many were woken.
    ///
    /// Other threads may wait and dispatch meanwhile. Wakers are called with no lock held.
    pub fn dispatch(&self, events: &mut Events) -> usize {
        let mut n_woken = 0;
        self.dispatch_by(events, |wakers| n_woken += wakers.wake());
        n_woken
    }

    /// Like [`dispatch`](Self::dispatch), but leaves the waking to `deliver`, which is called with no lock held.
    ///
    /// Events are taken some at a time, and for each step the memory of all of them is asked for in the step before.
    pub(crate) fn dispatch_by(&self, events: &mut Events, mut deliver: impl FnMut(Wakers)) {
        let mut edges = events.edges();
        loop {
            let found: [_; AT_ONCE] = array::from_fn(|_| {
                let (key, edge) = edges.next()?;
                let slot = self.table.get(key);
                slot.inspect(|slot| slot.fetch());
                Some((slot, key.generation(), edge))
            });
            if found[0].is_none() {
                break;
            }
            let woken = found.map(|event| {
                let (slot, generation, edge) = event?;
                let wakers = slot?.mark(generation, edge)?;
                wakers.fetch();
                Some(wakers)
            });
            woken.into_iter().flatten().for_each(&mut deliver);
        }
        drop(edges);
        events.clear();
    }

    /// Makes the [`wait`](Self::wait) in progress return, or else the next one.
    pub fn notify(&self) {
        self.poller.notify();
    }

    /// Sources that are registered.
    pub(crate) fn n_sources(&self) -> usize {
        self.table.len()
    }

    /// Wakes everyone who waits; from then on operations and registrations fail.
    pub fn close(&self) {
        self.table.close();
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

/// What an operation on a closed reactor fails with.
#[cold]
fn closed_error() -> io::Error {
    io::Error::other("the runtime has been shut down")
}
