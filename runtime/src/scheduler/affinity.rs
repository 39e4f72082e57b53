//! Affinity: a task that waits for a socket goes on where it ran before, if all are busy.
//!
//! What a connection needs is in the caches of the core that served it last: its task, its buffers, what the system knows
//! of the socket, and the part of `malloc`'s heap that the buffers came from, which another thread has to lock. The
//! events of a poller that all share come to whichever worker looks. So with 1,000 connections and two workers that are
//! always busy, every third request was served by the other worker than the one before.
//!
//! A source remembers on which seat the task ran that began to wait for it. Whoever dispatches events and has enough to do
//! itself puts tasks of another worker into that one's shard of the [injector](super::injector), where it looks first: when
//! its queue is empty, and with each look around. Everybody who has nothing else to do takes from there too. So nobody
//! is idle while tasks wait, and nothing is new in who wakes whom: the tasks are in the injector.
//!
//! Who keeps a task nevertheless, because that is better than the caches:
//!
//! - one who has little to do: the task is run sooner than the other worker could look;
//! - if the other worker sleeps, has much more to do, or is known to be in a poll that lasts. What it was sent before
//!   anybody knew, the [monitor](super::monitor) gives to all;
//! - for a seat that is spare: it may be gone soon.
//!
//! With a long queue a worker leaves its own tasks in its shard too. From there those that came last are taken first,
//! which are still in the caches, one generation after the other. And those who are queued by whoever runs do not wait for
//! all that has come over the network. A look around takes some of them however long the queue is.
//!
//! Only tasks are sent. A waker of somebody else's is called here, and may do anything meanwhile, even block on a task that
//! was woken before it: so those are sent first.
//!
//! Rejected: a run queue that others push to. It would be one more place to look at before going to sleep, and to empty when
//! a seat closes, a runtime ends, or a worker blocks; all of that is there for the injector.

use std::sync::Arc;

use super::Shared;
use super::worker::Worker;
use crate::reactor::Wakers;
use crate::task::{self, Task};

/// Who has so many tasks queued leaves those of other workers to them.
const ENOUGH: usize = 16;

/// Whose queue is so many times longer is left nothing.
const MUCH_LONGER: usize = 4;

/// Whose queue is so long leaves what is its own for later.
const LONG: usize = 64;

/// So many of them are queued with each look around nevertheless: what is in the queue may stay there for ever.
const LEAST: usize = 16;

/// How many tasks of its shard the holder of a seat takes at once, with so many in its queue.
pub(super) fn n_taken_by(n_queued: usize) -> usize {
    LONG.saturating_sub(n_queued).max(LEAST)
}

/// What one dispatch leaves to others, and for later.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Tasks that were woken, and the seats that had better run them.
    tasks: Vec<(usize, Task)>,
    /// The seat that was looked at last, and whether it is left tasks. To look at it is to take cache lines from it.
    asked: Option<(usize, bool)>,
}

impl Worker<'_> {
    /// Wakes who waited for a source, but for tasks that another worker had better run: they are to be sent. Returns how
    /// many were woken.
    pub(super) fn deliver(&self, wakers: Wakers, outgoing: &mut Outgoing) -> usize {
        let seat = wakers.seat();
        let leaves = self.leaves_to(seat, &mut outgoing.asked);
        let this = Arc::as_ptr(self.shared);
        let mut n_woken = 0;
        for waker in wakers.each() {
            n_woken += 1;
            if !task::is_waker_of_task(&waker) {
                // It may do anything, even wait for a task that is yet to be sent.
                self.shared.send(outgoing);
            }
            task::ignore_panic(|| {
                let woken = match leaves && self.has_seat() {
                    true => task::wake_unqueued(waker, this),
                    false => Err(waker),
                };
                match woken {
                    Ok(task) => outgoing.tasks.extend(task.map(|task| (seat, task))),
                    Err(waker) => waker.wake(),
                }
            });
        }
        n_woken
    }

    /// Whether a task that waited there had better be in the shard of that seat than in the queue of this one.
    fn leaves_to(&self, seat: usize, asked: &mut Option<(usize, bool)>) -> bool {
        // What was woken before may have given the seat away. And without a monitor nobody would see that the holder of a
        // seat is stuck.
        let may_leave = self.has_seat() && !self.shared.platform.is_chaotic();
        if !may_leave || seat >= self.shared.seats.homes().len() {
            return false;
        }
        // SAFETY: Invariant 1 of the worker: it still has the seat.
        let n_queued = unsafe { self.seat.n_queued() };
        if seat == self.seat.index {
            return n_queued >= LONG;
        }
        if n_queued < ENOUGH {
            return false;
        }
        match *asked {
            Some((before, answer)) if before == seat => answer,
            _ => {
                let n_own = self.shared.injector.n_own(self.seat.index);
                let answer = self.shared.is_left_tasks(seat, n_queued + n_own);
                *asked = Some((seat, answer));
                answer
            }
        }
    }
}

