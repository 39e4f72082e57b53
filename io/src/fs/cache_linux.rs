//! What the page cache has can be read and sent at once, and the system says whether it has it.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Means the position of the file, which a read then moves.
const AT_POSITION: u64 = u64::MAX;

/// What came of asking the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cached {
    Read(usize),
    /// It would take the disk, or there is an error that a real read will report.
    Not,
    /// Such a file cannot be asked.
    Never,
}

/// Reads at the position of the file, if that does not block.
pub(super) fn read(file: &fs::File, buffer: &mut [u8]) -> Cached {
    read_at(file, buffer, AT_POSITION)
}

fn read_at(file: &fs::File, buffer: &mut [u8], at: u64) -> Cached {
    let mut buffers = [IoSliceMut::new(buffer)];
    match preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT) {
        Ok(n_read) => Cached::Read(n_read),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => Cached::Never,
        Err(_) => Cached::Not,
    }
}

/// Whether these bytes of the file seem to be in the cache: the first and the last are.
#[cfg_attr(
    not(feature = "net"),
    expect(dead_code, reason = "there is nothing to send to")
)]
pub(crate) fn is_cached(file: &fs::File, at: u64, len: u64) -> bool {
    let is_there = |at| matches!(read_at(file, &mut [0; 1], at), Cached::Read(_));
    is_there(at) && is_there(at + len - 1)
}

/// Sends bytes of the file.
///
/// # Errors
///
/// `Unsupported` if the system cannot send this file; those of sending.
#[cfg_attr(
    not(feature = "net"),
    expect(dead_code, reason = "there is nothing to send to")
)]
pub(crate) fn send(to: BorrowedFd<'_>, file: &fs::File, at: u64, len: u64) -> io::Result<usize> {
    let mut at = at;
    match rustix::fs::sendfile(to, file, Some(&mut at), len as usize) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        sent => Ok(sent?),
    }
}
