//! Other users are kept out. Only the system's own user can start programs as somebody else, so these tests say that they
//! were skipped where another one runs them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::subject::{Subject, printed};

/// A user with no rights, by the number that it has on most systems; it need not be known by a name.
const NOBODY: u32 = 65_534;

fn can_change_user() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: it takes root to start a program as another user");
    }
    is_root
}

/// A copy of a binary that everybody may run, wherever the original lies.
fn for_everybody(folder: &TempDir, binary: PathBuf) -> PathBuf {
    let copy = folder.path().join(binary.file_name().unwrap());
    // In a process of its own: a child that another test starts meanwhile could inherit the descriptor that writes,
    // and as long as it is open nobody may run the copy.
    let copied = Command::new("cp").args([&binary, &copy]).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    copy
}

#[test]
fn not_even_root_may_ask_a_program_of_another_user() {
    if !can_change_user() {
        return;
    }
    let binaries = TempDir::new().unwrap();
    let binary = for_everybody(&binaries, std::env::current_exe().unwrap());
    let folder = TempDir::new().unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let subject = Subject::start_in(folder, &binary, "idle", |command| {
        command.env("RT_INSPECT", "1").uid(NOBODY).gid(NOBODY);
    });
    assert!(subject.socket().exists());
    // Root enters any folder: it is the credentials of the connection that are looked at.
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(
        error.contains("runs as another user") && error.contains("#65534"),
        "{error}"
    );
}

#[test]
fn another_user_does_not_get_to_the_socket() {
    if !can_change_user() {
        return;
    }
    let subject = Subject::start("idle");
    fs::set_permissions(subject.folder(), Permissions::from_mode(0o755)).unwrap();
    let folder = subject.folder().join("rt");
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let binaries = TempDir::new().unwrap();
    let binary = for_everybody(&binaries, env!("CARGO_BIN_EXE_rt").into());
    let mut command = Command::new(binary);
    command
        .args(["tree", &subject.id()])
        .env("XDG_RUNTIME_DIR", subject.folder());
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let error = printed(&output, 2);
    assert!(
        error.contains("runs as another user") && error.contains("#0"),
        "{error}"
    );
}

#[test]
fn a_folder_of_somebody_else_is_not_used() {
    if !can_change_user() {
        return;
    }
    let trap = TempDir::new().unwrap();
    let folder = trap.path().join("rt");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    // It runs all the same, and cannot be inspected.
    let subject = Subject::start_with("idle", |command| {
        command
            .env("RT_INSPECT", "1")
            .env("XDG_RUNTIME_DIR", trap.path());
    });
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let error = printed(&subject.rt(&["tree", &subject.id()]), 2);
    assert!(error.contains("cannot be inspected"), "{error}");
}
