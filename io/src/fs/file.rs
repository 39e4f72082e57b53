//! Open files.
//!
//! What the system has in its cache is read at once, where the system can refuse to read anything else. For the rest
//! a file does one call on the pool at a time. The call owns the buffer it reads into or writes from, so a future
//! that is dropped meanwhile leaves nothing dangling; whatever comes next first waits for the call:
//!
//! ```text
//!   read   : input empty ──> call reads into input ──> bytes are handed out of input
//!   write  : bytes are copied into output, the call writes them; `write` does not wait for it
//!   seek, write with input left over: the call first goes back by what nobody has read
//! ```

use std::fmt;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};
use rt_tasks_runtime::{JoinHandle, coop, spawn_mandatory};

use super::cache::{self, Cached};
use super::operation::Operation;
use super::options::OpenOptions;
use super::{Metadata, Permissions};
use crate::error::cannot;

/// What one call on the pool reads or writes at most. Callers who ask for more get it in pieces.
const LARGEST: usize = 1 << 20;

/// An open file.
///
/// It is read, written and positioned through [`AsyncRead`], [`AsyncWrite`] and [`AsyncSeek`].
///
/// A write returns when the bytes have been taken over, while they are being written. **Its error comes from
/// the next** write, read, seek, flush, close or sync. So end with [`flush`](futures_lite::AsyncWriteExt::flush),
/// [`close`](futures_lite::AsyncWriteExt::close) or [`sync_all`](Self::sync_all): dropped without, the file still
/// writes what it took over, for which the end of the runtime waits within its grace; but nobody learns whether that
/// succeeded.
///
/// # Cancel safety
///
/// - *read*: nothing is lost. A call under way is finished, and the next read gets what it read; a write or a seek
///   instead begins where the last read that returned has ended (except in what has no position, as a pipe:
///   there the bytes wait for the next read).
/// - *write*: nothing is lost or doubled. A write that was dropped before it returned has taken nothing; one that
///   has returned has taken all it said. Which bytes are in the file after an error is not known.
/// - *seek*: a dropped one may or may not have taken place; the same one again completes it.
/// - *flush*, *close*, `sync_*`, `set_len`: may or may not have taken place.
///
/// # Examples
///
/// ```
/// # use rt_tasks_io as rt;
/// use rt::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
/// # rt_tasks_runtime::block_on(async {
/// # let path = std::env::temp_dir().join(format!("rt-file-{}", std::process::id()));
/// let mut file = rt::fs::OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
/// file.write_all(b"one two").await?;
/// file.seek(SeekFrom::Start(4)).await?;
/// let mut rest = String::new();
/// file.read_to_string(&mut rest).await?;
/// assert_eq!(rest, "two");
/// # rt::fs::remove_file(&path).await?;
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct File {
    file: Arc<fs::File>,
    /// For errors.
    path: Option<Arc<Path>>,
    /// The call under way.
    call: Option<JoinHandle<Done>>,
    /// The position the call under way goes to, if it is a seek.
    seeking: Option<SeekFrom>,
    /// Bytes that have been read from the system and by nobody else.
    input: Input,
    /// The buffer of writes while none is under way.
    output: Vec<u8>,
    /// The system has not said yet that it cannot tell whether reading blocks.
    may_read_inline: bool,
}

#[derive(Default)]
struct Input {
    /// All of it is initialised, for use as a buffer.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn copy_to(&mut self, buffer: &mut [u8]) -> usize {
        let n = self.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.bytes[self.start..self.start + n]);
        self.start += n;
        n
    }

    /// One read of `file`, of at most `len` bytes.
    fn fill(&mut self, mut file: &fs::File, len: usize) -> io::Result<()> {
        self.clear();
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        loop {
            match file.read(&mut self.bytes[..len]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.end = result?;
                    return Ok(());
                }
            }
        }
    }
}

/// What has come of a call.
enum Done {
    Read(Input, io::Result<()>),
    Written {
        output: Vec<u8>,
        /// The position went back first: the input is no longer ahead of it.
        went_back: bool,
        result: io::Result<()>,
    },
    Sought(io::Result<u64>),
}

