//! Which processes can be inspected: their sockets lie in a folder of their user.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};
use serde::Serialize;

use crate::client::{Question, ask_at};
use crate::model::{Processes, RuntimeOutline};

/// A process in the list.
#[derive(Serialize)]
pub(crate) struct Process {
    pub(crate) process: u32,
    pub(crate) program: String,
    /// None where it did not tell.
    pub(crate) runtimes: Option<Vec<RuntimeOutline>>,
    /// Why it did not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
}

/// The folders where a socket may lie: the program may have been started with another environment than this one, by the
/// system for instance.
fn folders() -> Vec<PathBuf> {
    let user = geteuid().as_raw();
    let own = env::var_os("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("rt"));
    let usual = [
        PathBuf::from(format!("/run/user/{user}/rt")),
        PathBuf::from(format!("/tmp/rt-{user}")),
    ];
    let mut folders: Vec<PathBuf> = own.into_iter().collect();
    folders.extend(usual);
    let mut seen = Vec::new();
    folders.retain(|folder| {
        let is_new = !seen.contains(folder);
        seen.push(folder.clone());
        is_new
    });
    folders
}

/// The places where the socket of a process may be.
pub(crate) fn sockets_of(id: u32) -> Vec<PathBuf> {
    let folders = folders().into_iter();
    folders
        .map(|folder| folder.join(format!("{id}.sock")))
        .collect()
}

/// What is known about a process from the system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    None,
    /// Of the same user.
    Ours,
    /// Of another user, if its number is known.
    Theirs(Option<u32>),
}

/// Whether there is such a process, and whose it is.
pub(crate) fn existence(id: u32) -> Existence {
    let Some(process) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return Existence::None;
    };
    let signalled = test_kill_process(process);
    if signalled == Err(Errno::SRCH) {
        return Existence::None;
    }
    match owner(id) {
        Some(user) if user == geteuid().as_raw() => Existence::Ours,
        Some(user) => Existence::Theirs(Some(user)),
        None if signalled == Err(Errno::PERM) => Existence::Theirs(None),
        None => Existence::Ours,
    }
}

/// The user a process runs as, where there is a `/proc`.
///
/// Source: proc_pid_status(5), the second number of the line `Uid`. The owner of the folder is not it: that is root for a
/// process that changed its user.
fn owner(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Every process that can be inspected, by its number. What processes left behind that are no more is passed over; the
/// next program to be inspected removes it.
pub(crate) fn processes() -> Vec<Process> {
    let mut found = BTreeMap::new();
    let folders = folders().into_iter();
    let entries = folders.filter_map(|folder| fs::read_dir(folder).ok());
    for path in entries
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
    {
        let is_socket = path.extension().is_some_and(|ending| ending == "sock");
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(id) = stem.and_then(|stem| stem.parse().ok()) else {
            continue;
        };
        if is_socket && !found.contains_key(&id) {
            found.extend(look(id, &path).map(|process| (id, process)));
        }
    }
    found.into_values().collect()
}

/// Asks one for the list; none if nobody listens.
fn look(id: u32, socket: &Path) -> Option<Process> {
    let answer = ask_at(id, socket, Question::Process).transpose()?;
    Some(match answer.and_then(|answer| answer.read::<Processes>()) {
        Ok(told) => Process {
            process: told.process,
            program: told.program,
            runtimes: Some(told.runtimes),
            trouble: None,
        },
        Err(error) => Process {
            process: id,
            program: "?".to_owned(),
            runtimes: None,
            trouble: Some(error.to_string()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_ours_and_the_greatest_number_is_nobodys() {
        assert_eq!(existence(std::process::id()), Existence::Ours);
        assert_eq!(existence(999_999_999), Existence::None);
        assert_eq!(existence(0), Existence::None);
        assert_eq!(existence(u32::MAX), Existence::None);
    }

    #[test]
    fn each_folder_is_looked_at_once() {
        let folders = folders();
        let mut once = folders.clone();
        once.sort();
        once.dedup();
        assert_eq!(folders.len(), once.len(), "{folders:?}");
    }
}
