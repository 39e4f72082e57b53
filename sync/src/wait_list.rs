//! The one wait queue under every primitive of this crate.
//!
//! Lost wake-ups are the bug that every library of this kind has had, usually in several places: a
//! waiter is woken, is dropped before it could act on that, and nobody else is told. So there is one
//! queue here, it is the only file that touches waiters, and everything else is arithmetic on top of it.
//!
//! # The protocol
//!
//! A [`WaitList`] is a lock over two things: the state that its owner decides by, and one or more lines
//! of waiters. A [`Waiter`] lives inside the future that waits, pinned, so waiting allocates nothing.
//!
//! 1. To wait, lock, *look at the state once more*, and only if the answer is still no,
//!    [`enqueue`](Locked::enqueue). Whoever changes the state does it under the same lock, or makes
//!    certain to take the lock afterwards; so between the look and the enqueueing nothing can be missed.
//! 2. To let somebody go on, lock and [`grant`](Locked::grant): the front of the line leaves it, and is
//!    from then on the owner of what it waited for, whether or not it has run since. That makes the lines
//!    fair: nobody can come in between, because there is no moment at which the thing is free.
//! 3. A waiter learns of its grant in [`poll`](WaitList::poll), without the lock. It takes the lock there only if its
//!    task has another waker than before.
//! 4. A future that is dropped calls [`leave`](Locked::leave). A waiter that was still in line is gone
//!    from it; one that had been granted something gets [`Left::Granted`], and its future has to give
//!    the grant on to the next (rule T: an operation that was cancelled did not happen).
//!
//! Wakers are user code. They are cloned, called and dropped outside the lock: `grant` only collects
//! them, and they are called, first granted first, when [`Locked`] has released the lock. A waker that
//! panics keeps no other from being called, and leaves no lock poisoned.
//!
//! # Invariants
//!
//! 1. A waiter is in one of three phases. Only its own future moves it from `IDLE` to `WAITING`, and
//!    only under the lock; from `WAITING` it is moved under the lock, to `GRANTED` by `grant` or to
//!    `IDLE` by `leave`; from `GRANTED` to `IDLE` only by its own future.
//! 2. While it is `WAITING`, its node is touched under the lock only. In the other phases it is touched
//!    by its own future only.
//! 3. The pointers of a line, and those between nodes, lead to waiters that are `WAITING`, all of them in
//!    this list.
//! 4. A waiter does not move, nor is its memory used for something else, before it is dropped (it is
//!    pinned), and it is not dropped while it is `WAITING`: its future has called `leave` by then. Where
//!    a bug breaks that the process is aborted, because another thread is about to follow the pointer.
//! 5. A waiter returns to the list it was enqueued in: the node keeps that list's address, and every
//!    method that is given a waiter checks it.
//! 6. A node is initialised while its waiter is not `IDLE`. When it becomes so its waker has been taken,
//!    so that nothing in it needs dropping.
//! 7. `note` of a waiter is touched by its own future only, and is initialised together with the node.
//! 8. While a waiter is `WAITING`, its node has a waker, and `note` says which one that is.
//!
//! # Memory ordering
//!
//! The lock orders all but one thing. `grant`: the granter's store of `GRANTED` releases the payload and
//! all it did before, the future's load acquires them, without the lock. It is the granter's last access
//! to the waiter, which may be gone the next moment.

mod wakers;

use std::fmt;
use std::marker::PhantomPinned;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, RawWakerVTable, Waker};

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::shim::atomic::AtomicU8;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::shim::{self, Mutex, MutexGuard, UnsafeCell};
use rt_tasks_runtime::wait::{self, WaitKind};

use self::wakers::Wakers;
pub(crate) use self::wakers::shielded;
use crate::burst::lock_in_bursts;

/// In no line, and nothing is granted: not yet waiting, or through with it.
const IDLE: u8 = 0;
/// In a line.
const WAITING: u8 = 1;
/// Taken out of its line by `grant`; its future has not seen that yet.
const GRANTED: u8 = 2;

/// A lock over a primitive's state `S` and its lines of waiters, each of which carries a payload `P`.
pub(crate) struct WaitList<S, P, const LINES: usize = 1> {
    inner: Mutex<Inner<S, P, LINES>>,
}

struct Inner<S, P, const LINES: usize> {
    state: S,
    lines: [Line<P>; LINES],
}

/// A doubly linked list of waiters, the longest waiting first.
struct Line<P> {
    front: *const Waiter<P>,
    back: *const Waiter<P>,
    len: usize,
}

