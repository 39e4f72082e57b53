//! Traces that a runtime writes to a file when it ends.

use std::process::Command;

use rt::Builder;

use crate::viewer::View;

/// The variable that says to which file a process of this test records.
const FILE: &str = "RT_RECORD";

fn run() {
    for name in ["first", "second"] {
        let runtime = Builder::new().build().unwrap();
        let task = rt::task::Builder::new().name(name);
        runtime.block_on(async { task.spawn(async {}).await.unwrap() });
    }
}

#[test]
fn the_end_of_a_runtime_writes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    let runtime = Builder::new().trace_file(&path).build().unwrap();
    runtime.block_on(async {
        let task = rt::task::Builder::new().name("fetch").spawn(async {});
        task.await.unwrap();
    });
    drop(runtime);
    let view = View::parse(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(view.named("fetch").len(), 1);
}

/// Each runtime of a process has a file of its own.
#[test]
fn the_environment_asks_for_files() {
    if std::env::var_os(FILE).is_some() {
        return run();
    }
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "file::the_environment_asks_for_files"])
        .env(FILE, folder.path().join("trace.json"))
        .status()
        .unwrap();
    assert!(status.success());
    for (file, task) in [("trace.json", "first"), ("trace-2.json", "second")] {
        let json = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(View::parse(&json).named(task).len(), 1, "{file}");
    }
}
