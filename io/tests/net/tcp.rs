//! TCP sockets seen from outside: what arrives, what ends, and that nothing is lost or waits for ever.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::{or, poll_once, zip};
use futures_lite::{AsyncRead, StreamExt};
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::{Shutdown, TcpListener, TcpStream, lookup_host};
use rt_tasks_runtime::{Builder, block_on, spawn};

use crate::alone::sole_owner;
use crate::{fill, own_address};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (far, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, near.local_addr().unwrap());
    (near, far)
}

/// Polls a read once: `None` while there is nothing.
fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, buffer: &mut [u8]) -> Option<usize> {
    match AsyncRead::poll_read(Pin::new(&mut &*stream), cx, buffer) {
        Poll::Ready(result) => Some(result.unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn many_connections_echo_at_once() {
    block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let mut incoming = listener.incoming();
            let mut connections = Vec::new();
            for _ in 0..16 {
                let mut stream = incoming.next().await.unwrap().unwrap();
                connections.push(spawn(async move {
                    let mut buffer = [0; 64];
                    loop {
                        match stream.read(&mut buffer).await.unwrap() {
                            0 => return,
                            n => stream.write_all(&buffer[..n]).await.unwrap(),
                        }
                    }
                }));
            }
            for connection in connections {
                connection.await.unwrap();
            }
        });
        let clients: Vec<_> = (0..16_u32)
            .map(|client| {
                spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    let mut answer = [0; 8];
                    for round in 0..200_u32 {
                        let ask = (u64::from(client) << 32 | u64::from(round)).to_le_bytes();
                        stream.write_all(&ask).await.unwrap();
                        stream.read_exact(&mut answer).await.unwrap();
                        assert_eq!(answer, ask);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        server.await.unwrap();
    });
}

#[test]
fn megabytes_arrive_whole_through_both_halves_at_once() {
    block_on(async {
        let (near, far) = pair().await;
        let sent: Vec<u8> = (0..4_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let sent = Arc::new(sent);
        let exchange = |stream: TcpStream, bytes: Arc<Vec<u8>>| async move {
            let (mut read, mut write) = stream.into_split();
            let writer = spawn(async move { write.write_all(&bytes).await.unwrap() });
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.unwrap();
            writer.await.unwrap();
            received
        };
        let (at_near, at_far) =
            zip(exchange(near, sent.clone()), exchange(far, sent.clone())).await;
        assert!(at_near == *sent && at_far == *sent);
    });
}

#[test]
fn after_half_closing_the_answer_still_arrives() {
    block_on(async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"question").await.unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut question = String::new();
        far.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        far.write_all(b"answer").await.unwrap();
        far.close().await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    });
}

#[test]
fn the_end_is_seen_though_it_came_together_with_the_bytes() {
    block_on(async {
        for _ in 0..300 {
            let (mut near, mut far) = pair().await;
            let mut buffer = [0; 64];
            // It waits already, so that one edge reports bytes and end.
            assert!(poll_once(near.read(&mut buffer)).await.is_none());
            far.write_all(b"last words").await.unwrap();
            drop(far);
            let mut heard = Vec::new();
            near.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, b"last words");
        }
    });
}

/// Reads that fill their buffer tell nothing by their length; what the system tells must fit every end.
#[test]
fn messages_as_long_as_the_buffer_are_read_to_the_end() {
    block_on(async {
        for n_messages in [1, 2, 3, 50] {
            let (mut near, mut far) = pair().await;
            let mut message = [0; 64];
            for number in 0..n_messages {
                // One read waits, the next finds its bytes.
                let waiting = near.read_exact(&mut message);
                let (read, written) = zip(waiting, far.write_all(&[number; 64])).await;
                read.unwrap();
                written.unwrap();
                assert_eq!(message, [number; 64]);
                far.write_all(&[number; 100]).await.unwrap();
                near.read_exact(&mut message).await.unwrap();
                near.read_exact(&mut message[..36]).await.unwrap();
                assert!(poll_once(near.read(&mut message)).await.is_none());
            }
            // The end, together with the last bytes and without.
            far.write_all(&message).await.unwrap();
            drop(far);
            rt_tasks_runtime::sleep(Duration::from_millis(1)).await;
            near.read_exact(&mut message).await.unwrap();
            assert_eq!(near.read(&mut message).await.unwrap(), 0);
            assert_eq!(near.read(&mut message).await.unwrap(), 0);
        }
    });
}

