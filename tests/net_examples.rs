//! The servers and clients among the examples, with peers that behave well and badly, and with `curl`.

#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/chat.rs"]
mod chat;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/http_client.rs"]
mod http_client;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/http_server.rs"]
mod http_server;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/proxy.rs"]
mod proxy;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../examples/socks5.rs"]
mod socks5;

#[path = "net_examples/curl.rs"]
mod curl;
#[path = "net_examples/http.rs"]
mod http;
#[path = "net_examples/socks.rs"]
mod socks;

use std::net::SocketAddr;
use std::time::Duration;

use rt::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use rt::net::{ServeOptions, Server, TcpListener, TcpStream, serve};

const LONG: Duration = Duration::from_secs(30);

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server whose answer comes after the end of the question.
async fn shouting() -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let server = serve(
        listener,
        ServeOptions::default(),
        |mut stream, _| async move {
            let mut question = String::new();
            stream.read_to_string(&mut question).await?;
            stream.write_all(question.to_uppercase().as_bytes()).await
        },
    );
    (server, address)
}

/// Somebody in the chat.
struct Guest(BufReader<TcpStream>);

impl Guest {
    async fn named(address: SocketAddr, name: &str) -> Self {
        let mut guest = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert_eq!(guest.hears().await, "your name, please");
        guest.says(name).await;
        assert_eq!(guest.hears().await, format!("welcome, {name}"));
        guest
    }

    async fn says(&mut self, line: &str) {
        let line = format!("{line}\n");
        let stream = self.0.get_mut();
        stream.write_all(line.as_bytes()).await.unwrap();
    }

    async fn hears(&mut self) -> String {
        let mut line = String::new();
        let reading = self.0.read_line(&mut line);
        rt::timeout(LONG, reading).await.expect("silence").unwrap();
        line.trim_end().to_owned()
    }
}

#[rt::test(workers = 2)]
async fn guests_of_the_chat_hear_each_other_and_the_end() {
    let (listener, address) = listen().await;
    let server = chat::chat(listener);
    let mut ada = Guest::named(address, "Ada").await;
    let mut bob = Guest::named(address, "Bob").await;
    assert_eq!(ada.hears().await, "Bob is here");
    bob.says("hello").await;
    assert_eq!(ada.hears().await, "Bob: hello");
    ada.says("you again").await;
    assert_eq!(bob.hears().await, "Ada: you again");
    // One who hangs up at once was never there.
    drop(TcpStream::connect(address).await.unwrap());
    let cid = Guest::named(address, "Cid").await;
    for guest in [&mut ada, &mut bob] {
        assert_eq!(guest.hears().await, "Cid is here");
    }
    drop(cid);
    for guest in [&mut ada, &mut bob] {
        assert_eq!(guest.hears().await, "Cid has gone");
    }
    let drained = server.drain(LONG).await;
    // Cid's task may be at its last lines still.
    assert!(drained.ended >= 2 && drained.cut_off == 0, "{drained:?}");
    // Each of them may hear first that the other one goes.
    for guest in [&mut ada, &mut bob] {
        while guest.hears().await != "goodbye" {}
        assert_eq!(guest.hears().await, "");
    }
}

#[rt::test(workers = 2)]
async fn one_who_reads_nothing_holds_nobody_up_in_the_chat() {
    let (listener, address) = listen().await;
    let server = chat::chat(listener);
    let _deaf = Guest::named(address, "Deaf").await;
    let mut ada = Guest::named(address, "Ada").await;
    let mut bob = Guest::named(address, "Bob").await;
    assert_eq!(ada.hears().await, "Bob is here");
    let line = "x".repeat(4_000);
    for _ in 0..2_000 {
        bob.says(&line).await;
        assert_eq!(ada.hears().await.len(), "Bob: ".len() + line.len());
    }
    server.drain(Duration::from_millis(50)).await;
}

#[rt::test(workers = 2)]
async fn the_proxy_passes_bytes_and_ends_on_in_both_ways() {
    let (shout, target) = shouting().await;
    let (listener, address) = listen().await;
    let proxy = proxy::proxy(listener, target.to_string());
    let question = "all of it, ".repeat(100_000);
    for _ in 0..3 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(question.as_bytes()).await.unwrap();
        client.close().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer == question.to_uppercase());
    }
    // Without a target the client is told by the end.
    shout.drain(LONG).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(!matches!(client.read(&mut [0; 1]).await, Ok(1)));
    assert_eq!(proxy.drain(LONG).await.cut_off, 0);
}
