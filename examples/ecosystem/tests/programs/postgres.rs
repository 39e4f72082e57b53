//! Sessions with a PostgreSQL server: jobs, transactions, notifications, cancelled queries, and connections that end.

use std::time::Duration;

use rt::BoxError;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use crate::postgres_jobs::{Database, work_through};
use crate::tools::{LONG, eventually, run, server, written};

/// A server's configuration, with a schema of one's own.
async fn schema(name: &str) -> Option<(String, Config)> {
    let text = server("RT_TEST_POSTGRES")?;
    let schema = format!("rt_{name}_{}", std::process::id());
    let database = Database::open(&text.parse().unwrap()).await.unwrap();
    let create = format!("CREATE SCHEMA {schema}");
    database.client.batch_execute(&create).await.unwrap();
    database.close().await.unwrap();
    let text = format!("{text} options='-c search_path={schema}'");
    let config = text.parse().unwrap();
    Some((text, config))
}

/// Drops the schema that the connection works in.
async fn forget(database: Database) {
    let schema = database
        .client
        .query_one("SELECT current_schema()", &[])
        .await
        .unwrap();
    let drop = format!("DROP SCHEMA {} CASCADE", schema.get::<_, String>(0));
    database.client.batch_execute(&drop).await.unwrap();
    database.close().await.unwrap();
}

async fn count(database: &Database, of: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {of}");
    let row = database.client.query_one(&query, &[]).await.unwrap();
    row.get(0)
}

/// The code that the server gave.
fn code(error: BoxError) -> SqlState {
    let error = error.downcast::<tokio_postgres::Error>().unwrap();
    error.code().cloned().unwrap_or_else(|| panic!("{error:?}"))
}

#[rt::test(workers = 2)]
async fn jobs_are_done_once_and_those_of_a_dead_program_too() {
    let Some((text, config)) = schema("jobs").await else {
        return;
    };
    let program = env!("CARGO_BIN_EXE_postgres_jobs");
    let said = written(run(program, &[&text, "10", "1000", "3"]).await);
    let lines: Vec<&str> = said.lines().take(3).collect();
    let expected = [
        "1 primes are below 3",
        "4 primes are below 10",
        "168 primes are below 1000",
    ];
    assert_eq!(lines, expected);

    // Somebody has added a job and died.
    let database = Database::open(&config).await.unwrap();
    let insert = "INSERT INTO rt_jobs (below) VALUES (100)";
    database.client.batch_execute(insert).await.unwrap();
    let numbers: Vec<i64> = (1..=60).map(|i| i * 10).collect();
    let outcome = work_through(&config, &numbers).await.unwrap();
    assert_eq!(outcome.results.len(), 61);
    assert_eq!(outcome.shares.iter().sum::<usize>(), 61);
    let n_below_100 = outcome
        .results
        .iter()
        .filter(|result| **result == (100, 25));
    assert_eq!(n_below_100.count(), 2);
    assert_eq!(count(&database, "rt_jobs").await, 0);
    forget(database).await;
}

#[rt::test(workers = 2)]
async fn a_job_that_fails_ends_the_program_and_stays() {
    let Some((_, config)) = schema("failing").await else {
        return;
    };
    work_through(&config, &[]).await.unwrap();
    let database = Database::open(&config).await.unwrap();
    let refuse = "ALTER TABLE rt_jobs ADD CHECK (n_primes <> 4)";
    database.client.batch_execute(refuse).await.unwrap();
    let error = work_through(&config, &[10]).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("rt_jobs_n_primes_check"),
        "{error:?}"
    );
    assert_eq!(count(&database, "rt_jobs WHERE n_primes IS NULL").await, 1);
    forget(database).await;
}

