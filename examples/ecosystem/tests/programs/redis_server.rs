//! Sessions with a Redis server: commands by many tasks, transactions, messages, and connections that end.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use redis::{AsyncConnectionConfig, PushKind, RedisError, RedisResult, Value, cmd, pipe};
use rt::sync::mpsc;

use crate::redis_words::{Requests, Session, count_words};
use crate::tools::{LONG, eventually, run, server, written};

/// A name that no other test uses.
fn key(of: &str) -> String {
    format!("rt:test:{of}:{}", std::process::id())
}

async fn session() -> Option<Session> {
    let address = server("RT_TEST_REDIS")?;
    Some(Session::open(&address).await.unwrap())
}

async fn forget(requests: &mut Requests, key: &str) {
    requests.send::<()>(pipe().del(key).ignore()).await.unwrap();
}

/// The one answer to a command.
async fn ask<T: redis::FromRedisValue>(requests: &mut Requests, words: &[&str]) -> RedisResult<T> {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut requests.0).await
}

fn is_broken<T>(answer: RedisResult<T>) -> bool {
    answer.is_err_and(|error| error.is_connection_dropped() || error.is_io_error())
}

#[rt::test(workers = 2)]
async fn the_words_of_files_are_counted_in_redis() {
    let Some(address) = server("RT_TEST_REDIS") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let many =
        "one two three ".repeat(1000) + &(0..2000).map(|i| format!("w{i} ")).collect::<String>();
    let mut arguments = vec![PathBuf::from(&address)];
    for (name, text) in [("a", "One, two! ONE"), ("b", "two-two"), ("c", &many)] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        arguments.push(path);
    }
    let program = env!("CARGO_BIN_EXE_redis_words");
    for _ in 0..2 {
        // The second run replaces what the first has counted.
        let text = written(run(program, &arguments).await);
        let lines: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(lines, ["  1003 two", "  1002 one", "  1000 three"]);
        assert_eq!(text.lines().count(), 10);
    }
    let session = Session::open(&address).await.unwrap();
    let mut requests = session.requests();
    let n_words: u64 = ask(&mut requests, &["ZCARD", "rt:words"]).await.unwrap();
    assert_eq!(n_words, 2003);
    let leftovers: Vec<String> = ask(&mut requests, &["KEYS", "rt:words:*"]).await.unwrap();
    assert_eq!(leftovers, [""; 0]);
    forget(&mut requests, "rt:words").await;
}

#[rt::test(workers = 2)]
async fn a_count_that_fails_leaves_the_old_one_and_nothing_else() {
    let Some(session) = session().await else {
        return;
    };
    let (key, mut requests) = (key("failing"), session.requests());
    let folder = tempfile::tempdir().unwrap();
    let (good, empty) = (folder.path().join("good"), folder.path().join("empty"));
    fs::write(&good, "old old").unwrap();
    fs::write(&empty, "").unwrap();
    let counted = count_words(&session, &key, vec![good.clone()])
        .await
        .unwrap();
    assert_eq!(counted, [("old".to_owned(), 2)]);
    for (files, why) in [
        (vec![good, folder.path().join("none")], "No such file"),
        (vec![empty], "there are no words in these files"),
    ] {
        let error = count_words(&session, &key, files).await.unwrap_err();
        assert!(format!("{error}").contains(why), "{error}");
        let kept: Vec<(String, u64)> =
            ask(&mut requests, &["ZRANGE", &key, "0", "-1", "WITHSCORES"])
                .await
                .unwrap();
        assert_eq!(kept, [("old".to_owned(), 2)]);
        let leftovers: Vec<String> = ask(&mut requests, &["KEYS", &format!("{key}:*")])
            .await
            .unwrap();
        assert_eq!(leftovers, [""; 0]);
    }
    forget(&mut requests, &key).await;
}

#[rt::test(workers = 2)]
async fn a_hundred_tasks_share_one_connection() {
    let Some(session) = session().await else {
        return;
    };
    let key = key("shared");
    let tasks = (0..100).map(|task| {
        let (mut requests, key) = (session.requests(), key.clone());
        async move {
            for _ in 0..20 {
                let _: u64 = ask(&mut requests, &["INCR", &key]).await.unwrap();
            }
            // Each gets its own answer back, small or large.
            let text = format!("{task} ").repeat(task * 500);
            let echo: String = ask(&mut requests, &["ECHO", &text]).await.unwrap();
            assert!(echo == text, "{task}");
        }
    });
    rt::join_all(tasks).await;
    let mut requests = session.requests();
    let sum: u64 = ask(&mut requests, &["GET", &key]).await.unwrap();
    assert_eq!(sum, 2000);
    forget(&mut requests, &key).await;
}

