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
    /// It would take the disk, or there is an end or an error that a real read will report.
    Not,
    /// Such a file cannot be asked.
    Never,
}

/// Reads at the position of the file, if that does not block. The buffer has room.
pub(super) fn read(file: &fs::File, buffer: &mut [u8]) -> Cached {
    read_at(file, buffer, AT_POSITION)
}

fn read_at(file: &fs::File, buffer: &mut [u8], at: u64) -> Cached {
    let mut buffers = [IoSliceMut::new(buffer)];
    match preadv2(file, &mut buffers, at, ReadWriteFlags::NOWAIT) {
        // Linux 5.9 and 5.10 say so not only at the end of a file (preadv2(2), "Bugs").
        Ok(0) => Cached::Not,
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_cache_is_not_believed_where_it_says_that_a_file_ends() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        let mut buffer = [0; 8];
        let seen = read_at(&file, &mut buffer, 0);
        if seen == Cached::Never {
            let _ = writeln!(
                io::stderr(),
                "SKIPPED the_cache_is_…: the system cannot be asked"
            );
            return;
        }
        assert_eq!(seen, Cached::Read(4));
        assert_eq!(read_at(&file, &mut buffer, 4), Cached::Not);
    }
}
