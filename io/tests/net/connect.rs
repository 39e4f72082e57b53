//! Connecting: which address of several it is, what is said when none answers, and what is left when it is given up.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use rt_tasks_io::net::{ConnectFailures, TcpListener, TcpSocket, TcpStream, lookup_host};
use rt_tasks_runtime::{Builder, block_on, spawn_blocking, timeout};

use crate::alone::{alone, n_descriptors, sole_owner};
use crate::own_address;

const LONG: Duration = Duration::from_secs(30);

/// An address that answers nothing, not even by refusing: its backlog is full. It stays so while this is held.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(own_address()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await
        {
            queued.push(stream.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}

async fn closed() -> SocketAddr {
    let listener = TcpListener::bind(own_address()).await.unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_silent_address_has_a_head_start_and_no_more() {
    block_on(async {
        let silent = Silent::new().await;
        let listener = TcpListener::bind(own_address()).await.unwrap();
        let open = listener.local_addr().unwrap();
        let began = Instant::now();
        let racing = TcpStream::connect([silent.address, open]);
        let stream = timeout(LONG, racing).await.expect("it waits for ever");
        assert_eq!(stream.unwrap().peer_addr().unwrap(), open);
        assert!(began.elapsed() >= Duration::from_millis(250));
    });
}

#[test]
fn who_refuses_lets_the_next_one_begin_at_once() {
    let _sole = sole_owner();
    block_on(async {
        let silent = Silent::new().await;
        let closed = closed().await;
        let listener = TcpListener::bind(own_address()).await.unwrap();
        let open = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = TcpStream::connect([closed, closed, closed, open]).await;
        assert_eq!(stream.unwrap().peer_addr().unwrap(), open);
        assert!(began.elapsed() < Duration::from_millis(250));
        // Also while another one is still silent: one head start passes, not nine.
        let mut addresses = vec![silent.address];
        addresses.extend([closed; 8]);
        addresses.push(open);
        let began = Instant::now();
        let racing = TcpStream::connect(addresses);
        let stream = timeout(LONG, racing).await.expect("it waits for ever");
        assert_eq!(stream.unwrap().peer_addr().unwrap(), open);
        assert!(began.elapsed() < Duration::from_millis(1_500));
    });
}

#[test]
fn every_failure_is_told_in_its_order() {
    let _sole = sole_owner();
    block_on(async {
        let addresses = [closed().await, closed().await, closed().await];
        let error = TcpStream::connect(addresses).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let failures = error.get_ref().unwrap();
        let failures = failures.downcast_ref::<ConnectFailures>().unwrap();
        let told = failures.failures().iter();
        assert!(told.clone().map(|(address, _)| *address).eq(addresses));
        assert!(
            told.clone()
                .all(|(_, error)| error.kind() == ErrorKind::ConnectionRefused)
        );
        let text = error.to_string();
        assert!(
            text.starts_with("cannot connect to any address: 127."),
            "{text}"
        );
        for address in addresses {
            assert!(text.contains(&address.to_string()), "{text}");
        }
    });
}

#[test]
fn a_name_that_cannot_be_resolved_is_an_error_with_the_name() {
    block_on(async {
        // Longer than any name can be, so that nobody is asked.
        let name = "x".repeat(300);
        let error = lookup_host((name.as_str(), 80)).await.unwrap_err();
        assert!(
            error.to_string().starts_with("cannot resolve xxx"),
            "{error}"
        );
        let error = TcpStream::connect((name.as_str(), 80)).await.unwrap_err();
        assert!(
            error.to_string().starts_with("cannot resolve xxx"),
            "{error}"
        );
    });
}

#[test]
fn connections_that_are_given_up_are_closed() {
    alone("connect::connections_that_are_given_up_are_closed", || {
        block_on(async {
            let silent = Silent::new().await;
            let before = n_descriptors();
            for _ in 0..20 {
                let mut connecting = Box::pin(TcpStream::connect(silent.address));
                assert!(poll_once(connecting.as_mut()).await.is_none());
                assert_eq!(n_descriptors(), before + 1);
            }
            let racing = TcpStream::connect([silent.address, silent.address]);
            assert!(timeout(Duration::from_millis(300), racing).await.is_err());
            assert_eq!(n_descriptors(), before);
        });
    });
}

#[test]
fn the_losers_of_a_race_are_closed() {
    alone("connect::the_losers_of_a_race_are_closed", || {
        block_on(async {
            let silent = Silent::new().await;
            let listener = TcpListener::bind(own_address()).await.unwrap();
            let open = listener.local_addr().unwrap();
            let before = n_descriptors();
            let racing = TcpStream::connect([silent.address, silent.address, open]);
            let stream = timeout(LONG, racing).await.expect("it waits for ever");
            assert_eq!(stream.as_ref().unwrap().peer_addr().unwrap(), open);
            assert_eq!(n_descriptors(), before + 1);
        });
    });
}

/// A program that keeps the threads for blocking work busy must not look as if it had no network.
#[test]
fn names_do_not_wait_for_blocking_work() {
    let runtime = Builder::new().workers(1).blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let (stop, is_over) = std::sync::mpsc::channel::<()>();
        let busy = spawn_blocking(move || is_over.recv());
        let looking = timeout(LONG, lookup_host("localhost:80"));
        let found = looking.await.expect("it waits behind the other work");
        assert!(found.unwrap().len() > 0);
        assert!(!busy.is_finished());
        drop(stop);
    });
}

#[test]
fn addresses_in_digits_ask_nobody() {
    block_on(async {
        for (address, port) in [("127.0.0.1", 80), ("::1", 443)] {
            let found = poll_once(lookup_host((address, port))).await;
            let found: Vec<_> = found.expect("somebody is asked").unwrap().collect();
            assert_eq!(found, [SocketAddr::new(address.parse().unwrap(), port)]);
        }
        assert!(poll_once(lookup_host("[::1]:80")).await.is_some());
    });
}
