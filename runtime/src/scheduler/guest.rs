//! `block_on`: the calling thread becomes a guest worker until its future is ready.
//!
//! A guest takes the seat of an idle worker, so that no more threads run than there are workers, polls its
//! future whenever that was woken, and runs tasks in between. So what it spawns is local to it, a reply that
//! a task sends it costs no system call, and a `block_on` inside a task helps instead of hanging. If no seat is
//! free it *stands*: it polls its own future only, and sleeps in between, until a seat becomes free.
//!
//! # Invariants
//!
//! 1. A guest holds its seat from `take_seat` to `leave_seat`, or until a task that it ran gave it away.
//! 2. The home thread of a guest's seat sleeps until the seat is handed back to it: either it slept unwatched
//!    when the seat was claimed, or it was sent away and has said so.

use std::cell::OnceCell;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use super::Shared;
use super::caller::Caller;
use super::deadlock::Vigil;
use super::seat::Seat;
use super::worker::{Turn, Worker};
use crate::blocking::Job;
use crate::cancel::{ScopeEnd, ScopedBody};
use crate::context::{self, BUDGET};
use crate::debug::{Aside, Polled};
use crate::locals::{Frame, Outside};
use crate::platform::{Inside, NEVER, Parker};
use crate::shim::lock_std;
use crate::sys::ExactTimers;
use crate::task::Ran;
use crate::unhandled::Unhandled;

/// Wakes the future of one `block_on`.
pub(super) struct MainWaker {
    pub(super) caller: Caller,
    is_woken: AtomicBool,
    parker: Parker,
    thread: ThreadId,
    shared: Weak<Shared>,
}

/// Whether this is the waker of the future that `caller` was called with, and not one that a part of it made.
pub(crate) fn is_waker_of(caller: &Caller, waker: &Waker) -> bool {
    let main = ptr::from_ref(caller).wrapping_byte_sub(std::mem::offset_of!(MainWaker, caller));
    ptr::eq(main.cast(), waker.data())
}

impl MainWaker {
    fn new(shared: &Arc<Shared>, caller: Caller) -> Arc<Self> {
        let parker = shared.platform.parker();
        parker.bind();
        Arc::new(Self {
            caller,
            is_woken: AtomicBool::new(true),
            parker,
            thread: std::thread::current().id(),
            shared: Arc::downgrade(shared),
        })
    }

    pub(super) fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::Relaxed)
    }

    /// True if the future was woken and is polled now.
    fn begin_poll(&self) -> bool {
        if !self.is_woken() {
            return false;
        }
        self.caller.begin_poll();
        // ORDERING(main): Acquire, for what the waker wrote. Release, so that at each moment it is seen woken or polled.
        self.is_woken.swap(false, Ordering::AcqRel)
    }

    /// Whether one of `guests` polls its future, or is about to: it was woken, and no later guest is on top of it on
    /// the same thread.
    pub(super) fn is_any_up(guests: &[Arc<Self>]) -> bool {
        guests.iter().enumerate().any(|(index, main)| {
            // ORDERING(main): Acquire, for what was written before it was polled.
            let is_up = main.is_woken.load(Ordering::Acquire) || main.caller.is_running();
            let mut later = guests[index + 1..].iter();
            is_up && later.all(|other| other.thread != main.thread)
        })
    }

    /// Has the guest look around.
    pub(super) fn nudge(&self) {
        match self.shared.upgrade() {
            Some(shared) => {
                shared.note_waker();
                self.parker.unpark(shared.interrupt());
            }
            None => self.parker.unpark(None::<&crate::reactor::Reactor>),
        }
    }
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.caller.span.call_woken();
        // ORDERING(main): Release, what the waker wrote, for the poll that follows.
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.nudge();
        }
    }
}

/// Runs a future to its end on this thread, and tasks of the runtime meanwhile.
#[track_caller]
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let at = Location::caller();
    let body = pin!(ScopedBody::new(future, at));
    let mut guest = Guest::enter(shared, at);
    guest.main.caller.span.called(guest.main.caller.id, at);
    guest.run(body)
}

