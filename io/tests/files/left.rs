//! What is left to do for a file when its runtime ends.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rt_tasks_io::fs::{self, File, OpenOptions};
use rt_tasks_io::io::AsyncWriteExt;
use rt_tasks_runtime::{Builder, Runtime, finally, spawn_blocking};

use crate::{Folder, support};

/// A runtime whose only thread for blocking work has something else to do for a moment, and a file in which somebody has
/// written just then.
fn write_and_leave(path: &Path) -> Runtime {
    let runtime = Builder::new().workers(1).blocking_threads(1);
    let runtime = runtime.build().unwrap();
    runtime.block_on(async {
        let mut file = File::create(path).await.unwrap();
        let (began, begin) = mpsc::channel();
        let _busy = spawn_blocking(move || {
            began.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        });
        begin.recv().unwrap();
        file.write_all(b"taken over").await.unwrap();
    });
    runtime
}

#[test]
fn what_a_file_took_over_is_written_before_the_runtime_has_ended() {
    let folder = Folder::new("left");
    let path = folder.join("text");
    let report = write_and_leave(&path).shutdown(Duration::from_secs(60));
    assert!(report.is_clean(), "{report}");
    assert_eq!(std::fs::read(&path).unwrap(), b"taken over");
    // With no time at all it is written soon after.
    let path = folder.join("late");
    write_and_leave(&path).shutdown(Duration::ZERO);
    support::eventually("it is written", || {
        std::fs::read(&path).unwrap() == b"taken over"
    });
}

#[test]
fn cleanup_at_the_end_of_a_runtime_can_write_files() {
    let folder = Folder::new("cleanup");
    let path = folder.join("state");
    let theirs = path.clone();
    let runtime = Builder::new().workers(2).build().unwrap();
    let (began, begin) = mpsc::channel();
    let body = async move {
        began.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let cleanup = async move {
        fs::write(&theirs, "safe").await.unwrap();
        let mut file = OpenOptions::new();
        let mut file = file.append(true).open(&theirs).await.unwrap();
        file.write_all(b" and sound").await.unwrap();
        file.sync_all().await.unwrap();
    };
    runtime.spawn(finally(body, cleanup));
    begin.recv().unwrap();
    let report = runtime.shutdown(Duration::from_secs(60));
    assert!(report.is_clean(), "{report}");
    assert_eq!(std::fs::read(&path).unwrap(), b"safe and sound");
}
