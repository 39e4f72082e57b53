//! Scopes under combinators of others: `select!` of futures and of Tokio, and `FuturesUnordered`. They poll what
//! was woken and drop what lost, and know nothing of scopes.

use std::future::{Future, pending};
use std::pin::Pin;

use crate::support::{Log, each_size, each_size_virtual, ms};
use futures_util::future::{AbortHandle, Abortable, FutureExt, join_all, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{pin_mut, select};
use rt::{CancelScope, TaskGroup};

/// A body that never ends by itself, and whose cleanup takes its time.
async fn cleaned(log: Log, name: &'static str) {
    rt::finally(pending::<()>(), async move {
        rt::sleep(ms(20)).await;
        log.say(format!("{name} cleaned up"));
    })
    .await;
}

/// The same inside a scope, however deep.
fn scoped(log: &Log, kind: &str, name: &'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let body = cleaned(log.clone(), name);
    match kind {
        "scope" => Box::pin(CancelScope::new().run(body).map(drop)),
        "timeout" => Box::pin(rt::timeout(ms(1000), body).map(drop)),
        "region" => Box::pin(rt::catch_cancel(body).map(drop)),
        "nested" => {
            let inner = rt::timeout(ms(1000), rt::catch_cancel(body));
            Box::pin(CancelScope::new().run(inner).map(drop))
        }
        "group" => Box::pin(async move {
            let group = TaskGroup::scope(async |group| {
                group.spawn_ok(body);
                Ok(())
            });
            let _ = group.await;
        }),
        _ => unreachable!("{kind}"),
    }
}

const KINDS: [&str; 5] = ["scope", "timeout", "region", "nested", "group"];

/// Runs `drops`, which drops a scope half-way inside of a scope around, and asserts that the one around, and the task,
/// ended after its cleanup.
fn assert_cleaned<F>(drops: fn(Pin<Box<dyn Future<Output = ()> + Send>>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    each_size_virtual(move |runtime| {
        for kind in KINDS {
            for around in ["task", "timeout"] {
                let log = Log::default();
                let theirs = log.clone();
                runtime.block_on(async move {
                    let body = drops(scoped(&theirs, kind, "it"));
                    if around == "task" {
                        rt::spawn(body).await.unwrap();
                    } else {
                        rt::timeout(ms(500), body).await.unwrap();
                    }
                    theirs.say("the scope around is over");
                });
                let expected = ["it cleaned up", "the scope around is over"];
                assert_eq!(log, expected, "{kind} in {around}");
            }
        }
    });
}

/// C16: the loser of the futures crate's `select!`.
#[test]
fn c16_a_scope_that_loses_a_select_of_futures_is_cleaned_up() {
    assert_cleaned(|scope| async {
        let scope = scope.fuse();
        let quick = rt::sleep(ms(5)).fuse();
        pin_mut!(scope, quick);
        select! { () = scope => unreachable!(), () = quick => {} }
    });
}

/// C16: the loser of Tokio's `select!`.
#[test]
fn c16_a_scope_that_loses_a_select_of_tokio_is_cleaned_up() {
    assert_cleaned(|scope| async {
        tokio::select! { () = scope => unreachable!(), () = rt::sleep(ms(5)) => {} }
    });
}

/// C16: dropped with the set it is in.
#[test]
fn c16_a_scope_that_is_dropped_in_a_set_is_cleaned_up() {
    assert_cleaned(|scope| async {
        let mut set = FuturesUnordered::new();
        set.push(scope);
        set.push(Box::pin(rt::sleep(ms(5))));
        set.next().await.unwrap();
    });
}

/// C16: given up by a wrapper.
#[test]
fn c16_a_scope_that_is_aborted_by_a_wrapper_is_cleaned_up() {
    assert_cleaned(|scope| async {
        let (handle, registration) = AbortHandle::new_pair();
        rt::time::call_later(ms(5), move || handle.abort());
        assert!(Abortable::new(scope, registration).await.is_err());
    });
}

/// N1: a set polls only what was woken: a request wakes the scope itself, from another thread too.
#[test]
fn n1_a_request_reaches_a_scope_in_a_set() {
    each_size(|runtime| {
        let scopes = [(); 8].map(|()| CancelScope::new());
        let handles = scopes.clone();
        let cancelled = runtime.block_on(async move {
            let mut set: FuturesUnordered<_> = scopes
                .iter()
                .map(|scope| scope.run(pending::<()>()))
                .collect();
            let canceller = std::thread::spawn(move || {
                for handle in handles {
                    handle.cancel();
                }
            });
            let mut n_cancelled = 0;
            while let Some(ended) = set.next().await {
                n_cancelled += usize::from(ended.is_err());
            }
            canceller.join().unwrap();
            n_cancelled
        });
        assert_eq!(cancelled, 8);
    });
}

/// T5: a deadline that another thread moves is heeded in a set too.
#[test]
fn t5_a_deadline_is_moved_under_a_scope_in_a_set() {
    each_size(|runtime| {
        let scope = CancelScope::with_timeout(ms(3_600_000));
        let handle = scope.clone();
        runtime.block_on(async move {
            let mut set = FuturesUnordered::new();
            set.push(scope.run(pending::<()>()));
            let mover =
                std::thread::spawn(move || handle.set_deadline(Some(rt::Instant::now() + ms(5))));
            assert!(set.next().await.unwrap().is_err());
            mover.join().unwrap().unwrap();
            assert!(scope.expired());
        });
    });
}

/// C5: a region in a set is woken when it is to catch what is aimed at the task.
#[test]
fn c5_a_region_in_a_set_catches() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                let mut set = FuturesUnordered::new();
                for _ in 0..3 {
                    set.push(rt::catch_cancel(pending::<()>()));
                }
                let mut n_caught = 0;
                while let Some(ended) = set.next().await {
                    n_caught += usize::from(ended.is_err());
                }
                n_caught
            });
            rt::sleep(ms(5)).await;
            task.cancel();
            assert_eq!(task.await.unwrap(), 3);
        });
    });
}

/// T3, T9: nested scopes that are all late, with strangers between them: the outermost wins.
#[test]
fn t3_t9_the_outermost_late_scope_wins_through_strangers() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            for (outer, inner) in [(10, 10), (10, 20), (20, 10)] {
                let outer_scope = CancelScope::with_timeout(ms(outer));
                let inner_scope = CancelScope::with_timeout(ms(inner));
                let late_too = inner <= outer;
                let body = async {
                    let run = inner_scope.run(pending::<()>()).map(|_| "inner");
                    let (winner, _) = select(Box::pin(run), pending::<&str>())
                        .await
                        .factor_first();
                    rt::yield_now().await;
                    winner
                };
                let ended = join_all([outer_scope.run(Box::pin(body))]).await;
                if late_too && inner < outer {
                    assert_eq!(ended[0].as_ref().unwrap(), &"inner");
                } else {
                    assert!(
                        ended[0].is_err() && !inner_scope.caught(),
                        "{outer} {inner}"
                    );
                }
            }
        });
    });
}
