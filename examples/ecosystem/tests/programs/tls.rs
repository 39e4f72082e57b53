//! Both ends of the tunnel: with each other, with `openssl` at the other end, and with `curl`.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use rt::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use rt::net::{Server, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tls_tools::{
    Papers, Talker, accepted, exchange, listen, page, shout_at_the_end, shout_lines,
};
use crate::tls_tunnel::{accept, connect, identity, trust};
use crate::tools::{LONG, run, try_run, written};

/// The end of the tunnel that takes TLS off.
async fn accepting(papers: &Papers, target: SocketAddr) -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let identity = identity(&papers.certificates(), &papers.key()).await;
    (
        accept(listener, target.to_string(), identity.unwrap()),
        address,
    )
}

/// The end of the tunnel that puts TLS on.
async fn connecting(papers: &Papers, target: SocketAddr, name: &str) -> (Server, SocketAddr) {
    let (listener, address) = listen().await;
    let trust = trust(&papers.authorities()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    (connect(listener, target.to_string(), name, trust), address)
}

async fn dial(address: SocketAddr) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(address).await.unwrap())
}

/// What comes next is the end of the connection: a good one, or one that must not be taken for it.
async fn ending(stream: &mut BufReader<TcpStream>) -> io::Result<usize> {
    rt::timeout(LONG, stream.read(&mut [0; 16]))
        .await
        .expect("silence")
}

