//! A program that was started.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::{self, ExitStatus, Output};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::try_zip;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use rt_tasks_runtime::timeout;

use super::exit::Process;
use super::pipe::{ChildStderr, ChildStdin, ChildStdout};
use crate::signal::SignalKind;

/// A program that was started; made by [`Command::spawn`](super::Command::spawn).
///
/// Dropping it leaves the program running, unless
/// [`kill_on_drop`](super::Command::kill_on_drop) was asked for. Either way the system is asked for its exit status when
/// it ends, so that no zombie stays.
///
/// The futures it makes do not borrow it: several may wait, and it can be killed meanwhile.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use std::os::unix::process::ExitStatusExt;
/// # rt_tasks_runtime::block_on(async {
/// let mut child = rt::process::Command::new("sleep").arg("1000").spawn()?;
/// let ended = child.wait();
/// child.start_kill()?;
/// assert_eq!(ended.await?.signal(), Some(9));
/// assert!(child.start_kill().is_ok(), "it has ended: nobody is sent anything");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct Child {
    /// To write what the program reads, if that was to be a pipe.
    pub stdin: Option<ChildStdin>,
    /// To read what the program writes, if that was to be a pipe.
    pub stdout: Option<ChildStdout>,
    /// To read what messages the program writes, if that was to be a pipe.
    pub stderr: Option<ChildStderr>,
    process: Arc<Process>,
    kill_on_drop: bool,
}

