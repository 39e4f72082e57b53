//! The rules. Each takes the workspace and returns its violations as `path:line: what is wrong`.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{SourceFile, Workspace};

/// What a synchronisation primitive may take from the runtime: nothing that needs one to be running.
const PORTABLE: [&str; 4] = ["const_unless_loom", "coop", "shim", "wait"];

/// Files of `sync` that hold the structured forms, which spawn and cancel tasks, by the start of their name.
const STRUCTURED: [&str; 12] = [
    "as_completed",
    "compute",
    "fork_join",
    "gather",
    "group",
    "join",
    "lib",
    "local_group",
    "race",
    "stream",
    "task_set",
    "waiting",
];

/// Lines a file may have.
const FILE_LINES: usize = 650;

/// Lines a function may have.
const FUNCTION_LINES: usize = 70;

fn violation(file: &SourceFile, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", file.path)
}

/// The words of a line of code.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// `macros`, `runtime` and the command use none of our crates, `sync` and `io` use `runtime` only.
pub(crate) fn crate_arrows(workspace: &Workspace) -> Vec<String> {
    let allowed = |library: &str| match library {
        "macros" | "runtime" | "cli" => Some(&[][..]),
        "sync" | "io" => Some(&["rt_tasks_runtime"][..]),
        _ => None,
    };
    let mut found = Vec::new();
    for (library, file) in workspace.libraries() {
        let Some(allowed) = allowed(library) else {
            continue;
        };
        for (number, line) in (1..).zip(file.code.lines()) {
            for word in words(line).filter(|word| word.starts_with("rt_tasks")) {
                if !allowed.contains(&word) {
                    let what = format!("`{library}` must not use `{word}`");
                    found.push(violation(file, number, &what));
                }
            }
        }
    }
    for file in &workspace.files {
        let Some(allowed) = file.path.strip_suffix("/Cargo.toml").and_then(allowed) else {
            continue;
        };
        for (number, name) in dependencies(&file.text) {
            if name.starts_with("rt-tasks") && !allowed.contains(&name.replace('-', "_").as_str()) {
                let what = format!("must not depend on `{name}`");
                found.push(violation(file, number, &what));
            }
        }
    }
    found
}

/// The names under `[dependencies]`, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut section = "";
    let mut names = Vec::new();
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && !section.contains("dev-dependencies") {
            names.extend(
                line.split(['.', '=', ' '])
                    .next()
                    .map(|name| (number, name)),
            );
        }
    }
    names
}

/// In `sync`, only the structured forms name what needs a running scheduler.
pub(crate) fn primitives_are_portable(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (library, file) in workspace.libraries() {
        let inside = file.path.strip_prefix("sync/src/").unwrap_or_default();
        if library != "sync" || STRUCTURED.iter().any(|start| inside.starts_with(start)) {
            continue;
        }
        for (place, name) in file.code.match_indices("rt_tasks_runtime") {
            let number = file.code[..place].lines().count().max(1);
            for item in named_items(&file.code[place + name.len()..]) {
                if !PORTABLE.contains(&item) {
                    let what = format!("a primitive must not name `{name}::{item}`");
                    found.push(violation(file, number, &what));
                }
            }
        }
    }
    found
}

/// The first names after a crate's name: one for `::a::b`, several for `::{a::b, c}`.
fn named_items(after: &str) -> Vec<&str> {
    let Some(path) = after.strip_prefix("::") else {
        return vec!["self"];
    };
    let Some(list) = path.strip_prefix('{') else {
        return words(path).take(1).collect();
    };
    let mut items = Vec::new();
    let mut nesting = 0;
    let mut start = 0;
    for (i, c) in list.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting > 0 => nesting -= 1,
            ',' | '}' if nesting == 0 => {
                items.extend(words(&list[start..i]).next());
                start = i + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items
}

/// Each file begins with `//!`: what it is and why it exists.
pub(crate) fn file_heads(workspace: &Workspace) -> Vec<String> {
    let is_program = |path: &str| path.starts_with("tests/ui/");
    let files = workspace.files.iter();
    files
        .filter(|file| file.is_rust() && !is_program(&file.path) && !file.text.starts_with("//!"))
        .map(|file| violation(file, 1, "the file does not begin with `//!`"))
        .collect()
}

/// `cfg(loom)` occurs in `shim.rs`, on `mod` lines, and for capacities.
pub(crate) fn loom_places(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (_, file) in workspace.libraries() {
        if file.path == "runtime/src/shim.rs" {
            continue;
        }
        let lines: Vec<&str> = file.code.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            if !line.contains("cfg") || !words(line).any(|word| word == "loom") {
                continue;
            }
            let mut below = lines[i + 1..].iter().map(|line| line.trim_start());
            let item = below
                .find(|line| !line.is_empty() && !line.starts_with("#["))
                .unwrap_or("");
            let mut item =
                words(item).skip_while(|word| matches!(*word, "pub" | "crate" | "super"));
            if !matches!(item.next(), Some("mod" | "const")) {
                let what = "`cfg(loom)` belongs into shim.rs, on `mod` lines and on capacities";
                found.push(violation(file, i + 1, what));
            }
        }
    }
    found
}

