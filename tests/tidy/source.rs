//! The files of the workspace, with comments and literals told apart from code.

use std::fs;
use std::path::Path;

/// Folders and files below the root that the rules read.
const ROOTS: [&str; 15] = [
    "runtime",
    "sync",
    "io",
    "macros",
    "cli",
    "benches",
    "src",
    "tests",
    "examples",
    "docs",
    ".ci",
    "Cargo.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

/// Kinds of files that the rules read.
const ENDINGS: [&str; 6] = ["rs", "md", "toml", "stderr", "sh", "txt"];

/// One text file.
pub(crate) struct SourceFile {
    /// The path from the root, with `/` between its parts.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
    /// The same lines with comments and the insides of literals blanked out.
    pub(crate) code: String,
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = match path.ends_with(".rs") {
            true => blank(text),
            false => text.to_owned(),
        };
        SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file holds loom models.
    pub(crate) fn is_model(&self) -> bool {
        self.path.ends_with("/models.rs") || self.path.contains("/models/")
    }

    /// The crate whose library this file belongs to (`runtime`, …, or `facade`), if it does.
    pub(crate) fn library(&self) -> Option<&str> {
        if !self.is_rust() {
            return None;
        }
        match self.path.split_once('/')? {
            ("src", _) => Some("facade"),
            (name, rest) if rest.starts_with("src/") => Some(name),
            _ => None,
        }
    }

    /// Lines of code, numbered from one, up to the unit tests at the end of the file. A file that holds
    /// only tests or models has none.
    pub(crate) fn product_lines(&self) -> Vec<(usize, &str)> {
        if self.is_model() || self.path.ends_with("/tests.rs") {
            return Vec::new();
        }
        let lines: Vec<&str> = self.code.lines().collect();
        let is_test_module = |i: usize| {
            let next = lines.get(i + 1).copied().unwrap_or_default();
            is_cfg_test(lines[i]) && next.contains("mod ") && next.trim_end().ends_with('{')
        };
        let end = (0..lines.len())
            .find(|i| is_test_module(*i))
            .unwrap_or(lines.len());
        (1..).zip(lines[..end].iter().copied()).collect()
    }
}

impl SourceFile {
    /// The names of the tests in it: functions with an attribute that makes them one, and those in an `on_both!`, which
    /// runs each on two kinds of streams.
    pub(crate) fn tests(&self) -> Vec<&str> {
        let mut tests = Vec::new();
        let (mut is_test, mut is_macro) = (false, false);
        for line in self.code.lines() {
            is_test |= is_test_attribute(line);
            match line {
                "on_both! {" => is_macro = true,
                "}" => is_macro = false,
                _ => {}
            }
            if let Some(name) = function_name(line) {
                // Functions inside of a test stand further in.
                let is_in_macro = is_macro && line.find(|c| c != ' ') == Some(4);
                if std::mem::take(&mut is_test) || is_in_macro {
                    tests.push(name);
                }
            }
        }
        tests
    }
}

/// The name of the function that a line begins.
fn function_name(line: &str) -> Option<&str> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Whether an attribute makes a function a test.
fn is_test_attribute(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[test]")
        || line.starts_with("#[rt::test")
        || line.starts_with("#[crate::test")
}

fn is_cfg_test(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[cfg(test") || line.starts_with("#[cfg(all(test")
}

/// All files that the rules read.
pub(crate) struct Workspace {
    pub(crate) files: Vec<SourceFile>,
}

impl Workspace {
    /// Reads the workspace this test was built from.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for name in ROOTS {
            collect(root, &root.join(name), &mut files);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Workspace { files }
    }

    /// A made-up workspace, for the tests of the rules.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| SourceFile::new(path, text));
        Workspace {
            files: files.collect(),
        }
    }

    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn libraries(&self) -> impl Iterator<Item = (&str, &SourceFile)> {
        self.files
            .iter()
            .filter_map(|file| Some((file.library()?, file)))
    }
}

fn collect(root: &Path, path: &Path, files: &mut Vec<SourceFile>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.is_dir() {
        if name == "target" || path.join("CACHEDIR.TAG").exists() {
            return;
        }
        let entries =
            fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for entry in entries {
            collect(root, &entry.expect("a folder can be read").path(), files);
        }
        return;
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let is_script = path.ends_with(".ci/run");
    if path.is_file() && (is_script || ENDINGS.contains(&&*ending)) {
        let relative = path.strip_prefix(root).expect("it lies below the root");
        let relative = relative.to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{relative}: {error}"));
        files.push(SourceFile::new(&relative, &text));
    }
}

/// What the characters at a place of a Rust file are part of.
#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    /// Block comments nest.
    BlockComment(usize),
    Text,
    /// A raw string ends with a quote and this many `#`.
    RawText(usize),
}

/// Replaces comments and what stands inside literals by spaces; lines stay where they are.
pub(crate) fn blank(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = |i: usize| characters.get(i).copied().unwrap_or('\0');
    let hashes = |from: usize| (from..).take_while(|i| at(*i) == '#').count();
    let mut out = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut i = 0;
    while i < characters.len() {
        let (here, next) = (at(i), at(i + 1));
        let (length, shown, new_state) = match (state, here, next) {
            (State::Code, '/', '/') => (2, false, State::LineComment),
            (State::Code, '/', '*') => (2, false, State::BlockComment(1)),
            (State::Code, '"', _) => (1, true, State::Text),
            (State::Code, 'r', '"' | '#') if at(i + 1 + hashes(i + 1)) == '"' && !is_word(&out) => {
                let n = hashes(i + 1);
                (n + 2, true, State::RawText(n))
            }
            (State::Code, '\'', _) => (character_length(&characters, i), false, State::Code),
            (State::LineComment, '\n', _) => (1, true, State::Code),
            (State::BlockComment(n), '/', '*') => (2, false, State::BlockComment(n + 1)),
            (State::BlockComment(1), '*', '/') => (2, false, State::Code),
            (State::BlockComment(n), '*', '/') => (2, false, State::BlockComment(n - 1)),
            (State::Text, '\\', _) => (2, false, state),
            (State::Text, '"', _) => (1, true, State::Code),
            (State::RawText(n), '"', _) if hashes(i + 1) >= n => (n + 1, true, State::Code),
            (State::Code, ..) => (1, true, state),
            _ => (1, false, state),
        };
        for c in (i..i + length).map(at).filter(|c| *c != '\0') {
            out.push(if shown || c == '\n' { c } else { ' ' });
        }
        i += length;
        state = new_state;
    }
    out
}

/// Whether the text so far ends inside a word, so that an `r` after it begins no raw string.
fn is_word(before: &str) -> bool {
    let last = before.chars().next_back();
    last.is_some_and(|c| c.is_alphanumeric() || c == '_') && !before.ends_with('b')
}

/// The length of the character literal at `i`, or 1 when a lifetime begins there.
fn character_length(characters: &[char], i: usize) -> usize {
    let at = |i: usize| characters.get(i).copied().unwrap_or('\0');
    match (at(i + 1), at(i + 2)) {
        ('\\', _) => {
            (i + 3..)
                .take_while(|k| !matches!(at(*k), '\'' | '\0'))
                .count()
                + 4
        }
        (_, '\'') => 3,
        _ => 1,
    }
}

#[test]
fn comments_and_literals_are_blanked() {
    assert_eq!(blank("a // unsafe"), "a          ");
    assert_eq!(blank("a /* /* b */ */ c"), "a               c");
    assert_eq!(blank(r#"x("a \" //") y"#), r#"x("       ") y"#);
    assert_eq!(blank("r#\"a \" \"# z"), "r#\"    \"# z");
    assert_eq!(blank("f('\"') + g"), "f(   ) + g");
    assert_eq!(blank("f('\\'') + g"), "f(    ) + g");
    assert_eq!(blank("&'a str + g"), "& a str + g");
}

#[test]
fn unit_tests_and_models_are_no_product() {
    let file = SourceFile::new("sync/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n");
    assert_eq!(file.product_lines(), [(1, "fn a() {}")]);
    assert!(
        SourceFile::new("sync/src/models.rs", "fn a() {}")
            .product_lines()
            .is_empty()
    );
}

#[test]
fn tests_are_found_by_their_attribute_and_in_a_macro_that_makes_them() {
    let text = "#[test]\nfn one() {\n    fn inner() {}\n}\nfn helper() {}\n#[rt::test(workers = 2)]\n\
                async fn two() {}\non_both! {\n    async fn three(pair: _S) {\n        fn inner() {}\n    }\n}\n\
                impl A {\n    fn four() {}\n}\n";
    let file = SourceFile::new("tests/a.rs", text);
    assert_eq!(file.tests(), ["one", "two", "three"]);
}
