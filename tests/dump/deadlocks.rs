//! A `block_on` that can never return says so.

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex as StdMutex, mpsc};
use std::time::Duration;

use rt::sync::{Mutex, Queue, oneshot};
use rt::{Builder, CancelHandle};

use crate::support::{each_builder, each_size_virtual, must_end};

/// The panic of a `block_on` with virtual time, on a runtime of each size.
fn each_panic<F: Future<Output = ()>>(
    body: impl Fn() -> F + Send + Sync + 'static,
    check: impl Fn(&str) + Send + Sync + 'static,
) {
    each_builder(move |builder| {
        let runtime = builder.virtual_time(true).build().unwrap();
        let hangs = AssertUnwindSafe(|| runtime.block_on(body()));
        let panic = catch_unwind(hangs).expect_err("it can never return");
        check(panic.downcast_ref::<String>().unwrap());
    });
}

/// Two tasks that take two locks in two orders, and whoever waits for the first.
async fn take_two_locks() {
    let locks = [(); 2].map(|()| Arc::new(Mutex::new(())));
    let take = |name: &str, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (first, second) = (first.clone(), second.clone());
        rt::task::Builder::new().name(name).spawn(async move {
            let _first = first.lock().await;
            rt::sleep(Duration::from_millis(1)).await;
            let _second = second.lock().await;
        })
    };
    let forth = take("forth", &locks[0], &locks[1]);
    let _back = take("back", &locks[1], &locks[0]);
    let _ = forth.await;
}

/// N15: with virtual time a circle of locks ends the test that hangs, with the circle and the tree.
#[test]
fn n15_a_deadlock_panics_with_virtual_time() {
    each_panic(take_two_locks, |text| {
        let begins = format!("block_on at {}:", file!());
        assert!(text.starts_with(&begins), "{text}");
        for part in [
            "can never return, because tasks wait for one another",
            "`forth` at",
            "\ndeadlock:\n  task #",
            "`back` spawned at",
            "waits for a lock that #",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    });
}

/// N15: so does a task that blocks on its own end, and one that takes its own lock again.
#[test]
fn n15_waiting_for_oneself_is_a_deadlock() {
    each_size_virtual(|runtime| {
        let (sender, receiver) = oneshot::channel::<rt::JoinHandle<()>>();
        let (tell, told) = oneshot::channel();
        let text = runtime.block_on(async {
            let task = rt::spawn(async {
                let own = receiver.await.unwrap();
                let hangs = AssertUnwindSafe(|| rt::block_on(own));
                let panic = catch_unwind(hangs).expect_err("it can never return");
                tell.send(panic.downcast_ref::<String>().unwrap().clone())
                    .unwrap();
            });
            assert!(sender.send(task).is_ok());
            told.await.unwrap()
        });
        assert!(text.contains("is inside block_on"), "{text}");
    });
    let own_lock = || async {
        let mutex = Mutex::new(());
        let _held = mutex.lock().await;
        let _again = mutex.lock().await;
    };
    each_panic(own_lock, |text| {
        assert!(text.contains("waits for a lock that #"), "{text}")
    });
}

/// N15: with the real clock it is reported, and the call waits on: somebody may yet cancel.
#[test]
fn n15_a_deadlock_is_reported_and_may_be_broken() {
    must_end("until it is reported", || {
        let cancel: Arc<StdMutex<Option<CancelHandle>>> = Arc::default();
        let (tell, told) = mpsc::channel();
        let theirs = cancel.clone();
        let runtime = Builder::new()
            .workers(2)
            .on_unhandled(move |unhandled| {
                tell.send((unhandled.is_deadlock(), unhandled.to_string()))
                    .unwrap();
                theirs.lock().unwrap().take().unwrap().cancel();
            })
            .build()
            .unwrap();
        let ended = runtime.block_on(async {
            let mutex = Arc::new(Mutex::new(()));
            let held = mutex.lock().await;
            let theirs = mutex.clone();
            let task = rt::spawn(async move { drop(theirs.lock().await) });
            *cancel.lock().unwrap() = Some(task.cancel_handle());
            let ended = task.await;
            drop(held);
            ended
        });
        assert!(ended.unwrap_err().is_cancelled());
        let (is_deadlock, text) = told.recv().unwrap();
        assert!(is_deadlock && text.contains("can never return"), "{text}");
        assert!(told.try_recv().is_err(), "it is told once");
    });
}

/// N15: a wait that nothing in the runtime can end is told with what each task waits for.
#[test]
fn n15_a_queue_that_is_never_done_is_told() {
    must_end("until it is told", || {
        let runtime = Builder::current_thread()
            .virtual_time(true)
            .build()
            .unwrap();
        let hangs = AssertUnwindSafe(|| {
            runtime.block_on(async {
                let queue = Queue::unbounded();
                queue.put(1).await.unwrap();
                assert_eq!(queue.get().await.unwrap(), 1);
                queue.join().await;
            });
        });
        let panic = catch_unwind(hangs).expect_err("it never returns");
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("nothing goes on in its runtime"), "{text}");
        assert!(
            text.contains("waits for the items of a queue to be done"),
            "{text}"
        );
    });
}

/// N15: whoever waits for a thread, a socket or a timer is left alone.
#[test]
fn n15_a_wait_for_the_world_is_no_deadlock() {
    must_end("although all is well", || {
        let runtime = Builder::new()
            .workers(2)
            .on_unhandled(|unhandled| panic!("{unhandled}"))
            .build()
            .unwrap();
        let (sender, receiver) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            sender.send(()).unwrap();
        });
        runtime.block_on(async {
            rt::spawn(pending::<()>());
            receiver.await.unwrap();
            rt::sleep(Duration::from_millis(1500)).await;
            let job = rt::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1500)));
            job.await.unwrap();
        });
        thread.join().unwrap();
    });
}
