//! What `hyper` asks of a runtime: connections, an executor and a timer.
//!
//! [`TcpStream`] and [`UnixStream`] implement [`hyper::rt::Read`] and [`hyper::rt::Write`] themselves, so they go to
//! `hyper` as they are.
//!
//! There is `unsafe` in here because `hyper`'s buffer is not initialised, and telling how much
//! of it is now is a promise.
//!
//! # Examples
//!
//! ```no_run
//! # use rt_tasks_io as rt;
//! use hyper::server::conn::http1;
//! use hyper::{Request, Response, body::Incoming, service::service_fn};
//!
//! async fn hello(_: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
//!     Ok(Response::new("hello".into()))
//! }
//! # rt_tasks_runtime::block_on(async {
//! let listener = rt::net::TcpListener::bind("127.0.0.1:8080").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     let mut server = http1::Builder::new();
//!     server.timer(rt::hyper::Timer);
//!     rt_tasks_runtime::spawn(server.serve_connection(stream, service_fn(hello)));
//! }
//! # #[allow(unreachable_code)] std::io::Result::Ok(()) }).unwrap();
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBufCursor, Write};
use rt_tasks_runtime::reactor::StreamRead;
use rt_tasks_runtime::time;
use rustix::net::{RecvFlags, recv};

use crate::net::connection::Connection;
use crate::net::{TcpStream, UnixStream};

/// Reads into `hyper`'s buffer.
fn poll_read<C: Connection>(
    connection: &C,
    cx: &mut Context<'_>,
    mut buffer: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    let read = connection.poll_read_with(cx, buffer.remaining(), |io| {
        // SAFETY: the contract of `as_mut`: nothing is de-initialised; `recv` only writes bytes to it.
        let unfilled = unsafe { buffer.as_mut() };
        // Less of a detour in the system than `read`, which takes files as well.
        let ((filled, _), _) = recv(io, unfilled, RecvFlags::empty())?;
        Ok(StreamRead::new(filled.len()))
    });
    read.map_ok(|n_read| {
        // SAFETY: the contract of `advance`: `recv` has initialised the first `n_read` bytes, and gave them back as
        // such.
        unsafe { buffer.advance(n_read) }
    })
}

macro_rules! streams {
    ($($type:ty),*) => {$(
        impl Read for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(&*self, cx, buffer)
            }
        }

        impl Write for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_from(cx, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.finish())
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_vectored_from(cx, buffers)
            }
        }
    )*};
}

streams!(TcpStream, UnixStream);

/// Spawns what `hyper` wants to run in the background as tasks of the current runtime.
///
/// # Panics
///
/// As spawning does: outside a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(rt_tasks_runtime::spawn(future));
    }
}

/// Lets `hyper` wait on the clock of the current runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(Mutex::new(time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

/// `hyper` wants its sleeps to be `Sync`. The mutex makes this one so; it is never locked.
struct Sleep(Mutex<time::Sleep>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = match self.0.get_mut() {
            Ok(sleep) => sleep,
            Err(poisoned) => poisoned.into_inner(),
        };
        Pin::new(sleep).poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}
