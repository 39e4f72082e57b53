//! Generators and concurrent consumption: lazy, in the consumer's task, and cleaned up with it.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::support::{Count, Flag, Log, each_size, each_size_virtual, exact, ms};
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use rt::stream::{Generate, Stream, StreamExt, for_each_concurrent, generate};

/// The numbers below `n`, each after a while.
fn numbers(n: u32) -> impl Stream<Item = u32> + Send + Unpin {
    generate(move |y| async move {
        for number in 0..n {
            rt::sleep(ms(1)).await;
            y.put(number).await;
        }
    })
}

/// Waits for a turn, and then says so.
async fn says(log: Log, line: &'static str) {
    rt::yield_now().await;
    log.say(line);
}

/// S4-07: items come in their order, however the body waits in between, and then the end.
#[test]
fn s4_07_a_generator_gives_its_items_in_order() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                let mut seen = Vec::new();
                let mut records = numbers(100);
                while let Some(record) = records.next().await {
                    seen.push(record);
                }
                assert_eq!(records.next().await, None);
                seen
            });
            assert!(task.await.unwrap().into_iter().eq(0..100));
            let even = numbers(10).filter(|number| number % 2 == 0);
            assert_eq!(even.collect::<Vec<_>>().await, [0, 2, 4, 6, 8]);
        });
    });
}

/// S4-07: the body runs only while an item is asked for.
#[test]
fn s4_07_a_generator_is_lazy() {
    let log = Log::default();
    let theirs = log.clone();
    let mut stream = generate(|y| async move {
        theirs.say("first");
        y.put(1).await;
        theirs.say("second");
        y.put(2).await;
        theirs.say("end");
    });
    let mut next = || {
        let polled = Pin::new(&mut stream).poll_next(&mut Context::from_waker(Waker::noop()));
        log.say(format!("{polled:?}"));
    };
    (0..4).for_each(|_| next());
    let lines = [
        "first",
        "Ready(Some(1))",
        "second",
        "Ready(Some(2))",
        "end",
        "Ready(None)",
    ];
    assert_eq!(log.lines()[..6], lines);
    assert_eq!(log.lines()[6..], ["Ready(None)"], "it stays over");
}

/// W8: the body runs in the consumer's task and sees its values.
#[test]
fn w8_the_body_is_part_of_the_consumers_task() {
    rt::task_local! { static REQUEST: u32; }
    each_size(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(REQUEST.scope(7, async {
                let mut stream = generate(|y| async move {
                    let task = rt::task::current().map(|task| task.id());
                    y.put((task, REQUEST.get())).await;
                });
                let here = rt::task::current().map(|task| task.id());
                assert_eq!(stream.next().await, Some((here, 7)));
            }));
            task.await.unwrap();
        });
    });
}

/// S4-07: dropped half-way, the body is dropped where it waits, and the scope around awaits its cleanup.
#[test]
fn s4_07_a_generator_dropped_half_way_is_cleaned_up_with_the_scope_around() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let log = theirs.clone();
                let mut stream = generate(|y| async move {
                    rt::defer(says(log.clone(), "deferred"));
                    let _dropped = log.on_drop("dropped");
                    let endless = async {
                        for number in 0.. {
                            y.put(number).await;
                        }
                    };
                    rt::finally(endless, says(log.clone(), "finally")).await;
                });
                assert_eq!(stream.next().await, Some(0));
                assert_eq!(stream.next().await, Some(1));
                drop(stream);
                theirs.say("consumer");
            });
            task.await.unwrap();
        });
        assert_eq!(log, ["dropped", "consumer", "finally", "deferred"]);
    });
}

/// C4: a consumer that is cancelled ends after the cleanup of its generator.
#[test]
fn c4_cancelling_the_consumer_cleans_the_generator_up() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async {
            let task = rt::spawn(async move {
                let mut stream = generate(|y| async move {
                    y.put(()).await;
                    rt::finally(pending(), says(theirs, "cleaned up")).await
                });
                while stream.next().await.is_some() {}
            });
            rt::sleep(ms(5)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            log.say("joined");
        });
        assert_eq!(log, ["cleaned up", "joined"]);
    });
}

/// S4-07: what the body registered is through before the stream says that it is over.
#[test]
fn s4_07_cleanup_comes_before_the_end() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async {
            let mut stream = generate(|y| async move {
                rt::defer(says(theirs, "cleaned up"));
                y.put(1).await;
            });
            while let Some(number) = stream.next().await {
                log.say(format!("{number}"));
            }
            log.say("end");
        });
        assert_eq!(log, ["1", "cleaned up", "end"]);
    });
}

