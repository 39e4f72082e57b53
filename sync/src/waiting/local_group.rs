//! `local_group`: children that borrow, polled inside the calling task.
//!
//! The scope polls its body and its children, each only when its bell rang. A child is a scope of its own, so
//! that it can be dropped where it is suspended and have its cleanup awaited. Children are spawned and groups
//! cancelled while some child is being polled; so the lock is held only to take a child out of its place, and to put
//! it back.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::wait::{self, WaitKind};
use rt_tasks_runtime::{Cancelled, ScopeEnd, ScopedBody, Strike, task};
use slab::Slab;

use super::ready_list::ReadyList;
use crate::group::BoxError;
use crate::group_child::ChildOutput;
use crate::group_error::{FailureKind, GroupError, TaskFailure};
use crate::group_scope::{BodyOutput, ErrorOf, GroupBodyEnd, ValueOf};
use crate::oneshot::{self, Receiver, Sender, TryRecvError};

/// The number of the body in the ready list, and that of the first child.
const BODY: usize = 0;
const FIRST_CHILD: usize = 1;

/// Runs `body` with a group whose children are polled inside this task, until it and all children are through.
///
/// The children may borrow what lives longer than this call. They run concurrently, not in parallel: one at a time,
/// on the thread of the task. Apart from that it is like [`TaskGroup::scope`](crate::TaskGroup::scope): a child that
/// fails cancels the others and drops the body where it is suspended, and every error is kept. Children are `Send`,
/// so that the task may move between threads.
///
/// # Cancel safety
///
/// Dropping the scope drops the body and the children, and the scope around awaits their cleanup.
///
/// # Errors
///
/// [`GroupError`] with every failure in the order of completion, that of the body last. A panic of a child is a
/// failure.
///
/// # Panics
///
/// A panic of the body is raised again after all children have ended.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # runtime::block_on(async {
/// let words = ["a".to_string(), "bcd".to_string()];
/// let mut longest = 0;
/// let total = rt::local_group(async |group| {
///     let lengths: Vec<_> = words.iter().map(|word| group.spawn_ok(async { word.len() })).collect();
///     group.spawn(async { longest = words.iter().map(String::len).max().unwrap_or(0) });
///     let mut total = 0;
///     for length in lengths {
///         total += length.await?;
///     }
///     Ok(total)
/// })
/// .await?;
/// assert_eq!((total, longest), (4, 3));
/// # Ok::<(), rt::BoxError>(()) }).unwrap();
/// ```
#[track_caller]
pub fn local_group<'a, R, F, B>(body: F) -> LocalGroupScope<'a, B>
where
    F: FnOnce(LocalGroup<'a>) -> B,
    B: Future<Output = Result<R, BoxError>>,
{
    let at = Location::caller();
    let group = LocalGroup {
        core: Arc::default(),
    };
    let core = group.core.clone();
    core.ready.push(BODY);
    LocalGroupScope {
        bell: core.ready.bell(BODY),
        core,
        body: ScopedBody::new(body(group), at),
        body_end: None,
        failures: Vec::new(),
        is_struck: false,
        has_cancelled: false,
        into_error: |error| error,
        at,
    }
}

/// A group whose children are polled inside one task; a handle to it, cheap to clone. Given by [`local_group`].
#[derive(Clone)]
pub struct LocalGroup<'a> {
    core: Arc<Core<'a>>,
}

/// What the scope and the handles to the group share.
#[derive(Default)]
struct Core<'a> {
    ready: Arc<ReadyList>,
    state: Mutex<State<'a>>,
}

#[derive(Default)]
struct State<'a> {
    /// None while a child is being polled.
    children: Slab<Option<Child<'a>>>,
    /// New children are turned away, and those that are there are to be dropped.
    is_closing: bool,
}

/// A child in its place.
struct Child<'a> {
    body: Pin<Box<dyn ChildBody + Send + 'a>>,
    bell: Waker,
    /// It was asked to end.
    is_struck: bool,
    at: &'static Location<'static>,
}

