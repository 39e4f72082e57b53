//! The SOCKS5 proxy among the examples, used by `curl` and byte by byte.

use std::net::SocketAddr;

use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{Server, TcpListener, TcpStream};

use crate::curl::{curl, curled};
use crate::http_server::http_server;
use crate::socks5::socks5;
use crate::{LONG, listen, shouting};

/// Where nobody listens.
async fn nobody() -> SocketAddr {
    listen().await.1
}

async fn started() -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    (socks5(listener), address)
}

/// Sends one message after the other, and expects each answer.
async fn expect(proxy: SocketAddr, talk: &[(&[u8], &[u8])]) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    for (say, hear) in talk {
        stream.write_all(say).await.unwrap();
        let mut heard = vec![0; hear.len()];
        let reading = stream.read_exact(&mut heard);
        rt::timeout(LONG, reading).await.expect("silence").unwrap();
        assert_eq!(heard, *hear, "after {say:?}");
    }
    stream
}

#[rt::test(workers = 2)]
async fn curl_reaches_a_server_through_socks_by_address_and_by_name() {
    let (proxy, socks) = started().await;
    let (listener, target) = listen().await;
    let store = http_server(listener);
    let (socks, port) = (socks.to_string(), target.port());
    let url = format!("http://127.0.0.1:{port}/a");
    let Some(kept) = curled(&[
        "--socks5",
        &socks,
        "--request",
        "PUT",
        "--data",
        "by proxy",
        &url,
    ])
    .await
    else {
        return;
    };
    assert_eq!(kept, "kept\n");
    // Here the proxy, and not `curl`, looks the name up.
    let url = format!("http://localhost:{port}/a");
    let said = curled(&["--socks5-hostname", &socks, &url]).await;
    assert_eq!(said.unwrap(), "by proxy");
    assert_eq!(proxy.drain(LONG).await.cut_off, 0);
    store.drain(LONG).await;
}

#[rt::test(workers = 2)]
async fn curl_reaches_a_server_of_ip_version_6_through_socks() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // A machine may have none.
        return;
    };
    let target = listener.local_addr().unwrap();
    let (proxy, socks) = started().await;
    let _store = http_server(listener);
    let (socks, url) = (socks.to_string(), format!("http://{target}/"));
    if let Some(said) = curled(&["--globoff", "--socks5", &socks, &url]).await {
        assert_eq!(said, "");
    }
    assert_eq!(proxy.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn curl_is_told_why_socks_does_not_reach_a_server() {
    let (_proxy, socks) = started().await;
    let (socks, url) = (socks.to_string(), format!("http://{}/", nobody().await));
    let Some(output) = curl(&["--socks5", &socks, &url]).await else {
        return;
    };
    // Of the proxy's answers 5 is the one for a connection that was refused.
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(97), "{said}");
    assert!(said.contains("(5)"), "{said}");
}

#[rt::test(workers = 2)]
async fn socks_answers_what_it_does_not_do_by_its_number() {
    let (proxy, socks) = started().await;
    let hello: (&[u8], &[u8]) = (&[5, 2, 2, 0], &[5, 0]);
    let refusal = |code| [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
    // It binds no ports for others, and knows no addresses of kind 9.
    let bind = [5, 2, 0, 1, 127, 0, 0, 1, 0, 80];
    let odd = [5, 1, 0, 9];
    let nameless = [5, 1, 0, 3, 4, b'.', b'.', b'.', 0xff, 0, 80];
    for (message, code) in [(&bind[..], 7), (&odd, 8), (&nameless, 1)] {
        let mut stream = expect(socks, &[hello, (message, &refusal(code))]).await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
    // Who wants to give a password, or speaks version 4, is not served.
    let mut stream = expect(socks, &[(&[5, 1, 2], &[5, 0xff])]).await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    let mut stream = expect(socks, &[(&[4, 1], &[])]).await;
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(proxy.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn socks_passes_bytes_and_ends_on_in_both_ways() {
    let (proxy, socks) = started().await;
    let (shout, target) = shouting().await;
    let [high, low] = target.port().to_be_bytes();
    let go = [5, 1, 0, 1, 127, 0, 0, 1, high, low];
    let mut stream = expect(
        socks,
        &[(&[5, 1, 0], &[5, 0]), (&go, &[5, 0, 0, 1, 127, 0, 0, 1])],
    )
    .await;
    stream.read_exact(&mut [0; 2]).await.unwrap();
    let question = "all of it, ".repeat(100_000);
    stream.write_all(question.as_bytes()).await.unwrap();
    stream.close().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer == question.to_uppercase());
    assert_eq!(proxy.drain(LONG).await.cut_off, 0);
    shout.drain(LONG).await;
}
