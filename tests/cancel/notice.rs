//! Being told of a cancellation: `cancelled`, `on_cancel` and `checkpoint`.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use crate::support::{
    self, Count, Flag, Log, each_builder, each_size, each_size_virtual, exact, ms,
};
use rt::CancelScope;

/// N13: called by the thread that cancels, before the call returns.
#[test]
fn n13_on_cancel_is_called_at_once_on_the_cancelling_thread() {
    each_size(|runtime| {
        for scoped in [false, true] {
            let called_on = Arc::<Mutex<Option<ThreadId>>>::default();
            let (theirs, registered) = (called_on.clone(), Flag::default());
            let scope = CancelScope::new();
            let (inside, ready) = (scope.clone(), registered.clone());
            let task = runtime.spawn(async move {
                let body = async {
                    let _registered = rt::on_cancel(move || {
                        *theirs.lock().unwrap() = Some(thread::current().id());
                    });
                    ready.raise();
                    pending::<()>().await;
                };
                inside.run(body).await.is_err()
            });
            let canceller = task.cancel_handle();
            runtime.block_on(registered.up());
            let (canceller, seen) = thread::spawn(move || {
                if scoped {
                    scope.cancel();
                } else {
                    canceller.cancel();
                }
                (thread::current().id(), *called_on.lock().unwrap())
            })
            .join()
            .unwrap();
            assert_eq!(seen, Some(canceller));
            assert_eq!(runtime.block_on(task).is_ok(), scoped);
        }
    });
}

/// N13: the function is called whatever the task does when it is cancelled.
#[test]
fn n13_a_function_is_called_though_its_task_is_just_being_dropped() {
    each_size(|runtime| {
        for round in 0..500 {
            let (registered, called) = (Flag::default(), Count::default());
            let (ready, theirs) = (registered.clone(), called.clone());
            let task = runtime.spawn(async move {
                let _registered = rt::on_cancel(move || theirs.add());
                ready.raise();
                loop {
                    rt::yield_now().await;
                }
            });
            runtime.block_on(registered.up());
            let handle = task.cancel_handle();
            let canceller = thread::spawn(move || assert!(handle.cancel()));
            let result: Result<(), _> = runtime.block_on(task);
            assert!(result.unwrap_err().is_cancelled());
            assert_eq!(called.get(), 1, "round {round}");
            canceller.join().unwrap();
        }
    });
}

/// N13: at once if the request is there already; not any more once it is dropped; and once, however many scopes
/// around are asked.
#[test]
fn n13_on_cancel_is_called_at_most_once_and_only_while_registered() {
    exact(async {
        let (outer, inner) = (CancelScope::new(), CancelScope::new());
        let calls = [(); 3].map(|()| Count::default());
        let add = |i: usize| {
            let count: Count = calls[i].clone();
            move || count.add()
        };
        let body = inner.run(async {
            let kept = rt::on_cancel(add(0));
            drop(rt::on_cancel(add(1)));
            assert!(!kept.was_called());
            inner.cancel();
            assert!(kept.was_called());
            outer.cancel();
            let late = rt::on_cancel(add(2));
            assert!(late.was_called());
        });
        let _ = outer.run(body).await;
        assert_eq!(calls.map(|count| count.get()), [1, 0, 1]);
    });
}

/// N13, C13: a function that panics is reported with its line, and the cancellation takes its way.
#[test]
fn n13_c13_a_function_of_on_cancel_that_panics_is_reported() {
    each_builder(|builder| {
        let log = Log::default();
        let theirs = log.clone();
        let builder = builder.on_unhandled(move |unhandled| theirs.say(unhandled.to_string()));
        let runtime = builder.build().unwrap();
        let registered = Flag::default();
        let ready = registered.clone();
        let task = runtime.spawn(async move {
            let _registered = rt::on_cancel(|| panic!("in the function"));
            ready.raise();
            pending::<()>().await;
        });
        runtime.block_on(registered.up());
        let handle = task.cancel_handle();
        assert!(thread::spawn(move || handle.cancel()).join().unwrap());
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("in the function") && lines[0].contains(file!()),
            "{lines:?}"
        );
    });
}

/// N13: a deadline asks too, also while a shield holds its effect back.
#[test]
fn n13_a_deadline_calls_the_functions_of_its_scope() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let start = rt::Instant::now();
            let called = Arc::<Mutex<Option<_>>>::default();
            let theirs = called.clone();
            let late = rt::timeout(ms(10), async {
                let _registered = rt::on_cancel(move || {
                    *theirs.lock().unwrap() = Some(start.elapsed());
                });
                rt::shield(rt::sleep(ms(50))).await;
                pending::<()>().await;
            });
            assert!(late.await.is_err());
            assert_eq!(*called.lock().unwrap(), Some(ms(10)));
            assert_eq!(start.elapsed(), ms(50));
        });
    });
}

/// N1: a body under a shield hears that its task is cancelled, and ends by itself.
#[test]
fn n1_cancelled_resolves_under_a_shield_when_the_task_is_cancelled() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                rt::shield(async {
                    rt::cancelled().await;
                    rt::sleep(ms(10)).await;
                })
                .await;
                "ended by itself"
            });
            rt::sleep(ms(1)).await;
            task.cancel();
            assert_eq!(task.await.unwrap(), "ended by itself");
        });
    });
}

/// C5: what was caught is over: who listens then waits for the next request.
#[test]
fn c5_cancelled_waits_anew_after_the_request_was_caught() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(async {
                assert!(rt::catch_cancel(pending::<()>()).await.is_err());
                let again = rt::shield(rt::cancelled());
                rt::timeout(ms(20), again).await.is_ok()
            });
            rt::sleep(ms(1)).await;
            task.cancel();
            rt::sleep(ms(10)).await;
            assert!(task.cancel());
            assert!(task.await.unwrap());
        });
    });
}

/// C14: a loop that only computes is cancelled at its next checkpoint: the task, a scope of it, a deadline.
#[test]
fn c14_a_loop_with_checkpoints_can_be_cancelled() {
    each_size(|runtime| {
        runtime.block_on(async {
            let endless = || async {
                loop {
                    std::hint::spin_loop();
                    rt::checkpoint().await;
                }
            };
            let task =
                rt::spawn(async move { rt::CancelScope::new().run(endless()).await.is_err() });
            rt::yield_now().await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(rt::timeout(ms(5), endless()).await.is_err());
            let scope = CancelScope::new();
            let handle = scope.clone();
            let thread = thread::spawn(move || handle.cancel());
            let body = async {
                endless().await;
            };
            assert!(scope.run(body).await.is_err());
            thread.join().unwrap();
        });
    });
}

/// C14: nothing asked, nothing lost: a checkpoint passes without a suspension.
#[test]
fn c14_a_checkpoint_passes_unless_something_was_asked() {
    exact(async {
        let scope = CancelScope::new();
        let body = async {
            assert!(support::poll_once(&mut rt::checkpoint()).is_ready());
            scope.cancel();
            let mut checkpoint = rt::checkpoint();
            assert!(support::poll_once(&mut checkpoint).is_pending());
            assert!(support::poll_once(&mut checkpoint).is_ready(), "once");
        };
        assert!(scope.run(body).await.is_ok());
    });
}
