//! Standard output and error.
//!
//! They may be a terminal or a pipe that is full, and they are shared with other processes, so they must not be put into
//! non-blocking mode: each write is a call on the pool for blocking work, one at a time.

use std::fmt;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use rt_tasks_runtime::{JoinHandle, spawn_mandatory};

/// What one call writes at most.
const LARGEST: usize = 1 << 20;

/// Writes for one handle, one after the other.
#[derive(Default)]
struct Writes {
    /// The call under way.
    call: Option<JoinHandle<(Vec<u8>, io::Result<()>)>>,
    /// The buffer of calls while none is under way.
    buffer: Vec<u8>,
}

impl Writes {
    /// Waits for the call under way.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(Ok(()));
        };
        let done = ready!(Pin::new(call).poll(cx));
        self.call = None;
        Poll::Ready(match done {
            Ok((buffer, result)) => {
                self.buffer = buffer;
                result
            }
            Err(lost) => Err(io::Error::other(lost)),
        })
    }

    /// Takes bytes over, once those before are written.
    fn poll_write<W: Write>(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        open: impl FnOnce() -> W + Send + 'static,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let n_taken = bytes.len().min(LARGEST);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(&bytes[..n_taken]);
        self.call = Some(spawn_mandatory(move || {
            let mut writer = open();
            let result = writer.write_all(&buffer).and_then(|()| writer.flush());
            (buffer, result)
        }));
        Poll::Ready(Ok(n_taken))
    }
}

macro_rules! output {
    ($(#[$doc:meta])* $function:ident, $(#[$of_type:meta])* $name:ident) => {
        $(#[$doc])*
        #[must_use]
        pub fn $function() -> $name {
            $name(Writes::default())
        }

        $(#[$of_type])*
        ///
        /// A write returns when the bytes have been taken over, while they are being written; its error comes from the
        /// next write, flush or close. So **end with a [`flush`](super::AsyncWriteExt::flush)**: dropped without, it still
        /// writes what it took over, for which the end of the runtime waits within its grace; but nobody learns whether
        /// that succeeded.
        ///
        /// # Cancel safety
        ///
        /// A write that was dropped before it returned has taken nothing. A dropped flush goes on.
        ///
        /// # Panics
        ///
        /// Writing panics outside a runtime.
        pub struct $name(Writes);

        impl $name {
            /// Whether somebody reads it there.
            #[must_use]
            pub fn is_terminal(&self) -> bool {
                io::$function().is_terminal()
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.0.poll_write(cx, bytes, || io::$function().lock())
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_idle(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_idle(cx)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("busy", &self.0.call.is_some())
                    .finish()
            }
        }
    };
}

output! {
    /// The standard output of this process.
    ///
    /// It writes through [`std::io::stdout`], so that what `print!` has left in its buffer comes first. Each call here has
    /// its own order: several that write at the same time write one after the other, whole up to a mebibyte.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_io as rt;
    /// use rt::io::AsyncWriteExt;
    /// # rt_tasks_runtime::block_on(async {
    /// let mut stdout = rt::io::stdout();
    /// stdout.write_all(b"hello\n").await?;
    /// stdout.flush().await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    stdout,
    /// Standard output; made by [`stdout`].
    Stdout
}

output! {
    /// The standard error output of this process; as [`stdout`].
    stderr,
    /// Standard error output; made by [`stderr`].
    Stderr
}
