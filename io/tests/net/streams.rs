//! What holds for every stream with two ends, TCP and Unix alike: each test runs on both.

use std::future::Future;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::{Shutdown, TcpListener, TcpStream, UnixListener, UnixStream};
use rt_tasks_runtime::{Builder, spawn, timeout, yield_now};

const LONG: Duration = Duration::from_secs(30);

/// Both ends of a TCP connection, with buffers of the usual size.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let near = near.await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Both ends of a Unix stream that was really connected, not made as a pair.
pub(crate) async fn unix_pair() -> (UnixStream, UnixStream) {
    let path = crate::own_path();
    let listener = UnixListener::bind(&path).unwrap();
    let near = UnixStream::connect(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Runs a test on one worker and on several.
pub(crate) fn each_size<F: Future<Output = ()>>(test: impl Fn() -> F) {
    for n_workers in [1, 2, 4] {
        let runtime = Builder::new().workers(n_workers).build().unwrap();
        runtime.block_on(test());
    }
}

macro_rules! on_both {
    ($($(#[$attribute:meta])* async fn $name:ident($pair:ident: $stream:ident) $body:block)*) => {
        mod on_tcp {
            use super::{*, TcpStream as Ours};
            $($(#[$attribute])*
            #[test]
            fn $name() {
                type $stream = Ours;
                let $pair = tcp_pair;
                each_size(|| async move { $body });
            })*
        }

        mod on_unix {
            use super::{*, UnixStream as Ours};
            $($(#[$attribute])*
            #[test]
            fn $name() {
                type $stream = Ours;
                let $pair = unix_pair;
                each_size(|| async move { $body });
            })*
        }
    };
}

on_both! {
    async fn the_end_is_seen_though_it_came_together_with_the_bytes(pair: _Stream) {
        for _ in 0..100 {
            let (mut near, mut far) = pair().await;
            let mut buffer = [0; 64];
            // It waits already, so that one edge reports bytes and end.
            assert!(poll_once(near.read(&mut buffer)).await.is_none());
            far.write_all(b"last words").await.unwrap();
            drop(far);
            let mut heard = Vec::new();
            near.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"last words");
            // The end stays.
            assert_eq!(near.read(&mut buffer).await.unwrap(), 0);
        }
    }

    async fn after_half_closing_the_answer_still_arrives(pair: _Stream) {
        let (mut near, mut far) = pair().await;
        near.write_all(b"question").await.unwrap();
        near.close().await.unwrap();
        assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "question");
        far.write_all(b"answer").await.unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        text.clear();
        near.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    }

    async fn writing_to_a_peer_that_vanished_fails(pair: _Stream) {
        let (mut near, far) = pair().await;
        drop(far);
        // What is written first may still be taken.
        let failure = loop {
            match near.write(b"anybody there?").await {
                Ok(_) => yield_now().await,
                Err(error) => break error.kind(),
            }
        };
        assert!(
            matches!(failure, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
            "{failure:?}"
        );
        // Ending what has ended already is fine.
        near.close().await.unwrap();
    }

    async fn closing_with_unread_bytes_is_told_to_the_peer(pair: _Stream) {
        let (mut near, far) = pair().await;
        near.write_all(b"unread").await.unwrap();
        far.readable().await.unwrap();
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }

    async fn closing_waits_for_nobody(pair: _Stream) {
        // Neither for what this end has not read, nor for the other one to end.
        let (mut near, mut far) = pair().await;
        far.write_all(b"unread").await.unwrap();
        near.readable().await.unwrap();
        assert!(poll_once(near.close()).await.is_some());
        assert!(poll_once(near.close()).await.is_some());
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
        // Nor when the other one has ended before.
        far.close().await.unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "unread");
        near.close().await.unwrap();
    }

    async fn bytes_of_short_and_scattered_reads_are_whole(pair: _Stream) {
        let (near, mut far) = pair().await;
        let sent: Vec<u8> = (0..300_000_u32).map(|i| (i * 31 % 251) as u8).collect();
        let theirs = sent.clone();
        let writer = spawn(async move {
            let mut left = &*theirs;
            // As much as is joined into one buffer, more, and less.
            for len in [1_024, 1_025, 300].into_iter().cycle() {
                if left.is_empty() {
                    break;
                }
                let (pieces, rest) = left.split_at(len.min(left.len()));
                left = rest;
                let (one, two) = pieces.split_at(pieces.len() / 3);
                let slices = [IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(two)];
                let mut n_written = far.write_vectored(&slices).await.unwrap();
                while n_written < pieces.len() {
                    n_written += far.write(&pieces[n_written..]).await.unwrap();
                }
            }
        });
        let mut heard = Vec::new();
        let (mut one, mut two) = ([0; 3], [0; 50]);
        loop {
            let mut slices = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
            let n_read = match heard.len() % 2 {
                0 => (&near).read_vectored(&mut slices).await.unwrap(),
                _ => match near.try_read_vectored(&mut slices) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        near.readable().await.unwrap();
                        continue;
                    }
                    read => read.unwrap(),
                },
            };
            if n_read == 0 {
                break;
            }
            heard.extend_from_slice(&one[..n_read.min(3)]);
            heard.extend_from_slice(&two[..n_read.saturating_sub(3)]);
        }
        writer.await.unwrap();
        assert!(heard == sent);
    }

    async fn both_directions_survive_a_storm_of_full_and_empty_buffers(pair: Stream) {
        async fn send(stream: Arc<Stream>, n_bytes: usize) {
            let bytes: Vec<u8> = (0..n_bytes).map(|i| (i % 253) as u8).collect();
            (&*stream).write_all(&bytes).await.unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
        async fn receive(stream: Arc<Stream>, n_bytes: usize) {
            let mut n_received = 0;
            let mut buffer = [0; 61];
            loop {
                let n_read = (&*stream).read(&mut buffer).await.unwrap();
                if n_read == 0 {
                    break;
                }
                for byte in &buffer[..n_read] {
                    assert_eq!(usize::from(*byte), n_received % 253);
                    n_received += 1;
                }
            }
            assert_eq!(n_received, n_bytes);
        }
        const N: usize = 200_000;
        let (near, far) = pair().await;
        // As little room as the system allows. A small window to receive would have TCP wait for its own timers.
        for end in [&near, &far] {
            end.set_send_buffer_size(1).unwrap();
        }
        let (near, far) = (Arc::new(near), Arc::new(far));
        let tasks = [
            spawn(send(near.clone(), N)),
            spawn(send(far.clone(), N)),
            spawn(receive(near, N)),
            spawn(receive(far, N)),
        ];
        for task in tasks {
            task.await.unwrap();
        }
    }

    async fn a_dropped_read_loses_no_byte(pair: _Stream) {
        let (mut near, mut far) = pair().await;
        let writer = spawn(async move {
            for i in 0..20_000_u32 {
                far.write_all(&i.to_le_bytes()).await.unwrap();
            }
        });
        let mut heard = Vec::new();
        let mut buffer = [0; 37];
        loop {
            match poll_once(near.read(&mut buffer)).await {
                Some(Ok(0)) => break,
                Some(result) => heard.extend_from_slice(&buffer[..result.unwrap()]),
                None => near.readable().await.unwrap(),
            }
        }
        writer.await.unwrap();
        let numbers = heard.chunks_exact(4).map(|n| u32::from_le_bytes(n.try_into().unwrap()));
        assert!(numbers.eq(0..20_000));
    }

    async fn a_dropped_write_has_written_nothing(pair: _Stream) {
        let (mut near, mut far) = pair().await;
        let reader = spawn(async move {
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let mut said = Vec::new();
        for i in 0..4_000_u32 {
            let piece = vec![i as u8; 1_000];
            match poll_once(near.write(&piece)).await {
                Some(n_written) => said.extend_from_slice(&piece[..n_written.unwrap()]),
                None => near.writable().await.unwrap(),
            }
        }
        drop(near);
        assert!(reader.await.unwrap() == said);
    }

    async fn many_wait_for_one_direction_and_all_are_told(pair: _Stream) {
        let (near, far) = pair().await;
        let chunk = [7; 65_536];
        let mut n_written = 0;
        while let Ok(n) = near.try_write(&chunk) {
            n_written += n;
        }
        let near = Arc::new(near);
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let near = near.clone();
                spawn(async move { near.writable().await })
            })
            .collect();
        let mut buffer = vec![0; 65_536];
        while n_written > 0 {
            n_written -= (&far).read(&mut buffer).await.unwrap();
        }
        for waiter in waiters {
            waiter.await.unwrap().unwrap();
        }
    }

    async fn a_wait_that_is_given_up_as_its_event_comes_leaves_it_to_the_others(pair: _Stream) {
        for _ in 0..100 {
            let (near, mut far) = pair().await;
            // It is not known before that there is nothing.
            assert!(poll_once((&near).read(&mut [0; 8])).await.is_none());
            let near = Arc::new(near);
            let mut given_up = Box::pin(near.readable());
            assert!(poll_once(given_up.as_mut()).await.is_none());
            let theirs = near.clone();
            let other = spawn(async move { theirs.readable().await });
            yield_now().await;
            far.write_all(b"x").await.unwrap();
            // It is told, and is gone before it can say so.
            drop(given_up);
            let told = timeout(LONG, other).await;
            told.expect("nobody told the other one").unwrap().unwrap();
            assert_eq!((&*near).read(&mut [0; 8]).await.unwrap(), 1);
        }
    }

    async fn halves_go_to_two_tasks_and_come_back(pair: _Stream) {
        let (near, mut far) = pair().await;
        let (mut read, mut write) = near.into_split();
        let writer = spawn(async move {
            write.write_all(b"question").await.unwrap();
            write
        });
        let mut buffer = [0; 8];
        far.read_exact(&mut buffer).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        read.read_exact(&mut buffer[..6]).await.unwrap();
        let write = writer.await.unwrap();
        let mut near = read.reunite(write).unwrap();
        {
            let (mut read, mut write) = near.split();
            let (asked, answered) = zip(write.write_all(b"x"), async {
                far.read_exact(&mut [0; 1]).await.unwrap();
                far.write_all(b"y").await.unwrap();
                read.read_exact(&mut [0; 1]).await
            })
            .await;
            asked.unwrap();
            answered.unwrap();
        }
        let (read, write) = near.into_split();
        drop(write);
        assert_eq!(far.read(&mut buffer).await.unwrap(), 0);
        drop(read);
    }

    async fn what_is_peeked_at_stays(pair: _Stream) {
        let (mut near, mut far) = pair().await;
        let mut buffer = [0; 8];
        let looking = near.peek(&mut buffer);
        let (n_seen, written) = zip(looking, far.write_all(b"seen")).await;
        written.unwrap();
        assert_eq!(&buffer[..n_seen.unwrap()], b"seen");
        let mut buffer = [0; 4];
        near.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"seen");
    }

    async fn streams_of_the_standard_library_go_in_and_come_out(pair: Stream) {
        let (near, far) = pair().await;
        let mut plain = near.into_std();
        plain.set_nonblocking(false).unwrap();
        plain.write_all(b"one").unwrap();
        let mut buffer = [0; 3];
        (&far).read_exact(&mut buffer).await.unwrap();
        let mut near = Stream::from_std(plain).unwrap();
        let mut reading = pin!(near.read(&mut buffer));
        assert!(poll_once(reading.as_mut()).await.is_none());
        (&far).write_all(b"two").await.unwrap();
        assert_eq!(reading.await.unwrap(), 3);
        let mut far = far.into_std();
        far.set_nonblocking(false).unwrap();
        drop(near);
        assert_eq!(far.read(&mut buffer).unwrap(), 0);
        assert!(Stream::from_std(far).unwrap().take_error().unwrap().is_none());
    }
}

/// So many connections, each asking again as soon as it is answered, until all of them were answered so many times: how
/// often each was.
async fn crowd(n_connections: usize, n_times: usize) -> Vec<usize> {
    let n_behind = Arc::new(AtomicUsize::new(n_connections));
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..n_connections {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        servers.push(spawn(async move {
            let mut word = [0; 1];
            while far.read(&mut word).await.unwrap() > 0 {
                far.write_all(&word).await.unwrap();
            }
        }));
        let n_behind = n_behind.clone();
        clients.push(spawn(async move {
            let mut n_served = 0;
            while n_behind.load(Relaxed) > 0 {
                near.write_all(b"x").await.unwrap();
                near.read_exact(&mut [0; 1]).await.unwrap();
                n_served += 1;
                if n_served == n_times {
                    n_behind.fetch_sub(1, Relaxed);
                }
            }
            n_served
        }));
    }
    let mut n_served = Vec::new();
    for client in clients {
        n_served.push(client.await.unwrap());
    }
    for server in servers {
        server.await.unwrap();
    }
    n_served.sort_unstable();
    n_served
}

/// With more to do than there is time for, everybody has their turn.
#[test]
fn a_busy_worker_serves_all_connections_about_as_often() {
    let runtime = Builder::new().workers(1).build().unwrap();
    let n_served = runtime.block_on(timeout(LONG, crowd(300, 20)));
    let n_served = n_served.expect("some are never served");
    assert!(n_served[299] <= 4 * n_served[0], "{n_served:?}");
}

/// How often depends on the system then, which runs one worker and not the other for as long as it likes.
#[test]
fn busy_workers_leave_no_connection_unserved() {
    each_size(|| async {
        let served = timeout(LONG, crowd(300, 20)).await;
        assert_eq!(served.expect("some are never served").len(), 300);
    });
}
