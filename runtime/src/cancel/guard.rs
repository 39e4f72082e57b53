//! `guard`: a resource that is released by async code, however its owner ends.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use super::cleanup::{CleanupFuture, CleanupOutput, boxed, start_in_current_scope};
use crate::shim::lock_std;

/// Guards a resource that has to be released by async code: asyncio's `async with`.
///
/// The guard derefs to the resource. [`close`](AsyncGuard::close) runs the release and gives what it returns. If
/// the guard is dropped instead, by `?`, a panic or cancellation, the release starts at once in the innermost scope
/// (task, `timeout`, `CancelScope`, …), which does not end before it is through; then an error in it is reported.
/// It is shielded from cancellation and bounded by the runtime's grace. Outside any scope it becomes a task
/// of its own, and outside any runtime it is run to its end by the drop.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as rt;
/// # use std::sync::{Arc, Mutex};
/// struct Connection(Arc<Mutex<Vec<&'static str>>>);
/// impl Connection {
///     async fn close(self) -> std::io::Result<()> {
///         rt::yield_now().await;
///         self.0.lock().unwrap().push("closed");
///         Ok(())
///     }
/// }
/// let log = Arc::new(Mutex::new(vec![]));
/// let theirs = log.clone();
/// rt::block_on(async move {
///     let first = rt::guard(Connection(theirs.clone()), |connection| connection.close());
///     first.0.lock().unwrap().push("used");
///     first.close().await?;
///     let _second = rt::guard(Connection(theirs), |connection| async { connection.close().await });
///     Ok::<(), std::io::Error>(())
/// }).unwrap();
/// assert_eq!(*log.lock().unwrap(), ["used", "closed", "closed"]);
/// ```
#[doc(alias = "asynccontextmanager")]
pub fn guard<R, F, C>(resource: R, release: F) -> AsyncGuard<R, C::Output>
where
    R: Send + 'static,
    F: FnOnce(R) -> C + Send + 'static,
    C: Future + Send + 'static,
    C::Output: CleanupOutput + 'static,
{
    AsyncGuard {
        held: Some(Held {
            resource,
            release: Mutex::new(Box::new(release)),
        }),
    }
}

/// How a resource is released, with and without somebody who wants to know what came of it.
trait Release<R, O> {
    fn start(self: Box<Self>, resource: R) -> Closing<O>;
    fn clean_up(self: Box<Self>, resource: R) -> CleanupFuture;
}

impl<R, F, C> Release<R, C::Output> for F
where
    R: Send + 'static,
    F: FnOnce(R) -> C + Send + 'static,
    C: Future + Send + 'static,
    C::Output: CleanupOutput + 'static,
{
    fn start(self: Box<Self>, resource: R) -> Closing<C::Output> {
        Closing {
            future: Box::pin(async move { self(resource).await }),
            into_cleanup: |future| boxed(future),
        }
    }

    fn clean_up(self: Box<Self>, resource: R) -> CleanupFuture {
        boxed(async move { self(resource).await })
    }
}

type Boxed<O> = Pin<Box<dyn Future<Output = O> + Send>>;

/// A release under way, and how it goes on when nobody waits for what comes of it any more.
struct Closing<O> {
    future: Boxed<O>,
    into_cleanup: fn(Boxed<O>) -> CleanupFuture,
}

struct Held<R, O> {
    resource: R,
    /// Under a lock that is never taken by two, so that the guard is `Sync` if the resource is.
    release: Mutex<Box<dyn Release<R, O> + Send>>,
}

impl<R, O> Held<R, O> {
    fn split(self) -> (R, Box<dyn Release<R, O> + Send>) {
        let release = match self.release.into_inner() {
            Ok(release) => release,
            Err(poisoned) => poisoned.into_inner(),
        };
        (self.resource, release)
    }
}

/// A resource with its release; made by [`guard`].
#[must_use = "dropped at once it releases the resource at once"]
pub struct AsyncGuard<R, O = ()> {
    /// Until it is closed or taken apart.
    held: Option<Held<R, O>>,
}

impl<R, O> AsyncGuard<R, O> {
    /// Releases the resource now, and gives what the release returns.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, or before its first poll, the release goes on in the innermost scope, which does not end
    /// before it is through.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// rt::block_on(async {
    ///     let file = rt::guard("file", |_| async { Err::<(), _>("the disk is full") });
    ///     assert_eq!(file.close().await, Err("the disk is full"));
    /// });
    /// ```
    pub fn close(mut self) -> Close<O> {
        let (resource, release) = self.take().split();
        Close {
            closing: Mutex::new(Some(release.start(resource))),
        }
    }

    /// Takes the resource out: it is not released.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rt_tasks_runtime as rt;
    /// let guard = rt::guard(7, |number| async move { println!("{number} released") });
    /// assert_eq!(guard.into_inner(), 7);
    /// ```
    #[must_use]
    pub fn into_inner(mut self) -> R {
        self.take().split().0
    }

    fn take(&mut self) -> Held<R, O> {
        self.held.take().expect(HELD)
    }
}

/// Why a guard that can be used has its resource.
const HELD: &str = "a guard holds its resource until it is used up";

impl<R, O> Deref for AsyncGuard<R, O> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.held.as_ref().expect(HELD).resource
    }
}

impl<R, O> DerefMut for AsyncGuard<R, O> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.held.as_mut().expect(HELD).resource
    }
}

impl<R, O> Drop for AsyncGuard<R, O> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let (resource, release) = held.split();
            start_in_current_scope(release.clean_up(resource), None);
        }
    }
}

impl<R, O> fmt::Debug for AsyncGuard<R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGuard").finish_non_exhaustive()
    }
}

/// The future of [`AsyncGuard::close`].
#[must_use = "futures do nothing unless awaited"]
pub struct Close<O> {
    /// Until it is through; under a lock for the same reason as in the guard.
    closing: Mutex<Option<Closing<O>>>,
}

impl<O> Future for Close<O> {
    type Output = O;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let mut place = lock_std(&self.closing);
        let mut closing = place.take().expect("polled after it was through");
        drop(place);
        // A release that panics is not polled again: it is neither in here nor in any scope.
        match closing.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => {
                *lock_std(&self.closing) = Some(closing);
                Poll::Pending
            }
        }
    }
}

impl<O> Drop for Close<O> {
    fn drop(&mut self) {
        let closing = lock_std(&self.closing).take();
        if let Some(Closing {
            future,
            into_cleanup,
        }) = closing
        {
            start_in_current_scope(into_cleanup(future), None);
        }
    }
}

impl<O> fmt::Debug for Close<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close")
            .field("is_through", &lock_std(&self.closing).is_none())
            .finish_non_exhaustive()
    }
}
