//! Where the system does not say whether a read would block, everything goes to the pool.

use std::fs;
#[cfg(all(unix, feature = "net"))]
use std::io;
#[cfg(all(unix, feature = "net"))]
use std::os::fd::BorrowedFd;

/// What came of asking the cache: it cannot be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cached {
    #[expect(dead_code, reason = "other systems read")]
    Read(usize),
    #[expect(dead_code, reason = "other systems know")]
    Not,
    Never,
}

/// Reads nothing.
pub(super) fn read(_: &fs::File, _: &mut [u8]) -> Cached {
    Cached::Never
}

/// It may be, but nobody knows.
#[cfg(all(unix, feature = "net"))]
pub(crate) fn is_cached(_: &fs::File, _: u64, _: u64) -> bool {
    false
}

/// Sends nothing.
///
/// # Errors
///
/// `Unsupported`.
#[cfg(all(unix, feature = "net"))]
pub(crate) fn send(_: BorrowedFd<'_>, _: &fs::File, _: u64, _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