impl Shared {
    /// Whether a home seat is awake and able to run tasks sooner than somebody who has so many to run.
    fn is_left_tasks(&self, seat: usize, n_waiting: usize) -> bool {
        let n_own = self.injector.n_own(seat);
        let is_idle = self.idle.is_idle(seat);
        let seat = self.seats.get(seat);
        let is_able = !is_idle && !seat.is_late();
        is_able && seat.n_stealable() + n_own <= MUCH_LONGER * n_waiting
    }

    /// Sends tasks to the seats that had better run them.
    pub(super) fn send(&self, outgoing: &mut Outgoing) {
        let tasks = &mut outgoing.tasks;
        if tasks.is_empty() {
            return;
        }
        tasks.sort_by_key(|(seat, _)| *seat);
        while let Some(&(seat, _)) = tasks.last() {
            let first = tasks.partition_point(|(other, _)| *other < seat);
            let mut tasks = tasks.drain(first..).map(|(_, task)| task);
            self.injector.push_home(&mut tasks, seat);
            // The runtime ends meanwhile.
            tasks.for_each(|task| self.strand(task));
        }
        self.wake_for_injected();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{self, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Context, Wake, Waker};
    #[cfg(target_os = "linux")]
    use std::time::{Duration, Instant};

    use super::super::by_hand::ByHand;
    use super::super::monitor::{Seen, look};
    use super::super::worker::Turn;
    use super::*;
    use crate::reactor::{Direction, Source};
    #[cfg(target_os = "linux")]
    use crate::sys;
    use crate::task::run;

    fn would_block() -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Two workers on this thread, which holds both seats: one that dispatches, and the other one, on which a task waits
    /// for a socket.
    struct Rig {
        by_hand: ByHand,
        shared: Arc<Shared>,
        peer: UnixStream,
    }

    impl Rig {
        fn new() -> Self {
            let by_hand = ByHand::new(2);
            let shared = by_hand.shared.clone();
            let (peer, ours) = UnixStream::pair().unwrap();
            let rig = Self {
                by_hand,
                shared,
                peer,
            };
            let source = Source::with_reactor(rig.shared.reactor().unwrap(), ours).unwrap();
            rig.on(1, |worker| {
                rig.spawn(async move {
                    // It begins as ready, until a look finds that it is not.
                    let _ = source.try_io(Direction::Read, |_| would_block());
                    source.ready(Direction::Read).await.unwrap();
                });
                assert_eq!(worker.turn_by(run), Turn::Ran);
                assert_eq!(worker.turn_by(run), Turn::Idle);
            });
            rig
        }

        fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
            self.by_hand.spawn(future);
        }

        fn on<R>(&self, seat: usize, f: impl FnOnce(&Worker<'_>) -> R) -> R {
            self.by_hand.on(seat, f)
        }

        /// Has the first worker queue so many tasks, and then dispatch the event for which the task of the other one
        /// waits. Tells how many it has queued then, and how many were sent.
        fn dispatch(&mut self, n_queued: usize) -> (usize, usize) {
            self.dispatch_on(0, n_queued)
        }

        /// The same by another worker.
        fn dispatch_on(&mut self, seat: usize, n_queued: usize) -> (usize, usize) {
            self.peer.write_all(b"x").unwrap();
            self.on(seat, |worker| {
                (0..n_queued).for_each(|_| self.spawn(async {}));
                worker.poll_now(self.shared.clock.now());
                // SAFETY: this thread holds the seat.
                let n_queued = unsafe { worker.seat.n_queued() };
                (n_queued, self.shared.injector.len())
            })
        }
    }

    #[test]
    fn who_has_enough_to_do_sends_tasks_where_they_ran_before() {
        let mut rig = Rig::new();
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH, 1));
        rig.on(1, |worker| assert_eq!(worker.turn_by(run), Turn::Ran));
        assert!(rig.shared.injector.is_empty());
    }

    #[test]
    fn who_has_little_to_do_keeps_them() {
        assert_eq!(Rig::new().dispatch(ENOUGH - 1), (ENOUGH, 0));
    }

    #[test]
    fn who_has_a_long_queue_leaves_its_own_tasks_for_later() {
        assert_eq!(Rig::new().dispatch_on(1, LONG - 1), (LONG, 0));
        let mut rig = Rig::new();
        assert_eq!(rig.dispatch_on(1, LONG), (LONG, 1));
        // However long its queue is, the look around takes some.
        rig.on(1, |worker| {
            worker.holder().until_maintenance.set(0);
            assert_eq!(worker.turn_by(run), Turn::Ran);
            assert!(rig.shared.injector.is_empty());
            // SAFETY: this thread holds the seat.
            assert_eq!(unsafe { worker.seat.n_queued() }, LONG);
        });
    }

    #[test]
    fn what_waits_in_the_shards_counts_as_well() {
        let most = MUCH_LONGER * ENOUGH;
        // How much more than that the other one has queued, what waits in the shards of both, and how many are sent then.
        for (n_more, n_own, n_sent) in [(1, [0, 0], 0), (1, [1, 0], 1), (0, [0, 1], 0)] {
            let mut rig = Rig::new();
            for (seat, n_own) in n_own.into_iter().enumerate() {
                let mut own = Vec::new();
                rig.on(seat, |worker| {
                    (0..n_own).for_each(|_| rig.spawn(async {}));
                    own.extend(std::iter::from_fn(|| worker.pop()));
                });
                rig.shared.injector.push_home(&mut own.into_iter(), seat);
            }
            rig.on(1, |_| (0..most + n_more).for_each(|_| rig.spawn(async {})));
            let n_own: usize = n_own.into_iter().sum();
            assert_eq!(rig.dispatch(ENOUGH).1, n_own + n_sent);
        }
    }

    #[test]
    fn nothing_is_sent_to_who_sleeps() {
        let mut rig = Rig::new();
        rig.shared.idle.park(1);
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH + 1, 0));
    }

    #[test]
    fn nothing_is_sent_to_who_has_much_more_to_do() {
        for (n_queued, n_sent) in [(MUCH_LONGER * ENOUGH, 1), (MUCH_LONGER * ENOUGH + 1, 0)] {
            let mut rig = Rig::new();
            rig.on(1, |_| (0..n_queued).for_each(|_| rig.spawn(async {})));
            assert_eq!(rig.dispatch(ENOUGH), (ENOUGH + 1 - n_sent, n_sent));
        }
    }

    #[test]
    fn nothing_is_sent_to_who_is_late() {
        let mut rig = Rig::new();
        rig.shared.seats.get(1).set_late(true);
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH + 1, 0));
    }

    #[test]
    fn what_was_sent_is_run_by_who_has_nothing_to_do() {
        let mut rig = Rig::new();
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH, 1));
        rig.on(0, |worker| {
            for _ in 0..=ENOUGH {
                assert_eq!(worker.turn_by(run), Turn::Ran);
            }
        });
        assert!(rig.shared.injector.is_empty());
    }

    /// A waker of somebody else's, which may block on a task that was woken before it.
    struct Foreign {
        shared: Arc<Shared>,
        n_sent: AtomicUsize,
    }

    impl Wake for Foreign {
        fn wake(self: Arc<Self>) {
            self.n_sent.store(self.shared.injector.len(), Relaxed);
        }
    }

    #[test]
    fn a_waker_of_somebody_else_finds_no_task_on_its_way() {
        let mut rig = Rig::new();
        let (mut peer, ours) = UnixStream::pair().unwrap();
        let reactor = rig.shared.reactor().unwrap();
        let source = Source::with_reactor(reactor, ours).unwrap();
        let foreign = Arc::new(Foreign {
            shared: rig.shared.clone(),
            n_sent: AtomicUsize::new(usize::MAX),
        });
        let waker = Waker::from(foreign.clone());
        let _ = source.try_io(Direction::Read, |_| would_block());
        let mut ready = Box::pin(source.ready(Direction::Read));
        rig.on(1, |worker| {
            // That it can be written is told at first.
            worker.poll_now(rig.shared.clock.now());
            let mut cx = Context::from_waker(&waker);
            assert!(ready.as_mut().poll(&mut cx).is_pending());
        });
        // Its event comes second.
        rig.peer.write_all(b"x").unwrap();
        peer.write_all(b"x").unwrap();
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH, 1));
        assert_eq!(foreign.n_sent.load(Relaxed), 1);
    }

    /// How many tasks anybody may take.
    fn anybodys(shared: &Shared) -> usize {
        let mut tasks = Vec::new();
        let n_taken = shared.injector.pop_batch(0, 1, |task| tasks.push(task));
        tasks.into_iter().for_each(|task| shared.inject(task));
        n_taken
    }

    #[test]
    fn what_was_sent_to_who_is_stuck_is_for_anybody() {
        let mut rig = Rig::new();
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH, 1));
        let mut seen = [Seen::default(); 2];
        for n_looks in [1, 2] {
            look(&rig.shared, rig.shared.clock.now(), &mut seen);
            // The first one finds a poll, the second one that it lasts.
            assert_eq!(anybodys(&rig.shared), n_looks - 1);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_waits_for_a_processor_keeps_what_it_was_sent() {
        let mut rig = Rig::new();
        let seat = rig.shared.seats.get(1);
        seat.set_thread();
        let thread = seat.thread().unwrap();
        // The time of a thread that has just begun is counted a moment later.
        let soon = Instant::now() + Duration::from_secs(1);
        while sys::processor_time_of(thread).is_none() && Instant::now() < soon {
            std::hint::spin_loop();
        }
        let Some(began) = sys::processor_time_of(thread) else {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED who_waits_…: the system does not count processor time"
            );
            return;
        };
        assert_eq!(rig.dispatch(ENOUGH), (ENOUGH, 1));
        let seat = rig.shared.seats.get(1);
        let mut seen = [Seen::default(); 2];
        let mut look = || look(&rig.shared, rig.shared.clock.now(), &mut seen);
        // It has not computed since the system was first asked.
        for _ in 0..2 {
            look();
            assert_eq!(anybodys(&rig.shared), 0);
            assert!(!seat.is_late());
        }
        let long = Duration::from_millis(50);
        while sys::processor_time_of(thread).unwrap() < began + long {
            std::hint::spin_loop();
        }
        look();
        assert_eq!(anybodys(&rig.shared), 1);
        assert!(seat.is_late());
    }
}
