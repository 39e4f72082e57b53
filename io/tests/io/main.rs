//! `rt::io`: the helpers, pipes in memory, standard input and output, framing by a library.

mod copying;
mod framing;
mod in_memory;
#[cfg(target_os = "linux")]
mod standard;
#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(unix, feature = "tokio-io"))]
mod tokio_traits;
mod until;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rt_tasks_io::io::AsyncRead;

/// Gives its bytes a few at a time, and before each lets whoever asks wait.
struct Drip {
    bytes: Vec<u8>,
    at: usize,
    n_at_once: usize,
    is_ready: bool,
}

impl Drip {
    fn new(bytes: impl Into<Vec<u8>>, n_at_once: usize) -> Self {
        Self {
            bytes: bytes.into(),
            at: 0,
            n_at_once,
            is_ready: false,
        }
    }
}

impl AsyncRead for Drip {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let rest = &self.bytes[self.at..];
        let n_read = rest.len().min(self.n_at_once).min(buffer.len());
        buffer[..n_read].copy_from_slice(&rest[..n_read]);
        self.at += n_read;
        Poll::Ready(Ok(n_read))
    }
}
