//! The scopes around the code that runs: which there are, and what they say together.
//!
//! While a scope is polled it knows the scope around it, so from the innermost one, to which the context
//! points, the whole chain can be walked: through `timeout`, `CancelScope`, `catch_cancel` and groups up to
//! the task. Cleanup ends the chain: no request and no deadline of the scope that runs it reaches it.
//!
//! A task that belongs to a group has more around it: what was around the group when it was opened. That is
//! told by the group, as its [`Surroundings`].

use std::fmt;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::Arc;

use super::cleanup::CleanupFailure;
use super::control::Control;
use super::scope::Scope;
use super::signal::Signal;
use crate::context;
use crate::task::Header;
use crate::time::Instant;

/// The scope of a task, made now if nobody needed it before.
fn made(task: &Header) -> Option<&Scope> {
    Some(&task.cold().scope)
}

/// The scope of a task, if anybody ever needed it.
fn known(task: &Header) -> Option<&Scope> {
    task.cold_if_any().map(|cold| &cold.scope)
}

/// Visits the scopes around, from the innermost one. `Break` if it was told to stop, or came to cleanup.
fn walk(
    of_task: fn(&Header) -> Option<&Scope>,
    mut visit: impl FnMut(&Scope) -> ControlFlow<()>,
) -> ControlFlow<()> {
    context::with(|cx| {
        let mut next = cx.scope.get();
        let mut last = ptr::null();
        // SAFETY: context invariant 4, and scope invariant 3 for those around.
        while let Some(scope) = unsafe { next.as_ref() } {
            if scope.is_cleaning() {
                return ControlFlow::Break(());
            }
            visit(scope)?;
            last = next;
            next = scope.around();
        }
        // SAFETY: context invariant 3.
        match unsafe { cx.task.get().as_ref() }.and_then(of_task) {
            Some(scope) if !ptr::eq(scope, last) => visit(scope),
            _ => ControlFlow::Continue(()),
        }
    })
}

/// Visits the scopes around, from the innermost one up to the task's.
pub(super) fn for_each(mut visit: impl FnMut(&Scope)) {
    let _ = walk(made, |scope| {
        visit(scope);
        ControlFlow::Continue(())
    });
}

/// Gives `f` the scope directly around; none if there is none, or if this is cleanup.
pub(super) fn innermost<R>(f: impl FnOnce(&Scope) -> R) -> Option<R> {
    let (mut f, mut result) = (Some(f), None);
    let _ = walk(made, |scope| {
        result = f.take().map(|f| f(scope));
        ControlFlow::Break(())
    });
    result
}

/// Gives what went wrong in cleanup to the nearest scope around whose owner collects that; back if there is none.
pub(super) fn collect(failure: CleanupFailure) -> Option<CleanupFailure> {
    context::with(|cx| {
        let mut next = cx.scope.get();
        // SAFETY: context invariant 4, and scope invariant 3 for those around.
        while let Some(scope) = unsafe { next.as_ref() } {
            if scope.is_collecting() {
                scope.add_failure(failure);
                return None;
            }
            next = scope.around();
        }
        Some(failure)
    })
}

/// Whether something was asked of a scope around that takes effect once this code is suspended.
pub(super) fn is_asked() -> bool {
    let mut now = None;
    let mut is_late = |scope: &Scope| {
        scope
            .deadline()
            .is_some_and(|deadline| deadline <= *now.get_or_insert_with(Instant::now))
    };
    let walked = walk(known, |scope| {
        if scope.has_request() || is_late(scope) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let is_cancelled =
        context::with_task(|task| task.is_some_and(|task| task.state.load().is_cancelled()));
    walked.is_break() || is_cancelled
}

/// The signals of all scopes around: a request to any of them asks the code that runs to stop.
pub(super) fn signals() -> Vec<Arc<Signal>> {
    let mut signals = Vec::new();
    let walked = walk(made, |scope| {
        signals.extend(scope.signal());
        ControlFlow::Continue(())
    });
    if walked.is_continue() {
        context::with_task(|task| signals.extend(task.map(Header::signal)));
        of_task().for_each(|control| signals.push(control.signal()));
    }
    signals
}

/// The nearest deadline of all scopes around; see [`deadline`](crate::task::deadline).
pub(crate) fn deadline() -> Option<Instant> {
    let mut nearest = None;
    let walked = walk(known, |scope| {
        nearest = earlier(nearest, scope.deadline());
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Continue(()) => earlier(nearest, of_task().deadline()),
        ControlFlow::Break(()) => nearest,
    }
}

/// What is around the task that runs.
fn of_task() -> Surroundings {
    let Some(task) = context::with(|cx| ptr::NonNull::new(cx.task.get().cast_mut())) else {
        return Surroundings::default();
    };
    // SAFETY: context invariant 3.
    let vtable = unsafe { task.as_ref() }.vtable();
    // SAFETY: as above: the task is polled on this thread, so its hook is ours to look at.
    unsafe { (vtable.surroundings)(task) }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// What is around a group, for its children: the deadlines and the requests to stop that cover them too.
///
/// Plumbing for the structured forms.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Surroundings(Option<Arc<Around>>);

struct Around {
    /// The nearest one that cannot move.
    deadline: Option<Instant>,
    /// Whose deadlines move, and who may be asked to stop gracefully.
    scopes: Vec<Arc<Control>>,
    /// Of the task in which the group was opened.
    outer: Surroundings,
}

impl Surroundings {
    /// What is around this code, and a deadline of the group itself. Costs nothing but a look if there is nothing.
    #[must_use]
    pub fn current(deadline: Option<Instant>) -> Self {
        let mut nearest = deadline;
        let mut scopes = Vec::new();
        let walked = walk(known, |scope| {
            match scope.control() {
                Some(control) => scopes.push(control.clone()),
                None => nearest = earlier(nearest, scope.deadline()),
            }
            ControlFlow::Continue(())
        });
        let outer = match walked {
            ControlFlow::Continue(()) => of_task(),
            ControlFlow::Break(()) => Self::default(),
        };
        if nearest.is_none() && scopes.is_empty() {
            return outer;
        }
        Self(Some(Arc::new(Around {
            deadline: nearest,
            scopes,
            outer,
        })))
    }

    fn deadline(&self) -> Option<Instant> {
        let around = self.0.as_ref()?;
        let moving = around
            .scopes
            .iter()
            .filter_map(|control| control.deadline());
        moving
            .chain(around.deadline)
            .chain(around.outer.deadline())
            .min()
    }

    fn for_each(&self, mut visit: impl FnMut(&Control)) {
        let mut next = self;
        while let Some(around) = &next.0 {
            around.scopes.iter().for_each(|control| visit(control));
            next = &around.outer;
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}