/// S4-07: a panic of the body comes out at the consumer after the cleanup, and ends the stream.
#[test]
fn s4_07_a_panic_comes_out_at_the_consumer() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let theirs = log.clone();
        runtime.block_on(async {
            let mut stream = generate(|y| async move {
                rt::defer(says(theirs, "cleaned up"));
                y.put(1).await;
                panic!("no more");
            });
            assert_eq!(stream.next().await, Some(1));
            let next = poll_fn(|cx| {
                catch_unwind(AssertUnwindSafe(|| Pin::new(&mut stream).poll_next(cx)))
                    .map_or_else(|payload| Poll::Ready(Err(payload)), |poll| poll.map(Ok))
            });
            let panic = rt::Panic::new(next.await.unwrap_err());
            log.say(panic.message());
            assert_eq!(stream.next().await, None);
        });
        assert_eq!(log, ["cleaned up", "no more"]);
    });
}

/// S4-07: giving up on a `next` loses no item.
#[test]
fn s4_07_a_timeout_around_next_loses_nothing() {
    let seen = exact(async {
        let mut stream = generate(|y| async move {
            for number in 0..20 {
                rt::sleep(ms(3)).await;
                y.put(number).await;
            }
        });
        let mut seen = Vec::new();
        loop {
            match rt::timeout(ms(2), stream.next()).await {
                Ok(Some(number)) => seen.push(number),
                Ok(None) => return seen,
                Err(_) => {}
            }
        }
    });
    assert!(seen.into_iter().eq(0..20));
}

/// S4-07: a `put` that gave up was none.
#[test]
fn s4_07_a_put_that_is_dropped_takes_its_item_back() {
    let seen = exact(async {
        let stream = generate(|y| async move {
            let raced = select(y.put("withdrawn"), std::future::ready(()));
            assert!(matches!(raced.await, Either::Right(_)));
            y.put("kept").await;
        });
        stream.collect::<Vec<_>>().await
    });
    assert_eq!(seen, ["kept"]);
}

