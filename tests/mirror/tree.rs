//! Trees of files: made from a seed, and compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// Makes a tree of about `n` files: nested, empty, large, and with names that need care in a URL.
pub(crate) fn generate(n: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for directory in ["a b", "a b/ü#?%", "deep/er/and/deeper", "no files here"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let mut random = 0x9e37_79b9_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let directories = ["", "a b", "a b/ü#?%", "deep", "deep/er/and/deeper"];
    let names = [
        "plain",
        "with space",
        "ünïcode",
        "100%",
        "a&b<c>\"d\"",
        "q?x=1#y",
        "+;,@~'",
    ];
    for i in 0..n {
        let name = format!("{}{i}", names[i % names.len()]);
        let length = next() % [10, 5_000, 40_000][i % 3];
        let content: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        let directory = directories[next() as usize % directories.len()];
        fs::write(root.join(directory).join(name), content).unwrap();
    }
    fs::write(root.join("empty"), "").unwrap();
    let large: Vec<u8> = (0..700_000).map(|_| next() as u8).collect();
    fs::write(root.join("a b/large"), large).unwrap();
    folder
}

/// The paths of all files below `root`, sorted, with `/` between their parts.
pub(crate) fn names_in(root: &Path) -> Vec<String> {
    contents(root, false).into_keys().collect()
}

/// Fails unless both trees hold the same files and directories, byte for byte.
pub(crate) fn assert_same(expected: &Path, copy: &Path) {
    let (expected, copy) = (contents(expected, true), contents(copy, true));
    let names = |tree: &BTreeMap<String, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&copy), names(&expected));
    for (name, content) in &expected {
        assert!(copy[name] == *content, "{name} differs");
    }
}

/// Files with their content and, if wanted, directories as names that end with `/`. What the program has
/// not finished is left aside.
fn contents(root: &Path, with_directories: bool) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            if path.is_dir() {
                if !name.ends_with(".unfinished") {
                    waiting.push(path);
                    if with_directories {
                        found.insert(name + "/", Vec::new());
                    }
                }
            } else if let Ok(content) = fs::read(&path) {
                found.insert(name, content);
            }
        }
    }
    found
}