/// The body of a child, whatever its type.
trait ChildBody {
    /// Polls it; at its end, how it failed if it did.
    fn poll_child(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FailureKind>>;

    /// Asks the body to end. False if a shield holds it back: then ask again in the next poll.
    fn strike(self: Pin<&mut Self>, cx: &mut Context<'_>, cancelled: &Cancelled) -> bool;

    /// Whether it is to be asked again: what caught the request was dropped.
    fn has_given_back(self: Pin<&mut Self>) -> bool;
}

pin_project_lite::pin_project! {
    struct Member<F, V>
    where
        F: Future,
    {
        #[pin]
        body: ScopedBody<F>,
        sender: Option<Sender<V>>,
        into_result: fn(F::Output) -> Result<V, BoxError>,
    }
}

impl<F: Future, V> ChildBody for Member<F, V> {
    fn poll_child(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FailureKind>> {
        let this = self.project();
        let end = match ready!(this.body.poll_end(cx)) {
            Ok(ScopeEnd::Dropped) => None,
            Ok(ScopeEnd::Value(output)) => match (this.into_result)(output) {
                Ok(value) => {
                    // Nobody may want it.
                    drop(this.sender.take().map(|sender| sender.send(value)));
                    None
                }
                Err(error) => Some(FailureKind::Error(error)),
            },
            Err(panic) => Some(FailureKind::Panic(panic)),
        };
        *this.sender = None;
        Poll::Ready(end)
    }

    fn strike(self: Pin<&mut Self>, cx: &mut Context<'_>, cancelled: &Cancelled) -> bool {
        strike(self.project().body, cx, cancelled)
    }

    fn has_given_back(self: Pin<&mut Self>) -> bool {
        self.project().body.take_given_back().is_some()
    }
}

/// Asks a body that has not ended to end. False if a shield holds it back.
fn strike<F: Future>(
    body: Pin<&mut ScopedBody<F>>,
    cx: &mut Context<'_>,
    cancelled: &Cancelled,
) -> bool {
    body.has_ended() || body.strike(cx, cancelled) != Strike::Held
}

impl<'a> LocalGroup<'a> {
    /// Adds a child, which begins to run when the body next waits.
    ///
    /// On a group that is closing the child is dropped before its first poll.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> LocalHandle<<F::Output as ChildOutput<BoxError>>::Value>
    where
        F: Future + Send + 'a,
        F::Output: ChildOutput<BoxError> + Send,
    {
        self.add(future, ChildOutput::into_result, Location::caller())
    }

    /// Adds a child that cannot fail, whatever its output; that may borrow too.
    #[track_caller]
    pub fn spawn_ok<F>(&self, future: F) -> LocalHandle<F::Output>
    where
        F: Future + Send + 'a,
        F::Output: Send + 'a,
    {
        self.add(future, Ok, Location::caller())
    }

    fn add<F, V>(
        &self,
        future: F,
        into_result: fn(F::Output) -> Result<V, BoxError>,
        at: &'static Location<'static>,
    ) -> LocalHandle<V>
    where
        F: Future<Output: Send> + Send + 'a,
        V: Send + 'a,
    {
        let (sender, receiver) = oneshot::channel();
        let handle = LocalHandle { receiver, at };
        let body = Box::pin(Member {
            body: ScopedBody::new(future, at),
            sender: Some(sender),
            into_result,
        });
        let mut state = lock_std(&self.core.state);
        if state.is_closing {
            drop(state);
            drop(body);
            return handle;
        }
        let entry = state.children.vacant_entry();
        let number = FIRST_CHILD + entry.key();
        let bell = self.core.ready.bell(number);
        entry.insert(Some(Child {
            body,
            bell,
            is_struck: false,
            at,
        }));
        drop(state);
        self.core.ready.push(number);
        handle
    }

    /// How many children are not through yet.
    #[must_use]
    pub fn len(&self) -> usize {
        lock_std(&self.core.state).children.len()
    }

    /// Whether no child is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether new children are turned away: the group failed, was cancelled, or is over.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        lock_std(&self.core.state).is_closing
    }

    /// Cancels all children and turns new ones away. The body goes on; that its children were cancelled is no
    /// error.
    pub fn cancel(&self) {
        self.core.close();
        // The scope sees to it when it is polled.
        self.core.ready.push(BODY);
    }
}

impl fmt::Debug for LocalGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalGroup")
            .field("len", &self.len())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

impl<'a> Core<'a> {
    /// Turns new children away, and has those that are there dropped.
    fn close(&self) {
        lock_std(&self.state).is_closing = true;
    }

    fn is_closing(&self) -> bool {
        lock_std(&self.state).is_closing
    }

    /// Takes a child out of its place, to be polled.
    fn take(&self, number: usize) -> Option<Child<'a>> {
        let mut state = lock_std(&self.state);
        state.children.get_mut(number - FIRST_CHILD)?.take()
    }

    /// Puts back a child that is not through.
    fn put_back(&self, number: usize, child: Child<'a>) {
        lock_std(&self.state).children[number - FIRST_CHILD] = Some(child);
    }

    /// Frees the place of a child that is through.
    fn remove(&self, number: usize) {
        lock_std(&self.state).children.remove(number - FIRST_CHILD);
    }

    fn numbers(&self) -> Vec<usize> {
        let state = lock_std(&self.state);
        state
            .children
            .iter()
            .map(|(key, _)| FIRST_CHILD + key)
            .collect()
    }
}

pin_project_lite::pin_project! {
    /// The future of [`local_group`].
    #[project = ScopeParts]
    #[must_use = "futures do nothing unless awaited"]
    pub struct LocalGroupScope<'a, B>
    where
        B: Future,
        B::Output: BodyOutput,
    {
        core: Arc<Core<'a>>,
        bell: Waker,
        #[pin]
        body: ScopedBody<B>,
        body_end: Option<GroupBodyEnd<B>>,
        failures: Vec<TaskFailure>,
        // The body was asked to end.
        is_struck: bool,
        // The children were told that the group is closing.
        has_cancelled: bool,
        // A pointer, because a bound that says which error it is would break the `Send` of futures around it.
        into_error: fn(ErrorOf<B>) -> BoxError,
        at: &'static Location<'static>,
    }

    impl<B> PinnedDrop for LocalGroupScope<'_, B>
    where
        B: Future,
        B::Output: BodyOutput,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.core.close();
            // A child may hold a handle to the group: here the circle ends.
            let children = std::mem::take(&mut lock_std(&this.core.state).children);
            drop(children);
        }
    }
}

