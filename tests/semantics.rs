//! Keeps `docs/semantics.md` true: each rule has a test that names it, and the table says which.
//!
//! A test names rules by the beginning of its name: `c2_q2_…` shows C2 and Q2.

#[path = "tidy/source.rs"]
#[allow(dead_code)] // Shared with `tidy`, which uses the rest.
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::Workspace;

const DOCUMENT: &str = "docs/semantics.md";

/// Rules that must have a test: the letter and the last number of each group.
const REQUIRED: [(char, u32); 14] = [
    ('C', 17),
    ('G', 19),
    ('T', 12),
    ('W', 8),
    ('H', 7),
    ('J', 6),
    ('K', 5),
    ('M', 5),
    ('P', 5),
    ('V', 6),
    ('E', 2),
    ('B', 5),
    ('Q', 9),
    ('N', 15),
];

/// A rule: its letter and its number.
type Rule = (char, u32);

/// The tests of each rule.
type Tests = BTreeMap<Rule, BTreeSet<String>>;

fn rule(word: &str) -> Option<Rule> {
    let letter = word.chars().next()?.to_ascii_uppercase();
    let number = word.get(1..)?;
    let is_rule = "CGTWHJKNMPVEBQX".contains(letter)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_rule.then(|| Some((letter, number.parse().ok()?)))?
}

/// All tests of the workspace that name a rule.
fn tests_of(workspace: &Workspace) -> Tests {
    let mut tests = Tests::new();
    for file in workspace.files.iter().filter(|file| file.is_rust()) {
        for name in file.tests() {
            for rule in name.split('_').map_while(rule) {
                tests.entry(rule).or_default().insert(name.to_owned());
            }
        }
    }
    tests
}

/// The cells of a line of a table, if it is the line of a rule.
fn row(line: &str) -> Option<(Rule, &str, &str)> {
    let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let &[id, text, tests, ""] = &cells[..] else {
        return None;
    };
    let rule = rule(id).filter(|_| id.starts_with(|first: char| first.is_ascii_uppercase()))?;
    Some((rule, text, tests))
}

fn cell(tests: &Tests, rule: Rule) -> String {
    let names = tests.get(&rule).into_iter().flatten();
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The document with its last column as the sources say.
fn filled_in(document: &str, tests: &Tests) -> String {
    let mut lines = document.lines().map(|line| match row(line) {
        Some((rule, text, _)) => {
            let (letter, number) = rule;
            format!("| {letter}{number} | {text} | {} |\n", cell(tests, rule))
        }
        None => format!("{line}\n"),
    });
    lines.by_ref().collect()
}

fn document(workspace: &Workspace) -> &str {
    &workspace
        .file(DOCUMENT)
        .expect("the document is there")
        .text
}

#[test]
fn every_rule_has_a_row_and_a_test() {
    let workspace = Workspace::read();
    let tests = tests_of(&workspace);
    let rows: BTreeSet<Rule> = document(&workspace)
        .lines()
        .filter_map(row)
        .map(|(rule, _, _)| rule)
        .collect();
    let required = REQUIRED
        .iter()
        .flat_map(|&(letter, last)| (1..=last).map(move |number| (letter, number)));
    let mut missing = Vec::new();
    for (letter, number) in required {
        if !rows.contains(&(letter, number)) {
            missing.push(format!("{letter}{number} has no row"));
        }
        let n_tests = tests.get(&(letter, number)).map_or(0, BTreeSet::len);
        println!("{letter}{number}: {n_tests} test(s)");
        if n_tests == 0 {
            missing.push(format!("{letter}{number} has no test"));
        }
    }
    for (letter, number) in tests.keys().filter(|rule| !rows.contains(rule)) {
        missing.push(format!("{letter}{number} is tested and has no row"));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_table_says_what_the_sources_say() {
    let workspace = Workspace::read();
    let current = document(&workspace);
    let expected = filled_in(current, &tests_of(&workspace));
    if current == expected {
        return;
    }
    if std::env::var_os("RT_WRITE_TABLE").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        std::fs::write(path, expected).unwrap();
        return;
    }
    let differing: Vec<_> = current
        .lines()
        .zip(expected.lines())
        .filter(|(is, should)| is != should)
        .map(|(_, should)| should)
        .collect();
    panic!(
        "{DOCUMENT} is out of date; RT_WRITE_TABLE=1 cargo test --test semantics writes:\n{}",
        differing.join("\n")
    );
}

/// The checks themselves: a rule without a test, a test without a row, and a stale column are seen.
#[test]
fn names_and_rows_are_read_as_they_are_meant() {
    let text = "#[test]\nfn c2_q11_both() {}\nfn c3_no_test() {}\n#[rt::test(virtual_time)]\nasync fn g1_async() {}\n";
    let workspace = Workspace::of(&[("tests/a.rs", text)]);
    let tests = tests_of(&workspace);
    let rules: Vec<_> = tests.keys().copied().collect();
    assert_eq!(rules, [('C', 2), ('G', 1), ('Q', 11)]);
    let stale = "| rule | what | tests |\n|---|---|---|\n| C2 | it holds | `gone` |\n";
    let fresh = "| rule | what | tests |\n|---|---|---|\n| C2 | it holds | `c2_q11_both` |\n";
    assert_eq!(filled_in(stale, &tests), fresh);
    assert_eq!(filled_in(fresh, &tests), fresh);
}
