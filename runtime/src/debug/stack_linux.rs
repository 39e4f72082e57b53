//! The stack of another thread, by asking it: a signal interrupts it, and its handler writes down where it is.
//!
//! # What is safe in a handler
//!
//! It interrupts its thread anywhere, also inside `malloc` or with a lock held. So it calls nothing that allocates
//! or locks: it walks the stack and stores bare addresses into memory that is there from the beginning. Names are
//! looked up afterwards, by the thread that asked.
//!
//! Walking needs the unwinder, since code is compiled without frame pointers. Strictly, POSIX does not say that an
//! unwinder may be called in a handler. What we rely on: since glibc 2.35 it finds its tables without a lock, before
//! that under a lock that a thread may take twice; the one thing that it does only once, it has done
//! before the first signal is sent; and the thread has been in one poll for long, so it is hardly unwinding
//! itself. Profilers rely on the same. Rejected: copying the stack in the handler and unwinding the
//! copy, which is safe by the letter, and needs an unwinder of our own. It is debug mode, and nothing else does it.
//!
//! # The trap
//!
//! The signal is `SIGURG`, which the system ignores by default and hardly anybody uses; if the program
//! has a handler for it, there are no stacks. A system call that is interrupted goes on by itself (`SA_RESTART`),
//! but not all do: `poll`, `epoll_wait` and `nanosleep` end with `EINTR`. The standard library then calls
//! again; foreign code that takes it for an error is wrong, and debug mode brings it to light.
//!
//! # Invariants
//!
//! 1. `state` is `WANTED` or later only while its asker holds `ASKERS`, and it alone moves it to `WANTED` and
//!    back to `IDLE`.
//! 2. Frames are written by the one handler that moved `state` from `WANTED` to `WRITING`.
//!
//! # Memory ordering
//!
//! `stack`: the handler releases the frames by `DONE`, and the asker acquires them.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::shim::lock_std;

/// Nobody asks.
const IDLE: u32 = 0;
/// A thread is asked.
const WANTED: u32 = 1;
/// It is writing.
const WRITING: u32 = 2;
/// It has written.
const DONE: u32 = 3;

/// Frames that are written down at most.
const MOST_FRAMES: usize = 128;

/// Lines of a report at most.
const MOST_LINES: usize = 32;

/// How often the asker sleeps before it gives up, and for how long: 200 ms on a machine at rest. It counts its own
/// naps and not the clock, since on a busy machine both threads wait for a processor.
const MOST_NAPS: u32 = 400;
const NAP: Duration = Duration::from_micros(500);

static ASKERS: Mutex<()> = Mutex::new(());
static STATE: AtomicU32 = AtomicU32::new(IDLE);
static THREAD: AtomicI32 = AtomicI32::new(0);
static N_FRAMES: AtomicUsize = AtomicUsize::new(0);
static FRAMES: [AtomicUsize; MOST_FRAMES] = [const { AtomicUsize::new(0) }; MOST_FRAMES];

/// Where a thread was: addresses in its code, from the innermost call outwards.
pub(super) struct Frames(Vec<usize>);

/// Asks a thread of this process where it is.
pub(super) fn capture(thread: u32) -> Result<Frames, &'static str> {
    let thread = i32::try_from(thread).map_err(|_| "the thread is not known")?;
    let _only_asker = lock_std(&ASKERS);
    if !install() {
        return Err("the program has a handler for SIGURG");
    }
    if STATE.load(Ordering::Relaxed) != IDLE {
        return Err("a thread has not answered, and may do so yet");
    }
    N_FRAMES.store(0, Ordering::Relaxed);
    THREAD.store(thread, Ordering::Relaxed);
    // ORDERING(stack): Release, whom we ask, for the handler.
    STATE.store(WANTED, Ordering::Release);
    if !interrupt(thread) {
        STATE.store(IDLE, Ordering::Relaxed);
        return Err("the thread is gone");
    }
    let mut n_naps = 0;
    // ORDERING(stack): Acquire, for the frames.
    while STATE.load(Ordering::Acquire) != DONE {
        if n_naps == MOST_NAPS {
            // If it has begun to write, it stays in the way of the next asker until it is through.
            let _ = STATE.compare_exchange(WANTED, IDLE, Ordering::Relaxed, Ordering::Relaxed);
            return Err("the thread did not answer");
        }
        n_naps += 1;
        std::thread::sleep(NAP);
    }
    let n_frames = N_FRAMES.load(Ordering::Relaxed).min(MOST_FRAMES);
    let frames: Vec<usize> = FRAMES[..n_frames]
        .iter()
        .map(|frame| frame.load(Ordering::Relaxed))
        .collect();
    STATE.store(IDLE, Ordering::Relaxed);
    Ok(Frames(frames))
}

