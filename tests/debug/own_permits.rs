//! A task that waits for permits of which it has so many that the others cannot give it enough is told so.

use std::sync::Arc;

use rt::sync::Semaphore;
use rt::{JoinHandle, local_group};

use crate::own_guards::{each_silent, each_tells, in_vain, placed};
use crate::relocks::{debugged, each_hangs, each_told};
use crate::support::{SIZES, ms, must_end};
use crate::trouble::no_permits;

/// A task that has so many permits until it is cancelled.
async fn holder(seats: &Arc<Semaphore>, n_permits: usize) -> JoinHandle<()> {
    let seats = seats.clone();
    let holder = rt::spawn(async move {
        let _held = seats.acquire_many(n_permits).await.unwrap();
        std::future::pending::<()>().await;
    });
    rt::test::quiescent().await;
    holder
}

fn said(n_wanted: usize, n_permits: usize, n_had: usize, since: &str, again: &str) -> Vec<String> {
    vec![
        "waits for permits that it holds itself: at ".to_owned(),
        format!("at {again}"),
        format!("it asks for {n_wanted}, and of all {n_permits} it has {n_had}, since {since}"),
    ]
}

/// M4: who has so many permits that the rest is too few is told both places.
#[test]
fn m4_who_has_too_many_permits_to_get_more_is_told_both_places() {
    each_tells(|| async {
        let seats = Arc::new(Semaphore::new(2));
        let (all, first) = placed!(seats.acquire_many(2).await.unwrap());
        let ((), again) = placed!(in_vain(seats.acquire()).await);
        let mut expected = vec![said(1, 2, 2, first, again)];
        let ((), again) = placed!(in_vain(seats.clone().acquire_owned()).await);
        expected.push(said(1, 2, 2, first, again));
        drop(all);

        let seats = Arc::new(Semaphore::new(3));
        let (one, first) = placed!(seats.try_acquire().unwrap());
        let ((), again) = placed!(in_vain(seats.acquire_many(3)).await);
        expected.push(said(3, 3, 1, first, again));
        // Some are free, some are taken, and together they are too few.
        let other = holder(&seats, 1).await;
        let ((), again) = placed!(in_vain(seats.acquire_many(3)).await);
        expected.push(said(3, 3, 1, first, again));
        let (two, second) = placed!(seats.acquire().await.unwrap());
        let ((), again) = placed!(in_vain(seats.acquire_many(2)).await);
        expected.push(said(2, 3, 2, first, again));
        expected.last_mut().unwrap().push(format!(" and {second}"));
        drop(two);
        let ((), again) = placed!(in_vain(seats.acquire_many(3)).await);
        expected.push(said(3, 3, 1, first, again));
        expected.last_mut().unwrap().push(format!(" or {second}"));
        drop(one);
        other.cancel();
        drop(seats.acquire_many(3).await.unwrap());
        expected
    });
}

/// M4: so is who stands behind one that needs its permits.
#[test]
fn m4_who_waits_behind_one_that_needs_its_permits_is_told_both_places() {
    each_tells(|| async {
        let seats = Arc::new(Semaphore::new(2));
        let (held, first) = placed!(seats.acquire().await.unwrap());
        let other = holder(&seats, 2).await;
        let ((), again) = placed!(in_vain(seats.acquire()).await);
        drop(held);
        other.cancel();
        drop(seats.acquire_many(2).await.unwrap());
        vec![vec![
            format!("at {again}"),
            "it asks for 1, behind one who asks for 2, and of all 2 it has 1".to_owned(),
            format!("since {first}"),
        ]]
    });
}

/// M4: two places are told once, however often a task comes by.
#[test]
fn m4_two_places_of_permits_are_told_once() {
    each_tells(|| async {
        let mut places = ("", "");
        for _ in 0..3 {
            let seats = Semaphore::new(1);
            let (_held, first) = placed!(seats.acquire().await.unwrap());
            let ((), again) = placed!(in_vain(seats.acquire()).await);
            places = (first, again);
        }
        vec![said(1, 1, 1, places.0, places.1)]
    });
}

/// M4: the future of `block_on` is told too.
#[test]
fn m4_a_block_on_that_waits_for_its_own_permits_is_told() {
    each_told(
        || async {
            let seats = Semaphore::new(1);
            let _held = seats.acquire().await.unwrap();
            in_vain(seats.acquire()).await;
        },
        |told| {
            let [(text, None, true)] = told else {
                panic!("{told:?}");
            };
            let begins = text.starts_with("the future of block_on at ");
            assert!(
                begins && text.contains("permits that it holds itself"),
                "{text}"
            );
        },
    );
}

