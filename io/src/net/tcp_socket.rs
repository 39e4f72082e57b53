//! A TCP socket before it is a connection or a listener: for options that must be set before.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Socket, Type};

use super::connect::connect_socket;
use super::options::{buffer_options, tcp_options};
use super::system;
use super::{TcpListener, TcpStream};
use crate::error::cannot;

/// A TCP socket that is neither connected nor listening yet: options are set first, then it becomes a
/// [`TcpStream`] or a [`TcpListener`].
///
/// [`TcpStream::connect`] and [`TcpListener::bind`] are for those who need no options.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::net::TcpSocket;
/// # rt_tasks_runtime::block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuse_address(true)?;
/// socket.set_recv_buffer_size(256 * 1024)?;
/// socket.bind("127.0.0.1:0".parse().unwrap())?;
/// let listener = socket.listen(128)?;
///
/// let client = TcpSocket::new_v4()?;
/// client.set_nodelay(true)?;
/// let client = client.connect(listener.local_addr()?).await?;
/// assert!(client.nodelay()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TcpSocket {
    socket: Socket,
}

buffer_options!(TcpSocket);
tcp_options!(TcpSocket);

impl TcpSocket {
    /// Opens a socket for IPv4.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new_v4() -> io::Result<Self> {
        let socket = system::open(Domain::IPV4, Type::STREAM)?;
        Ok(Self { socket })
    }

    /// Opens a socket for IPv6.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new_v6() -> io::Result<Self> {
        let socket = system::open(Domain::IPV6, Type::STREAM)?;
        Ok(Self { socket })
    }

    /// Takes a socket over that another library made and that is neither connected nor listening, whatever its type
    /// says. It is put into non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: socket.into(),
        })
    }

    /// Hands the socket out, in non-blocking mode and neither connected nor listening, whatever its type says.
    pub fn into_std(self) -> std::net::TcpStream {
        self.socket.into()
    }

    /// Whether it may use an address of connections that ended a moment ago (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn reuse_address(&self) -> io::Result<bool> {
        self.socket.reuse_address()
    }

    /// Lets it use an address of connections that ended a moment ago, or not (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "set_reuseaddr")]
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_address(reuse)
    }

    /// Whether it shares its port with others that do so too (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn reuse_port(&self) -> io::Result<bool> {
        self.socket.reuse_port()
    }

    /// Has it share its port with others that do so too, or not (`SO_REUSEPORT`). On Linux connections are spread among
    /// the listeners of a port.
    ///
    /// # Errors
    ///
    /// Those of the system.
    #[doc(alias = "set_reuseport")]
    pub fn set_reuse_port(&self, reuse: bool) -> io::Result<()> {
        self.socket.set_reuse_port(reuse)
    }

    /// Chooses the address of this end; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// Those of the system, with the address.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let bound = self.socket.bind(&address.into());
        bound.map_err(|error| cannot(format_args!("bind to {address}"), error))
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::other("a TCP socket without an address"))
    }

    /// Connects to `address`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it closes the connection it was making.
    ///
    /// # Errors
    ///
    /// Those of the system, with the address. There is no runtime here.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let connected = connect_socket(self.socket, address).await;
        connected.map_err(|error| cannot(format_args!("connect to {address}"), error))
    }

    /// Listens for connections. The system keeps at most `backlog` of them ready, and has its own limit as well.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.socket
            .listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        TcpListener::register(self.socket.into())
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpSocket")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .finish()
    }
}
