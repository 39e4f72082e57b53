//! Cancellation: scopes, cleanup, guards, notices, strangers' combinators.

#[path = "../support/mod.rs"]
mod support;

mod cancellation;
mod catch_cancel;
mod cleanup;
mod foreign;
mod guards;
mod notice;
mod races;
mod scopes;
mod tree;
