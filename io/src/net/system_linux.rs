//! Opening sockets on Linux, where the call that makes one can make it non-blocking as well; and what only Linux knows.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixStream};

use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::pipe::{PipeFlags, pipe_with};
use socket2::{Domain, Socket, Type};

use super::Credentials;

/// Opens a socket in non-blocking mode.
pub(super) fn open(domain: Domain, kind: Type) -> io::Result<Socket> {
    Socket::new(domain, kind.nonblocking(), None)
}

/// Accepts a connection, in non-blocking mode.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let peer = peer.ok_or_else(|| io::Error::other("a TCP peer without an address"))?;
    Ok((stream.into(), peer))
}

/// Makes a pipe, in non-blocking mode: the end to read from, and the one to write to.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?)
}

/// The name of an address that stands in no file system.
pub(super) fn abstract_name(address: &unix::SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}

/// Who is at the other end.
pub(super) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Credentials {
        user: peer.uid.as_raw(),
        group: peer.gid.as_raw(),
        process: u32::try_from(peer.pid.as_raw_nonzero().get()).ok(),
    })
}
