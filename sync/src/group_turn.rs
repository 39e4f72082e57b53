//! Groups with a limit: a child waits for its turn, or its spawner does.
//!
//! A turn is a permit of the group's semaphore. It ends when the child is through, cleanup included, and is counted
//! off: so the group never counts more children with a turn than its limit.

use std::fmt;
use std::future::{Future, pending};
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::{coop, shield, spawn_blocking};

use crate::group::TaskGroup;
use crate::group_child::{ChildOutput, GroupHandle};
use crate::group_members::Members;
use crate::semaphore::{AcquireOwned, OwnedPermit, Semaphore};

/// A child's place in the line, taken when it is spawned, so that turns come in the order of the spawns.
pub(crate) enum Place {
    /// It is its turn already.
    First(OwnedPermit),
    Waiting(Pin<Box<AcquireOwned>>),
}

impl Place {
    pub(crate) fn take(limit: &Arc<Semaphore>) -> Self {
        if let Ok(turn) = limit.clone().try_acquire_owned() {
            return Self::First(turn);
        }
        let mut turn = Box::pin(limit.clone().acquire_owned());
        // So that a spawner without budget does not keep it from the line.
        coop::restore();
        match turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Self::First(turn.expect(NEVER_CLOSED)),
            Poll::Pending => Self::Waiting(turn),
        }
    }
}

/// The turn of a child, once it has it: shared by its body, which waits for it, and its hook, which ends it.
#[derive(Clone, Default)]
pub(crate) struct Turn(Arc<Mutex<Option<OwnedPermit>>>);

impl Turn {
    fn begin(&self, permit: OwnedPermit) {
        *lock_std(&self.0) = Some(permit);
    }
}

/// A child that waits for its turn first.
pub(crate) async fn in_turn<F: Future>(
    place: Place,
    turn: Turn,
    members: Arc<Members>,
    child: F,
) -> F::Output {
    match place {
        Place::First(permit) => turn.begin(permit),
        Place::Waiting(permit) => {
            turn.begin(permit.await.expect(NEVER_CLOSED));
            if members.is_closing() {
                // Whoever had the turn was cancelled, and so is this child in a moment: it must not begin.
                pending::<()>().await;
            }
        }
    }
    drop(turn);
    child.await
}

/// A blocking function as part of a child. Like a child that is nothing else it cannot be stopped.
pub(crate) async fn blocking_part<T, E>(
    function: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    match shield(spawn_blocking(function)).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => error.into_panic().resume(),
        // The runtime is going away, and this task with it.
        Err(_) => pending().await,
    }
}

const NEVER_CLOSED: &str = "a group never closes its semaphore";

pin_project_lite::pin_project! {
    /// The future of [`TaskGroup::spawn_in_turn`].
    #[must_use = "the child is spawned when this is awaited"]
    pub struct SpawnInTurn<E, F> {
        group: TaskGroup<E>,
        child: Option<F>,
        #[pin]
        turn: Option<AcquireOwned>,
        at: &'static Location<'static>,
    }
}

impl<E, F> SpawnInTurn<E, F> {
    #[track_caller]
    pub(crate) fn new(group: TaskGroup<E>, child: F) -> Self {
        let limit = group.core.limit.as_ref();
        Self {
            turn: limit.map(|limit| limit.clone().acquire_owned()),
            child: Some(child),
            group,
            at: Location::caller(),
        }
    }
}

impl<E, F> Future for SpawnInTurn<E, F>
where
    E: Send + 'static,
    F: Future + Send + 'static,
    F::Output: ChildOutput<E>,
{
    type Output = GroupHandle<<F::Output as ChildOutput<E>>::Value>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let turn = match this.turn.as_pin_mut() {
            Some(turn) => Some(ready!(turn.poll(cx)).expect(NEVER_CLOSED)),
            None => None,
        };
        let child = this.child.take();
        let child = child.expect("rt::TaskGroup's spawn_in_turn was polled after it was over");
        Poll::Ready(this.group.spawn_at_once(child, turn, None, this.at))
    }
}

impl<E, F> fmt::Debug for SpawnInTurn<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnInTurn")
            .field("group", &self.group)
            .field("is_over", &self.child.is_none())
            .finish_non_exhaustive()
    }
}
