//! Tests that need a process of their own: they count its descriptors, or take them all.

use std::env;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{RwLock, RwLockReadGuard};

/// Held, in writing, while a process is made: for a moment it has copies of all descriptors.
static MAKING_A_PROCESS: RwLock<()> = RwLock::new(());

const ALONE: &str = "RT_TEST_ALONE";

/// Runs `test`, which is the test `name` of this binary, in a process of its own.
#[track_caller]
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return test();
    }
    let making = MAKING_A_PROCESS.write().unwrap();
    let mut process = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Linux lets who makes a process go on when that has its own memory, which is before its copies are closed. Once it
    // speaks, they are.
    let mut first = [0; 1];
    let has_spoken = process.stdout.as_mut().unwrap().read(&mut first);
    drop(making);
    has_spoken.unwrap();
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// While this is held a descriptor that is closed is closed: no process that is just being made has a copy.
pub(crate) fn sole_owner() -> RwLockReadGuard<'static, ()> {
    MAKING_A_PROCESS.read().unwrap()
}

/// How many descriptors this process has open, but for files of `/proc`: one of those is the list that is read here, and
/// the monitor of a runtime looks there too when a machine is busy.
pub(crate) fn n_descriptors() -> usize {
    let list = fs::read_dir("/dev/fd").unwrap();
    // One that is closed meanwhile leads nowhere.
    let leads = list.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    leads.filter(|lead| !lead.starts_with("/proc")).count()
}
