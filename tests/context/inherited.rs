//! Task-locals: what a value is visible to, what inherits it, and what it costs those who have none.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::support::blame::blamed;
use crate::support::{
    self, Bomb, Count, Log, each_builder, each_size, each_size_virtual, ms, poll_once,
};
use rt::TaskGroup;
use rt::task::Reset;

rt::task_local! {
    /// The request that is served.
    static REQUEST: u64;
    static USER: String;
    static KEPT: Arc<Counted>;
    #[no_inherit]
    static LEVEL: Cell<u32>
}

struct Counted(Count);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// The request as this code sees it; zero for none.
fn request() -> u64 {
    REQUEST.try_get().unwrap_or(0)
}

/// Waits for a value that a callback sends, while tasks run.
async fn received(receiver: mpsc::Receiver<u64>) -> u64 {
    loop {
        match receiver.try_recv() {
            Ok(value) => return value,
            Err(mpsc::TryRecvError::Empty) => rt::sleep(ms(1)).await,
            Err(mpsc::TryRecvError::Disconnected) => panic!("nobody sends"),
        }
    }
}

/// N8: every kind of spawn passes on what was set at that moment.
#[test]
fn n8_every_kind_of_spawn_inherits() {
    each_size_virtual(|runtime| {
        let body = REQUEST.scope(7, async {
            assert_eq!(rt::spawn(async { request() }).await.unwrap(), 7);
            let eager = rt::task::Builder::new().eager();
            assert_eq!(eager.spawn(async { request() }).await.unwrap(), 7);
            let handle = rt::Handle::current();
            assert_eq!(handle.spawn(async { request() }).await.unwrap(), 7);
            assert_eq!(rt::spawn_blocking(request).await.unwrap(), 7);
            assert_eq!(handle.spawn_blocking(request).await.unwrap(), 7);
            assert_eq!(rt::spawn_compute(request).await.unwrap(), 7);
            assert_eq!(rt::block_in_place(request), 7);
            assert_eq!(rt::block_on(async { request() }), 7);
            let child = TaskGroup::scope(|group| async move {
                let blocking = group.spawn_blocking(|| rt::ok(request()));
                Ok((group.spawn_ok(async { request() }), blocking))
            });
            let (child, blocking) = child.await.unwrap();
            assert_eq!((child.result(), blocking.result()), (7, 7));
        });
        runtime.block_on(body);
        runtime.block_on(async {
            assert_eq!(rt::spawn(async { request() }).await.unwrap(), 0);
        });
    });
}

/// N8: what spawns for the caller passes the caller's values on; what polls in the calling task shares them.
#[test]
fn n8_the_structured_forms_inherit() {
    async fn seen() -> Result<u64, rt::BoxError> {
        rt::yield_now().await;
        Ok(request())
    }
    each_size_virtual(|runtime| {
        runtime.block_on(REQUEST.scope(7, async {
            assert_eq!(rt::gather([seen(), seen()]).await.unwrap(), [7, 7]);
            assert_eq!(rt::try_gather([seen(), seen()]).await.unwrap(), [7, 7]);
            assert_eq!(rt::join_all([async { request() }]).await, [7]);
            assert_eq!(rt::race([async { request() }]).await, 7);
            let mut set = rt::TaskSet::new();
            set.spawn("key", async { request() });
            assert!(matches!(set.next().await, Some(("key", Ok(7)))));
            let joined = rt::join!(seen(), REQUEST.scope(8, seen()));
            assert_eq!((joined.0.unwrap(), joined.1.unwrap()), (7, 8));
        }));
    });
}

/// N8: a guard's release and the callback of a cancellation see the place of their registration.
#[test]
fn n8_guards_and_cancel_callbacks_see_their_place() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let (released, told) = (log.clone(), log.clone());
        runtime.block_on(async move {
            let task = rt::spawn(async move {
                let body = REQUEST.scope(1, async {
                    let _told = rt::on_cancel(move || told.say(format!("told {}", request())));
                    let _guard = rt::guard((), move |()| async move {
                        rt::yield_now().await;
                        released.say(format!("released {}", request()));
                    });
                    pending::<()>().await;
                });
                body.await;
            });
            rt::sleep(ms(5)).await;
            REQUEST.sync_scope(2, || task.cancel());
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(log, ["told 1", "released 1"]);
    });
}