/// What is restored when the guest leaves, also by a panic.
struct Guest<'a> {
    shared: &'a Arc<Shared>,
    main: Arc<MainWaker>,
    /// The seat this guest took and has to leave; none while it stands, or if the seat was this thread's before.
    own_seat: Option<&'a Seat>,
    /// This guest's number among the entries of its thread.
    entry: u64,
    /// The seat that was this thread's before, if this guest is the first on it: it is counted while the guest
    /// may sleep on it, so that no other takes it from under the home thread.
    counted_on: Option<&'a Seat>,
    /// Tasks that were queued when the future was woken in its own poll, and run before it.
    n_ahead: usize,
    /// Looks whether it can ever return.
    vigil: Vigil,
    /// Since this thread, which is somebody else's, first slept for a while.
    exact_timers: OnceCell<ExactTimers>,
    /// The context of before.
    before: Before,
    /// In debug mode: the seat that this thread held, and what it polled there, which waits meanwhile.
    aside: Option<(&'a Seat, Aside)>,
    /// Where it was called.
    place: &'static Location<'static>,
    /// Last: this thread may have to wait for its turn before it leaves its seat, not after.
    _inside: Inside,
}

struct Before {
    runtime: *const Shared,
    seat: *const Seat,
    task: *const crate::task::Header,
    caller: *const Caller,
    scope: *const crate::cancel::Scope,
    budget: u8,
    entry: u64,
    seat_behind: *const Seat,
    is_nested: bool,
    frames: *const Frame,
    locals: Outside,
}

impl<'a> Guest<'a> {
    fn enter(shared: &'a Arc<Shared>, place: &'static Location<'static>) -> Self {
        // While the context still says whose they are.
        let locals = Outside::enter();
        let main = MainWaker::new(shared, Caller::here(place));
        let inside = shared.platform.come_in();
        let (before, entry) = context::with(|cx| {
            let (entry, entry_before) = cx.begin_entry();
            let is_nested = ptr::eq(cx.runtime.get(), Arc::as_ptr(shared));
            let seat = cx.seat.get();
            if !is_nested {
                cx.seat.set(ptr::null());
            }
            let before = Before {
                runtime: cx.runtime.replace(Arc::as_ptr(shared)),
                seat,
                task: cx.task.replace(ptr::null()),
                caller: cx.caller.replace(&raw const main.caller),
                scope: cx.scope.replace(ptr::null()),
                budget: cx.budget.replace(BUDGET),
                entry: entry_before,
                seat_behind: cx.seat_behind.replace(ptr::null()),
                is_nested,
                frames: cx.frames.replace(ptr::null()),
                locals,
            };
            (before, entry)
        });
        lock_std(&shared.guests).push(main.clone());
        let mut guest = Self {
            shared,
            main,
            own_seat: None,
            entry,
            counted_on: None,
            n_ahead: 0,
            vigil: Vigil::new(),
            exact_timers: OnceCell::new(),
            before,
            aside: None,
            place,
            _inside: inside,
        };
        // SAFETY: the context says that this thread holds the seat.
        guest.counted_on = guest.seat().filter(|seat| unsafe { seat.guest_holds() });
        if let (Some(debug), Some(seat)) = (&shared.debug, guest.seat()) {
            guest.aside = Some((seat, debug.set_aside(seat)));
        }
        guest
    }

