//! What is set before a connection is made, who is at the other end, and the addresses of Unix sockets.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::{
    ServeOptions, TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, serve,
};
use rt_tasks_runtime::{block_on, spawn, timeout};

use crate::alone::sole_owner;
use crate::{own_address, own_path};

#[test]
fn options_stay_from_the_socket_to_the_connection() {
    block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(own_address()).unwrap();
        assert!(socket.reuse_address().unwrap());
        let address = socket.local_addr().unwrap();
        let listener = socket.listen(16).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.set_linger(Some(Duration::from_secs(2))).unwrap();
        socket.set_ttl(5).unwrap();
        socket.set_send_buffer_size(40_000).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let here = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), here);
        assert_eq!(listener.accept().await.unwrap().1, here);
        assert!(stream.nodelay().unwrap() && stream.keepalive().unwrap());
        assert_eq!(stream.linger().unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(stream.ttl().unwrap(), 5);
        assert!(stream.send_buffer_size().unwrap() >= 40_000);
        let second = Duration::from_secs(1);
        stream
            .set_keepalive_times(second * 60, second * 5, 3)
            .unwrap();
        stream.set_keepalive(false).unwrap();
        assert!(!stream.keepalive().unwrap());
        stream.set_linger(None).unwrap();
        assert_eq!(stream.linger().unwrap(), None);
        stream.set_nodelay(false).unwrap();
        assert!(!stream.nodelay().unwrap());
    });
}

#[test]
fn a_port_can_be_shared_by_those_who_agree() {
    block_on(async {
        let open = |address: SocketAddr| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuse_port(true).unwrap();
            assert!(socket.reuse_port().unwrap());
            socket.bind(address).map(|()| socket.listen(64).unwrap())
        };
        let one = open(own_address()).unwrap();
        let address = one.local_addr().unwrap();
        let two = open(address).unwrap();
        let refused = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        let accept = async |listener: TcpListener| listener.accept().await.is_ok();
        let mut accepting = Box::pin(zip(accept(one), accept(two)));
        // The system spreads them; with so many each has had one.
        let mut clients = Vec::new();
        while poll_once(accepting.as_mut()).await.is_none() {
            clients.push(TcpStream::connect(address).await.unwrap());
            assert!(clients.len() < 1_000, "all of them went to one listener");
        }
    });
}

#[test]
fn a_listener_on_every_address_of_ipv6_takes_ipv4_too() {
    block_on(async {
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(error) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED a_listener_on_every_address_…: {error}"
                );
                return;
            }
        };
        let apart = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only");
        if apart.is_ok_and(|apart| apart.trim() == "1") {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED a_listener_on_every_address_…: the system keeps IPv4 apart"
            );
            return;
        }
        let port = listener.local_addr().unwrap().port();
        for here in ["127.0.0.1", "::1"] {
            let client = TcpStream::connect((here, port)).await.unwrap();
            let (_server, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.port(), client.local_addr().unwrap().port());
            assert!(peer.is_ipv6(), "as an address of IPv6, {peer}");
        }
    });
}

#[test]
fn errors_of_sockets_name_the_address() {
    let _sole = sole_owner();
    block_on(async {
        let listener = TcpListener::bind(own_address()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let error = socket.bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot bind to {address}: "))
        );
        let socket = TcpSocket::from_std(TcpSocket::new_v6().unwrap().into_std()).unwrap();
        let error = socket.connect(address).await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot connect to {address}: "))
        );

        let path = own_path();
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        let listener = UnixListener::bind(&path).unwrap();
        let error = UnixListener::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(listener);
        // The file stays, and nobody is behind it.
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path).unwrap();
        let error = UnixStream::connect("x".repeat(200)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_unix_server_knows_its_clients() {
    block_on(async {
        let path = own_path();
        let listener = UnixListener::bind(&path).unwrap();
        let server = serve(
            listener,
            ServeOptions::default(),
            |mut stream, _| async move {
                let peer = stream.peer_cred()?;
                let who = format!("{} {}", peer.process.unwrap_or(0), peer.user);
                stream.write_all(who.as_bytes()).await
            },
        );
        let mut client = UnixStream::connect(&path).await.unwrap();
        assert_eq!(
            client.peer_addr().unwrap().as_pathname(),
            Some(path.as_path())
        );
        let mut who = String::new();
        client.read_to_string(&mut who).await.unwrap();
        if cfg!(all(target_os = "linux", not(rt_portable))) {
            let user = rustix::process::getuid().as_raw();
            assert_eq!(who, format!("{} {user}", std::process::id()));
        }
        server.drain(Duration::from_secs(30)).await;
        std::fs::remove_file(&path).unwrap();
    });
}

#[cfg(all(target_os = "linux", not(rt_portable)))]
#[test]
fn abstract_addresses_leave_no_file_and_are_free_again() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use futures_lite::StreamExt;

    let _sole = sole_owner();
    block_on(async {
        let name = format!("rt-net-abstract-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        for _ in 0..2 {
            let listener = UnixListener::bind_addr(&address).unwrap();
            let taken = UnixListener::bind_addr(&address).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            let client = UnixStream::connect_addr(&address).await.unwrap();
            let mut incoming = listener.incoming();
            let mut server = incoming.next().await.unwrap().unwrap();
            drop(client);
            assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        }
        let gone = UnixStream::connect_addr(&address).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
        let unnamed = UnixStream::pair().unwrap().0.local_addr().unwrap();
        let error = UnixStream::connect_addr(&unnamed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_unix_client_waits_for_room_in_the_backlog() {
    block_on(async {
        let path = own_path();
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket
            .bind(&socket2::SockAddr::unix(&path).unwrap())
            .unwrap();
        socket.listen(0).unwrap();
        let listener = UnixListener::from_std(socket.into()).unwrap();
        let mut queued = Vec::new();
        let limit = Duration::from_millis(50);
        let mut waiting = loop {
            let path = path.clone();
            let mut client = spawn(async move { UnixStream::connect(&path).await });
            match timeout(limit, &mut client).await {
                Ok(connected) => queued.push(connected.unwrap().unwrap()),
                Err(_) => break client,
            }
        };
        assert!(waiting.try_join().is_none());
        listener.accept().await.unwrap();
        waiting.await.unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
    });
}
