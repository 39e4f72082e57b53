//! Datagrams, over UDP and between processes: they keep their bounds and say from whom they are.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rt_tasks_io::net::{AsyncFd, UdpSocket, UnixDatagram};
use rt_tasks_runtime::{block_on, spawn};

use crate::alone::sole_owner;
use crate::{fill, own_path};

async fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn udp_datagrams_arrive_whole_and_with_their_sender() {
    block_on(async {
        let ((near, at_near), (far, at_far)) = (udp().await, udp().await);
        let mut buffer = [0; 64];
        assert!(poll_once(far.recv_from(&mut buffer)).await.is_none());
        for text in ["", "one", "two and more"] {
            near.send_to(text.as_bytes(), at_far).await.unwrap();
        }
        assert_eq!(far.peek_from(&mut buffer).await.unwrap(), (0, at_near));
        assert_eq!(far.recv_from(&mut buffer).await.unwrap(), (0, at_near));
        assert_eq!(far.peek(&mut buffer).await.unwrap(), 3);
        assert_eq!(far.try_recv_from(&mut buffer).unwrap(), (3, at_near));
        // What does not fit is lost, and the next one is whole again.
        let received = poll_fn(|cx| far.poll_recv_from(cx, &mut buffer[..3])).await;
        assert_eq!(received.unwrap(), (3, at_near));
        assert_eq!(&buffer[..3], b"two");
        let nothing = far.try_recv_from(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        far.try_send_to(b"back", at_near).unwrap();
        let sent = poll_fn(|cx| far.poll_send_to(cx, b"again", at_near)).await;
        assert_eq!(sent.unwrap(), 5);
        assert_eq!(near.recv_from(&mut buffer).await.unwrap(), (4, at_far));
    });
}

/// A library that takes many with one call needs nothing of ours but the waiting.
#[test]
fn batches_are_received_with_a_library_made_for_them() {
    const N: u8 = 100;
    block_on(async {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let batches = UdpSocketState::new((&socket).into()).unwrap();
        let socket = AsyncFd::new(socket).unwrap();
        let (near, at_near) = udp().await;
        let sender = spawn(async move {
            for number in 0..N {
                near.send_to(&[number], address).await.unwrap();
            }
        });
        let (mut heard, mut n_calls) = (Vec::new(), 0);
        while heard.len() < usize::from(N) {
            let mut room = [[0; 64]; BATCH_SIZE];
            let mut told = [RecvMeta::default(); BATCH_SIZE];
            let receive = |socket: &std::net::UdpSocket| {
                let mut buffers = room.each_mut().map(|room| IoSliceMut::new(room));
                batches.recv(socket.into(), &mut buffers, &mut told)
            };
            let n_received = socket.read_with(receive).await.unwrap();
            for (bytes, told) in room.iter().zip(&told[..n_received]) {
                assert_eq!(told.addr, at_near);
                // The system may have put several of one sender together.
                heard.extend(
                    bytes[..told.len]
                        .chunks(told.stride)
                        .map(|datagram| datagram[0]),
                );
            }
            n_calls += 1;
            // The next ones gather meanwhile.
            rt_tasks_runtime::sleep(Duration::from_millis(1)).await;
        }
        sender.await.unwrap();
        assert!(heard.into_iter().eq(0..N), "in their order, and none twice");
        assert!(
            BATCH_SIZE == 1 || n_calls < N,
            "{n_calls} calls for {N} datagrams"
        );
    });
}

#[test]
fn a_connected_udp_socket_hears_its_peer_alone() {
    let _sole = sole_owner();
    block_on(async {
        let ((near, at_near), (far, at_far)) = (udp().await, udp().await);
        let (stranger, _) = udp().await;
        assert!(near.peer_addr().is_err());
        near.connect(at_far).await.unwrap();
        assert_eq!(near.peer_addr().unwrap(), at_far);
        stranger.send_to(b"stranger", at_near).await.unwrap();
        far.send_to(b"peer", at_near).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(near.send(b"back").await.unwrap(), 4);
        assert_eq!(far.recv(&mut buffer).await.unwrap(), 4);
        // Nobody there: the system tells with the next call.
        drop(far);
        near.send(b"lost").await.unwrap();
        let refused = near.recv(&mut buffer).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn any_number_of_tasks_share_a_udp_socket() {
    block_on(async {
        let ((near, _), (far, at_far)) = (udp().await, udp().await);
        let (near, far) = (Arc::new(near), Arc::new(far));
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let far = far.clone();
                spawn(async move {
                    let mut buffer = [0; 8];
                    far.recv_from(&mut buffer).await.unwrap();
                    buffer[0]
                })
            })
            .collect();
        for i in 0..8 {
            near.send_to(&[i], at_far).await.unwrap();
        }
        let mut heard = Vec::new();
        for receiver in receivers {
            heard.push(receiver.await.unwrap());
        }
        heard.sort_unstable();
        assert!(heard.into_iter().eq(0..8));
    });
}

#[test]
fn a_group_is_heard_by_those_who_joined_it() {
    block_on(async {
        let group = Ipv4Addr::new(239, 255, 77, 77);
        let (member, at_member) = udp_at(Ipv4Addr::UNSPECIFIED).await;
        member
            .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .unwrap();
        let (sender, _) = udp_at(Ipv4Addr::LOCALHOST).await;
        sender.set_multicast_loop_v4(true).unwrap();
        sender.set_multicast_ttl_v4(1).unwrap();
        assert!(sender.multicast_loop_v4().unwrap());
        assert_eq!(sender.multicast_ttl_v4().unwrap(), 1);
        let at_group = (group, at_member.port());
        sender.send_to(b"everybody", at_group).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(member.recv(&mut buffer).await.unwrap(), 9);
        member
            .leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .unwrap();
        sender.send_to(b"nobody", at_group).await.unwrap();
        sender
            .send_to(b"you", (Ipv4Addr::LOCALHOST, at_member.port()))
            .await
            .unwrap();
        assert_eq!(member.recv(&mut buffer).await.unwrap(), 3);
    });
}

async fn udp_at(ip: Ipv4Addr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn options_of_udp_sockets_stay_as_they_were_set() {
    block_on(async {
        let (socket, _) = udp().await;
        assert!(!socket.broadcast().unwrap());
        let refused = socket
            .send_to(b"all", "255.255.255.255:9")
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(3).unwrap();
        assert_eq!(socket.ttl().unwrap(), 3);
        socket.set_recv_buffer_size(20_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 20_000);
        let plain = socket.into_std();
        let socket = UdpSocket::from_std(plain).unwrap();
        assert_eq!(socket.ttl().unwrap(), 3);
        let taken = UdpSocket::bind(socket.local_addr().unwrap())
            .await
            .unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        assert!(
            taken
                .to_string()
                .starts_with("cannot open a socket at 127."),
            "{taken}"
        );
    });
}

#[test]
fn unix_datagrams_wait_for_room_and_keep_their_order() {
    block_on(async {
        let (near, far) = UnixDatagram::pair().unwrap();
        let send = async {
            for i in 0..2_000_u32 {
                near.send(&i.to_le_bytes()).await.unwrap();
            }
        };
        let receive = async {
            let mut buffer = [0; 8];
            for i in 0..2_000_u32 {
                assert_eq!(far.recv(&mut buffer).await.unwrap(), 4);
                assert_eq!(buffer[..4], i.to_le_bytes());
            }
        };
        zip(send, receive).await;
        let mut full = None;
        let send = || {
            full = near.try_send(b"x").err().map(|error| error.kind());
            full.is_none()
        };
        fill(send, async || near.writable().await).await;
        assert_eq!(full, Some(ErrorKind::WouldBlock));
    });
}

#[test]
fn unix_datagrams_have_paths() {
    block_on(async {
        let (path, other) = (own_path(), own_path());
        let server = UnixDatagram::bind(&path).unwrap();
        let taken = UnixDatagram::bind(&path).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let client = UnixDatagram::bind(&other).unwrap();
        client.send_to(b"question", &path).await.unwrap();
        let mut buffer = [0; 64];
        let (len, peer) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!((len, peer.as_pathname()), (8, Some(other.as_path())));
        server.send_to_addr(b"answer", &peer).await.unwrap();
        assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
        let nameless = UnixDatagram::unbound().unwrap();
        nameless.connect(&path).unwrap();
        nameless.send(b"who am I").await.unwrap();
        let (_, peer) = server.recv_from(&mut buffer).await.unwrap();
        assert!(peer.is_unnamed());
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&other).unwrap();
        let gone = nameless.connect(&path).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    });
}
