//! The cell whose value is made once, by one of those who want it, and by the next if that one gives up.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use crate::support::program::secs;
use crate::support::{
    Bomb, Count, Log, builder, each_body, each_size, exact, ms, must_end, poll_once,
};
use rt::sync::{Event, OnceCell};
use rt::test::quiescent;

#[test]
fn the_value_is_made_once_for_all_who_want_it() {
    each_body(|| async {
        let cell = Arc::new(OnceCell::new());
        let made = Count::default();
        let begin = rt::Instant::now();
        let tasks = [0; 5].map(|_| {
            let (cell, made) = (cell.clone(), made.clone());
            rt::spawn(async move {
                let value = cell.get_or_init(|| async {
                    rt::sleep(secs(1)).await;
                    made.add();
                    "value".to_owned()
                });
                value.await.clone()
            })
        });
        rt::sleep(ms(1)).await;
        assert_eq!(cell.get(), None);
        assert_eq!(cell.stats().n_waiting, 4);
        for task in tasks {
            assert_eq!(task.await.unwrap(), "value");
        }
        assert_eq!((made.get(), begin.elapsed()), (1, secs(1)));
        let again = cell.get_or_init(|| async { unreachable!("it is made") });
        assert_eq!(again.await, "value");
    });
}

/// A call that nobody polls yet has no turn.
#[test]
fn a_call_does_nothing_before_it_is_awaited() {
    exact(async {
        let cell = OnceCell::new();
        let lazy = cell.get_or_init(|| async { 1 });
        assert_eq!(cell.get_or_init(|| async { 2 }).await, &2);
        assert_eq!(lazy.await, &2);
    });
}

/// The next in line makes the value when the one before is cancelled.
#[test]
fn a_cancelled_maker_hands_over_to_the_next() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let cell = Arc::new(OnceCell::new());
        let make = |name: &'static str| {
            let (cell, log) = (cell.clone(), theirs.clone());
            rt::spawn(async move {
                let make = async || {
                    let _end = log.on_drop(&format!("{name} ends"));
                    log.say(format!("{name} begins"));
                    rt::sleep(secs(1)).await;
                    name
                };
                *cell.get_or_init(make).await
            })
        };
        let [first, second, third] = ["first", "second", "third"].map(make);
        rt::sleep(ms(1)).await;
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(second.await.unwrap(), "second");
        assert_eq!(third.await.unwrap(), "second");
    });
    let expected = ["first begins", "first ends", "second begins", "second ends"];
    assert_eq!(log, expected);
}

/// Cleaning up is part of the turn: while one does, the next still waits.
#[test]
fn the_turn_ends_after_the_cleanup() {
    struct Looks<'a>(&'a OnceCell<u32>);
    impl Drop for Looks<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.stats().n_waiting, 1);
        }
    }
    let cell = OnceCell::new();
    let mut holder = Box::pin(cell.get_or_init(|| async {
        let _looks = Looks(&cell);
        pending().await
    }));
    let mut next = Box::pin(cell.get_or_init(|| ready(7)));
    assert!(poll_once(&mut holder).is_pending());
    assert!(poll_once(&mut next).is_pending());
    drop(holder);
    assert_eq!(poll_once(&mut next), Poll::Ready(&7));
}

/// Who was handed the turn and is dropped before it ran hands it on.
#[test]
fn a_turn_that_was_granted_to_the_dead_goes_on() {
    let cell = OnceCell::new();
    let mut holder = Box::pin(cell.get_or_init(pending));
    let mut granted = Box::pin(cell.get_or_init(|| ready(1)));
    let mut last = Box::pin(cell.get_or_init(|| ready(2)));
    assert!(poll_once(&mut holder).is_pending());
    assert!(poll_once(&mut granted).is_pending());
    assert!(poll_once(&mut last).is_pending());
    drop(holder);
    assert_eq!(cell.stats().n_waiting, 1);
    drop(granted);
    assert_eq!(cell.stats().n_waiting, 0);
    assert_eq!(poll_once(&mut last), Poll::Ready(&2));
}

