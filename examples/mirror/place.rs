//! A place in the tree: a list of names, which becomes a path below a directory, or a path in a URL.
//!
//! A name never is `.` or `..`, and never holds a separator. So a place made from a link that somebody
//! else wrote cannot lead out of the directory it is appended to.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What is written as `%XX` in a link: all but the characters that have no meaning in any URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A directory or a file, by the names that lead to it from the root of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(Vec<Vec<u8>>);

/// A name that must not become part of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnsafeName(pub(crate) String);

impl Place {
    /// Appends a name as it stands in a URL. `.` and nothing stay, `..` goes up; above the root there is
    /// nothing, and the answer is `Ok(false)`.
    pub(crate) fn follow(&mut self, encoded: &str) -> Result<bool, UnsafeName> {
        let name: Vec<u8> = percent_decode_str(encoded).collect();
        match &*name {
            b"" | b"." => Ok(true),
            b".." => Ok(self.0.pop().is_some()),
            name if is_unsafe(name) => Err(UnsafeName(String::from_utf8_lossy(name).into_owned())),
            _ => {
                self.0.push(name);
                Ok(true)
            }
        }
    }

    /// Reads the path of a URL. `None` when it leads above the root.
    pub(crate) fn from_url_path(path: &str) -> Result<Option<Place>, UnsafeName> {
        let mut place = Place::default();
        for name in path.split('/') {
            if !place.follow(name)? {
                return Ok(None);
            }
        }
        Ok(Some(place))
    }

    /// The place below `root`, where names of the tree are names of files.
    pub(crate) fn below(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.0.iter().map(|name| file_name(name)));
        path
    }

    /// The path in a URL, from `base`, which ends with `/`.
    pub(crate) fn url_path(&self, base: &str) -> String {
        let names: Vec<String> = self.0.iter().map(|name| encode(name)).collect();
        format!("{base}{}", names.join("/"))
    }

    /// What is left of this place behind `base`, when it lies there.
    pub(crate) fn behind(&self, base: &Place) -> Option<Place> {
        self.0
            .strip_prefix(&*base.0)
            .map(|rest| Place(rest.to_vec()))
    }

    /// The place one up.
    pub(crate) fn parent(&self) -> Option<Place> {
        let (_, parent) = self.0.split_last()?;
        Some(Place(parent.to_vec()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .0
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        match names.is_empty() {
            true => f.write_str("/"),
            false => f.write_str(&names.join("/")),
        }
    }
}

/// A name as it stands in a URL.
pub(crate) fn encode(name: &[u8]) -> String {
    percent_encode(name, ENCODED).to_string()
}

/// Whether the name would be more than one name to the file system, or another one.
fn is_unsafe(name: &[u8]) -> bool {
    let separators: &[u8] = if cfg!(windows) { b"/\\:\0" } else { b"/\0" };
    let is_text = cfg!(unix) || std::str::from_utf8(name).is_ok();
    !is_text || name.iter().any(|byte| separators.contains(byte))
}

#[cfg(unix)]
fn file_name(name: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name).to_owned()
}

#[cfg(not(unix))]
fn file_name(name: &[u8]) -> OsString {
    String::from_utf8_lossy(name).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_in_a_url_and_on_disk() {
        let place = Place::from_url_path("/a%20b/%C3%A4%23%3F.txt")
            .unwrap()
            .unwrap();
        assert_eq!(
            place.below(Path::new("/out")),
            Path::new("/out/a b/ä#?.txt")
        );
        assert_eq!(place.url_path("/base/"), "/base/a%20b/%C3%A4%23%3F.txt");
        assert_eq!(place.to_string(), "a b/ä#?.txt");
    }

    #[test]
    fn nothing_leads_out_of_the_tree() {
        let place = |path| Place::from_url_path(path);
        assert_eq!(place("/../etc"), Ok(None));
        assert_eq!(place("/a/%2e%2e/%2E./b"), Ok(None));
        assert_eq!(place("/a/./b/../c"), place("/a/c"));
        assert_eq!(
            place("/..%2f..%2fetc"),
            Err(UnsafeName("../../etc".to_owned()))
        );
        assert!(place("/a%00b").is_err());
    }
}
