//! Sockets, seen from outside: one binary, a module for each part.

mod alone;
mod connect;
#[cfg(target_os = "linux")]
mod crowd;
mod datagrams;
mod faults;
mod pipes;
mod serve;
mod sockets;
mod streams;
mod tcp;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use futures_lite::future::poll_once;

/// An address, for a port of the system's choice, on which no other test listens: a port that is closed here stays
/// closed, and is not opened by a neighbour meanwhile.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    // Elsewhere the loopback device has one address only.
    let ip = match cfg!(target_os = "linux") {
        true => Ipv4Addr::new(127, 1, high, low),
        false => Ipv4Addr::LOCALHOST,
    };
    SocketAddr::new(IpAddr::V4(ip), 0)
}

/// A path at which there is nothing, for a socket.
pub(crate) fn own_path() -> PathBuf {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    std::env::temp_dir().join(format!("rt-net-{}-{number}", std::process::id()))
}

/// Writes until there is no room, and who waits for some has to wait. `write` is false when nothing fits.
///
/// That there was room at first may be told late, by the thread that was in the poller then; and the system may find more
/// while it moves what was written.
pub(crate) async fn fill(
    mut write: impl FnMut() -> bool,
    writable: impl AsyncFn() -> io::Result<()>,
) {
    for _ in 0..1_000 {
        while write() {}
        if poll_once(writable()).await.is_none() {
            return;
        }
    }
    panic!("who waits for room is told that there is some, and nothing fits");
}
