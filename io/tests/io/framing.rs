//! Messages on a stream of bytes: a library made for the traits of `futures-io` works on our streams as it is.

use asynchronous_codec::{Framed, LengthCodec, LinesCodec};
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use futures_util::SinkExt;
use rt_tasks_io::io::duplex;
use rt_tasks_io::net::{TcpListener, TcpStream};
use rt_tasks_runtime::block_on;

#[test]
fn lines_over_a_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = zip(client, listener.accept()).await;
        let mut client = Framed::new(client.unwrap(), LinesCodec);
        let mut server = Framed::new(accepted.unwrap().0, LinesCodec);
        client.send("one\n".to_owned()).await.unwrap();
        client.send("two\n".to_owned()).await.unwrap();
        client.close().await.unwrap();
        for expected in ["one\n", "two\n"] {
            assert_eq!(server.try_next().await.unwrap().unwrap(), expected);
        }
        assert!(server.try_next().await.unwrap().is_none());
    });
}

#[test]
fn messages_with_their_length_survive_a_reader_that_gives_up() {
    block_on(async {
        // Smaller than a message: each comes in pieces.
        let (near, far) = duplex(3);
        let mut sender = Framed::new(near, LengthCodec);
        let mut receiver = Framed::new(far, LengthCodec);
        let sending = async {
            for i in 0..20_u8 {
                sender.send(vec![i; 10].into()).await.unwrap();
            }
            sender.close().await.unwrap();
        };
        let receiving = async {
            let mut received = Vec::new();
            loop {
                // Given up each time that it has to wait: the pieces stay in the frame.
                match poll_once(receiver.try_next()).await {
                    Some(message) => match message.unwrap() {
                        Some(message) => received.push(message[9]),
                        None => return received,
                    },
                    None => rt_tasks_runtime::yield_now().await,
                }
            }
        };
        let (received, ()) = zip(receiving, sending).await;
        assert!(received.into_iter().eq(0..20));
    });
}
