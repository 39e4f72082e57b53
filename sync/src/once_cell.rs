//! A value that is made when it is first wanted, by one of those who want it.
//!
//! Making the value may wait, and may be given up: the task is cancelled, or fails. So it is a *turn*,
//! which one has at a time, and which whoever stops without a value hands to the next in line. Where
//! several want the value, one of them makes it and the others wait; if that one gives up, the next goes
//! on with its own way of making it.
//!
//! # The protocol
//!
//! The state under the wait list's lock says whether somebody has the turn, and who, so that dumps can
//! tell. Who finds neither a value nor the turn taken takes the turn; the others stand in line, and are
//! granted one of two answers. Ending a turn with a value grants `Value` to the whole line; ending it
//! without one grants `Turn` to the front, and only if nobody is there is the turn free. Dropping a `Turn`
//! is ending it without a value, so that a cancellation, an error and a panic are the same thing here.
//!
//! # Invariants
//!
//! 1. At most one `Turn` exists, or is granted to a waiter that does not know yet. While there is one
//!    the state says that it is taken.
//! 2. Until `is_set` is, `value` is touched by whoever has the turn only. `is_set` is set by ending a
//!    turn with a value, after the value was written. From then on nobody gets a turn any more, and the
//!    value is only read, but for those who have the cell to themselves (`&mut`).
//! 3. Somebody is in line only while there is a turn.
//!
//! # Memory ordering
//!
//! `made`: the store of `is_set` releases the value, and what its maker did; a look that finds it set
//! acquires them.

use std::fmt;
use std::future::{Future, ready};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::UnsafeCell;
use rt_tasks_runtime::shim::atomic::AtomicBool;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::{self, Holder, WaitKind};

use crate::park;
use crate::stats::OnceCellStats;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// A cell for a value that is made once, by an async function, when it is first wanted.
///
/// Of several who want it at the same time one makes it and the others wait for it. If that one is
/// cancelled, fails or panics, the next in line makes it.
///
/// Wanting the value of a cell in the function that makes it waits for ever; a deadlock report says so.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// async fn config() -> &'static str {
///     CONFIG.get_or_init(|| async { "read from afar".to_owned() }).await
/// }
/// # futures_lite::future::block_on(async {
/// assert_eq!(config().await, "read from afar");
/// assert_eq!(CONFIG.get().unwrap(), "read from afar");
/// # });
/// ```
pub struct OnceCell<T> {
    is_set: AtomicBool,
    value: UnsafeCell<Option<T>>,
    /// Whether somebody has the turn; and who waits until it ends.
    line: WaitList<Taken, Answer>,
}

/// Whether somebody has the turn, and who.
struct Taken {
    is_taken: bool,
    /// The number of who has it; zero if that is not known.
    by: u64,
    /// Who has it in the table for dumps, once somebody had to wait.
    holder: Option<Holder>,
}

impl Taken {
    const FREE: Self = Self {
        is_taken: false,
        by: 0,
        holder: None,
    };

    fn set_by(&mut self, id: u64) {
        self.by = id;
        if let Some(holder) = &self.holder {
            holder.set(id);
        }
    }

    /// What waiters give as their resource.
    fn number(&mut self) -> u64 {
        let by = self.by;
        self.holder
            .get_or_insert_with(|| Holder::enter(by))
            .number()
    }
}

// SAFETY: Invariant 2: the value moves from its maker's thread to others, several of which read it.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

/// What a waiter is granted.
#[derive(Clone, Copy)]
enum Answer {
    /// The value is there.
    Value,
    /// The one before gave up.
    Turn,
}

/// The right to make the value. Dropped without one, it goes to the next in line.
struct Turn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<T> OnceCell<T> {
    const_unless_loom! {
        /// Makes a cell without a value.
        pub const fn new() -> Self {
            Self {
                is_set: AtomicBool::new(false),
                value: UnsafeCell::new(None),
                line: WaitList::new(Taken::FREE),
            }
        }
    }

