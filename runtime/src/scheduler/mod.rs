//! The scheduler: seats, queues, sleeping and waking, and what all threads of a runtime share.
//!
//! # How it works
//!
//! A runtime has N *seats*. Whoever holds one runs tasks: a worker thread, started when its seat is first woken,
//! or a guest inside `block_on`. Each seat has a run queue that others steal from, a slot for the task it
//! runs next, timers, and an arena for task cells. What is spawned or woken on a seat goes to that seat; what
//! comes from elsewhere goes to the sharded injector. Sleeping and waking is the protocol in [`idle`].
//!
//! When is another worker woken? When a task is queued behind another one and nobody searches; for a single
//! queued task never, since the worker that queued it is about to run it (rejected: waking on every push, which
//! made spawn-and-join 2.9 times slower on two cores). What that rule misses, a task that waits behind a
//! poll that takes long, the [`monitor`] finds, and what that poll queues from then on wakes others at once.
//!
//! # Shared words
//!
//! Spawning, waking, polling and completing on a seat write no word that another seat writes: ids come in
//! blocks, counters are per seat, live tasks are found by walking the arenas. The idle words and `n_searching`
//! are only read, unless somebody sleeps or wakes.

mod affinity;
mod anywhere;
#[cfg(all(test, unix))]
mod by_hand;
mod caller;
mod chaos;
mod deadlock;
mod entry;
pub(crate) mod guest;
pub(crate) mod idle;
pub(crate) mod injector;
mod local;
mod look_ahead;
mod monitor;
mod numbers;
mod observed;
mod poller;
mod restraint;
mod run_queue;
mod samples;
mod seat;
mod shutdown;
mod spare;
mod spin;
mod upcoming;
mod worker;

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

pub(crate) use anywhere::{block_on_anywhere, block_on_within};
pub(crate) use caller::Caller;
pub(crate) use deadlock::Deadlock;
pub(crate) use entry::{
    alloc, arm, count_end, current_timers, holds_arena, random_below, schedule, submit, tell_closer,
};
pub(crate) use guest::{block_on, hand_seat_away, is_waker_of};
pub(crate) use observed::{begins_watched, woken_watched};
pub(crate) use seat::Seat;
pub use shutdown::ShutdownReport;
pub(crate) use shutdown::shut_down;

use crate::blocking::{MOST_LOOK_UPS, Pool};
use crate::context;
use crate::debug::Debug;
use crate::dump::CallerInfo;
use crate::platform::{Clock, Interrupt, NEVER, Nanos, Newcomer, Platform};
use crate::reactor::Reactor;
use crate::record::Recorder;
use crate::runtime::Config;
use crate::shim::lock_std;
use crate::task::{Arena, Pinned, Retained, Task};
use crate::time::Timers;
use crate::unhandled::Unhandled;
use guest::MainWaker;
use idle::Idle;
use injector::Injector;
use poller::Poller;
use spare::Seats;
use spin::Spin;
use worker::{Turn, Worker};

/// What all threads of a runtime share.
pub(crate) struct Shared {
    /// Itself, for those who outlive the call.
    this: Weak<Self>,
    pub(crate) seats: Seats,
    pub(crate) idle: Idle,
    injector: Injector<Task>,
    pub(crate) platform: Platform,
    /// The platform's.
    pub(crate) clock: Arc<Clock>,
    pub(crate) outside_timers: Arc<Timers>,
    /// Where threads without a seat put new tasks; none once it is closed.
    outside_arena: Mutex<Option<ArenaPointer>>,
    arenas: Mutex<Vec<ArenaPointer>>,
    reactor: OnceLock<Arc<Reactor>>,
    poller: Poller,
    spin: Spin,
    pub(crate) blocking: Arc<Pool>,
    pub(crate) compute: Arc<Pool>,
    pub(crate) look_up: Arc<Pool>,
    pub(crate) config: Config,
    coarse_millis: AtomicU32,
    n_spawned_outside: AtomicU64,
    n_ended_outside: AtomicU64,
    /// Why a spawn has to do more than to spawn: the bits below.
    attention: AtomicU8,
    /// Workers go home.
    is_stopping: AtomicBool,
    /// Queue entries that came after the injector was closed.
    stranded: Mutex<Stranded>,
    threads: Mutex<Threads>,
    /// Everybody inside `block_on`.
    guests: Mutex<Vec<Arc<MainWaker>>>,
    /// Those without a seat, who want one.
    standing: Mutex<Vec<Arc<MainWaker>>>,
    closing_waker: Mutex<Option<std::task::Waker>>,
    settling: Mutex<()>,
    /// A thread that does not work for this runtime has woken something of it.
    is_woken_from_outside: AtomicBool,
    pub(crate) quiescent: crate::test::Waiters,
    monitor: monitor::Monitor,
    /// In debug mode.
    pub(crate) debug: Option<Debug>,
    /// The flight recorder, if there is one.
    pub(crate) recorder: Option<Recorder>,
    /// Where `!Send` tasks live: the first thread that spawned one.
    pub(crate) local_thread: OnceLock<std::thread::ThreadId>,
    n_local: AtomicUsize,
    /// Queue entries of `!Send` tasks that came to another thread: for the one they belong to.
    local_aside: Mutex<Vec<Task>>,
}

