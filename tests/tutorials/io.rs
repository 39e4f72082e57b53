//! Programs of the tutorials that use files and sockets: clients of HTTP and of a key-value store, on loopback, in
//! real time. `docs/tutorials.md` has the list.

#[path = "client.rs"]
mod client;
#[path = "server.rs"]
mod server;
#[path = "store.rs"]
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::support::program::{Stopwatch, run_each};
use crate::support::{Log, each_size, ms};
use client::{FetchError, Session};
use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::TcpStream;
use rt::sync::Semaphore;
use server::Server;
use store::StoreClient;

/// S1-14: three requests of one session take as long as one, and the next three use the same connections.
#[test]
fn s1_14_three_requests_of_one_session() {
    each_size(|runtime| {
        runtime.block_on(async {
            let server = Server::start().await;
            let session = Arc::new(Session::new(server.address));
            for _ in 0..2 {
                let watch = Stopwatch::start();
                let pages = rt::try_gather((1..=3).map(|number| {
                    let session = session.clone();
                    async move { session.get(&format!("/delay/200/page-{number}")).await }
                }));
                let pages = pages.await.unwrap();
                watch.assert_took(ms(200));
                assert_eq!(pages, ["page-1", "page-2", "page-3"]);
            }
            assert_eq!(session.most.load(SeqCst), 3, "at the same time");
            assert_eq!(server.counts.connections.load(SeqCst), 3);
            assert_eq!(server.counts.requests.load(SeqCst), 6);
        });
    });
}

/// S1-15: a file is written and read while another task waits: the times do not add up.
#[test]
fn s1_15_files_beside_a_task_that_waits() {
    async fn program(log: Log) -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("output.txt");
        let write = async {
            let mut file = rt::fs::File::create(&path).await?;
            for line in 1..=3 {
                file.write_all(format!("line {line}\n").as_bytes()).await?;
            }
            file.close().await?;
            log.say("file written");
            rt::fs::read_to_string(&path).await
        };
        let (text, ()) = rt::join!(write, async {
            rt::sleep(Duration::from_secs(1)).await;
            log.say("other task through");
        });
        assert_eq!(text?, "line 1\nline 2\nline 3\n");
        Ok(())
    }
    run_each(program, |run| {
        run.value.unwrap();
        assert_eq!(run.log, ["file written", "other task through"]);
        assert_eq!(run.took, Duration::from_secs(1));
    });
}

/// S1-16: a key-value store behind a socket, with the protocol of Redis.
#[test]
fn s1_16_a_client_of_a_store() {
    async fn program(log: Log) -> std::io::Result<()> {
        let address = store::start().await?;
        let mut store = StoreClient::connect(address).await?;
        store.set("my_key", "hello_async").await?;
        log.say("Set 'my_key' in Redis");
        let value = store.get("my_key").await?;
        log.say(format!("Got value: {}", value.unwrap()));
        assert_eq!(store.get("another").await?, None);
        store.close().await
    }
    each_size(|runtime| {
        let log = Log::default();
        runtime.block_on(program(log.clone())).unwrap();
        assert_eq!(log, ["Set 'my_key' in Redis", "Got value: hello_async"]);
    });
}

/// S1-39: an application of `hyper`, on which the web frameworks stand, runs on our sockets.
#[test]
fn s1_39_a_web_application_on_our_sockets() {
    each_size(|runtime| {
        runtime.block_on(async {
            let server = Server::start().await;
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            let request =
                "GET /delay/1/hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
        });
    });
}

/// How the rate-limited client behaves.
const MAX_CONCURRENT: usize = 5;
const MAX_RETRIES: u32 = 3;
const TIMEOUT: Duration = Duration::from_millis(400);
/// Stands for the second of the tutorial, whose backoff is `2**attempt` seconds.
const BACKOFF: Duration = Duration::from_millis(100);

