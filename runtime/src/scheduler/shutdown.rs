//! Ending a runtime: cancel, wait for cleanup within the grace, stop, drop what is left, report.
//!
//! 1. Closing: what is spawned from now on is cancelled before its first poll.
//! 2. Every live task is cancelled; they run, with their cleanup, until none is left or the grace is over. The
//!    thread that shuts down helps as a guest, so a current-thread runtime ends the same way.
//! 3. Stopping: workers and monitor go home and are joined, unless one is stuck in a task that blocks: then it
//!    is left behind and reported.
//! 4. What is left is dropped here. A queue entry may still be on its way from a waker on another thread: the
//!    injector is closed, so it ends up among the stranded, and the loop waits for it.
//! 5. Blocking threads get what remains of the grace, I/O waiters an error, arenas are closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::guest::{block_on, give_seat_up};
use super::{CLOSING, Shared, lock_std};
use crate::context;
use crate::task::{Arena, Retained, Task, TaskInfo, abort, harness, is_due};
use crate::unhandled::Unhandled;

/// What a shutdown left behind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Tasks that did not end within the grace. Their futures were dropped, unless a task was stuck in a poll.
    pub unfinished: Vec<TaskInfo>,
    /// Blocking jobs that were still running when the grace was over; their threads were left behind.
    pub stuck_blocking: usize,
    /// Worker threads that were stuck in a poll when the grace was over; they were left behind.
    pub stuck_workers: usize,
}

impl ShutdownReport {
    /// Whether everything ended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty() && self.stuck_blocking == 0 && self.stuck_workers == 0
    }
}

impl std::fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_clean() {
            return f.write_str("everything ended");
        }
        write!(
            f,
            "{} task(s), {} blocking job(s) and {} worker(s) did not end within the grace",
            self.unfinished.len(),
            self.stuck_blocking,
            self.stuck_workers
        )?;
        for task in &self.unfinished {
            write!(
                f,
                "\n  task {} spawned at {}",
                task.label(),
                task.spawned_at
            )?;
        }
        Ok(())
    }
}

/// A little time for threads to go home, whatever the grace.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// The same for worker threads, who only have to come home: enough for a machine that is busy.
const LEAST_WAIT_FOR_WORKERS: Duration = Duration::from_secs(1);

/// Between two looks for threads that are on their way.
const BREAK: Duration = Duration::from_micros(50);

/// A thread that has nothing else to do ends within this time: it is looked for without a break, which the system makes
/// twice as long as asked for.
const PROMPT: Duration = Duration::from_micros(100);

/// Between two looks for tasks that are not cancelled or not counted yet. The end of each task wakes the one who
/// waits, but it is counted before it is complete, and a spawn may cross the beginning of the shutdown; to
/// order both would cost a fence in each spawn and each end (rejected).
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(64);

/// Shuts a runtime down. Called once, by whoever owns it.
pub(crate) fn shut_down(shared: &Arc<Shared>, grace: Duration) -> ShutdownReport {
    let began = Instant::now();
    let deadline = began
        .checked_add(grace)
        .unwrap_or(began + Duration::from_secs(86_400 * 365));
    shared.attention.fetch_or(CLOSING, Ordering::Relaxed);
    crate::debug::lost::report_left_behind(shared);
    let may_touch_local = !shared.has_foreign_local_tasks();
    if may_touch_local {
        end_gracefully(shared, grace);
    }
    let mut report = ShutdownReport::default();
    shared.walk(|task| {
        let info = task.header().info();
        if !task.header().state.load().is_complete() {
            report.unfinished.push(info);
        }
    });
    // Called inside this very runtime, the thread goes on without a seat: its arena is closed below.
    give_seat_up(shared);
    // ORDERING(stop): Release, all of the above for the workers.
    shared.is_stopping.store(true, Ordering::Release);
    // A seat that is parked from now on sees the flag, or `send_home` sees its bit.
    shared.idle.fence_after_push();
    shared.injector.close();
    for pool in shared.pools() {
        pool.close();
    }
    let latest = deadline.max(Instant::now() + LEAST_WAIT);
    report.stuck_workers = send_home(
        shared,
        deadline.max(Instant::now() + LEAST_WAIT_FOR_WORKERS),
    );
    let is_empty = report.stuck_workers == 0 && may_touch_local && drop_the_rest(shared, latest);
    report.stuck_blocking = shared
        .platform
        .block(|| shared.pools().map(|pool| pool.join(latest)).iter().sum());
    if let Some(reactor) = shared.reactor.get() {
        if shared.debug.is_some() && reactor.n_sources() > 0 {
            shared.report(Unhandled::left_open(reactor.n_sources()));
        }
        reactor.close();
    }
    if is_empty {
        close_arenas(shared);
    }
    let late = {
        let mut stranded = lock_std(&shared.stranded);
        stranded.is_over = true;
        std::mem::take(&mut stranded.tasks)
    };
    late.into_iter().for_each(|task| shared.strand(task));
    crate::inspect::end(shared);
    crate::record::save(shared);
    report
}

