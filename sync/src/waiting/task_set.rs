//! `TaskSet`: tasks with a key each, whose results are taken as they come.
//!
//! A task that ends puts its number into the list of those whose results are to be taken, exactly once; so a set
//! that is dropped leaves nothing behind but a count for the scope around to wait for.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rt_tasks_runtime::task::Hook;
use rt_tasks_runtime::wait::WaitKind;
use rt_tasks_runtime::{
    CancelHandle, Instant, JoinError, JoinHandle, Timeout, Work, cleanup_now, report_lost,
    spawn_hooked, spawn_work, timeout, timeout_at,
};
use slab::Slab;

use super::ready_list::ReadyList;

/// Tasks with a key each, whose results are taken one by one, in the order in which they end.
///
/// It may be kept in a struct and filled while results are taken. Dropping it cancels its tasks, and the scope
/// around awaits them: no task is ever orphaned, unless [`detach_all`](Self::detach_all) says so. Results that
/// nobody took are dropped.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let mut set = rt::TaskSet::new();
/// for text in ["1", "x", "3"] {
///     set.spawn(text, async move { text.parse::<u32>() });
/// }
/// let mut sum = 0;
/// while let Some((text, result)) = set.next().await {
///     match result? {
///         Ok(number) => sum += number,
///         Err(_) => assert_eq!(text, "x"),
///     }
/// }
/// assert_eq!(sum, 4);
/// # Ok::<(), rt::BoxError>(()) }).unwrap();
/// ```
#[doc(alias = "JoinSet")]
#[doc(alias = "JoinMap")]
pub struct TaskSet<K, T> {
    children: Slab<Child<K, T>>,
    /// Those that are through. Each task enters itself once, by its number in `children`.
    ended: Arc<ReadyList>,
}

struct Child<K, T> {
    key: K,
    handle: JoinHandle<T>,
}

/// Enters a task when it is through.
struct Entry {
    ended: Arc<ReadyList>,
    number: usize,
}

impl<T> Hook<T> for Entry {
    type Value = T;

    fn outcome(&self, result: Result<T, JoinError>) -> Result<T, JoinError> {
        result
    }

    fn finished(self) {
        self.ended.push(self.number);
    }
}

impl<K, T> TaskSet<K, T> {
    /// A set without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self {
            children: Slab::new(),
            ended: Arc::default(),
        }
    }

    /// How many results are still to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there is no result left to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Takes the key and the result of the task that ended first; `None` once the set is empty. A task that was
    /// cancelled or panicked has a result too.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    // An iterator's `next` does not wait.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Next<'_, K, T> {
        Next { set: self }
    }

    /// Like [`next`](Self::next), for at most `limit`. The set can be used as before when the time is up: no task
    /// is cancelled.
    ///
    /// # Errors
    ///
    /// [`Elapsed`](rt_tasks_runtime::Elapsed) if the time was up first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # use std::time::Duration;
    /// # runtime::block_on(async {
    /// let mut set = rt::TaskSet::new();
    /// set.spawn("slow", runtime::sleep(Duration::from_millis(20)));
    /// assert!(set.next_timeout(Duration::from_millis(1)).await.is_err());
    /// assert_eq!(set.next().await.unwrap().0, "slow");
    /// # });
    /// ```
    #[track_caller]
    pub fn next_timeout(&mut self, limit: Duration) -> Timeout<Next<'_, K, T>> {
        timeout(limit, self.next())
    }

    /// Like [`next`](Self::next), until `deadline` at the latest; see [`next_timeout`](Self::next_timeout).
    ///
    /// # Errors
    ///
    /// [`Elapsed`](rt_tasks_runtime::Elapsed) if the deadline came first.
    #[track_caller]
    pub fn next_deadline(&mut self, deadline: Instant) -> Timeout<Next<'_, K, T>> {
        timeout_at(deadline, self.next())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(K, Result<T, JoinError>)>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        self.ended.watch(cx);
        let Some(number) = self.ended.pop() else {
            self.ended.note(WaitKind::AnyTask, self.ended.number());
            return Poll::Pending;
        };
        match Pin::new(&mut self.children[number].handle).poll(cx) {
            Poll::Ready(result) => {
                let key = self.children.remove(number).key;
                Poll::Ready(Some((key, result)))
            }
            // Only the budget of this poll can be lacking; then we are woken already.
            Poll::Pending => {
                self.ended.push(number);
                Poll::Pending
            }
        }
    }

    /// Asks every task to end. Their results are taken as ever.
    #[track_caller]
    pub fn cancel_all(&self) {
        self.cancel_with("all tasks of its set were cancelled");
    }

    #[track_caller]
    fn cancel_with(&self, reason: &'static str) {
        for (_, child) in &self.children {
            child.handle.cancel_with(reason);
        }
    }

    /// Cancels every task, and waits until all are through, cleanup included. What they returned is dropped; a
    /// panic goes to the runtime's [`on_unhandled`](rt_tasks_runtime::Builder::on_unhandled).
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the tasks that are not through in the set.
    pub fn shutdown(&mut self) -> Shutdown<'_, K, T> {
        Shutdown {
            set: self,
            is_cancelled: false,
        }
    }

    /// Lets every task run on by itself, as if its handle had been dropped, and empties the set.
    pub fn detach_all(&mut self) {
        // Those that end from now on enter themselves where nobody looks.
        self.ended = Arc::default();
        drop(std::mem::take(&mut self.children));
    }
}

