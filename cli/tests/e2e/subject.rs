//! Programs to be looked at. Each is this very test binary, started again to play a part until it is ended.

#[path = "../../../examples/trouble/two_locks.rs"]
#[allow(dead_code)] // Its `main` is for those who run it.
mod two_locks;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Says which part the binary is to play.
const PART: &str = "RT_TEST_PART";

/// The only line of its output that is ours.
const READY: &str = "the subject is ready";

/// A program that runs until this is dropped, with a folder of its own for its socket.
pub(crate) struct Subject {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: TempDir,
}

impl Subject {
    /// Starts one that can be inspected, and waits until it has set its scene.
    pub(crate) fn start(part: &str) -> Self {
        Self::start_with(part, |command| {
            command.env("RT_INSPECT", "1");
        })
    }

    /// Starts one with something changed.
    pub(crate) fn start_with(part: &str, change: impl FnOnce(&mut Command)) -> Self {
        let folder = TempDir::new().unwrap();
        Self::start_in(folder, &std::env::current_exe().unwrap(), part, change)
    }

    /// Starts one from a binary, with its folder.
    pub(crate) fn start_in(
        folder: TempDir,
        binary: &Path,
        part: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(binary);
        command
            .args(["--exact", "subject::plays_its_part", "--nocapture"])
            .env(PART, part)
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("RT_INSPECT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut subject = Self {
            child,
            input,
            output,
            folder,
        };
        subject.await_ready();
        subject
    }

    fn await_ready(&mut self) {
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            let n_read = self.output.read_line(&mut line).unwrap();
            assert!(n_read > 0, "the subject ended before it was ready");
        }
    }

    /// Has it go on to its next scene.
    pub(crate) fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
        self.await_ready();
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// What is to be `XDG_RUNTIME_DIR`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        let name = format!("{}.sock", self.id());
        self.folder.path().join("rt").join(name)
    }

    /// The names of its threads, where the system tells.
    pub(crate) fn threads(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{}/task", self.id())) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| {
            let name = std::fs::read_to_string(entry.ok()?.path().join("comm"));
            Some(name.ok()?.trim().to_owned())
        });
        names.collect()
    }

    /// Runs `rt` with these arguments, where it finds this program.
    pub(crate) fn rt(&self, arguments: &[&str]) -> Output {
        rt(self.folder(), arguments)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `rt` with a folder for sockets.
pub(crate) fn rt(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rt"));
    command.args(arguments).env("XDG_RUNTIME_DIR", folder);
    command.output().unwrap()
}

/// What a command printed, with its errors where it failed.
#[track_caller]
pub(crate) fn printed(output: &Output, status: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    match status {
        2 => err,
        _ => out,
    }
}

/// Not a test but the programs: does nothing unless it is told its part.
#[test]
fn plays_its_part() {
    match std::env::var(PART).as_deref() {
        Ok("idle") => idle(),
        Ok("by_code") => by_code(),
        Ok("two_locks") => rt::block_on(async {
            say_ready();
            two_locks::transfer_and_audit().await;
        }),
        Ok("blocked") => blocked(),
        Ok("crowd") => crowd(),
        Ok("busy_crowd") => busy_crowd(),
        Ok("comes_and_goes") => comes_and_goes(),
        Ok(part) => panic!("there is no part {part}"),
        Err(_) => {}
    }
}

fn say_ready() {
    let mut out = io::stdout().lock();
    writeln!(out, "{READY}").unwrap();
    out.flush().unwrap();
}

/// Waits until the other end writes a line; ends the process when the other end is gone.
fn await_line() {
    let mut line = String::new();
    if io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
}

/// Two runtimes with a few tasks that wait.
fn idle() {
    let runtimes =
        ["one", "two"].map(|name| rt::Builder::new().workers(1).name(name).build().unwrap());
    for runtime in &runtimes {
        let builder = rt::task::Builder::new().name("sleeper");
        let _entered = runtime.handle().enter();
        builder.spawn(rt::sleep(Duration::from_secs(3600)));
        let task = rt::task::Builder::new().name("ticker").spawn(async {
            loop {
                rt::sleep(Duration::from_millis(5)).await;
            }
        });
        drop(task);
    }
    for runtime in &runtimes {
        let is_waiting = |info: &rt::TaskInfo| info.waiting_on.is_some();
        while !runtime.dump().tasks().iter().all(is_waiting) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    say_ready();
    await_line();
}

/// Two runtimes that do not leave it to the environment.
fn by_code() {
    let build = |name: &str, inspect| {
        let builder = rt::Builder::new().workers(1).name(name);
        builder.inspect(inspect).build().unwrap()
    };
    let _runtimes = [build("open", true), build("closed", false)];
    say_ready();
    await_line();
}

/// More tasks that block their thread than there can be threads, and one that never comes to run.
fn blocked() {
    const MOST_SPARES: usize = 56;
    static N_BLOCKED: AtomicUsize = AtomicUsize::new(0);
    let runtime = rt::Builder::new().workers(2).build().unwrap();
    let _entered = runtime.handle().enter();
    for _ in 0..2 * MOST_SPARES {
        rt::task::Builder::new().name("blocks").spawn(async {
            N_BLOCKED.fetch_add(1, SeqCst);
            loop {
                thread::park();
            }
        });
    }
    while N_BLOCKED.load(SeqCst) < MOST_SPARES + 2 {
        thread::sleep(Duration::from_millis(5));
    }
    say_ready();
    await_line();
    // The runtime cannot end: its workers are blocked for good.
    std::process::exit(0);
}

/// So many tasks that a picture of them does not fit into the buffers of a socket.
fn crowd() {
    let runtime = rt::Builder::new().workers(2).build().unwrap();
    for _ in 0..20_000 {
        runtime.spawn(std::future::pending::<()>());
    }
    say_ready();
    await_line();
}

/// So many tasks that wait in a program at work.
pub(crate) const CROWD: usize = 100_000;

/// A crowd that waits, and a task for each worker that is polled all the time.
fn busy_crowd() {
    let runtime = rt::Builder::new().workers(2).build().unwrap();
    for _ in 0..CROWD {
        runtime.spawn(rt::sleep(Duration::from_secs(3600)));
    }
    let _entered = runtime.handle().enter();
    for _ in 0..2 {
        let busy = rt::task::Builder::new().name("busy");
        drop(busy.spawn(async {
            loop {
                rt::yield_now().await;
            }
        }));
    }
    while runtime.dump().tasks().iter().any(|task| task.polls == 0) {
        thread::sleep(Duration::from_millis(1));
    }
    say_ready();
    await_line();
}

/// A runtime that ends, another one, and then two at once.
fn comes_and_goes() {
    let build = || rt::Builder::new().workers(1).build().unwrap();
    let first = build();
    say_ready();
    await_line();
    drop(first);
    say_ready();
    await_line();
    let barrier = Barrier::new(2);
    let both = thread::scope(|scope| {
        let builds = [(); 2].map(|()| {
            scope.spawn(|| {
                barrier.wait();
                // Ends as the other begins.
                (0..50).for_each(|_| drop(build()));
                build()
            })
        });
        builds.map(|thread| thread.join().unwrap())
    });
    say_ready();
    await_line();
    drop(both);
}
