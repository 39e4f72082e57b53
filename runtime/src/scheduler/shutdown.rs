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

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::guest::block_on;
use super::{Shared, lock_std};
use crate::context;
use crate::task::{Arena, Header, Task, TaskInfo, TaskRef, abort, harness};
use crate::Cancelled;

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
            write!(f, "\n  task {} spawned at {}", task.label(), task.spawned_at)?;
        }
        Ok(())
    }
}

/// A little time for whatever is about to end, whatever the grace.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// The same for worker threads, who only have to come home: enough for a machine that is busy.
const LEAST_WAIT_FOR_WORKERS: Duration = Duration::from_secs(1);

/// Shuts a runtime down. Called once, by whoever owns it.
pub(crate) fn shut_down(shared: &Arc<Shared>, grace: Duration) -> ShutdownReport {
    let began = Instant::now();
    let deadline = began.checked_add(grace).unwrap_or(began + Duration::from_secs(86_400 * 365));
    shared.is_closing.store(true, Ordering::Relaxed);
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
    // ORDERING(stop): Release, all of the above for the workers.
    shared.is_stopping.store(true, Ordering::Release);
    shared.injector.close();
    shared.blocking.close();
    shared.compute.close();
    let latest = deadline.max(Instant::now() + LEAST_WAIT);
    report.stuck_workers = send_home(shared, deadline.max(Instant::now() + LEAST_WAIT_FOR_WORKERS));
    let mut has_all_seats = report.stuck_workers == 0;
    if has_all_seats && may_touch_local {
        has_all_seats = drop_the_rest(shared, latest);
    }
    report.stuck_blocking = shared.blocking.join(latest) + shared.compute.join(latest);
    if let Some(reactor) = shared.reactor.get() {
        reactor.close();
    }
    match (has_all_seats, holds_seat(shared)) {
        (true, false) => close_arenas(shared),
        // This thread goes on inside the runtime, and may spawn.
        (true, true) => shared.leaves_arenas.store(true, Ordering::Relaxed),
        // Whoever holds a seat may still allocate there: the memory is left to it for good.
        (false, _) => {}
    }
    report
}

/// The first pause between two looks at what is left; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Cancels every task and runs them until none is left or the grace is over.
///
/// Whoever completes a task wakes us if it sees that we are closing. It does: cancelling writes to the state
/// word of each task, and who completes the task writes to it later and looks afterwards. The exception is a
/// task that is being spawned meanwhile by a thread that does not know yet; so we look again, now and then.
fn end_gracefully(shared: &Arc<Shared>, grace: Duration) {
    let ended = async {
        let give_up = crate::time::Instant::now().saturating_add(grace);
        let mut pause = FIRST_PAUSE;
        loop {
            cancel_all(shared);
            let now = crate::time::Instant::now();
            let mut sleep = crate::time::sleep_until(now.saturating_add(pause).min(give_up));
            let has_ended = std::future::poll_fn(|cx| {
                *lock_std(&shared.closing_waker) = Some(cx.waker().clone());
                if shared.n_spawned() == shared.n_ended() && !shared.is_busy_blocking() && n_live(shared) == 0 {
                    return Poll::Ready(true);
                }
                std::pin::Pin::new(&mut sleep).poll(cx).map(|()| false)
            });
            if has_ended.await || crate::time::Instant::now() >= give_up {
                return;
            }
            pause *= 2;
        }
    };
    block_on(shared, ended);
    *lock_std(&shared.closing_waker) = None::<Waker>;
}

fn n_live(shared: &Shared) -> usize {
    let mut n_live = 0;
    shared.walk(|task| n_live += usize::from(!task.header().state.load().is_complete()));
    n_live
}

fn cancel_all(shared: &Shared) {
    shared.walk(|task| {
        let header: &Header = task.header();
        harness::cancel(header, || Cancelled::by_shutdown(header.location()));
    });
}