impl<K, T: Send + 'static> TaskSet<K, T> {
    /// Spawns a task.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, key: K, future: F) -> CancelHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        let location = Location::caller();
        self.enter(key, |entry| {
            let group = entry.ended.number();
            spawn_hooked(future, entry, None, location, |task| {
                task.belongs_to(group);
                None
            })
        })
    }

    /// Runs a blocking function on a thread of its own. Once it runs nothing can stop it.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, key: K, function: F) -> CancelHandle
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let location = Location::caller();
        self.enter(key, |entry| {
            let group = entry.ended.number();
            spawn_work(function, entry, Work::Blocking, None, location, |task| {
                task.belongs_to(group);
                None
            })
        })
    }

    fn enter(&mut self, key: K, spawn: impl FnOnce(Entry) -> JoinHandle<T>) -> CancelHandle {
        let handle = spawn(Entry {
            ended: self.ended.clone(),
            number: self.children.vacant_key(),
        });
        let cancel = handle.cancel_handle();
        self.children.insert(Child { key, handle });
        cancel
    }
}

impl<K, T> Default for TaskSet<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, T> Drop for TaskSet<K, T> {
    fn drop(&mut self) {
        self.cancel_with("its set was dropped");
        let mut children = self.children.iter().map(|(_, child)| &child.handle);
        if let Some(unfinished) = children.find(|handle| !handle.is_finished()) {
            let rest = Rest {
                ended: self.ended.clone(),
                n_left: self.children.len(),
            };
            cleanup_now(rest, Some(&unfinished.cancel_handle()));
        }
    }
}

impl<K, T> fmt::Debug for TaskSet<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Waits until the tasks of a dropped set are through.
struct Rest {
    ended: Arc<ReadyList>,
    n_left: usize,
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.ended.watch(cx);
        while self.ended.pop().is_some() {
            self.n_left -= 1;
        }
        if self.n_left == 0 {
            Poll::Ready(())
        } else {
            self.ended.note(WaitKind::Group, self.ended.number());
            Poll::Pending
        }
    }
}

/// The future of [`TaskSet::next`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'a, K, T> {
    set: &'a mut TaskSet<K, T>,
}

impl<K, T> Future for Next<'_, K, T> {
    type Output = Option<(K, Result<T, JoinError>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.set.poll_next(cx)
    }
}

/// The future of [`TaskSet::shutdown`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Shutdown<'a, K, T> {
    set: &'a mut TaskSet<K, T>,
    is_cancelled: bool,
}

impl<K, T> Future for Shutdown<'_, K, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.is_cancelled, true) {
            self.set.cancel_with("its set was shut down");
        }
        loop {
            match self.set.poll_next(cx) {
                Poll::Ready(Some((_, Err(error)))) if error.is_panic() => {
                    let task = error.task();
                    let what = format!("task #{} spawned at {}", task.id, task.spawned_at);
                    report_lost(what, Box::new(error.into_panic()));
                }
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
