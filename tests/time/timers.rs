//! Timers: exact in virtual time, first in first out for equal deadlines, never early, nothing kept.

use std::time::Duration;

use crate::support::{Count, Flag, Log, each_size, each_size_virtual, exact, ms, poll_once};
use rt::MissedTick;
use rt::sync::oneshot;

/// X2.
#[test]
fn x2_equal_deadlines_fire_in_the_order_they_were_set() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        let at = rt::Instant::now() + ms(10);
        let tasks: Vec<_> = (0..50)
            .map(|i| {
                let log = theirs.clone();
                rt::spawn(async move {
                    rt::sleep_until(at).await;
                    log.say(i.to_string());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected: Vec<_> = (0..50).map(|i| i.to_string()).collect();
    assert_eq!(log.lines(), expected);
}

/// X2: also for callbacks, and mixed with other deadlines.
#[test]
fn x2_callbacks_come_by_deadline_and_then_by_order() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        for (name, delay) in [("c", 20), ("a", 10), ("d", 20), ("b", 10), ("e", 30)] {
            let log = theirs.clone();
            rt::time::call_later(ms(delay), move || log.say(name));
        }
        rt::sleep(ms(40)).await;
    });
    assert_eq!(log, ["a", "b", "c", "d", "e"]);
}

/// T12.
#[test]
fn t12_virtual_sleeps_are_exact_on_any_number_of_workers() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let tasks: Vec<_> = (1..=100u64)
                .map(|i| {
                    let delay = Duration::from_secs(i * 37 % 101);
                    rt::spawn(async move {
                        rt::sleep(delay).await;
                        assert_eq!(start.elapsed(), delay);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(start.elapsed(), Duration::from_secs(100));
        });
    });
}

/// T12: the clock does not stop at a timer that was dropped, nor jump over one that is set.
#[test]
fn t12_the_virtual_clock_ignores_timers_that_were_dropped() {
    each_size_virtual(|runtime| {
        for _ in 0..3 {
            runtime.block_on(async {
                let start = rt::Instant::now();
                let mut dropped = rt::sleep(ms(10));
                assert!(poll_once(&mut dropped).is_pending());
                drop(dropped);
                rt::sleep(ms(20)).await;
                assert_eq!(start.elapsed(), ms(20));
            });
        }
    });
}

/// T12: while anything can run, or a blocking job does, the clock stands still.
#[test]
fn t12_the_virtual_clock_stands_still_while_work_is_under_way() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let sleeper = rt::spawn(rt::sleep(ms(1)));
            rt::spawn_blocking(|| std::thread::sleep(ms(20)))
                .await
                .unwrap();
            assert!(start.elapsed() <= ms(1));
            sleeper.await.unwrap();
            assert_eq!(start.elapsed(), ms(1));
        });
    });
}

/// Time in the hands of a test.
#[test]
fn advance_fires_what_becomes_due_and_nothing_else() {
    let log = Log::default();
    let theirs = log.clone();
    exact(async move {
        for (name, delay) in [("one", 10), ("two", 20), ("three", 30)] {
            let log = theirs.clone();
            rt::time::call_later(ms(delay), move || log.say(name));
        }
        rt::yield_now().await;
        let start = rt::Instant::now();
        rt::time::advance(ms(25));
        assert_eq!(start.elapsed(), ms(25));
        for _ in 0..3 {
            rt::yield_now().await;
        }
        theirs.say("now");
        rt::sleep(ms(10)).await;
    });
    assert_eq!(log, ["one", "two", "now", "three"]);
}

/// A runtime that began in real time can be stopped, and go on.
#[test]
fn the_clock_can_be_paused_and_resumed() {
    each_size(|runtime| {
        runtime.block_on(async {
            rt::time::pause();
            let start = rt::Instant::now();
            rt::sleep(Duration::from_secs(3600)).await;
            assert_eq!(start.elapsed(), Duration::from_secs(3600));
            rt::time::resume();
            rt::sleep(ms(5)).await;
            let elapsed = start.elapsed();
            assert!(elapsed >= Duration::from_secs(3600) + ms(5), "{elapsed:?}");
            assert!(elapsed < Duration::from_secs(3700), "{elapsed:?}");
        });
    });
}

/// Real time: late perhaps, early never.
#[test]
fn sleeps_are_never_early() {
    each_size(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50u64)
                .map(|i| {
                    rt::spawn(async move {
                        let delay = Duration::from_micros(300 * i);
                        let began = std::time::Instant::now();
                        rt::sleep(delay).await;
                        assert!(
                            began.elapsed() >= delay,
                            "{:?} of {delay:?}",
                            began.elapsed()
                        );
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// T4: what is due already does not wait.
#[test]
fn t4_a_sleep_of_nothing_is_ready_at_once() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            assert!(poll_once(&mut rt::sleep(Duration::ZERO)).is_ready());
            assert!(poll_once(&mut rt::sleep_until(start)).is_ready());
            rt::sleep(Duration::ZERO).await;
            assert_eq!(start.elapsed(), Duration::ZERO);
        });
    });
}

/// The end of time is not the end of the program.
#[test]
fn sleeping_for_ever_neither_overflows_nor_ends() {
    each_size(|runtime| {
        runtime.block_on(async {
            let mut sleep = rt::sleep(Duration::MAX);
            assert!(poll_once(&mut sleep).is_pending());
            assert!(rt::timeout(ms(2), rt::sleep(Duration::MAX)).await.is_err());
            assert!(rt::timeout(Duration::MAX, async { 7 }).await.is_ok());
            assert!(!sleep.is_elapsed());
        });
    });
}