#[test]
fn vectored_reads_fill_all_buffers() {
    block_on(async {
        let (mut near, mut far) = pair().await;
        for _ in 0..3 {
            let (mut one, mut two) = ([0; 3], [0; 5]);
            let mut buffers = [io::IoSliceMut::new(&mut one), io::IoSliceMut::new(&mut two)];
            let read = near.read_vectored(&mut buffers);
            let (read, written) = zip(read, far.write_all(b"abcdefgh")).await;
            written.unwrap();
            assert_eq!((read.unwrap(), &one, &two), (8, b"abc", b"defgh"));
        }
        // Nothing is asked for, and nothing is said about what is left.
        far.write_all(b"rest").await.unwrap();
        assert_eq!(near.read(&mut []).await.unwrap(), 0);
        let mut rest = [0; 8];
        assert_eq!(near.read(&mut rest).await.unwrap(), 4);
    });
}

#[test]
fn a_reset_is_an_error_and_wakes_the_reader() {
    block_on(async {
        let (mut near, far) = pair().await;
        far.set_linger(Some(Duration::ZERO)).unwrap();
        let mut buffer = [0; 8];
        let reading = async { near.read(&mut buffer).await };
        let resetting = async {
            futures_lite::future::yield_now().await;
            drop(far);
        };
        let (read, ()) = zip(reading, resetting).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
        near.close().await.unwrap();
    });
}

/// The error is not lost with the read that waited for it, it comes once, and the end after it.
#[test]
fn a_reset_after_a_read_was_given_up_is_told_to_the_next() {
    block_on(async {
        let (mut near, far) = pair().await;
        let mut buffer = [0; 8];
        assert!(poll_once(near.read(&mut buffer)).await.is_none());
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let told = near.read(&mut buffer).await.unwrap_err();
        assert_eq!(told.kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.read(&mut buffer).await.unwrap(), 0);
        let broken = near.write(b"anybody there?").await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_dropped_read_loses_no_byte() {
    block_on(async {
        let (mut near, mut far) = pair().await;
        let writer = spawn(async move {
            for i in 0..50_000_u32 {
                far.write_all(&i.to_le_bytes()).await.unwrap();
            }
        });
        let mut heard = Vec::new();
        let mut buffer = [0; 37];
        loop {
            // Half of the reads are dropped as soon as they have to wait.
            match poll_once(near.read(&mut buffer)).await {
                Some(Ok(0)) => break,
                Some(result) => heard.extend_from_slice(&buffer[..result.unwrap()]),
                None => near.readable().await.unwrap(),
            }
        }
        writer.await.unwrap();
        let numbers = heard
            .chunks_exact(4)
            .map(|n| u32::from_le_bytes(n.try_into().unwrap()));
        assert!(numbers.eq(0..50_000));
    });
}

#[test]
fn a_descriptor_used_again_gets_its_own_events_only() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for round in 0..500_u32 {
            let (mut old, old_far) = {
                let near = TcpStream::connect(address).await.unwrap();
                (near, listener.accept().await.unwrap().0)
            };
            let mut buffer = [0; 8];
            assert!(poll_once(old.read(&mut buffer)).await.is_none());
            // Events for the old connection are on their way while its descriptor is used again.
            (&old_far).write_all(b"old").await.unwrap();
            drop(old_far);
            drop(old);
            let mut new = TcpStream::connect(address).await.unwrap();
            let (mut new_far, _) = listener.accept().await.unwrap();
            assert!(poll_once(new.read(&mut buffer)).await.is_none());
            new_far.write_all(&round.to_le_bytes()).await.unwrap();
            new.read_exact(&mut buffer[..4]).await.unwrap();
            assert_eq!(buffer[..4], round.to_le_bytes());
        }
    });
}

