//! Queues between tasks, bounded or not, that also know when the work taken from them is done.
//!
//! There are three, which differ in which item comes next, and in nothing else. What they offer stands in
//! `queue/surface.rs`; how they keep their promises, in `queue/shared.rs`.

mod errors;
mod futures;
mod job;
mod shared;
mod slot;
mod store;
mod surface;

use std::fmt;
use std::sync::Arc;

use crate::park;
use crate::stats::QueueStats;

pub use errors::{ShutDown, TaskDoneError, TryGetError, TryPutError};
pub use futures::{Get, Items, Join, NextItem, Put, Take};
pub use job::Job;
pub(crate) use slot::{Reserve, Slot};
pub use store::{Fifo, Lifo, Ranked};

use shared::Shared;
use surface::surface;

/// Passes items from any number of producers to any number of consumers, first in, first out.
///
/// The value is a handle: a clone refers to the same queue. A bounded queue makes producers wait while it
/// is full, so that a slow consumer slows them down instead of filling the memory. It is fair on both
/// sides: a slot that becomes free belongs to the producer that has waited longest, an item to the
/// consumer that has.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::Queue;
///
/// # futures_lite::future::block_on(async {
/// let queue = Queue::bounded(5);
/// let producer = queue.clone();
/// std::thread::spawn(move || {
///     for n in 0..10 {
///         producer.put_blocking(n).unwrap();
///     }
///     producer.shutdown();
/// });
/// let mut sum = 0;
/// while let Ok(n) = queue.get().await {
///     sum += n;
/// }
/// assert_eq!(sum, 45);
/// # });
/// ```
pub struct Queue<T> {
    shared: Arc<Shared<Fifo<T>>>,
}

surface!(Queue, Fifo);

/// Passes items from any number of producers to any number of consumers, last in, first out.
///
/// In all else it is a [`Queue`]. Its producers and consumers are served in the order in which they came; a
/// consumer that was promised an item takes the latest when it runs.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::LifoQueue;
///
/// let places_to_look_at = LifoQueue::unbounded();
/// places_to_look_at.try_put("first").unwrap();
/// places_to_look_at.try_put("last").unwrap();
/// assert_eq!(places_to_look_at.try_get(), Ok("last"));
/// ```
#[doc(alias = "stack")]
pub struct LifoQueue<T> {
    shared: Arc<Shared<Lifo<T>>>,
}

surface!(LifoQueue, Lifo);

/// Passes items from any number of producers to any number of consumers, the greatest first.
///
/// Of equal items the one that was put first comes first. For the smallest first, put them in
/// [`Reverse`](std::cmp::Reverse), as with [`BinaryHeap`](std::collections::BinaryHeap).
///
/// In all else it is a [`Queue`]. Its producers and consumers are served in the order in which they came; a
/// consumer that was promised an item takes the greatest when it runs.
///
/// Items are compared inside the queue's lock when they are put, so their `Ord` must not use the queue. Should
/// it panic, the panic goes to whoever is putting, and the queue is as it was before.
///
/// # Examples
///
/// ```
/// use rt_tasks_sync::PriorityQueue;
///
/// let errands = PriorityQueue::unbounded();
/// for errand in [(1, "sweep"), (9, "put out the fire"), (5, "cook")] {
///     errands.try_put(errand).unwrap();
/// }
/// assert_eq!(errands.try_get(), Ok((9, "put out the fire")));
/// ```
#[doc(alias = "heap")]
pub struct PriorityQueue<T> {
    shared: Arc<Shared<Ranked<T>>>,
}

surface!(PriorityQueue, Ranked, Ord);