/// A sleep can be set anew, earlier or later, before and after it has ended.
#[test]
fn a_sleep_can_be_reset() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let mut sleep = rt::sleep(ms(50));
            assert!(poll_once(&mut sleep).is_pending());
            sleep.reset(start + ms(10));
            (&mut sleep).await;
            assert_eq!(start.elapsed(), ms(10));
            sleep.reset(start + ms(100));
            assert!(!sleep.is_elapsed());
            (&mut sleep).await;
            assert_eq!(
                (start.elapsed(), sleep.deadline()),
                (ms(100), start + ms(100))
            );
        });
    });
}

/// A sleep may be polled in one task and finished in another.
#[test]
fn a_sleep_wakes_the_task_that_polled_it_last() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let mut sleep = rt::sleep(ms(10));
            assert!(poll_once(&mut sleep).is_pending());
            rt::spawn(sleep).await.unwrap();
            assert_eq!(start.elapsed(), ms(10));
        });
    });
}

/// Timers may be dropped on other workers than they were set on.
#[test]
fn timers_may_be_dropped_anywhere() {
    each_size(|runtime| {
        runtime.block_on(async {
            let mut tasks = vec![];
            for i in 0..200u64 {
                let mut sleep = rt::sleep(Duration::from_secs(1000 + i));
                assert!(poll_once(&mut sleep).is_pending());
                tasks.push(rt::spawn(async move {
                    rt::yield_now().await;
                    drop(sleep);
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            rt::sleep(ms(1)).await;
        });
    });
}

/// S2-11.
#[test]
fn a_callback_can_be_called_off() {
    each_size_virtual(|runtime| {
        let calls = Count::default();
        let theirs = calls.clone();
        runtime.block_on(async move {
            let counted = theirs.clone();
            let off = rt::time::call_later(ms(10), move || counted.add());
            let on = rt::time::call_later(ms(10), move || theirs.add());
            assert!(off.cancel());
            assert!(!off.cancel());
            rt::sleep(ms(20)).await;
            assert!(!on.cancel(), "it has been called");
        });
        assert_eq!(calls.get(), 1);
    });
}

/// Dropping the handle of a callback detaches it.
#[test]
fn a_callback_comes_although_its_handle_is_dropped() {
    each_size_virtual(|runtime| {
        let called = Flag::default();
        let theirs = called.clone();
        runtime.block_on(async move {
            let at = rt::Instant::now() + ms(10);
            drop(rt::time::call_at(at, move || theirs.raise()));
            rt::sleep(ms(20)).await;
        });
        assert!(called.is_up());
    });
}

/// The moments an interval gives, when the first tick is taken at once and the second after 35 ms.
fn ticks(missed: MissedTick) -> Vec<Duration> {
    exact(async move {
        let start = rt::Instant::now();
        let mut ticks = rt::interval(ms(10)).missed(missed);
        assert_eq!(ticks.period(), ms(10));
        ticks.tick().await;
        rt::sleep(ms(35)).await;
        let mut taken = vec![];
        for _ in 0..5 {
            ticks.tick().await;
            taken.push(start.elapsed());
        }
        taken
    })
}

/// Missed ticks, in the three ways.
#[test]
fn missed_ticks_are_made_up_for_put_off_or_skipped() {
    assert_eq!(ticks(MissedTick::Burst), [35, 35, 35, 40, 50].map(ms));
    assert_eq!(ticks(MissedTick::Delay), [35, 45, 55, 65, 75].map(ms));
    assert_eq!(ticks(MissedTick::Skip), [35, 40, 50, 60, 70].map(ms));
}

/// An interval that begins later, and begins anew.
#[test]
fn an_interval_begins_when_it_is_told_to() {
    exact(async {
        let start = rt::Instant::now();
        let mut ticks = rt::interval_at(start + ms(5), ms(10));
        assert_eq!(ticks.tick().await, start + ms(5));
        assert_eq!(ticks.tick().await, start + ms(15));
        rt::sleep(ms(7)).await;
        ticks.reset();
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(32));
    });
}

/// A dropped `tick` loses nothing.
#[test]
fn a_dropped_tick_is_not_lost() {
    exact(async {
        let start = rt::Instant::now();
        let mut ticks = rt::interval(ms(10));
        ticks.tick().await;
        assert!(rt::timeout(ms(5), ticks.tick()).await.is_err());
        ticks.tick().await;
        assert_eq!(start.elapsed(), ms(10));
    });
}

/// A timer of a nested `block_on`, of another runtime, of a plain thread that entered one.
#[test]
fn timers_work_wherever_a_runtime_is_entered() {
    each_size(|runtime| {
        runtime.block_on(async {
            rt::block_on(rt::sleep(ms(1)));
            let inner = rt::Builder::current_thread().build().unwrap();
            inner.block_on(rt::sleep(ms(1)));
            rt::spawn(async { rt::block_on(rt::sleep(ms(1))) })
                .await
                .unwrap();
        });
        let handle = runtime.handle().clone();
        let (send, received) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let _entered = handle.enter();
            rt::time::call_later(ms(1), move || send.send(7).unwrap());
        });
        assert_eq!(runtime.block_on(received), Ok(7));
        thread.join().unwrap();
    });
}
