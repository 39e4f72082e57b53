//! Asks the system, where it pays, how much a read of a TCP stream has left behind.
//!
//! A stream that gave less than was asked for is drained. One that filled the buffer tells nothing, so the next read
//! is tried, and finds nothing if the peer sends messages of the size that is read: with `read_exact` one call in
//! three is such a call. Linux tells with each read how many bytes are left once `TCP_INQ` is set (since 4.18); then
//! the reader waits without asking. The answer takes note of the end of the stream, for which it is not zero. It
//! costs less than a tenth of the call it saves, but setting it is a call too, so it is set for a stream that was
//! caught out for the first time.
//!
//! This file has `unsafe` in it because no library names the option.

use std::io::{self, IoSliceMut, Read};
use std::mem::{self, MaybeUninit};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use rt_tasks_runtime::reactor::StreamRead;

/// The last read did not fill its buffer.
const PLAIN: u8 = 0;
/// The last read filled its buffer.
const FILLED: u8 = 1;
/// The system tells what is left.
const TOLD: u8 = 2;
/// It does not.
const UNTOLD: u8 = 3;

/// What is known of a stream. A hint: whoever reads it too old makes a call too much.
#[derive(Debug)]
pub(super) struct Leftover(AtomicU8);

impl Leftover {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(PLAIN))
    }

    /// Reads once.
    #[inline]
    pub(super) fn read(
        &self,
        mut stream: &TcpStream,
        buffers: &mut [IoSliceMut<'_>],
    ) -> io::Result<StreamRead> {
        let state = self.0.load(Relaxed);
        if state == TOLD {
            return read_told(stream, buffers);
        }
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        let result = match buffers {
            [buffer] => stream.read(buffer),
            buffers => stream.read_vectored(buffers),
        };
        match &result {
            Ok(n_read) if state != UNTOLD => {
                let next = if *n_read == len { FILLED } else { PLAIN };
                if next != state {
                    self.0.store(next, Relaxed);
                }
            }
            Err(error) if state == FILLED && error.kind() == io::ErrorKind::WouldBlock => {
                let next = if tell(stream) { TOLD } else { UNTOLD };
                self.0.store(next, Relaxed);
            }
            _ => {}
        }
        result.map(StreamRead::new)
    }
}

/// Has the system tell what is left; false where it cannot.
fn tell(stream: &TcpStream) -> bool {
    let on: libc::c_int = 1;
    let len = mem::size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is an integer of that length.
    let status = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INQ,
            (&raw const on).cast(),
            len,
        )
    };
    status == 0
}

/// Room for one message that holds an integer.
#[repr(C)]
struct Message {
    head: libc::cmsghdr,
    left: libc::c_int,
}

/// Reads, and takes the system's word for what is left.
fn read_told(stream: &TcpStream, buffers: &mut [IoSliceMut<'_>]) -> io::Result<StreamRead> {
    // SAFETY: both are plain integers and pointers, for which zero is a value.
    let (mut request, mut message) =
        unsafe { MaybeUninit::<(libc::msghdr, Message)>::zeroed().assume_init() };
    request.msg_iov = buffers.as_mut_ptr().cast();
    request.msg_iovlen = buffers.len().min(MOST_BUFFERS) as _;
    request.msg_control = (&raw mut message).cast();
    request.msg_controllen = mem::size_of_val(&message) as _;
    // SAFETY: the descriptor is open, the buffers are `iovec`s by the promise of `IoSliceMut`, and the room for the
    // message is as long as said and aligned for it.
    let n_read = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut request, 0) };
    let Ok(n_read) = usize::try_from(n_read) else {
        return Err(io::Error::last_os_error());
    };
    let told = mem::offset_of!(Message, left) + mem::size_of_val(&message.left);
    let is_told = request.msg_controllen >= told as _
        && (message.head.cmsg_level, message.head.cmsg_type) == (libc::IPPROTO_TCP, libc::TCP_INQ);
    let mut read = StreamRead::new(n_read);
    read.is_drained = is_told && message.left == 0;
    Ok(read)
}

/// As many as the system takes at once.
const MOST_BUFFERS: usize = libc::UIO_MAXIOV as usize;
