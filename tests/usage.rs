//! Programs that a user would write compile unchanged: they hold the public surface to its contract. They are
//! type-checked, not run; the examples are what runs.

// They stand as users wrote them, style included.
#![allow(
    dead_code,
    missing_docs,
    clippy::manual_async_fn,
    clippy::type_complexity,
    clippy::useless_vec
)]

#[rustfmt::skip]
#[path = "usage/collect_all.rs"]
mod collect_all;
#[rustfmt::skip]
#[path = "usage/forever_child.rs"]
mod forever_child;
#[rustfmt::skip]
#[path = "usage/generic_group.rs"]
mod generic_group;
#[rustfmt::skip]
#[path = "usage/handles_in_struct.rs"]
mod handles_in_struct;
#[rustfmt::skip]
#[path = "usage/locals_and_local.rs"]
mod locals_and_local;
#[rustfmt::skip]
#[path = "usage/pipeline.rs"]
mod pipeline;
#[rustfmt::skip]
#[path = "usage/recursion.rs"]
mod recursion;
#[rustfmt::skip]
#[path = "usage/retry_client.rs"]
mod retry_client;
#[rustfmt::skip]
#[path = "usage/select_shutdown.rs"]
mod select_shutdown;
#[rustfmt::skip]
#[path = "usage/sync_callback.rs"]
mod sync_callback;
#[rustfmt::skip]
#[path = "usage/timeouts_guards.rs"]
mod timeouts_guards;
#[rustfmt::skip]
#[path = "usage/trait_object.rs"]
mod trait_object;
#[rustfmt::skip]
#[path = "usage/typed_errors.rs"]
mod typed_errors;
#[rustfmt::skip]
#[path = "usage/web_server.rs"]
mod web_server;
