//! Sockets for TCP, UDP and between processes, pipes, servers, name resolution, and [`AsyncFd`] for any other
//! descriptor.
//!
//! # Examples
//!
//! ```
//! # use rt_tasks_io as rt;
//! use rt::io::{AsyncReadExt, AsyncWriteExt};
//! use rt::net::{TcpListener, TcpStream};
//!
//! # rt_tasks_runtime::block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(listener.local_addr()?).await?;
//! let (mut server, _peer) = listener.accept().await?;
//!
//! client.write_all(b"hello").await?;
//! client.close().await?;
//! let mut heard = String::new();
//! server.read_to_string(&mut heard).await?;
//! assert_eq!(heard, "hello");
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod addr;
#[cfg(unix)]
mod async_fd;
mod connect;
pub(crate) mod connection;
mod datagram;
#[cfg_attr(all(target_os = "linux", not(rt_portable)), path = "leftover_linux.rs")]
#[cfg_attr(
    not(all(target_os = "linux", not(rt_portable))),
    path = "leftover_portable.rs"
)]
mod leftover;
mod listener;
mod options;
pub mod pipe;
mod serve;
mod server;
mod server_state;
mod split;
mod stream;
#[cfg_attr(all(target_os = "linux", not(rt_portable)), path = "system_linux.rs")]
#[cfg_attr(
    not(all(target_os = "linux", not(rt_portable))),
    path = "system_portable.rs"
)]
mod system;
mod tcp_socket;
mod udp;
mod unix;
mod unix_datagram;

pub use addr::{LookupError, ToSocketAddrs, lookup_host};
#[cfg(unix)]
pub use async_fd::AsyncFd;
pub use connect::ConnectFailures;
pub use listener::{Incoming, TcpListener};
pub use pipe::pipe;
pub use serve::{HandlerOutput, Listener, serve};
pub use server::{Drain, Drained, IntoDeadline, ServeOptions, Server, ServerWait};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use std::net::Shutdown;
pub use stream::TcpStream;
pub use tcp_socket::TcpSocket;
pub use udp::UdpSocket;
pub use unix::{Credentials, UnixListener, UnixStream};
pub use unix_datagram::UnixDatagram;
