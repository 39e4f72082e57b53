//! The scope of a group as a future: body, children, deadline, and what is left when it is dropped.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rt_tasks_runtime::{
    BodyEnd, Cancelled, CleanupFailure, Elapsed, Instant, ScopeEnd, ScopedBody, Sleep, Strike,
    Surroundings, sleep_until,
};

use crate::group::TaskGroup;
use crate::group_core::{Core, Handler, Policy, give_up, is_echo};
use crate::group_error::{FailureKind, GroupError, TaskFailure};
use crate::group_members::give_up_on;

/// Says how a group is to be; made by [`TaskGroup::builder`].
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// # use rt::{Policy, TaskGroup};
/// # runtime::block_on(async {
/// let mut handles = vec![];
/// let error = TaskGroup::options()
///     .name("numbers")
///     .limit(2)
///     .policy(Policy::CollectAll)
///     .scope(async |group| {
///         handles.extend(["1", "x", "3"].map(|text| group.spawn(async move { text.parse::<u32>() })));
///         Ok(())
///     })
///     .await
///     .unwrap_err();
/// let numbers: Vec<u32> = handles.into_iter().filter_map(|child| child.try_result().ok()).collect();
/// assert_eq!((numbers, error.len()), (vec![1, 3], 1));
/// # });
/// ```
#[must_use = "a builder does nothing until its scope is awaited"]
pub struct GroupBuilder<E> {
    name: Option<Arc<str>>,
    limit: Option<usize>,
    deadline: Option<Instant>,
    policy: Policy,
    handler: Option<Handler<E>>,
}

impl<E> GroupBuilder<E> {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            limit: None,
            deadline: None,
            policy: Policy::default(),
            handler: None,
        }
    }

    /// Names the group, for its error and for dumps.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets at most `n` children run at once; the others wait their turn, in the order of their spawns.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn limit(mut self, n: usize) -> Self {
        assert!(n > 0, "a group that lets no child run would never end");
        self.limit = Some(n);
        self
    }

    /// Cancels body and children at a moment; then the error says that the time was up.
    pub fn deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(at);
        self
    }

    /// What the end of one child means for the others.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Hands the failures of children to `handler` as they happen, instead of keeping them for the error of the
    /// group. They cancel nobody: this is for groups that live long and whose children fail on their own, like
    /// the connections of a server. Its memory is that of the live children.
    ///
    /// The handler runs where the child ran and must not block. The errors of the body and the deadline are in
    /// the error of the group as always. So is a panic of the handler, which ends the group.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as runtime;
    /// # use rt_tasks_sync as rt;
    /// # use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// # runtime::block_on(async {
    /// static N_FAILED: AtomicUsize = AtomicUsize::new(0);
    ///
    /// rt::TaskGroup::options()
    ///     .on_error(|failure| {
    ///         eprintln!("{failure}");
    ///         N_FAILED.fetch_add(1, Relaxed);
    ///     })
    ///     .scope(async |group| {
    ///         for text in ["1", "x", "3", "y"] {
    ///             group.spawn(async move { text.parse::<u32>() });
    ///         }
    ///         Ok(())
    ///     })
    ///     .await?;
    /// assert_eq!(N_FAILED.load(Relaxed), 2);
    /// # Ok::<(), rt::GroupError>(()) }).unwrap();
    /// ```
    #[doc(alias = "supervisor")]
    #[doc(alias = "discarding")]
    pub fn on_error(mut self, handler: impl Fn(TaskFailure<E>) + Send + Sync + 'static) -> Self {
        self.handler = Some(Box::new(handler));
        self
    }

    /// Runs `body` with the group; see [`TaskGroup::scope`].
    #[track_caller]
    pub fn scope<R, F, B>(self, body: F) -> GroupScope<B>
    where
        F: FnOnce(TaskGroup<E>) -> B,
        B: Future<Output = Result<R, E>>,
        E: 'static,
    {
        let at = Location::caller();
        let core = Arc::new(Core::new(self.name, self.policy, self.limit, self.handler));
        let body = body(TaskGroup { core: core.clone() });
        GroupScope {
            body: ScopedBody::new(body, at).collect_failures(),
            body_end: None,
            core,
            deadline: self.deadline,
            sleep: None,
            is_over: false,
            is_struck: false,
            is_echo: is_echo::<E>,
            give_up: give_up::<E>,
            at,
        }
    }
}

impl<E> fmt::Debug for GroupBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBuilder")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .field("deadline", &self.deadline)
            .field("policy", &self.policy)
            .field("has_handler", &self.handler.is_some())
            .finish()
    }
}

