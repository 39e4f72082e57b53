//! The HTTP server among the examples, asked by `curl` and by the client among them.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{ServeOptions, Server, TcpStream, serve};

use crate::curl::{curl, curled};
use crate::http_client::fetch_all;
use crate::http_server::http_server;
use crate::{LONG, listen};

/// `curl` reads what it sends from here.
fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

/// Sends one request on a connection of its own, and gives the whole answer.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    rt::timeout(LONG, reading).await.expect("silence").unwrap();
    answer
}

/// A server that gives each request the same answer.
async fn parrot(answer: String) -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let server = serve(listener, ServeOptions::default(), move |mut stream, _| {
        let answer = answer.clone();
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (server, address)
}

#[rt::test(workers = 2)]
async fn curl_keeps_reads_lists_and_deletes_notes() {
    let (listener, address) = listen().await;
    let server = http_server(listener);
    let root = format!("http://{address}/");
    let (one, two) = (format!("{root}one"), format!("{root}two"));
    let (small, large) = (file(b"a note"), file(&[b'x'; 1 << 20]));
    let (small, large) = (
        small.path().to_str().unwrap(),
        large.path().to_str().unwrap(),
    );
    let Some(kept) = curled(&["--upload-file", small, &one]).await else {
        return;
    };
    assert_eq!(kept, "kept\n");
    // `curl` asks whether it may send this much, and is told.
    assert_eq!(
        curled(&["-T", large, &two, "-T", small, &two])
            .await
            .unwrap(),
        "kept\nchanged\n"
    );
    assert_eq!(curled(&[&*one]).await.unwrap(), "a note");
    let head = curled(&["--head", &one]).await.unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.contains("content-length: 6"),
        "{head}"
    );
    // Two requests on one connection.
    assert_eq!(curled(&[&*root, &two]).await.unwrap(), "one\ntwo\na note");
    assert_eq!(
        curled(&["--request", "DELETE", &one]).await.unwrap(),
        "forgotten\n"
    );
    let output = curl(&["--fail", &one]).await.unwrap();
    assert_eq!(output.status.code(), Some(22), "{output:?}");
    assert_eq!(curled(&[&*root]).await.unwrap(), "two\n");
    assert_eq!(server.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn many_curls_at_once_are_answered() {
    let (listener, address) = listen().await;
    let server = http_server(listener);
    let note = file(&"0123456789".repeat(20_000).into_bytes());
    let path = note.path().to_str().unwrap();
    let urls = format!("http://{address}/[1-40]");
    let arguments = ["--parallel", "--parallel-immediate", "-T", path, &urls];
    let Some(said) = curled(&arguments).await else {
        return;
    };
    assert_eq!(said, "kept\n".repeat(40));
    let documents = fetch_all((1..=40).map(|i| format!("http://{address}/{i}")).collect());
    let documents = documents.await.unwrap();
    assert!(documents.iter().all(|document| document.len() == 200_000));
    assert_eq!(server.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn the_store_refuses_what_is_too_long_or_not_understood() {
    let (listener, address) = listen().await;
    let server = http_server(listener);
    let put =
        |length: usize| format!("PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    let answer = ask(address, &(put((1 << 20) + 1) + "x")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = ask(
        address,
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("allow: GET, HEAD, PUT, DELETE"), "{answer}");
    let answer = ask(address, "nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // What was begun and never sent is kept by nobody.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all((put(10) + "half").as_bytes())
        .await
        .unwrap();
    drop(stream);
    let nothing = fetch_all(vec![format!("http://{address}/")]).await.unwrap();
    assert_eq!(nothing[0], "");
    assert_eq!(server.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn the_end_of_the_store_waits_for_a_request_and_not_for_a_silent_client() {
    let (listener, address) = listen().await;
    let server = http_server(listener);
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    assert_ne!(idle.read(&mut [0; 4096]).await.unwrap(), 0);
    let mut busy = TcpStream::connect(address).await.unwrap();
    let head =
        b"PUT /late HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    busy.write_all(head).await.unwrap();
    let mut line = [0; 25];
    // From here on its request is one that has begun.
    busy.read_exact(&mut line).await.unwrap();
    assert_eq!(line, *b"HTTP/1.1 100 Continue\r\n\r\n");

    let drained = rt::spawn(server.drain(LONG));
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(!drained.is_finished());
    busy.write_all(b"late").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(drained.await.unwrap().cut_off, 0);
}

#[rt::test(workers = 2)]
async fn the_client_gives_documents_in_order_and_follows_redirections() {
    let (_last, last) = parrot("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast".into()).await;
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nin \r\n5\r\nparts\r\n0\r\n\r\n";
    let (_parts, parts) = parrot(chunked.into()).await;
    let (_moved, moved) = parrot(format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{last}/a\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let urls = [moved, parts, last].map(|address| format!("http://{address}/"));
    let documents = fetch_all(urls.into()).await.unwrap();
    assert_eq!(documents, ["last", "in parts", "last"]);
}

#[rt::test(workers = 2)]
async fn one_document_that_cannot_be_had_ends_the_client() {
    let (_round, round) =
        parrot("HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".into()).await;
    let (_short, short) = parrot("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".into()).await;
    let (_none, none) = parrot("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into()).await;
    // Nobody answers here, and nobody waits for that.
    let (_silent, silent) = listen().await;
    for (failing, why) in [
        (format!("http://{round}/"), "redirected too often"),
        (format!("http://{short}/"), "error reading a body"),
        (format!("http://{none}/"), "404 Not Found"),
        ("https://127.0.0.1/".to_owned(), "http://"),
        ("http://127.0.0.1:1/".to_owned(), "refused"),
    ] {
        let urls = vec![format!("http://{silent}/"), failing.clone()];
        let fetched = rt::timeout(Duration::from_secs(50), fetch_all(urls)).await;
        let error = fetched.expect("it waits for the silent one").unwrap_err();
        let text = format!("{error}");
        assert!(text.starts_with(&failing) && text.contains(why), "{text}");
    }
}