    /// The seat that this thread holds now.
    fn seat(&self) -> Option<&'a Seat> {
        // SAFETY: context invariant 2: a seat of this runtime, which outlives the guest.
        context::with(|cx| unsafe { cx.seat.get().as_ref() })
    }

    fn run<F: Future>(&mut self, mut body: Pin<&mut ScopedBody<F>>) -> F::Output {
        let waker = Waker::from(self.main.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            let seat = self.seat().or_else(|| self.sit_down());
            if self.main.begin_poll() {
                context::with(|current| current.budget.set(BUDGET));
                let polled = self.observed(|| {
                    let _span = self.main.caller.span.enter_call();
                    body.as_mut().poll_scope(&mut cx)
                });
                self.main.caller.end_poll();
                if let Some(seat) = self.seat() {
                    seat.set_late(false);
                }
                context::with(|cx| cx.leave_stray(Arc::as_ptr(self.shared), self.entry));
                if let Poll::Ready(end) = polled {
                    let ScopeEnd::Value(value) = end else {
                        unreachable!("nobody cancels the body of block_on")
                    };
                    return value;
                }
                if context::with(|current| current.yielded.replace(false)) {
                    self.main.wake_by_ref();
                }
                if self.main.is_woken() {
                    // It yielded, or was woken while it ran: to the back of the queue, like a task.
                    // SAFETY: the context says that this thread holds the seat.
                    self.n_ahead = self
                        .seat()
                        .map_or(0, |seat| unsafe { seat.n_queued() }.max(1));
                }
                self.notice_lost_seat();
            }
            match seat.and(self.seat()) {
                Some(seat) => self.work(seat),
                None => self.stand(),
            }
        }
    }

    /// Polls the future by `poll`, recorded and under the eyes of debug mode, if they are on.
    fn observed<R>(&self, poll: impl FnOnce() -> R) -> R {
        let watched = || match (&self.shared.debug, self.seat()) {
            (Some(debug), Some(seat)) => {
                debug.watch(self.shared, seat, Polled::BlockOn(self.place), poll)
            }
            _ => poll(),
        };
        match &self.shared.recorder {
            Some(recorder) => recorder.poll_call(self.shared, &self.main.caller, watched),
            None => watched(),
        }
    }

    /// Runs tasks until the future was woken or the seat is gone; sleeps if there is nothing to run.
    fn work(&mut self, seat: &'a Seat) {
        let exact_timers = std::mem::take(&mut self.exact_timers);
        // SAFETY: the context says that this thread holds the seat.
        unsafe { self.work_with(seat, &exact_timers) };
        self.exact_timers = exact_timers;
    }

    /// # Safety
    ///
    /// The calling thread holds the seat (Invariant 1).
    unsafe fn work_with(&mut self, seat: &'a Seat, exact_timers: &OnceCell<ExactTimers>) {
        let main = self.main.clone();
        // SAFETY: the caller's promise.
        let worker = unsafe { Worker::guest(self.shared, seat, &main.parker) };
        let worker = worker.on_thread_of(exact_timers);
        loop {
            match worker.turn() {
                Turn::Ran => self.n_ahead = self.n_ahead.saturating_sub(1),
                Turn::Idle => {
                    self.n_ahead = 0;
                    if !main.is_woken() {
                        worker.set_patience(self.vigil.patience(self.shared));
                        worker.park(|| main.is_woken());
                        if !worker.has_seat() {
                            // What was woken gave it away.
                            self.notice_lost_seat();
                            return;
                        }
                        self.look_for_deadlock();
                    }
                }
                Turn::LostSeat => {
                    self.notice_lost_seat();
                    return;
                }
            }
            if self.shared.is_stopping() {
                worker.rest();
                give_seat_up(self.shared);
                self.notice_lost_seat();
                return;
            }
            if main.is_woken() && self.n_ahead == 0 {
                worker.rest();
                return;
            }
        }
    }

    /// Says so, if the call can never return.
    fn look_for_deadlock(&mut self) {
        if self.seat().is_none() {
            return;
        }
        if let Some(deadlock) = self.vigil.look(self.shared, &self.main) {
            assert!(!self.shared.clock.jumps(), "{deadlock}");
            self.shared.report(Unhandled::deadlock(deadlock));
        }
    }

    /// The future or a task may have given the seat away.
    fn notice_lost_seat(&mut self) {
        if self.seat().is_none() {
            self.own_seat = None;
            self.counted_on = None;
        }
    }

    /// Takes a free seat, if there is one.
    fn sit_down(&mut self) -> Option<&'a Seat> {
        if self.shared.is_stopping() {
            return None;
        }
        let seat = take_seat(self.shared)?;
        self.adopt(seat);
        Some(seat)
    }

    /// Sits on a seat that was handed to this thread.
    fn adopt(&mut self, seat: &'a Seat) {
        self.own_seat = Some(seat);
        seat.set_thread();
        context::with(|cx| cx.seat.set(ptr::from_ref(seat)));
        for task in self.shared.take_aside() {
            // SAFETY: this thread holds the seat.
            unsafe { seat.push(task) };
        }
    }

    /// Sleeps without a seat, until the future is woken or a seat may be free.
    fn stand(&mut self) {
        lock_std(&self.shared.standing).push(self.main.clone());
        // Whoever has the seat cannot run what belongs to this thread.
        for task in self.shared.take_aside() {
            if let Ran::Again(task) = crate::task::run(task) {
                self.shared.inject(task);
            }
        }
        // A seat that became free before we were in the list nudged nobody.
        if self.sit_down().is_none() && !self.main.is_woken() {
            let deadline = if self.shared.is_stopping() {
                self.shared.next_deadline()
            } else {
                NEVER
            };
            if deadline == NEVER {
                self.main.parker.park(None);
            } else {
                // Nobody is left to fire the timers of a runtime that has ended.
                let now = self.shared.clock.now();
                self.main
                    .parker
                    .park(Some(Duration::from_nanos(deadline.saturating_sub(now))));
                self.shared.fire_all(self.shared.clock.now());
            }
        }
        lock_std(&self.shared.standing).retain(|main| !Arc::ptr_eq(main, &self.main));
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.main.caller.span.returned();
        lock_std(&self.shared.guests).retain(|main| !Arc::ptr_eq(main, &self.main));
        self.before.locals.leave();
        let seat_now = context::with(|cx| {
            // The future may have panicked with another runtime entered.
            cx.leave_stray(Arc::as_ptr(self.shared), self.entry);
            let seat_now = cx.seat.get();
            cx.entry.set(self.before.entry);
            cx.seat_behind.set(self.before.seat_behind);
            cx.runtime.set(self.before.runtime);
            cx.task.set(self.before.task);
            cx.caller.set(self.before.caller);
            cx.scope.set(self.before.scope);
            cx.budget.set(self.before.budget);
            cx.frames.set(self.before.frames);
            let keeps = self.before.is_nested && self.own_seat.is_none();
            cx.seat.set(if keeps {
                seat_now
            } else if self.before.is_nested {
                ptr::null()
            } else {
                self.before.seat
            });
            seat_now
        });
        if let (Some(debug), Some((seat, aside))) = (&self.shared.debug, self.aside.take()) {
            if ptr::eq(seat, seat_now) {
                debug.put_back(seat, aside);
            }
        }
        // The last poll may have given the seat away.
        if let Some(seat) = self.own_seat.take().filter(|seat| ptr::eq(*seat, seat_now)) {
            leave_seat(self.shared, seat);
        } else if let Some(seat) = self
            .counted_on
            .take()
            .filter(|seat| ptr::eq(*seat, seat_now))
        {
            // SAFETY: this thread still holds the seat that it held before.
            unsafe { seat.guest_left() };
        }
    }
}

