//! The read-write lock: many readers or one writer, in order, and neither side starves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Log, Random, named, poll_then_drop, polled, waiting};
use futures_lite::future::block_on;
use rt_tasks_sync::{RwLock, RwLockWriteGuard};

#[test]
fn readers_read_together_and_a_writer_is_alone() {
    let lock = RwLock::new(1);
    let readers = (block_on(lock.read()), lock.try_read().unwrap());
    assert_eq!((*readers.0, *readers.1), (1, 1));
    assert!(lock.try_write().is_none());
    let mut writer = waiting(lock.write());
    drop(readers.0);
    writer.pending();
    drop(readers.1);
    assert_eq!(writer.wakes(), 1);
    let mut guard = writer.ready();
    *guard = 2;
    assert!(lock.try_read().is_none());
    assert!(lock.try_write().is_none());
    let mut reader = waiting(lock.read());
    drop(guard);
    assert_eq!(*reader.ready(), 2);
}

/// M1: readers that come do not overtake a writer that waits, nor a writer readers that wait.
#[test]
fn m1_readers_and_writers_stand_in_one_line() {
    let lock = RwLock::new(());
    let log = Log::default();
    let held = lock.try_read().unwrap();
    let mut first_writer = named(lock.write(), 0, &log);
    first_writer.pending();
    assert!(lock.try_read().is_none(), "a writer waits");
    let mut readers = [1, 2].map(|n| named(lock.read(), n, &log));
    readers.iter_mut().for_each(|reader| reader.pending());
    let mut last_writer = named(lock.write(), 3, &log);
    last_writer.pending();
    let mut last_reader = named(lock.read(), 4, &log);
    last_reader.pending();
    drop(held);
    assert_eq!(*log.lock().unwrap(), [0]);
    drop(first_writer.ready());
    assert_eq!(*log.lock().unwrap(), [0, 1, 2], "neighbours go together");
    let guards = readers.map(|mut reader| reader.ready());
    last_writer.pending();
    drop(guards);
    drop(last_writer.ready());
    drop(last_reader.ready());
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4]);
}

/// M1: no window in which a newcomer could slip in.
#[test]
fn m1_a_read_write_lock_that_is_being_handed_over_is_not_free() {
    let lock = RwLock::new(());
    let held = lock.try_write().unwrap();
    let mut writer = waiting(lock.write());
    drop(held);
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    drop(writer.ready());
    assert!(lock.try_write().is_some());
}

/// M2: the place of who gives up is nobody's, and those behind it get their chance at once.
#[test]
fn m2_a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    let lock = RwLock::new(());
    let held = lock.try_read().unwrap();
    let writer = waiting(lock.write());
    let mut reader = waiting(lock.read());
    drop(writer);
    assert_eq!(reader.wakes(), 1);
    drop(reader.ready());
    drop(held);
    assert!(lock.try_write().is_some());
}

/// M2: who was let in and never ran lets the next in.
#[test]
fn m2_a_grant_of_a_read_write_lock_outlives_its_waiter() {
    let lock = RwLock::new(());
    let held = lock.try_write().unwrap();
    let granted_writer = waiting(lock.write());
    let granted_reader = waiting(lock.read());
    let mut last = waiting(lock.write());
    drop(held);
    drop(granted_writer);
    assert_eq!((granted_reader.wakes(), last.wakes()), (1, 0));
    drop(granted_reader);
    drop(last.ready());
    assert!(lock.try_write().is_some());
}

/// M5.
#[test]
fn m5_a_panic_unlocks_a_read_write_lock() {
    let lock = RwLock::new(1);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        *block_on(lock.write()) = 2;
        let _reader = block_on(lock.read());
        panic!("while it is locked");
    }));
    assert!(panic.is_err());
    assert_eq!(*lock.try_write().unwrap(), 2);
}

/// M1: who downgrades keeps the lock: the readers join it, the writer that waits does not get in.
#[test]
fn m1_downgrading_lets_readers_in_and_no_writer() {
    let lock = RwLock::new(1);
    let mut writer = lock.try_write().unwrap();
    *writer = 2;
    let mut reader = waiting(lock.read());
    let mut next = waiting(lock.write());
    let downgraded = RwLockWriteGuard::downgrade(writer);
    assert_eq!((*downgraded, *reader.ready()), (2, 2));
    next.pending();
    drop(downgraded);
    *next.ready() = 3;
    assert_eq!(*lock.try_read().unwrap(), 3);
}

