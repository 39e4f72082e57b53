//! Workloads that compare `rt` with Tokio and smol, and the report made of them.
//!
//! `cargo run --profile bench -p rt-tasks-benches -- report` runs them all in turns.

pub mod budget;
pub mod chart;
pub mod counts;
pub mod measure;
pub mod memory;
pub mod peer;
pub mod present;
pub mod statistics;
pub mod workload;
pub mod workloads;
