//! Unix sockets: streams and their listeners, between processes of one machine.

use std::ffi::OsStr;
use std::future::poll_fn;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self as std_unix, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rt_tasks_runtime::reactor::{Direction, Source};
use rt_tasks_runtime::sleep;
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::connection::{descriptor, stream};
use super::options::buffer_options;
use super::system;
use crate::error::cannot;

/// How long a client waits until it looks again whether there is room in the listener's backlog.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// A connection between two processes of one machine.
///
/// It is used like a [`TcpStream`](super::TcpStream).
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// # rt_tasks_runtime::block_on(async {
/// let (mut near, mut far) = rt::net::UnixStream::pair()?;
/// near.write_all(b"question").await?;
/// let mut question = [0; 8];
/// far.read_exact(&mut question).await?;
/// assert_eq!(&question, b"question");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixStream {
    pub(super) source: Source<std_unix::UnixStream>,
}

stream!(UnixStream, std_unix::UnixStream, std_unix::UnixStream);
buffer_options!(UnixStream);

impl UnixStream {
    /// Connects to who listens at `path`.
    ///
    /// If the listener's backlog is full it waits until there is room; no system tells when that is, so it looks
    /// every now and then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, it closes the connection it was making.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path: above all that nobody listens there. There is no runtime here.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let connected = async { Self::connect_addr(&SocketAddr::from_pathname(path)?).await };
        let connected = connected.await;
        connected.map_err(|error| cannot(format_args!("connect to {}", path.display()), error))
    }

    /// Connects to an address: on Linux it may also be an abstract one, which stands in no file system.
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// # use rt_tasks_io as rt;
    /// use std::os::linux::net::SocketAddrExt;
    /// use std::os::unix::net::SocketAddr;
    /// # rt_tasks_runtime::block_on(async {
    /// # let name = format!("rt-example-{}", std::process::id());
    /// let address = SocketAddr::from_abstract_name(&name)?;
    /// let listener = rt::net::UnixListener::bind_addr(&address)?;
    /// let client = rt::net::UnixStream::connect_addr(&address).await?;
    /// assert_eq!(client.peer_addr()?.as_abstract_name(), Some(name.as_bytes()));
    /// # drop(listener); std::io::Result::Ok(()) }).unwrap();
    /// # }
    /// ```
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let address = system_address(address)?;
        let [mut pause, longest] = PAUSES;
        loop {
            let socket = system::open(Domain::UNIX, Type::STREAM)?;
            match socket.connect(&address) {
                Ok(()) => return Self::register(socket.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_in_progress(&error) => return Self::connecting(socket).await,
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn connecting(socket: Socket) -> io::Result<Self> {
        let source = Source::connecting(std_unix::UnixStream::from(socket))?;
        poll_fn(|cx| source.poll_ready(Direction::Write, cx)).await?;
        match source.io().take_error()? {
            Some(error) => Err(error),
            None => Ok(Self { source }),
        }
    }

    /// Makes two streams that are connected with each other.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = std_unix::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok((Self::register(near)?, Self::register(far)?))
    }

    /// The address of this end; mostly it has none.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().peer_addr()
    }

    /// Who is at the other end: as of when it connected, or made the pair.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where the system does not tell; others of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_io as rt;
    /// # rt_tasks_runtime::block_on(async {
    /// let (near, _far) = rt::net::UnixStream::pair()?;
    /// # if cfg!(target_os = "linux") {
    /// assert_eq!(near.peer_cred()?.process, Some(std::process::id()));
    /// # }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn peer_cred(&self) -> io::Result<Credentials> {
        system::credentials(self.source.io())
    }
}

/// Who is at the other end of a [`UnixStream`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The identity of its user.
    pub user: u32,
    /// The identity of its group.
    pub group: u32,
    /// The identity of its process, if it can be seen from here.
    pub process: Option<u32>,
}

/// A Unix socket that listens for connections.
///
/// Dropping it closes it. The file at its path stays, and has to be removed before anybody can listen there again.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// # let path = std::env::temp_dir().join(format!("rt-listener-{}", std::process::id()));
/// let listener = rt::net::UnixListener::bind(&path)?;
/// let _client = rt::net::UnixStream::connect(&path).await?;
/// let (_server, peer) = listener.accept().await?;
/// assert!(peer.is_unnamed());
/// std::fs::remove_file(path)?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct UnixListener {
    pub(super) source: Source<std_unix::UnixListener>,
}

descriptor!(UnixListener, std_unix::UnixListener);

impl UnixListener {
    /// Listens at `path`, where a file is made for it.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path: above all that there is a file already. There is no runtime here.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let bound = SocketAddr::from_pathname(path).and_then(|address| Self::bind_addr(&address));
        bound.map_err(|error| cannot(format_args!("listen on {}", path.display()), error))
    }

    /// Listens at an address: on Linux it may also be an abstract one, which is free again when the listener is closed.
    ///
    /// # Errors
    ///
    /// Those of the system. There is no runtime here.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let listener = std_unix::UnixListener::bind_addr(address)?;
        listener.set_nonblocking(true)?;
        Self::register(listener)
    }

    /// The address it listens on.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.io().local_addr()
    }

    /// Accepts a connection that is there.
    pub(super) fn accept_now(
        listener: &std_unix::UnixListener,
    ) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = listener.accept()?;
        stream.set_nonblocking(true)?;
        Ok((UnixStream::register(stream)?, peer))
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}

/// An address as the system takes it.
fn system_address(address: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    match system::abstract_name(address) {
        Some(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat())),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an address without a name",
        )),
    }
}