/// Each `ORDERING(tag)` has at least two ends in its crate.
pub(crate) fn ordering_tags(workspace: &Workspace) -> Vec<String> {
    let mut ends: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (library, file) in workspace.libraries() {
        for (number, line) in (1..).zip(file.text.lines()) {
            for tag in tags(line) {
                let place = violation(file, number, "");
                ends.entry((library, tag)).or_default().push(place);
            }
        }
    }
    let lonely = ends.into_iter().filter(|(_, places)| places.len() < 2);
    lonely
        .map(|((_, tag), places)| format!("{}`ORDERING({tag})` has no other end", places[0]))
        .collect()
}

/// The tags of the ordering comments on a line; a line may argue for two.
fn tags(line: &str) -> Vec<&str> {
    let Some((_, comment)) = line.split_once("// ") else {
        return Vec::new();
    };
    let inside = comment.split("ORDERING(").skip(1);
    inside
        .filter_map(|after| after.split(')').next())
        .flat_map(|tags| tags.split(',').map(str::trim))
        .collect()
}

/// Each ordering other than Relaxed has an `ORDERING` comment on its line or just above its statement.
pub(crate) fn ordering_comments(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for (_, file) in workspace.libraries() {
        let text: Vec<&str> = file.text.lines().collect();
        let mut in_use = false;
        for (number, line) in file.product_lines() {
            let start = line.trim_start();
            in_use |= start.starts_with("use ") || start.starts_with("pub use ");
            if !in_use && names_an_ordering(line) && !is_argued(&text[..number]) {
                found.push(violation(file, number, "no `// ORDERING(tag): …` above"));
            }
            in_use &= !line.contains(';');
        }
    }
    found
}

/// Whether a line passes an ordering other than Relaxed: a bare argument, or `Ordering::…`.
fn names_an_ordering(line: &str) -> bool {
    ["Acquire", "Release", "AcqRel", "SeqCst"]
        .iter()
        .any(|name| {
            line.match_indices(name).any(|(place, name)| {
                let before = line[..place].trim_end();
                let after = line[place + name.len()..].trim_start();
                let opens = before.is_empty() || before.ends_with(['(', ',', '=']);
                let ends = after.is_empty() || after.starts_with([',', ')', ';']);
                ends && (opens || before.ends_with("Ordering::"))
            })
        })
}

/// Whether the last of these lines, or one of up to five lines of code above it, has the comment: the orderings
/// of an exchange stand on its last two lines.
fn is_argued(lines: &[&str]) -> bool {
    let mut code = 0;
    for line in lines.iter().rev() {
        if line.contains("// ORDERING(") {
            return true;
        }
        if !line.trim_start().starts_with("//") {
            code += 1;
        }
        if code > 6 || line.trim().is_empty() {
            return false;
        }
    }
    false
}

/// The files with `unsafe` in their code are those listed in `docs/architecture.md`.
pub(crate) fn unsafe_list(workspace: &Workspace) -> Vec<String> {
    let libraries = workspace.libraries().map(|(_, file)| file);
    let real: BTreeSet<&str> = libraries
        .filter(|file| !file.is_model() && words(&file.code).any(|word| word == "unsafe"))
        .map(|file| file.path.as_str())
        .collect();
    let Some(document) = workspace.file("docs/architecture.md") else {
        return vec!["docs/architecture.md is missing".to_owned()];
    };
    let listed: BTreeSet<&str> = listed_paths(&document.text, "## Files with `unsafe`");
    let unlisted = real.difference(&listed);
    let gone = listed.difference(&real);
    unlisted
        .map(|path| format!("{path}: has `unsafe` but is not listed in docs/architecture.md"))
        .chain(
            gone.map(|path| format!("docs/architecture.md: lists {path}, which has no `unsafe`")),
        )
        .collect()
}

