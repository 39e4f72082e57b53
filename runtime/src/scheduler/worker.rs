//! The loop of whoever holds a seat: next task, run it, look around now and then, sleep.
//!
//! Worker threads and guests of `block_on` share it. Order of the sources: the slot (three times in a row at
//! most), the own queue, the injector, what other seats were sent there, timers that are due, the others' queues.
//! Every ~61 polls or 200 µs, whichever is sooner, injector, timers and poller get their turn before the own queue
//! (`maintain`); and where the poller gives work, before the queue is empty (see [`look_ahead`](super::look_ahead)).
//!
//! Sleeping: a worker that found nothing goes through the parker's steps of the idle protocol and then sleeps
//! until its own next deadline, in the poller if nobody else is there, else on its own word. On waking with
//! events it hands the poller over before it runs what they woke.
//!
//! # Invariants
//!
//! 1. A `Worker` is made by the thread that holds `seat`, which stays its holder until `lost_seat` says
//!    otherwise: a task may give the seat away (`block_in_place`).

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::affinity::{Outgoing, n_taken_by};
use super::poller::PollerTurn;
use super::restraint::{NAP, Watched};
use super::seat::{MAX_INTERVAL, Seat};
use super::spin::{self, Awoken};
use crate::context;
use crate::platform::{Nanos, Parker, Random};
use crate::reactor::{Events, Reactor};
use crate::record::Kind;
use crate::sys::ExactTimers;
use crate::task::{Ran, Task};

/// A look around comes at the latest after so much time in polls.
const MAINTENANCE_NANOS: u64 = 200_000;

/// Tasks taken from the injector at once.
const INJECT_BATCH: usize = 64;

/// What one turn of the loop did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(super) enum Turn {
    /// Ran a task.
    Ran,
    /// Found nothing to run.
    Idle,
    /// Ran a task that gave the seat away.
    LostSeat,
}

pub(super) struct Worker<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) seat: &'a Seat,
    parker: &'a Parker,
    is_searching: Cell<bool>,
    is_home: bool,
    /// It has stolen since it got up: then it steals without watching first.
    has_stolen: Cell<bool>,
    /// Seats it has watched and is about to leave alone.
    unneeding: RefCell<Vec<usize>>,
    /// How many polls its seat had begun when it was last woken.
    polls_when_woken: Cell<Option<u64>>,
    /// How long it may sleep where nothing else wakes it.
    patience: Cell<Option<Duration>>,
    /// When it last woke in the poller, if it has not slept elsewhere since.
    awoken: Cell<Option<Awoken>>,
    /// For when it first sleeps for a while; none on a thread of the runtime, whose timers are exact.
    exact_timers: Option<&'a OnceCell<ExactTimers>>,
}

impl<'a> Worker<'a> {
    /// The worker of a home thread, whose seat was claimed for it: it begins by searching.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat (Invariant 1).
    pub(super) unsafe fn home(shared: &'a Arc<Shared>, seat: &'a Seat) -> Self {
        seat.set_thread();
        Self {
            shared,
            seat,
            parker: seat.home(),
            is_searching: Cell::new(true),
            is_home: true,
            has_stolen: Cell::new(false),
            unneeding: RefCell::default(),
            polls_when_woken: Cell::new(None),
            patience: Cell::new(None),
            awoken: Cell::new(None),
            exact_timers: None,
        }
    }

    /// The worker of a spare seat, which was opened for it: it begins by searching.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat (Invariant 1).
    pub(super) unsafe fn spare(
        shared: &'a Arc<Shared>,
        seat: &'a Seat,
        parker: &'a Parker,
    ) -> Self {
        seat.set_thread();
        Self {
            is_searching: Cell::new(true),
            // SAFETY: by the caller's promise.
            ..unsafe { Self::guest(shared, seat, parker) }
        }
    }

    /// The worker of a guest.
    ///
    /// # Safety
    ///
    /// The calling thread holds the seat (Invariant 1).
    pub(super) unsafe fn guest(
        shared: &'a Arc<Shared>,
        seat: &'a Seat,
        parker: &'a Parker,
    ) -> Self {
        Self {
            shared,
            seat,
            parker,
            is_searching: Cell::new(false),
            is_home: false,
            has_stolen: Cell::new(false),
            unneeding: RefCell::default(),
            polls_when_woken: Cell::new(None),
            patience: Cell::new(None),
            awoken: Cell::new(None),
            exact_timers: None,
        }
    }

