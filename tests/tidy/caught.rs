//! Shows for each rule that it catches a violation, and that it leaves the allowed thing alone.

use crate::rules::*;
use crate::source::Workspace;

/// The places at which a rule finds fault with made-up files.
fn places(rule: fn(&Workspace) -> Vec<String>, files: &[(&str, &str)]) -> Vec<String> {
    let found = rule(&Workspace::of(files)).into_iter();
    found
        .map(|text| text.split(": ").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_sideways_arrow_is_caught() {
    let files = [
        (
            "sync/src/a.rs",
            "use rt_tasks_runtime::shim;\nuse rt_tasks_io::net;\n",
        ),
        (
            "runtime/src/b.rs",
            "// rt_tasks_sync\nlet a = rt_tasks_sync::Queue::new();\n",
        ),
        ("src/lib.rs", "pub use rt_tasks_io::net;\n"),
        (
            "io/Cargo.toml",
            "[dependencies]\nrt-tasks-runtime.workspace = true\n",
        ),
        (
            "macros/Cargo.toml",
            "[dependencies]\nsyn = \"2\"\nrt-tasks-runtime = { path = \"\" }\n",
        ),
        (
            "runtime/Cargo.toml",
            "[dev-dependencies]\nrt-tasks.workspace = true\n",
        ),
    ];
    let expected = [
        "sync/src/a.rs:2",
        "runtime/src/b.rs:2",
        "macros/Cargo.toml:3",
    ];
    assert_eq!(places(crate_arrows, &files), expected);
}

#[test]
fn a_primitive_that_names_the_scheduler_is_caught() {
    let files = [
        (
            "sync/src/event.rs",
            "use rt_tasks_runtime::{\n    coop,\n    shim::{Mutex, lock},\n};\n",
        ),
        (
            "sync/src/queue.rs",
            "use std::fmt;\nuse rt_tasks_runtime::{coop, spawn};\n",
        ),
        (
            "sync/src/mutex.rs",
            "let a = rt_tasks_runtime::Handle::current();\n",
        ),
        ("sync/src/group.rs", "use rt_tasks_runtime::spawn;\n"),
    ];
    let expected = ["sync/src/queue.rs:2", "sync/src/mutex.rs:1"];
    assert_eq!(places(primitives_are_portable, &files), expected);
}

#[test]
fn a_file_without_a_head_is_caught() {
    let files = [
        ("io/src/a.rs", "//! Sockets.\n"),
        ("io/src/b.rs", "use std::fmt;\n"),
    ];
    assert_eq!(places(file_heads, &files), ["io/src/b.rs:1"]);
}

#[test]
fn a_misplaced_loom_switch_is_caught() {
    let files = [
        ("runtime/src/shim.rs", "#[cfg(loom)]\npub use loom::hint;\n"),
        ("sync/src/a.rs", "#[cfg(all(test, loom))]\nmod models;\n"),
        (
            "sync/src/b.rs",
            "#[cfg(loom)]\npub(crate) const CAPACITY: usize = 2;\n",
        ),
        (
            "sync/src/c.rs",
            "fn f() {\n    #[cfg(not(loom))]\n    spin();\n}\n",
        ),
        (
            "sync/src/d.rs",
            "fn f() {\n    if cfg!(loom) { return }\n    let a = 1;\n}\n",
        ),
    ];
    assert_eq!(
        places(loom_places, &files),
        ["sync/src/c.rs:2", "sync/src/d.rs:2"]
    );
}

#[test]
fn a_tag_with_one_end_is_caught() {
    let files = [
        (
            "sync/src/a.rs",
            "// ORDERING(seal): Release. ORDERING(two): AcqRel.\n// ORDERING(both, lone): Acquire.\n",
        ),
        (
            "sync/src/b.rs",
            "// ORDERING(seal): Acquire.\n// ORDERING(both): Release. ORDERING(two): AcqRel.\n",
        ),
        ("runtime/src/b.rs", "// ORDERING(lone): Acquire.\n"),
    ];
    assert_eq!(
        places(ordering_tags, &files),
        ["runtime/src/b.rs:1", "sync/src/a.rs:2"]
    );
}

#[test]
fn an_ordering_without_an_argument_is_caught() {
    let argued =
        "// ORDERING(seal): Release; with a long reason\n// on two lines.\na.store(1, Release);\n";
    let chained = "// ORDERING(seal): Acquire.\nself.a\n    .b\n    .load(Ordering::Acquire)\n";
    let bare = "use std::Ordering::{\n    Acquire,\n};\n\nfn f() {\n    a.load(Acquire);\n}\n";
    let type_name = "fn f() -> Acquire<'_> {\n    Acquire { a: 1 }\n}\n";
    let far = "// ORDERING(seal): Release.\nb();\n\nfence(SeqCst);\n";
    let in_tests = "#[cfg(test)]\nmod tests {\n    fn f() { a.load(SeqCst); }\n}\n";
    let files = [
        ("sync/src/argued.rs", argued),
        ("sync/src/chained.rs", chained),
        ("sync/src/bare.rs", bare),
        ("sync/src/type_name.rs", type_name),
        ("sync/src/far.rs", far),
        ("sync/src/in_tests.rs", in_tests),
        ("sync/src/models.rs", "a.load(SeqCst);\n"),
    ];
    assert_eq!(
        places(ordering_comments, &files),
        ["sync/src/bare.rs:6", "sync/src/far.rs:4"]
    );
}

#[test]
fn a_wrong_unsafe_list_is_caught() {
    let list =
        "## Files with `unsafe`\n\n- `sync/src/a.rs`: cells\n- `sync/src/c.rs`\n\n## Next\n- `x`\n";
    let files = [
        ("docs/architecture.md", list),
        ("sync/src/a.rs", "unsafe { f() }\n"),
        ("sync/src/b.rs", "unsafe fn f() {}\n"),
        (
            "sync/src/c.rs",
            "// unsafe\nlet a = \"unsafe\"; unsafe_op();\n",
        ),
    ];
    let expected = ["sync/src/b.rs", "docs/architecture.md"];
    assert_eq!(places(unsafe_list, &files), expected);
    assert_eq!(unsafe_list(&Workspace::of(&[])).len(), 1);
}

#[test]
fn leftovers_are_caught() {
    let note = concat!("// TO", "DO later\n");
    let files = [
        ("io/src/a.rs", note),
        ("io/src/b.rs", "fn f() { todo!() }\n"),
        (
            "tests/c.rs",
            "#[test]\n#[ignore]\nfn f() { let a = \"todo!\"; }\n",
        ),
    ];
    assert_eq!(
        places(leftovers, &files),
        ["io/src/a.rs:1", "io/src/b.rs:1", "tests/c.rs:2"]
    );
}

#[test]
fn long_files_and_functions_are_caught() {
    let long_file = "\n".repeat(700);
    let long_function = format!("pub(crate) async fn f() {{{}}}\n", "\n".repeat(80));
    let short_ones = format!("fn f();\nfn g() {{}}\n{}", "\n".repeat(90));
    let files = [
        ("io/src/a.rs", &*long_file),
        ("io/src/b.rs", &*long_function),
        ("io/src/c.rs", &*short_ones),
    ];
    assert_eq!(
        places(lengths, &files),
        ["io/src/a.rs:700", "io/src/b.rs:1"]
    );
}

#[test]
fn the_name_of_a_machine_is_caught() {
    let file = concat!("Run it.\nIt lies in /ho", "me/somebody/rt.\n");
    assert_eq!(
        places(machine_names, &[("README.md", file)]),
        ["README.md:2"]
    );
}

#[test]
fn a_deep_folder_is_caught() {
    let files = [("io/src/a/b.rs", ""), ("io/src/a/b/c.rs", "")];
    assert_eq!(places(depth, &files), ["io/src/a/b/c.rs:1"]);
}

#[test]
fn macros_that_permit_unsafe_are_caught() {
    let permits = [("macros/src/lib.rs", "//! Macros.\n")];
    let forbids = [(
        "macros/src/lib.rs",
        "//! Macros.\n#![forbid(unsafe_code)]\n",
    )];
    assert_eq!(places(macros_without_unsafe, &permits).len(), 1);
    assert!(places(macros_without_unsafe, &forbids).is_empty());
}

#[test]
fn a_readme_with_another_program_is_caught() {
    let program = (
        "examples/first.rs",
        "//! The first.\n\nuse a;\n\nfn main() {}\n",
    );
    let same = ("README.md", "# rt\n```rust\nuse a;\n\nfn main() {}\n```\n");
    let other = ("README.md", "# rt\n```rust\nfn main() {}\n```\n");
    assert!(places(readme_program, &[program, same]).is_empty());
    assert_eq!(places(readme_program, &[program, other]), ["README.md"]);
    assert_eq!(places(readme_program, &[same]), ["README.md"]);
}
