//! Servers as users see them: what is accepted, what a failure touches, and how all of it ends.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::{ServeOptions, Server, TcpListener, TcpStream, serve};
use rt_tasks_runtime::{
    Builder, CancelScope, Handle, block_on, cancelled, defer, sleep, spawn, timeout, yield_now,
};

use crate::alone::{alone, n_descriptors, sole_owner};
use crate::own_address;

const LONG: Duration = Duration::from_secs(30);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(own_address()).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Sends back what it reads.
async fn echo(mut stream: TcpStream, _peer: SocketAddr) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n_read => stream.write_all(&buffer[..n_read]).await?,
        }
    }
}

/// A client that has been answered once, so that its handler runs.
async fn answered(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0; 1]).await.unwrap();
    client
}

/// What the peer does next is to end the connection, in order or not.
async fn ends(mut client: TcpStream) -> bool {
    !matches!(client.read(&mut [0; 1]).await, Ok(1))
}

/// Runs `body` on two workers; gives what was reported meanwhile.
fn reports_of(body: impl Future<Output = ()>) -> Vec<String> {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let theirs = reports.clone();
    let runtime = Builder::new()
        .workers(2)
        .on_unhandled(move |report| theirs.lock().unwrap().push(report.to_string()))
        .build()
        .unwrap();
    runtime.block_on(body);
    drop(runtime);
    let reports = reports.lock().unwrap();
    reports.clone()
}

#[test]
fn every_connection_has_a_task_of_its_own() {
    block_on(async {
        let (listener, address) = listen().await;
        let server = serve(listener, ServeOptions::default(), echo);
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(answered(address).await);
        }
        assert_eq!(server.n_clients(), 16);
        let names = rt_tasks_runtime::task::all();
        let of_connections = names.iter().filter_map(|task| task.name.as_deref());
        let of_connections = of_connections.filter(|name| name.starts_with("connection of 127."));
        assert_eq!(of_connections.count(), 16);
        for client in clients.iter_mut().rev() {
            client.write_all(b"y").await.unwrap();
            client.read_exact(&mut [0; 1]).await.unwrap();
        }
        drop(clients);
        assert_eq!(server.drain(LONG).await.cut_off, 0);
        assert!(server.n_clients() == 0 && !server.is_accepting());
        server.join().await;
    });
}

#[test]
fn errors_and_panics_of_handlers_are_reported_and_touch_nobody_else() {
    let reports = reports_of(async {
        let (listener, address) = listen().await;
        let mut n_called = 0;
        let server = serve(listener, ServeOptions::default(), move |stream, peer| {
            n_called += 1;
            let number = n_called;
            assert!(number != 3, "panicked in the call");
            async move {
                match number {
                    1 => Err(io::Error::other("no such page")),
                    2 => panic!("panicked in the task"),
                    _ => echo(stream, peer).await,
                }
            }
        });
        for _ in 0..3 {
            let client = TcpStream::connect(address).await.unwrap();
            assert!(ends(client).await);
        }
        drop(answered(address).await);
        assert_eq!(server.drain(LONG).await.cut_off, 0);
    });
    assert_eq!(reports.len(), 3, "{reports:#?}");
    for (said, cause) in [
        "no such page",
        "panicked in the call",
        "panicked in the task",
    ]
    .iter()
    .map(|cause| (reports.iter().find(|said| said.contains(cause)), cause))
    {
        let said = said.unwrap_or_else(|| panic!("nobody told of {cause:?}: {reports:#?}"));
        assert!(said.starts_with("connection of 127."), "{said}");
        assert!(said.contains(file!()), "{said}");
    }
}

