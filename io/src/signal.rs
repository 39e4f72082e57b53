//! Signals of the operating system: who listens hears of them, in any task, on any executor.
//!
//! A signal counts from the moment in which somebody began to listen, and each listener learns of it. Signals that come
//! between two looks of a listener are one to it, as the system itself does it; none is lost.
//!
//! From the first listener on, a signal has no longer the effect it has by default: SIGINT and SIGTERM do not end the
//! process any more, not even when nobody listens. Who wants a second Ctrl-C to do so waits for it and exits, or
//! builds the runtime with `cancel_on_ctrl_c`.
//!
//! # Examples
//!
//! ```
//! # use rt_tasks_io as rt;
//! use rt::signal::{SignalKind, unix};
//! # rt_tasks_runtime::block_on(async {
//! let mut reload = unix(SignalKind::HANGUP)?;
//! # signal_hook::low_level::raise(signal_hook::consts::SIGHUP)?;
//! reload.recv().await;
//! println!("reading the configuration again");
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use rt_tasks_runtime::signals::Listener;
use signal_hook::consts;
use signal_hook::low_level::signal_name;

/// Resolves when the user presses Ctrl-C, or anybody else sends SIGINT.
///
/// A signal counts from the call on, before the first poll too. After the first call SIGINT no longer ends the
/// process, see [the module](self).
///
/// # Cancel safety
///
/// A signal that comes between dropping one future and making the next is missed: in a loop, use [`unix`].
///
/// # Errors
///
/// The system refuses a descriptor or a thread.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let interrupted = rt::signal::ctrl_c();
/// # signal_hook::low_level::raise(signal_hook::consts::SIGINT)?;
/// interrupted.await?;
/// println!("stopping");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "add_signal_handler")]
pub fn ctrl_c() -> CtrlC {
    CtrlC {
        listener: Listener::new(consts::SIGINT).map_err(Some),
    }
}

/// Waits for Ctrl-C; made by [`ctrl_c`].
#[must_use = "futures do nothing unless polled"]
pub struct CtrlC {
    /// Or why there is none, until that has been said.
    listener: Result<Listener, Option<io::Error>>,
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.listener {
            Ok(listener) => listener.poll(cx).map(Ok),
            Err(error) => {
                let again = || io::Error::other("listening to a signal has failed before");
                Poll::Ready(Err(error.take().unwrap_or_else(again)))
            }
        }
    }
}

impl fmt::Debug for CtrlC {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtrlC").finish_non_exhaustive()
    }
}

/// Listens to a signal, from the call on.
///
/// # Errors
///
/// There is no such signal; it cannot be caught, as SIGKILL, SIGSTOP and the signals of a program that goes wrong;
/// or the system refuses a descriptor or a thread.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::signal::{SignalKind, unix};
/// # rt_tasks_runtime::block_on(async {
/// let mut terminate = unix(SignalKind::TERMINATE)?;
/// let mut hangup = unix(SignalKind::HANGUP)?;
/// # signal_hook::low_level::raise(signal_hook::consts::SIGTERM)?;
/// let which = futures_lite::future::or(
///     async { terminate.recv().await; "stop" },
///     async { hangup.recv().await; "reload" },
/// );
/// assert_eq!(which.await, "stop");
/// assert!(unix(SignalKind::from_raw(9)).is_err(), "SIGKILL asks nobody");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "add_signal_handler")]
pub fn unix(kind: impl Into<SignalKind>) -> io::Result<Signals> {
    let kind = kind.into();
    let listener = Listener::new(kind.0)?;
    Ok(Signals { kind, listener })
}

/// Signals of one kind, one after the other; made by [`unix`].
///
/// Also a [`Stream`] without an end. Dropping it ends the listening.
#[must_use = "streams do nothing unless polled"]
pub struct Signals {
    kind: SignalKind,
    listener: Listener,
}

impl Signals {
    /// Waits for the next signal.
    ///
    /// Those since the last one count: if there were some, this returns at once, and once for all of them.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn recv(&mut self) -> Recv<'_> {
        Recv(self)
    }
}

impl Stream for Signals {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.listener.poll(cx).map(Some)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signals").field(&self.kind).finish()
    }
}

/// Waits for a signal; made by [`Signals::recv`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Recv<'a>(&'a mut Signals);

impl Future for Recv<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.listener.poll(cx)
    }
}

/// Which signal.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::signal::SignalKind;
/// assert_eq!(SignalKind::TERMINATE.as_raw(), 15);
/// assert_eq!(format!("{:?}", SignalKind::TERMINATE), "SIGTERM");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// SIGALRM: a timer of the system has expired.
    pub const ALARM: Self = Self(consts::SIGALRM);
    /// SIGCHLD: a child process has ended, or stopped.
    pub const CHILD: Self = Self(consts::SIGCHLD);
    /// SIGHUP: the terminal is gone; to servers by custom: read your configuration again.
    pub const HANGUP: Self = Self(consts::SIGHUP);
    /// SIGINT: Ctrl-C.
    pub const INTERRUPT: Self = Self(consts::SIGINT);
    /// SIGKILL: end at once. It can be sent, and not be listened to.
    pub const KILL: Self = Self(consts::SIGKILL);
    /// SIGPIPE: nobody reads any more what is written into a pipe.
    pub const PIPE: Self = Self(consts::SIGPIPE);
    /// SIGQUIT: Ctrl-\\.
    pub const QUIT: Self = Self(consts::SIGQUIT);
    /// SIGTERM: please end.
    pub const TERMINATE: Self = Self(consts::SIGTERM);
    /// SIGUSR1: whatever the program means by it.
    pub const USER_1: Self = Self(consts::SIGUSR1);
    /// SIGUSR2: whatever the program means by it.
    pub const USER_2: Self = Self(consts::SIGUSR2);
    /// SIGWINCH: the window of the terminal has another size.
    pub const WINDOW_CHANGE: Self = Self(consts::SIGWINCH);

    /// The signal with this number on this system.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The number it has on this system.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}
