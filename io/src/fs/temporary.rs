//! Files and directories that are removed again.
//!
//! Names and permissions are the business of the library `tempfile`; here the work goes to the pool, that of removing too.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};
use rt_tasks_runtime::Handle;

use super::{File, Operation};

/// Creates a file without a name, to write and read it again. It is gone when it is closed, also if this process is
/// killed.
///
/// # Errors
///
/// Those of creating a file in [`std::env::temp_dir`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
/// # rt_tasks_runtime::block_on(async {
/// let mut file = rt::fs::temp_file().await?;
/// file.write_all(b"aside").await?;
/// file.seek(SeekFrom::Start(0)).await?;
/// let mut read = String::new();
/// file.read_to_string(&mut read).await?;
/// assert_eq!(read, "aside");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "tempfile")]
pub fn temp_file() -> Operation<File> {
    Operation::on("create a file in", std::env::temp_dir(), |folder| {
        tempfile::tempfile_in(folder).map(File::from_std)
    })
}

/// What removes itself when it is dropped, which takes place on the pool if there is one.
///
/// A pool that has been closed drops it there and then.
struct Aside<T: Send + 'static>(Option<T>);

/// Of what an [`Aside`] lacks only when it is taken apart.
const HELD: &str = "it is there until it is dropped";

impl<T: Send + 'static> Aside<T> {
    fn get(&self) -> &T {
        self.0.as_ref().expect(HELD)
    }

    fn take(mut self) -> T {
        self.0.take().expect(HELD)
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let Some(removed) = self.0.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(removed))),
            Err(_) => drop(removed),
        }
    }
}

/// A directory that is removed, with all that is in it, when this is dropped.
///
/// That takes place on the pool, so it may take a moment; [`close`](Self::close) waits for it and has its error.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// # rt_tasks_runtime::block_on(async {
/// let folder = rt::fs::TempDir::new().await?;
/// rt::fs::write(folder.path().join("note"), "short-lived").await?;
/// let path = folder.path().to_owned();
/// folder.close().await?;
/// assert!(!rt::fs::try_exists(path).await?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct TempDir {
    folder: Aside<tempfile::TempDir>,
}

impl TempDir {
    /// Creates a directory in [`std::env::temp_dir`], for this user alone.
    ///
    /// # Errors
    ///
    /// Those of creating it, with the path of the directory that it was to be in.
    pub fn new() -> Operation<Self> {
        Self::new_in(std::env::temp_dir())
    }

    /// Creates a directory in `parent`, for this user alone.
    ///
    /// # Errors
    ///
    /// Those of creating it, with the path of `parent`.
    pub fn new_in(parent: impl AsRef<Path>) -> Operation<Self> {
        Operation::on("create a directory in", parent, |parent| {
            let folder = Aside(Some(tempfile::tempdir_in(parent)?));
            Ok(Self { folder })
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.get().path()
    }

    /// Removes it, with all that is in it.
    ///
    /// # Errors
    ///
    /// Those of [`remove_dir_all`](super::remove_dir_all), with the path.
    pub fn close(self) -> Operation<()> {
        let folder = self.folder.take();
        let path = folder.path().to_owned();
        Operation::on("remove", path, |_| folder.close())
    }

    /// Leaves it where it is, for good.
    #[must_use = "nobody else knows where it is"]
    pub fn keep(self) -> PathBuf {
        self.folder.take().keep()
    }
}

impl fmt::Debug for TempDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TempDir").field(&self.path()).finish()
    }
}

/// A file with a name of its own, to be read and written as the [`File`] that it derefs to; it is removed when this is
/// dropped, on the pool.
///
/// [`persist`](Self::persist) gives it its real name: whoever looks there finds the file before, or the whole new one.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::AsyncWriteExt;
/// # rt_tasks_runtime::block_on(async {
/// let folder = rt::fs::TempDir::new().await?;
/// let target = folder.path().join("settings");
/// let mut file = rt::fs::TempFile::new_in(folder.path()).await?;
/// file.write_all(b"complete").await?;
/// file.persist(&target).await?;
/// assert_eq!(rt::fs::read(&target).await?, b"complete");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "NamedTempFile")]
pub struct TempFile {
    file: File,
    path: Aside<tempfile::TempPath>,
}

impl TempFile {
    /// Creates a file in [`std::env::temp_dir`], for this user alone.
    ///
    /// # Errors
    ///
    /// Those of creating it, with the path of the directory that it was to be in.
    pub fn new() -> Operation<Self> {
        Self::new_in(std::env::temp_dir())
    }

    /// Creates a file in `parent`, for this user alone. Only within one file system can it get another name.
    ///
    /// # Errors
    ///
    /// Those of creating it, with the path of `parent`.
    pub fn new_in(parent: impl AsRef<Path>) -> Operation<Self> {
        Operation::on("create a file in", parent, |parent| {
            let (file, path) = tempfile::NamedTempFile::new_in(parent)?.into_parts();
            Ok(Self {
                file: File::new(file, Some(&path)),
                path: Aside(Some(path)),
            })
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.get()
    }

    /// Gives it another name, in place of what had that name, when all that was written is in it.
    ///
    /// It is not on the disk by that: see [`sync_all`](File::sync_all).
    ///
    /// # Cancel safety
    ///
    /// It has got its name or it is removed.
    ///
    /// # Errors
    ///
    /// That of a write before; those of [`rename`](super::rename), with the path. The file is removed.
    pub async fn persist(mut self, to: impl AsRef<Path>) -> io::Result<File> {
        let to = to.as_ref().to_owned();
        poll_fn(|cx| self.file.poll_idle(cx)).await?;
        let path = self.path.take();
        Operation::on("give a file the name", &to, move |to| {
            path.persist(to).map_err(io::Error::from)
        })
        .await?;
        Ok(self.file.renamed(&to))
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for TempFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

impl AsyncRead for TempFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.file).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TempFile {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.file).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_close(cx)
    }
}

impl AsyncSeek for TempFile {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.file).poll_seek(cx, target)
    }
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TempFile").field(&self.path()).finish()
    }
}