#[rt::test(workers = 2)]
async fn a_transaction_happens_as_a_whole_or_not_at_all() {
    let Some(session) = session().await else {
        return;
    };
    let (key, mut requests) = (key("transaction"), session.requests());
    let mut both = pipe();
    both.atomic().set(&key, 40).ignore().incr(&key, 2);
    let (sum,): (u64,) = requests.send(&both).await.unwrap();
    assert_eq!(sum, 42);
    // The second command is none, so that the first is not done either.
    let mut broken = pipe();
    broken.atomic().set(&key, 1).ignore();
    broken.cmd("NONSENSE").arg(1);
    let error = requests.send::<Value>(&broken).await.unwrap_err();
    let error = error.downcast::<RedisError>().unwrap();
    assert_eq!(error.code(), Some("EXECABORT"), "{error}");
    let value: u64 = ask(&mut requests, &["GET", &key]).await.unwrap();
    assert_eq!(value, 42);
    forget(&mut requests, &key).await;
}

#[rt::test(workers = 2)]
async fn messages_are_heard_while_requests_are_answered() {
    let Some(address) = server("RT_TEST_REDIS") else {
        return;
    };
    let channel = key("channel");
    let (sender, mut messages) = mpsc::unbounded();
    let settings =
        AsyncConnectionConfig::new().set_push_sender(move |message| sender.try_send(message));
    let listener = Session::open_with(&address, settings).await.unwrap();
    let speaker = Session::open(&address).await.unwrap();
    let (mut listening, mut speaking) = (listener.requests(), speaker.requests());
    listening.0.subscribe(&channel).await.unwrap();
    assert_eq!(messages.recv().await.unwrap().kind, PushKind::Subscribe);
    for i in 0..50 {
        let n_listeners: u64 = ask(&mut speaking, &["PUBLISH", &channel, &format!("{i}")])
            .await
            .unwrap();
        assert_eq!(n_listeners, 1);
        let pong: String = ask(&mut listening, &["PING"]).await.unwrap();
        assert_eq!(pong, "PONG");
    }
    for i in 0..50 {
        let message = rt::timeout(LONG, messages.recv())
            .await
            .expect("silence")
            .unwrap();
        let text: String = redis::from_redis_value(message.data[1].clone()).unwrap();
        assert_eq!((message.kind, text), (PushKind::Message, i.to_string()));
    }
}

#[rt::test(workers = 2)]
async fn a_session_that_is_dropped_hangs_up_also_in_the_middle_of_a_command() {
    let (Some(watching), Some(blocked)) = (session().await, session().await) else {
        return;
    };
    let (mut watching_requests, mut requests) = (watching.requests(), blocked.requests());
    let id: u64 = ask(&mut requests, &["CLIENT", "ID"]).await.unwrap();
    let filter = ["CLIENT", "LIST", "ID", &id.to_string()];
    let key = key("nothing");
    let pop = ["BLPOP", &*key, "0"];
    let waiting = ask::<Value>(&mut requests, &pop);
    // It is the client that gives up; the server knows nothing of that.
    assert!(
        rt::timeout(Duration::from_millis(50), waiting)
            .await
            .is_err()
    );
    eventually("it waits", async || {
        let clients: String = ask(&mut watching_requests, &filter).await.unwrap();
        clients.contains("cmd=blpop")
    })
    .await;
    drop(blocked);
    eventually("the server knows that the client is gone", async || {
        ask::<String>(&mut watching_requests, &filter)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    // What outlived the session fails, instead of waiting.
    assert!(is_broken(ask::<Value>(&mut requests, &["PING"]).await));
}

#[rt::test(workers = 2)]
async fn requests_fail_when_the_server_hangs_up() {
    let (Some(killing), Some(killed)) = (session().await, session().await) else {
        return;
    };
    let mut requests = killed.requests();
    let id: u64 = ask(&mut requests, &["CLIENT", "ID"]).await.unwrap();
    let key = key("nothing");
    let waiting = rt::spawn({
        let mut requests = requests.clone();
        async move { ask::<Value>(&mut requests, &["BLPOP", &key, "0"]).await }
    });
    let mut killing = killing.requests();
    eventually("it waits", async || {
        let clients: String = ask(&mut killing, &["CLIENT", "LIST", "ID", &id.to_string()])
            .await
            .unwrap();
        clients.contains("cmd=blpop")
    })
    .await;
    let n_killed: u64 = ask(&mut killing, &["CLIENT", "KILL", "ID", &id.to_string()])
        .await
        .unwrap();
    assert_eq!(n_killed, 1);
    let answer = rt::timeout(LONG, waiting).await.expect("it waits for ever");
    assert!(is_broken(answer.unwrap()));
    assert!(is_broken(ask::<Value>(&mut requests, &["PING"]).await));
}

#[rt::test(workers = 2)]
async fn a_port_without_redis_is_an_error() {
    let listener = rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hang_up = rt::spawn(async move { drop(listener.accept().await.unwrap()) });
    let error = Session::open(&address).await.unwrap_err();
    assert!(!format!("{error}").is_empty());
    hang_up.await.unwrap();
    let error = Session::open(&address).await.unwrap_err();
    assert!(format!("{error}").contains("refused"), "{error}");
}