impl File {
    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::open`], with the path.
    pub fn open(path: impl AsRef<Path>) -> Operation<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file to write it, empties it if it is there and creates it if not.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::create`], with the path.
    pub fn create(path: impl AsRef<Path>) -> Operation<Self> {
        let what = "create";
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Operation::on(what, path, move |path| {
            Ok(Self::new(options.open(path)?, Some(path)))
        })
    }

    /// Creates a file that is not there yet, to read and write it.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::create_new`], with the path.
    pub fn create_new(path: impl AsRef<Path>) -> Operation<Self> {
        Operation::on("create", path, |path| {
            Ok(Self::new(fs::File::create_new(path)?, Some(path)))
        })
    }

    pub(super) fn new(file: fs::File, path: Option<&Path>) -> Self {
        Self {
            file: Arc::new(file),
            path: path.map(Arc::from),
            call: None,
            seeking: None,
            input: Input::default(),
            output: Vec::new(),
            may_read_inline: true,
        }
    }

    /// The same file, which has this path now.
    pub(super) fn renamed(mut self, path: &Path) -> Self {
        self.path = Some(Arc::from(path));
        self
    }

    /// The file as the system knows it.
    #[cfg(all(unix, feature = "net"))]
    pub(crate) fn shared(&self) -> Arc<fs::File> {
        self.file.clone()
    }

    /// Takes a file of the standard library over. Its errors cannot name the path.
    pub fn from_std(file: fs::File) -> Self {
        Self::new(file, None)
    }

    /// Hands the file to the standard library, at the position where the last read or write ended.
    ///
    /// # Cancel safety
    ///
    /// The file is closed.
    ///
    /// # Errors
    ///
    /// That of a write before.
    pub async fn into_std(mut self) -> io::Result<fs::File> {
        poll_fn(|cx| self.poll_exact(cx)).await?;
        match Arc::try_unwrap(self.file) {
            Ok(file) => Ok(file),
            // A call for metadata that nobody waits for is still under way.
            Err(shared) => shared.try_clone(),
        }
    }

    /// Waits until everything written is on the disk, with the file's metadata.
    ///
    /// # Cancel safety
    ///
    /// It may or may not have taken place.
    ///
    /// # Errors
    ///
    /// That of a write before; those of [`std::fs::File::sync_all`], with the path.
    pub async fn sync_all(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.run("sync", fs::File::sync_all).await
    }

    /// Waits until everything written is on the disk, with as much metadata as it takes to read it.
    ///
    /// # Cancel safety
    ///
    /// It may or may not have taken place.
    ///
    /// # Errors
    ///
    /// As for [`sync_all`](Self::sync_all).
    pub async fn sync_data(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.run("sync", fs::File::sync_data).await
    }

    /// Cuts the file off after `len` bytes, or fills it with zeros up to there. The position stays.
    ///
    /// # Cancel safety
    ///
    /// It may or may not have taken place.
    ///
    /// # Errors
    ///
    /// That of a write before; those of [`std::fs::File::set_len`], with the path.
    pub async fn set_len(&mut self, len: u64) -> io::Result<()> {
        poll_fn(|cx| self.poll_idle(cx)).await?;
        self.run("resize", move |file| file.set_len(len)).await
    }

    /// What is known of the file. Flush it first, if the size matters.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::metadata`], with the path.
    pub fn metadata(&self) -> Operation<Metadata> {
        self.run("look up", fs::File::metadata)
    }

    /// Changes who may do what with the file.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::set_permissions`], with the path.
    pub fn set_permissions(&self, permissions: Permissions) -> Operation<()> {
        let what = "change the permissions of";
        self.run(what, move |file| file.set_permissions(permissions))
    }

    /// Sets when the file was last read and changed, as far as `times` says.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::File::set_times`], with the path.
    pub fn set_times(&self, times: fs::FileTimes) -> Operation<()> {
        self.run("set the times of", move |file| file.set_times(times))
    }

    /// A second handle to the same file, with which it shares the position.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// That of a write before; those of [`std::fs::File::try_clone`], with the path.
    pub async fn try_clone(&mut self) -> io::Result<Self> {
        poll_fn(|cx| self.poll_exact(cx)).await?;
        let clone = self.file.try_clone();
        let path = self.path.as_deref();
        let clone = clone.map_err(|error| about("open again", path, error))?;
        Ok(Self::new(clone, path))
    }

    /// Waits until no call is under way and the position is where the last read or write has ended.
    fn poll_exact(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_idle(cx))?;
        if self.input.len() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_seek_to(cx, SeekFrom::Current(0)).map_ok(|_| ())
    }

    /// A call of its own, beside what the file itself does.
    fn run<T>(
        &self,
        what: &'static str,
        call: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let (file, path) = (self.file.clone(), self.path.clone());
        Operation::new(move || call(&file).map_err(|error| about(what, path.as_deref(), error)))
    }

    /// Starts a call. There is none under way.
    fn start(&mut self, call: impl FnOnce(&fs::File) -> Done + Send + 'static) {
        let file = self.file.clone();
        self.call = Some(spawn_mandatory(move || call(&file)));
    }

    /// Waits for the call under way and takes its buffers back; what it did is returned, once.
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Outcome>> {
        let Some(call) = &mut self.call else {
            return Poll::Ready(Ok(Outcome::Idle));
        };
        let done = ready!(Pin::new(call).poll(cx));
        self.call = None;
        let sought = self.seeking.take();
        let path = self.path.as_deref();
        Poll::Ready(match done {
            Err(lost) => Err(io::Error::other(lost)),
            Ok(Done::Read(input, result)) => {
                self.input = input;
                Ok(Outcome::Read(
                    result.map_err(|error| about("read", path, error)),
                ))
            }
            Ok(Done::Written {
                output,
                went_back,
                result,
            }) => {
                self.output = output;
                if went_back {
                    self.input.clear();
                }
                result
                    .map_err(|error| about("write", path, error))
                    .map(|()| Outcome::Idle)
            }
            Ok(Done::Sought(result)) => {
                if result.is_ok() {
                    self.input.clear();
                }
                let result = result.map_err(|error| about("seek in", path, error));
                Ok(sought.map_or(Outcome::Idle, |target| Outcome::Sought(target, result)))
            }
        })
    }

    /// Waits until no call is under way. Only the error of a write is reported: what else there was
    /// belonged to a future that has been dropped, and can be asked again.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_call(cx).map_ok(|_| ())
    }

    fn poll_seek_to(&mut self, cx: &mut Context<'_>, target: SeekFrom) -> Poll<io::Result<u64>> {
        loop {
            match ready!(self.poll_call(cx))? {
                Outcome::Sought(sought, result) if sought == target => return Poll::Ready(result),
                _ => {}
            }
            let ahead = self.input.len() as i64;
            self.seeking = Some(target);
            self.start(move |mut file| {
                let target = match target {
                    SeekFrom::Current(offset) => SeekFrom::Current(offset.saturating_sub(ahead)),
                    absolute => absolute,
                };
                Done::Sought(file.seek(target))
            });
        }
    }
}

