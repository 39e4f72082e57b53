//! The book: each chapter is in its table of contents, and its programs are among the documentation tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The chapters named in the table of contents.
fn in_summary() -> BTreeSet<String> {
    let summary = read("docs/src/SUMMARY.md");
    let links = summary.split('(').skip(1);
    links
        .map(|rest| rest.split(".md)").next().unwrap().to_owned())
        .collect()
}

/// The chapters whose programs a file turns into documentation tests.
fn tested_in(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let (_, list) = text.split_once("\nchapters! {\n").unwrap();
    let names = list.trim_end_matches(['}', '\n']).split_whitespace();
    names.map(str::to_owned).collect()
}

#[test]
fn every_chapter_is_in_the_table_of_contents_and_among_the_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "SUMMARY")
        .collect();
    assert_eq!(in_summary(), files, "docs/src/SUMMARY.md names other files");

    let mut tested = tested_in("src/book.rs");
    tested.extend(tested_in("examples/ecosystem/book.rs"));
    assert_eq!(tested, files, "other files are tested");
}