    /// The value, if it is there.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rt_tasks_sync::OnceCell::new();
    /// assert_eq!(cell.get(), None);
    /// cell.set(7).unwrap();
    /// assert_eq!(cell.get(), Some(&7));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.is_set() {
            return None;
        }
        self.value.with(|value| {
            // SAFETY: Invariant 2: it is set, so that it is only read while the cell is borrowed.
            unsafe { &*value }.as_ref()
        })
    }

    /// The value, to be changed by the only one who has the cell.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.with_mut(|value| {
            // SAFETY: the cell is borrowed by nobody else, so that there are no turns and no readers.
            unsafe { &mut *value }.as_mut()
        })
    }

    /// The value, out of the cell.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rt_tasks_sync::OnceCell::from("value");
    /// assert_eq!(cell.into_inner(), Some("value"));
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Puts a value in that was made already.
    ///
    /// # Errors
    ///
    /// The value, when there is one in the cell, or somebody is making it.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rt_tasks_sync::OnceCell::new();
    /// assert_eq!(cell.set("first"), Ok(()));
    /// assert_eq!(cell.set("second"), Err("second"));
    /// ```
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut turn = self.line.lock();
        // Relaxed: it is set under the lock that is held.
        if turn.is_taken || self.is_set.load(Relaxed) {
            drop(turn);
            return Err(value);
        }
        turn.is_taken = true;
        drop(turn);
        Turn { cell: self }.end_with(value);
        Ok(())
    }

    /// The value; if there is none, the future that `make` returns makes it.
    ///
    /// `make` is called only by who has the turn.
    ///
    /// # Cancel safety
    ///
    /// A dropped call drops the future that makes the value, and the next in line makes it instead. Who
    /// only waited gives up its place.
    ///
    /// # Panics
    ///
    /// The future does, when it is polled after it returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let cell = rt_tasks_sync::OnceCell::new();
    /// assert_eq!(cell.get_or_init(|| async { 1 }).await, &1);
    /// assert_eq!(cell.get_or_init(|| async { 2 }).await, &1);
    /// # });
    /// ```
    pub fn get_or_init<F, M>(&self, make: F) -> GetOrInit<'_, T, F, M>
    where
        F: FnOnce() -> M,
        M: Future<Output = T>,
    {
        GetOrInit {
            making: Making::new(self, make),
        }
    }

    /// The value; if there is none, the future that `make` returns makes it, or fails.
    ///
    /// # Cancel safety
    ///
    /// As for [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// That of the future which this call made. The others who wait do not see it: the next in line tries
    /// for itself.
    ///
    /// # Panics
    ///
    /// The future does, when it is polled after it returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let cell = rt_tasks_sync::OnceCell::new();
    /// let failed = cell.get_or_try_init(|| async { "x".parse::<u32>() }).await;
    /// assert!(failed.is_err());
    /// assert_eq!(cell.get_or_try_init(|| async { "7".parse::<u32>() }).await, Ok(&7));
    /// # });
    /// ```
    pub fn get_or_try_init<E, F, M>(&self, make: F) -> GetOrTryInit<'_, T, F, M>
    where
        F: FnOnce() -> M,
        M: Future<Output = Result<T, E>>,
    {
        GetOrTryInit {
            making: Making::new(self, make),
        }
    }

    /// The value, on a plain thread: `make` makes it there, if nobody else does, for whom the thread
    /// sleeps.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rt_tasks_sync::OnceCell::new();
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| cell.get_or_init_blocking(|| 7));
    ///     assert_eq!(cell.get_or_init_blocking(|| 7), &7);
    /// });
    /// ```
    pub fn get_or_init_blocking(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => park::block_on(self.get_or_init(|| ready(make()))),
        }
    }

    /// A look at the cell and at how many wait until its value is made.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rt_tasks_sync::OnceCell::from(7);
    /// assert!(cell.stats().is_set);
    /// ```
    #[must_use]
    pub fn stats(&self) -> OnceCellStats {
        OnceCellStats {
            is_set: self.is_set(),
            n_waiting: self.line.lock().len(0),
        }
    }

    #[inline]
    fn is_set(&self) -> bool {
        // ORDERING(made): Acquire, for the store in `end_with`.
        self.is_set.load(Acquire)
    }

    /// Takes the turn if it is free and there is no value; otherwise waits in line.
    #[cold]
    fn poll_clear(&self, waiter: Pin<&Waiter<Answer>>, cx: &mut Context<'_>) -> Poll<Answer> {
        let waker = cx.waker().clone();
        let mut turn = self.line.lock();
        // Relaxed: it is set under the lock that is held.
        let answer = if self.is_set.load(Relaxed) {
            Answer::Value
        } else if !turn.is_taken {
            turn.is_taken = true;
            turn.set_by(wait::me());
            Answer::Turn
        } else {
            wait::begins(WaitKind::Init, turn.number());
            turn.enqueue(None, 0, waiter, Answer::Value, waker);
            return Poll::Pending;
        };
        drop(turn);
        Poll::Ready(answer)
    }

    /// Waits on in line.
    #[cold]
    fn poll_line(&self, waiter: Pin<&Waiter<Answer>>, cx: &mut Context<'_>) -> Poll<Answer> {
        let polled = self.line.poll(waiter, cx);
        match polled {
            Poll::Pending => wait::goes_on(WaitKind::Init, self.line.lock().number()),
            Poll::Ready(Answer::Turn) => self.line.lock().set_by(wait::me()),
            Poll::Ready(Answer::Value) => {}
        }
        polled
    }
}

/// Ends a turn without a value: the next in line gets it, if there is one.
fn hand_over(turn: &mut Locked<'_, Taken, Answer, 1>) {
    // Who gets it says so when it is polled.
    turn.set_by(0);
    turn.is_taken = turn.grant(0, Answer::Turn);
}