/// Installs the handler, once. False: the program has one of its own.
fn install() -> bool {
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    *IS_OURS.get_or_init(|| {
        // What the unwinder does only once.
        backtrace::trace(|_| true);
        // SAFETY: all zeros is a value of this structure: the default action, no flags, an empty mask.
        let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: no new action is given, and the old one has a place.
        let asked = unsafe { libc::sigaction(libc::SIGURG, std::ptr::null(), &mut before) };
        if asked != 0 || before.sa_sigaction != libc::SIG_DFL {
            return false;
        }
        // SAFETY: as above.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler does what the head of this file says, and is there as long as the process.
        unsafe { libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()) == 0 }
    })
}

/// Sends the signal to one thread of this process; false if there is no such thread.
fn interrupt(thread: i32) -> bool {
    // The process id may not be cached: after a fork it would be another's.
    let process = i64::from(std::process::id());
    // SAFETY: the call takes three numbers and touches no memory of ours.
    unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            process,
            i64::from(thread),
            i64::from(libc::SIGURG),
        ) == 0
    }
}

/// The handler: it allocates nothing, takes no lock and keeps `errno`.
extern "C" fn on_signal(_signal: i32) {
    // SAFETY: the thread's own cell.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: the call takes nothing.
    let here = unsafe { libc::syscall(libc::SYS_gettid) };
    // ORDERING(stack): Acquire, for whom the asker asks.
    let is_wanted = STATE.load(Ordering::Acquire) == WANTED
        && here == i64::from(THREAD.load(Ordering::Relaxed))
        && STATE
            .compare_exchange(WANTED, WRITING, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
    if is_wanted {
        write_frames();
        // ORDERING(stack): Release, the frames.
        STATE.store(DONE, Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Writes down where this thread is.
fn write_frames() {
    let write = |frame: &backtrace::Frame| {
        let n_frames = N_FRAMES.load(Ordering::Relaxed);
        let Some(place) = FRAMES.get(n_frames) else {
            return false;
        };
        place.store(frame.ip() as usize, Ordering::Relaxed);
        N_FRAMES.store(n_frames + 1, Ordering::Relaxed);
        true
    };
    // SAFETY: it must not run at the same time as itself, because it is not said to be safe with threads where names
    // are looked up; here nothing is looked up, and Invariant 2 lets one handler in.
    unsafe { backtrace::trace_unsynchronized(write) };
}

/// Names were looked up before, so the debug information of the program is read.
static IS_READ: AtomicBool = AtomicBool::new(false);

impl Frames {
    /// Whether finding the names takes no long time.
    pub(super) fn are_names_at_hand(&self) -> bool {
        IS_READ.load(Ordering::Relaxed)
    }

    /// The names of the frames between the handler and the poll.
    pub(super) fn names(&self) -> Vec<String> {
        let lines: Vec<Line> = self
            .0
            .iter()
            .flat_map(|address| lines_at(*address))
            .collect();
        IS_READ.store(true, Ordering::Relaxed);
        let handler = lines.iter().rposition(Line::is_of_handler);
        let lines = &lines[handler.map_or(0, |last| last + 1)..];
        lines
            .iter()
            .take_while(|line| !line.is_of_runtime())
            .take(MOST_LINES)
            .map(|line| format!("{}{}", line.name, line.place))
            .collect()
    }
}

/// One function in a stack.
struct Line {
    name: String,
    place: String,
}

impl Line {
    fn is_of_handler(&self) -> bool {
        self.name.contains("on_signal")
    }

    /// From here on outwards it is the runtime that polls.
    fn is_of_runtime(&self) -> bool {
        const FILES: [&str; 2] = ["src/task/harness.rs:", "src/scheduler/guest.rs:"];
        self.name.contains("task::harness::poll_body")
            || FILES.iter().any(|file| self.place.contains(file))
    }
}

/// The function at an address, and those that were inlined there.
fn lines_at(address: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    // A return address is that of the next instruction, which may belong to another line.
    let inside = address.saturating_sub(1) as *mut c_void;
    backtrace::resolve(inside, |symbol| {
        let Some(name) = symbol.name() else { return };
        let place = match (symbol.filename(), symbol.lineno()) {
            (Some(file), Some(line)) => format!(" ({}:{line})", file.display()),
            _ => String::new(),
        };
        let name = format!("{name:#}");
        lines.push(Line { name, place });
    });
    lines
}
