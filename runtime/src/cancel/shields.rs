//! What holds the cancellation of a scope back: the shields that are up in it, and for how long they may.
//!
//! A shield counts in every scope around it, so that none of them can drop what it protects. It counts from
//! its first poll until its body is through, also when it has moved out of those scopes meanwhile.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use std::panic::Location;

use super::cleanup::report;
use crate::context;
use crate::shim::lock_std;
use crate::time::{Instant, Sleep, sleep_until};
use crate::unhandled::Unhandled;

/// A cancellation that is held back for so long is reported.
const LONG: Duration = Duration::from_secs(1);

/// The shields that are up in one scope.
#[derive(Default)]
pub(crate) struct Shields(Mutex<Up>);

#[derive(Default)]
struct Up {
    n_unbounded: usize,
    limits: Vec<Duration>,
    /// Of the scope that a shield holds back.
    waker: Option<Waker>,
}

/// How long the shields of a scope may hold a cancellation back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    AtMost(Duration),
    Unbounded,
}

impl Shields {
    fn raise(&self, limit: Option<Duration>) {
        let mut up = lock_std(&self.0);
        match limit {
            Some(limit) => up.limits.push(limit),
            None => up.n_unbounded += 1,
        }
    }

    fn lower(&self, limit: Option<Duration>) {
        let mut up = lock_std(&self.0);
        match limit {
            Some(limit) => {
                if let Some(place) = up.limits.iter().position(|other| *other == limit) {
                    up.limits.swap_remove(place);
                }
            }
            None => up.n_unbounded -= 1,
        }
        let waker = up.waker.take();
        drop(up);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn is_any_up(&self) -> bool {
        let up = lock_std(&self.0);
        up.n_unbounded > 0 || !up.limits.is_empty()
    }

    /// How long a cancellation is held back, and has `waker` woken when that may have changed. None if no shield
    /// is up.
    fn watch(&self, waker: &Waker) -> Option<Hold> {
        let mut up = lock_std(&self.0);
        let hold = match up.limits.iter().max() {
            _ if up.n_unbounded > 0 => Hold::Unbounded,
            Some(limit) => Hold::AtMost(*limit),
            None => return None,
        };
        let before = up.waker.replace(waker.clone());
        drop(up);
        drop(before);
        Some(hold)
    }
}

/// A shield that is up: it counts in these scopes until it is dropped.
pub(super) struct Raised {
    scopes: Vec<Arc<Shields>>,
    limit: Option<Duration>,
}

impl Raised {
    pub(super) fn new(scopes: Vec<Arc<Shields>>, limit: Option<Duration>) -> Self {
        for shields in &scopes {
            shields.raise(limit);
        }
        Self { scopes, limit }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        for shields in &self.scopes {
            shields.lower(self.limit);
        }
    }
}

/// A cancellation that is being held back.
pub(super) struct Held {
    since: Instant,
    is_reported: bool,
    sleep: Option<Sleep>,
}

impl Held {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            is_reported: false,
            sleep: None,
        }
    }

    /// Ready once nothing holds the cancellation back any more. Reports, once, that it takes long.
    pub(super) fn poll(
        &mut self,
        shields: &Shields,
        cx: &mut Context<'_>,
        of: &'static Location<'static>,
    ) -> Poll<()> {
        loop {
            let limit = match shields.watch(cx.waker()) {
                None => return Poll::Ready(()),
                Some(Hold::Unbounded) => None,
                Some(Hold::AtMost(limit)) => Some(self.since.saturating_add(limit)),
            };
            let report_at = (!self.is_reported).then(|| self.since.saturating_add(LONG));
            let Some(next) = limit.into_iter().chain(report_at).min() else {
                return Poll::Pending;
            };
            if !context::with_runtime(|runtime| runtime.is_some()) {
                // On another executor nobody tells the time: the shield alone decides.
                return Poll::Pending;
            }
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    if sleep.deadline() != next {
                        sleep.reset(next);
                    }
                    sleep
                }
                none => none.insert(sleep_until(next)),
            };
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            if limit == Some(next) {
                return Poll::Ready(());
            }
            self.is_reported = true;
            report(Unhandled::long_shield(of));
        }
    }
}
