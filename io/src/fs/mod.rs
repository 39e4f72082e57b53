//! Files and directories, as in [`std::fs`], without blocking the task's worker.
//!
//! The system never says when a file is ready, so calls run on the pool for blocking work. Where the system can
//! refuse to wait for the disk, as Linux does, [`File`] reads what is in the page cache without that detour. Errors name
//! the path.
//!
//! # Cancel safety
//!
//! A call that has been started on the pool runs to its end, whoever waits for it: dropping the future of
//! [`rename`] means not to learn whether the file has been renamed. What [`File`] does is told there.
//!
//! # Panics
//!
//! All futures of this module panic when they are polled outside a runtime.
//!
//! # Examples
//!
//! ```
//! # use rt_tasks_io as rt;
//! # rt_tasks_runtime::block_on(async {
//! let folder = std::env::temp_dir().join(format!("rt-fs-{}", std::process::id()));
//! rt::fs::create_dir_all(&folder).await?;
//! rt::fs::write(folder.join("note"), "remember").await?;
//! assert_eq!(rt::fs::read_to_string(folder.join("note")).await?, "remember");
//! rt::fs::remove_dir_all(&folder).await?;
//!
//! let error = rt::fs::read(folder.join("note")).await.unwrap_err();
//! assert!(error.to_string().starts_with("cannot read "));
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

#[cfg_attr(all(target_os = "linux", not(rt_portable)), path = "cache_linux.rs")]
#[cfg_attr(
    not(all(target_os = "linux", not(rt_portable))),
    path = "cache_portable.rs"
)]
mod cache;
mod dir;
mod file;
mod operation;
mod options;
mod temporary;

use std::fs;
use std::path::{Path, PathBuf};

pub use std::fs::{FileTimes, FileType, Metadata, Permissions};

#[cfg(all(unix, feature = "net"))]
pub(crate) use cache::{is_cached, send};
pub use dir::{DirEntry, ReadDir, read_dir};
pub use file::File;
pub use operation::Operation;
pub use options::OpenOptions;
pub use temporary::{TempDir, TempFile, temp_file};

/// Reads a whole file.
///
/// # Errors
///
/// Those of [`std::fs::read`], with the path.
pub fn read(path: impl AsRef<Path>) -> Operation<Vec<u8>> {
    Operation::on("read", path, |path| fs::read(path))
}

/// Reads a whole file of UTF-8 text.
///
/// # Errors
///
/// Those of [`std::fs::read_to_string`], with the path.
pub fn read_to_string(path: impl AsRef<Path>) -> Operation<String> {
    Operation::on("read", path, |path| fs::read_to_string(path))
}

/// Writes a file as a whole, in place of what was in it.
///
/// # Cancel safety
///
/// Once started it runs to its end; what has been written by a failure stays. Who must never leave half a file
/// writes another one and [`rename`]s it.
///
/// # Errors
///
/// Those of [`std::fs::write`], with the path.
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Operation<()> {
    let contents = contents.as_ref().to_vec();
    Operation::on("write", path, move |path| fs::write(path, contents))
}

/// Copies a file's contents and permissions; returns how many bytes there were.
///
/// # Errors
///
/// Those of [`std::fs::copy`], with both paths.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<u64> {
    Operation::on_two("copy", from, to, |from, to| fs::copy(from, to))
}

/// Gives a file or directory another name, in place of what had that name.
///
/// # Errors
///
/// Those of [`std::fs::rename`], with both paths.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Operation<()> {
    Operation::on_two("rename", from, to, |from, to| fs::rename(from, to))
}

/// Gives a file a second name.
///
/// # Errors
///
/// Those of [`std::fs::hard_link`], with both paths.
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> Operation<()> {
    Operation::on_two("link", original, link, |original, link| {
        fs::hard_link(original, link)
    })
}

/// Makes a symbolic link: `link` leads to `original`, whatever is there.
///
/// # Errors
///
/// Those of [`std::os::unix::fs::symlink`], with both paths.
#[cfg(unix)]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> Operation<()> {
    Operation::on_two("link", original, link, |original, link| {
        std::os::unix::fs::symlink(original, link)
    })
}

/// Removes a file.
///
/// # Errors
///
/// Those of [`std::fs::remove_file`], with the path.
pub fn remove_file(path: impl AsRef<Path>) -> Operation<()> {
    Operation::on("remove", path, |path| fs::remove_file(path))
}

/// Removes an empty directory.
///
/// # Errors
///
/// Those of [`std::fs::remove_dir`], with the path.
pub fn remove_dir(path: impl AsRef<Path>) -> Operation<()> {
    Operation::on("remove", path, |path| fs::remove_dir(path))
}

/// Removes a directory with all that is in it. Symbolic links are removed, not followed.
///
/// # Errors
///
/// Those of [`std::fs::remove_dir_all`], with the path.
pub fn remove_dir_all(path: impl AsRef<Path>) -> Operation<()> {
    Operation::on("remove", path, |path| fs::remove_dir_all(path))
}

/// Creates a directory.
///
/// # Errors
///
/// Those of [`std::fs::create_dir`], with the path.
pub fn create_dir(path: impl AsRef<Path>) -> Operation<()> {
    Operation::on("create", path, |path| fs::create_dir(path))
}

/// Creates a directory and those it lies in, as far as they are missing.
///
/// # Errors
///
/// Those of [`std::fs::create_dir_all`], with the path.
pub fn create_dir_all(path: impl AsRef<Path>) -> Operation<()> {
    Operation::on("create", path, |path| fs::create_dir_all(path))
}

/// Looks up what kind of thing a path leads to, how big it is, and so on.
///
/// # Errors
///
/// Those of [`std::fs::metadata`], with the path.
pub fn metadata(path: impl AsRef<Path>) -> Operation<Metadata> {
    Operation::on("look up", path, |path| fs::metadata(path))
}

/// Like [`metadata`], of a symbolic link itself.
///
/// # Errors
///
/// Those of [`std::fs::symlink_metadata`], with the path.
pub fn symlink_metadata(path: impl AsRef<Path>) -> Operation<Metadata> {
    Operation::on("look up", path, |path| fs::symlink_metadata(path))
}

/// Looks whether there is something a path leads to.
///
/// # Errors
///
/// It cannot be told: those of [`std::fs::exists`], with the path.
pub fn try_exists(path: impl AsRef<Path>) -> Operation<bool> {
    Operation::on("look up", path, |path| path.try_exists())
}

/// The absolute path without symbolic links.
///
/// # Errors
///
/// Those of [`std::fs::canonicalize`], with the path.
pub fn canonicalize(path: impl AsRef<Path>) -> Operation<PathBuf> {
    Operation::on("resolve", path, |path| fs::canonicalize(path))
}

/// The path a symbolic link leads to.
///
/// # Errors
///
/// Those of [`std::fs::read_link`], with the path.
pub fn read_link(path: impl AsRef<Path>) -> Operation<PathBuf> {
    Operation::on("read the link", path, |path| fs::read_link(path))
}

/// Changes who may do what with a file.
///
/// # Errors
///
/// Those of [`std::fs::set_permissions`], with the path.
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> Operation<()> {
    let what = "change the permissions of";
    Operation::on(what, path, |path| fs::set_permissions(path, permissions))
}
