//! The tree that is served: which files belong to it, how its directories are listed, and their digests.
//!
//! Only regular files whose real path lies in the tree are served. So a symbolic link to a file of the tree
//! is served as that file, and one that leads out, a link to a directory (which could lead round in
//! circles), a socket or a pipe is left out; what was left out is remembered, so that it can be reported.
//!
//! Everything here blocks; the server calls it on the blocking pool.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::digest::Digest;
use super::place::{Place, encode};
use super::problem::Problem;

/// Files up to this size are read in one go.
const SMALL: u64 = 256 * 1024;

/// A directory tree that can be served.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
    digests: Mutex<BTreeMap<PathBuf, Known>>,
    left_out: Mutex<BTreeMap<PathBuf, &'static str>>,
}

/// The digest of a large file, as long as the file stays what it was.
#[derive(Debug)]
struct Known {
    length: u64,
    modified: Option<SystemTime>,
    digest: Digest,
}

/// What stands at a place of the tree.
#[derive(Debug)]
pub(crate) enum Found {
    /// The HTML page that lists a directory.
    Listing(String),
    /// A file with its content.
    Small { content: Vec<u8>, digest: Digest },
    /// A file that is to be read while it is sent.
    Large {
        path: PathBuf,
        length: u64,
        digest: Digest,
    },
    /// A directory, asked for as if it were a file.
    NeedsSlash,
}

/// One thing in a directory.
enum Entry {
    Directory,
    File { length: u64 },
    LeftOut(&'static str),
}

impl Site {
    /// Opens the tree below `root`.
    pub(crate) fn open(root: &Path) -> Result<Self, Problem> {
        let problem = |error| Problem::with("serve", root.display(), &error);
        let root = fs::canonicalize(root).map_err(problem)?;
        fs::read_dir(&root).map_err(problem)?;
        Ok(Site {
            root,
            digests: Mutex::default(),
            left_out: Mutex::default(),
        })
    }

    /// The real path of the tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What was not served, and why.
    pub(crate) fn left_out(&self) -> Vec<(PathBuf, &'static str)> {
        lock(&self.left_out).clone().into_iter().collect()
    }

    /// Looks up what a request asks for. `ends_with_slash` is how a URL says "the directory".
    pub(crate) fn find(&self, place: &Place, ends_with_slash: bool) -> io::Result<Found> {
        let path = place.below(&self.root);
        match self.classify(&path)? {
            Entry::LeftOut(reason) => Err(io::Error::new(io::ErrorKind::NotFound, reason)),
            Entry::Directory if ends_with_slash => self.listing(place).map(Found::Listing),
            Entry::Directory => Ok(Found::NeedsSlash),
            Entry::File { .. } if ends_with_slash => Err(io::ErrorKind::NotADirectory.into()),
            Entry::File { length } if length <= SMALL => {
                let content = fs::read(&path)?;
                let digest = Digest::of(&content);
                Ok(Found::Small { content, digest })
            }
            Entry::File { .. } => {
                let (length, digest) = self.digest_of(&path)?;
                Ok(Found::Large {
                    path,
                    length,
                    digest,
                })
            }
        }
    }

    /// Calls `visit` with the path of every file that is served, relative to the root.
    pub(crate) fn walk(&self, visit: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = entry?.path();
                match self.classify(&path) {
                    Ok(Entry::Directory) => directories.push(path),
                    Ok(Entry::File { .. }) => {
                        visit(path.strip_prefix(&self.root).unwrap_or(&path))?;
                    }
                    Ok(Entry::LeftOut(_)) | Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn classify(&self, path: &Path) -> io::Result<Entry> {
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        let entry = match fs::metadata(path) {
            Err(_) if is_link => Entry::LeftOut("a symbolic link that leads nowhere"),
            Err(error) => return Err(error),
            Ok(_) if !fs::canonicalize(path)?.starts_with(&self.root) => {
                Entry::LeftOut("a symbolic link that leads out of the tree")
            }
            Ok(metadata) if metadata.is_file() => Entry::File {
                length: metadata.len(),
            },
            Ok(metadata) if metadata.is_dir() && is_link => {
                Entry::LeftOut("a symbolic link to a directory")
            }
            Ok(metadata) if metadata.is_dir() => Entry::Directory,
            Ok(_) => Entry::LeftOut("neither a file nor a directory"),
        };
        if let Entry::LeftOut(reason) = entry {
            let relative = path.strip_prefix(&self.root).unwrap_or(path);
            lock(&self.left_out).insert(relative.to_owned(), reason);
        }
        Ok(entry)
    }

    fn listing(&self, place: &Place) -> io::Result<String> {
        let mut names: Vec<_> = fs::read_dir(place.below(&self.root))?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        let title = escape(&place.to_string());
        let mut page = format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body><h1>{title}</h1>\n<ul>\n<li><a href=\"../\">../</a></li>\n"
        );
        for name in names {
            let path = place.below(&self.root).join(&name);
            let (text, link) = (
                escape(&name.to_string_lossy()),
                encode(name.as_encoded_bytes()),
            );
            page += &match self.classify(&path) {
                Ok(Entry::Directory) => format!("<li><a href=\"{link}/\">{text}/</a></li>\n"),
                Ok(Entry::LeftOut(reason)) => format!("<li>{text} (not served: {reason})</li>\n"),
                // One that cannot be examined is listed all the same, so that its loss is noticed.
                Ok(Entry::File { .. }) | Err(_) => {
                    format!("<li><a href=\"{link}\">{text}</a></li>\n")
                }
            };
        }
        Ok(page + "</ul>\n</body></html>\n")
    }

    /// The length and digest of a large file; the digest is computed once for each version of it.
    fn digest_of(&self, path: &Path) -> io::Result<(u64, Digest)> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        if let Some(known) = lock(&self.digests).get(path) {
            if known.length == length && known.modified == modified {
                return Ok((length, known.digest.clone()));
            }
        }
        let digest = Digest::of_reader(&mut file.by_ref().take(length))?;
        let known = Known {
            length,
            modified,
            digest: digest.clone(),
        };
        lock(&self.digests).insert(path.to_owned(), known);
        Ok((length, digest))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Text as it is written in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
