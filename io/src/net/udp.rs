//! UDP sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use rt_tasks_runtime::reactor::{Direction, Source};

use super::addr::{ToSocketAddrs, resolve};
use super::connection::{descriptor, waits};
use super::datagram::datagrams;
use super::options::buffer_options;
use crate::error::cannot;

/// A UDP socket.
///
/// All of its functions take it by reference, so that tasks may share it in an `Arc`: any number of them may send, and
/// any number receive.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::net::UdpSocket;
/// # rt_tasks_runtime::block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to(b"question", server.local_addr()?).await?;
/// let mut buffer = [0; 1500];
/// let (len, peer) = server.recv_from(&mut buffer).await?;
/// assert_eq!(&buffer[..len], b"question");
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UdpSocket {
    source: Source<std::net::UdpSocket>,
}

descriptor!(UdpSocket, std::net::UdpSocket);
waits!(UdpSocket: readable);
waits!(UdpSocket: writable);
buffer_options!(UdpSocket);
datagrams!(UdpSocket, std::net::UdpSocket, SocketAddr);

impl UdpSocket {
    /// Opens a socket at the first address of `address` at which the system allows it; port 0 is any free port.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, nothing is open.
    ///
    /// # Errors
    ///
    /// The last refusal, with its address; the name cannot be resolved; there is no runtime here.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut refusal = None;
        for address in resolve(&address).await? {
            match std::net::UdpSocket::bind(address) {
                Ok(socket) => {
                    socket.set_nonblocking(true)?;
                    return Self::register(socket);
                }
                Err(error) => {
                    refusal = Some(cannot(format_args!("open a socket at {address}"), error));
                }
            }
        }
        Err(refusal.expect("there was an address, and it was refused"))
    }

    /// Chooses the peer for [`send`](Self::send) and [`recv`](Self::recv): the first address of `address` that the
    /// system takes. Datagrams of others do not arrive any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, nothing has changed.
    ///
    /// # Errors
    ///
    /// The last refusal, with its address; the name cannot be resolved.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let mut refusal = None;
        for address in resolve(&address).await? {
            match self.source.io().connect(address) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = Some(cannot(format_args!("connect to {address}"), error)),
            }
        }
        Err(refusal.expect("there was an address, and it was refused"))
    }

    /// Sends a datagram, as one piece, to the first address of `address`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of the system, for instance that it is too long; the name cannot be resolved; the runtime has been shut
    /// down.
    pub async fn send_to(&self, datagram: &[u8], address: impl ToSocketAddrs) -> io::Result<usize> {
        let address = resolve(&address).await?[0];
        let send = |io: &std::net::UdpSocket| io.send_to(datagram, address);
        self.source.run(Direction::Write, send).await
    }

    /// Sends a datagram without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room; as for [`send_to`](Self::send_to).
    pub fn try_send_to(&self, datagram: &[u8], address: SocketAddr) -> io::Result<usize> {
        self.source
            .try_io(Direction::Write, |io| io.send_to(datagram, address))
    }

    /// Polls [`send_to`](Self::send_to). One task at a time waits this way.
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        address: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let send = |io: &std::net::UdpSocket| io.send_to(datagram, address);
        self.source.poll_io(Direction::Write, cx, send)
    }

    /// Looks at the next datagram without taking it, and says from whom it is.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of the system; the runtime has been shut down.
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let peek = |io: &std::net::UdpSocket| io.peek_from(buffer);
        self.source.run(Direction::Read, peek).await
    }
}

macro_rules! passed_on {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        /// Options. Their errors are those of the system.
        impl UdpSocket {$(
            $(#[$attribute])*
            ///
            /// # Errors
            ///
            /// Those of the system.
            pub fn $name(&self, $($argument: $type),*) -> io::Result<$output> {
                self.source.io().$name($($argument),*)
            }
        )*}
    };
}

passed_on! {
    /// Whether it may send to broadcast addresses (`SO_BROADCAST`).
    broadcast() -> bool;
    /// Lets it send to broadcast addresses, or not (`SO_BROADCAST`).
    set_broadcast(broadcast: bool) -> ();
    /// How many routers a datagram may pass (`IP_TTL`).
    ttl() -> u32;
    /// Sets how many routers a datagram may pass (`IP_TTL`).
    set_ttl(ttl: u32) -> ();
    /// Whether this machine hears what it sends to groups itself (`IP_MULTICAST_LOOP`).
    multicast_loop_v4() -> bool;
    /// Has this machine hear what it sends to groups itself, or not (`IP_MULTICAST_LOOP`).
    set_multicast_loop_v4(hears: bool) -> ();
    /// How many routers a datagram to a group may pass (`IP_MULTICAST_TTL`).
    multicast_ttl_v4() -> u32;
    /// Sets how many routers a datagram to a group may pass (`IP_MULTICAST_TTL`); 1 keeps it in the local network.
    set_multicast_ttl_v4(ttl: u32) -> ();
    /// Whether this machine hears what it sends to groups itself (`IPV6_MULTICAST_LOOP`).
    multicast_loop_v6() -> bool;
    /// Has this machine hear what it sends to groups itself, or not (`IPV6_MULTICAST_LOOP`).
    set_multicast_loop_v6(hears: bool) -> ();
    /// Joins a group, at the interface with this address; unspecified, at one of the system's choice.
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Leaves a group that was joined with the same arguments.
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    /// Joins a group, at the interface with this number; 0 is one of the system's choice.
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    /// Leaves a group that was joined with the same arguments.
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
}