#[test]
fn owned_guards_keep_the_lock_alive_and_give_it_back() {
    let lock = Arc::new(RwLock::new(1));
    let writer = block_on(lock.clone().write_owned());
    let mut reader = waiting(lock.clone().read_owned());
    let downgraded = writer.downgrade();
    assert_eq!(*downgraded + *reader.ready(), 2);
    drop(reader);
    assert_eq!(Arc::strong_count(&lock), 2, "the lock, and one guard");
    std::thread::spawn(move || drop(downgraded)).join().unwrap();
    drop(lock.clone().try_write_owned().unwrap());
    drop(lock.clone().try_read_owned().unwrap());
    drop(lock.clone().read_owned());
    let held = lock.try_read().unwrap();
    drop(waiting(lock.clone().write_owned()));
    drop(held);
    assert!(lock.try_write().is_some());
    assert_eq!(Arc::strong_count(&lock), 1);
}

#[test]
fn it_tells_who_holds_it_and_who_waits() {
    struct Plain;
    let lock = RwLock::new(Plain);
    let readers = [(); 2].map(|()| lock.try_read().unwrap());
    let writer = waiting(lock.write());
    let stats = lock.stats();
    assert_eq!((stats.n_readers, stats.is_write_locked), (2, false));
    assert_eq!(stats.n_waiting, 1);
    drop((readers, writer));
    let _writer = lock.try_write();
    let shown = format!("{lock:?}");
    assert_eq!(
        shown,
        "RwLock { readers: 0, write_locked: true, waiting: 0, .. }"
    );
}

/// M1: threads and tasks, readers and writers: nobody sees a value that is half changed.
#[test]
fn m1_nobody_reads_while_somebody_writes() {
    const ROUNDS: u32 = 3_000;
    let lock = RwLock::new((0, 0));
    std::thread::scope(|threads| {
        for n in 0..4 {
            let lock = &lock;
            threads.spawn(move || {
                for _ in 0..ROUNDS {
                    match n {
                        0 => {
                            let mut both = lock.write_blocking();
                            both.0 += 1;
                            both.1 += 1;
                        }
                        1 => block_on(async {
                            let mut both = lock.write().await;
                            both.0 += 1;
                            both.1 += 1;
                            let both = both.downgrade();
                            assert_eq!(both.0, both.1);
                        }),
                        2 => {
                            let both = lock.read_blocking();
                            assert_eq!(both.0, both.1);
                        }
                        _ => block_on(async {
                            let both = lock.read().await;
                            assert_eq!(both.0, both.1);
                        }),
                    }
                }
            });
        }
    });
    assert_eq!(lock.into_inner(), (2 * ROUNDS, 2 * ROUNDS));
}

/// M2: chaos: taken, waited for and given up at every point: never shared with a writer, never stuck.
#[test]
fn m2_a_read_write_lock_is_never_stuck_when_waiters_give_up_anywhere() {
    const WRITER: usize = 1 << 16;
    let lock = RwLock::new(());
    let inside = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for seed in 1..=4 {
            let (lock, inside) = (&lock, &inside);
            threads.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..20_000 {
                    let n_polls = random.below(4);
                    if random.coin() {
                        let Some(guard) = poll_then_drop(lock.read(), n_polls) else {
                            continue;
                        };
                        let before = inside.fetch_add(1, Ordering::SeqCst);
                        assert!(before < WRITER, "a reader beside a writer");
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(guard);
                    } else {
                        let Some(guard) = poll_then_drop(lock.write(), n_polls) else {
                            continue;
                        };
                        let before = inside.fetch_add(WRITER, Ordering::SeqCst);
                        assert_eq!(before, 0, "a writer beside somebody");
                        if random.below(16) == 0 {
                            std::thread::yield_now();
                        }
                        inside.fetch_sub(WRITER, Ordering::SeqCst);
                        if random.coin() {
                            drop(guard.downgrade());
                        }
                    }
                }
            });
        }
    });
    assert_eq!(lock.stats().n_waiting, 0);
    assert!(lock.try_write().is_some(), "the lock is stuck");
}

/// A future may be polled by another task than before.
#[test]
fn the_latest_waker_of_a_reader_is_the_one_that_is_woken() {
    let lock = RwLock::new(());
    let held = lock.try_write().unwrap();
    let mut read = Box::pin(lock.read());
    let mut first = polled(futures_lite::future::poll_fn(|cx| read.as_mut().poll(cx)));
    first.pending();
    let early = first.wakes();
    let _ = first;
    let mut second = polled(futures_lite::future::poll_fn(|cx| read.as_mut().poll(cx)));
    second.pending();
    drop(held);
    assert_eq!((early, second.wakes()), (0, 1));
}
