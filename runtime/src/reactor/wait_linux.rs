//! Waiting on Linux: the poller's own epoll descriptor, one system call for each wait.
//!
//! `polling` is portable, and pays for it with up to five calls for each wait (timer armed, interest in the
//! timer renewed, wait, notification read, interest renewed). So the hot path speaks to its descriptor itself:
//!
//! - Sources are registered edge-triggered with EPOLLRDHUP and EPOLLPRI. These two tell a stream on which a
//!   short read means "drained" from one on which it proves nothing (see `Slot`): the end of the stream may
//!   have come in the same edge as the last bytes, and no other edge would follow.
//! - The notifier is an eventfd, registered edge-triggered once. Each write to it is an edge, read or not, so
//!   it is never read: one call for a notification, and none to take note of it.
//! - Timeouts are in nanoseconds although `epoll_wait` counts milliseconds. Whole milliseconds are left to
//!   `epoll_wait`, rounded down with room for its slack: the caller sees that nothing is due yet and waits
//!   for the rest. What is shorter is a timerfd, which has no slack; an edge of it needs no reading either.
//!   `epoll_pwait2` would do both in one call, but is missing before Linux 5.11, in some sandboxes
//!   kills the process instead of failing, and has the slack (50 µs by default) of `epoll_wait`.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use polling::AsSource;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::slot::{Edge, Snapshot};
use super::table::Key;

/// Whether a short read of a stream proves that there is nothing left in it.
pub(super) const SHORT_READ_DRAINS: bool = true;

/// The data of events that concern no source. No key of a slot equals it.
const NO_SOURCE: u64 = u64::MAX;

/// Events taken from the system by one wait.
const CAPACITY: usize = 512;

/// `epoll_wait` may come this much late, so it is asked to come this much early.
const SLACK: Duration = Duration::from_micros(200);
/// The longest wait asked for at once: `epoll_wait` counts in 32 bits.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A buffer for the events of one wait, to be used again.
pub struct Events(Vec<epoll::Event>);

// SAFETY: what keeps an event from being `Send` is the pointer in the union of its data; only the number in
// there is ever written (`add`) and read (`edges`).
unsafe impl Send for Events {}

impl Events {
    /// An empty buffer.
    pub fn new() -> Self {
        Self(Vec::with_capacity(CAPACITY))
    }

    /// Goes through the events that concern sources.
    pub(super) fn edges(&self) -> impl Iterator<Item = (Key, Edge)> {
        self.0.iter().filter_map(|event| {
            let data = event.data.u64();
            (data != NO_SOURCE).then(|| (Key::from_event(data as usize), edge(event.flags)))
        })
    }

    /// Whether the last wait found nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("len", &self.0.len())
            .finish()
    }
}

fn edge(flags: EventFlags) -> Edge {
    let ended = flags.intersects(EventFlags::HUP | EventFlags::ERR);
    let unsure = ended || flags.intersects(EventFlags::RDHUP | EventFlags::PRI);
    Edge {
        readable: unsure || flags.contains(EventFlags::IN),
        writable: ended || flags.contains(EventFlags::OUT),
        unsure,
        disarmed: false,
    }
}

/// The system's side of the reactor.
#[derive(Debug)]
pub(super) struct Poller {
    poller: polling::Poller,
    notifier: OwnedFd,
    timer: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poller = polling::Poller::new()?;
        let notifier = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&poller, &notifier, EventData::new_u64(NO_SOURCE), flags)?;
        epoll::add(&poller, &timer, EventData::new_u64(NO_SOURCE), flags)?;
        Ok(Self {
            poller,
            notifier,
            timer,
        })
    }

    pub(super) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let limit = match timeout {
            None => None,
            Some(Duration::ZERO) => Some(Duration::ZERO),
            Some(timeout) => {
                let coarse = timeout.saturating_sub(SLACK).min(LONGEST).as_millis();
                if coarse == 0 {
                    self.set_timer(timeout)?;
                    None
                } else {
                    Some(Duration::from_millis(coarse as u64))
                }
            }
        };
        let limit = limit.map(timespec);
        match epoll::wait(&self.poller, spare_capacity(&mut events.0), limit.as_ref()) {
            // A signal: as good a reason to return as an event.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the timer end a wait after `timeout`, once. If the wait ends before, a later one ends early.
    fn set_timer(&self, timeout: Duration) -> io::Result<()> {
        let setting = Itimerspec {
            it_interval: timespec(Duration::ZERO),
            it_value: timespec(timeout),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    pub(super) fn notify(&self) {
        // It fails only when the counter is full, after 2^64 notifications.
        let _ = rustix::io::write(&self.notifier, &1_u64.to_ne_bytes());
    }

    pub(super) fn add(&self, source: &impl AsSource, key: Key) -> io::Result<()> {
        let flags =
            EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        let data = EventData::new_u64(key.for_event() as u64);
        Ok(epoll::add(&self.poller, source.as_fd(), data, flags)?)
    }

    /// Has no part here: an edge-triggered source stays armed.
    #[inline]
    pub(super) fn arm(&self, _source: &impl AsSource, _key: Key, waiting: Snapshot) {
        debug_assert_ne!(waiting.waiting(), (false, false), "armed for nobody");
    }

    /// Ends a registration, which must happen before the descriptor is closed: a wait on another thread may have the file
    /// in hand just then, which would be closed only when that is over.
    pub(super) fn remove(&self, source: &impl AsSource) {
        // The one failure there can be is that the registration is gone already.
        let _ = epoll::delete(&self.poller, source.as_fd());
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as _,
        tv_nsec: duration.subsec_nanos() as _,
    }
}