/// N8: timers' callbacks run with what was set when they were asked for.
#[test]
fn n8_timers_callbacks_inherit() {
    each_size_virtual(|runtime| {
        runtime.block_on(REQUEST.scope(7, async {
            let (send, later) = mpsc::channel();
            rt::time::call_later(ms(5), move || send.send(request()).unwrap());
            let (send, at) = mpsc::channel();
            let moment = rt::Instant::now() + ms(5);
            rt::time::call_at(moment, move || send.send(request()).unwrap());
            let _reset = REQUEST.set(8);
            assert_eq!((received(later).await, received(at).await), (7, 7));
        }));
    });
}

/// N8: a done callback runs with the values of the place that registered it, whether before or after the end.
#[test]
fn n8_done_callbacks_see_the_place_of_their_registration() {
    each_size_virtual(|runtime| {
        runtime.block_on(async {
            let task = rt::spawn(REQUEST.scope(1, rt::sleep(ms(5))));
            let (send, before) = mpsc::channel();
            REQUEST.sync_scope(2, || {
                task.on_finish(move |_| send.send(request()).unwrap());
            });
            let (send, result) = mpsc::channel();
            task.on_result(move |_| send.send(request() + 10).unwrap());
            assert_eq!((received(before).await, received(result).await), (2, 10));
            let (send, after) = mpsc::channel();
            while !task.is_finished() {
                rt::yield_now().await;
            }
            let done = rt::spawn(async { 5 });
            rt::sleep(ms(5)).await;
            REQUEST.sync_scope(3, || {
                done.on_finish(move |_| send.send(request()).unwrap());
            });
            assert_eq!(after.try_recv(), Ok(3));
            assert_eq!(request(), 0);
        });
    });
}