/// The paths at the start of the list items or table rows of one section.
fn listed_paths<'a>(document: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    let section = lines.take_while(|line| !line.starts_with("## "));
    let items = section.filter_map(|line| line.strip_prefix("- `").or(line.strip_prefix("| `")));
    items.filter_map(|item| item.split('`').next()).collect()
}

/// No test is ignored and nothing is left to do.
pub(crate) fn leftovers(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_rust()) {
        for (number, (text, code)) in (1..).zip(file.text.lines().zip(file.code.lines())) {
            let has_word = |line: &str, wanted: &str| words(line).any(|word| word == wanted);
            let unfinished = code.contains("todo!") || code.contains("unimplemented!");
            let noted = [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("XX", "X"),
            ];
            if unfinished || noted.iter().any(|note| has_word(text, note)) {
                found.push(violation(file, number, "something is left to do"));
            }
            if code.trim_start().starts_with("#[ignore") {
                found.push(violation(file, number, "a test is ignored"));
            }
        }
    }
    found
}

/// Files and functions are short.
pub(crate) fn lengths(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for file in workspace.files.iter().filter(|file| file.is_rust()) {
        let lines: Vec<&str> = file.code.lines().collect();
        if lines.len() > FILE_LINES {
            let what = format!(
                "{} lines; {FILE_LINES} are enough for one file",
                lines.len()
            );
            found.push(violation(file, lines.len(), &what));
        }
        for start in (0..lines.len()).filter(|i| begins_function(lines[*i])) {
            let length = block_length(&lines[start..]);
            if length > FUNCTION_LINES {
                let what = format!("a function of {length} lines; {FUNCTION_LINES} are enough");
                found.push(violation(file, start + 1, &what));
            }
        }
    }
    found
}

fn begins_function(line: &str) -> bool {
    let qualifiers = [
        "pub", "crate", "super", "const", "async", "unsafe", "extern",
    ];
    words(line).find(|word| !qualifiers.contains(word)) == Some("fn")
}

/// The number of lines until the block that opens first is closed, or the item ends without one.
fn block_length(lines: &[&str]) -> usize {
    let mut nesting = 0;
    for (i, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => nesting += 1,
                '}' if nesting == 1 => return i + 1,
                '}' => nesting -= 1,
                _ => {}
            }
        }
        if nesting == 0 && line.trim_end().ends_with(';') {
            return i + 1;
        }
    }
    lines.len()
}

/// No file names a folder of somebody's machine or the host of a package registry.
pub(crate) fn machine_names(workspace: &Workspace) -> Vec<String> {
    let names = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("crates", ".io"),
    ];
    let mut found = Vec::new();
    for file in &workspace.files {
        for (number, line) in (1..).zip(file.text.lines()) {
            for name in names.iter().filter(|name| line.contains(**name)) {
                found.push(violation(file, number, &format!("names `{name}`")));
            }
        }
    }
    found
}

/// Libraries are at most `src/a/b.rs` deep.
pub(crate) fn depth(workspace: &Workspace) -> Vec<String> {
    let too_deep = |path: &str| {
        let inside = path.split("src/").nth(1).unwrap_or_default();
        inside.matches('/').count() > 1
    };
    let libraries = workspace.libraries().map(|(_, file)| file);
    libraries
        .filter(|file| too_deep(&file.path))
        .map(|file| violation(file, 1, "deeper than `src/a/b.rs`"))
        .collect()
}

/// `macros` forbids `unsafe`.
pub(crate) fn macros_without_unsafe(workspace: &Workspace) -> Vec<String> {
    let head = workspace.file("macros/src/lib.rs");
    match head.is_some_and(|file| file.code.contains("#![forbid(unsafe_code)]")) {
        true => Vec::new(),
        false => vec!["macros/src/lib.rs: does not say `#![forbid(unsafe_code)]`".to_owned()],
    }
}

/// The program in the README is `examples/first.rs`, which is compiled and run.
pub(crate) fn readme_program(workspace: &Workspace) -> Vec<String> {
    let text = |path| workspace.file(path).map_or("", |file| file.text.as_str());
    let program = text("examples/first.rs")
        .split_once("\n\n")
        .map_or("", |(_, program)| program);
    match !program.is_empty() && text("README.md").contains(&format!("```rust\n{program}```")) {
        true => Vec::new(),
        false => vec!["README.md: its program is not that of examples/first.rs".to_owned()],
    }
}
