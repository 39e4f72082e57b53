//! Who has a read-write lock or the permits of a semaphore, and the circles that come of it.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use rt::sync::{Mutex, RwLock, Semaphore};
use rt::{Builder, Dump, JoinHandle, TaskId};

use crate::support::{exact, ms, must_end};

/// Runs a future on the one runtime whose order is exact, in debug mode.
pub(super) fn debugged(body: impl Future<Output = ()> + Send + 'static) {
    must_end("in debug mode", || {
        let runtime = Builder::current_thread()
            .virtual_time(true)
            .debug(true)
            .on_unhandled(|_| {})
            .build()
            .unwrap();
        runtime.block_on(body);
    });
}

/// Runs it with and without debug mode.
fn with_and_without<F: Future<Output = ()> + Send + 'static>(body: fn() -> F) {
    exact(body());
    debugged(body());
}

pub(super) fn named(name: &str, body: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    rt::task::Builder::new().name(name).spawn(body)
}

/// What the task with this number waits for, as a sentence without the time.
pub(super) fn wait_of(dump: &Dump, id: TaskId) -> String {
    let waiting = dump.task(id).unwrap().waiting_on.as_ref().unwrap();
    let text = waiting.to_string();
    text[..text.rfind(", for ").unwrap()].to_owned()
}

/// The tasks of each circle.
fn circles(dump: &Dump) -> Vec<Vec<TaskId>> {
    let cycles = dump.cycles();
    let ids = |cycle: &rt::Cycle| {
        let mut ids: Vec<_> = cycle.steps().iter().map(|step| step.id).collect();
        ids.sort_unstable();
        ids
    };
    assert!(cycles.iter().all(rt::Cycle::is_certain), "{dump}");
    cycles.iter().map(ids).collect()
}

/// N15: who writes is named also without debug mode, however it got the lock.
#[test]
fn n15_the_writer_of_a_lock_is_named() {
    with_and_without(|| async {
        let lock = Arc::new(RwLock::new(()));
        let us = rt::dump().callers()[0].id;
        let held = lock.write().await;
        let (first, second) = (lock.clone(), lock.clone());
        let next = named("next", async move {
            let _next = first.write().await;
            pending::<()>().await;
        });
        let reads = named("reads", async move { drop(second.read().await) });
        rt::test::quiescent().await;
        let dump = rt::dump();
        let has = format!("a read-write lock that #{us} has");
        assert_eq!(wait_of(&dump, next.id()), has);
        assert_eq!(wait_of(&dump, reads.id()), has);
        assert_eq!(dump.waits_for(reads.id()), [us]);
        assert_eq!(dump.awaited_by(us), [next.id(), reads.id()]);
        drop(held);
        rt::test::quiescent().await;
        let dump = rt::dump();
        let has = format!("a read-write lock that #{} has", next.id());
        assert_eq!(wait_of(&dump, reads.id()), has);
        next.cancel();
        reads.await.unwrap();
        assert!(lock.try_write().is_some());
    });
}

/// N15: after a writer has become a reader nobody is taken for the writer.
#[test]
fn n15_who_reads_on_writes_no_longer() {
    with_and_without(|| async {
        let lock = Arc::new(RwLock::new(()));
        let theirs = lock.clone();
        let held = lock.write().await;
        let next = named("next", async move { drop(theirs.write().await) });
        rt::test::quiescent().await;
        let held = held.downgrade();
        rt::test::quiescent().await;
        let waiting = rt::dump().task(next.id()).unwrap().waiting_on.clone();
        let us = rt::dump().callers()[0].id;
        let is_known = waiting.unwrap().holders() == [us];
        let is_debugging = rt::dump().awaited_by(us) == [next.id()];
        assert_eq!(is_known, is_debugging, "only debug mode knows who reads");
        drop(held);
        next.await.unwrap();
    });
}

/// N15: two locks written in two orders, without debug mode.
#[test]
fn n15_two_writers_in_two_orders_are_a_circle() {
    with_and_without(|| async {
        let locks = [(); 2].map(|()| Arc::new(RwLock::new(())));
        let take = |name, first: &Arc<RwLock<()>>, second: &Arc<RwLock<()>>| {
            let (first, second) = (first.clone(), second.clone());
            named(name, async move {
                let _first = first.write().await;
                rt::yield_now().await;
                let _second = second.read().await;
            })
        };
        let forth = take("forth", &locks[0], &locks[1]);
        let back = take("back", &locks[1], &locks[0]);
        rt::test::quiescent().await;
        let dump = rt::dump();
        assert_eq!(circles(&dump), [[forth.id(), back.id()]], "{dump}");
        forth.cancel();
        back.await.unwrap();
        assert!(rt::dump().cycles().is_empty());
    });
}

