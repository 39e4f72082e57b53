//! Runs the `mirror` example as users run it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Nothing here takes longer, not even on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// How a run ended and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    /// `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }
}

/// Runs the program to its end.
pub(crate) fn mirror(arguments: &[&dyn AsRef<Path>]) -> Run {
    let arguments = arguments.iter().map(|argument| (*argument).as_ref());
    Program::start(Command::new(binary()).args(arguments)).ended()
}

/// Starts the program and leaves it running.
pub(crate) fn start(places: &[&Path], settings: &[&str]) -> Program {
    Program::start(Command::new(binary()).args(places).args(settings))
}

/// Runs the program where no file may become longer than `limit`: writing more fails as on a full disk.
#[cfg(unix)]
pub(crate) fn mirror_with_small_files(limit: u64, places: &[&Path]) -> Run {
    // POSIX counts in blocks of 512 bytes, and bash as `sh` in POSIX mode does too.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", limit / 512);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg("sh").arg(binary());
    Program::start(shell.args(places)).ended()
}

/// The built example. `cargo test` builds it too, but not when it is told to build one test only.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let name = format!("mirror{}", std::env::consts::EXE_SUFFIX);
        let binary = profile.join("examples").join(name);
        if !is_current(&binary) {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--example", "mirror"]);
            build.current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            assert!(
                build.status().unwrap().success(),
                "the example does not build"
            );
        }
        binary
    })
}

/// Whether the binary is newer than all it is built from.
fn is_current(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let Ok(built) = modified(binary) else {
        return false;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [
        "examples/mirror",
        "src",
        "runtime/src",
        "sync/src",
        "io/src",
        "macros/src",
    ];
    sources
        .iter()
        .all(|folder| newest(&root.join(folder)) <= built)
}

fn newest(path: &Path) -> SystemTime {
    let metadata = fs::metadata(path).unwrap();
    if !metadata.is_dir() {
        return metadata.modified().unwrap();
    }
    let entries = fs::read_dir(path).unwrap();
    let times = entries.map(|entry| newest(&entry.unwrap().path()));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A running program. Dropped, it is killed.
pub(crate) struct Program {
    child: Child,
    began: Instant,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        Program {
            child,
            began: Instant::now(),
        }
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Run {
        let stdout = read_aside(self.child.stdout.take());
        let stderr = read_aside(self.child.stderr.take());
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if self.began.elapsed() < LIMIT => thread::sleep(Duration::from_millis(5)),
                None => {
                    self.child.kill().unwrap();
                    let said = (stdout.join().unwrap(), stderr.join().unwrap());
                    panic!("it does not end; it said {said:?}");
                }
            }
        };
        Run {
            status: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    }

    /// Does what Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_aside(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).unwrap();
        }
        text
    })
}

/// `mirror --serve`, listening.
pub(crate) struct Server {
    pub(crate) url: String,
    program: Program,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub(crate) fn start(from: &Path, settings: &[&str]) -> Self {
        let places = [OsStr::new("--serve"), from.as_os_str()];
        let mut command = Command::new(binary());
        command
            .args(places)
            .args(["--listen", "127.0.0.1:0"])
            .args(settings);
        let mut program = Program::start(&mut command);
        let mut stdout = BufReader::new(program.child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.rsplit(' ').next().unwrap().trim().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line:?}");
        Server {
            url,
            program,
            stdout,
        }
    }

    /// Sends one request, such as `GET /`, on a connection of its own and returns the whole answer.
    pub(crate) fn ask(&self, request: &str) -> String {
        let authority = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(authority).unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let _ = stream.shutdown(Shutdown::Both);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Interrupts it and waits for its end.
    #[cfg(unix)]
    pub(crate) fn interrupt(mut self) -> Run {
        self.program.interrupt();
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        let mut run = self.program.ended();
        run.stdout = said;
        run
    }
}

/// Whether permissions mean nothing to this process.
#[cfg(unix)]
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// The user without rights of any kind, on every system that has one.
#[cfg(unix)]
const NOBODY: u32 = 65534;

/// A folder that somebody without rights may write, beside a tree he may read.
#[cfg(unix)]
pub(crate) fn unprivileged_folder(place: &tempfile::TempDir, tree: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(place.path(), 0o777), (tree, 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    place.path().join("out")
}

/// Writes a file that nobody but root can read.
#[cfg(unix)]
pub(crate) fn make_unreadable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, "locked").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
}

/// Runs the program without root's rights.
#[cfg(unix)]
pub(crate) fn mirror_unprivileged(places: &[&Path]) -> Run {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return Program::start(Command::new(binary()).args(places)).ended();
    }
    // The folder it was built in may be closed to others.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("mirror");
    // In a process of its own: a child that another test starts meanwhile could inherit the descriptor that writes,
    // and as long as it is open nobody may run the copy.
    let copied = Command::new("cp").args([binary(), &copy]).status();
    assert!(copied.unwrap().success());
    Program::start(Command::new(&copy).args(places).uid(NOBODY).gid(NOBODY)).ended()
}

/// Folders for unfinished files that are still there.
pub(crate) fn unfinished_folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(".unfinished"))
        .collect()
}
