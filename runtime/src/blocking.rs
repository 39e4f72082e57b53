//! Threads for work that blocks: `spawn_blocking` and files; a few more for names of hosts, so that neither waits for the
//! other; and one per core for work that computes.
//!
//! One queue under one short lock; sleepers on a stack, so that the thread that slept last, whose caches are
//! warm, is woken first, and the others can time out; nobody is woken under the lock.
//!
//! # Who comes
//!
//! Threads come one at a time, woken or started: whoever comes, takes a job and sees more of them than free threads calls
//! the next. A job that is queued while somebody is on the way calls nobody. So a burst of 20,000 short jobs neither
//! wakes 20,000 times nor starts 500 threads, and 100 jobs that block get theirs within a few milliseconds; and jobs one
//! after another are done by one thread (rejected: a thread per job up to the maximum, which spends the burst creating
//! threads).
//!
//! # Invariants
//!
//! 1. `n_threads` counts the threads that run or are being started; it is at most `max`, substitutes (`Job::Run`) not
//!    counted.
//! 2. A job is in the queue, or taken by one thread.
//! 3. A sleeper that is not on the stack any more was chosen, and will look into the queue.
//! 4. A thread that neither sleeps nor runs a job will look into the queue before it sleeps or ends. While there are as
//!    many of them as jobs in the queue, nobody has to be called.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::context;
use crate::runtime::Config;
use crate::scheduler::Shared;
use crate::shim::lock_std;
use crate::task::{self, Task};

/// How many names of hosts are asked for at once. A resolver that does not answer holds its thread for some ten seconds,
/// and those behind it wait.
pub(crate) const MOST_LOOK_UPS: usize = 32;

/// One piece of work.
pub(crate) enum Job {
    /// A task whose one poll does the work.
    Task(Task),
    /// One that is run even if the pool is closed before it has begun.
    Mandatory(Task),
    /// Work of the runtime's own.
    Run(Arc<Shared>, Box<dyn FnOnce() + Send>),
}

pub(crate) struct Pool {
    name: &'static str,
    max: usize,
    config: Config,
    state: Mutex<State>,
    ended: Condvar,
    n_jobs: AtomicUsize,
    /// Threads whose job has not done its work yet; raised under the lock.
    n_running: AtomicUsize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    sleepers: Vec<Arc<Sleeper>>,
    n_threads: usize,
    /// Threads that take no more jobs but are still there.
    n_leaving: usize,
    /// A thread was called, and has not looked into the queue yet.
    is_coming: bool,
    is_closed: bool,
    n_started: usize,
}

impl State {
    /// A thread decides to end.
    fn leave(&mut self) {
        self.n_threads -= 1;
        self.n_leaving += 1;
    }
}

struct Sleeper {
    thread: Thread,
    is_chosen: AtomicBool,
}

impl Sleeper {
    fn wake(&self) {
        self.is_chosen.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Pool {
    pub(crate) fn new(name: &'static str, max: usize, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            name,
            max,
            config: config.clone(),
            state: Mutex::new(State::default()),
            ended: Condvar::new(),
            n_jobs: AtomicUsize::new(0),
            n_running: AtomicUsize::new(0),
        })
    }

    /// Whether a job is queued or being run.
    pub(crate) fn is_busy(&self) -> bool {
        self.n_jobs.load(Ordering::Relaxed) > 0
    }

    /// Jobs that wait for a thread.
    pub(crate) fn n_queued(&self) -> usize {
        lock_std(&self.state).queue.len()
    }

    pub(crate) fn n_threads(&self) -> usize {
        lock_std(&self.state).n_threads
    }

    /// Jobs that are queued or being run.
    pub(crate) fn n_jobs(&self) -> usize {
        self.n_jobs.load(Ordering::Relaxed)
    }

    /// Queues a job and sees to it that a thread takes it.
    pub(crate) fn execute(self: &Arc<Self>, job: Job) {
        self.n_jobs.fetch_add(1, Ordering::Relaxed);
        let mut state = lock_std(&self.state);
        if state.is_closed {
            drop(state);
            self.drop_job(job);
            return;
        }
        match job {
            Job::Task(_) | Job::Mandatory(_) => state.queue.push_back(job),
            Job::Run(..) => state.queue.push_front(job),
        }
        self.call_another(state);
    }

    /// Has one more thread look into the queue, if that is wanted.
    fn call_another(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let n_taken = state.sleepers.len() + self.n_running.load(Ordering::Relaxed);
        let n_free = state.n_threads.saturating_sub(n_taken);
        // Invariant 4.
        if state.is_coming || state.queue.len() <= n_free {
            return;
        }
        let Some(sleeper) = state.sleepers.pop() else {
            self.grow(state);
            return;
        };
        state.is_coming = true;
        drop(state);
        sleeper.wake();
    }