#[rt::test(workers = 2)]
async fn a_transaction_counts_only_when_it_is_committed() {
    let Some((_, config)) = schema("transaction").await else {
        return;
    };
    let mut database = Database::open(&config).await.unwrap();
    let watching = Database::open(&config).await.unwrap();
    database
        .client
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    let transaction = database.client.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap();
    assert_eq!(count(&watching, "t").await, 0);
    transaction.commit().await.unwrap();
    assert_eq!(count(&watching, "t").await, 1);

    let transaction = database.client.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO t VALUES (2)", &[])
        .await
        .unwrap();
    drop(transaction);
    assert_eq!(count(&database, "t").await, 1);

    // A task that is cancelled within a transaction leaves nothing of it, and the connection is as good as new.
    let canceller = database.canceller.clone();
    let given_up = rt::timeout(Duration::from_millis(100), async {
        let transaction = database.client.transaction().await?;
        transaction.execute("INSERT INTO t VALUES (3)", &[]).await?;
        canceller
            .within(LONG, transaction.execute("SELECT pg_sleep(600)", &[]))
            .await?;
        rt::ok(transaction.commit().await?)
    });
    assert!(given_up.await.is_err());
    assert_eq!(count(&database, "t").await, 1);
    watching.close().await.unwrap();
    forget(database).await;
}

#[rt::test(workers = 2)]
async fn notifications_come_in_order_with_the_commit() {
    let Some((_, config)) = schema("notifications").await else {
        return;
    };
    let mut listener = Database::open(&config).await.unwrap();
    let mut speaker = Database::open(&config).await.unwrap();
    listener
        .client
        .batch_execute("LISTEN rt_test_news")
        .await
        .unwrap();
    let transaction = speaker.client.transaction().await.unwrap();
    for i in 0..20 {
        let payload = i.to_string();
        let say = "SELECT pg_notify('rt_test_news', $1)";
        transaction.execute(say, &[&payload]).await.unwrap();
    }
    // It has been to the server and back, and nothing was said yet.
    assert_eq!(count(&listener, "pg_class WHERE false").await, 0);
    assert!(listener.notifications.is_empty());
    transaction.commit().await.unwrap();
    for i in 0..20 {
        let heard = rt::timeout(LONG, listener.notifications.recv()).await;
        let heard = heard.expect("silence").unwrap();
        assert_eq!(
            (heard.channel(), heard.payload()),
            ("rt_test_news", &*i.to_string())
        );
    }
    speaker.close().await.unwrap();
    forget(listener).await;
}

#[rt::test(workers = 2)]
async fn a_query_that_is_given_up_ends_on_the_server_and_takes_no_other_with_it() {
    let Some((_, config)) = schema("given_up").await else {
        return;
    };
    let database = Database::open(&config).await.unwrap();
    let watching = Database::open(&config).await.unwrap();
    let canceller = &database.canceller;
    for _ in 0..20 {
        let sleep = database.client.batch_execute("SELECT pg_sleep(600)");
        let error = canceller
            .within(Duration::from_millis(20), sleep)
            .await
            .unwrap_err();
        assert!(error.is::<rt::Elapsed>(), "{error}");
        // Were it asleep still, this would wait for it; were it cancelled late, this would fail.
        let row = database.client.query_one("SELECT 1", &[]);
        let row = rt::timeout(LONG, row).await.expect("it sleeps on").unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
    }
    // One that is through before the limit is not cancelled.
    let answer = canceller
        .within(LONG, database.client.query_one("SELECT 2", &[]))
        .await;
    assert_eq!(answer.unwrap().get::<_, i32>(0), 2);

    // A task that is cancelled has the query cancelled too, and is over only then.
    let task = rt::spawn(async move {
        let sleep = database.client.batch_execute("SELECT pg_sleep(601)");
        database.canceller.within(LONG, sleep).await
    });
    let sleeping = "pg_stat_activity WHERE query = 'SELECT pg_sleep(601)' AND state = 'active'";
    eventually("it sleeps", async || count(&watching, sleeping).await == 1).await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    eventually("it is over", async || count(&watching, sleeping).await == 0).await;
    forget(watching).await;
}