/// M4: nobody is told where others have enough, whoever they are and whether or not they will ever give it.
#[test]
fn m4_where_others_have_enough_permits_nobody_is_told() {
    each_silent(|| async {
        let seats = Arc::new(Semaphore::new(3));
        let one = seats.acquire().await.unwrap();
        let two = seats.acquire().await.unwrap();
        drop(two);
        let other = holder(&seats, 2).await;
        in_vain(seats.acquire_many(2)).await;
        in_vain(seats.acquire()).await;
        assert!(seats.try_acquire().is_err());
        // The front of the line can be served by the other one, too.
        let front = holder(&seats, 2).await;
        in_vain(seats.acquire_many(2)).await;
        front.cancel();
        other.cancel();
        rt::test::quiescent().await;
        drop(seats.acquire_many(2).await.unwrap());
        drop(one);
        let all = holder(&seats, 3).await;
        in_vain(seats.acquire_many(3)).await;
        all.cancel();
        // More than there are: who asks for that waits for new ones.
        let _held = seats.acquire().await.unwrap();
        in_vain(seats.acquire_many(4)).await;
    });
    // Each of two waits for the other, which is told by a dump.
    each_hangs(no_permits::download_all, |told| {
        assert!(told.is_empty(), "{told:?}")
    });
}

/// M4: nobody is told of permits that may be passed on, or once there were others than there were at first.
#[test]
fn m4_where_permits_may_come_from_elsewhere_nobody_is_told() {
    each_silent(|| async {
        let seats = Arc::new(Semaphore::new(1));
        let passed_on = seats.clone().acquire_owned().await.unwrap();
        in_vain(seats.acquire()).await;
        rt::spawn(async move {
            rt::sleep(ms(5)).await;
            drop(passed_on);
        });
        let _held = seats.acquire().await.unwrap();

        let added = Semaphore::new(1);
        let _one = added.acquire().await.unwrap();
        added.add_permits(1).unwrap();
        let _other = added.acquire().await.unwrap();
        in_vain(added.acquire()).await;

        let forgotten = Semaphore::new(2);
        forgotten.acquire().await.unwrap().forget();
        let _held = forgotten.acquire().await.unwrap();
        in_vain(forgotten.acquire()).await;

        // It came back from another one: who has which is not known any more.
        static SEAT: Semaphore = Semaphore::new(1);
        let sent = SEAT.acquire().await.unwrap();
        rt::spawn(async move { drop(sent) }).await.unwrap();
        let _held = SEAT.acquire().await.unwrap();
        in_vain(SEAT.acquire()).await;
    });
}

/// M4: parts of a task that have wakers of their own, and limit by a semaphore how many of them go on.
#[test]
fn m4_parts_of_a_task_that_share_permits_are_told_nothing() {
    each_silent(|| async {
        let seats = &Semaphore::new(2);
        let download = |_| async move {
            let _seat = seats.acquire().await.unwrap();
            rt::sleep(ms(1)).await;
        };
        let all = local_group(|group| async move {
            for number in 0..6 {
                group.spawn_ok(download(number));
            }
            Ok(())
        });
        all.await.unwrap();
        let numbers = futures_lite::stream::iter(0..6);
        rt::stream::for_each_concurrent(numbers, 4, download).await;
        assert_eq!(seats.available(), 2);
    });
}

/// M4: a task that blocks its thread for its own permits is told, a plain thread is not.
#[test]
fn m4_who_blocks_for_its_own_permits_is_told_both_places() {
    for n_workers in SIZES {
        must_end(&format!("with {n_workers} workers"), move || {
            let (runtime, told) = debugged(n_workers);
            let seats: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
            let task = runtime.spawn(async move {
                let (held, first) = placed!(seats.acquire().await.unwrap());
                let thread = std::thread::spawn(move || {
                    std::thread::sleep(ms(20));
                    drop(held);
                });
                let (taken, again) = placed!(seats.acquire_blocking().unwrap());
                drop(taken);
                thread.join().unwrap();
                said(1, 1, 1, first, again)
            });
            let parts = runtime.block_on(task).unwrap();
            let thread = std::thread::spawn(|| {
                let seats = Semaphore::new(1);
                let _held = seats.acquire_blocking().unwrap();
                assert!(seats.try_acquire().is_err());
            });
            thread.join().unwrap();
            let told = told.lock().unwrap();
            let [(text, ..)] = &told[..] else {
                panic!("{told:?}");
            };
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        });
    }
}
