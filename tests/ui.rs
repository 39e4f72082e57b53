//! What the compiler says to somebody who uses `#[rt::main]`, `#[rt::test]`, `select!` or `join!` wrongly.
//!
//! Each file in `tests/ui` has one kind of mistake; the `.stderr` beside it is the whole message, so that a
//! mistake is reported once, at its own place, and nothing else is. After an intended change, run with
//! `TRYBUILD=overwrite` and read the difference.

#[test]
fn mistakes_are_reported_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