#[test]
fn dropped_accepts_lose_no_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients = spawn(async move {
            for i in 0..200_u8 {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(&[i]).await.unwrap();
                assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            }
        });
        let mut n_accepted = 0;
        while n_accepted < 200 {
            let first = pin!(listener.accept());
            let second = pin!(listener.accept());
            let (mut stream, _) = or(first, second).await.unwrap();
            let mut number = [0; 1];
            stream.read_exact(&mut number).await.unwrap();
            assert_eq!(number[0], n_accepted);
            n_accepted += 1;
        }
        clients.await.unwrap();
    });
}

#[test]
fn many_tasks_accept_from_one_listener() {
    block_on(async {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.clone();
                spawn(async move { listener.accept().await.map(|(stream, _)| stream) })
            })
            .collect();
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(TcpStream::connect(address).await.unwrap());
        }
        for acceptor in acceptors {
            streams.push(acceptor.await.unwrap().unwrap());
        }
    });
}

#[test]
fn one_task_reads_while_others_wait_for_readiness() {
    block_on(async {
        let (near, mut far) = pair().await;
        let near = Arc::new(near);
        let mut buffer = [0; 1];
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(poll_read(&near, &mut cx, &mut buffer), None);
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let near = near.clone();
                spawn(async move { near.readable().await })
            })
            .collect();
        far.write_all(b"x").await.unwrap();
        for watcher in watchers {
            watcher.await.unwrap().unwrap();
        }
        assert_eq!(near.peek(&mut buffer).await.unwrap(), 1);
        assert_eq!(near.try_read(&mut buffer).unwrap(), 1);
        assert_eq!(
            near.try_read(&mut buffer).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    });
}

#[test]
fn a_full_connection_makes_the_writer_wait_until_it_is_read() {
    block_on(async {
        let (near, mut far) = pair().await;
        let chunk = [7; 65_536];
        let mut n_written = 0;
        let write = || {
            let written = near.try_write(&chunk);
            n_written += written.as_ref().unwrap_or(&0);
            written.is_ok()
        };
        fill(write, async || near.writable().await).await;
        let drain = async {
            let mut buffer = vec![0; 65_536];
            let mut n_read = 0;
            while n_read < n_written {
                n_read += far.read(&mut buffer).await.unwrap();
            }
        };
        let (result, ()) = zip(near.writable(), drain).await;
        result.unwrap();
        assert!(near.try_write(&chunk).unwrap() > 0);
    });
}

/// On one thread, where nobody else could run them.
#[test]
fn a_stream_that_is_always_ready_lets_others_run() {
    let runtime = Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut near, mut far) = pair().await;
        let other = spawn(async {});
        let mut n_rounds = 0;
        while !other.is_finished() {
            near.write_all(b"x").await.unwrap();
            far.read_exact(&mut [0; 1]).await.unwrap();
            n_rounds += 1;
            assert!(n_rounds < 100_000, "the other one never runs");
        }
    });
}

#[test]
fn halves_of_one_connection_reunite_and_others_do_not() {
    block_on(async {
        let (near, mut far) = pair().await;
        let (read, write) = near.into_split();
        let mut near = read.reunite(write).unwrap();
        near.write_all(b"still open").await.unwrap();
        assert_eq!(far.read(&mut [0; 64]).await.unwrap(), 10);
        let (read, _write) = near.into_split();
        let (_far_read, far_write) = far.into_split();
        let error = read.reunite(far_write).unwrap_err();
        assert_eq!(error.to_string(), "the halves are of different connections");
    });
}

