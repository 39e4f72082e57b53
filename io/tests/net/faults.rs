//! Faults: each is an error of its kind, nothing hangs, and no descriptor is left.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::poll_once;
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::{
    LookupError, ServeOptions, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener,
    UnixStream, pipe, serve,
};
use rt_tasks_runtime::{Builder, spawn, timeout};

use crate::alone::{alone, n_descriptors};
use crate::own_path;
use crate::streams::{tcp_pair, unix_pair};

const LONG: Duration = Duration::from_secs(30);

/// One round of everything that can go wrong.
async fn faults() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The port is taken.
    let taken = TcpListener::bind(address).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    // The name does not exist.
    let unknown = TcpStream::connect(("x".repeat(300), 80)).await.unwrap_err();
    assert!(unknown.get_ref().unwrap().is::<LookupError>());
    // The peer vanishes while it is waited for.
    let (mut near, far) = tcp_pair().await;
    let reader = spawn(async move { near.read(&mut [0; 8]).await });
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    let reset = reader.await.unwrap().unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let (near, mut far) = unix_pair().await;
    let (mut read, write) = near.into_split();
    let reader = spawn(async move { read.read(&mut [0; 8]).await });
    far.write_all(b"x").await.unwrap();
    drop(far);
    assert_eq!(reader.await.unwrap().unwrap(), 1);
    drop(write);
    writers_left_alone().await;
    // Who waits is cancelled.
    let (near, _far) = tcp_pair().await;
    let near = Arc::new(near);
    let waiting = spawn(async move { (&*near).read(&mut [0; 8]).await });
    waiting.cancel();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(poll_once(listener.accept()).await.is_none());
    // Nobody listens any more.
    drop(listener);
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let refused = TcpStream::connect([address, address]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // What is dropped in the middle of everything else.
    let path = own_path();
    let (_listener, _client) = (
        UnixListener::bind(&path).unwrap(),
        UnixStream::connect(&path).await.unwrap(),
    );
    assert!(UnixListener::bind(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    let _ends = (pipe().unwrap(), UnixDatagram::pair().unwrap());
    drop(UdpSocket::bind("127.0.0.1:0").await.unwrap().into_std());
}

/// The peer vanishes while it is written to, and nobody reads a pipe any more.
async fn writers_left_alone() {
    let (mut near, far) = tcp_pair().await;
    let writer = spawn(async move {
        let chunk = vec![0; 1 << 20];
        loop {
            near.write_all(&chunk).await?;
        }
        #[allow(unreachable_code)] // Says what the loop fails with.
        std::io::Result::Ok(())
    });
    far.readable().await.unwrap();
    drop(far);
    let vanished = writer.await.unwrap().unwrap_err().kind();
    let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(expected.contains(&vanished), "{vanished:?}");
    let (mut sender, receiver) = pipe().unwrap();
    let writer = spawn(async move {
        let chunk = vec![0; 1 << 20];
        sender.write_all(&chunk).await
    });
    receiver.readable().await.unwrap();
    drop(receiver);
    let broken = writer.await.unwrap().unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn no_fault_leaves_a_descriptor_open() {
    alone("faults::no_fault_leaves_a_descriptor_open", || {
        let runtime = Builder::new().workers(2).build().unwrap();
        runtime.block_on(faults());
        let before = n_descriptors();
        for _ in 0..20 {
            let ended = runtime.block_on(async { timeout(LONG, faults()).await });
            assert!(ended.is_ok(), "a fault hangs");
        }
        assert_eq!(n_descriptors(), before);
    });
}

#[test]
fn a_runtime_that_ends_closes_what_its_servers_had_open() {
    alone(
        "faults::a_runtime_that_ends_closes_what_its_servers_had_open",
        || {
            let before = n_descriptors();
            for _ in 0..5 {
                let runtime = Builder::new().workers(2).build().unwrap();
                let (server, clients) = runtime.block_on(async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let address = listener.local_addr().unwrap();
                    let server = serve(
                        listener,
                        ServeOptions::default(),
                        |mut stream, _| async move {
                            stream.write_all(b"x").await?;
                            stream.read(&mut [0; 8]).await
                        },
                    );
                    let mut clients = Vec::new();
                    for _ in 0..10 {
                        let mut client = TcpStream::connect(address).await.unwrap();
                        client.read_exact(&mut [0; 1]).await.unwrap();
                        clients.push(client.into_std());
                    }
                    (server, clients)
                });
                drop(runtime);
                // Nobody ended this one: the runtime did.
                assert!(server.n_clients() == 0 && !server.is_accepting());
                drop((server, clients));
            }
            assert_eq!(n_descriptors(), before);
        },
    );
}