impl<'a, T> Turn<'a, T> {
    /// Ends the turn with the value, and lets everyone go who waits for it.
    fn end_with(self, value: T) -> &'a T {
        let cell = self.cell;
        // It is ended below.
        mem::forget(self);
        cell.value.with_mut(|place| {
            // SAFETY: Invariant 2: this was the turn, and `is_set` is not yet set.
            unsafe { *place = Some(value) }
        });
        let mut turn = cell.line.lock();
        turn.is_taken = false;
        turn.set_by(0);
        // ORDERING(made): Release, for the look in `is_set`.
        cell.is_set.store(true, Release);
        turn.grant_all(0, Answer::Value);
        drop(turn);
        cell.get().expect("it was put there above")
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        hand_over(&mut self.cell.line.lock());
    }
}

pin_project! {
    /// Waits for the value or for the turn; with the turn, makes the value.
    struct Making<'a, T, F, M> {
        cell: &'a OnceCell<T>,
        #[pin]
        waiter: Waiter<Answer>,
        // Until it is called.
        make: Option<F>,
        // Dropped before the turn: the next does not begin before this one has cleaned up.
        #[pin]
        future: Option<M>,
        turn: Option<Turn<'a, T>>,
    }

    impl<T, F, M> PinnedDrop for Making<'_, T, F, M> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                let mut turn = this.cell.line.lock();
                if let Left::Granted(Answer::Turn) = turn.leave(this.waiter.as_ref()) {
                    hand_over(&mut turn);
                }
            }
        }
    }
}

/// How [`Making`] ends.
enum Made<'a, T, O> {
    /// The value is there.
    Found(&'a T),
    /// The future has returned this, and the turn is to be ended.
    Returned(Turn<'a, T>, O),
}

impl<'a, T, F, M> Making<'a, T, F, M>
where
    F: FnOnce() -> M,
    M: Future,
{
    fn new(cell: &'a OnceCell<T>, make: F) -> Self {
        Self {
            cell,
            waiter: Waiter::new(),
            make: Some(make),
            future: None,
            turn: None,
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Made<'a, T, M::Output>> {
        if self.turn.is_none() {
            match ready!(self.as_mut().poll_answer(cx)) {
                Answer::Value => {
                    let value = self.cell.get().expect("the answer says that it is there");
                    return Poll::Ready(Made::Found(value));
                }
                Answer::Turn => *self.as_mut().project().turn = Some(Turn { cell: self.cell }),
            }
        }
        let mut this = self.project();
        if this.future.is_none() {
            let make = this.make.take();
            let make = make.expect("a call of a cell was polled after it had returned");
            this.future.set(Some(make()));
        }
        let future = this.future.as_mut().as_pin_mut();
        let output = ready!(future.expect("it was put there above").poll(cx));
        this.future.set(None);
        let turn = this.turn.take().expect("who makes the value has the turn");
        Poll::Ready(Made::Returned(turn, output))
    }

    fn poll_answer(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        ready!(coop::poll_proceed(cx));
        let this = self.project();
        let waiter = this.waiter.as_ref();
        let polled = if !waiter.is_idle() {
            this.cell.poll_line(waiter, cx)
        } else if this.cell.is_set() {
            Poll::Ready(Answer::Value)
        } else {
            this.cell.poll_clear(waiter, cx)
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

pin_project! {
    /// The value of a cell, made if need be; see [`OnceCell::get_or_init`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct GetOrInit<'a, T, F, M> {
        #[pin]
        making: Making<'a, T, F, M>,
    }
}

impl<'a, T, F, M> Future for GetOrInit<'a, T, F, M>
where
    F: FnOnce() -> M,
    M: Future<Output = T>,
{
    type Output = &'a T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'a T> {
        let made = ready!(self.project().making.poll(cx));
        Poll::Ready(match made {
            Made::Found(value) => value,
            Made::Returned(turn, value) => turn.end_with(value),
        })
    }
}

pin_project! {
    /// The value of a cell, made if need be, or the error; see [`OnceCell::get_or_try_init`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct GetOrTryInit<'a, T, F, M> {
        #[pin]
        making: Making<'a, T, F, M>,
    }
}

impl<'a, T, E, F, M> Future for GetOrTryInit<'a, T, F, M>
where
    F: FnOnce() -> M,
    M: Future<Output = Result<T, E>>,
{
    type Output = Result<&'a T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let made = ready!(self.project().making.poll(cx));
        Poll::Ready(match made {
            Made::Found(value) => Ok(value),
            Made::Returned(turn, output) => output.map(|value| turn.end_with(value)),
        })
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    /// Makes a cell that has its value.
    fn from(value: T) -> Self {
        Self {
            is_set: AtomicBool::new(true),
            value: UnsafeCell::new(Some(value)),
            line: WaitList::new(Taken::FREE),
        }
    }
}

impl<T> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell")
            .field("is_set", &self.is_set())
            .field("waiting", &self.line.lock().len(0))
            .finish()
    }
}

impl<T, F, M> fmt::Debug for GetOrInit<'_, T, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.making.show("GetOrInit", f)
    }
}

impl<T, F, M> fmt::Debug for GetOrTryInit<'_, T, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.making.show("GetOrTryInit", f)
    }
}

impl<T, F, M> Making<'_, T, F, M> {
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("has_turn", &self.turn.is_some())
            .field("waiter", &self.waiter)
            .finish()
    }
}
