//! A place where a fixed number of tasks wait for each other, again and again.
//!
//! # The protocol
//!
//! Everything happens under the lock of the wait list, and the line *is* the generation: whoever is in it
//! has arrived and waits for the rest.
//!
//! 1. Who arrives and is not the last goes to the end of the line.
//! 2. Who arrives last takes the whole line out of it, under the same hold of the lock under which it was
//!    counted. Each is told its index, and goes on when it runs.
//! 3. Who is dropped while it waits leaves the line, and is counted no more.
//!
//! So there is no draining as others have it, with a state of its own in which newcomers must wait: when
//! the barrier opens its line is empty, and who comes back at once, before the others have run, is the
//! first of the next generation. [`reset`](Barrier::reset) and [`abort`](Barrier::abort) reach who is in
//! line and nobody else: whom the barrier let through before is through.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::wait::WaitKind;

use crate::park;
use crate::stats::BarrierStats;
use crate::wait_list::{WaitList, Waiter};

/// Where somebody stands who has arrived.
#[derive(Clone, Copy)]
enum Place {
    Waiting,
    Through(BarrierWait),
    Broken(Broken),
}

/// What is kept beside the line.
struct State {
    is_aborted: bool,
}

/// Lets tasks and threads go on when so many have arrived, and then begins anew.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use rt_tasks_sync::Barrier;
///
/// # futures_lite::future::block_on(async {
/// let barrier = Barrier::new(NonZeroUsize::new(2).unwrap());
/// let (first, second) = futures_lite::future::zip(barrier.wait(), barrier.wait()).await;
/// assert!(first?.is_leader() && !second?.is_leader());
/// # Ok::<(), rt_tasks_sync::Broken>(()) }).unwrap();
/// ```
pub struct Barrier {
    parties: NonZeroUsize,
    line: WaitList<State, Place>,
}

impl Barrier {
    const_unless_loom! {
        /// Makes a barrier that opens whenever `parties` have arrived.
        pub const fn new(parties: NonZeroUsize) -> Self {
            Self { parties, line: WaitList::new(State { is_aborted: false }) }
        }
    }