    /// Starts one more thread, if there are fewer than `max`.
    fn grow(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        // A substitute for a thread that blocks on a seat adds no thread that works, and a seat must not wait until some
        // other blocking is over.
        let is_substitute = matches!(state.queue.front(), Some(Job::Run(..)));
        if state.n_threads >= self.max && !is_substitute {
            return;
        }
        state.is_coming = true;
        state.n_threads += 1;
        state.n_started += 1;
        let number = state.n_started;
        drop(state);
        let pool = self.clone();
        let builder = self.config.thread(&format!("{}-{number}", self.name));
        if let Err(error) = builder.spawn(move || pool.thread()) {
            let mut state = lock_std(&self.state);
            state.is_coming = false;
            state.n_threads -= 1;
            let n_left = state.n_threads;
            drop(state);
            self.config
                .report(crate::unhandled::Unhandled::no_thread(error, n_left));
        }
    }

    /// The life of one thread.
    fn thread(self: &Arc<Self>) {
        let abort_on_unwind = crate::scheduler::AbortOnUnwind;
        self.config.thread_started();
        let sleeper = Arc::new(Sleeper {
            thread: std::thread::current(),
            is_chosen: AtomicBool::new(false),
        });
        // It was called: by its start, or out of its sleep.
        let mut was_called = true;
        loop {
            let mut state = lock_std(&self.state);
            if std::mem::take(&mut was_called) {
                state.is_coming = false;
            }
            if let Some(job) = state.queue.pop_front() {
                let _job = context::enter_blocking_job(&self.n_running);
                self.call_another(state);
                self.run(job);
                continue;
            }
            if state.is_closed {
                state.leave();
                break;
            }
            if !self.sleep(state, &sleeper) {
                break;
            }
            was_called = true;
        }
        self.config.thread_stopped();
        lock_std(&self.state).n_leaving -= 1;
        self.ended.notify_all();
        std::mem::forget(abort_on_unwind);
    }

    /// Sleeps until chosen. False: nobody needed this thread for the keep-alive time.
    fn sleep(&self, mut state: MutexGuard<'_, State>, sleeper: &Arc<Sleeper>) -> bool {
        sleeper.is_chosen.store(false, Ordering::Relaxed);
        state.sleepers.push(sleeper.clone());
        drop(state);
        let until = Instant::now() + self.config.blocking_keep_alive;
        while !sleeper.is_chosen.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::park_timeout(left);
                continue;
            }
            let mut state = lock_std(&self.state);
            let before = state.sleepers.len();
            state.sleepers.retain(|other| !Arc::ptr_eq(other, sleeper));
            if state.sleepers.len() == before {
                // Invariant 3: not there any more means chosen in the last moment.
                return true;
            }
            // In the same breath: a job that comes from now on must not count on this thread.
            state.leave();
            return false;
        }
        true
    }

    fn run(&self, job: Job) {
        let runtime = match &job {
            Job::Run(runtime, _) => runtime.clone(),
            Job::Task(task) | Job::Mandatory(task) => task.header().runtime().clone(),
        };
        match job {
            Job::Run(_, work) => task::ignore_panic(work),
            Job::Task(task) | Job::Mandatory(task) => context::with(|cx| {
                let _runtime = context::Restore::set(&cx.runtime, Arc::as_ptr(&runtime));
                // The function is through; cleanup that it registered may want to go on.
                if let task::Ran::Again(task) = runtime.recorded(0, task, task::run) {
                    runtime.inject(task);
                }
            }),
        }
        self.n_jobs.fetch_sub(1, Ordering::Relaxed);
        runtime.blocking_ended();
    }

    /// Ends a job that will not be run.
    fn drop_job(&self, job: Job) {
        match job {
            Job::Task(task) | Job::Mandatory(task) => task::abort(task),
            Job::Run(_, work) => task::ignore_panic(|| drop(work)),
        }
        self.n_jobs.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets nothing in any more, and ends what has not begun, if that is not mandatory.
    pub(crate) fn close(&self) {
        let mut state = lock_std(&self.state);
        state.is_closed = true;
        let queue = std::mem::take(&mut state.queue);
        let is_mandatory = |job: &Job| matches!(job, Job::Mandatory(_));
        let (mandatory, ended): (VecDeque<_>, VecDeque<_>) =
            queue.into_iter().partition(is_mandatory);
        state.queue = mandatory;
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        for job in ended {
            self.drop_job(job);
        }
        for sleeper in sleepers {
            sleeper.wake();
        }
    }

    /// Waits until all threads have ended, at most until `deadline`; returns how many have not.
    pub(crate) fn join(&self, deadline: Instant) -> usize {
        let mut state = lock_std(&self.state);
        while state.n_threads + state.n_leaving > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = match self
                .ended
                .wait_timeout(state, left.min(Duration::from_secs(3600)))
            {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.n_threads + state.n_leaving
    }
}