/// Has all threads go home and joins those that do in time; returns how many did not.
fn send_home(shared: &Arc<Shared>, latest: Instant) -> usize {
    let reactor = shared.reactor.get().map(|reactor| &**reactor);
    for seat in &shared.seats {
        seat.home().hand_over(reactor);
        // A guest that sleeps on the seat gets up and leaves it.
        if seat.has_guest() && shared.idle.claim_counted(seat.index) {
            shared.wake_claimed(seat.index);
        }
    }
    shared.monitor.rouse();
    for main in std::mem::take(&mut *lock_std(&shared.standing)) {
        main.nudge();
    }
    let handles = std::mem::take(&mut lock_std(&shared.threads).handles);
    let mut n_stuck = 0;
    for handle in handles {
        if handle.thread().id() == std::thread::current().id() {
            continue;
        }
        while !handle.is_finished() && Instant::now() < latest {
            std::thread::sleep(Duration::from_micros(50));
        }
        if handle.is_finished() {
            let _ = handle.join();
        } else {
            n_stuck += 1;
        }
    }
    n_stuck
}

/// Whether the calling thread holds a seat of the runtime that it shuts down.
fn holds_seat(shared: &Arc<Shared>) -> bool {
    context::with(|cx| std::ptr::eq(cx.runtime.get(), Arc::as_ptr(shared)) && !cx.seat.get().is_null())
}

/// Drops what is in the queues and whatever else is not complete. True if nobody else holds a seat any more.
fn drop_the_rest(shared: &Arc<Shared>, latest: Instant) -> bool {
    let began = Instant::now();
    context::with(|cx| {
        let _runtime = context::Restore::set(&cx.runtime, Arc::as_ptr(shared));
        let _seat = context::Restore::set(&cx.seat, std::ptr::null());
        let mut seats = Vec::new();
        let mut left: Vec<_> = shared.seats.iter().collect();
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
            let mut queued = std::mem::take(&mut *lock_std(&shared.stranded));
            shared.injector.pop_batch(0, usize::MAX, |task| queued.push(task));
            for seat in &seats {
                // SAFETY: this thread has claimed the seat, and nobody is left to hand it to.
                queued.extend(std::iter::from_fn(|| unsafe { seat.pop() }));
            }
            let had_any = !queued.is_empty();
            queued.into_iter().for_each(abort);
            let is_through = !had_any && !end_sleeping(shared);
            let patience = if is_through { began } else { latest } + LEAST_WAIT;
            if (is_through && left.is_empty()) || Instant::now() > patience {
                // If seats are left, somebody is inside `block_on` on another thread, in the middle of a poll.
                return left.is_empty();
            }
            if is_through {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    })
}

/// Ends the tasks that no queue holds; true if there were any that are not complete.
fn end_sleeping(shared: &Shared) -> bool {
    let mut found = false;
    // The task that shuts its own runtime down goes on afterwards.
    let own = context::with(|cx| cx.task.get());
    shared.walk(|task: TaskRef| {
        if task.header().state.load().is_complete() || std::ptr::eq(task.header(), own) {
            return;
        }
        found = true;
        if task.header().state.wake() == crate::task::state::Wake::Submit {
            // SAFETY: the task became scheduled by this call.
            abort(unsafe { Task::new(task.as_ptr()) });
        }
    });
    if found {
        std::thread::yield_now();
    }
    found
}

/// Closes the arenas that a shutdown inside the runtime left to the thread that ran it.
pub(super) fn close_left_arenas(shared: &Shared) {
    if shared.leaves_arenas.swap(false, Ordering::Relaxed) {
        close_arenas(shared);
    }
}

/// Lets the memory of tasks go, as soon as the last handle to one does.
fn close_arenas(shared: &Shared) {
    // Under the lock that allocating there takes: from now on late tasks get arenas of their own.
    *lock_std(&shared.outside_arena) = None;
    let arenas = std::mem::take(&mut *lock_std(&shared.arenas));
    for arena in arenas {
        // SAFETY: called once per arena, since the list is empty now; no thread holds a seat any more, and the
        // arena for those without one is not to be had.
        unsafe { Arena::close(arena.0) };
    }
}