// SAFETY: the pointers are followed only under the lock (Invariants 2 and 3); what moves from thread to
// thread with them are payloads and wakers.
unsafe impl<P: Send> Send for Line<P> {}

/// One place in a line; part of the future that waits.
pub(crate) struct Waiter<P> {
    phase: AtomicU8,
    /// Not initialised while the waiter is idle: most waits are over before they began, and cost no more
    /// than the byte above.
    node: UnsafeCell<MaybeUninit<Node<P>>>,
    note: UnsafeCell<MaybeUninit<Note>>,
    _pinned: PhantomPinned,
}

// SAFETY: Invariants 1 and 2: the future's thread and those that hold the lock never touch the node at
// the same time, so that sharing a waiter is no more than sending its payload.
unsafe impl<P: Send> Send for Waiter<P> {}
// SAFETY: as above.
unsafe impl<P: Send> Sync for Waiter<P> {}

struct Node<P> {
    /// The address of the list that the waiter is or was in (Invariant 5).
    list: *const (),
    line: u32,
    ahead: *const Waiter<P>,
    behind: *const Waiter<P>,
    /// Whom to wake; taken by `grant`.
    waker: Option<Waker>,
    /// What is asked for, and after the grant the answer.
    payload: P,
}

/// What a waiter's future remembers of its own place in line, so that it need not look there.
#[derive(Clone, Copy)]
struct Note {
    /// What dumps are to say of the wait; none where the owner of the list says it.
    kind: Option<WaitKind>,
    /// Which waker the node has.
    waker: Identity,
}

/// What a waker is known by: nobody has the same while there is one of them.
type Identity = (*const (), *const RawWakerVTable);

fn identity(waker: &Waker) -> Identity {
    (waker.data(), ptr::from_ref(waker.vtable()))
}

/// What a future that stops waiting leaves behind.
#[derive(Debug)]
#[must_use = "what was granted must be given on"]
pub(crate) enum Left<P> {
    /// It was not in line.
    Idle,
    /// It was in line, and is no longer.
    Waiting,
    /// It had been granted this, and nobody has it now.
    Granted(P),
}

/// The lock, held. When it is dropped it releases the lock, then wakes those who were granted something.
pub(crate) struct Locked<'a, S, P, const LINES: usize> {
    // The order of the fields is the order in which they are dropped: first the lock is released.
    guard: MutexGuard<'a, Inner<S, P, LINES>>,
    granted: Wakers,
    /// The waker of the waiter that left.
    left: Option<Waker>,
    list: &'a WaitList<S, P, LINES>,
}

/// The lock, held by one who has nobody to wake: the cheapest way to look at the state, and to change it while
/// nobody waits for the change.
pub(crate) struct Quiet<'a, S, P, const LINES: usize> {
    guard: MutexGuard<'a, Inner<S, P, LINES>>,
    list: &'a WaitList<S, P, LINES>,
}

impl<S, P: Copy, const LINES: usize> WaitList<S, P, LINES> {
    const_unless_loom! {
        /// Makes a list in which nobody waits.
        pub(crate) const fn new(state: S) -> Self {
            Self {
                inner: Mutex::new(Inner {
                    state,
                    lines: [const { Line::new() }; LINES],
                }),
            }
        }
    }

    /// Takes the lock.
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, S, P, LINES> {
        self.lock_quietly().into_granting()
    }