impl<B: Future> ScopeParts<'_, '_, B>
where
    B::Output: BodyOutput,
{
    /// Looks at the body or a child that rang.
    fn look(&mut self, number: usize) {
        match number {
            BODY => self.poll_body(),
            child => self.poll_child(child),
        }
        if !*self.has_cancelled && self.core.is_closing() {
            *self.has_cancelled = true;
            for child in self.core.numbers() {
                self.poll_child(child);
            }
        }
        if !self.failures.is_empty() && !*self.is_struck {
            self.poll_body();
        }
    }

    /// Polls the body; asks it to end if a child has failed.
    fn poll_body(&mut self) {
        if self.body_end.is_some() {
            return;
        }
        let cx = &mut Context::from_waker(self.bell);
        *self.is_struck &= self.body.take_given_back().is_none();
        if !self.failures.is_empty() && !*self.is_struck {
            let cancelled = Cancelled::by_group("its group failed", self.at);
            *self.is_struck = strike(self.body.as_mut(), cx, &cancelled);
        }
        let Poll::Ready(end) = self.body.as_mut().poll_end(cx) else {
            return;
        };
        let end = end.map(|end| match end {
            ScopeEnd::Value(output) => ScopeEnd::Value(output.into_result()),
            ScopeEnd::Dropped => ScopeEnd::Dropped,
        });
        if !matches!(end, Ok(ScopeEnd::Value(Ok(_)))) {
            self.core.close();
        }
        *self.body_end = Some(end);
    }

    /// Polls a child; asks it to end if the group is closing.
    fn poll_child(&mut self, number: usize) {
        let Some(mut child) = self.core.take(number) else {
            return;
        };
        let bell = child.bell.clone();
        let cx = &mut Context::from_waker(&bell);
        self.strike(&mut child, cx);
        let Poll::Ready(failure) = child.body.as_mut().poll_child(cx) else {
            return self.core.put_back(number, child);
        };
        self.core.remove(number);
        if let Some(kind) = failure {
            self.core.close();
            self.failures.push(TaskFailure {
                kind,
                name: None,
                id: task::current().map(|task| task.id()),
                spawned_at: child.at,
            });
        }
    }

    /// Asks a child to end if the group is closing.
    fn strike(&self, child: &mut Child<'_>, cx: &mut Context<'_>) {
        child.is_struck &= !child.body.as_mut().has_given_back();
        if !child.is_struck && self.core.is_closing() {
            let cancelled = Cancelled::by_group("its group is closing", self.at);
            child.is_struck = child.body.as_mut().strike(cx, &cancelled);
        }
    }

    /// Puts the outcome together, once everybody is through.
    fn finish(&mut self) -> Result<ValueOf<B>, GroupError> {
        let end = self.body_end.take();
        let mut failures = std::mem::take(self.failures);
        match end.expect("rt::local_group was polled after it was over") {
            Err(panic) => panic.resume(),
            Ok(ScopeEnd::Value(Ok(value))) if failures.is_empty() => return Ok(value),
            Ok(ScopeEnd::Value(Err(error))) => failures.push(TaskFailure {
                kind: FailureKind::Error((self.into_error)(error)),
                name: None,
                id: None,
                spawned_at: self.at,
            }),
            Ok(ScopeEnd::Value(Ok(_)) | ScopeEnd::Dropped) => {}
        }
        Err(GroupError::new(None, failures, self.at))
    }
}

