//! `hyper` serves and fetches over our sockets.
#![cfg(feature = "hyper")]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use rt_tasks_io::hyper::{Executor, Timer};
use rt_tasks_io::net::{TcpListener, TcpStream, UnixStream};
use rt_tasks_runtime::{block_on, spawn};

async fn body_of(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    bytes
}

async fn shout(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = body_of(request.into_body()).await;
    let text = String::from_utf8(body).unwrap().to_uppercase();
    Ok(Response::new(format!("{path} {text}")))
}

#[test]
fn requests_are_answered_on_one_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut builder = server::conn::http1::Builder::new();
            builder
                .timer(Timer)
                .header_read_timeout(Duration::from_secs(20));
            builder.serve_connection(stream, service_fn(shout)).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut requests, connection) = client::conn::http1::handshake(stream).await.unwrap();
        let connection = spawn(connection);
        for i in 0..20 {
            let text = "word ".repeat(i * 3_000);
            let request = Request::post(format!("/{i}"))
                .header("host", "h")
                .body(text.clone());
            requests.ready().await.unwrap();
            let response = requests.send_request(request.unwrap()).await.unwrap();
            let answer = body_of(response.into_body()).await;
            assert!(answer == format!("/{i} {}", text.to_uppercase()).into_bytes());
        }
        drop(requests);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn requests_are_answered_between_processes() {
    block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let server = spawn(async move {
            let builder = server::conn::http1::Builder::new();
            builder.serve_connection(far, service_fn(shout)).await
        });
        let (mut requests, connection) = client::conn::http1::handshake(near).await.unwrap();
        let connection = spawn(connection);
        let text = "word ".repeat(100_000);
        let request = Request::post("/").header("host", "h").body(text.clone());
        let response = requests.send_request(request.unwrap()).await.unwrap();
        let answer = body_of(response.into_body()).await;
        assert!(answer == format!("/ {}", text.to_uppercase()).into_bytes());
        drop(requests);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

/// With a task of hyper's own for each request.
#[test]
fn requests_share_a_connection_of_http_2() {
    block_on(async {
        let (near, far) = UnixStream::pair().unwrap();
        let server = spawn(async move {
            let mut builder = server::conn::http2::Builder::new(Executor);
            builder
                .timer(Timer)
                .keep_alive_interval(Duration::from_secs(20));
            builder.serve_connection(far, service_fn(shout)).await
        });
        let handshake = client::conn::http2::handshake(Executor, near);
        let (requests, connection) = handshake.await.unwrap();
        let connection = spawn(connection);
        let ask = |i: usize| {
            let mut requests = requests.clone();
            spawn(async move {
                let text = "word ".repeat(i * 3_000);
                let request = Request::post(format!("http://h/{i}")).body(text.clone());
                let response = requests.send_request(request.unwrap()).await.unwrap();
                let answer = body_of(response.into_body()).await;
                assert!(answer == format!("/{i} {}", text.to_uppercase()).into_bytes());
            })
        };
        for asked in (0..20).map(ask).collect::<Vec<_>>() {
            asked.await.unwrap();
        }
        drop(requests);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_client_that_sends_nothing_is_timed_out() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut builder = server::conn::http1::Builder::new();
        builder
            .timer(Timer)
            .header_read_timeout(Duration::from_millis(10));
        let error = builder
            .serve_connection(stream, service_fn(shout))
            .await
            .unwrap_err();
        assert!(error.is_timeout(), "{error}");
        drop(silent);
    });
}

#[test]
fn the_executor_spawns() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        hyper::rt::Executor::execute(&Executor, async move {
            TcpStream::connect(address).await.unwrap();
        });
        listener.accept().await.unwrap();
    });
}