/// Cancels every task and runs them until none is left or the grace is over.
fn end_gracefully(shared: &Arc<Shared>, grace: Duration) {
    let mut limit = crate::time::sleep(grace);
    let mut period = FIRST_LOOK;
    let mut next_look = crate::time::sleep(Duration::ZERO);
    let ended = std::future::poll_fn(|cx| {
        *lock_std(&shared.closing_waker) = Some(cx.waker().clone());
        if shared.n_spawned() == shared.n_ended()
            && !shared.is_busy_blocking()
            && n_live(shared) == 0
        {
            return Poll::Ready(());
        }
        while Pin::new(&mut next_look).poll(cx).is_ready() {
            cancel_all(shared);
            next_look = crate::time::sleep(period);
            period = (period * 2).min(LAST_LOOK);
        }
        Pin::new(&mut limit).poll(cx)
    });
    block_on(shared, ended);
    *lock_std(&shared.closing_waker) = None::<Waker>;
}

fn n_live(shared: &Shared) -> usize {
    let mut n_live = 0;
    shared.walk(|task| n_live += usize::from(!task.header().state.load().is_complete()));
    n_live
}

fn cancel_all(shared: &Shared) {
    shared.walk(|task| harness::cancel_for_shutdown(task.header()));
}

/// Has all threads go home and joins those that do in time; returns how many did not.
fn send_home(shared: &Arc<Shared>, latest: Instant) -> usize {
    let reactor = shared.interrupt();
    for seat in shared.seats.in_use() {
        seat.home().hand_over(reactor);
        // A guest that sleeps on the seat gets up and leaves it, and so does the thread of a spare one.
        let has_other = seat.has_guest() || shared.seats.is_spare(seat);
        if has_other && shared.idle.claim_counted(seat.index) {
            shared.wake_claimed(seat.index);
        }
    }
    shared.monitor.rouse();
    if let Some(debug) = &shared.debug {
        debug.end();
    }
    for main in std::mem::take(&mut *lock_std(&shared.standing)) {
        main.nudge();
    }
    let handles = std::mem::take(&mut lock_std(&shared.threads).handles);
    let mut n_stuck = 0;
    for handle in handles {
        if handle.thread().id() == std::thread::current().id() {
            continue;
        }
        let prompt = Instant::now() + PROMPT;
        while !handle.is_finished() && Instant::now() < latest {
            if Instant::now() < prompt && !shared.platform.is_chaotic() {
                shared.platform.yield_thread();
            } else {
                shared.platform.block(|| std::thread::sleep(BREAK));
            }
        }
        if handle.is_finished() {
            let _ = handle.join();
        } else {
            n_stuck += 1;
        }
    }
    n_stuck
}

/// Drops what is in the queues and whatever else is not complete. False if time was up first.
fn drop_the_rest(shared: &Arc<Shared>, latest: Instant) -> bool {
    let began = Instant::now();
    context::with(|cx| {
        let _runtime = context::Restore::set(&cx.runtime, Arc::as_ptr(shared));
        let _seat = context::Restore::set(&cx.seat, std::ptr::null());
        let _behind = context::Restore::set(&cx.seat_behind, std::ptr::null());
        let mut seats = Vec::new();
        let mut left: Vec<_> = shared.seats.ever_used().collect();
        loop {
            // The home threads are gone, whatever the bits say; guests leave their seats when they see that
            // the runtime stops.
            left.retain(|seat| {
                let is_ours = shared.idle.claim(seat.index) || !seat.has_guest();
                if is_ours {
                    seats.push(*seat);
                }
                !is_ours
            });
            let mut queued = std::mem::take(&mut lock_std(&shared.stranded).tasks);
            queued.append(&mut lock_std(&shared.local_aside));
            let injector = &shared.injector;
            injector.pop_batch(0, usize::MAX, |task| queued.push(task));
            injector.pop_others(0, usize::MAX, |task| queued.push(task));
            for seat in &seats {
                // SAFETY: this thread has claimed the seat, and nobody is left to hand it to.
                queued.extend(std::iter::from_fn(|| unsafe { seat.pop() }));
            }
            let had_any = !queued.is_empty();
            queued.into_iter().for_each(abort);
            let is_through = !had_any && !end_sleeping(shared);
            if is_through && left.is_empty() {
                return true;
            }
            // If only seats are left, somebody is inside `block_on` on another thread, in the middle of a poll:
            // nothing that the grace is meant for.
            let patience = if is_through { began } else { latest } + LEAST_WAIT;
            if Instant::now() > patience {
                return false;
            }
            if !had_any {
                shared.platform.block(|| std::thread::sleep(BREAK));
            }
        }
    })
}

/// Ends the tasks that no queue holds; true if there were any that are not complete.
fn end_sleeping(shared: &Shared) -> bool {
    let mut found = false;
    // The task that shuts its own runtime down goes on afterwards.
    let own = context::with(|cx| cx.task.get());
    shared.walk(|task: Retained| {
        if task.header().state.load().is_complete() || std::ptr::eq(task.header(), own) {
            return;
        }
        found = true;
        if is_due(task.header(), task.header().state.wake()) {
            // SAFETY: the task became scheduled by this call.
            abort(unsafe { Task::new(task.as_ptr()) });
        }
    });
    found
}

/// Lets the memory of tasks go, as soon as the last handle to one does.
fn close_arenas(shared: &Shared) {
    *lock_std(&shared.outside_arena) = None;
    let arenas = std::mem::take(&mut *lock_std(&shared.arenas));
    for arena in arenas {
        // SAFETY: called once per arena; no thread holds a seat any more, and the arena for those without one
        // was taken away above, under the lock under which it is used.
        unsafe { Arena::close(arena.0) };
    }
}
