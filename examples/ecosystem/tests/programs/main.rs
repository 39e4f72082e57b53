//! The programs of this package, as users run them and part by part, with servers and clients that are not ours.
//!
//! Redis and PostgreSQL are not started here. The variables `RT_TEST_REDIS` (an address) and `RT_TEST_POSTGRES` (a
//! configuration such as `host=127.0.0.1 user=postgres`) name servers that may be used; without them, and without
//! `openssl` and `curl`, the tests that need them say so and do nothing. The script `.ci/run` has all of them.

#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../../postgres_jobs.rs"]
mod postgres_jobs;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../../redis_words.rs"]
mod redis_words;
#[allow(dead_code)] // Its `main` is for those who run it.
#[path = "../../tls_tunnel.rs"]
mod tls_tunnel;

mod postgres;
mod redis_server;
mod tls;
mod tls_tools;
mod tools;