#[test]
fn no_more_are_served_at_once_than_allowed() {
    block_on(async {
        let (listener, address) = listen().await;
        let options = ServeOptions {
            max_connections: 2,
            ..ServeOptions::default()
        };
        let (served, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let at_most = most.clone();
        let server = serve(listener, options, move |stream, peer| {
            let (served, most) = (served.clone(), at_most.clone());
            async move {
                most.fetch_max(served.fetch_add(1, SeqCst) + 1, SeqCst);
                let result = echo(stream, peer).await;
                served.fetch_sub(1, SeqCst);
                result
            }
        });
        let first = answered(address).await;
        let _second = answered(address).await;
        // The system takes it in; nobody answers yet.
        let mut third = pin!(answered(address));
        assert!(timeout(ms(50), third.as_mut()).await.is_err());
        drop(first);
        drop(third.await);
        for _ in 0..50 {
            drop(answered(address).await);
        }
        assert_eq!(most.load(SeqCst), 2);
        drop(server);
    });
}

#[test]
fn draining_asks_waits_and_cuts_off_at_the_deadline() {
    let _sole = sole_owner();
    block_on(async {
        let (listener, address) = listen().await;
        let cleaned = Arc::new(AtomicUsize::new(0));
        let count = cleaned.clone();
        let server = serve(listener, ServeOptions::default(), move |mut stream, _| {
            let cleaned = count.clone();
            async move {
                let mut wish = [0; 1];
                stream.read_exact(&mut wish).await.unwrap();
                stream.write_all(&wish).await.unwrap();
                defer(async move {
                    yield_now().await;
                    cleaned.fetch_add(1, SeqCst);
                });
                if wish == *b"x" {
                    cancelled().await;
                    stream.write_all(b"goodbye").await.unwrap();
                } else {
                    pending::<()>().await;
                }
            }
        });
        let mut polite = answered(address).await;
        let mut stubborn = TcpStream::connect(address).await.unwrap();
        stubborn.write_all(b"s").await.unwrap();
        stubborn.read_exact(&mut [0; 1]).await.unwrap();

        let began = Instant::now();
        let mut drain = server.drain(ms(100));
        // The polite one is told at once, not at the deadline.
        let mut farewell = String::new();
        polite.read_to_string(&mut farewell).await.unwrap();
        assert_eq!(farewell, "goodbye");
        assert!(poll_once(&mut drain).await.is_none());
        let drained = drain.await;
        assert_eq!((drained.ended, drained.cut_off), (1, 1));
        assert!(began.elapsed() >= ms(100));
        assert_eq!(cleaned.load(SeqCst), 2);
        assert!(ends(stubborn).await);
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // There is nothing left to drain, and an instant does as well.
        let drained = server.drain(rt_tasks_runtime::Instant::now()).await;
        assert_eq!((drained.ended, drained.cut_off), (0, 0));
    });
}

#[test]
fn closing_clients_leaves_the_server_open() {
    block_on(async {
        let (listener, address) = listen().await;
        let options = ServeOptions {
            drain: ms(20),
            ..ServeOptions::default()
        };
        let server = serve(listener, options, echo);
        let clients = [answered(address).await, answered(address).await];
        // The handlers do not listen, so they are dropped when the time is up.
        server.close_clients().await;
        assert_eq!(server.n_clients(), 0);
        for client in clients {
            assert!(ends(client).await);
        }
        let _later = answered(address).await;
        assert!(server.is_accepting() && server.n_clients() == 1);
    });
}

#[test]
fn aborted_clients_are_dropped_at_once_and_their_cleanup_awaited() {
    block_on(async {
        let (listener, address) = listen().await;
        let cleaned = Arc::new(AtomicUsize::new(0));
        let count = cleaned.clone();
        let server = serve(listener, ServeOptions::default(), move |stream, peer| {
            let cleaned = count.clone();
            async move {
                defer(async move {
                    sleep(ms(20)).await;
                    cleaned.fetch_add(1, SeqCst);
                });
                echo(stream, peer).await
            }
        });
        let clients = [answered(address).await, answered(address).await];
        let began = Instant::now();
        let aborted = server.abort_clients();
        for client in clients {
            assert!(ends(client).await);
        }
        let later = answered(address).await;
        aborted.await;
        assert_eq!(cleaned.load(SeqCst), 2);
        assert!(began.elapsed() < LONG, "nobody waits for the grace");
        assert_eq!(server.n_clients(), 1, "who came later is not meant");
        drop(later);
    });
}

#[test]
fn a_server_that_accepts_no_more_serves_on() {
    let _sole = sole_owner();
    block_on(async {
        let (listener, address) = listen().await;
        let server = serve(listener, ServeOptions::default(), echo);
        let mut client = answered(address).await;
        server.stop_accepting().await;
        assert!(!server.is_accepting());
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        let mut join = server.join();
        assert!(poll_once(&mut join).await.is_none());
        drop(client);
        join.await;
    });
}

/// The last connection, the end of accepting and who waits for both meet in every order.
#[test]
fn the_end_of_a_server_is_heard_whenever_it_comes() {
    let runtime = Builder::new().workers(4).build().unwrap();
    runtime.block_on(async {
        for round in 0..300 {
            let (listener, address) = listen().await;
            let server = Arc::new(serve(listener, ServeOptions::default(), echo));
            let clients = [answered(address).await, answered(address).await];
            let wait = |server: &Arc<Server>| {
                let server = server.clone();
                spawn(async move { server.join().await })
            };
            let mut waiters = vec![wait(&server)];
            let leaving = clients.map(|client| spawn(async move { drop(client) }));
            waiters.push(wait(&server));
            if round % 2 == 0 {
                yield_now().await;
            }
            drop(server.stop_accepting());
            waiters.push(wait(&server));
            for waiter in waiters {
                let heard = timeout(LONG, waiter).await;
                heard.expect("nobody told of the end").unwrap();
            }
            assert!(server.n_clients() == 0 && !server.is_accepting());
            drop(leaving);
        }
    });
}

#[test]
fn whoever_drops_a_server_waits_for_the_cleanup_of_its_connections() {
    let _sole = sole_owner();
    block_on(async {
        let (listener, address) = listen().await;
        let cleaned = Arc::new(AtomicUsize::new(0));
        let count = cleaned.clone();
        let owner = spawn(async move {
            let _server = serve(listener, ServeOptions::default(), move |stream, peer| {
                let cleaned = count.clone();
                async move {
                    defer(async move {
                        sleep(ms(20)).await;
                        cleaned.fetch_add(1, SeqCst);
                    });
                    echo(stream, peer).await
                }
            });
            pending::<()>().await;
        });
        let client = answered(address).await;
        owner.cancel();
        assert!(owner.await.unwrap_err().is_cancelled());
        assert_eq!(cleaned.load(SeqCst), 1);
        assert!(ends(client).await);
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn a_server_may_be_dropped_outside_its_runtime() {
    let runtime = Builder::current_thread().build().unwrap();
    let (server, address) = runtime.block_on(async {
        let (listener, address) = listen().await;
        let server = serve(listener, ServeOptions::default(), echo);
        drop(answered(address).await);
        (server, address)
    });
    // Here nobody runs the tasks, so waiting for them would be for ever.
    drop(server);
    runtime.block_on(async {
        while TcpStream::connect(address).await.is_ok() {
            yield_now().await;
        }
    });
}

#[test]
fn a_graceful_stop_of_the_scope_around_is_heard_by_server_and_handlers() {
    block_on(async {
        let (listener, address) = listen().await;
        let stop = CancelScope::new();
        let ask = stop.clone();
        let served = spawn(async move {
            stop.run(async {
                let server = serve(
                    listener,
                    ServeOptions::default(),
                    |mut stream, _| async move {
                        stream.write_all(b"x").await?;
                        cancelled().await;
                        stream.write_all(b"goodbye").await
                    },
                );
                server.join().await;
            })
            .await
        });
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        ask.cancel_gracefully(LONG);
        let mut farewell = String::new();
        client.read_to_string(&mut farewell).await.unwrap();
        assert_eq!(farewell, "goodbye");
        served.await.unwrap().expect("it came to its own end");
    });
}

#[test]
fn mistakes_are_told_where_they_are_made() {
    let message = |result: Result<(), Box<dyn std::any::Any + Send>>| {
        let panic = result.expect_err("a panic");
        let said = panic.downcast_ref::<String>().cloned();
        said.or_else(|| panic.downcast_ref::<&str>().map(|said| said.to_string()))
            .unwrap()
    };
    let runtime = Builder::current_thread().build().unwrap();
    let (listener, other) = runtime.block_on(async { (listen().await.0, listen().await.0) });
    let outside = catch_unwind(AssertUnwindSafe(|| {
        drop(serve(listener, ServeOptions::default(), echo))
    }));
    assert!(message(outside).contains("no runtime here"));
    let closed = ServeOptions {
        max_connections: 0,
        ..ServeOptions::default()
    };
    let _entered = runtime.handle().enter();
    let none = catch_unwind(AssertUnwindSafe(|| drop(serve(other, closed, echo))));
    assert!(message(none).contains("no connection"));
}

#[test]
fn a_server_without_descriptors_goes_on_when_there_are_some() {
    alone(
        "serve::a_server_without_descriptors_goes_on_when_there_are_some",
        || {
            let reports = reports_of(async {
                let (listener, address) = listen().await;
                let server = serve(listener, ServeOptions::default(), echo);
                let first = answered(address).await;
                // All that are left but the one that the next client takes for itself.
                let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                limit.current = Some(n_descriptors() as u64 + 10);
                rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
                let mut hoard = Vec::new();
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    hoard.push(file);
                }
                hoard.pop();
                let mut second = TcpStream::connect(address).await.unwrap();
                second.write_all(b"x").await.unwrap();
                let unanswered = timeout(ms(30), second.read(&mut [0; 1])).await;
                assert!(unanswered.is_err());
                // A connection that ends gives its descriptor back, and the server is told.
                drop(first);
                drop(hoard);
                assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 1);
                drop(second);
                assert_eq!(server.drain(LONG).await.cut_off, 0);
            });
            // Each pause but the first is silent.
            assert_eq!(reports.len(), 1, "{reports:#?}");
            assert!(reports[0].starts_with("accepting, in the server at"));
        },
    );
}

#[test]
fn a_storm_of_connections_is_served_without_a_loss() {
    const N: usize = 20_000;
    alone(
        "serve::a_storm_of_connections_is_served_without_a_loss",
        || {
            let runtime = Builder::new().workers(2).build().unwrap();
            let before = runtime.block_on(async {
                // What the runtime opens for itself is open from the first socket on.
                drop(listen().await);
                n_descriptors()
            });
            runtime.block_on(async {
                let (listener, address) = listen().await;
                let server = serve(
                    listener,
                    ServeOptions::default(),
                    |mut stream, _| async move {
                        let mut number = [0; 4];
                        stream.read_exact(&mut number).await?;
                        stream.write_all(&number).await
                    },
                );
                let next = Arc::new(AtomicUsize::new(0));
                let clients: Vec<_> = (0..256)
                    .map(|_| {
                        let next = next.clone();
                        spawn(async move {
                            let mut n_answered = 0;
                            loop {
                                let number = next.fetch_add(1, SeqCst);
                                if number >= N {
                                    return n_answered;
                                }
                                let number = (number as u32).to_le_bytes();
                                let mut client = TcpStream::connect(address).await.unwrap();
                                client.write_all(&number).await.unwrap();
                                let mut answer = Vec::new();
                                client.read_to_end(&mut answer).await.unwrap();
                                assert_eq!(answer, number);
                                n_answered += 1;
                            }
                        })
                    })
                    .collect();
                let mut n_answered = 0;
                for client in clients {
                    n_answered += client.await.unwrap();
                }
                assert_eq!(n_answered, N);
                server.drain(LONG).await;
            });
            assert_eq!(n_descriptors(), before, "descriptors leaked");
        },
    );
}

#[test]
fn waits_of_a_server_are_send_and_may_be_moved() {
    fn is_free<T: Send + Unpin + 'static>(_: &T) {}
    block_on(async {
        let (listener, _) = listen().await;
        let server = serve(listener, ServeOptions::default(), echo);
        is_free(&server.join());
        let mut stopped = server.stop_accepting();
        // Polled by one task and then by another, it wakes the other.
        let handle = Handle::current();
        assert!(poll_once(&mut stopped).await.is_none());
        handle.spawn(stopped).await.unwrap();
        is_free(&server.drain(LONG));
    });
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_waiting_for_a_server() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker in a bad mood");
        }
    }
    let reports = reports_of(async {
        let (listener, _) = listen().await;
        let server = serve(listener, ServeOptions::default(), echo);
        let waker = Waker::from(Arc::new(Panics));
        let mut first = pin!(server.join());
        assert!(
            first
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let mut second = pin!(server.join());
        assert!(poll_once(&mut second).await.is_none());
        drop(server.stop_accepting());
        timeout(LONG, second)
            .await
            .expect("the second is woken after the first");
    });
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("a waker in a bad mood"), "{reports:?}");
}
