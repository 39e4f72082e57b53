//! What the compiler says to somebody who uses `#[rt::main]`, `#[rt::test]`, `select!`, `join!` or a `TaskGroup`
//! wrongly.
//!
//! Each file in `tests/ui` has one kind of mistake; the `.stderr` beside it is the whole message, so that a
//! mistake is reported once, at its own place, and nothing else is. After an intended change, run with
//! `TRYBUILD=overwrite` and read the difference.

#[test]
fn mistakes_are_reported_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// G10, C12: no group without its scope, no scope twice, no child that borrows or is not `Send`, and nobody forges
/// a `Cancelled`.
#[test]
fn g10_c12_what_must_not_compile_does_not() {
    trybuild::TestCases::new().compile_fail("tests/ui/groups/*.rs");
}

/// S1-34, E5: the compiler says that an `.await` is missing.
#[test]
fn s1_34_a_missing_await_is_reported() {
    trybuild::TestCases::new().compile_fail("tests/ui/tutorials/missing_await.rs");
}
