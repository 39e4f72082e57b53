//! Workloads that compare `rt` with Tokio and smol, and the report made of them.
//!
//! `cargo run --profile bench -p rt-tasks-benches -- report` runs them all in turns.

pub mod beside;
pub mod budget;
pub mod chart;
mod child;
pub mod compare;
pub mod counts;
pub mod goals;
pub mod hello;
pub mod http;
pub mod idle;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod present;
pub mod present_servers;
pub mod quiet;
pub mod statistics;
pub mod workload;
pub mod workloads;
