//! Compares `docs/tutorials.md` with the tests: every row of a tutorial is in one of its lists, every test that it
//! names exists, and every test that is named by a row stands in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Tests named by a row, as `file: name`.
type Tests = BTreeSet<(String, String)>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of the table below a heading, one line each, without its two head lines.
fn table<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = page.split_once(heading).expect("the heading is there");
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let lines = lines.take_while(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().trim_matches('`')).collect()
        })
        .collect()
}

/// The rows that a table names in its first column.
fn rows<'a>(page: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let rows = table(page, heading).into_iter();
    rows.map(|cells| cells[0]).collect()
}

/// The row that the name of a test begins with: `S0-01` for `s0_01_…`.
fn row_of(name: &str) -> Option<String> {
    let (row, rest) = (name.get(..5)?, name.get(5..)?);
    let text = row.strip_prefix('s')?;
    let (text, number) = text.split_once('_')?;
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    (rest.starts_with('_') && is_number(text) && is_number(number))
        .then(|| format!("S{text}-{number}"))
}

/// The sources in `tests/` and in its folders.
fn sources() -> Vec<PathBuf> {
    let entries = |folder: PathBuf| {
        let entries = fs::read_dir(folder).expect("there are tests");
        entries.map(|entry| entry.expect("the folder can be read").path())
    };
    let (folders, files): (Vec<_>, Vec<_>) =
        entries(root().join("tests")).partition(|path| path.is_dir());
    let inside = folders.into_iter().flat_map(entries);
    let all = files.into_iter().chain(inside);
    all.filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// All tests that are named by a row.
fn tests_in_sources() -> Tests {
    let mut found = Tests::new();
    for path in sources() {
        let file = path
            .strip_prefix(root().join("tests"))
            .expect("it is in there");
        let file = file
            .to_str()
            .expect("a source has a plain name")
            .replace('\\', "/");
        let text = fs::read_to_string(&path).expect("a test is text");
        for line in text.lines() {
            let line = line.strip_prefix("async ").unwrap_or(line);
            let name = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|name| row_of(name).is_some()) {
                found.insert((file.clone(), name.to_owned()));
            }
        }
    }
    found
}

/// What is wrong with a page, given the tests there are.
fn faults(page: &str, tests: &Tests) -> Vec<String> {
    let mut faults = Vec::new();
    let mut listed = Tests::new();
    for cells in table(page, "## Rows with a test") {
        let (row, file, pattern) = (cells[0], cells[1], cells[2]);
        if row_of(pattern).as_deref() != Some(row) {
            faults.push(format!("{row}: its test is called {pattern}"));
        }
        let matching: Tests = match pattern.strip_suffix('*') {
            Some(start) => tests
                .iter()
                .filter(|(other, name)| other == file && name.starts_with(start))
                .cloned()
                .collect(),
            None => tests
                .get(&(file.to_owned(), pattern.to_owned()))
                .cloned()
                .into_iter()
                .collect(),
        };
        if matching.is_empty() {
            faults.push(format!("{row}: {file} has no test {pattern}"));
        }
        listed.extend(matching);
    }
    for (file, name) in tests.difference(&listed) {
        faults.push(format!("{file}: {name} is not on the page"));
    }

    let tested = rows(page, "## Rows with a test");
    let without = rows(page, "## Rows without a program");
    for row in without.iter().filter(|row| tested.contains(**row)) {
        faults.push(format!("{row}: it has no program, and has one"));
    }
    let mut known = BTreeSet::new();
    for cells in table(page, "# Programs of tutorials") {
        let n_rows: u32 = cells[1].parse().expect("a number of rows");
        known.extend((1..=n_rows).map(|number| format!("{}-{number:02}", cells[0])));
    }
    let mut left = known.clone();
    for row in tested.iter().chain(&without) {
        left.remove(*row);
        if !known.contains(*row) {
            faults.push(format!("{row}: there is no such row"));
        }
    }
    faults.extend(
        left.into_iter()
            .map(|row| format!("{row}: it is in none of the lists")),
    );
    faults
}

#[test]
fn the_page_and_the_tests_agree() {
    let page = fs::read_to_string(root().join("docs/tutorials.md")).expect("the page is there");
    let tests = tests_in_sources();
    assert!(tests.len() > 80, "the tests were not found");
    let faults = faults(&page, &tests);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_fault_is_found() {
    let page = |rows: &str, without: &str| {
        format!(
            "# Programs of tutorials\n\n|t|r|w|\n|-|-|-|\n| S0 | 2 | x |\n\n\
             ## Rows with a test\n\n|r|f|t|w|\n|-|-|-|-|\n{rows}\n\n\
             ## Rows without a program\n\n|r|w|\n|-|-|\n{without}\n"
        )
    };
    let tests = Tests::from([("a.rs".to_owned(), "s0_01_first".to_owned())]);
    let good = "| S0-01 | `a.rs` | `s0_01_first` | x |";
    let by_start = "| S0-01 | `a.rs` | `s0_01_*` | x |";
    let none = "| S0-02 | x |";
    for rows in [good, by_start] {
        assert_eq!(faults(&page(rows, none), &tests), [""; 0]);
    }
    for (rows, without, n_faults) in [
        ("", none, 2),
        (good, "", 1),
        (good, "| S0-01 | x |\n| S0-02 | x |", 1),
        (good, "| S0-02 | x |\n| S0-03 | x |", 1),
        ("| S0-01 | `b.rs` | `s0_01_first` | x |", none, 2),
        ("| S0-01 | `a.rs` | `s0_01_second` | x |", none, 2),
        ("| S0-02 | `a.rs` | `s0_01_first` | x |", "| S0-01 | x |", 1),
    ] {
        let found = faults(&page(rows, without), &tests);
        assert_eq!(found.len(), n_faults, "{rows:?}, {without:?}: {found:?}");
    }
}