impl Child {
    /// Takes over what has just been started. If that fails it has ended.
    pub(super) fn new(mut child: process::Child, kill_on_drop: bool) -> io::Result<Self> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Arc::new(Process::new(child)?);
        let mut child = Self {
            stdin: None,
            stdout: None,
            stderr: None,
            process,
            // Until all pipes are there.
            kill_on_drop: true,
        };
        child.stdin = pipes.0.map(ChildStdin::new).transpose()?;
        child.stdout = pipes.1.map(ChildStdout::new).transpose()?;
        child.stderr = pipes.2.map(ChildStderr::new).transpose()?;
        child.kill_on_drop = kill_on_drop;
        Ok(child)
    }

    /// The number that the system knows it by. Once it has been waited for, another program may have it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the program ends. Its input is closed first, with this call, so that it does not wait for more.
    ///
    /// Of a program that a signal has ended, [`ExitStatusExt::signal`](std::os::unix::process::ExitStatusExt::signal)
    /// tells which. If it writes into pipes read them, or it may wait for that for ever; see
    /// [`wait_with_output`](Self::wait_with_output).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost; several futures may wait.
    ///
    /// # Errors
    ///
    /// The runtime that it was started in has been shut down. Somebody else in this process has waited for it, or SIGCHLD
    /// is ignored: then nobody can tell how it ended.
    pub fn wait(&mut self) -> Wait<ExitStatus> {
        self.stdin = None;
        let process = self.process.clone();
        Wait::new(async move { process.exit_status().await })
    }

    /// How the program ended, if it has.
    ///
    /// # Errors
    ///
    /// Somebody else in this process has waited for it, or SIGCHLD is ignored.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Sends a signal. Nothing happens if the program has ended: whoever has its number now is safe.
    ///
    /// # Errors
    ///
    /// There is no such signal; the program has another user by now, and may not be sent any.
    pub fn send_signal(&self, signal: impl Into<SignalKind>) -> io::Result<()> {
        self.process.send(signal.into())
    }

    /// Sends SIGKILL, which ends the program, and does not wait for that.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.send_signal(SignalKind::KILL)
    }

    /// Sends SIGKILL and waits until the program has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the first poll it does nothing but close [`stdin`](Self::stdin), as [`wait`](Self::wait); later, the
    /// signal has been sent.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal) and [`wait`](Self::wait).
    pub fn kill(&mut self) -> Wait<()> {
        let ended = self.wait();
        let process = self.process.clone();
        Wait::new(async move {
            process.send(SignalKind::KILL)?;
            ended.await.map(|_| ())
        })
    }

    /// Asks the program to end, by SIGTERM, and kills it if it has not done so after `grace`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the first poll it does nothing but close [`stdin`](Self::stdin), as [`wait`](Self::wait). Later the
    /// program has been asked, and is not killed if it does not obey: give it to
    /// [`shield`](rt_tasks_runtime::shield()) to be sure.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal) and [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_io as rt;
    /// use std::os::unix::process::ExitStatusExt;
    /// use std::time::Duration;
    /// # rt_tasks_runtime::block_on(async {
    /// let mut child = rt::process::Command::new("sleep").arg("1000").spawn()?;
    /// let status = child.terminate(Duration::from_secs(5)).await?;
    /// assert_eq!(status.signal(), Some(15));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn terminate(&mut self, grace: Duration) -> Wait<ExitStatus> {
        let mut ended = self.wait();
        let process = self.process.clone();
        Wait::new(async move {
            process.send(SignalKind::TERMINATE)?;
            if let Ok(status) = timeout(grace, &mut ended).await {
                return status;
            }
            process.send(SignalKind::KILL)?;
            ended.await
        })
    }

    /// Closes the program's input, reads everything it writes into pipes, and waits until it ends.
    ///
    /// Both pipes are read at the same time, so that it never waits for a full one. They end when everybody has closed
    /// them: that includes programs which this one has started in the background.
    ///
    /// # Cancel safety
    ///
    /// What it has written is lost, and the `Child` is dropped.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), and those of reading.
    pub fn wait_with_output(self) -> Wait<Output> {
        Wait::new(communicate(self, Vec::new()))
    }

    /// Like [`wait_with_output`](Self::wait_with_output), and at the same time writes `input` into the program's input,
    /// if that is a pipe. A program that ends without having read everything is no error.
    ///
    /// # Cancel safety
    ///
    /// What it has written is lost, how much of the input it has read is not known, and the `Child` is dropped.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), and those of reading and writing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_io as rt;
    /// use rt::process::{Command, Stdio};
    /// # rt_tasks_runtime::block_on(async {
    /// let sorting = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// let output = sorting.communicate("b\na\n").await?;
    /// assert_eq!(output.stdout, b"a\nb\n");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn communicate(self, input: impl Into<Vec<u8>>) -> Wait<Output> {
        Wait::new(communicate(self, input.into()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // If it cannot be sent there is nobody to say so to.
            let _ = self.start_kill();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("kill_on_drop", &self.kill_on_drop)
            .finish()
    }
}

/// Waits for a program that has been started, or not.
pub(super) async fn status(child: io::Result<Child>) -> io::Result<ExitStatus> {
    // Kept until then: it is to be killed when it is dropped.
    let mut child = child?;
    child.wait().await
}

async fn communicate(mut child: Child, input: Vec<u8>) -> io::Result<Output> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let read = try_zip(read_all(stdout), read_all(stderr));
    let ((), (stdout, stderr)) = try_zip(feed(stdin, &input), read).await?;
    let status = child.wait().await?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

/// Writes everything, unless the program does not want to read it, and closes the pipe.
async fn feed(pipe: Option<ChildStdin>, input: &[u8]) -> io::Result<()> {
    let Some(mut pipe) = pipe else {
        return Ok(());
    };
    match pipe.write_all(input).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Waits for a program; made by the functions of [`Child`] and [`Command`](super::Command).
#[must_use = "futures do nothing unless polled"]
pub struct Wait<T>(Pin<Box<dyn Future<Output = io::Result<T>> + Send>>);

impl<T> Wait<T> {
    pub(super) fn new(wait: impl Future<Output = io::Result<T>> + Send + 'static) -> Self {
        Self(Box::pin(wait))
    }
}

impl<T> Future for Wait<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}