/// N8: cleanup runs with the values of the place that registered it, though it runs elsewhere.
#[test]
fn n8_cleanup_sees_the_place_of_its_registration() {
    each_size_virtual(|runtime| {
        let log = Log::default();
        let say = move |log: &Log, what: &'static str| {
            let log = log.clone();
            async move {
                rt::yield_now().await;
                log.say(format!("{what} {}", request()));
            }
        };
        let theirs = log.clone();
        runtime.block_on(async move {
            let task = rt::spawn(REQUEST.scope(1, async move {
                rt::defer(say(&theirs, "task"));
                let inner = REQUEST.scope(2, async {
                    rt::defer(say(&theirs, "inner"));
                    rt::finally(pending::<()>(), say(&theirs, "finally")).await;
                });
                let _ = rt::timeout(ms(5), inner).await;
                rt::finally(async {}, say(&theirs, "after")).await;
                pending::<()>().await;
            }));
            rt::sleep(ms(50)).await;
            task.cancel();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(log, ["finally 2", "inner 2", "after 1", "task 1"]);
    });
}

/// N8: a snapshot: what either side sets after the spawn is its own.
#[test]
fn n8_parent_and_child_do_not_see_what_the_other_sets_later() {
    each_size(|runtime| {
        runtime.block_on(REQUEST.scope(1, async {
            let child = rt::spawn(async {
                let inherited = request();
                let _reset = REQUEST.set(2);
                rt::yield_now().await;
                let grandchild = rt::spawn(async { request() }).await.unwrap();
                (inherited, request(), grandchild)
            });
            let _reset = REQUEST.set(3);
            assert_eq!(child.await.unwrap(), (1, 2, 2));
            assert_eq!(request(), 3);
        }));
    });
}

/// N8: a scope holds while its future is polled, and at no other time.
#[test]
fn n8_scopes_do_not_leak_to_their_neighbours() {
    each_size(|runtime| {
        runtime.block_on(async {
            let one = REQUEST.scope(1, async {
                for _ in 0..10 {
                    rt::yield_now().await;
                    assert_eq!(request(), 1);
                }
            });
            let two = REQUEST.scope(2, async {
                for _ in 0..10 {
                    rt::yield_now().await;
                    assert_eq!(request(), 2);
                }
            });
            let (mut one, mut two) = (Box::pin(one), Box::pin(two));
            let both = std::future::poll_fn(|cx| {
                let first = one.as_mut().poll(cx);
                assert_eq!(request(), 0);
                if first.is_ready() {
                    return two.as_mut().poll(cx);
                }
                let _ = two.as_mut().poll(cx);
                Poll::Pending
            });
            both.await;
            assert_eq!(request(), 0);
        });
    });
}

/// N8: `set` holds to the end of the innermost scope, over suspensions and on every thread.
#[test]
fn n8_what_is_set_holds_until_its_scope_ends() {
    each_size(|runtime| {
        runtime.block_on(REQUEST.scope(1, async {
            let inner = USER.scope("ada".into(), async {
                std::mem::forget(REQUEST.set(2));
                rt::yield_now().await;
                (request(), USER.get())
            });
            assert_eq!(inner.await, (2, "ada".into()));
            assert_eq!(request(), 1);
            assert_eq!(USER.try_get(), None);
        }));
        let task = async {
            let outer = REQUEST.set(5);
            let inner = REQUEST.set(6);
            for _ in 0..10 {
                rt::yield_now().await;
                assert_eq!(request(), 6);
            }
            drop(inner);
            assert_eq!(request(), 5);
            drop(outer);
            assert_eq!(request(), 0);
        };
        runtime.block_on(async move { rt::spawn(task).await.unwrap() });
    });
}

/// N8: a guard that is dropped elsewhere harms nobody.
#[test]
fn n8_a_guard_that_went_astray_resets_only_what_is_its_own() {
    each_size(|runtime| {
        runtime.block_on(async {
            let strange = |guard: Reset| {
                rt::spawn(REQUEST.scope(9, async move {
                    drop(guard);
                    request()
                }))
            };
            let guard = REQUEST.set(1);
            assert_eq!(strange(guard).await.unwrap(), 9);
            assert_eq!(request(), 1, "it stays where it was set");
            let guard = REQUEST.set(2);
            let heir = rt::spawn(async move {
                drop(guard);
                request()
            });
            assert_eq!(heir.await.unwrap(), 1, "what was inherited is set back");
            assert_eq!(request(), 2);
            let (first, second) = (REQUEST.set(3), REQUEST.set(4));
            drop(first);
            assert_eq!(request(), 4, "a later value stays");
            drop(second);
            assert_eq!(request(), 3);
        });
        runtime.block_on(async { assert_eq!(request(), 0, "values end with their block_on") });
    });
}

/// N8: a future is dropped with the values it was polled with: by cancellation, a timeout, or by hand.
#[test]
fn n8_destructors_see_the_values_of_their_future() {
    struct Says(Log);
    impl Drop for Says {
        fn drop(&mut self) {
            let level = LEVEL.try_with(Cell::get).unwrap_or(0);
            self.0.say(format!("{} {level}", request()));
        }
    }
    let inner = |log: &Log| {
        let says = Says(log.clone());
        REQUEST.scope(
            2,
            LEVEL.scope(Cell::new(3), async move {
                let _says = says;
                pending::<()>().await;
            }),
        )
    };
    each_size_virtual(move |runtime| {
        let log = Log::default();
        runtime.block_on(async {
            let task = rt::spawn(inner(&log));
            rt::sleep(ms(1)).await;
            task.cancel();
            let _ = task.await;
            let _ = rt::timeout(ms(5), inner(&log)).await;
            drop(inner(&log));
            let says = Says(log.clone());
            let heir = REQUEST.sync_scope(4, || {
                rt::spawn(async move {
                    let _says = says;
                    pending::<()>().await;
                })
            });
            rt::sleep(ms(1)).await;
            heir.cancel();
            let _ = heir.await;
        });
        assert_eq!(log, ["2 3", "2 3", "2 3", "4 0"]);
    });
}

/// W8: what runs inside the same task sees the task's values, and what it sets.
#[test]
fn w8_futures_in_the_same_task_share_its_values() {
    each_size_virtual(|runtime| {
        let task = async {
            let reset = rt::timeout(ms(5), async { REQUEST.set(2) }).await.unwrap();
            assert_eq!(request(), 2);
            drop(reset);
            rt::finally(async { assert_eq!(request(), 1) }, async {}).await;
            rt::shield(async { assert_eq!(request(), 1) }).await;
            let body = TaskGroup::scope(|_| async { rt::ok(request()) });
            assert_eq!(body.await.unwrap(), 1);
        };
        runtime.block_on(REQUEST.scope(1, async move { rt::spawn(task).await.unwrap() }));
    });
}

/// N8: tasks that run inside another one's `block_on` have their own values, and so has the future there.
#[test]
fn n8_a_nested_block_on_keeps_tasks_apart() {
    each_size(|runtime| {
        runtime.block_on(async {
            let outer = rt::spawn(REQUEST.scope(
                1,
                LEVEL.scope(Cell::new(1), async {
                    let inner = rt::block_on(async {
                        let child = REQUEST.scope(2, async {
                            let stranger = rt::spawn(async { LEVEL.try_with(Cell::get) });
                            (stranger.await.unwrap(), request())
                        });
                        std::mem::forget(REQUEST.set(3));
                        std::mem::forget(LEVEL.set(Cell::new(5)));
                        (child.await, request())
                    });
                    (inner, request(), LEVEL.with(Cell::get))
                }),
            ));
            let free = rt::spawn(async {
                for _ in 0..50 {
                    assert_eq!(request(), 0);
                    rt::yield_now().await;
                }
            });
            assert_eq!(outer.await.unwrap(), (((None, 2), 3), 1, 1));
            free.await.unwrap();
        });
    });
}

/// N8: local tasks inherit; values of a key that opted out may be of any type there.
#[test]
fn n8_local_tasks_inherit_and_hold_what_is_not_send() {
    rt::task_local! { #[no_inherit] static LOCAL: Rc<Cell<u32>>; }
    let runtime = support::builder(0).build().unwrap();
    runtime.block_on(REQUEST.scope(7, async {
        let count = Rc::new(Cell::new(0));
        let task = rt::spawn_local(LOCAL.scope(count.clone(), async {
            rt::yield_now().await;
            LOCAL.with(|count| count.set(count.get() + 1));
            request()
        }));
        assert_eq!(task.await.unwrap(), 7);
        assert_eq!(count.get(), 1);
    }));
}

/// N8: a scope works on an executor of somebody else, and on plain threads.
#[test]
fn n8_scopes_work_without_a_runtime() {
    let mut future = Box::pin(REQUEST.scope(7, async {
        std::mem::forget(REQUEST.set(8));
        let mut is_first = true;
        std::future::poll_fn(|_| match std::mem::replace(&mut is_first, false) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
        request()
    }));
    assert!(poll_once(&mut future).is_pending());
    assert_eq!(request(), 0);
    let moved = thread::spawn(move || {
        assert_eq!(request(), 0);
        let mut future = future;
        poll_once(&mut future)
    });
    assert_eq!(moved.join().unwrap(), Poll::Ready(8));

    REQUEST.sync_scope(3, || {
        assert_eq!(request(), 3);
        let plain = thread::spawn(request);
        assert_eq!(plain.join().unwrap(), 0, "std's threads inherit nothing");
        let runtime = support::builder(1).build().unwrap();
        let spawned = runtime.spawn(async { request() });
        assert_eq!(spawned.join_blocking().unwrap(), 3);
        assert_eq!(runtime.block_on(async { request() }), 3);
    });
    assert_eq!(request(), 0);
}

/// N8: a scope that panics leaves nothing behind.
#[test]
fn n8_a_panic_leaves_the_scope() {
    let panicked =
        catch_unwind(|| REQUEST.sync_scope(1, || LEVEL.sync_scope(Cell::new(1), || panic!())));
    assert!(panicked.is_err());
    assert_eq!((request(), LEVEL.try_with(Cell::get)), (0, None));
    let mut future = Box::pin(LEVEL.scope(Cell::new(1), REQUEST.scope(1, async { panic!() })));
    let polled = catch_unwind(AssertUnwindSafe(|| -> Poll<()> {
        Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(polled.is_err());
    assert_eq!((request(), LEVEL.try_with(Cell::get)), (0, None));
}

/// N8: asking for a value that is not there panics at the line that asks, and names the key.
#[test]
fn n8_a_missing_value_is_the_callers_mistake() {
    rt::task_local! { static ABSENT: u8; #[no_inherit] static ALSO_ABSENT: u8; }
    let first = line!();
    let complaints = [
        blamed(|| _ = ABSENT.get()),
        blamed(|| ABSENT.with(|_| ())),
        blamed(|| _ = ALSO_ABSENT.get()),
        blamed(|| ALSO_ABSENT.with(|_| ())),
    ];
    for ((message, place), line) in complaints.iter().zip(first + 2..) {
        let name = if line < first + 4 {
            "`ABSENT`"
        } else {
            "`ALSO_ABSENT`"
        };
        assert!(
            message.contains(&format!("{name} has no value here")),
            "{message}"
        );
        assert!(
            place.starts_with(&format!("{}:{line}:", file!())),
            "{place}"
        );
    }
}

/// N8: values end with the last task that can see them, before its join resolves.
#[test]
fn n8_values_are_dropped_with_their_last_task() {
    each_size(|runtime| {
        let count = Count::default();
        runtime.block_on(async {
            let value = Arc::new(Counted(count.clone()));
            let child = KEPT.sync_scope(value, || {
                rt::spawn(async {
                    rt::yield_now().await;
                    KEPT.with(|_| ());
                })
            });
            let keeps_the_cell = child.cancel_handle();
            assert_eq!(count.get(), 0);
            child.await.unwrap();
            assert_eq!(count.get(), 1);
            assert!(keeps_the_cell.is_finished());
        });
    });
}

/// N8: a destructor of a value that panics harms nobody.
#[test]
fn n8_a_value_that_panics_when_dropped_is_reported() {
    rt::task_local! { static BOMB: Arc<Mutex<Bomb>>; }
    each_builder(|builder| {
        let reports = Count::default();
        let theirs = reports.clone();
        let runtime = builder.on_unhandled(move |_| theirs.add()).build().unwrap();
        runtime.block_on(async {
            let spawn = || rt::spawn(async { 7 });
            let task = BOMB.sync_scope(Arc::new(Mutex::new(Bomb)), spawn);
            assert_eq!(task.await.unwrap(), 7);
        });
        assert_eq!(reports.get(), 1);
        support::assert_well(&runtime);
    });
}

/// S0-14: a blocking job sees the task-locals of whoever asked for it, and a cell in them is shared.
#[test]
fn s0_14_blocking_jobs_see_task_locals() {
    rt::task_local! { static SEEN: Arc<Mutex<Vec<String>>>; }
    each_size(|runtime| {
        let seen = Arc::default();
        runtime.block_on(SEEN.scope(Arc::clone(&seen), async {
            rt::spawn_blocking(|| SEEN.with(|seen| seen.lock().unwrap().push("job".into())))
                .await
                .unwrap();
        }));
        assert_eq!(*seen.lock().unwrap(), ["job"]);
    });
}

/// N8: thousands of tasks, each with its own values, on every number of workers.
#[test]
fn n8_values_are_never_mixed_up() {
    each_size(|runtime| {
        runtime.block_on(async {
            let tasks: Vec<_> = (1..=500)
                .map(|number| {
                    rt::spawn(REQUEST.scope(number, async move {
                        let mut sum = 0;
                        for round in 0..4 {
                            let user = USER.set(format!("{number}-{round}"));
                            let child = rt::spawn(async {
                                rt::yield_now().await;
                                (request(), USER.get())
                            });
                            rt::yield_now().await;
                            let (request, user_seen) = child.await.unwrap();
                            assert_eq!(user_seen, format!("{number}-{round}"));
                            sum += request;
                            drop(user);
                        }
                        sum
                    }))
                })
                .collect();
            for (number, task) in (1..).zip(tasks) {
                assert_eq!(task.await.unwrap(), number * 4);
            }
        });
    });
}