    /// Has it ask for exact timers before it first sleeps for a while.
    pub(super) fn on_thread_of(self, exact_timers: &'a OnceCell<ExactTimers>) -> Self {
        Self {
            exact_timers: Some(exact_timers),
            ..self
        }
    }

    /// Has it get up after so long, though nobody woke it.
    pub(super) fn set_patience(&self, patience: Option<Duration>) {
        self.patience.set(patience);
    }

    pub(super) fn holder(&self) -> &super::seat::HolderPart {
        // SAFETY: Invariant 1.
        unsafe { self.seat.holder() }
    }

    pub(super) fn random(&self) -> &Random {
        &self.holder().random
    }

    /// Runs one task, if there is one.
    #[inline(always)]
    pub(super) fn turn(&self) -> Turn {
        if self.holder().is_special.get() {
            return self.turn_specially();
        }
        self.turn_by(crate::task::run)
    }

    /// Runs one task by `run`.
    #[inline(always)]
    pub(super) fn turn_by(&self, run: impl FnOnce(Task) -> Ran) -> Turn {
        let Some(task) = self.next_task() else {
            if self.has_seat() {
                return Turn::Idle;
            }
            self.rest();
            return Turn::LostSeat;
        };
        if self.is_searching.get() {
            self.stop_searching_with_work();
        }
        // SAFETY: Invariant 1.
        unsafe { self.seat.count_poll() };
        let ran = self.shared.run_here(task, run);
        if context::with(|cx| cx.seat.get().is_null()) {
            if let Ran::Again(task) = ran {
                self.shared.inject(task);
            }
            return Turn::LostSeat;
        }
        if let Ran::Again(task) = ran {
            self.push_back(task);
        }
        Turn::Ran
    }

    #[inline]
    pub(super) fn push_back(&self, task: Task) {
        // SAFETY: Invariant 1.
        let n_queued = unsafe { self.seat.push(task) };
        if n_queued > 1 {
            self.shared.wake_for_local(self.seat);
        }
    }

