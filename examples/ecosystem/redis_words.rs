//! Counts the words of files in Redis, one task for each file, all of them on one connection.
//!
//! ```text
//! cargo run -p rt-tasks-ecosystem --bin redis_words -- 127.0.0.1:6379 README.md CONTRIBUTING.md
//! ```
//!
//! The counts are the sorted set `rt:words`. They are gathered beside it, and take its place all at once; if the
//! program is interrupted, what it has gathered is removed, and the old counts stay.
//!
//! The crate `redis` speaks the protocol over our stream, which has Tokio's traits by the feature `tokio-io`. No runtime
//! of Tokio's is there: the task that drives the connection is ours, and so are all timeouts.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, FromRedisValue, Pipeline, ProtocolVersion, RedisConnectionInfo,
};
use rt::net::TcpStream;
use rt::{BoxError, OwnedTask, TaskGroup};

/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds after which Redis forgets what a program that was killed has gathered.
const LEFTOVERS: i64 = 3600;

/// Words whose counts are sent at once.
const N_TOGETHER: usize = 500;

/// A connection to Redis with the task that drives it, which ends with it.
#[derive(Debug)]
pub(crate) struct Session {
    requests: Requests,
    _driver: OwnedTask<()>,
}

/// Sends requests on the connection of a session. Clones share it, and their requests are on their way at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Requests(pub(crate) MultiplexedConnection);

impl Session {
    /// Connects, and agrees on version 3 of the protocol.
    pub(crate) async fn open(address: &str) -> Result<Self, BoxError> {
        Self::open_with(address, AsyncConnectionConfig::new()).await
    }

    /// As `open`, with settings of one's own, but for timeouts.
    pub(crate) async fn open_with(
        address: &str,
        settings: AsyncConnectionConfig,
    ) -> Result<Self, BoxError> {
        let redis = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        // The timeouts of the crate need a runtime of Tokio's, and panic without one.
        let settings = settings.set_response_timeout(None);
        let opening = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let opened = MultiplexedConnection::new_with_config(&redis, stream, settings).await?;
            Ok::<_, BoxError>(opened)
        };
        let (connection, driver) = rt::timeout(PATIENCE, opening).await??;
        Ok(Self {
            requests: Requests(connection),
            _driver: rt::spawn(driver).cancel_on_drop(),
        })
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }
}

impl Requests {
    /// Sends all commands of a pipeline, and waits for the answers.
    pub(crate) async fn send<T: FromRedisValue>(
        &mut self,
        commands: &Pipeline,
    ) -> Result<T, BoxError> {
        Ok(rt::timeout(PATIENCE, commands.query_async(&mut self.0)).await??)
    }
}

/// Counts the words of all files and keeps the counts under `key`. Gives the ten words that there are most of.
pub(crate) async fn count_words(
    session: &Session,
    key: &str,
    files: Vec<PathBuf>,
) -> Result<Vec<(String, u64)>, BoxError> {
    let gathered = format!("{key}:{}", process::id());
    let mut remove = redis::pipe();
    remove.del(&gathered).ignore();
    let mut requests = session.requests();
    // Whatever happens; if all went well, there is nothing left to remove.
    rt::finally(replace(session, key, &gathered, files), async move {
        requests.send::<()>(&remove).await
    })
    .await
}

/// Gathers the counts beside the old ones, and puts them in their place.
async fn replace(
    session: &Session,
    key: &str,
    gathered: &str,
    files: Vec<PathBuf>,
) -> Result<Vec<(String, u64)>, BoxError> {
    let n_words = TaskGroup::scope(async |group| {
        let counts = files.into_iter().map(|file| {
            let (requests, gathered) = (session.requests(), gathered.to_owned());
            group.spawn(async move {
                let counted = count_file(requests, &gathered, &file).await;
                counted.map_err(|error| BoxError::from(format!("{}: {error}", file.display())))
            })
        });
        Ok(counts.collect::<Vec<_>>())
    })
    .await?;
    if n_words.into_iter().map(|n| n.result()).sum::<u64>() == 0 {
        return Err("there are no words in these files".into());
    }
    let mut replace = redis::pipe();
    replace.atomic();
    replace.rename(gathered, key).ignore();
    replace.persist(key).ignore();
    replace.zrevrange_withscores(key, 0, 9);
    let (most,) = session.requests().send(&replace).await?;
    Ok(most)
}

/// Adds the words of one file to the counts, and tells how many it has.
async fn count_file(mut requests: Requests, counts: &str, file: &PathBuf) -> Result<u64, BoxError> {
    let text = rt::fs::read_to_string(file).await?.to_lowercase();
    let mut words = BTreeMap::<&str, u64>::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            *words.entry(word).or_default() += 1;
        }
    }
    let n_words = words.values().sum();
    let words: Vec<_> = words.into_iter().collect();
    for words in words.chunks(N_TOGETHER) {
        let mut together = redis::pipe();
        for (word, count) in words {
            together.zincr(counts, word, count).ignore();
        }
        together.expire(counts, LEFTOVERS).ignore();
        requests.send::<()>(&together).await?;
    }
    Ok(n_words)
}

#[rt::main(cancel_on_ctrl_c)]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args_os().skip(1);
    let address = arguments
        .next()
        .and_then(|address| address.into_string().ok());
    let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let Some(address) = address.filter(|_| !files.is_empty()) else {
        return Err("usage: redis_words ADDRESS FILE…".into());
    };
    let session = Session::open(&address).await?;
    for (word, count) in count_words(&session, "rt:words", files).await? {
        println!("{count:6} {word}");
    }
    Ok(())
}