/// What the body of a group returns: a `Result`.
///
/// The scope names value and error through it, not by parameters of its own: a parameter that stands for
/// `Box<dyn Error + 'static>` beside the body that mentions it again breaks the `Send` of futures around it.
#[doc(hidden)]
pub trait BodyOutput {
    type Value;
    type Error;
    /// The same as a `Result`.
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<R, E> BodyOutput for Result<R, E> {
    type Value = R;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

pub(crate) type ErrorOf<B> = <<B as Future>::Output as BodyOutput>::Error;
pub(crate) type ValueOf<B> = <<B as Future>::Output as BodyOutput>::Value;
/// How the body of a group ended.
pub(crate) type GroupBodyEnd<B> = BodyEnd<Result<ValueOf<B>, ErrorOf<B>>>;

pin_project_lite::pin_project! {
    /// The future of [`TaskGroup::scope`].
    #[project = GroupScopeParts]
    #[must_use = "futures do nothing unless awaited"]
    pub struct GroupScope<B>
    where
        B: Future,
        B::Output: BodyOutput,
    {
        #[pin]
        body: ScopedBody<B>,
        body_end: Option<GroupBodyEnd<B>>,
        core: Arc<Core<ErrorOf<B>>>,
        deadline: Option<Instant>,
        sleep: Option<Sleep>,
        is_over: bool,
        // The body was asked to end, whether it was dropped or caught that.
        is_struck: bool,
        // Pointers, because a `'static` bound on the `Future` would break the `Send` of futures around it.
        is_echo: fn(&[TaskFailure<ErrorOf<B>>], &ErrorOf<B>) -> bool,
        give_up: fn(&Core<ErrorOf<B>>),
        at: &'static Location<'static>,
    }

    impl<B> PinnedDrop for GroupScope<B>
    where
        B: Future,
        B::Output: BodyOutput,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let members = &this.core.members;
            if !*this.is_over {
                (this.give_up)(this.core);
                // The destructors of a body that has begun may spawn.
                if members.len() > 0 || this.core.surroundings.get().is_some() {
                    give_up_on(members, "the scope of its group was dropped");
                }
            }
        }
    }
}

impl<B> GroupScopeParts<'_, B>
where
    B: Future,
    B::Output: BodyOutput,
{
    /// Polls the body to its end; dropped if the group fails meanwhile.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Before the body is looked at: what fails from here on wakes us again.
        self.core.members.watch(cx.waker());
        self.strike(cx);
        let mut polled = self.body.as_mut().poll_end(cx);
        if polled.is_pending() && self.core.is_failing() && self.end_body(cx) {
            // A child failed during this very poll, perhaps under the body's own eyes.
            polled = self.body.as_mut().poll_end(cx);
        }
        let end = ready!(polled).map(|end| match end {
            ScopeEnd::Value(output) => ScopeEnd::Value(output.into_result()),
            ScopeEnd::Dropped => ScopeEnd::Dropped,
        });
        if !matches!(end, Ok(ScopeEnd::Value(Ok(_)))) {
            self.core.body_failed();
        }
        *self.body_end = Some(end);
        Poll::Ready(())
    }

    /// Asks the body, once, to end because the group fails; true if it has something to do now.
    fn end_body(&mut self, cx: &mut Context<'_>) -> bool {
        if *self.is_struck || self.body.has_ended() {
            return false;
        }
        let cancelled = Cancelled::by_group("its group failed", self.at);
        *self.is_struck = self.body.as_mut().strike(cx, &cancelled) != Strike::Held;
        *self.is_struck
    }

    /// What is around the scope, and its own deadline, for its children.
    fn look_around(&self) {
        self.core.surroundings.get_or_init(|| {
            self.body.set_deadline(*self.deadline);
            Surroundings::current(*self.deadline)
        });
    }

    /// Ends the group if its time is up, and the body if the group fails.
    fn strike(&mut self, cx: &mut Context<'_>) {
        if let Some(deadline) = *self.deadline {
            let sleep = self.sleep.get_or_insert_with(|| sleep_until(deadline));
            if Pin::new(sleep).poll(cx).is_ready() {
                *self.deadline = None;
                let failure = self.failure(FailureKind::Elapsed(Elapsed::at_deadline(
                    deadline, self.at,
                )));
                self.core.strike(failure);
            }
        }
        if self.core.is_failing() {
            *self.is_struck &= self.body.take_given_back().is_none();
            self.end_body(cx);
        }
    }

    /// A failure of the scope itself.
    fn failure(&self, kind: FailureKind<ErrorOf<B>>) -> TaskFailure<ErrorOf<B>> {
        TaskFailure {
            kind,
            name: self.core.name.clone(),
            id: None,
            spawned_at: self.at,
        }
    }

    /// Puts the outcome together, once everybody is through.
    fn finish(&mut self) -> Result<ValueOf<B>, GroupError<ErrorOf<B>>> {
        *self.is_over = true;
        let body_end = self
            .body_end
            .take()
            .expect("rt::TaskGroup's scope was polled after it was over");
        let body_end = body_end.unwrap_or_else(|panic| {
            (self.give_up)(self.core);
            panic.resume()
        });
        let mut failures = self.core.take_failures();
        let cleanup = self.body.take_failures().into_iter();
        if failures.is_empty() && matches!(body_end, ScopeEnd::Value(Ok(_))) {
            // Cleanup alone fails no group.
            cleanup.for_each(CleanupFailure::tell);
        } else {
            let kinds = cleanup.map(|failure| FailureKind::Cleanup(failure.into_error()));
            failures.extend(kinds.map(|kind| self.failure(kind)));
        }
        match body_end {
            ScopeEnd::Value(Ok(value)) if failures.is_empty() => return Ok(value),
            ScopeEnd::Value(Err(error)) if !(self.is_echo)(&failures, &error) => {
                failures.push(self.failure(FailureKind::Error(error)));
            }
            ScopeEnd::Value(_) | ScopeEnd::Dropped => {}
        }
        Err(GroupError::new(self.core.name.clone(), failures, self.at))
    }
}

impl<B> Future for GroupScope<B>
where
    B: Future,
    B::Output: BodyOutput,
{
    type Output = Result<ValueOf<B>, GroupError<ErrorOf<B>>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.body_end.is_none() {
            this.look_around();
            ready!(this.poll_body(cx));
        } else {
            this.strike(cx);
        }
        ready!(this.core.members.poll_empty(cx.waker()));
        Poll::Ready(this.finish())
    }
}

impl<B> fmt::Debug for GroupScope<B>
where
    B: Future,
    B::Output: BodyOutput,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupScope")
            .field("name", &self.core.name)
            .field("n_children", &self.core.members.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
