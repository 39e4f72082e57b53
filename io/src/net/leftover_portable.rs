//! Reading where the system does not tell how much a read has left behind; see `leftover_linux.rs`.

use std::io::{self, IoSliceMut, Read};
use std::net::TcpStream;

use rt_tasks_runtime::reactor::StreamRead;

/// What is known of a stream: nothing.
#[derive(Debug)]
pub(super) struct Leftover;

impl Leftover {
    pub(super) const fn new() -> Self {
        Self
    }

    /// Reads once.
    #[inline]
    pub(super) fn read(
        &self,
        mut stream: &TcpStream,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<StreamRead> {
        stream.read_vectored(buffers).map(StreamRead::new)
    }
}
