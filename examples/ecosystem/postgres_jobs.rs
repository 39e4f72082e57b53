//! A queue of jobs in PostgreSQL: some are added, four workers do them, and the results are printed.
//!
//! ```text
//! cargo run -p rt-tasks-ecosystem --bin postgres_jobs -- 'host=127.0.0.1 user=postgres' 10 1000 100000
//! ```
//!
//! A job is to count the primes below a number. Each worker has a connection of its own. It takes a job in a transaction
//! that ends when the job is done, so that the job of a worker that dies is there again; and it sleeps until it is
//! notified when there are none. One program works at a time; the jobs of one that was killed are done by the next.
//!
//! The crate `tokio-postgres` speaks the protocol over our streams, which have Tokio's traits by the feature `tokio-io`. No
//! runtime of Tokio's is there: the task that drives the connection is ours, and so are all timeouts.

use std::env;
use std::future::poll_fn;
use std::time::Duration;

use rt::net::{TcpStream, UnixStream};
use rt::sync::mpsc::{self, Receiver};
use rt::{BoxError, OwnedTask, TaskGroup};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_postgres::config::Host;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Error, NoTls, Notification};

/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);

const N_WORKERS: usize = 4;

/// What is said to the workers when no more jobs will be added.
const NO_MORE: &str = "no more";

/// A connection to a database, with the task that drives it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) client: Client,
    pub(crate) notifications: Receiver<Notification>,
    pub(crate) canceller: Canceller,
    driver: OwnedTask<Result<(), Error>>,
}

impl Database {
    pub(crate) async fn open(config: &Config) -> Result<Self, BoxError> {
        rt::timeout(PATIENCE, Self::open_slowly(config)).await?
    }

    async fn open_slowly(config: &Config) -> Result<Self, BoxError> {
        let (client, mut connection) = config.connect_raw(connect(config).await?, NoTls).await?;
        let (sender, notifications) = mpsc::unbounded();
        // Awaited by itself, the connection would throw the notifications away.
        let driver = rt::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message? {
                    // Nobody may be there to hear it.
                    let _ = sender.try_send(notification);
                }
            }
            Ok(())
        });
        let canceller = Canceller {
            config: config.clone(),
            token: client.cancel_token(),
        };
        Ok(Self {
            client,
            notifications,
            canceller,
            driver: driver.cancel_on_drop(),
        })
    }

    /// Says goodbye. One that is dropped instead just hangs up.
    pub(crate) async fn close(self) -> Result<(), BoxError> {
        drop(self.client);
        Ok(rt::timeout(PATIENCE, self.driver).await???)
    }
}

/// Has the server give up what it is doing for one client.
#[derive(Clone)]
pub(crate) struct Canceller {
    config: Config,
    token: CancelToken,
}

impl Canceller {
    /// Waits for an answer until the limit. Who does not wait any more, also because the task is cancelled, has the server
    /// told first, so that it is idle when this is over.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BoxError> {
        let answered = rt::timeout(limit, async {
            let stop = rt::guard(self.clone(), Canceller::cancel);
            let answer = answer.await;
            // There is nothing to stop any more.
            let _ = stop.into_inner();
            answer
        });
        Ok(answered.await??)
    }

    async fn cancel(self) -> Result<(), BoxError> {
        let mut stream = connect(&self.config).await?;
        self.token.cancel_query_raw(&mut stream, NoTls).await?;
        // The server hangs up after it has passed the request on. Who does not wait for that may have the next query
        // cancelled.
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// Either kind of stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the first host that is named.
async fn connect(config: &Config) -> Result<Box<dyn Stream>, BoxError> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => {
            let stream = TcpStream::connect((&**host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Some(Host::Unix(folder)) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            Ok(Box::new(UnixStream::connect(path).await?))
        }
        None => Err("no host is named".into()),
    }
}

/// What a run of the queue has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The numbers that were given, and how many primes are below them, in order.
    pub(crate) results: Vec<(i64, i64)>,
    /// How many jobs each worker has done.
    pub(crate) shares: Vec<usize>,
}