/// S4-07: several may put at once, joined, under a combinator with wakers of its own, and from other tasks.
#[test]
fn s4_07_several_may_put_at_once() {
    each_size_virtual(|runtime| {
        let joined = generate(|y| async move {
            rt::join!(y.put(1), y.put(2), y.put(3));
        });
        let unordered = generate(|y| async move {
            let puts: FuturesUnordered<_> = (1..=20).map(|number| y.put(number)).collect();
            puts.count().await;
        });
        let spawned = generate(|y| async move {
            let y = Arc::new(y);
            let tasks: Vec<_> = (1..=20)
                .map(|number| {
                    let y = y.clone();
                    rt::spawn(async move { y.put(number).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        fn sum(stream: impl Stream<Item = u32> + Unpin) -> impl Future<Output = u32> {
            stream.fold(0, |sum, number| sum + number)
        }
        runtime.block_on(async {
            assert_eq!(sum(joined).await, 6);
            assert_eq!(sum(unordered).await, 210);
            assert_eq!(sum(spawned).await, 210);
        });
    });
}

/// C14: a generator that always has an item lets other tasks run.
#[test]
fn c14_a_generator_that_never_waits_does_not_starve_others() {
    each_size(|runtime| {
        let others_ran = Flag::default();
        let theirs = others_ran.clone();
        runtime.block_on(async {
            let consumer = rt::spawn(async move {
                let mut stream = generate(|y| async move {
                    loop {
                        y.put(()).await;
                    }
                });
                while !theirs.is_up() {
                    stream.next().await;
                }
            });
            let flag = others_ran.clone();
            rt::spawn(async move { flag.raise() }).await.unwrap();
            consumer.await.unwrap();
        });
    });
}

/// S4-07: the type goes wherever its parts may go.
#[test]
fn s4_07_a_generator_can_be_sent_and_moved() {
    fn check<T: Send + Unpin + std::fmt::Debug>(_: &T) {}
    fn named<T, B: Future>(stream: Generate<T, B>) -> Generate<T, B> {
        stream
    }
    let stream = named(generate(
        |y| async move { y.put(std::cell::Cell::new(1)).await },
    ));
    check(&stream);
    assert!(format!("{stream:?}").contains("is_through: false"));
}

/// S4-07: never more than so many at once, and as many as that; every item once.
#[test]
fn s4_07_for_each_concurrent_keeps_its_limit() {
    each_size_virtual(|runtime| {
        for limit in [1, 3, 100] {
            let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut seen = Mutex::new(Vec::new());
            let here = std::thread::current().id();
            runtime.block_on(for_each_concurrent(numbers(50), limit, async |number| {
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                rt::sleep(ms(1000)).await;
                inside.fetch_sub(1, SeqCst);
                assert_eq!(std::thread::current().id(), here, "in the calling task");
                seen.lock().unwrap().push(number);
            }));
            assert_eq!(most.into_inner(), limit.min(50));
            seen.get_mut().unwrap().sort_unstable();
            assert!(seen.into_inner().unwrap().into_iter().eq(0..50));
        }
    });
}

/// S4-07: a wake-up polls the one future that it is for.
#[test]
fn s4_07_for_each_concurrent_polls_only_what_was_woken() {
    each_size(|runtime| {
        let n_polls = AtomicUsize::new(0);
        let wakers = RefCell::new(Vec::<Option<Waker>>::new());
        let is_over = RefCell::new(vec![false; 1000]);
        let stream = generate(|y| async move {
            for number in 0..1000 {
                y.put(number).await;
            }
        });
        let mut all = Box::pin(for_each_concurrent(stream, 1000, |number| {
            let (n_polls, wakers, is_over) = (&n_polls, &wakers, &is_over);
            poll_fn(move |cx| {
                n_polls.fetch_add(1, SeqCst);
                let mut wakers = wakers.borrow_mut();
                wakers.resize(1000, None);
                wakers[number] = Some(cx.waker().clone());
                match is_over.borrow()[number] {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
        }));
        runtime.block_on(async {
            for _ in 0..20 {
                assert!(futures_util::poll!(&mut all).is_pending());
                rt::yield_now().await;
            }
            assert_eq!(n_polls.load(SeqCst), 1000);
            for number in 0..1000 {
                is_over.borrow_mut()[number] = true;
                wakers.borrow()[number].as_ref().unwrap().wake_by_ref();
                let is_last = number == 999;
                assert_eq!(futures_util::poll!(&mut all).is_ready(), is_last);
                assert_eq!(n_polls.load(SeqCst), 1001 + number);
            }
        });
    });
}

/// S4-07: dropped half-way it drops what is under way, and its cleanup is awaited by the scope around.
#[test]
fn s4_07_for_each_concurrent_is_cleaned_up_when_it_is_dropped() {
    each_size_virtual(|runtime| {
        let (n_dropped, n_cleaned) = (Count::default(), Count::default());
        runtime.block_on(async {
            let all = for_each_concurrent(numbers(50), 7, |_| {
                let (dropped, cleaned) = (n_dropped.on_drop(), n_cleaned.clone());
                rt::finally(
                    async move {
                        let _dropped = dropped;
                        pending::<()>().await;
                    },
                    async move {
                        rt::sleep(ms(5)).await;
                        cleaned.add();
                    },
                )
            });
            assert!(rt::timeout(ms(100), all).await.is_err());
            assert_eq!((n_dropped.get(), n_cleaned.get()), (7, 7));
        });
    });
}

/// S4-07: futures that yield, or finish at once, all get through, on every number of workers.
#[test]
fn s4_07_for_each_concurrent_stress() {
    each_size(|runtime| {
        let tasks: Vec<_> = (1..=8)
            .map(|limit| {
                runtime.spawn(async move {
                    let mut sum = 0;
                    let total = Mutex::new(&mut sum);
                    let stream = generate(|y| async move {
                        for number in 0..2000u64 {
                            if number % 7 == 0 {
                                rt::yield_now().await;
                            }
                            y.put(number).await;
                        }
                    });
                    for_each_concurrent(stream, limit, async |number| {
                        match number % 3 {
                            0 => {}
                            1 => rt::yield_now().await,
                            _ => drop(rt::spawn(rt::yield_now()).await),
                        }
                        **total.lock().unwrap() += number;
                    })
                    .await;
                    sum
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                assert_eq!(task.await.unwrap(), 1_999_000);
            }
        });
    });
}

/// S4-07: no item at once is the caller's mistake; a panic in a future comes out.
#[test]
fn s4_07_for_each_concurrent_panics_where_it_should() {
    let none = catch_unwind(|| drop(for_each_concurrent(numbers(1), 0, |_| async {})));
    assert!(none.is_err());
    each_size(|runtime| {
        let n_dropped = Count::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(for_each_concurrent(numbers(9), 3, async |number| {
                let _dropped = n_dropped.on_drop();
                rt::yield_now().await;
                assert_ne!(number, 5);
            }));
        }));
        assert!(panicked.is_err());
        assert_eq!(n_dropped.get(), 6);
    });
}
