//! What is in a directory.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, fs};

use futures_core::Stream;

use super::operation::Operation;
use super::{FileType, Metadata};
use crate::error::cannot;

/// Entries read by one call on the pool.
const BATCH: usize = 128;

/// Opens a directory, to see what is in it.
///
/// # Errors
///
/// Those of [`std::fs::read_dir`], with the path.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let mut names = Vec::new();
/// let mut entries = rt::fs::read_dir(env!("CARGO_MANIFEST_DIR")).await?;
/// while let Some(entry) = entries.next_entry().await? {
///     names.push(entry.file_name());
/// }
/// assert!(names.iter().any(|name| name == "Cargo.toml"));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn read_dir(path: impl AsRef<Path>) -> Operation<ReadDir> {
    Operation::on("read the directory", path, |path| {
        let path = Arc::from(path);
        let mut batch = Batch::new(fs::read_dir(&path)?);
        batch.fill();
        Ok(ReadDir {
            path,
            state: State::Full(batch),
        })
    })
}

/// The entries of a directory, in no particular order; made by [`read_dir`].
///
/// Also a [`Stream`]. After an error it goes on with the next entry, if there is one.
#[must_use = "streams do nothing unless polled"]
pub struct ReadDir {
    path: Arc<Path>,
    state: State,
}

enum State {
    Full(Batch),
    Filling(Operation<Batch>),
    /// A call on the pool has panicked.
    Lost,
}

/// Some entries, and where the others come from.
struct Batch {
    entries: fs::ReadDir,
    read: VecDeque<io::Result<DirEntry>>,
    ended: bool,
}

impl Batch {
    fn new(entries: fs::ReadDir) -> Self {
        Self {
            entries,
            read: VecDeque::with_capacity(BATCH),
            ended: false,
        }
    }

    fn fill(&mut self) {
        while self.read.len() < BATCH {
            match self.entries.next() {
                Some(entry) => self.read.push_back(entry.map(DirEntry::new)),
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
    }
}

impl ReadDir {
    /// The next entry, or `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// No entry is lost.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_entry(cx)).await.transpose()
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<DirEntry>>> {
        loop {
            match &mut self.state {
                State::Full(batch) => {
                    if let Some(entry) = batch.read.pop_front() {
                        let what = format_args!("read the directory {}", self.path.display());
                        return Poll::Ready(Some(entry.map_err(|error| cannot(what, error))));
                    }
                    if batch.ended {
                        return Poll::Ready(None);
                    }
                }
                State::Filling(filling) => {
                    match ready!(Pin::new(filling).poll(cx)) {
                        Ok(batch) => self.state = State::Full(batch),
                        Err(error) => {
                            self.state = State::Lost;
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                    continue;
                }
                State::Lost => return Poll::Ready(None),
            }
            if let State::Full(mut batch) = std::mem::replace(&mut self.state, State::Lost) {
                self.state = State::Filling(Operation::new(move || {
                    batch.fill();
                    Ok(batch)
                }));
            }
        }
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_entry(cx)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadDir").field(&self.path).finish()
    }
}

/// One entry of a directory.
#[derive(Clone)]
pub struct DirEntry {
    entry: Arc<fs::DirEntry>,
    /// As it was when the entry was read, if that could be told.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: fs::DirEntry) -> Self {
        let file_type = entry.file_type().ok();
        Self {
            entry: Arc::new(entry),
            file_type,
        }
    }

    /// The path: that of the directory, and the name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name in the directory.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// What it is; of a symbolic link, that it is one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => self.metadata().await.map(|metadata| metadata.file_type()),
        }
    }

    /// What else is known of it; symbolic links are not followed.
    ///
    /// # Errors
    ///
    /// Those of the system, with the path.
    pub fn metadata(&self) -> Operation<Metadata> {
        let entry = self.entry.clone();
        Operation::on("look up", self.path(), move |_| entry.metadata())
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.entry, f)
    }
}
