//! What every kind of queue offers: written once, so that the kinds cannot differ in anything but their order.
//!
//! A macro and not one generic type: `Queue::bounded(5)` has to say by its name alone what it makes.

/// Gives a handle `$name<T> { shared: Arc<Shared<$store>> }` the surface of a queue.
macro_rules! surface {
    ($name:ident, $store:ident $(, $bound:path)?) => {
        impl<T $(: $bound)?> $name<T> {
            /// Makes a queue that holds at most `capacity` items.
            ///
            /// # Panics
            ///
            /// When `capacity` is 0.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::bounded(1);")]
            /// assert!(queue.try_put('a').is_ok() && queue.try_put('b').is_err());
            /// ```
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                assert!(capacity > 0, "a bounded queue holds at least one item");
                Self::with_capacity(capacity)
            }

            /// Makes a queue that holds any number of items.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// (0..1000).for_each(|n| queue.try_put(n).unwrap());
            /// assert_eq!((queue.len(), queue.capacity()), (1000, None));
            /// ```
            pub fn unbounded() -> Self {
                Self::with_capacity(usize::MAX)
            }

            fn with_capacity(capacity: usize) -> Self {
                Self {
                    shared: Arc::new(Shared::new(capacity, $store::default())),
                }
            }

            /// Puts an item into the queue, and waits while there is no slot for it.
            ///
            /// Slots are handed out in the order in which calls began to wait.
            ///
            /// # Cancel safety
            ///
            /// A dropped call gives up its place in the line, and the item is dropped with it; it has not
            /// been put. The slot that it may have been promised goes to the next in line.
            ///
            /// # Errors
            ///
            /// [`ShutDown`], with the item, once [`shutdown`](Self::shutdown) has been called.
            ///
            /// # Examples
            ///
            /// ```
            /// # futures_lite::future::block_on(async {
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::bounded(1);")]
            /// queue.put("tea").await?;
            /// queue.shutdown();
            /// assert_eq!(queue.put("milk").await.unwrap_err().into_inner(), "milk");
            /// # Ok::<(), rt_tasks_sync::ShutDown<&str>>(()) }).unwrap();
            /// ```
            #[inline]
            pub fn put(&self, item: T) -> Put<'_, T, $store<T>> {
                Put::new(&self.shared, item)
            }

            /// Puts an item on a plain thread, which sleeps while there is no slot.
            ///
            /// # Errors
            ///
            /// As for [`put`](Self::put).
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::bounded(1);")]
            /// queue.put_blocking('a')?;
            /// assert_eq!(queue.get_blocking(), Ok('a'));
            /// # Ok::<(), rt_tasks_sync::ShutDown<char>>(())
            /// ```
            pub fn put_blocking(&self, item: T) -> Result<(), ShutDown<T>> {
                match self.try_put(item) {
                    Ok(()) => Ok(()),
                    Err(TryPutError::ShutDown(item)) => Err(ShutDown::new(item)),
                    Err(TryPutError::Full(item)) => park::block_on(self.put(item)),
                }
            }

            /// Puts an item into the queue if there is a slot that is promised to nobody.
            ///
            /// # Errors
            ///
            /// [`TryPutError`], with the item, when the queue is full or shut down.
            ///
            /// # Examples
            ///
            /// ```
            /// use rt_tasks_sync::TryPutError;
            ///
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::bounded(1);")]
            /// assert_eq!(queue.try_put('a'), Ok(()));
            /// assert_eq!(queue.try_put('b'), Err(TryPutError::Full('b')));
            /// ```
            #[doc(alias = "put_nowait")]
            #[inline]
            pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
                self.shared.try_put(item)
            }

            /// Takes the next item, and waits while there is none.
            ///
            /// Items are handed out in the order in which calls began to wait.
            ///
            /// # Cancel safety
            ///
            /// A dropped call has taken nothing. The item that it may have been promised goes to the next in
            /// line.
            ///
            /// # Errors
            ///
            /// [`ShutDown`] when the queue is [shut down](Self::shutdown) and empty.
            ///
            /// # Examples
            ///
            /// ```
            /// # futures_lite::future::block_on(async {
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.put(1).await.unwrap();
            /// queue.shutdown();
            /// assert_eq!(queue.get().await, Ok(1));
            /// assert!(queue.get().await.is_err());
            /// # });
            /// ```
            #[inline]
            pub fn get(&self) -> Get<'_, T, $store<T>> {
                Get::new(&self.shared)
            }

            /// Takes the next item on a plain thread, which sleeps while there is none.
            ///
            /// # Errors
            ///
            /// As for [`get`](Self::get).
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// let producer = queue.clone();
            /// std::thread::spawn(move || producer.put_blocking(1));
            /// assert_eq!(queue.get_blocking(), Ok(1));
            /// ```
            pub fn get_blocking(&self) -> Result<T, ShutDown> {
                match self.try_get() {
                    Ok(item) => Ok(item),
                    Err(TryGetError::ShutDown) => Err(ShutDown::new(())),
                    Err(TryGetError::Empty) => park::block_on(self.get()),
                }
            }

            /// Takes the next item if there is one that is promised to nobody.
            ///
            /// # Errors
            ///
            /// [`TryGetError::Empty`] when there is none at this moment, [`TryGetError::ShutDown`] when
            /// there will be none any more.
            ///
            /// # Examples
            ///
            /// ```
            /// use rt_tasks_sync::TryGetError;
            ///
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.try_put(1).unwrap();
            /// assert_eq!(queue.try_get(), Ok(1));
            /// assert_eq!(queue.try_get(), Err(TryGetError::Empty));
            /// ```
            #[doc(alias = "get_nowait")]
            #[inline]
            pub fn try_get(&self) -> Result<T, TryGetError> {
                self.shared.try_get()
            }

            /// Takes the next item together with the duty to finish it: [`task_done`](Self::task_done) is
            /// called when the [`Job`] is dropped, however that comes about.
            ///
            /// # Cancel safety
            ///
            /// As for [`get`](Self::get).
            ///
            /// # Errors
            ///
            /// As for [`get`](Self::get).
            ///
            /// # Examples
            ///
            /// ```
            /// # futures_lite::future::block_on(async {
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.put(String::from("work")).await.unwrap();
            /// let job = queue.take().await.unwrap();
            /// assert_eq!(job.len(), 4);
            /// drop(job);
            /// queue.join().await;
            /// # });
            /// ```
            #[inline]
            pub fn take(&self) -> Take<'_, T, $store<T>> {
                Take::new(&self.shared)
            }

            /// Takes the next item with the duty to finish it on a plain thread, which sleeps while there is none.
            ///
            /// # Errors
            ///
            /// As for [`get`](Self::get).
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.put_blocking(1).unwrap();
            /// assert_eq!(*queue.take_blocking()?, 1);
            /// queue.join_blocking();
            /// # Ok::<(), rt_tasks_sync::ShutDown>(())
            /// ```
            pub fn take_blocking(&self) -> Result<Job<T>, ShutDown> {
                park::block_on(self.take())
            }

            /// Says that one item that was taken from the queue has been dealt with.
            ///
            /// # Errors
            ///
            /// [`TaskDoneError`] when it has been said for all items already.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.try_put(1).unwrap();
            /// queue.try_get().unwrap();
            /// assert!(queue.task_done().is_ok() && queue.task_done().is_err());
            /// ```
            pub fn task_done(&self) -> Result<(), TaskDoneError> {
                self.shared.task_done()
            }

            /// Waits until every item that was put has been dealt with: taken, and reported by
            /// [`task_done`](Self::task_done).
            ///
            /// # Cancel safety
            ///
            /// A dropped call changes nothing.
            ///
            /// # Examples
            ///
            /// ```
            /// # futures_lite::future::block_on(async {
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.put(1).await.unwrap();
            /// queue.get().await.unwrap();
            /// queue.task_done().unwrap();
            /// queue.join().await;
            /// # });
            /// ```
            pub fn join(&self) -> Join<'_, T, $store<T>> {
                Join::new(&self.shared)
            }

            /// Waits on a plain thread, which sleeps, until every item that was put has been dealt with.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.put_blocking(1).unwrap();
            /// let worker = queue.clone();
            /// std::thread::spawn(move || drop(worker.take_blocking()));
            /// queue.join_blocking();
            /// ```
            pub fn join_blocking(&self) {
                park::block_on(self.join());
            }

            /// Ends the queue: nothing can be put any more; what is in it can still be taken.
            ///
            /// Producers that wait get their items back. Consumers get [`ShutDown`] once the queue is empty.
            /// Doing it again changes nothing.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.try_put(1).unwrap();
            /// queue.shutdown();
            /// assert!(queue.try_put(2).is_err());
            /// assert_eq!(queue.try_get(), Ok(1));
            /// ```
            #[doc(alias = "close")]
            pub fn shutdown(&self) {
                self.shared.shut_down();
            }

            /// Ends the queue and empties it: what was in it is returned, the next item first, and counts as
            /// dealt with.
            ///
            /// Items that were taken before still need their [`task_done`](Self::task_done).
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// queue.try_put(1).unwrap();
            /// assert_eq!(queue.shutdown_now(), [1]);
            /// assert!(queue.try_get().is_err());
            /// ```
            pub fn shutdown_now(&self) -> Vec<T> {
                self.shared.shut_down_now()
            }

            /// How many items are in the queue: a snapshot.
            pub fn len(&self) -> usize {
                self.shared.lines.lock().n_items
            }

            /// Whether no item is in the queue: a snapshot.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether there is no slot for one more item: a snapshot.
            pub fn is_full(&self) -> bool {
                !self.shared.lines.lock().has_slot(self.shared.capacity)
            }

            /// How many items the queue can hold; `None` where there is no bound.
            pub fn capacity(&self) -> Option<usize> {
                self.shared.capacity()
            }

            /// A look at its numbers, taken in one moment.
            ///
            /// # Examples
            ///
            /// ```
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::bounded(2);")]
            /// queue.try_put("item").unwrap();
            /// let stats = queue.stats();
            /// assert_eq!((stats.len, stats.capacity, stats.n_unfinished), (1, Some(2), 1));
            /// ```
            #[must_use]
            pub fn stats(&self) -> QueueStats {
                self.shared.stats()
            }

            /// Whether [`shutdown`](Self::shutdown) has been called.
            pub fn is_shut_down(&self) -> bool {
                self.shared.lines.lock().is_shut_down
            }

            /// The items as a stream that ends when the queue is shut down and empty.
            ///
            /// # Cancel safety
            ///
            /// As for [`get`](Self::get): a stream that is dropped has taken what it returned and nothing
            /// else, and so has a call of [`Items::next`].
            ///
            /// A stream that has had to wait in another way, in a combinator for example, keeps its place in the line
            /// until it is dropped. If nobody polls it meanwhile, an item that was for it waits too, and the others
            /// behind it get the next.
            ///
            /// # Examples
            ///
            /// ```
            /// use futures_lite::StreamExt;
            ///
            /// # futures_lite::future::block_on(async {
            #[doc = concat!("let queue = rt_tasks_sync::", stringify!($name), "::unbounded();")]
            /// (1..=3).for_each(|n| queue.try_put(n).unwrap());
            /// queue.shutdown();
            /// assert_eq!(queue.stream().fold(0, |sum, n| sum + n).await, 6);
            /// # });
            /// ```
            pub fn stream(&self) -> Items<T, $store<T>> {
                Items::new(&self.shared)
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self {
                    shared: Arc::clone(&self.shared),
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.shared.fmt_as(stringify!($name), f)
            }
        }
    };
}

pub(super) use surface;