    /// Waits until all parties have arrived.
    ///
    /// Whoever comes after them, be it one of them that was quick, is the first of the next round.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has not arrived: the others wait for somebody else, and the barrier is not broken.
    /// If the barrier had let it through already, the others are through too, and its index is nobody's.
    ///
    /// # Errors
    ///
    /// [`Broken`] when the barrier is [reset](Self::reset) or [aborted](Self::abort) meanwhile, or was
    /// aborted before.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// # futures_lite::future::block_on(async {
    /// let alone = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN);
    /// assert_eq!(alone.wait().await?.index, 0);
    /// # Ok::<(), rt_tasks_sync::Broken>(()) }).unwrap();
    /// ```
    #[inline]
    pub fn wait(&self) -> Wait<'_> {
        Wait {
            barrier: self,
            waiter: Waiter::new(),
        }
    }

    /// Waits on a plain thread, which sleeps meanwhile.
    ///
    /// Threads and tasks are counted alike. Inside a task it blocks that task's worker.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let barrier = rt_tasks_sync::Barrier::new(NonZeroUsize::new(2).unwrap());
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| barrier.wait_blocking().unwrap());
    ///     barrier.wait_blocking().unwrap();
    /// });
    /// ```
    pub fn wait_blocking(&self) -> Result<BarrierWait, Broken> {
        park::block_on(self.wait())
    }

    /// Lets those who wait go with [`Broken::Reset`], and makes the barrier usable again if it was aborted.
    ///
    /// Who was let through before, and has not run since, returns as if nothing had happened.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// # futures_lite::future::block_on(async {
    /// use rt_tasks_sync::{Barrier, Broken};
    ///
    /// let barrier = Barrier::new(NonZeroUsize::new(2).unwrap());
    /// let reset = async { barrier.reset() };
    /// let (waited, ()) = futures_lite::future::zip(barrier.wait(), reset).await;
    /// assert_eq!(waited, Err(Broken::Reset));
    /// # });
    /// ```
    pub fn reset(&self) {
        let mut line = self.line.lock();
        line.is_aborted = false;
        line.grant_all(0, Place::Broken(Broken::Reset));
    }

    /// Breaks the barrier: those who wait, and those who come, get [`Broken::Aborted`] until it is
    /// [reset](Self::reset).
    ///
    /// For when a party will not come, so that the others would wait for ever. Doing it again changes
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// # futures_lite::future::block_on(async {
    /// use rt_tasks_sync::{Barrier, Broken};
    ///
    /// let barrier = Barrier::new(NonZeroUsize::new(2).unwrap());
    /// barrier.abort();
    /// assert_eq!(barrier.wait().await, Err(Broken::Aborted));
    /// # });
    /// ```
    pub fn abort(&self) {
        let mut line = self.line.lock();
        line.is_aborted = true;
        line.grant_all(0, Place::Broken(Broken::Aborted));
    }

    /// How many wait at this moment; always less than [`parties`](Self::parties).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let barrier = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN);
    /// assert_eq!(barrier.waiting(), 0);
    /// ```
    pub fn waiting(&self) -> usize {
        self.line.lock().len(0)
    }

    /// How many have to arrive for the barrier to open.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let barrier = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN);
    /// assert_eq!(barrier.parties(), 1);
    /// ```
    pub fn parties(&self) -> usize {
        self.parties.get()
    }

    /// Whether [`abort`](Self::abort) has been called, and [`reset`](Self::reset) not since.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let barrier = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN);
    /// barrier.abort();
    /// assert!(barrier.is_broken());
    /// ```
    pub fn is_broken(&self) -> bool {
        self.line.lock().is_aborted
    }

    /// A look at who waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let stats = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN).stats();
    /// assert_eq!((stats.n_parties, stats.n_waiting, stats.is_broken), (1, 0, false));
    /// ```
    #[must_use]
    pub fn stats(&self) -> BarrierStats {
        let line = self.line.lock();
        BarrierStats {
            n_parties: self.parties.get(),
            n_waiting: line.len(0),
            is_broken: line.is_aborted,
        }
    }

    /// Arrives: as the last one, as one who has to wait, or in vain.
    fn poll_arrive(
        &self,
        waiter: Pin<&Waiter<Place>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BarrierWait, Broken>> {
        // Cloned without the lock: it may run any code.
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        let index = line.len(0);
        let arrived = if line.is_aborted {
            Err(Broken::Aborted)
        } else if index + 1 < self.parties.get() {
            line.enqueue(WaitKind::Barrier, 0, waiter, Place::Waiting, waker);
            return Poll::Pending;
        } else {
            for index in 0..index {
                line.grant(0, Place::Through(BarrierWait { index }));
            }
            Ok(BarrierWait { index })
        };
        // Before the waker, which is this function's: dropping one may run any code, too.
        drop(line);
        Poll::Ready(arrived)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Barrier")
            .field("parties", &stats.n_parties)
            .field("waiting", &stats.n_waiting)
            .field("broken", &stats.is_broken)
            .finish()
    }
}

pin_project! {
    /// Waits at a [`Barrier`]; see [`Barrier::wait`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Wait<'a> {
        barrier: &'a Barrier,
        #[pin]
        waiter: Waiter<Place>,
    }

    impl PinnedDrop for Wait<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                // Whom the barrier let through has nothing to give on: all of its round are through.
                let _ = this.barrier.line.lock().leave(this.waiter.as_ref());
            }
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<BarrierWait, Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        ready!(coop::poll_proceed(cx));
        let polled = if this.waiter.is_idle() {
            this.barrier.poll_arrive(this.waiter.as_ref(), cx)
        } else {
            let place = this.barrier.line.poll(this.waiter.as_ref(), cx);
            place.map(|place| match place {
                Place::Through(wait) => Ok(wait),
                Place::Broken(broken) => Err(broken),
                Place::Waiting => unreachable!("who leaves the line is told why"),
            })
        };
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wait").field(&self.waiter).finish()
    }
}

/// What somebody learns whom a [`Barrier`] let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BarrierWait {
    /// Which in the order of arrival it was in its round, from 0 to the number of parties less one.
    pub index: usize,
}

impl BarrierWait {
    /// Whether this is the one of its round that does what only one should do: the first that arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::num::NonZeroUsize;
    /// let alone = rt_tasks_sync::Barrier::new(NonZeroUsize::MIN);
    /// assert!(alone.wait_blocking()?.is_leader());
    /// # Ok::<(), rt_tasks_sync::Broken>(())
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.index == 0
    }
}

/// Why [`Barrier::wait`] let somebody go although not all had arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Broken {
    /// The barrier was [reset](Barrier::reset), and may be used again.
    Reset,
    /// The barrier was [aborted](Barrier::abort), and stays so until it is reset.
    Aborted,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "the barrier was reset",
            Self::Aborted => "the barrier was aborted",
        })
    }
}

impl std::error::Error for Broken {}
