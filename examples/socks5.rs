//! A SOCKS5 proxy (RFC 1928): a client says where it wants to go, by address or by name, and is taken there.
//!
//! ```text
//! cargo run --example socks5 -- 127.0.0.1:1080     # then: curl --socks5-hostname 127.0.0.1:1080 http://example.org/
//! ```
//!
//! It asks for no password, so that it should listen where only friends are. The connection to the target is made by
//! `connect`, which races the addresses of a name; why it failed is said to the client in the words that the protocol
//! has. Then bytes and ends are passed on as by the example `proxy`.

use std::env;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};

/// How long a client may take to say where it wants to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long connecting to the target may take.
const LONGEST_WAY: Duration = Duration::from_secs(30);

/// The version that begins each message.
const VERSION: u8 = 5;

/// The only method of authentication that is offered here: none.
const NO_PASSWORD: u8 = 0;
const NO_METHOD: u8 = 0xff;

/// The only command that is known here.
const CONNECT: u8 = 1;

/// The kinds of addresses.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a client is told.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Succeeded = 0,
    Failed = 1,
    NetworkUnreachable = 3,
    HostUnreachable = 4,
    Refused = 5,
    UnknownCommand = 7,
    UnknownAddress = 8,
}

impl Reply {
    /// Why there is no connection.
    fn to(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::NetworkUnreachable => Self::NetworkUnreachable,
            ErrorKind::HostUnreachable | ErrorKind::TimedOut => Self::HostUnreachable,
            _ => Self::Failed,
        }
    }
}

/// Takes clients where they want to go until the server is told to end.
pub(crate) fn socks5(listener: TcpListener) -> Server {
    serve(
        listener,
        ServeOptions::default(),
        |client, peer| async move {
            // A client or a target that hangs up is nothing to report.
            match accompany(client).await {
                Ok((target, to, from)) => {
                    println!("{peer}: {to} bytes to {target}, {from} bytes back")
                }
                Err(error) => eprintln!("{peer}: {error}"),
            }
        },
    )
}

/// Serves one client, and tells where it went and how many bytes passed in each direction.
async fn accompany(mut client: TcpStream) -> io::Result<(String, u64, u64)> {
    client.set_nodelay(true)?;
    let (host, port) = within(PATIENCE, greet(&mut client)).await?;
    let target = format!("{host}:{port}");
    let mut server = match within(LONGEST_WAY, TcpStream::connect((&*host, port))).await {
        Ok(server) => server,
        Err(error) => {
            return refuse(
                &mut client,
                Reply::to(&error),
                &format!("{target}: {error}"),
            )
            .await;
        }
    };
    server.set_nodelay(true)?;
    reply(&mut client, Reply::Succeeded, server.local_addr()?).await?;
    let (to, from) = rt::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok((target, to, from))
}

/// Agrees with a client on how to speak, and hears where it wants to go.
async fn greet(client: &mut TcpStream) -> io::Result<(String, u16)> {
    let [version, n_methods] = read(client).await?;
    if version != VERSION {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("version {version} of SOCKS"),
        ));
    }
    let mut methods = vec![0; n_methods.into()];
    client.read_exact(&mut methods).await?;
    if !methods.contains(&NO_PASSWORD) {
        client.write_all(&[VERSION, NO_METHOD]).await?;
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "the client wants a password",
        ));
    }
    client.write_all(&[VERSION, NO_PASSWORD]).await?;

    let [_version, command, _reserved, kind] = read(client).await?;
    let host = match kind {
        IPV4 => Ipv4Addr::from(read::<4>(client).await?).to_string(),
        IPV6 => Ipv6Addr::from(read::<16>(client).await?).to_string(),
        NAME => {
            let [length] = read(client).await?;
            let mut name = vec![0; length.into()];
            client.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => {
            return refuse(
                client,
                Reply::UnknownAddress,
                &format!("address of kind {kind}"),
            )
            .await;
        }
    };
    let port = u16::from_be_bytes(read(client).await?);
    match command {
        CONNECT => Ok((host, port)),
        _ => refuse(client, Reply::UnknownCommand, &format!("command {command}")).await,
    }
}

/// Tells a client that it goes nowhere, and fails with the reason.
async fn refuse<T>(client: &mut TcpStream, why: Reply, what: &str) -> io::Result<T> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    reply(client, why, nowhere).await?;
    Err(io::Error::other(format!("{what} ({why:?})")))
}

async fn reply(client: &mut TcpStream, reply: Reply, from: SocketAddr) -> io::Result<()> {
    let mut message = vec![VERSION, reply as u8, 0];
    match from {
        SocketAddr::V4(address) => {
            message.push(IPV4);
            message.extend(address.ip().octets());
        }
        SocketAddr::V6(address) => {
            message.push(IPV6);
            message.extend(address.ip().octets());
        }
    }
    message.extend(from.port().to_be_bytes());
    client.write_all(&message).await
}

async fn read<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |late| io::Error::new(ErrorKind::TimedOut, late);
    rt::timeout(limit, work).await.map_err(late)?
}

#[rt::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:1080".to_owned());
    let listener = TcpListener::bind(address).await?;
    // It counts from here on, before anybody can know that there is something to stop.
    let interrupted = rt::signal::ctrl_c();
    println!("listening on {}", listener.local_addr()?);
    let server = socks5(listener);
    interrupted.await?;
    server.drain(Duration::from_secs(10)).await;
    Ok(())
}