    /// Takes the lock, perhaps not to grant anything.
    #[inline]
    pub(crate) fn lock_quietly(&self) -> Quiet<'_, S, P, LINES> {
        Quiet {
            guard: lock_in_bursts(&self.inner),
            list: self,
        }
    }

    /// Asks whether a waiter that was enqueued has been granted what it waits for.
    ///
    /// Returns its payload, as `grant` has left it; then the waiter is idle again.
    #[inline]
    pub(crate) fn poll(&self, waiter: Pin<&Waiter<P>>, cx: &mut Context<'_>) -> Poll<P> {
        match waiter.redeem() {
            Some(payload) => Poll::Ready(payload),
            None => self.poll_waiting(waiter, cx),
        }
    }

    /// Sees to it that the waiter's latest waker is the one that will be called.
    #[cold]
    fn poll_waiting(&self, waiter: Pin<&Waiter<P>>, cx: &mut Context<'_>) -> Poll<P> {
        assert!(
            !waiter.is_idle(),
            "a waiter is polled only after it was enqueued"
        );
        // SAFETY: Invariant 7: it is not idle, and this is its future's thread.
        let note = unsafe { waiter.with_note(|note| *note) };
        // Invariant 8. It was waiting a moment ago, so the waker in line and this one were there at the same time; and
        // whoever takes it out now calls it.
        if note.waker == identity(cx.waker()) {
            self.note(note.kind, wait::goes_on);
            return Poll::Pending;
        }
        self.poll_elsewhere(waiter, note.kind, cx)
    }

    /// As `poll_waiting`, in another task than before.
    #[cold]
    fn poll_elsewhere(
        &self,
        waiter: Pin<&Waiter<P>>,
        kind: Option<WaitKind>,
        cx: &mut Context<'_>,
    ) -> Poll<P> {
        // Cloned and dropped without the lock: both may run any code.
        let mut waker = cx.waker().clone();
        let latest = identity(&waker);
        let swap = |stored: &mut Waker| std::mem::swap(stored, &mut waker);
        if self.lock().with_waker_of(waiter, swap).is_none() {
            let granted = waiter.redeem();
            return Poll::Ready(granted.expect("a waiter that left its line was granted"));
        }
        // SAFETY: Invariant 7: it was enqueued, and this is its future's thread.
        unsafe { waiter.with_note(|note| note.waker = latest) };
        self.note(kind, wait::goes_on);
        Poll::Pending
    }

    fn address(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Says what the running task waits for.
    fn note(&self, kind: Option<WaitKind>, note: fn(WaitKind, u64)) {
        if let Some(kind) = kind {
            note(kind, self.address().addr() as u64);
        }
    }
}

impl<'a, S, P: Copy, const LINES: usize> Quiet<'a, S, P, LINES> {
    /// Whether nobody waits in a line.
    #[inline]
    pub(crate) fn is_empty(&self, line: usize) -> bool {
        self.guard.lines[line].len == 0
    }

    /// Goes on under the same lock, with somebody to wake.
    #[inline]
    pub(crate) fn into_granting(self) -> Locked<'a, S, P, LINES> {
        Locked {
            guard: self.guard,
            granted: Wakers::none(),
            left: None,
            list: self.list,
        }
    }
}