    #[inline]
    fn next_task(&self) -> Option<Task> {
        let holder = self.holder();
        let left = holder.until_maintenance.get();
        if left == 0 {
            if let Some(task) = self.maintain() {
                return Some(task);
            }
            if !self.has_seat() {
                return None;
            }
        } else {
            holder.until_maintenance.set(left - 1);
        }
        if let Some(task) = self.pop() {
            return Some(task);
        }
        self.find_task()
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<Task> {
        // SAFETY: Invariant 1.
        let task = unsafe { self.seat.pop() }?;
        // SAFETY: Invariant 1.
        let n_left = unsafe { self.seat.n_queued() };
        if self.holder().look_ahead.is_time(n_left) {
            self.hasten_look();
        }
        if n_left > 0 {
            // SAFETY: Invariant 1.
            unsafe { self.seat.fetch_next(n_left) };
            // What a push without a fence may have missed: the pop was one.
            self.shared.wake_for_local(self.seat);
        }
        Some(task)
    }

    /// Looks beyond the own queue.
    #[cold]
    fn find_task(&self) -> Option<Task> {
        if let Some(task) = self.pop_injector().or_else(|| self.pop_others()) {
            return Some(task);
        }
        if !self.is_searching.get() {
            if !self.shared.idle.start_searching() {
                return None;
            }
            self.is_searching.set(true);
        }
        self.steal()
    }

    /// Takes a batch from the injector, of what is for this seat and of what is for anybody: one task to run, the others
    /// to the own queue.
    pub(super) fn pop_injector(&self) -> Option<Task> {
        let injector = &self.shared.injector;
        if injector.is_empty() {
            return None;
        }
        // SAFETY: Invariant 1.
        let n_queued = unsafe { self.seat.n_queued() };
        let n_own = injector.pop_own(self.seat.index, n_taken_by(n_queued), |task| {
            self.queue(task)
        });
        self.holder().look_ahead.expect_after(n_own);
        injector.pop_batch(self.seat.index, self.share(), |task| self.queue(task));
        self.pop()
    }

    /// Takes a batch of what other seats were sent.
    fn pop_others(&self) -> Option<Task> {
        let injector = &self.shared.injector;
        injector.pop_others(self.seat.index, self.share(), |task| self.queue(task));
        self.pop()
    }

    /// How many tasks of the injector a worker takes at once.
    fn share(&self) -> usize {
        let n_workers = self.shared.seats.homes().len();
        let share = self.shared.injector.len().div_ceil(n_workers);
        share.clamp(1, INJECT_BATCH)
    }

    pub(super) fn queue(&self, task: Task) {
        // SAFETY: Invariant 1.
        unsafe { self.seat.push_cold(task) };
    }

    pub(super) fn steal(&self) -> Option<Task> {
        let homes = self.shared.seats.homes();
        let (before, after) = homes.split_at(self.random().below(homes.len()));
        let spares = self.shared.seats.spares();
        for victim in after.iter().chain(before).chain(spares) {
            if victim.index == self.seat.index || !victim.has_stealable() || victim.is_left_alone()
            {
                continue;
            }
            if !self.has_stolen.get() {
                match self.watch(victim) {
                    Watched::NeedsHelp => {}
                    Watched::NeedsNone => {
                        self.unneeding.borrow_mut().push(victim.index);
                        continue;
                    }
                    Watched::Interrupted => return None,
                }
            }
            // SAFETY: Invariant 1.
            if let Some(task) = unsafe { self.seat.steal_from(victim) } {
                self.shared.note(Kind::Stole, victim.index);
                self.has_stolen.set(true);
                return Some(task);
            }
        }
        None
    }

    /// A searcher found work: the last one to do so wakes the next, for there may be more.
    #[cold]
    fn stop_searching_with_work(&self) {
        self.is_searching.set(false);
        if self.shared.idle.stop_searching_with_work() && self.shared.has_work_to_share() {
            self.shared.wake_one();
        }
    }

    /// The look around: timers and poller, and a task of the injector before those of the own queue.
    #[cold]
    fn maintain(&self) -> Option<Task> {
        let holder = self.holder();
        let now = self.shared.clock.now();
        self.shared.set_coarse(now);
        self.seat.set_late(false);
        // So many polls at the present rate take 200 µs. Before the first look there is no rate: the next one comes soon.
        let since_last = now.checked_sub(holder.maintained_at.replace(now));
        let elapsed = since_last.map_or(MAINTENANCE_NANOS, |elapsed| elapsed.max(1));
        let interval = u64::from(holder.interval.get());
        let next = (interval * MAINTENANCE_NANOS / elapsed).clamp(1, u64::from(MAX_INTERVAL));
        holder.interval.set(next as u32);
        holder.until_maintenance.set(next as u32);
        // SAFETY: the arena of a seat is there as long as the seat.
        let arena = unsafe { self.seat.arena.as_ref() };
        // SAFETY: Invariant 1: who holds the seat owns its arena.
        unsafe { arena.recycle() };
        self.fire_timers(now);
        // What is woken may give the seat away, here and below.
        if !self.has_seat() {
            return None;
        }
        self.consider_sample(now);
        if self.looks_ahead(now) || self.shared.poller.is_due(now) {
            self.poll_now(now);
        }
        if !self.has_seat() {
            return None;
        }
        self.pop_injector()
    }

    /// Fires what is due of the own timers and of those set by threads without a seat.
    fn fire_timers(&self, now: u64) -> bool {
        self.shared.note_if(Kind::FireEnded, || {
            let own = self.seat.timers.fire(now);
            let outside = self.shared.outside_timers.fire(now);
            own | outside
        })
    }

    /// Tells tasks what happened to their sockets.
    fn dispatch(&self, reactor: &Reactor, events: &mut Events) {
        self.shared.note_if(Kind::DispatchEnded, || {
            let (mut n_woken, mut outgoing) = (0, Outgoing::default());
            reactor.dispatch_by(events, |wakers| {
                n_woken += self.deliver(wakers, &mut outgoing)
            });
            self.shared.send(&mut outgoing);
            if self.has_seat() {
                self.holder().look_ahead.expect_after(n_woken);
            }
            n_woken > 0
        });
    }

    /// Looks into the poller without waiting, unless somebody waits there.
    pub(super) fn poll_now(&self, now: u64) {
        let Some(reactor) = self.shared.reactor.get() else {
            return;
        };
        let Some(turn) = self.shared.poller.try_enter(self.seat.index) else {
            return;
        };
        self.shared.poller.set_polled(now);
        let mut events = self.shared.poller.take_buffer();
        let waited = reactor.wait(&mut events, Some(Duration::ZERO));
        drop(turn);
        self.shared.check_poller(waited);
        self.dispatch(reactor, &mut events);
        self.shared.poller.give_buffer(events);
    }

    /// Sleeps until there may be something to do. `is_woken` is one more reason not to.
    pub(super) fn park(&self, is_woken: impl Fn() -> bool) {
        self.shared.note(Kind::ParkBegan, 0);
        self.has_stolen.set(false);
        if self.polls_when_woken.take() == Some(self.seat.n_polls()) {
            self.shared.spin.has_not_paid();
        }
        self.sleep_or_nap(is_woken);
        match self.has_seat() {
            true => self.shared.note(Kind::ParkEnded, 0),
            false => self.rest(),
        }
    }

    /// Sleeps, and leaves those alone meanwhile who need no help: then not for long.
    fn sleep_or_nap(&self, is_woken: impl Fn() -> bool) {
        let unneeding = self.unneeding.take();
        if unneeding.is_empty() {
            return self.sleep(None, is_woken);
        }
        for seat in &unneeding {
            self.shared.seats.get(*seat).set_left_alone(true);
        }
        self.sleep(Some(NAP), is_woken);
        if self.has_seat() {
            self.search_regardless();
        }
        for seat in unneeding {
            self.shared.seats.get(seat).set_left_alone(false);
        }
        if !self.has_seat() {
            // Somebody else has to look at what was passed over.
            self.shared.wake_for_passed_over();
        }
    }

    fn sleep(&self, nap: Option<Duration>, is_woken: impl Fn() -> bool) {
        let shared = self.shared;
        self.seat.set_late(false);
        let now = shared.clock.now();
        shared.set_coarse(now);
        if self.fire_timers(now) {
            return;
        }
        let deadline = self.seat.timers.next().min(shared.outside_timers.next());
        let timeout = self.sleep_limit(now, deadline, nap);
        let turn = shared
            .reactor
            .get()
            .and_then(|_| shared.poller.try_enter(self.seat.index));
        self.seat.set_sleeper(self.parker);
        if self.is_home {
            self.seat.set_watched();
        } else {
            self.seat.set_unwatched();
        }
        if self.is_searching.replace(false) {
            shared.idle.stop_searching();
        }
        shared.idle.park(self.seat.index);
        // A timer that was set, or a poller that was left, since we looked: whoever did that saw no idle seat.
        let is_needed =
            shared.outside_timers.next() < deadline || (turn.is_none() && shared.is_unattended());
        let has_work = shared.has_work_to_share();
        if is_needed || is_woken() || has_work || shared.is_stopping() || shared.settle_if_idle() {
            drop(turn);
            if self.get_up() && has_work {
                self.search_regardless();
            }
            return;
        }
        let sleeps_for_good = self.is_home && turn.is_none() && timeout.is_none();
        if sleeps_for_good && !self.seat.stop_watching() {
            // Sent away before it could sleep.
            self.get_up();
            return;
        }
        if self.is_home {
            shared.offer_seat();
        }
        let awoken = self.awoken.take();
        match turn {
            Some(turn) => self.sleep_in_poller(turn, awoken, now, nap, timeout),
            None if sleeps_for_good => {
                shared.spin.wait(self.seat.index, self.parker);
                // A guest may come and go meanwhile, so the bit tells nothing.
                self.parker.sleep_until_handed();
                if self.shared.is_stopping() {
                    // Woken to go home: the seat may not be ours.
                    context::with(|cx| cx.seat.set(std::ptr::null()));
                    return;
                }
                self.seat.set_thread();
                self.is_searching.set(true);
                self.was_woken(now);
                shared.monitor.attend();
            }
            None => {
                match self.sleep_on_its_own(nap, timeout) {
                    true => self.was_woken(now),
                    false => shared.set_coarse(shared.clock.now()),
                }
                self.get_up();
            }
        }
    }

    /// How long it may sleep; none: until it is woken.
    fn sleep_limit(&self, now: Nanos, deadline: Nanos, nap: Option<Duration>) -> Option<Duration> {
        let limit = self.shared.platform.sleep_limit(now, deadline);
        limit.or(self.patience.get()).into_iter().chain(nap).min()
    }

    /// Sleeps until it is woken or the time is up. True: it was woken, and not from a nap.
    fn sleep_on_its_own(&self, nap: Option<Duration>, timeout: Option<Duration>) -> bool {
        let awake = match may_stay_awake(spin::LIMIT, nap, timeout) {
            true => self.shared.spin.wait(self.seat.index, self.parker),
            false => None,
        };
        let timeout = timeout.map(|timeout| timeout.saturating_sub(awake.unwrap_or_default()));
        if let (Some(exact_timers), Some(_)) = (self.exact_timers, timeout) {
            exact_timers.get_or_init(ExactTimers::begin);
        }
        self.parker.park(timeout) && nap.is_none()
    }

    /// Notes that a sleep that began at `since` is over, because something was to be done.
    fn was_woken(&self, since: Nanos) {
        let now = self.shared.clock.now();
        self.shared.set_coarse(now);
        self.shared.spin.slept(now.saturating_sub(since));
        self.polls_when_woken.set(Some(self.seat.n_polls()));
    }

    /// Searches, however many others do.
    ///
    /// Whoever has seen work and may not sleep would otherwise go round and round for as long as a searcher takes to
    /// come by, which is long if the system has the searcher wait for its processor.
    fn search_regardless(&self) {
        if !self.is_searching.replace(true) {
            self.shared.idle.search_regardless();
        }
    }

    /// Sleeps in the poller, and runs the events after it has handed it over. The sleep began at `since`.
    fn sleep_in_poller(
        &self,
        turn: PollerTurn<'_>,
        mut awoken: Option<Awoken>,
        since: Nanos,
        nap: Option<Duration>,
        timeout: Option<Duration>,
    ) {
        let reactor = self.shared.reactor.get().expect("there is a poller");
        let spin = &self.shared.spin;
        // The seat is not ours while we sleep, so neither is its buffer: bring one.
        let mut events = self.shared.poller.take_buffer();
        let mut look = || {
            // An error comes again when it sleeps, and is told then.
            let waited = reactor.wait(&mut events, Some(Duration::ZERO));
            waited.is_err() || !events.is_empty()
        };
        let mut awake = Duration::ZERO;
        let may_stay_awake = may_stay_awake(spin::POLLER_LIMIT, nap, timeout);
        // What is there already costs nothing but the look, which would have been made anyway.
        if may_stay_awake && spin.hopes_for_events() && !look() {
            let before = std::mem::replace(&mut awoken, Awoken::still(since));
            if spin.is_undisturbed(before, awoken) {
                awake = spin.wait_for_events(self.parker, look);
            }
        }
        let timeout = timeout.map(|timeout| timeout.saturating_sub(awake));
        let (has_token, waited) = self.parker.park_polling(|| match events.is_empty() {
            true => {
                awoken = None;
                reactor.wait(&mut events, timeout)
            }
            false => Ok(()),
        });
        drop(turn);
        let now = self.shared.clock.now();
        self.shared.set_coarse(now);
        self.shared.poller.set_polled(now);
        self.shared.check_poller(waited);
        if has_token || !events.is_empty() {
            spin.slept_in_poller(now.saturating_sub(since));
        }
        if self.get_up() {
            self.awoken.set(awoken.or_else(|| spin.awoken(now)));
        }
        // Sent away meanwhile or not: the events are ours.
        self.dispatch(reactor, &mut events);
        self.shared.poller.give_buffer(events);
    }

    /// Takes the seat back after sleeping. False if it went to a guest: then the home thread is to go away.
    fn get_up(&self) -> bool {
        let is_ours = self.reclaim();
        self.shared.monitor.attend();
        is_ours
    }

    fn reclaim(&self) -> bool {
        if self.shared.idle.claim(self.seat.index) {
            return true;
        }
        self.parker.wait_handed();
        if self.is_home && self.seat.was_sent_away() {
            context::with(|cx| cx.seat.set(std::ptr::null()));
            self.seat.set_unwatched();
            return false;
        }
        self.is_searching.set(true);
        true
    }

    /// Whether there is something to do but to help other seats.
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        !self.shared.injector.is_empty() || self.parker.has_token() || self.shared.is_stopping()
    }

    /// Whether the seat is still ours.
    pub(super) fn has_seat(&self) -> bool {
        context::with(|cx| !cx.seat.get().is_null())
    }

    /// Gives up searching, because there is something else to do first: like a searcher that found work.
    pub(super) fn rest(&self) {
        if self.is_searching.get() {
            self.stop_searching_with_work();
        }
    }
}

/// Whether there is time to stay awake for so long before a sleep: never before a nap.
fn may_stay_awake(limit: Duration, nap: Option<Duration>, timeout: Option<Duration>) -> bool {
    nap.is_none() && timeout.is_none_or(|timeout| timeout > limit)
}
