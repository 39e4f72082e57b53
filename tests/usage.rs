//! Programs that a user would write compile unchanged: they hold the public surface to its contract. They are
//! type-checked, not run; the examples are what runs.

#![allow(dead_code, missing_docs)]

#[path = "usage/collect_all.rs"]
mod collect_all;
#[path = "usage/forever_child.rs"]
mod forever_child;
#[path = "usage/generic_group.rs"]
mod generic_group;
#[path = "usage/pipeline.rs"]
mod pipeline;
#[path = "usage/recursion.rs"]
mod recursion;
#[path = "usage/trait_object.rs"]
mod trait_object;
#[path = "usage/typed_errors.rs"]
mod typed_errors;