#[rt::test(workers = 2)]
async fn many_queries_are_on_one_connection_at_once() {
    let Some((_, config)) = schema("many").await else {
        return;
    };
    let database = Database::open(&config).await.unwrap();
    let client = &database.client;
    let queries = (0..200_i32).map(|i| async move {
        let query = "SELECT $1::int * 2, repeat('x', $1::int * 100)";
        let row = client.query_one(query, &[&i]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), i * 2);
        assert_eq!(row.get::<_, &str>(1), "x".repeat(i as usize * 100));
    });
    side_by_side(queries).await;
    // Large ones go through both buffers many times over.
    let large = "0123456789abcdef".repeat(1 << 19);
    let row = client
        .query_one("SELECT $1::text || '!'", &[&large])
        .await
        .unwrap();
    assert!(row.get::<_, &str>(0) == large + "!");
    forget(database).await;
}

/// Polls all of them in this task, since they borrow.
async fn side_by_side(futures: impl Iterator<Item = impl Future<Output = ()> + Send>) {
    rt::local_group(async |group| {
        for future in futures {
            group.spawn_ok(future);
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[rt::test(workers = 2)]
async fn what_the_server_refuses_is_an_error_with_its_code() {
    let Some((_, config)) = schema("errors").await else {
        return;
    };
    let database = Database::open(&config).await.unwrap();
    let refused = database.client.batch_execute("SELECT * FROM nowhere").await;
    assert_eq!(code(refused.unwrap_err().into()), SqlState::UNDEFINED_TABLE);
    let refused = database.client.query_one("SELECT 1 / 0", &[]).await;
    assert_eq!(
        code(refused.unwrap_err().into()),
        SqlState::DIVISION_BY_ZERO
    );
    let mut nowhere = config.clone();
    nowhere.dbname("rt_no_such_database");
    let refused = Database::open(&nowhere).await.unwrap_err();
    assert_eq!(code(refused), SqlState::UNDEFINED_DATABASE);
    forget(database).await;
}

#[rt::test(workers = 2)]
async fn queries_fail_when_the_server_ends_the_session() {
    let Some((_, config)) = schema("ended").await else {
        return;
    };
    let ended = Database::open(&config).await.unwrap();
    let ending = Database::open(&config).await.unwrap();
    let row = ended
        .client
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap();
    let id: i32 = row.get(0);
    let sleeping = async {
        let sleep = ended.client.batch_execute("SELECT pg_sleep(602)");
        rt::timeout(LONG, sleep).await.expect("it sleeps on")
    };
    let end = async {
        let asleep = "pg_stat_activity WHERE query = 'SELECT pg_sleep(602)' AND state = 'active'";
        eventually("it sleeps", async || count(&ending, asleep).await == 1).await;
        ending
            .client
            .execute("SELECT pg_terminate_backend($1)", &[&id])
            .await
    };
    let (slept, asked) = rt::join!(sleeping, end);
    asked.unwrap();
    assert_eq!(code(slept.unwrap_err().into()), SqlState::ADMIN_SHUTDOWN);
    eventually("the client knows", async || ended.client.is_closed()).await;
    assert!(
        ended
            .client
            .batch_execute("SELECT 1")
            .await
            .unwrap_err()
            .is_closed()
    );
    forget(ending).await;
}

#[rt::test(workers = 2)]
async fn a_server_is_reached_by_its_unix_socket() {
    let Some((text, config)) = schema("unix").await else {
        return;
    };
    let database = Database::open(&config).await.unwrap();
    let row = database
        .client
        .query_one("SHOW unix_socket_directories", &[])
        .await
        .unwrap();
    let folders: String = row.get(0);
    let folder = folders.split(',').next().unwrap();
    let words = text.split(' ').filter(|word| !word.starts_with("host="));
    let text = words.collect::<Vec<_>>().join(" ");
    let local = format!("host={folder} {text}").parse().unwrap();
    let by_socket = Database::open(&local).await.unwrap();
    let row = by_socket
        .client
        .query_one("SELECT inet_client_addr() IS NULL", &[])
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    let sleep = by_socket.client.batch_execute("SELECT pg_sleep(600)");
    let limit = Duration::from_millis(20);
    assert!(
        by_socket
            .canceller
            .within(limit, sleep)
            .await
            .unwrap_err()
            .is::<rt::Elapsed>()
    );
    by_socket.close().await.unwrap();
    forget(database).await;
}