impl<B> Future for LocalGroupScope<'_, B>
where
    B: Future,
    B::Output: BodyOutput,
{
    type Output = Result<ValueOf<B>, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let ready = this.core.ready.clone();
        for _ in 0..ready.watch(cx) {
            let Some(number) = ready.pop() else { break };
            this.look(number);
        }
        let n_children = lock_std(&this.core.state).children.len();
        if this.body_end.is_none() || n_children > 0 {
            wait::goes_on(WaitKind::Parts, 0);
            return Poll::Pending;
        }
        this.core.close();
        Poll::Ready(this.finish())
    }
}

impl<B> fmt::Debug for LocalGroupScope<'_, B>
where
    B: Future,
    B::Output: BodyOutput,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_children = lock_std(&self.core.state).children.len();
        f.debug_struct("LocalGroupScope")
            .field("n_children", &n_children)
            .field("body_has_ended", &self.body_end.is_some())
            .finish_non_exhaustive()
    }
}

/// A handle to a child of a local group: its value, during the scope by awaiting it, afterwards by
/// [`result`](Self::result). Dropping it changes nothing.
pub struct LocalHandle<T> {
    receiver: Receiver<T>,
    at: &'static Location<'static>,
}

impl<T> LocalHandle<T> {
    /// The value of a child, after its scope returned `Ok`.
    ///
    /// # Panics
    ///
    /// At the caller's line, if the child did not succeed or is not through.
    #[track_caller]
    #[must_use]
    pub fn result(self) -> T {
        match self.try_result() {
            Ok(value) => value,
            Err(error) => panic!("LocalHandle::result of a child without a value: {error}"),
        }
    }

    /// The value of a child, after its scope returned.
    ///
    /// # Errors
    ///
    /// [`NoValue`] if the child was cancelled, or failed: then its error is in that of the group.
    ///
    /// # Panics
    ///
    /// At the caller's line, if the child is not through: await it instead.
    #[track_caller]
    pub fn try_result(mut self) -> Result<T, NoValue> {
        match self.receiver.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Empty) => panic!(
                "the result of the child spawned at {} was asked for before it was through: await its handle, \
                 or ask after the scope of its group",
                self.at
            ),
            Err(_) => Err(NoValue { at: self.at }),
        }
    }
}

impl<T> Future for LocalHandle<T> {
    type Output = Result<T, NoValue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let at = self.at;
        let received = Pin::new(&mut self.receiver).poll(cx);
        received.map(|value| value.map_err(|_| NoValue { at }))
    }
}

impl<T> fmt::Debug for LocalHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("spawned_at", &self.at)
            .finish_non_exhaustive()
    }
}

/// A child of a local group ended without a value: it was cancelled, or it failed and its error is in that of the
/// group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoValue {
    at: &'static Location<'static>,
}

impl fmt::Display for NoValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the child spawned at {} was cancelled, or failed",
            self.at
        )
    }
}

impl Error for NoValue {}
