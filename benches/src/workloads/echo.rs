//! What does a message to a TCP peer and back cost?
//!
//! Both ends run in this process, on the same workers, over the loopback: four system calls are part of
//! every round trip whatever the runtime does. Connections are open before the clock starts. Neither
//! accept rates nor large messages nor thousands of idle connections are seen here, and the tail of the
//! distribution is not either.

use std::net::SocketAddr;

use crate::peer::{Connection, Listener, Peer};
use crate::workload::{Case, Sample, Scale, Workload, timed};

const MESSAGE: usize = 64;

pub(super) fn cases() -> Vec<Case> {
    let echo = |connections, trips| Echo { connections, trips };
    vec![
        Case::new(
            "echo_64",
            "64 bytes there and back, 64 connections at once",
            echo(64, 200),
        ),
        Case::new(
            "echo_1",
            "64 bytes there and back, one connection",
            echo(1, 3_000),
        ),
    ]
}

struct Echo {
    connections: u64,
    trips: u64,
}

impl Workload for Echo {
    fn run<P: Peer>(&self, peer: &P, scale: Scale) -> Sample {
        let connections = self.connections;
        let trips = scale.of(self.trips);
        peer.block_on(async {
            P::spawn(async move {
                let listener = P::listen().await.expect("a free port");
                let address = listener.address().expect("a listener has an address");
                let server = P::spawn(serve::<P>(listener, connections));
                let clients = connect::<P>(address, connections).await;
                let sample = timed(connections * trips, ask_all::<P>(clients, trips)).await;
                server.await;
                sample
            })
            .await
        })
    }
}

async fn connect<P: Peer>(address: SocketAddr, connections: u64) -> Vec<P::Connection> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(P::connect(address).await.expect("the listener accepts"));
    }
    clients
}

/// Echoes on so many connections until their other ends close.
async fn serve<P: Peer>(mut listener: P::Listener, connections: u64) {
    let mut handlers = Vec::new();
    for _ in 0..connections {
        let mut connection = listener.accept().await.expect("a connection");
        handlers.push(P::spawn(async move {
            let mut buffer = [0; MESSAGE];
            loop {
                let n = connection.read(&mut buffer).await.expect("read");
                if n == 0 {
                    break;
                }
                connection.write_all(&buffer[..n]).await.expect("write");
            }
        }));
    }
    for handler in handlers {
        handler.await;
    }
}

/// Sends `trips` messages on each connection, and checks what comes back.
async fn ask_all<P: Peer>(clients: Vec<P::Connection>, trips: u64) {
    let clients: Vec<_> = clients
        .into_iter()
        .map(|mut connection| {
            P::spawn(async move {
                for trip in 0..trips {
                    let message = [trip as u8; MESSAGE];
                    connection.write_all(&message).await.expect("write");
                    let mut answer = [0; MESSAGE];
                    let mut filled = 0;
                    while filled < MESSAGE {
                        let n = connection.read(&mut answer[filled..]).await.expect("read");
                        assert_ne!(n, 0, "the server closed");
                        filled += n;
                    }
                    assert_eq!(answer, message);
                }
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
}
