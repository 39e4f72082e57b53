//! Programs of asyncio tutorials; `docs/tutorials.md` lists them.

#[path = "../support/mod.rs"]
mod support;

mod examples;
mod io;
mod s0;
mod s1;
mod s1_shared;
mod s2;
mod s3;
mod s4;