/// One page, with a place among the five, a limit, and three attempts. The backoff is outside of the place.
async fn fetch(
    log: Log,
    session: Arc<Session>,
    places: Arc<Semaphore>,
    path: String,
) -> Option<String> {
    for attempt in 1..=MAX_RETRIES {
        let result = {
            let _place = places.acquire().await.ok()?;
            rt::timeout(TIMEOUT, session.get(&path)).await
        };
        match result {
            Ok(Ok(page)) => return Some(page),
            Ok(Err(FetchError(error))) => {
                log.say(format!(
                    "Attempt {attempt}/{MAX_RETRIES} failed for {path}: {error}"
                ));
                if attempt < MAX_RETRIES {
                    rt::sleep(BACKOFF * 2u32.pow(attempt)).await;
                }
            }
            Err(_elapsed) => log.say(format!("Timeout on attempt {attempt} for {path}")),
        }
    }
    None
}

/// S3-11: a client with a limit, timeouts, retries and backoff goes on when some pages fail.
#[test]
fn s3_11_a_client_with_limit_timeout_and_retries() {
    async fn program(log: Log, server: &Server) -> (usize, usize) {
        let session = Arc::new(Session::new(server.address));
        let places = Arc::new(Semaphore::new(MAX_CONCURRENT));
        let paths = (0..7).map(|n| format!("/delay/20/page-{n}"));
        let troubled = ["/fails/1", "/fails/9", "/silent"].map(str::to_owned);
        let fetches = paths
            .chain(troubled)
            .map(|path| fetch(log.clone(), session.clone(), places.clone(), path));
        let pages = rt::join_all(fetches).await;
        (pages.iter().flatten().count(), session.most.load(SeqCst))
    }
    each_size(|runtime| {
        let log = Log::default();
        let watch = Stopwatch::start();
        let (n_pages, n_inside) = runtime.block_on(async {
            let server = Server::start().await;
            program(log.clone(), &server).await
        });
        let late = watch.stop();
        assert!(
            (2..=MAX_CONCURRENT).contains(&n_inside),
            "{n_inside} at a time"
        );
        let lines = log.sorted();
        let failed = |attempt, path| format!("Attempt {attempt}/3 failed for {path}: status 503");
        let expected = [
            failed(1, "/fails/1"),
            failed(1, "/fails/9"),
            failed(2, "/fails/9"),
            failed(3, "/fails/9"),
            "Timeout on attempt 1 for /silent".into(),
            "Timeout on attempt 2 for /silent".into(),
            "Timeout on attempt 3 for /silent".into(),
        ];
        if late < TIMEOUT / 2 {
            assert_eq!((n_pages, lines), (8, expected.to_vec()));
            return;
        }
        // On a machine that does something else for so long, any attempt may take too long, and is made again.
        println!("a plain thread was {late:?} late: which attempts took too long is not checked");
        let is_due = |line: &String| line.starts_with("Timeout") || expected.contains(line);
        let has_all_of_the_silent_one = expected[4..].iter().all(|line| lines.contains(line));
        assert!(
            has_all_of_the_silent_one && lines.iter().all(is_due),
            "{lines:?}"
        );
    });
}

/// S3-11: who waits for the next attempt leaves the place to others.
#[test]
fn s3_11_the_backoff_is_outside_of_the_limit() {
    each_size(|runtime| {
        let log = Log::default();
        runtime.block_on(async {
            let server = Server::start().await;
            let session = Arc::new(Session::new(server.address));
            let place = Arc::new(Semaphore::new(1));
            let fetched = |path: &str| {
                let (log, session, place) = (log.clone(), session.clone(), place.clone());
                let path = path.to_owned();
                rt::spawn(async move {
                    let page = fetch(log.clone(), session, place, path).await;
                    log.say(page.unwrap());
                })
            };
            let failing = fetched("/fails/1");
            while log.lines().is_empty() {
                rt::sleep(ms(1)).await;
            }
            // It has said that it failed, and waits for its second attempt.
            assert_eq!(place.available(), 1);
            fetched("/delay/1/other").await.unwrap();
            failing.await.unwrap();
        });
        let lines = log.lines();
        assert_eq!(lines[1..], ["other", "recovered"]);
    });
}
