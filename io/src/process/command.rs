//! How a program is to be started.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use rt_tasks_runtime::Handle;

use super::child::{self, Child, Wait};
use crate::error::cannot;

/// A program to be started, with its arguments, environment and so on; as [`std::process::Command`], where each
/// setting is explained.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncWriteExt};
/// use rt::process::{Command, Stdio};
/// # rt_tasks_runtime::block_on(async {
/// let mut child = Command::new("tr")
///     .args(["a-z", "A-Z"])
///     .stdin(Stdio::piped())
///     .stdout(Stdio::piped())
///     .spawn()?;
/// let mut stdin = child.stdin.take().unwrap();
/// stdin.write_all(b"loud").await?;
/// drop(stdin); // it reads the end of its input
/// let mut heard = String::new();
/// child.stdout.take().unwrap().read_to_string(&mut heard).await?;
/// assert_eq!(heard, "LOUD");
/// assert!(child.wait().await?.success());
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[doc(alias = "create_subprocess_exec")]
pub struct Command {
    command: process::Command,
    kill_on_drop: bool,
    /// Which of stdin, stdout and stderr have been set here.
    is_set: [bool; 3],
}

impl Command {
    /// A program by its path, or by its name, which is looked for in `PATH`. No shell has part in it.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// One more argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args(&mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// What the program is told that its own name is.
    pub fn arg0(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg0(argument);
        self
    }

    /// Sets a variable of its environment, which otherwise is that of this process.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(key, value);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.command.envs(variables);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.command.env_remove(key);
        self
    }

    /// Empties its environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.command.env_clear();
        self
    }

    /// The directory it starts in.
    pub fn current_dir(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        self.command.current_dir(folder);
        self
    }

    /// Where its input comes from: by default from that of this process, in [`output`](Self::output) from nowhere.
    pub fn stdin(&mut self, from: impl Into<Stdio>) -> &mut Self {
        self.command.stdin(from);
        self.is_set[0] = true;
        self
    }

    /// Where its output goes: by default to that of this process, in [`output`](Self::output) into a pipe.
    pub fn stdout(&mut self, to: impl Into<Stdio>) -> &mut Self {
        self.command.stdout(to);
        self.is_set[1] = true;
        self
    }

    /// Where its messages go: by default to those of this process, in [`output`](Self::output) into a pipe.
    pub fn stderr(&mut self, to: impl Into<Stdio>) -> &mut Self {
        self.command.stderr(to);
        self.is_set[2] = true;
        self
    }

    /// The user it runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.command.uid(id);
        self
    }

    /// The group it runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.command.gid(id);
        self
    }

    /// The process group it runs in; zero is a new one. Ctrl-C in the terminal then does not reach it.
    pub fn process_group(&mut self, id: i32) -> &mut Self {
        self.command.process_group(id);
        self
    }

    /// Whether to send SIGKILL when the [`Child`] is dropped before the program has ended, or the future of
    /// [`status`](Self::status) or [`output`](Self::output) is; off by default.
    ///
    /// The drop does not wait for the end; no zombie stays.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_io as rt;
    /// use std::time::Duration;
    /// # rt_tasks_runtime::block_on(async {
    /// let mut sleeping = rt::process::Command::new("sleep");
    /// let status = sleeping.arg("1000").kill_on_drop(true).status();
    /// assert!(rt_tasks_runtime::timeout(Duration::from_millis(1), status).await.is_err());
    /// // The program has been killed.
    /// # });
    /// ```
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Starts the program.
    ///
    /// As in std this blocks until the system has loaded it, a millisecond or so.
    ///
    /// # Errors
    ///
    /// `cannot start <program>: …`: there is no such program, it may not be run, there are no more processes or
    /// descriptors to be had. There is no runtime here, or it has been shut down. After an error nothing runs:
    /// a program that could not be watched has been killed.
    pub fn spawn(&mut self) -> io::Result<Child> {
        Handle::try_current().map_err(|error| self.cannot_start(io::Error::other(error)))?;
        let child = self.command.spawn();
        child
            .and_then(|child| Child::new(child, self.kill_on_drop))
            .map_err(|error| self.cannot_start(error))
    }

    #[cold]
    fn cannot_start(&self, error: io::Error) -> io::Error {
        let program = self.command.get_program();
        cannot(
            format_args!("start {}", Path::new(program).display()),
            error,
        )
    }

    /// Starts the program, with this call, and waits until it ends.
    ///
    /// # Cancel safety
    ///
    /// The program runs on, unless [`kill_on_drop`](Self::kill_on_drop) was asked for.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&mut self) -> Wait<ExitStatus> {
        Wait::new(child::status(self.spawn()))
    }

    /// Starts the program, with this call, and gives what it writes, when it has ended.
    ///
    /// # Cancel safety
    ///
    /// What it has written is lost. The program runs on, with pipes that nobody reads, unless
    /// [`kill_on_drop`](Self::kill_on_drop) was asked for.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    #[doc(alias = "check_output")]
    pub fn output(&mut self) -> Wait<Output> {
        let is_set = self.is_set;
        self.default_stdio(is_set, Stdio::null, Stdio::piped);
        let child = self.spawn();
        self.default_stdio(is_set, Stdio::inherit, Stdio::inherit);
        Wait::new(async move { child?.wait_with_output().await })
    }

    /// Sets what the user has left open.
    fn default_stdio(&mut self, is_set: [bool; 3], input: fn() -> Stdio, output: fn() -> Stdio) {
        if !is_set[0] {
            self.command.stdin(input());
        }
        if !is_set[1] {
            self.command.stdout(output());
        }
        if !is_set[2] {
            self.command.stderr(output());
        }
    }

    /// The command of the standard library, to look at it.
    #[must_use]
    pub fn as_std(&self) -> &process::Command {
        &self.command
    }

    /// The command of the standard library, for settings that are not here. Input and output are better set here:
    /// [`output`](Self::output) does not see what is set there.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.command
    }

    /// The command of the standard library.
    #[must_use]
    pub fn into_std(self) -> process::Command {
        self.command
    }
}

impl From<process::Command> for Command {
    /// What has been set for input and output counts, but not for [`Command::output`].
    fn from(command: process::Command) -> Self {
        Self {
            command,
            kill_on_drop: false,
            is_set: [false; 3],
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("command", &self.command)
            .field("kill_on_drop", &self.kill_on_drop)
            .finish()
    }
}