#[test]
fn an_error_is_of_the_one_who_met_it() {
    each_size(|runtime| {
        runtime.block_on(async {
            let cell = Arc::new(OnceCell::new());
            let gate = Arc::new(Event::new());
            let attempt = |result: Result<u32, &'static str>| {
                let (cell, gate) = (cell.clone(), gate.clone());
                rt::spawn(async move {
                    let make = async || {
                        gate.wait().await;
                        result
                    };
                    cell.get_or_try_init(make).await.copied()
                })
            };
            let mut tasks = Vec::new();
            for result in [Err("no luck"), Ok(7), Err("not tried")] {
                tasks.push(attempt(result));
                quiescent().await;
            }
            gate.set();
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            assert_eq!(results, [Err("no luck"), Ok(7), Ok(7)]);
        });
    });
}

#[test]
fn a_maker_that_panics_harms_nobody_else() {
    each_size(|runtime| {
        runtime.block_on(async {
            let cell = Arc::new(OnceCell::new());
            let gate = Arc::new(Event::new());
            let unlucky = rt::spawn({
                let (cell, gate) = (cell.clone(), gate.clone());
                async move {
                    let make = async || {
                        gate.wait().await;
                        panic!("a maker that panics")
                    };
                    *cell.get_or_init(make).await
                }
            });
            quiescent().await;
            let next = rt::spawn({
                let cell = cell.clone();
                async move { *cell.get_or_init(|| ready(7)).await }
            });
            quiescent().await;
            gate.set();
            assert!(unlucky.await.unwrap_err().is_panic());
            assert_eq!(next.await.unwrap(), 7);
        });
    });
}

/// Neither the call of the function nor the future's destructor keeps the turn when it panics.
#[test]
fn a_panic_around_the_making_gives_the_turn_on() {
    must_end("after a panic", || {
        let cell = OnceCell::new();
        let calls = || -> std::future::Ready<u32> { panic!("the call panics") };
        let making = || futures_lite::future::block_on(cell.get_or_init(calls));
        assert!(catch_unwind(AssertUnwindSafe(making)).is_err());
        let mut making = Box::pin(cell.get_or_init(|| async {
            let _bomb = Bomb;
            pending().await
        }));
        assert!(poll_once(&mut making).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(making))).is_err());
        assert_eq!(cell.set(7), Ok(()));
    });
}

#[test]
fn a_value_is_put_in_once_and_not_while_one_is_made() {
    exact(async {
        let cell = OnceCell::new();
        let mut making = Box::pin(cell.get_or_init(pending::<&str>));
        assert!(poll_once(&mut making).is_pending());
        assert_eq!(cell.set("early"), Err("early"));
        drop(making);
        assert_eq!(cell.set("first"), Ok(()));
        assert_eq!(cell.set("second"), Err("second"));
        assert_eq!(cell.get(), Some(&"first"));
        let kept = cell.get_or_try_init(async || Ok::<_, Infallible>("third"));
        assert_eq!(kept.await, Ok(&"first"));
        assert_eq!(cell.into_inner(), Some("first"));
    });
}

#[test]
fn a_thread_and_tasks_share_a_cell() {
    static CELL: OnceCell<u32> = OnceCell::new();
    must_end("with threads", || {
        let tasks = thread::spawn(|| {
            let make = || async {
                rt::sleep(ms(1)).await;
                7
            };
            let runtime = builder(2).build().unwrap();
            *runtime.block_on(CELL.get_or_init(make))
        });
        let threads = [0; 3].map(|_| thread::spawn(|| *CELL.get_or_init_blocking(|| 7)));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 7);
        }
        assert_eq!(tasks.join().unwrap(), 7);
    });
}

/// The value is dropped with its cell; one that was made in vain is given back.
#[test]
fn values_are_dropped_once() {
    let count = Count::default();
    let mut cell = OnceCell::from(count.on_drop());
    assert!(cell.get_mut().is_some());
    drop(cell.set(count.on_drop()));
    assert_eq!(count.get(), 1);
    drop(cell);
    assert_eq!(count.get(), 2);
}

/// What is shown asks nothing of the value.
#[test]
fn it_can_be_shown() {
    struct Plain;
    let cell = OnceCell::new();
    let call = cell.get_or_init(|| async { Plain });
    assert_eq!(
        format!("{call:?}"),
        "GetOrInit { has_turn: false, waiter: Idle }"
    );
    drop(call);
    assert_eq!(
        format!("{cell:?}"),
        "OnceCell { is_set: false, waiting: 0 }"
    );
}
