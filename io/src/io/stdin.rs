//! Standard input.
//!
//! It may be a terminal, a pipe or a file, and it is shared with other processes, so it must not be put into non-blocking
//! mode. One thread of the process reads it, one piece each time that somebody asks:
//!
//! ```text
//!   idle ── a task asks ──> asked ── the thread begins ──> reading ── it is through ──> answered
//!    ^                                                                                     │
//!    └──────────────── the tasks have taken all of the answer ─────────────────────────────┘
//! ```
//!
//! An answer belongs to whoever takes it, so a read that is dropped loses nothing. **Rejected**: the pool for blocking work.
//! A read that nobody ends would keep a runtime from ending until its grace is over.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal, Read};
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::{Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_io::AsyncRead;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::lock_std;

/// What is read at once, at most.
const LARGEST: usize = 64 * 1024;

/// How long the thread stays when nobody asks.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

static SHARED: Mutex<Shared> = Mutex::new(Shared {
    state: State::Idle,
    waiting: Vec::new(),
    has_thread: false,
});

static ASKED: Condvar = Condvar::new();

/// What tasks and the thread share.
struct Shared {
    state: State,
    /// Woken by each answer.
    waiting: Vec<Waker>,
    has_thread: bool,
}

enum State {
    Idle,
    /// So many bytes are wanted.
    Asked(usize),
    Reading,
    /// Empty: the end of the input.
    Answered(io::Result<VecDeque<u8>>),
}

/// The standard input of this process.
///
/// It reads through the buffer of [`std::io::stdin`], so that both may be used in turn. For lines there is
/// [`BufReader`](super::BufReader).
///
/// # Examples
///
/// ```no_run
/// # use rt_tasks_io as rt;
/// use futures_lite::StreamExt;
/// use rt::io::{AsyncBufReadExt, BufReader};
/// # rt_tasks_runtime::block_on(async {
/// let mut lines = BufReader::new(rt::io::stdin()).lines();
/// while let Some(line) = lines.try_next().await? {
///     println!("you said {line}");
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin(())
}

/// Standard input; made by [`stdin`].
///
/// Several tasks may read: each piece goes to one of them.
///
/// # Cancel safety
///
/// A read that is dropped has taken no byte. What the system gave meanwhile is for the next read, of whomever.
pub struct Stdin(());

impl Stdin {
    /// Whether somebody sits there.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        std::task::ready!(coop::poll_proceed(cx));
        // Cloned before the lock is held: a waker is foreign code.
        let waker = cx.waker().clone();
        let mut shared = lock_std(&SHARED);
        match std::mem::replace(&mut shared.state, State::Idle) {
            State::Answered(Ok(mut bytes)) => {
                let n_read = bytes.read(buffer)?;
                if !bytes.is_empty() {
                    shared.state = State::Answered(Ok(bytes));
                }
                return Poll::Ready(Ok(n_read));
            }
            State::Answered(Err(error)) => return Poll::Ready(Err(error)),
            State::Idle => {
                if !shared.has_thread {
                    start()?;
                    shared.has_thread = true;
                }
                shared.state = State::Asked(buffer.len().min(LARGEST));
                ASKED.notify_one();
            }
            under_way => shared.state = under_way,
        }
        if !shared.waiting.iter().any(|other| other.will_wake(&waker)) {
            shared.waiting.push(waker);
        }
        drop(shared);
        coop::restore();
        Poll::Pending
    }
}

fn start() -> io::Result<()> {
    let builder = thread::Builder::new().name("rt-stdin".to_owned());
    builder.spawn(serve).map(drop)
}

/// The life of the thread, until nobody has asked for a while.
fn serve() {
    while let Some(len) = next() {
        let mut bytes = vec![0; len];
        let answer = loop {
            match io::stdin().read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let answer = answer.map(|n_read| {
            bytes.truncate(n_read);
            VecDeque::from(bytes)
        });
        let waiting = {
            let mut shared = lock_std(&SHARED);
            shared.state = State::Answered(answer);
            std::mem::take(&mut shared.waiting)
        };
        for waker in waiting {
            // A panic of a foreign waker must not end the reading.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
    }
}

/// Waits until somebody asks; how much is wanted.
fn next() -> Option<usize> {
    let mut shared = lock_std(&SHARED);
    loop {
        if let State::Asked(len) = shared.state {
            shared.state = State::Reading;
            return Some(len);
        }
        let (back, waited) = match ASKED.wait_timeout(shared, KEEP_ALIVE) {
            Ok(woken) => woken,
            Err(poisoned) => poisoned.into_inner(),
        };
        shared = back;
        if waited.timed_out() && !matches!(shared.state, State::Asked(_)) {
            shared.has_thread = false;
            return None;
        }
    }
}

#[cfg(unix)]
impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        static STDIN: std::sync::OnceLock<io::Stdin> = std::sync::OnceLock::new();
        STDIN.get_or_init(io::stdin).as_fd()
    }
}

#[cfg(unix)]
impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        io::stdin().as_raw_fd()
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}
