//! What each primitive has in the same way: constructors for statics, numbers, and a way to wait on a plain thread.

use std::num::NonZeroUsize;
use std::thread;

use crate::support::waiting;
use rt_tasks_sync::{
    Barrier, Condvar, Event, LifoQueue, Mutex, Notify, OnceCell, PriorityQueue, Queue, RwLock,
    Semaphore, broadcast, mpsc, oneshot, promise, watch,
};

static MUTEX: Mutex<u32> = Mutex::new(1);
static RW_LOCK: RwLock<u32> = RwLock::new(2);
static CONDVAR: Condvar = Condvar::new();
static SEMAPHORE: Semaphore = Semaphore::new(3);
static BOUNDED: Semaphore = Semaphore::bounded(3);
static EVENT: Event = Event::new();
static NOTIFY: Notify = Notify::new();
static ONCE_CELL: OnceCell<u32> = OnceCell::new();
static BARRIER: Barrier = Barrier::new(NonZeroUsize::new(2).unwrap());

/// What std makes in a constant is made in one here too.
#[test]
fn statics_are_made_by_constant_constructors() {
    assert_eq!((*MUTEX.lock_blocking(), *RW_LOCK.read_blocking()), (1, 2));
    assert_eq!((SEMAPHORE.available(), BOUNDED.available()), (3, 3));
    assert!(BOUNDED.add_permits(1).is_err());
    assert!(!EVENT.is_set() && !NOTIFY.stats().has_permit);
    assert_eq!(CONDVAR.stats().n_waiting, 0);
    assert!(ONCE_CELL.get().is_none());
    assert_eq!(BARRIER.stats().n_parties, 2);
}

/// N11: each counts who waits, and forgets who gives up.
#[test]
fn n11_every_primitive_counts_who_waits() {
    macro_rules! counted {
        ($future:expr, $n_waiting:expr) => {{
            let waiter = waiting($future);
            assert_eq!($n_waiting, 1, stringify!($future));
            drop(waiter);
            assert_eq!($n_waiting, 0, stringify!($future));
        }};
    }
    let mutex = Mutex::new(());
    let held = mutex.try_lock();
    counted!(mutex.lock(), mutex.stats().n_waiting);
    drop(held);
    let lock = RwLock::new(());
    let held = lock.try_write();
    counted!(lock.read(), lock.stats().n_waiting);
    counted!(lock.write(), lock.stats().n_waiting);
    drop(held);
    let semaphore = Semaphore::new(1);
    counted!(semaphore.acquire_many(2), semaphore.stats().n_waiting);
    let condvar = Condvar::new();
    let held = mutex.try_lock().unwrap();
    counted!(condvar.wait(held), condvar.stats().n_waiting);
    let event = Event::new();
    counted!(event.wait(), event.stats().n_waiting);
    let notify = Notify::new();
    counted!(notify.notified(), notify.stats().n_waiting);
    let barrier = Barrier::new(NonZeroUsize::new(2).unwrap());
    counted!(barrier.wait(), barrier.stats().n_waiting);
    let cell = OnceCell::new();
    let maker = waiting(cell.get_or_init(std::future::pending::<u32>));
    counted!(
        cell.get_or_init(std::future::pending::<u32>),
        cell.stats().n_waiting
    );
    drop(maker);
    let (promise, promised) = promise::<u32>();
    counted!(promised.clone(), promise.stats().n_waiting);
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(1).unwrap();
    counted!(sender.send(2), sender.stats().n_waiting_send);
    counted!(sender.reserve(), receiver.stats().n_waiting_send);
    assert_eq!(receiver.try_recv(), Ok(1));
    let (sender, mut receiver) = broadcast::channel::<u32>(1);
    counted!(receiver.recv(), sender.stats().n_waiting);
    let (sender, mut receiver) = watch::channel(1);
    counted!(receiver.changed(), sender.stats().n_waiting);
    let (sender, receiver) = oneshot::channel::<u32>();
    let waiter = waiting(receiver);
    assert!(sender.stats().is_awaited);
    drop(waiter);
    assert!(sender.stats().is_closed);
}