/// No new tasks: what is spawned from now on is cancelled before its first poll.
const CLOSING: u8 = 1;

/// Tasks are recorded from their spawn on.
const RECORDING: u8 = 2;

/// An arena of this runtime; alive until `Arena::close`.
#[derive(Clone, Copy)]
struct ArenaPointer(NonNull<Arena>);

// SAFETY: an arena may be used from any thread as its own rules say.
unsafe impl Send for ArenaPointer {}

/// Queue entries that shutdown has to end.
#[derive(Default)]
struct Stranded {
    tasks: Vec<Task>,
    /// Shutdown looks here no more.
    is_over: bool,
}

#[derive(Default)]
struct Threads {
    started: Vec<bool>,
    handles: Vec<std::thread::JoinHandle<()>>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let n_seats = config.workers;
        let platform = config.platform();
        let clock = platform.clock.clone();
        let timers = || Arc::new(Timers::new(clock.clone()));
        let recorder = Recorder::new(&config, n_seats + spare::MOST_SPARES);
        let homes: Box<[Seat]> = (0..n_seats)
            .map(|index| Seat::new(index, timers(), &platform))
            .collect();
        let outside_arena = ArenaPointer(Arena::new());
        let mut arenas: Vec<_> = homes.iter().map(|seat| ArenaPointer(seat.arena)).collect();
        arenas.push(outside_arena);
        let shared = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            seats: Seats::new(homes),
            spin: Spin::new(&platform, num_cpus::get()),
            idle: Idle::new(n_seats, spare::MOST_SPARES),
            injector: Injector::new(n_seats.next_power_of_two().min(8), n_seats),
            outside_timers: timers(),
            clock: clock.clone(),
            platform,
            outside_arena: Mutex::new(Some(outside_arena)),
            arenas: Mutex::new(arenas.clone()),
            reactor: OnceLock::new(),
            poller: Poller::new(),
            blocking: Pool::new("blocking", config.blocking_threads, &config),
            compute: Pool::new("compute", num_cpus::get(), &config),
            look_up: Pool::new("look-up", MOST_LOOK_UPS, &config),
            coarse_millis: AtomicU32::new(0),
            n_spawned_outside: AtomicU64::new(0),
            n_ended_outside: AtomicU64::new(0),
            attention: AtomicU8::new(if recorder.is_some() { RECORDING } else { 0 }),
            is_stopping: AtomicBool::new(false),
            stranded: Mutex::default(),
            threads: Mutex::new(Threads {
                started: vec![false; n_seats],
                handles: Vec::new(),
            }),
            guests: Mutex::new(Vec::new()),
            standing: Mutex::new(Vec::new()),
            closing_waker: Mutex::new(None),
            settling: Mutex::new(()),
            is_woken_from_outside: AtomicBool::new(false),
            quiescent: crate::test::Waiters::default(),
            monitor: monitor::Monitor::new(),
            debug: config
                .debug
                .then(|| Debug::new(config.slow_poll, n_seats + spare::MOST_SPARES)),
            recorder,
            local_thread: OnceLock::new(),
            n_local: AtomicUsize::new(0),
            local_aside: Mutex::new(Vec::new()),
            config,
        });
        for arena in arenas {
            // SAFETY: the arenas were just made, and `close` comes much later.
            let arena = unsafe { arena.0.as_ref() };
            // SAFETY: called once, before anybody else has the arena.
            unsafe { arena.attach(shared.clone()) };
        }
        shared
    }

    pub(crate) fn is_current_thread(&self) -> bool {
        self.config.current_thread
    }

    /// One more owner.
    pub(crate) fn to_arc(&self) -> Arc<Self> {
        self.this.upgrade().expect("a borrowed runtime is alive")
    }

    pub(crate) fn grace(&self) -> Duration {
        self.config.grace
    }

    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.attention.load(Ordering::Relaxed) & CLOSING != 0
    }

    /// Whether a spawn has to do more than to spawn; see [`attend`](Self::attend).
    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) != 0
    }

    fn is_stopping(&self) -> bool {
        // ORDERING(stop): Acquire, what shutdown did before it stopped the workers.
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Tells the owner what nobody else would hear of.
    pub(crate) fn report(&self, unhandled: Unhandled) {
        self.config.report(unhandled);
    }

    /// The reactor, made on first use.
    pub(crate) fn reactor(&self) -> io::Result<Arc<Reactor>> {
        if let Some(reactor) = self.reactor.get() {
            return Ok(reactor.clone());
        }
        let fresh = Arc::new(self.platform.reactor()?);
        if self.is_stopping() {
            fresh.close();
        }
        let reactor = self.reactor.get_or_init(|| fresh).clone();
        // Whoever sleeps does so outside the poller: one of them has to go in.
        self.idle.fence_after_push();
        self.wake_one();
        Ok(reactor)
    }

    /// Whether there is a poller and nobody in it.
    fn is_unattended(&self) -> bool {
        self.reactor.get().is_some() && !self.poller.is_taken()
    }

    /// What wakes the one who sleeps in the poller, if there is a poller.
    fn interrupt(&self) -> Option<&Reactor> {
        self.reactor.get().map(|reactor| &**reactor)
    }

    // ---- time ----

    fn set_coarse(&self, now: Nanos) {
        let millis = (now / 1_000_000) as u32;
        if self.coarse_millis.load(Ordering::Relaxed) != millis {
            self.coarse_millis.store(millis, Ordering::Relaxed);
        }
    }

    /// Milliseconds since the runtime was built, as some worker saw them last.
    #[inline]
    pub(crate) fn coarse_millis(&self) -> u32 {
        self.coarse_millis.load(Ordering::Relaxed)
    }

    /// Milliseconds since the runtime was built, just now.
    pub(crate) fn now_millis(&self) -> u32 {
        (self.clock.now() / 1_000_000) as u32
    }

    /// The earliest deadline of all timers that are armed.
    fn next_deadline(&self) -> Nanos {
        let seats = self
            .seats
            .homes()
            .iter()
            .map(|seat| seat.timers.settle())
            .min()
            .unwrap_or(NEVER);
        seats.min(self.outside_timers.settle())
    }

    /// Fires what is due, whoever it belongs to.
    fn fire_all(&self, now: Nanos) -> bool {
        let mut fired = self.outside_timers.fire(now);
        for seat in self.seats.homes() {
            fired |= seat.timers.fire(now);
        }
        fired
    }

    /// With nobody at work: wakes those who wait for just that, or else, with virtual time, moves the clock to the
    /// next deadline and fires it. The caller has parked its seat but not gone to sleep. True if there is
    /// something to do now.
    fn settle_if_idle(&self) -> bool {
        if !self.clock.jumps() && !self.quiescent.is_any() {
            return false;
        }
        let _settling = lock_std(&self.settling);
        let is_busy = || !self.idle.all() || self.has_work_left();
        // A guest whose future was woken is as good as up, and one without a seat is up while it is polled. What it
        // queued before it was seen to be through is seen by the second look.
        if is_busy() || MainWaker::is_any_up(&lock_std(&self.guests)) || is_busy() {
            return false;
        }
        if let Some(reactor) = self.reactor.get() {
            // What is on its way on a socket comes before the next deadline.
            // Somebody may sleep in there meanwhile: a look without waiting disturbs nobody, on any system.
            let mut events = self.poller.take_buffer();
            let waited = reactor.wait(&mut events, Some(Duration::ZERO));
            self.check_poller(waited);
            let n_woken = reactor.dispatch(&mut events);
            self.poller.give_buffer(events);
            if n_woken > 0 {
                return true;
            }
        }
        if self.quiescent.wake_all() {
            return true;
        }
        loop {
            let deadline = self.next_deadline();
            if deadline == NEVER || !self.clock.jumps() {
                return false;
            }
            self.clock.advance_to(deadline);
            self.set_coarse(deadline);
            // Nothing fires if another thread cancelled that timer meanwhile: then there is a next one.
            if self.fire_all(deadline) {
                return true;
            }
        }
    }

    /// Moves a stopped clock and fires what becomes due.
    pub(crate) fn advance_to(&self, now: Nanos) {
        self.clock.advance_to(now);
        self.set_coarse(now);
        self.fire_all(now);
    }

    /// Has every sleeper look at its deadline again: the clock changed.
    pub(crate) fn wake_all(&self) {
        for seat in self.seats.in_use() {
            if self.idle.claim_counted(seat.index) {
                self.wake_claimed(seat.index);
            }
        }
    }

    /// A seat is idle now: whoever stands may have it.
    fn offer_seat(&self) {
        let main = lock_std(&self.standing).pop();
        if let Some(main) = main {
            main.nudge();
        }
    }

    /// A blocking job has ended: shutdown may have waited for it, or the clock, or `quiescent`.
    pub(crate) fn blocking_ended(&self) {
        if self.is_closing() {
            self.wake_closer();
        }
        // Before the look: whoever goes idle looks at the jobs after its own fence.
        self.idle.fence_after_push();
        let is_waited_for = self.clock.jumps() || self.quiescent.is_any();
        if is_waited_for && !self.is_busy_blocking() {
            self.wake_one();
        }
    }

    /// The pools for what must not run on a seat.
    fn pools(&self) -> [&Arc<Pool>; 3] {
        [&self.blocking, &self.compute, &self.look_up]
    }

    fn is_busy_blocking(&self) -> bool {
        self.pools().into_iter().any(|pool| pool.is_busy())
    }

    fn wake_closer(&self) {
        let waker = lock_std(&self.closing_waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    // ---- queues ----

    /// Whether anybody could take a task from anywhere.
    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.seats.in_use().any(Seat::has_stealable)
    }

    /// Queues a task from outside.
    #[inline(never)]
    pub(crate) fn inject(&self, task: Task) {
        match self.injector.push(task, context::producer()) {
            Ok(()) => self.wake_for_injected(),
            Err(task) => self.strand(task),
        }
    }

    /// Somebody may take what was put into the injector just now.
    fn wake_for_injected(&self) {
        self.idle.fence_after_push();
        if self.idle.wants_wake() {
            self.wake_one();
        }
    }

    /// A task came too late to be queued: shutdown ends it, or, once that is over, whoever brings it.
    #[cold]
    fn strand(&self, task: Task) {
        let mut stranded = lock_std(&self.stranded);
        if !stranded.is_over || (task.header().is_local() && self.has_foreign_local_tasks()) {
            return stranded.tasks.push(task);
        }
        drop(stranded);
        crate::task::abort(task);
    }

    /// Another worker may help with what was queued in a poll on `seat`.
    #[inline]
    fn wake_for_push(&self, seat: &Seat) {
        if seat.is_late() {
            // Its holder will not look again soon.
            self.idle.fence_after_push();
        }
        self.wake_for_local(seat);
    }

    /// Wakes a sleeping seat, unless somebody searches already.
    #[cold]
    fn wake_one(&self) {
        let claimed = self
            .idle
            .claim_for_wake(self.spin.seat(), self.poller.seat());
        if let Some(seat) = claimed {
            self.wake_claimed(seat);
        }
    }

    /// Wakes the sleeper of a seat whose bit the caller has claimed and counted as searching.
    fn wake_claimed(&self, index: usize) {
        let seat = self.seats.get(index);
        // SAFETY: the caller has claimed the bit, and the hand-over comes below.
        if let Some(parker) = unsafe { seat.sleeper() } {
            parker.hand_over(self.interrupt());
        } else {
            self.start_home(index);
        }
    }

    /// Starts the thread of a seat that was claimed for it.
    fn start_home(&self, index: usize) {
        if self.is_current_thread() {
            // Nobody is inside `block_on` to run it; the next one will look.
            return self.cancel_wake(index);
        }
        let mut threads = lock_std(&self.threads);
        if self.is_stopping() || threads.started[index] {
            drop(threads);
            return self.cancel_wake(index);
        }
        let shared = self.to_arc();
        let builder = self.config.thread(&format!("worker-{index}"));
        let newcomer = self.platform.expect_thread();
        match builder.spawn(move || home_thread(&shared, index, newcomer)) {
            Ok(handle) => {
                threads.started[index] = true;
                threads.handles.push(handle);
            }
            Err(error) => {
                let n_running = threads.handles.len();
                drop(threads);
                self.cancel_wake(index);
                self.report(Unhandled::no_thread(error, n_running));
            }
        }
    }

    /// Undoes the claim of a seat that has nobody to be woken. A guest that found the seat claimed meanwhile
    /// stands, and would not look again by itself.
    fn cancel_wake(&self, index: usize) {
        self.idle.cancel_wake(index);
        self.offer_seat();
    }

    /// Starts a thread that helps the workers.
    pub(crate) fn start_helper(
        &self,
        role: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut threads = lock_std(&self.threads);
        if !self.is_stopping() {
            threads.handles.push(self.config.thread(role).spawn(work)?);
        }
        Ok(())
    }

    fn check_poller(&self, waited: io::Result<()>) {
        if let Err(error) = waited {
            self.report(Unhandled::poller(error));
        }
    }

    // ---- what dumps see ----

    /// Every call of `block_on`; `now` in milliseconds.
    pub(crate) fn callers(&self, now: u32) -> Vec<CallerInfo> {
        let guests = lock_std(&self.guests);
        guests.iter().map(|main| main.caller.info(now)).collect()
    }

    // ---- arenas ----

    /// Calls `visit` for every live task.
    pub(crate) fn walk(&self, mut visit: impl FnMut(Retained)) {
        let pinned: Vec<Pinned> = {
            let arenas = lock_std(&self.arenas);
            // SAFETY: the arenas in the list are not closed: `close_arenas` empties it first, under the lock.
            arenas
                .iter()
                .map(|arena| unsafe { Arena::pin(arena.0) })
                .collect()
        };
        for arena in pinned {
            arena.walk(&mut visit);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("n_workers", &self.seats.homes().len())
            .finish_non_exhaustive()
    }
}

impl Interrupt for Reactor {
    fn interrupt(&self) {
        self.notify();
    }
}

/// The life of a worker thread: its seat was claimed for it.
fn home_thread(shared: &Arc<Shared>, index: usize, newcomer: Newcomer) {
    let _inside = newcomer.arrive();
    let seat = &shared.seats.homes()[index];
    // A broken invariant of the scheduler ends the process: the seat would be lost, and its count with it.
    let abort_on_unwind = AbortOnUnwind;
    seat.home().bind();
    shared.config.thread_started();
    shared.monitor.ensure_started(shared);
    shared.monitor.attend();
    context::with(|cx| {
        let _runtime = context::Restore::set(&cx.runtime, Arc::as_ptr(shared));
        while !shared.is_stopping() {
            let _seat = context::Restore::set(&cx.seat, ptr::from_ref(seat));
            // SAFETY: the seat was claimed and handed to this thread.
            let worker = unsafe { Worker::home(shared, seat) };
            work(&worker, || shared.is_stopping());
            // The seat is a guest's now, or the runtime stops; the flag is set before the last hand-over.
            if !shared.is_stopping() {
                seat.home().sleep_until_handed();
            }
        }
    });
    shared.config.thread_stopped();
    // A guest may wait for this thread to go away; from here on it touches the seat no more.
    seat.set_unwatched();
    std::mem::forget(abort_on_unwind);
}

/// Aborts unless it is forgotten.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        eprintln!("rt: a thread of the runtime panicked outside any task; going on would hang");
        std::process::abort();
    }
}

/// Works until it is over or the seat is gone.
fn work(worker: &Worker<'_>, is_over: impl Fn() -> bool) {
    while worker.has_seat() && !is_over() {
        loop {
            match worker.turn() {
                Turn::Ran => {}
                Turn::Idle => break,
                Turn::LostSeat => return,
            }
            if is_over() {
                return;
            }
        }
        worker.park(&is_over);
    }
}
