//! Keeps `docs/edges.md` true: each test that it names is there.

#[path = "tidy/source.rs"]
#[allow(dead_code)] // Shared with `tidy`, which uses the rest.
mod source;

use std::collections::BTreeSet;

use source::Workspace;

const DOCUMENT: &str = "docs/edges.md";

/// The cells of a line of a table, but for its two head lines.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells = line.strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = cells.split(" | ").map(str::trim).collect();
    let is_head = cells[0] == "edge" || cells[0].starts_with('-');
    (!is_head).then_some(cells)
}

/// What stands between backticks, if a cell has nothing else.
fn quoted(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// What is wrong with the page: a test that is not there, an edge without a test or a reason, one that is told twice.
fn faults(workspace: &Workspace) -> Vec<String> {
    let page = &workspace
        .file(DOCUMENT)
        .expect("the document is there")
        .text;
    let mut faults = Vec::new();
    let mut told = BTreeSet::new();
    for line in page.lines() {
        let Some(cells) = row(line) else { continue };
        let fault = match cells[..] {
            [edge, why] if !edge.is_empty() && !why.is_empty() => None,
            [_, _, file, test] => match (quoted(file), quoted(test)) {
                (Some(file), Some(test)) => missing(workspace, file, test),
                _ => Some("its file and its test stand in backticks".to_owned()),
            },
            _ => Some("it has neither a test nor a reason".to_owned()),
        };
        faults.extend(fault.map(|fault| format!("{}: {fault}", cells[0])));
        if !told.insert((cells[0], cells[cells.len() - 1])) {
            faults.push(format!("{}: it is told twice", cells[0]));
        }
    }
    if told.is_empty() {
        faults.push("there is no row".to_owned());
    }
    faults
}

/// Says so if there is no such test.
fn missing(workspace: &Workspace, file: &str, test: &str) -> Option<String> {
    let Some(source) = workspace.file(file) else {
        return Some(format!("there is no {file}"));
    };
    let is_there = source.tests().contains(&test);
    (!is_there).then(|| format!("{file} has no test {test}"))
}

#[test]
fn each_edge_has_a_test_or_a_reason() {
    let faults = faults(&Workspace::read());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_fault_is_found() {
    let faults_of = |rows: &str| {
        let page = format!("# Edges\n\n| edge | why |\n|---|---|\n{rows}\n");
        let test = ("io/tests/a.rs", "#[test]\nfn one() {}\nfn two() {}\n");
        faults(&Workspace::of(&[(DOCUMENT, &page), test])).len()
    };
    let good = "| end | it is seen | `io/tests/a.rs` | `one` |";
    assert_eq!(faults_of(good), 0);
    assert_eq!(faults_of(&format!("{good}\n| callbacks | none |")), 0);
    assert_eq!(faults_of(&format!("{good}\n{good}")), 1);
    for bad in [
        "",
        "| end | it is seen | `io/tests/b.rs` | `one` |",
        "| end | it is seen | `io/tests/a.rs` | `two` |",
        "| end | it is seen | io/tests/a.rs | `one` |",
        "| end | it is seen | `io/tests/a.rs` |",
        "| end |  |",
    ] {
        assert_eq!(faults_of(bad), 1, "{bad}");
    }
}
