//! Where the socket of this process lies, and that nobody else can get there.
//!
//! The folder belongs to the user and only the user may enter it; one that somebody else made in its place, which is
//! possible below `/tmp`, is refused. A process that is killed leaves its socket behind: whoever makes one next
//! sweeps out those of processes that are no more.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;

use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};

/// The ending of sockets' names.
const ENDING: &str = "sock";

/// The place of a socket, which is removed when this is dropped.
pub(super) struct Place {
    path: PathBuf,
    /// A fork of the process does not own it.
    process: u32,
}

impl Place {
    /// Makes the socket of this process.
    pub(super) fn bind() -> io::Result<(Self, UnixListener)> {
        let folder = folder()?;
        sweep(&folder);
        let process = process::id();
        let path = folder.join(process.to_string()).with_extension(ENDING);
        match bind(&path) {
            Ok(listener) => Ok((Self { path, process }, listener)),
            Err(error) => Err(at(&path, &error)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.process == process::id() {
            // Somebody may have tidied up before.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An error with the path that it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Binds to a path, also if a process that had the same number left its socket there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

/// Whether nobody listens at a socket.
fn is_abandoned(path: &Path) -> bool {
    let refused = UnixStream::connect(path).map_err(|error| error.kind());
    matches!(refused, Err(io::ErrorKind::ConnectionRefused))
}

/// The folder of this user, made if it is not there.
fn folder() -> io::Result<PathBuf> {
    let path = match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(path) if path.is_absolute() && path.is_dir() => path.join("rt"),
        _ => PathBuf::from(format!("/tmp/rt-{}", geteuid().as_raw())),
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(&path, &error)),
        _ => check(&path).map(|()| path),
    }
}

/// Fails unless it is a folder of this user's that nobody else can enter.
fn check(folder: &Path) -> io::Result<()> {
    // Not through a link: that could lead anywhere.
    let found = fs::symlink_metadata(folder).map_err(|error| at(folder, &error))?;
    let is_ours = found.is_dir() && found.uid() == geteuid().as_raw();
    if is_ours && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let what = match is_ours {
        true => "others than its user can enter it; take their rights away (chmod 700)",
        false => "it is not a folder of this user's; remove it",
    };
    let error = io::Error::new(io::ErrorKind::PermissionDenied, what);
    Err(at(folder, &error))
}

/// Removes the sockets of processes that are no more.
fn sweep(folder: &Path) {
    // What cannot be read or removed now is left to the next.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for path in paths.filter(|path| is_of_the_dead(path) && is_abandoned(path)) {
        let _ = fs::remove_file(path);
    }
}

/// Whether a path is a socket's, of a process that is no more. Both have to be seen: in another container the process
/// may be there though it cannot be seen from here, and one that begins does not listen yet.
fn is_of_the_dead(path: &Path) -> bool {
    let is_socket = path.extension().is_some_and(|ending| ending == ENDING);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let process = stem.and_then(|stem| Pid::from_raw(stem.parse().ok()?));
    is_socket && process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder of this name below the system's for temporary things, removed at the end.
    fn with_folder(name: &str, mode: u32, test: impl FnOnce(&Path)) {
        let name = format!("rt-place-{}-{name}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        test(&path);
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        with_folder("open", 0o755, |path| {
            let error = check(path).unwrap_err();
            assert!(error.to_string().contains("chmod 700"), "{error}");
        });
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        with_folder("linked", 0o700, |path| {
            check(path).unwrap();
            let link = path.join("link");
            std::os::unix::fs::symlink(path, &link).unwrap();
            assert!(check(&link).is_err());
        });
    }

    #[test]
    fn only_what_the_dead_left_behind_is_swept_out() {
        with_folder("swept", 0o700, |path| {
            // The greatest number there can be is 4194304, so nobody has this one.
            let left = path.join("999999999.sock");
            drop(UnixListener::bind(&left).unwrap());
            let other = path.join("999999999.txt");
            fs::write(&other, "").unwrap();
            let alive = path.join(format!("{}.sock", process::id()));
            drop(UnixListener::bind(&alive).unwrap());
            let elsewhere = path.join("999999998.sock");
            let _listens = UnixListener::bind(&elsewhere).unwrap();
            sweep(path);
            assert!(!left.exists());
            assert!(other.exists() && alive.exists() && elsewhere.exists());
            bind(&alive).unwrap();
            assert!(bind(&alive).is_ok(), "the listener was dropped at once");
            assert!(bind(&elsewhere).is_err(), "somebody listens there");
        });
    }
}
