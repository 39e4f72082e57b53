//! Waiting where there is no path of our own: all of it through `polling`.
//!
//! Edge-triggered where the system can; else oneshot. A oneshot source is disarmed by its event, whatever
//! direction that was for, and armed again when an operation registers to wait (`Slot` calls
//! [`Poller::arm`] under its lock, so that of two that arm at once the later one knows both). An event
//! therefore also wakes who waits for the other direction, to arm again.
//!
//! On Linux this file is built with `--cfg rt_portable`, in oneshot mode, so that the tests reach it.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::time::Duration;

use polling::{AsSource, Event, PollMode};

use super::slot::{Edge, Snapshot};
use super::table::Key;

/// A short read proves nothing here: whether the end came with the last bytes is not told.
pub(super) const SHORT_READ_DRAINS: bool = false;

/// Events taken from the system by one wait.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// A buffer for the events of one wait, to be used again.
pub struct Events {
    events: polling::Events,
    /// Whether the events disarmed their sources.
    oneshot: bool,
}

impl Events {
    /// An empty buffer.
    pub fn new() -> Self {
        Self {
            events: polling::Events::with_capacity(CAPACITY),
            oneshot: false,
        }
    }

    /// Goes through the events that concern sources.
    pub(super) fn edges(&self) -> impl Iterator<Item = (Key, Edge)> {
        self.events.iter().map(|event| {
            let ended = event.is_interrupt() || event.is_err().unwrap_or(false);
            let edge = Edge {
                readable: event.readable || ended,
                writable: event.writable || ended,
                unsure: true,
                disarmed: self.oneshot,
            };
            (Key::from_event(event.key), edge)
        })
    }

    /// Whether the last wait found nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("len", &self.events.len())
            .finish()
    }
}

/// The system's side of the reactor.
#[derive(Debug)]
pub(super) struct Poller {
    poller: polling::Poller,
    mode: PollMode,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poller = polling::Poller::new()?;
        let mode = if poller.supports_edge() && !cfg!(rt_portable) {
            PollMode::Edge
        } else {
            PollMode::Oneshot
        };
        Ok(Self { poller, mode })
    }

    pub(super) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        events.oneshot = self.mode == PollMode::Oneshot;
        match self.poller.wait(&mut events.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn notify(&self) {
        // It fails only where the wait it is for fails as well.
        let _ = self.poller.notify();
    }

    pub(super) fn add(&self, source: &impl AsSource, key: Key) -> io::Result<()> {
        let interest = match self.mode {
            PollMode::Oneshot => Event::none(key.for_event()),
            _ => Event::all(key.for_event()),
        };
        let fd = source.as_fd().as_raw_fd();
        // SAFETY: `Source` owns what it registers and removes it here before it lets go of it.
        unsafe { self.poller.add_with_mode(fd, interest, self.mode) }
    }

    /// Arms a oneshot source for the directions that are waited for.
    pub(super) fn arm(&self, source: &impl AsSource, key: Key, waiting: Snapshot) {
        if self.mode == PollMode::Oneshot {
            let (readable, writable) = waiting.waiting();
            let interest = Event::new(key.for_event(), readable, writable);
            let armed = self
                .poller
                .modify_with_mode(source.source(), interest, self.mode);
            debug_assert!(armed.is_ok(), "cannot arm a registered source: {armed:?}");
        }
    }

    /// Ends a registration, which must happen before the descriptor is closed.
    pub(super) fn remove(&self, source: &impl AsSource) {
        // The one failure there can be is that the registration is gone already.
        let _ = self.poller.delete(source.source());
    }
}