#[test]
fn dropping_the_owned_write_half_ends_the_direction() {
    block_on(async {
        let (near, mut far) = pair().await;
        let (mut read, write) = near.into_split();
        drop(write);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
        far.write_all(b"late").await.unwrap();
        assert_eq!(read.read(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn errors_name_the_address() {
    let _sole = sole_owner();
    block_on(async {
        let listener = TcpListener::bind(own_address()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = TcpListener::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {address}: ")),
            "{error}"
        );
        drop(listener);

        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot connect to {address}: ")),
            "{error}"
        );

        let error = TcpStream::connect([address, address]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(
            error.to_string().matches(&address.to_string()).count(),
            2,
            "{error}"
        );
    });
}

#[test]
fn connecting_goes_on_to_the_address_that_answers() {
    let _sole = sole_owner();
    block_on(async {
        let closed = TcpListener::bind(own_address())
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let listener = TcpListener::bind(own_address()).await.unwrap();
        let open = listener.local_addr().unwrap();
        let stream = TcpStream::connect([closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    });
}

#[test]
fn names_are_resolved_and_malformed_ones_refused() {
    block_on(async {
        let found: Vec<_> = lookup_host("localhost:80").await.unwrap().collect();
        assert!(!found.is_empty() && found.iter().all(|found| found.ip().is_loopback()));
        let error = lookup_host("no port").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("no port"), "{error}");
        assert!(TcpStream::connect(&[][..]).await.is_err());
    });
}

#[test]
fn sockets_of_the_standard_library_go_in_and_come_out() {
    block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut near = TcpStream::from_std(near).unwrap();
        near.write_all(b"one").await.unwrap();
        let near = near.into_std();
        far.write_all(b"two").await.unwrap();
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 3);
        let mut near = TcpStream::from_std(near).unwrap();
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 3);
        drop(listener.into_std());
    });
}

#[test]
fn other_descriptors_can_be_waited_for() {
    use rt_tasks_io::net::AsyncFd;
    use std::io::{Read, Write};
    block_on(async {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (near, far) = (AsyncFd::new(near).unwrap(), AsyncFd::new(far).unwrap());
        let mut buffer = [0; 8];
        let error = near
            .try_read_with(|mut io| io.read(&mut buffer))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let reading = near.read_with(|mut io| io.read(&mut buffer));
        let writing = far.write_with(|mut io| io.write(b"ping"));
        let (n_read, n_written) = zip(reading, writing).await;
        assert_eq!((n_read.unwrap(), n_written.unwrap()), (4, 4));
        drop(far.into_inner());
        let end = poll_fn(|cx| near.poll_read_with(cx, |mut io| io.read(&mut [0; 8]))).await;
        assert_eq!(end.unwrap(), 0);

        let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
        assert!(AsyncFd::new(file).is_err());
    });
}

#[test]
fn the_end_of_the_runtime_wakes_who_waits_elsewhere_and_fails() {
    let runtime = Builder::new().workers(1).build().unwrap();
    let (near, _far) = runtime.block_on(pair());
    let near = Arc::new(near);
    let waiting = near.clone();
    let (is_waiting, waits) = std::sync::mpsc::channel();
    // A plain thread with an executor of another library, which the runtime cannot cancel.
    let reader = std::thread::spawn(move || {
        let mut read = pin!(async { (&*waiting).read(&mut [0; 8]).await });
        futures_lite::future::block_on(async {
            assert!(poll_once(read.as_mut()).await.is_none());
            is_waiting.send(()).unwrap();
            read.await
        })
    });
    waits.recv().unwrap();
    drop(runtime);
    let error = reader.join().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the runtime has been shut down");
    let error = near.try_read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
}

#[test]
fn futures_of_sockets_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let bind = TcpListener::bind("127.0.0.1:0");
    is_send(&bind);
    let connect = TcpStream::connect((String::from("localhost"), 1));
    is_send(&connect);
    fn boxed(stream: &TcpStream) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        Box::pin(stream.readable())
    }
    let _ = boxed;
}