/// Claims a free seat, first one whose home thread need not be sent away.
fn take_seat(shared: &Shared) -> Option<&Seat> {
    for take_watched in [false, true] {
        for seat in shared.seats.homes() {
            if !shared.idle.is_idle(seat.index)
                || seat.has_guest()
                || (seat.is_watched() && !take_watched)
            {
                continue;
            }
            seat.guest_comes();
            if !shared.idle.claim(seat.index) {
                seat.guest_goes();
                continue;
            }
            // SAFETY: this thread has claimed the seat.
            if !unsafe { seat.guest_came() } {
                // A guest that came since the look above sleeps there: hand it its seat.
                seat.guest_goes();
                shared.idle.count_claimed();
                shared.wake_claimed(seat.index);
                continue;
            }
            if seat.is_watched() && seat.send_home_away() {
                // The home thread says when it has gone, also when it goes for good.
                seat.home().hand_over(shared.interrupt());
                while seat.is_watched() {
                    shared.platform.yield_thread();
                }
            }
            shared.monitor.attend();
            return Some(seat);
        }
    }
    None
}

/// Gives up the seat that this thread holds of a runtime, if it does: to its home thread, if there is one.
pub(super) fn give_seat_up(shared: &Shared) {
    context::with(|cx| {
        if !ptr::eq(cx.runtime.get(), shared) {
            return;
        }
        // SAFETY: context invariant 2.
        let seat = unsafe { cx.seat.replace(ptr::null()).as_ref() };
        if let Some(seat) = seat {
            leave_seat(shared, seat);
        }
    });
}

