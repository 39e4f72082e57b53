//! Loom models of the protocols of this crate.

mod readiness;