/// What [`File::poll_call`] has waited for, as far as somebody may still want to know.
enum Outcome {
    Idle,
    Read(io::Result<()>),
    Sought(SeekFrom, io::Result<u64>),
}

/// An error with the path, where that is known.
#[cold]
fn about(what: &'static str, path: Option<&Path>, error: io::Error) -> io::Error {
    match path {
        Some(path) => cannot(format_args!("{what} {}", path.display()), error),
        None => error,
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if let Outcome::Read(result) = ready!(self.poll_call(cx))? {
                // Empty after a successful read: the end.
                result?;
                return Poll::Ready(Ok(self.input.copy_to(buffer)));
            }
            if self.input.len() > 0 {
                return Poll::Ready(Ok(self.input.copy_to(buffer)));
            }
            let len = buffer.len().min(LARGEST);
            if self.may_read_inline {
                ready!(coop::poll_proceed(cx));
                match cache::read(&self.file, &mut buffer[..len]) {
                    Cached::Read(n_read) => return Poll::Ready(Ok(n_read)),
                    Cached::Not => coop::restore(),
                    Cached::Never => self.may_read_inline = false,
                }
            }
            let mut input = mem::take(&mut self.input);
            self.start(move |file| {
                let result = input.fill(file, len);
                Done::Read(input, result)
            });
        }
    }
}

impl AsyncWrite for File {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let n_taken = bytes.len().min(LARGEST);
        let ahead = self.input.len() as i64;
        let mut output = mem::take(&mut self.output);
        output.clear();
        output.extend_from_slice(&bytes[..n_taken]);
        self.start(move |mut file| {
            // What has no position cannot go back, and need not: reading does not move where it is written.
            let went_back = ahead > 0 && file.seek(SeekFrom::Current(-ahead)).is_ok();
            let result = file.write_all(&output);
            Done::Written {
                output,
                went_back,
                result,
            }
        });
        Poll::Ready(Ok(n_taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_idle(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_idle(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        self.poll_seek_to(cx, target)
    }
}

impl From<fs::File> for File {
    fn from(file: fs::File) -> Self {
        Self::from_std(file)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("file", &self.file)
            .field("busy", &self.call.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(unix)]
impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
