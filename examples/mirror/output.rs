//! The directory that is written: complete files only, each put in place in one step.
//!
//! A file is written under another name in a folder of its own inside the output, read back and checked,
//! and then renamed. Whatever happens before leaves the output without it, or with what was there before.
//! The folder goes away with this type, and with it anything an interrupted attempt may have left.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use super::digest::Digest;
use super::place::Place;
use super::problem::{Problem, Trouble};

/// A directory to mirror into.
#[derive(Debug)]
pub(crate) struct Output {
    root: PathBuf,
    unfinished: TempDir,
    n_begun: AtomicU64,
    directories: Mutex<HashSet<Place>>,
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    is_placed: Arc<AtomicBool>,
    file: Option<File>,
    length: u64,
}

impl Output {
    /// Opens the directory, creating it when there is none.
    pub(crate) fn open(root: &Path) -> Result<Self, Problem> {
        let problem = |error| Problem::with("write into", root.display(), &error);
        fs::create_dir_all(root).map_err(problem)?;
        let root = fs::canonicalize(root).map_err(problem)?;
        let unfinished = tempfile::Builder::new()
            .prefix(".mirror-")
            .suffix(".unfinished")
            .tempdir_in(&root)
            .map_err(problem)?;
        Ok(Output {
            root,
            unfinished,
            n_begun: AtomicU64::new(0),
            directories: Mutex::default(),
        })
    }

    /// The real path of the directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes sure that a directory is there, with those above it. Blocks.
    ///
    /// A symbolic link in its place is refused: it could lead anywhere.
    pub(crate) fn make_directory(&self, place: &Place) -> Result<(), Trouble> {
        let known = || {
            self.directories
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let Some(parent) = place.parent() else {
            return Ok(());
        };
        if known().contains(place) {
            return Ok(());
        }
        self.make_directory(&parent)?;
        let path = place.below(&self.root);
        let result = match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => Ok(()),
                    Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
                    Err(error) => Err(error),
                }
            }
            result => result,
        };
        result.map_err(|error| Trouble::writing(path.display(), &error))?;
        known().insert(place.clone());
        Ok(())
    }

    /// Begins a file. Nothing is written yet.
    pub(crate) fn begin(&self) -> Unfinished {
        let number = self.n_begun.fetch_add(1, Ordering::Relaxed);
        Unfinished {
            path: self.unfinished.path().join(number.to_string()),
            is_placed: Arc::default(),
            file: None,
            length: 0,
        }
    }
}

impl Unfinished {
    /// Removes the file unless it was put in place; for when the attempt ends, however it ends.
    pub(crate) fn removal(&self) -> impl Future<Output = ()> + Send + use<> {
        let (path, is_placed) = (self.path.clone(), Arc::clone(&self.is_placed));
        async move {
            if !is_placed.load(Ordering::Acquire) {
                // None there: the attempt ended before it wrote anything.
                let _ = rt::fs::remove_file(path).await;
            }
        }
    }

    /// Appends to the file. Blocks.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let result = self.file().and_then(|mut file| file.write_all(data));
        result.map_err(|error| Trouble::writing(self.path.display(), &error))?;
        self.length += data.len() as u64;
        Ok(())
    }

    /// Checks what was written, reading it back, and puts it in place. Returns its length. Blocks.
    pub(crate) fn place(
        mut self,
        target: &Path,
        digest: Option<&Digest>,
        length: Option<u64>,
    ) -> Result<u64, Trouble> {
        if let Some(length) = length.filter(|length| *length != self.length) {
            let text = format!("{} bytes instead of {length}", self.length);
            return Err(Trouble::Passing(text));
        }
        if let Some(digest) = digest {
            let written = self.read_back();
            let written = written.map_err(|error| Trouble::writing(self.path.display(), &error))?;
            if written != *digest {
                let text = "SHA-256 differs: it was damaged on its way";
                return Err(Trouble::Passing(text.to_owned()));
            }
        }
        let is_there = self.file().map(drop);
        let result = is_there.and_then(|()| fs::rename(&self.path, target));
        result.map_err(|error| Trouble::writing(target.display(), &error))?;
        self.is_placed.store(true, Ordering::Release);
        Ok(self.length)
    }

    fn read_back(&mut self) -> io::Result<Digest> {
        let mut file = self.file()?;
        file.rewind()?;
        Digest::of_reader(&mut file)
    }

    /// The file, created by its first use.
    fn file(&mut self) -> io::Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::from_url_path(path).unwrap().unwrap()
    }

    #[test]
    fn a_file_is_placed_only_when_it_is_right() {
        let root = tempfile::tempdir().unwrap();
        let output = Output::open(root.path()).unwrap();
        let target = root.path().join("a");
        for (content, length, is_right) in
            [("bad", 3, false), ("good", 5, false), ("good", 4, true)]
        {
            let mut file = output.begin();
            file.write(content.as_bytes()).unwrap();
            let result = file.place(&target, Some(&Digest::of(b"good")), Some(length));
            assert_eq!(result.is_ok(), is_right);
            assert_eq!(target.exists(), is_right);
        }
        assert_eq!(fs::read(&target).unwrap(), b"good");
        drop(output);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_directory_is_refused() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).unwrap();
        let output = Output::open(root.path()).unwrap();
        assert!(output.make_directory(&place("/link/below")).is_err());
        assert!(!elsewhere.path().join("below").exists());
        output.make_directory(&place("/a/b/c")).unwrap();
        assert!(root.path().join("a/b/c").is_dir());
    }
}