/// Gives a seat back to its home thread, and wakes that if there is something to do or to wait for. A spare seat
/// is closed.
fn leave_seat(shared: &Shared, seat: &Seat) {
    // SAFETY: the calling thread holds the seat until `park` below.
    unsafe { seat.empty_slot() };
    seat.set_sleeper_home();
    // From its last sleep, if the home thread itself leaves.
    seat.set_unwatched();
    let is_spare = shared.seats.is_spare(seat);
    if is_spare {
        // While it counts as a guest's: then shutdown does not take it over.
        // SAFETY: as above.
        unsafe { shared.empty_spare(seat) };
    }
    // SAFETY: as above.
    unsafe { seat.guest_left() };
    if is_spare {
        // Whoever calls this has taken the seat out of the context.
        return shared.close(seat);
    }
    shared.idle.park(seat.index);
    shared.offer_seat();
    let waits_for_time = seat.timers.next() != NEVER || shared.outside_timers.next() != NEVER;
    if !shared.is_current_thread()
        && (shared.has_work() || shared.is_unattended() || waits_for_time)
        && shared.idle.claim_counted(seat.index)
    {
        shared.wake_claimed(seat.index);
    }
}

/// Runs `f`, which blocks, while another thread works on this thread's seat.
pub(crate) fn hand_seat_away<R>(f: impl FnOnce() -> R) -> R {
    let Some(shared) = context::runtime() else {
        return f();
    };
    let seat = context::with(|cx| cx.seat.get());
    if seat.is_null() || shared.is_current_thread() {
        return f();
    }
    // SAFETY: context invariant 2.
    let seat = unsafe { &*seat };
    // SAFETY: this thread holds the seat until the context says otherwise, in the next line.
    unsafe { seat.empty_slot() };
    // The substitute counts as the seat's guest: in the place of this one, or anew.
    // SAFETY: this thread still holds the seat.
    unsafe { seat.guest_holds() };
    if let Some(debug) = &shared.debug {
        // The rest of this poll keeps nobody waiting.
        drop(debug.set_aside(seat));
    }
    if let Some(recorder) = &shared.recorder {
        recorder.leave_seat(seat);
    }
    // From its last sleep, if this is the home thread: it will not come back without being woken.
    seat.set_unwatched();
    context::with(|cx| cx.seat.set(ptr::null()));
    let over = Over(Arc::default());
    let theirs = over.0.clone();
    let loan = Loan {
        shared: shared.clone(),
        index: seat.index,
        is_taken: false,
    };
    shared.blocking.execute(Job::Run(
        shared.clone(),
        Box::new(move || work_until(loan, &theirs)),
    ));
    shared.platform.block(f)
}

/// A seat on its way to a substitute. Dropped before it got there, because the pool is closed, it gives the
/// seat back to the home thread.
struct Loan {
    shared: Arc<Shared>,
    index: usize,
    is_taken: bool,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if !self.is_taken {
            leave_seat(&self.shared, self.shared.seats.get(self.index));
        }
    }
}

/// Whether the blocking part is over, and who wants to know.
#[derive(Default)]
struct Ending {
    is_over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// Says that the blocking part is over when it is dropped, also by a panic.
struct Over(Arc<Ending>);

impl Drop for Over {
    fn drop(&mut self) {
        // ORDERING(main): Release, for the substitute.
        self.0.is_over.store(true, Ordering::Release);
        if let Some(waker) = lock_std(&self.0.waker).take() {
            waker.wake();
        }
    }
}

/// Works on a seat that was handed over, until the blocking part is over or the runtime stops.
fn work_until(mut loan: Loan, ending: &Ending) {
    let shared = loan.shared.clone();
    let at = Location::caller();
    let mut guest = Guest::enter(&shared, at);
    loan.is_taken = true;
    guest.adopt(shared.seats.get(loan.index));
    let body = std::future::poll_fn(|cx| {
        *lock_std(&ending.waker) = Some(cx.waker().clone());
        // ORDERING(main): Acquire, for `Over`.
        if ending.is_over.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    guest.run(pin!(ScopedBody::new(body, at)));
}

impl Seat {
    /// Moves the task that would run next to the queue, where it can be stolen.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat.
    unsafe fn empty_slot(&self) {
        if let Some(task) = self.take_slot() {
            // SAFETY: by the caller's promise.
            unsafe { self.push(task) };
        }
    }
}
