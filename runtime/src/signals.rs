//! Signals of the operating system, for whoever listens, on any thread and any executor.
//!
//! The handler of a signal may do next to nothing. That of signal-hook marks the signal and writes into a pipe, from
//! which one thread of the whole process reads:
//!
//! ```text
//!   signal ──> handler ──> mark, pipe ──> thread `rt-signals` ──> ring: a mark and a waker for each listener
//! ```
//!
//! The thread is there while anybody listens. Marks coalesce: a listener that has not looked since the last signal
//! hears of both as of one, and of none is it not told.

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;

use signal_hook::consts::{FORBIDDEN, SIGINT};
use signal_hook::iterator::{Handle, Signals};
use slab::Slab;

use crate::interrupt;
use crate::shim::lock_std;
use crate::task::ignore_panic;
use crate::wait::{self, WaitKind};

/// Signals have smaller numbers than this, on all systems.
const END: i32 = 128;

static BOARD: Mutex<Board> = Mutex::new(Board {
    listeners: Slab::new(),
    thread: None,
    n_threads: 0,
});

/// Everybody who listens, and the thread that tells them.
struct Board {
    listeners: Slab<Place>,
    /// Present while there are listeners.
    thread: Option<Handle>,
    /// Threads ever started: the number of the one that is present. An earlier one has nothing to say any more.
    n_threads: u64,
}

/// What the thread and one listener share.
struct Place {
    signal: i32,
    /// The runtime's own: nobody waits for it.
    is_quiet: bool,
    is_raised: bool,
    waker: Option<Waker>,
}

impl Board {
    /// Has the thread told of a signal, and starts it if it is not there.
    fn watch(&mut self, signal: i32) -> io::Result<()> {
        if let Some(thread) = &self.thread {
            return thread.add_signal(signal);
        }
        let signals = Signals::new([signal])?;
        let handle = signals.handle();
        let number = self.n_threads + 1;
        thread::Builder::new()
            .name("rt-signals".to_owned())
            .spawn(move || serve(signals, number))?;
        self.n_threads = number;
        self.thread = Some(handle);
        Ok(())
    }
}

/// The life of the thread, until it is told that nobody listens any more.
fn serve(mut signals: Signals, number: u64) {
    for signal in signals.forever() {
        ring(signal, number);
    }
}

/// Tells everybody who listens to a signal.
fn ring(signal: i32, number: u64) {
    let wakers: Vec<Waker> = {
        let mut board = lock_std(&BOARD);
        if board.n_threads != number {
            return;
        }
        let places = board.listeners.iter_mut().map(|(_, place)| place);
        places
            .filter(|place| place.signal == signal)
            .filter_map(|place| {
                place.is_raised = true;
                place.waker.take()
            })
            .collect()
    };
    for waker in wakers {
        ignore_panic(|| waker.wake());
    }
}

/// Whether anybody listens to a signal.
pub(crate) fn is_listened_to(signal: i32) -> bool {
    let board = lock_std(&BOARD);
    let mut places = board.listeners.iter().map(|(_, place)| place);
    places.any(|place| place.signal == signal)
}

/// Whether anybody waits for a signal.
pub(crate) fn is_any_awaited() -> bool {
    let board = lock_std(&BOARD);
    let mut places = board.listeners.iter().map(|(_, place)| place);
    places.any(|place| !place.is_quiet && place.waker.is_some())
}

/// Hears of each signal of one kind from its making on.
pub struct Listener {
    /// Its place on the board.
    key: usize,
}

impl Listener {
    /// Begins to listen. From then on the signal has no longer the effect it has by default.
    ///
    /// # Errors
    ///
    /// There is no such signal or it cannot be caught; or the system refuses a descriptor or a thread.
    pub fn new(signal: i32) -> io::Result<Self> {
        let listener = Self::quiet(signal)?;
        lock_std(&BOARD).listeners[listener.key].is_quiet = false;
        if signal == SIGINT {
            interrupt::is_heard();
        }
        Ok(listener)
    }

    /// As [`new`](Self::new), for the runtime itself, which knows what else SIGINT is to do.
    pub(crate) fn quiet(signal: i32) -> io::Result<Self> {
        if !(1..END).contains(&signal) || FORBIDDEN.contains(&signal) {
            let what = format!("signal {signal} cannot be listened to");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        if signal == SIGINT {
            interrupt::prepare()?;
        }
        let mut board = lock_std(&BOARD);
        board.watch(signal)?;
        let key = board.listeners.insert(Place {
            signal,
            is_quiet: true,
            is_raised: false,
            waker: None,
        });
        Ok(Self { key })
    }

    /// Ready once for all signals since it last was, or since the listener was made.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloned before and dropped after the lock is held: a waker is foreign code.
        let mut waker = Some(cx.waker().clone());
        let mut board = lock_std(&BOARD);
        let place = &mut board.listeners[self.key];
        let was_raised = std::mem::take(&mut place.is_raised);
        if !was_raised {
            std::mem::swap(&mut place.waker, &mut waker);
        }
        let (signal, is_quiet) = (place.signal, place.is_quiet);
        drop(board);
        if !was_raised && !is_quiet {
            let note = if waker.is_some() {
                wait::goes_on
            } else {
                wait::begins
            };
            note(WaitKind::Signal, signal.unsigned_abs().into());
        }
        if was_raised {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut board = lock_std(&BOARD);
        let place = board.listeners.remove(self.key);
        let thread = match board.listeners.is_empty() {
            true => board.thread.take(),
            false => None,
        };
        drop(board);
        if let Some(thread) = thread {
            thread.close();
        }
        drop(place);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = lock_std(&BOARD).listeners[self.key].signal;
        f.debug_struct("Listener").field("signal", &signal).finish()
    }
}
