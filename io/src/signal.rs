//! Signals of the operating system.

use std::fmt;
use std::future::Future;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use rt_tasks_runtime::reactor::{Direction, Ownership, Source};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::{pipe, unregister};

/// Resolves when the user presses Ctrl-C, or anybody else sends SIGINT.
///
/// A signal counts from the call on, before the first poll too, and each listener learns of it. After the first
/// call SIGINT no longer ends the process, not even when nobody listens any more: who wants a second Ctrl-C to do
/// so waits for it and exits.
///
/// # Cancel safety
///
/// A signal that comes between dropping one listener and making the next is missed.
///
/// # Errors
///
/// The system refuses a descriptor; there is no runtime here, or it has been shut down.
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
pub fn ctrl_c() -> CtrlC {
    CtrlC {
        listener: Listener::new(SIGINT).map_err(Some),
    }
}

/// Waits for Ctrl-C; made by [`ctrl_c`].
#[must_use = "futures do nothing unless polled"]
pub struct CtrlC {
    /// Or why there is none, until that has been said.
    listener: Result<Listener, Option<io::Error>>,
}

/// A pipe of its own, into which the signal's handler writes: nothing else may safely be done in one.
struct Listener {
    reading: Source<UnixStream>,
    id: SigId,
}

impl Listener {
    fn new(signal: i32) -> io::Result<Self> {
        let (reading, writing) = UnixStream::pair()?;
        reading.set_nonblocking(true)?;
        let reading = Source::new(reading, Ownership::Sole)?;
        let id = pipe::register(signal, writing)?;
        Ok(Self { reading, id })
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = |mut io: &UnixStream| io.read(&mut [0; 1]);
        self.reading
            .poll_io(Direction::Read, cx, read)
            .map_ok(|_| ())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        unregister(self.id);
    }
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.listener {
            Ok(listener) => listener.poll(cx),
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