impl<S, P: Copy, const LINES: usize> Locked<'_, S, P, LINES> {
    /// Puts an idle waiter at the end of a line, and says for dumps what kind of thing the running task waits for;
    /// nothing, where the caller says it.
    ///
    /// # Panics
    ///
    /// When the waiter is not idle.
    pub(crate) fn enqueue(
        &mut self,
        kind: impl Into<Option<WaitKind>>,
        line: usize,
        waiter: Pin<&Waiter<P>>,
        payload: P,
        waker: Waker,
    ) {
        assert!(waiter.is_idle(), "a waiter stands in one line at a time");
        let kind = kind.into();
        let note = Note {
            kind,
            waker: identity(&waker),
        };
        let address = ptr::from_ref(waiter.get_ref());
        let ahead = std::mem::replace(&mut self.guard.lines[line].back, address);
        let node = Node {
            list: self.list.address(),
            line: line as u32,
            ahead,
            behind: ptr::null(),
            waker: Some(waker),
            payload,
        };
        waiter.note.with_mut(|place| {
            // SAFETY: Invariant 7: this is its future's thread.
            unsafe { (*place).write(note) };
        });
        waiter.node.with_mut(|place| {
            // SAFETY: Invariant 2: the waiter is idle, and this is its future's thread.
            unsafe { (*place).write(node) };
        });
        // Relaxed: until the lock is released nobody else knows of this waiter.
        waiter.phase.store(WAITING, Relaxed);
        // SAFETY: Invariant 3, and the lock is held.
        unsafe { self.link_behind(line, ahead, address) };
        self.guard.lines[line].len += 1;
        self.list.note(kind, wait::begins);
    }

    /// How many wait in a line.
    #[inline]
    pub(crate) fn len(&self, line: usize) -> usize {
        self.guard.lines[line].len
    }

    /// Whether nobody waits in a line.
    #[inline]
    pub(crate) fn is_empty(&self, line: usize) -> bool {
        self.guard.lines[line].len == 0
    }

    /// What the front of a line asks for.
    pub(crate) fn front(&self, line: usize) -> Option<P> {
        let front = self.guard.lines[line].front;
        if front.is_null() {
            return None;
        }
        // SAFETY: Invariants 3 and 4: whoever is in line exists, and cannot leave while the lock is held.
        let waiter = unsafe { &*front };
        // SAFETY: Invariant 2: it is waiting, and the lock is held.
        Some(unsafe { waiter.with_node(|node| node.payload) })
    }

    /// Gives the front of a line what it waits for, with `answer` as its payload.
    ///
    /// Returns false when nobody waits there. It is woken once the lock has been released.
    pub(crate) fn grant(&mut self, line: usize, answer: P) -> bool {
        let front = self.guard.lines[line].front;
        if front.is_null() {
            return false;
        }
        // SAFETY: Invariants 3 and 4, and the lock is held.
        let waiter = unsafe { &*front };
        // SAFETY: Invariant 3: it is in this list.
        unsafe { self.unlink(waiter) };
        // SAFETY: Invariant 2: it is waiting, and the lock is held.
        let waker = unsafe {
            waiter.with_node(|node| {
                node.payload = answer;
                node.waker.take()
            })
        };
        // ORDERING(grant): Release: the waiter's future reads the payload without the lock. From here on
        // the waiter is not touched any more.
        waiter.phase.store(GRANTED, Release);
        self.granted.extend(waker);
        true
    }

    /// Gives everyone who waits in a line the same answer.
    pub(crate) fn grant_all(&mut self, line: usize, answer: P) {
        self.granted.reserve(self.len(line));
        // The line goes as a whole: nobody follows the links of those who are about to leave it.
        let mut front = std::mem::replace(&mut self.guard.lines[line], Line::new()).front;
        while !front.is_null() {
            // SAFETY: Invariants 3 and 4: it was in line, and the lock is held.
            let waiter = unsafe { &*front };
            // SAFETY: Invariant 2: it is waiting, and the lock is held.
            let (behind, waker) = unsafe {
                waiter.with_node(|node| {
                    node.payload = answer;
                    (node.behind, node.waker.take())
                })
            };
            // ORDERING(grant): Release, and the last access, as in `grant`.
            waiter.phase.store(GRANTED, Release);
            self.granted.extend(waker);
            front = behind;
        }
    }

    /// Takes a waiter out of its line, because its future is dropped.
    pub(crate) fn leave(&mut self, waiter: Pin<&Waiter<P>>) -> Left<P> {
        if let Some(payload) = waiter.redeem() {
            return Left::Granted(payload);
        }
        if waiter.is_idle() {
            return Left::Idle;
        }
        // SAFETY: Invariant 2: it is waiting, for it was not granted anything, and the lock is held.
        let (list, waker) = unsafe { waiter.with_node(|node| (node.list, node.waker.take())) };
        assert_eq!(
            list,
            self.list.address(),
            "a waiter leaves the list it is in"
        );
        // SAFETY: Invariant 3: it is waiting, and in this list.
        unsafe { self.unlink(waiter.get_ref()) };
        // Relaxed: only its own future will look.
        waiter.phase.store(IDLE, Relaxed);
        self.left = waker;
        Left::Waiting
    }

    /// Runs `f` on the waker of a waiter, if it is still in line.
    fn with_waker_of<R>(
        &mut self,
        waiter: Pin<&Waiter<P>>,
        f: impl FnOnce(&mut Waker) -> R,
    ) -> Option<R> {
        // Relaxed: the lock is held, so the phase cannot change to or from `WAITING`.
        if waiter.phase.load(Relaxed) != WAITING {
            return None;
        }
        let list = self.list.address();
        // SAFETY: Invariant 2: it is waiting; the lock is that of its list, which the line below checks
        // before anything is changed.
        unsafe {
            waiter.with_node(|node| {
                assert_eq!(node.list, list, "a waiter is polled with the list it is in");
                node.waker.as_mut().map(f)
            })
        }
    }

    /// Takes a waiter out of its line.
    ///
    /// # Safety
    ///
    /// The waiter is in this list.
    unsafe fn unlink(&mut self, waiter: &Waiter<P>) {
        // SAFETY: Invariant 2: whoever is in a line is waiting, and the lock is held.
        let (line, ahead, behind) =
            unsafe { waiter.with_node(|node| (node.line as usize, node.ahead, node.behind)) };
        // SAFETY: Invariant 3 for this waiter's neighbours.
        unsafe { self.link_behind(line, ahead, behind) };
        // SAFETY: as above.
        unsafe { self.link_ahead(line, behind, ahead) };
        self.guard.lines[line].len -= 1;
    }

    /// Makes `behind` the next after `ahead`, or the front of the line where there is no one ahead.
    ///
    /// # Safety
    ///
    /// `ahead` is null or a waiter in this list.
    unsafe fn link_behind(
        &mut self,
        line: usize,
        ahead: *const Waiter<P>,
        behind: *const Waiter<P>,
    ) {
        if ahead.is_null() {
            self.guard.lines[line].front = behind;
            return;
        }
        // SAFETY: Invariant 4, and the caller's promise: it exists.
        let waiter = unsafe { &*ahead };
        // SAFETY: Invariant 2: it is waiting, and the lock is held.
        unsafe { waiter.with_node(|node| node.behind = behind) };
    }

    /// Makes `ahead` the one before `behind`, or the back of the line where there is no one behind.
    ///
    /// # Safety
    ///
    /// `behind` is null or a waiter in this list.
    unsafe fn link_ahead(
        &mut self,
        line: usize,
        behind: *const Waiter<P>,
        ahead: *const Waiter<P>,
    ) {
        if behind.is_null() {
            self.guard.lines[line].back = ahead;
            return;
        }
        // SAFETY: Invariant 4, and the caller's promise: it exists.
        let waiter = unsafe { &*behind };
        // SAFETY: Invariant 2: it is waiting, and the lock is held.
        unsafe { waiter.with_node(|node| node.ahead = ahead) };
    }
}

