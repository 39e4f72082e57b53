//! Reads the source and fails where it breaks a rule of the house.
//!
//! What the compiler and clippy check is not checked here again. Each rule is a function from the files of
//! the workspace to a list of violations, and has a test with a small made-up workspace that shows a
//! violation being caught.

#[path = "tidy/caught.rs"]
mod caught;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use rules::*;
use source::Workspace;

/// Fails with all violations, one on a line.
fn assert_none(violations: Vec<String>) {
    assert!(
        violations.is_empty(),
        "{} violation(s):\n{}",
        violations.len(),
        violations.join("\n")
    );
}

/// One test for each rule, on the real workspace.
macro_rules! holds {
    ($($test:ident: $rule:ident;)*) => {
        $(#[test]
        fn $test() {
            assert_none($rule(&Workspace::read()));
        })*
    };
}

holds! {
    arrows_between_crates_point_one_way: crate_arrows;
    primitives_do_not_name_the_scheduler: primitives_are_portable;
    files_say_why_they_exist: file_heads;
    loom_stays_in_its_places: loom_places;
    ordering_tags_have_two_ends: ordering_tags;
    orderings_are_argued: ordering_comments;
    unsafe_files_are_listed: unsafe_list;
    nothing_is_ignored_or_left_to_do: leftovers;
    files_and_functions_are_short: lengths;
    machines_are_not_named: machine_names;
    folders_are_shallow: depth;
    macros_forbid_unsafe: macros_without_unsafe;
    the_readme_shows_a_program_that_runs: readme_program;
}

#[test]
fn the_real_workspace_was_found() {
    let workspace = Workspace::read();
    for path in [
        "runtime/src/lib.rs",
        "Cargo.toml",
        "tests/tidy.rs",
        "docs/architecture.md",
    ] {
        assert!(workspace.file(path).is_some(), "{path} was not read");
    }
}
