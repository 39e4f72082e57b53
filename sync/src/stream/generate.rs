//! `generate`: an async generator, a body that puts items into the stream that it is.
//!
//! The body is polled inside the consumer's task, so it needs no task of its own and runs only while somebody asks
//! for an item. It is a scope: what cleanup it registers is awaited before the stream ends, or, if the stream is
//! dropped half-way, before the scope around ends.
//!
//! Between `put` and the consumer is a slot for one item. A `put` is through when its item was taken, so that the
//! body goes on only when the next one is asked for. Whoever is polled with the consumer's own waker need not be
//! woken by the other: each time the consumer asks, the body is polled. Wakers are kept only for a `put` under a
//! combinator or in another task.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use rt_tasks_runtime::shim::lock_std;
use rt_tasks_runtime::{ScopedBody, coop};

/// Makes a stream of what `body` puts: an async generator.
///
/// The body runs in the consumer's task and only while somebody asks for an item. It ends with the stream:
/// dropping the stream half-way drops the body where it waits, and the scope around awaits its cleanup.
///
/// # Cancel safety
///
/// Dropping the future of a `next` loses no item: the body stays where it is.
///
/// # Panics
///
/// A panic of the body comes out where the next item is asked for, once its cleanup is through; then the stream is
/// over.
///
/// # Examples
///
/// ```
/// # use rt_tasks_runtime as runtime;
/// # use rt_tasks_sync as rt;
/// use rt::stream::{StreamExt, generate};
///
/// # runtime::block_on(async {
/// let mut squares = generate(|y| async move {
///     for number in 1.. {
///         runtime::yield_now().await;
///         y.put(number * number).await;
///     }
/// });
/// assert_eq!(squares.next().await, Some(1));
/// assert_eq!(squares.take(3).collect::<Vec<_>>().await, [4, 9, 16]);
/// # });
/// ```
#[track_caller]
#[doc(alias = "stream!")]
#[doc(alias = "yield")]
pub fn generate<T, F, B>(body: F) -> Generate<T, B>
where
    F: FnOnce(Yielder<T>) -> B,
    B: Future<Output = ()>,
{
    let slot = Arc::new(Mutex::new(Slot {
        item: None,
        n_put: 0,
        n_taken: 0,
        consumer: None,
        waiting: Vec::new(),
    }));
    let body = body(Yielder { slot: slot.clone() });
    Generate {
        body: Some(Box::pin(ScopedBody::new(body, Location::caller()))),
        slot,
    }
}

/// The stream of [`generate`].
#[must_use = "streams do nothing unless polled"]
pub struct Generate<T, B: Future> {
    /// None once it is through, cleanup included.
    body: Option<Pin<Box<ScopedBody<B>>>>,
    slot: Arc<Mutex<Slot<T>>>,
}

// What is pinned is on the heap.
impl<T, B: Future> Unpin for Generate<T, B> {}

/// What is between the body and the consumer.
struct Slot<T> {
    item: Option<T>,
    n_put: u64,
    n_taken: u64,
    /// Who asked for an item last.
    consumer: Option<Waker>,
    /// Who waits for the slot, other than the consumer itself.
    waiting: Vec<Waker>,
}

impl<T> Slot<T> {
    fn is_consumer(&self, cx: &Context<'_>) -> bool {
        self.consumer
            .as_ref()
            .is_some_and(|consumer| consumer.will_wake(cx.waker()))
    }

    /// Remembers to wake whoever waits for the slot to be empty.
    fn wait(&mut self, cx: &Context<'_>) {
        let is_known = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.is_consumer(cx) && !self.waiting.iter().any(is_known) {
            self.waiting.push(cx.waker().clone());
        }
    }
}

impl<T, B: Future> Generate<T, B> {
    /// Takes the item, and has whoever waits for the slot polled again.
    fn take(&self) -> Option<T> {
        let mut slot = lock_std(&self.slot);
        let item = slot.item.take()?;
        slot.n_taken += 1;
        let waiting = std::mem::take(&mut slot.waiting);
        drop(slot);
        waiting.into_iter().for_each(Waker::wake);
        Some(item)
    }

    /// Polls the body for an item.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = lock_std(&self.slot);
        let before = match slot.is_consumer(cx) {
            true => None,
            false => slot.consumer.replace(cx.waker().clone()),
        };
        drop(slot);
        drop(before);
        // Another task may have put one.
        if let Some(item) = self.take() {
            return Poll::Ready(Some(item));
        }
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = body.as_mut().poll_end(cx);
        let is_through = polled.is_ready();
        if is_through {
            self.body = None;
        }
        if let Poll::Ready(Err(panic)) = polled {
            panic.resume()
        }
        match self.take() {
            Some(item) => Poll::Ready(Some(item)),
            None if is_through => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<T, B: Future> Stream for Generate<T, B> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(coop::poll_proceed(cx));
        let polled = self.poll_item(cx);
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl<T, B: Future> fmt::Debug for Generate<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generate")
            .field("is_through", &self.body.is_none())
            .finish_non_exhaustive()
    }
}

/// Puts items into the stream of [`generate`].
pub struct Yielder<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

impl<T> Yielder<T> {
    /// Gives an item to the consumer; through when that asks for the next one.
    ///
    /// Once the stream was dropped it never ends; as a rule it is dropped itself then, with the body.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the consumer took the item it drops the item, and the consumer does not see it.
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put {
            slot: &self.slot,
            state: PutState::Waiting(item),
        }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").finish_non_exhaustive()
    }
}

/// The future of [`Yielder::put`].
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T> {
    slot: &'a Mutex<Slot<T>>,
    state: PutState<T>,
}

enum PutState<T> {
    /// The slot was full so far.
    Waiting(T),
    /// The item lay in the slot, with this number.
    Placed(u64),
    Over,
}

// The item is moved, never pinned.
impl<T> Unpin for Put<'_, T> {}

impl<T> Future for Put<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut slot = lock_std(this.slot);
        if let PutState::Placed(number) = this.state {
            if slot.n_taken > number {
                this.state = PutState::Over;
                return Poll::Ready(());
            }
        } else if slot.item.is_none() {
            let number = slot.n_put;
            match std::mem::replace(&mut this.state, PutState::Placed(number)) {
                PutState::Waiting(item) => slot.item = Some(item),
                _ => panic!("a put was polled after it was through"),
            }
            slot.n_put += 1;
            if !slot.is_consumer(cx) {
                slot.wait(cx);
                let consumer = slot.consumer.clone();
                drop(slot);
                consumer.iter().for_each(Waker::wake_by_ref);
                return Poll::Pending;
            }
        }
        slot.wait(cx);
        Poll::Pending
    }
}

impl<T> Drop for Put<'_, T> {
    fn drop(&mut self) {
        if let PutState::Placed(number) = self.state {
            let mut slot = lock_std(self.slot);
            // Numbers are given to one item after the other: not taken means that it is the one in the slot.
            let item = match slot.n_taken > number {
                true => None,
                false => {
                    slot.n_taken += 1;
                    slot.item.take()
                }
            };
            let waiting = match item {
                Some(_) => std::mem::take(&mut slot.waiting),
                None => Vec::new(),
            };
            drop(slot);
            waiting.into_iter().for_each(Waker::wake);
            drop(item);
        }
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("is_over", &matches!(self.state, PutState::Over))
            .finish_non_exhaustive()
    }
}