impl<S, P, const LINES: usize> Deref for Quiet<'_, S, P, LINES> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard.state
    }
}

impl<S, P, const LINES: usize> DerefMut for Quiet<'_, S, P, LINES> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard.state
    }
}

impl<S, P, const LINES: usize> Deref for Locked<'_, S, P, LINES> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.guard.state
    }
}

impl<S, P, const LINES: usize> DerefMut for Locked<'_, S, P, LINES> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.guard.state
    }
}

impl<P: Copy> Waiter<P> {
    /// Makes a waiter that is in no line.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            phase: AtomicU8::new(IDLE),
            node: shim::uninit_cell(),
            note: shim::uninit_cell(),
            _pinned: PhantomPinned,
        }
    }

    /// Whether it is neither in line nor granted anything. Only its own future may ask.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        // Relaxed: Invariant 1: only the asker moves it to and from this phase.
        self.phase.load(Relaxed) == IDLE
    }

    /// Takes what was granted, if something was. Only its own future may ask.
    #[inline]
    fn redeem(&self) -> Option<P> {
        // ORDERING(grant): Acquire, for the store in `grant`.
        if self.phase.load(Acquire) != GRANTED {
            return None;
        }
        // SAFETY: Invariants 2 and 6: it was granted, and this is its future's thread.
        let payload = unsafe { self.with_node(|node| node.payload) };
        // Relaxed: Invariant 1: in this phase nobody else looks.
        self.phase.store(IDLE, Relaxed);
        Some(payload)
    }

    /// # Safety
    ///
    /// Invariants 2 and 6: the waiter is waiting and the caller holds the lock of its list; or it is
    /// granted, and the caller acts for its future.
    #[inline]
    unsafe fn with_node<R>(&self, f: impl FnOnce(&mut Node<P>) -> R) -> R {
        self.node.with_mut(|node| {
            // SAFETY: the caller's promise: nobody else touches the node meanwhile.
            let node = unsafe { &mut *node };
            // SAFETY: the caller's promise, Invariant 6.
            f(unsafe { node.assume_init_mut() })
        })
    }
}

impl<P> Waiter<P> {
    /// # Safety
    ///
    /// Invariant 7: the waiter is not idle, and the caller is its future.
    #[inline]
    unsafe fn with_note<R>(&self, f: impl FnOnce(&mut Note) -> R) -> R {
        self.note.with_mut(|note| {
            // SAFETY: the caller's promise: nobody else touches it.
            let note = unsafe { &mut *note };
            // SAFETY: the caller's promise.
            f(unsafe { note.assume_init_mut() })
        })
    }
}

impl<P> Drop for Waiter<P> {
    fn drop(&mut self) {
        // Relaxed: it is this future's own phase, or the process is lost anyhow.
        if self.phase.load(Relaxed) == WAITING {
            // Invariant 4: a line still leads here.
            std::process::abort();
        }
    }
}

impl<P> fmt::Debug for Waiter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.phase.load(Relaxed) {
            IDLE => "Idle",
            WAITING => "Waiting",
            _ => "Granted",
        })
    }
}

impl<P> Line<P> {
    const fn new() -> Self {
        Self {
            front: ptr::null(),
            back: ptr::null(),
            len: 0,
        }
    }
}

impl<S, P: Copy, const LINES: usize> fmt::Debug for WaitList<S, P, LINES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.lock();
        f.debug_list()
            .entries((0..LINES).map(|line| locked.len(line)))
            .finish()
    }
}