/// N15: in debug mode readers are named, and who waits behind a writer waits for it.
#[test]
fn n15_readers_are_named_in_debug_mode() {
    debugged(async {
        let lock = Arc::new(RwLock::new(()));
        let readers = [(); 2].map(|()| {
            let lock = lock.clone();
            rt::spawn(async move {
                let _read = lock.read().await;
                pending::<()>().await;
            })
        });
        rt::test::quiescent().await;
        let (first, second) = (lock.clone(), lock.clone());
        let writes = rt::spawn(async move { drop(first.write().await) });
        rt::test::quiescent().await;
        let reads = rt::spawn(async move { drop(second.read().await) });
        rt::test::quiescent().await;
        let dump = rt::dump();
        let [one, two] = [readers[0].id(), readers[1].id()];
        let have = format!("a read-write lock that #{one} and #{two} have");
        assert_eq!(wait_of(&dump, writes.id()), have);
        let behind = format!("{have}, behind #{}", writes.id());
        assert_eq!(wait_of(&dump, reads.id()), behind);
        assert_eq!(dump.waits_for(writes.id()), [one, two]);
        assert_eq!(dump.waits_for(reads.id()), [writes.id()]);
        assert!(dump.cycles().is_empty(), "{dump}");
        let json = dump.to_json();
        let part = format!(
            "\"holders\":[{one},{two}],\"behind\":{},\"others\":0",
            writes.id()
        );
        assert!(json.contains(&part), "{part} is not in {json}");
        readers[0].cancel();
        rt::test::quiescent().await;
        assert_eq!(rt::dump().waits_for(writes.id()), [two]);
        readers[1].cancel();
        reads.await.unwrap();
    });
}

/// N15: a reader that reads again behind a writer, which waits for it.
#[test]
fn n15_a_writer_between_two_reads_is_a_circle_in_debug_mode() {
    debugged(async {
        let lock = Arc::new(RwLock::new(()));
        let theirs = lock.clone();
        let reads = rt::spawn(async move {
            let _first = theirs.read().await;
            rt::sleep(ms(20)).await;
            let _again = theirs.read().await;
        });
        let bystander = lock.clone();
        let bystander = rt::spawn(async move {
            let _read = bystander.read().await;
            rt::sleep(ms(500)).await;
        });
        let writes = rt::spawn(async move {
            rt::sleep(ms(10)).await;
            drop(lock.write().await);
        });
        rt::sleep(ms(100)).await;
        let dump = rt::dump();
        // The other reader is no part of it, and does not help.
        assert_eq!(circles(&dump), [[reads.id(), writes.id()]], "{dump}");
        writes.cancel();
        reads.await.unwrap();
        bystander.await.unwrap();
    });
}

/// N15: a writer that waits only for so long lets the reader behind it go on: that is no certain deadlock.
#[test]
fn n15_a_writer_with_another_way_out_is_no_certain_circle() {
    debugged(async {
        let (lock, event) = (Arc::new(RwLock::new(())), Arc::new(rt::sync::Event::new()));
        let theirs = lock.clone();
        let reads = rt::spawn(async move {
            let _first = theirs.read().await;
            rt::sleep(ms(20)).await;
            let _again = theirs.read().await;
        });
        let gives_up = event.clone();
        let writes = rt::spawn(async move {
            rt::sleep(ms(10)).await;
            rt::select! { biased; _ = lock.write() => {}, () = gives_up.wait() => {} }
        });
        rt::sleep(ms(100)).await;
        let cycles = rt::dump().cycles();
        assert!(cycles.len() == 1 && !cycles[0].is_certain(), "{cycles:?}");
        event.set();
        reads.await.unwrap();
        writes.await.unwrap();
    });
}

/// N15: in debug mode those who have permits are named.
#[test]
fn n15_who_has_permits_is_named_in_debug_mode() {
    debugged(async {
        let seats = Arc::new(Semaphore::new(6));
        let holders: Vec<_> = (0..6)
            .map(|_| {
                let seats = seats.clone();
                rt::spawn(async move {
                    let _seat = seats.acquire().await.unwrap();
                    pending::<()>().await;
                })
            })
            .collect();
        rt::test::quiescent().await;
        let waits = rt::spawn(async move { drop(seats.acquire().await) });
        rt::test::quiescent().await;
        let ids: Vec<_> = holders.iter().map(JoinHandle::id).collect();
        let dump = rt::dump();
        assert_eq!(dump.waits_for(waits.id()), ids);
        let have = format!(
            "a permit of a semaphore that #{}, #{}, #{}, #{} and 2 more have",
            ids[0], ids[1], ids[2], ids[3]
        );
        assert_eq!(wait_of(&dump, waits.id()), have);
        assert!(dump.cycles().is_empty(), "{dump}");
        holders[3].cancel();
        waits.await.unwrap();
    });
}

/// Tasks that each take a permit of `places` and then one more; and a mutex that one more holder waits for.
fn take_two(places: &Arc<Semaphore>) -> JoinHandle<()> {
    let places = places.clone();
    rt::spawn(async move {
        let _one = places.acquire().await.unwrap();
        rt::sleep(ms(10)).await;
        let _other = places.acquire().await.unwrap();
    })
}