#[track_caller]
fn assert_reset(ending: io::Result<usize>) {
    assert_eq!(ending.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// Connects, and is cut off, be it before that is through or after.
async fn assert_cut_off(address: SocketAddr) {
    let reading = async { TcpStream::connect(address).await?.read(&mut [0; 16]).await };
    assert_reset(rt::timeout(LONG, reading).await.expect("silence"));
}

/// The arguments that make `openssl s_client` check who it speaks with, and leave its output to the peer.
fn s_client(papers: &Papers, address: SocketAddr) -> Vec<String> {
    let authorities = papers.authorities().to_str().unwrap().to_owned();
    let fixed = "s_client -quiet -verify_quiet -verify_return_error -verify_hostname localhost";
    let mut arguments: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    arguments.extend([
        "-CAfile".into(),
        authorities,
        "-connect".into(),
        address.to_string(),
    ]);
    arguments
}

/// An `openssl s_server` that gives each line back in reverse.
async fn s_server(papers: &Papers) -> Option<(Talker, SocketAddr)> {
    let (certificates, key) = (papers.certificates(), papers.key());
    let (certificates, key) = (certificates.to_str().unwrap(), key.to_str().unwrap());
    let arguments = [
        "s_server",
        "-rev",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        certificates,
        "-key",
        key,
    ];
    let mut server = Talker::start("openssl", &arguments)?;
    let address = server.hear_after("ACCEPT").await;
    Some((server, address.parse().unwrap()))
}

#[rt::test(workers = 2)]
async fn curl_reads_a_page_through_tls() {
    let papers = Papers::new();
    let (_page, target) = page("hello through TLS").await;
    let (outer, address) = accepting(&papers, target).await;
    let authorities = papers.authorities();
    let authorities = authorities.to_str().unwrap();
    let by_name = format!("https://localhost:{}/", address.port());
    let by_address = format!("https://{address}/");
    let common = [
        "--silent",
        "--show-error",
        "--noproxy",
        "",
        "--http1.0",
        "--cacert",
        authorities,
    ];
    for url in [&by_name, &by_address] {
        for version in ["1.2", "1.3"] {
            let arguments = [&common[..], &["--tls-max", version, url]].concat();
            let Some(output) = try_run("curl", &arguments).await else {
                return;
            };
            assert_eq!(written(output), "hello through TLS");
        }
    }
    // Signed by another authority of the same name.
    let others = Papers::new();
    let other = others.authorities();
    let refused = run(
        "curl",
        &["--silent", "--cacert", other.to_str().unwrap(), &by_name],
    )
    .await;
    // It is the signature, or the certificate, that does not do.
    assert!(
        matches!(refused.status.code(), Some(35 | 60)),
        "{refused:?}"
    );
    // And with the other end of the tunnel it needs no TLS of its own.
    let (inner, address) = connecting(&papers, address, "localhost").await;
    let url = format!("http://{address}/");
    let arguments = [
        "--silent",
        "--show-error",
        "--noproxy",
        "",
        "--http1.0",
        &url,
    ];
    assert_eq!(written(run("curl", &arguments).await), "hello through TLS");
    assert_eq!(inner.drain(LONG).await.cut_off, 0);
    assert_eq!(outer.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn openssl_talks_to_the_accepting_end_and_hears_its_goodbye() {
    let papers = Papers::new();
    let (_lines, target) = shout_lines().await;
    let (server, address) = accepting(&papers, target).await;
    let Some(mut client) = Talker::start("openssl", &s_client(&papers, address)) else {
        return;
    };
    for (say, hear) in [("hello", "HELLO"), ("again", "AGAIN")] {
        client.say(say).await;
        assert_eq!(client.hear().await, hear);
    }
    // The target ends, and so do the tunnel and, without an error, the client.
    client.say("end").await;
    assert_eq!(client.hear().await, "");
    assert!(client.ended().await.success());
    assert_eq!(server.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn the_connecting_end_talks_to_openssl() {
    let papers = Papers::new();
    let Some((_openssl, target)) = s_server(&papers).await else {
        return;
    };
    let (server, address) = connecting(&papers, target, "localhost").await;
    let mut stream = dial(address).await;
    assert_eq!(exchange(&mut stream, "hello").await, "olleh");
    let long = "0123456789".repeat(900);
    assert_eq!(
        exchange(&mut stream, &long).await,
        long.chars().rev().collect::<String>()
    );
    // The client says that it is through, and openssl answers in kind.
    stream.get_mut().close().await.unwrap();
    assert_eq!(ending(&mut stream).await.unwrap(), 0);
    assert_eq!(server.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn one_way_may_end_before_the_other() {
    let papers = Papers::new();
    let (_shout, target) = shout_at_the_end().await;
    let (outer, address) = accepting(&papers, target).await;
    let (inner, address) = connecting(&papers, address, "127.0.0.1").await;
    let question = "all of it, ".repeat(200_000);
    let clients = (0..8).map(|_| {
        let question = question.clone();
        async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(question.as_bytes()).await.unwrap();
            client.close().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer == question.to_uppercase());
        }
    });
    rt::join_all(clients).await;
    assert_eq!(inner.drain(LONG).await.cut_off, 0);
    assert_eq!(outer.drain(LONG).await.cut_off, 0);
}

#[rt::test(workers = 2)]
async fn a_server_that_dies_is_not_taken_for_one_that_has_said_everything() {
    let papers = Papers::new();
    let Some((openssl, target)) = s_server(&papers).await else {
        return;
    };
    let (_server, address) = connecting(&papers, target, "localhost").await;
    let mut stream = dial(address).await;
    assert_eq!(exchange(&mut stream, "hello").await, "olleh");
    openssl.kill().await;
    assert_reset(ending(&mut stream).await);
}

#[rt::test(workers = 2)]
async fn a_client_that_dies_is_not_taken_for_one_that_has_said_everything() {
    let papers = Papers::new();
    let (listener, target) = listen().await;
    let (_server, address) = accepting(&papers, target).await;
    let Some(mut client) = Talker::start("openssl", &s_client(&papers, address)) else {
        return;
    };
    let mut stream = accepted(&listener).await;
    client.say("delete everything").await;
    let mut heard = [0; 18];
    let hearing = stream.read_exact(&mut heard);
    rt::timeout(LONG, hearing).await.expect("silence").unwrap();
    assert_eq!(&heard, b"delete everything\n");
    client.kill().await;
    assert_reset(ending(&mut stream).await);
}

#[rt::test(workers = 2)]
async fn who_cannot_prove_its_name_is_not_talked_to() {
    let papers = Papers::new();
    let (lines, target) = shout_lines().await;
    let (_outer, address) = accepting(&papers, target).await;
    let (_stranger, by_other_name) = connecting(&papers, address, "example.org").await;
    let (_untrusted, unknown) = connecting(&Papers::new(), address, "localhost").await;
    for wrong in [by_other_name, unknown] {
        assert_cut_off(wrong).await;
    }
    // One who does not speak TLS at all is sent away, too.
    let mut stream = dial(address).await;
    stream
        .get_mut()
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut heard = Vec::new();
    let _ = rt::timeout(LONG, stream.read_to_end(&mut heard))
        .await
        .expect("silence");
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    // Nothing of that has reached the target, and the next one is served.
    assert_eq!(lines.n_clients(), 0);
    let (_inner, address) = connecting(&papers, address, "localhost").await;
    assert_eq!(exchange(&mut dial(address).await, "hello").await, "HELLO");
}

#[rt::test(workers = 2)]
async fn a_tunnel_without_a_target_does_not_look_like_an_empty_answer() {
    let papers = Papers::new();
    let (_, nobody) = listen().await;
    let (_outer, address) = accepting(&papers, nobody).await;
    let (_inner, address) = connecting(&papers, address, "localhost").await;
    assert_cut_off(address).await;
}

#[rt::test(workers = 2)]
async fn the_program_is_both_ends_and_ends_with_ctrl_c() {
    let papers = Papers::new();
    let (_shout, target) = shout_lines().await;
    let program = env!("CARGO_BIN_EXE_tls_tunnel");
    let (certificates, key) = (papers.certificates(), papers.key());
    let (certificates, key) = (certificates.to_str().unwrap(), key.to_str().unwrap());
    let target = target.to_string();
    let outer = ["accept", "127.0.0.1:0", &target, certificates, key];
    let mut outer = Talker::start(program, &outer).unwrap();
    let address = outer.hear_after("listening on").await;
    let address = address.replace("127.0.0.1", "localhost");
    let authorities = papers.authorities();
    let inner = [
        "connect",
        "127.0.0.1:0",
        &address,
        authorities.to_str().unwrap(),
    ];
    let mut inner = Talker::start(program, &inner).unwrap();
    let address = inner.hear_after("listening on").await;
    let mut stream = dial(address.parse().unwrap()).await;
    assert_eq!(exchange(&mut stream, "hello").await, "HELLO");
    // They wait for the connection to end, and then end themselves.
    inner.interrupt();
    outer.interrupt();
    assert_eq!(exchange(&mut stream, "still").await, "STILL");
    drop(stream);
    assert!(inner.ended().await.success());
    assert!(outer.ended().await.success());
    let wrong = run(program, &["accept", "127.0.0.1:0"]).await;
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
}