/// N11, Q9: the three kinds of queue count in the same way.
#[test]
fn n11_q9_every_kind_of_queue_counts_who_waits() {
    macro_rules! each_line {
        ($kind:ident) => {{
            let queue = $kind::bounded(1);
            let getter = waiting(queue.get());
            assert_eq!(queue.stats().n_waiting_get, 1);
            drop(getter);
            queue.try_put(1).unwrap();
            let (putter, joiner) = (waiting(queue.put(2)), waiting(queue.join()));
            let stats = queue.stats();
            assert_eq!((stats.n_waiting_put, stats.n_waiting_join), (1, 1));
            assert_eq!((stats.len, stats.n_unfinished), (1, 1));
            drop((putter, joiner));
            let stats = queue.stats();
            assert_eq!((stats.n_waiting_put, stats.n_waiting_join), (0, 0));
        }};
    }
    each_line!(Queue);
    each_line!(LifoQueue);
    each_line!(PriorityQueue);
}

/// Waits on a thread until another one has done its part.
fn on_threads<T: Send>(waits: impl FnOnce() -> T + Send, acts: impl FnOnce() + Send) -> T {
    thread::scope(|threads| {
        let waiter = threads.spawn(waits);
        thread::yield_now();
        acts();
        waiter.join().unwrap()
    })
}

/// Every wait has a twin for plain threads, which stands in the same line.
#[test]
fn plain_threads_wait_for_locks_and_events() {
    let mutex = Mutex::new(1);
    let held = mutex.try_lock();
    assert_eq!(on_threads(|| *mutex.lock_blocking(), || drop(held)), 1);
    let lock = RwLock::new(1);
    let held = lock.try_write();
    assert_eq!(on_threads(|| *lock.read_blocking(), || drop(held)), 1);
    let held = lock.try_read();
    on_threads(|| *lock.write_blocking() += 1, || drop(held));
    let changed = Condvar::new();
    let turn = on_threads(
        || *changed.wait_while_blocking(mutex.lock_blocking(), |turn| *turn == 1),
        || {
            *mutex.lock_blocking() = 2;
            changed.notify_all();
        },
    );
    assert_eq!(turn, 2);
    let seats = Semaphore::new(0);
    on_threads(
        || assert!(seats.acquire_blocking().is_ok()),
        || seats.add_permits(1).unwrap(),
    );
    on_threads(
        || assert_eq!(seats.acquire_many_blocking(2).unwrap().count(), 2),
        || seats.add_permits(1).unwrap(),
    );
    let event = Event::new();
    on_threads(|| event.wait_blocking(), || event.set());
    let notify = Notify::new();
    on_threads(|| notify.notified_blocking(), || notify.notify_one());
    let barrier = Barrier::new(NonZeroUsize::new(2).unwrap());
    on_threads(
        || assert!(barrier.wait_blocking().is_ok()),
        || assert!(barrier.wait_blocking().is_ok()),
    );
    let cell = OnceCell::new();
    let made = on_threads(
        || *cell.get_or_init_blocking(|| 7),
        || assert_eq!(*cell.get_or_init_blocking(|| 7), 7),
    );
    assert_eq!(made, 7);
}

/// As above.
#[test]
fn plain_threads_wait_for_queues_and_channels() {
    let queue = Queue::bounded(1);
    let put = || queue.put_blocking(1).unwrap();
    assert_eq!(on_threads(|| queue.get_blocking(), put), Ok(1));
    queue.task_done().unwrap();
    on_threads(|| assert!(queue.take_blocking().is_ok()), put);
    put();
    on_threads(|| queue.join_blocking(), || drop(queue.take_blocking()));
    let (sender, receiver) = oneshot::channel();
    let send = || sender.send(1).unwrap();
    assert_eq!(on_threads(|| receiver.recv_blocking(), send), Ok(1));
    let (sender, mut receiver) = mpsc::channel(1);
    let send = || sender.send_blocking(1).unwrap();
    assert_eq!(on_threads(|| receiver.recv_blocking(), send), Some(1));
    let (sender, mut receiver) = broadcast::channel(1);
    let send = || drop(sender.send(1));
    assert_eq!(on_threads(|| receiver.recv_blocking(), send), Ok(1));
    let (sender, mut receiver) = watch::channel(0);
    let send = || drop(sender.send(1));
    assert!(on_threads(|| receiver.changed_blocking(), send).is_ok());
    let (promise, promised) = promise();
    assert_eq!(
        on_threads(|| promised.get_blocking(), || promise.set(1)),
        Ok(1)
    );
}
