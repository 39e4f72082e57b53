//! Opening sockets where making them non-blocking takes a call of its own.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{self as unix, UnixStream};

use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use socket2::{Domain, Socket, Type};

use super::Credentials;

/// Opens a socket in non-blocking mode.
pub(super) fn open(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts a connection, in non-blocking mode.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// Makes a pipe, in non-blocking mode: the end to read from, and the one to write to.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (receiver, sender) = rustix::pipe::pipe()?;
    for end in [&receiver, &sender] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
        ioctl_fionbio(end, true)?;
    }
    Ok((receiver, sender))
}

/// The name of an address that stands in no file system. Here all of them do.
pub(super) fn abstract_name(_address: &unix::SocketAddr) -> Option<&[u8]> {
    None
}

/// Who is at the other end: not told here.
pub(super) fn credentials(_stream: &UnixStream) -> io::Result<Credentials> {
    Err(io::ErrorKind::Unsupported.into())
}