/// Adds a job for each number, has the workers do all of them, and takes the results out of the table.
pub(crate) async fn work_through(config: &Config, numbers: &[i64]) -> Result<Outcome, BoxError> {
    let mut office = Database::open(config).await?;
    let table = "CREATE TABLE IF NOT EXISTS rt_jobs (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        below bigint NOT NULL,
        n_primes bigint
    )";
    let Database {
        client, canceller, ..
    } = &mut office;
    // It is unlocked when the connection ends, however that comes.
    let lock = "SELECT pg_advisory_lock(hashtext('rt_jobs'))";
    canceller
        .within(PATIENCE, client.batch_execute(lock))
        .await?;
    canceller
        .within(PATIENCE, client.batch_execute(table))
        .await?;
    let shares = TaskGroup::scope(async |group| {
        let mut workers = Vec::new();
        for _ in 0..N_WORKERS {
            let database = Database::open(config).await?;
            // Before there are jobs, so that none misses what is said.
            database.client.batch_execute("LISTEN rt_jobs").await?;
            workers.push(group.spawn(work(database)));
        }
        canceller.within(PATIENCE, add(client, numbers)).await?;
        Ok(workers)
    })
    .await?;
    let collect = "DELETE FROM rt_jobs WHERE n_primes IS NOT NULL RETURNING below, n_primes";
    let rows = canceller
        .within(PATIENCE, client.query(collect, &[]))
        .await?;
    let mut results: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    results.sort_unstable();
    office.close().await?;
    let shares = shares.into_iter().map(|worker| worker.result()).collect();
    Ok(Outcome { results, shares })
}

/// Adds the jobs, all or none, and tells the workers.
async fn add(client: &mut Client, numbers: &[i64]) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    for number in numbers {
        let insert = "INSERT INTO rt_jobs (below) VALUES ($1)";
        transaction.execute(insert, &[number]).await?;
    }
    // It is heard when the transaction is committed, and never if it is not.
    transaction
        .execute("SELECT pg_notify('rt_jobs', $1)", &[&NO_MORE])
        .await?;
    transaction.commit().await
}

/// Does jobs until there are none and no more will be added. Tells how many it has done.
async fn work(mut database: Database) -> Result<usize, BoxError> {
    let mut n_done = 0;
    let mut is_over = false;
    loop {
        while do_job(&mut database).await? {
            n_done += 1;
        }
        if is_over {
            database.close().await?;
            return Ok(n_done);
        }
        // What was said meanwhile is heard now, and then the table looked at once more.
        let heard = database.notifications.recv().await;
        is_over = heard.ok_or("the server hung up")?.payload() == NO_MORE;
    }
}

/// Takes one job and does it; tells whether there was one that nobody else has taken.
async fn do_job(database: &mut Database) -> Result<bool, BoxError> {
    let canceller = &database.canceller;
    let transaction = database.client.transaction().await?;
    let take = "SELECT id, below FROM rt_jobs WHERE n_primes IS NULL
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let job = canceller
        .within(PATIENCE, transaction.query_opt(take, &[]))
        .await?;
    let Some(job) = job else {
        return Ok(false);
    };
    let (id, below): (i64, i64) = (job.get(0), job.get(1));
    // Meanwhile the row is locked, and the threads of the runtime are free.
    let n_primes = rt::spawn_compute(move || n_primes_below(below)).await?;
    let store = "UPDATE rt_jobs SET n_primes = $1 WHERE id = $2";
    let storing = async { transaction.execute(store, &[&n_primes, &id]).await };
    canceller.within(PATIENCE, storing).await?;
    transaction.commit().await?;
    Ok(true)
}

fn n_primes_below(limit: i64) -> i64 {
    let is_prime = |n: &i64| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0);
    let count = (2..limit).filter(is_prime).count();
    i64::try_from(count).expect("there are fewer of them than numbers")
}

#[rt::main(cancel_on_ctrl_c)]
async fn main() -> Result<(), BoxError> {
    let mut arguments = env::args().skip(1);
    let Some(config) = arguments.next() else {
        return Err("usage: postgres_jobs CONFIGURATION NUMBER…".into());
    };
    let numbers = arguments.map(|number| number.parse());
    let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
    let outcome = work_through(&config.parse()?, &numbers).await?;
    for (number, n_primes) in outcome.results {
        println!("{n_primes} primes are below {number}");
    }
    println!("the workers have done {:?} jobs", outcome.shares);
    Ok(())
}