/// N15: permits whose holders all wait for more of them are a deadlock; with one holder who does not, they are none.
#[test]
fn n15_permits_are_a_circle_only_where_every_holder_waits() {
    debugged(async {
        let places = Arc::new(Semaphore::new(3));
        let (first, second) = (take_two(&places), take_two(&places));
        let theirs = places.clone();
        let third = rt::spawn(async move {
            let _one = places.acquire().await.unwrap();
            rt::sleep(Duration::from_secs(1)).await;
            // From here on it waits too.
            let _other = places.acquire().await.unwrap();
        });
        rt::sleep(ms(500)).await;
        let dump = rt::dump();
        assert_eq!(dump.waits_for(first.id()).len(), 3, "{dump}");
        assert!(dump.cycles().is_empty(), "one holder sleeps: {dump}");
        rt::sleep(Duration::from_secs(1)).await;
        let dump = rt::dump();
        let circles = circles(&dump);
        assert!(!circles.is_empty(), "{dump}");
        for task in [&first, &second, &third] {
            assert!(
                circles.iter().flatten().any(|id| *id == task.id()),
                "{dump}"
            );
        }
        third.cancel();
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(theirs.available(), 3);
        assert!(rt::dump().cycles().is_empty());
    });
}

/// N15: a permit and a lock in two orders.
#[test]
fn n15_a_permit_and_a_lock_in_two_orders_are_a_circle() {
    debugged(async {
        let (seat, mutex) = (Arc::new(Semaphore::new(1)), Arc::new(Mutex::new(())));
        let (our_seat, our_mutex) = (seat.clone(), mutex.clone());
        let forth = rt::spawn(async move {
            let _seat = our_seat.acquire().await.unwrap();
            rt::yield_now().await;
            let _locked = our_mutex.lock().await;
        });
        let back = rt::spawn(async move {
            let _locked = mutex.lock().await;
            rt::yield_now().await;
            let _seat = seat.acquire().await.unwrap();
        });
        rt::test::quiescent().await;
        let dump = rt::dump();
        assert_eq!(circles(&dump), [[forth.id(), back.id()]], "{dump}");
        let has = format!("a permit of a semaphore that #{} has", forth.id());
        assert_eq!(wait_of(&dump, back.id()), has);
        forth.cancel();
        back.await.unwrap();
    });
}

/// N15: nobody is blamed for permits that were passed on, added, or forgotten.
#[test]
fn n15_permits_that_others_may_give_are_no_circle() {
    debugged(async {
        // Passed on to tasks that go on, while the one who took them waits for one more.
        let seats = Arc::new(Semaphore::new(2));
        let takes = rt::spawn(async move {
            for _ in 0..3 {
                let seat = seats.clone().acquire_owned().await.unwrap();
                rt::spawn(async move {
                    rt::sleep(ms(50)).await;
                    drop(seat);
                });
            }
        });
        rt::sleep(ms(10)).await;
        assert!(rt::dump().cycles().is_empty(), "{}", rt::dump());
        takes.await.unwrap();
        // Passed on by one who took it for itself.
        static SEAT: Semaphore = Semaphore::new(1);
        let takes = rt::spawn(async {
            for _ in 0..3 {
                let seat = SEAT.acquire().await.unwrap();
                rt::spawn(async move {
                    rt::sleep(ms(50)).await;
                    drop(seat);
                });
            }
        });
        rt::sleep(ms(60)).await;
        assert!(rt::dump().cycles().is_empty(), "{}", rt::dump());
        takes.await.unwrap();
        // Given by another one.
        for n_before in [0, 1] {
            let signals = Arc::new(Semaphore::new(n_before));
            let theirs = signals.clone();
            let waits = rt::spawn(async move {
                for _ in 0..2 + n_before {
                    theirs.acquire().await.unwrap().forget();
                }
            });
            rt::sleep(ms(10)).await;
            signals.add_permits(1).unwrap();
            rt::sleep(ms(10)).await;
            assert!(rt::dump().cycles().is_empty(), "{}", rt::dump());
            signals.add_permits(1).unwrap();
            waits.await.unwrap();
        }
    });
}

/// N15: who gives up, who is cancelled with a grant, and who comes from a thread leave nothing behind in the record.
#[test]
fn n15_the_record_of_permits_is_right_after_all_went() {
    debugged(async {
        let seats = Arc::new(Semaphore::new(2));
        let ours = seats.try_acquire_many(2).unwrap();
        let tasks: Vec<_> = (0..4).map(|_| take_two(&seats)).collect();
        rt::test::quiescent().await;
        // Two are granted a permit each, and cancelled before they know.
        drop(ours);
        tasks[0].cancel();
        tasks[1].cancel();
        rt::sleep(ms(1)).await;
        tasks[2].cancel();
        for task in tasks {
            let _ = task.await;
        }
        let theirs = seats.clone();
        std::thread::spawn(move || drop(theirs.acquire_many_blocking(2)))
            .join()
            .unwrap();
        let last = seats.acquire_many(2).await.unwrap();
        let us = rt::dump().callers()[0].id;
        let theirs = seats.clone();
        let waits = rt::spawn(async move { drop(theirs.acquire().await) });
        rt::test::quiescent().await;
        assert_eq!(rt::dump().waits_for(waits.id()), [us]);
        drop(last);
        waits.await.unwrap();
    });
}
