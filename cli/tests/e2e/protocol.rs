//! The socket itself: requests that are none, clients that behave badly, versions.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::subject::{Subject, printed, rt};

/// Connects, so that a read which has to wait for long fails.
fn connect(subject: &Subject) -> UnixStream {
    let stream = UnixStream::connect(subject.socket()).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream
}

/// Sends bytes and reads until the other end closes.
fn exchange(subject: &Subject, request: &[u8]) -> String {
    let mut stream = connect(subject);
    stream.write_all(request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn error_of(answer: &str) -> (String, String) {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let field = |name: &str| answer["error"][name].as_str().unwrap().to_owned();
    assert_eq!(answer["version"], 1);
    (field("kind"), field("message"))
}

#[test]
fn a_malformed_request_gets_the_reason() {
    let subject = Subject::start("idle");
    let (kind, message) = error_of(&exchange(&subject, b"tree please\n"));
    assert_eq!(kind, "malformed");
    assert!(
        message.contains(r#"{"version":1,"request":"tree"}"#),
        "{message}"
    );
    let (kind, message) = error_of(&exchange(&subject, br#"{"version":9,"request":"tree"}"#));
    assert_eq!(kind, "version");
    assert!(message.contains("version 1"), "{message}");
    let (kind, _) = error_of(&exchange(
        &subject,
        b"{\"version\":1,\"request\":\"stop\"}\n",
    ));
    assert_eq!(kind, "unknown");
    assert_eq!(
        exchange(&subject, b""),
        "",
        "who asks nothing hears nothing"
    );
    assert!(printed(&subject.rt(&["tree", &subject.id()]), 0).contains("sleeper"));
}

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let subject = Subject::start("idle");
    let mut stream = connect(&subject);
    stream.write_all(&[b' '; 2000]).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while stream
        .read(&mut byte)
        .is_ok_and(|n_read| n_read == 1 && byte != *b"\n")
    {
        answer.push(byte[0]);
    }
    let (kind, message) = error_of(std::str::from_utf8(&answer).unwrap());
    assert_eq!(kind, "malformed");
    assert!(message.contains("too long"), "{message}");
}

#[test]
fn a_request_may_come_in_pieces() {
    let subject = Subject::start("idle");
    let mut stream = connect(&subject);
    for piece in [
        &b"{\"version\":1,"[..],
        b"\"request\":",
        b"\"process\"}",
        b"\n",
    ] {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"runtime\":\"two\""), "{answer}");
}

#[test]
fn clients_that_read_nothing_hold_up_nobody() {
    let subject = Subject::start("crowd");
    let silent: Vec<UnixStream> = (0..8)
        .map(|_| {
            let mut stream = connect(&subject);
            stream
                .write_all(b"{\"version\":1,\"request\":\"dump\"}\n")
                .unwrap();
            stream
        })
        .collect();
    // Their answers are on the way, and too large to be written at once.
    for stream in &silent {
        let mut reader: &UnixStream = stream;
        assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    }
    let began = Instant::now();
    let text = printed(&subject.rt(&["ps"]), 0);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert!(text.contains(" 20000 "), "{text}");
    let mut reader: &UnixStream = &silent[0];
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let whole = format!("{{{rest}");
    let answer: Value = serde_json::from_str(&whole).unwrap();
    let tasks = answer["runtimes"][0]["dump"]["tasks"].as_array().unwrap();
    assert_eq!(
        tasks.len(),
        20_000,
        "the answer is whole for who reads it late"
    );
}

#[test]
fn a_flood_of_connections_is_refused_and_passes() {
    let subject = Subject::start("idle");
    let flood: Vec<UnixStream> = (0..200).map(|_| connect(&subject)).collect();
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(error.contains("too many ask at the same time"), "{error}");
    // Sixteen were let in and asked nothing; the others have been told.
    let n_told = flood.iter().filter(|stream| {
        let mut reader: &UnixStream = stream;
        stream.set_nonblocking(true).unwrap();
        reader.read(&mut [0]).is_ok_and(|n_read| n_read == 1)
    });
    assert_eq!(n_told.count(), 200 - 16);
    drop(flood);
    let began = Instant::now();
    while subject.rt(&["tree", &subject.id()]).status.code() != Some(0) {
        assert!(began.elapsed() < Duration::from_secs(5), "it never passed");
    }
}

#[test]
fn who_asks_nothing_is_shown_out() {
    let subject = Subject::start("idle");
    // Before it is let in, which is where its time begins.
    let began = Instant::now();
    let mut stream = connect(&subject);
    stream.write_all(b"{").unwrap();
    // A reset rather than an end where something unread was left behind.
    assert!(!stream.read(&mut [0]).is_ok_and(|n_read| n_read > 0));
    let waited = began.elapsed();
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(15),
        "{waited:?}"
    );
}

/// Answers one connection with a line, at the place where the socket of `id` would be.
fn impostor(id: u32, line: &'static str) -> (tempfile::TempDir, thread::JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rt")).unwrap();
    let socket = folder.path().join(format!("rt/{id}.sock"));
    let listener = UnixListener::bind(socket).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 100]).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
    });
    (folder, thread)
}

#[test]
fn another_version_is_named_by_the_command() {
    let (folder, thread) = impostor(4242, "{\"version\":7,\"news\":[]}\n");
    let error = printed(&rt(folder.path(), &["tree", "4242"]), 2);
    assert!(
        error.contains("speaks version 7") && error.contains("same release"),
        "{error}"
    );
    thread.join().unwrap();
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let (folder, thread) = impostor(4242, "{\"version\":1,\"process\":");
    let error = printed(&rt(folder.path(), &["tree", "4242"]), 2);
    assert!(error.contains("broke off"), "{error}");
    thread.join().unwrap();
    let (folder, thread) = impostor(4242, "{\"version\":1,\"runtimes\":7}\n");
    let error = printed(&rt(folder.path(), &["deadlock", "4242"]), 2);
    assert!(error.contains("cannot read the answer"), "{error}");
    thread.join().unwrap();
}
