//! What a dump says that a task waits for, for each thing that can be waited for.

use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rt::sync::{Barrier, Condvar, Event, Mutex, OnceCell, Queue, Semaphore, oneshot, promise};
use rt::task::{WaitKind, Waiting};
use rt::{Dump, JoinHandle, TaskInfo};

use crate::support::exact;

/// A task that runs `body`, under a name.
fn named(name: &str, body: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    rt::task::Builder::new().name(name).spawn(body)
}

fn find<'a>(dump: &'a Dump, name: &str) -> &'a TaskInfo {
    let mut tasks = dump.tasks().iter();
    let found = tasks.find(|task| task.name.as_deref() == Some(name));
    found.unwrap_or_else(|| panic!("no task `{name}` in {dump}"))
}

/// What a task that runs `body` waits for when all is quiet.
async fn wait_of(body: impl Future<Output = ()> + Send + 'static) -> Option<Waiting> {
    let task = named("it", body);
    rt::test::quiescent().await;
    let waiting = find(&rt::dump(), "it").waiting_on.clone();
    task.cancel();
    let _ = task.await;
    waiting
}

async fn kind_of(body: impl Future<Output = ()> + Send + 'static) -> Option<WaitKind> {
    wait_of(body).await.map(|waiting| waiting.kind)
}

/// N15: a task that waits for a primitive says for which.
#[test]
fn n15_every_primitive_is_named() {
    exact(async {
        let mutex = Arc::new(Mutex::new(()));
        let held = mutex.lock().await;
        let theirs = mutex.clone();
        let waits = async move { drop(theirs.lock().await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Lock));
        drop(held);

        let waits = async { drop(Semaphore::new(0).acquire().await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Permit));
        let waits = async { Event::new().wait().await };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Event));
        let waits = async {
            let (mutex, condvar) = (Mutex::new(()), Condvar::new());
            drop(condvar.wait(mutex.lock().await).await);
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Condition));
        let two = NonZeroUsize::new(2).unwrap();
        let waits = async move {
            let _ = Barrier::new(two).wait().await;
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Barrier));
        let waits = async {
            let (promise, future) = promise::<()>();
            let _ = future.await;
            drop(promise);
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Promise));
        let waits = async {
            let (sender, receiver) = oneshot::channel::<()>();
            let _ = receiver.await;
            drop(sender);
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Channel));

        let cell = Arc::new(OnceCell::<()>::new());
        let ours = cell.clone();
        let filler = named("filler", async move {
            ours.get_or_init(pending).await;
        });
        rt::yield_now().await;
        let waits = async move {
            cell.get_or_init(|| async {}).await;
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Init));
        filler.cancel();
    });
}

/// N15: a queue says for what of it a task waits.
#[test]
fn n15_the_ends_of_a_queue_are_told_apart() {
    exact(async {
        let queue = Queue::bounded(1);
        let theirs = queue.clone();
        let gets = async move { drop(theirs.get().await) };
        assert_eq!(kind_of(gets).await, Some(WaitKind::QueueItem));
        queue.put(1).await.unwrap();
        let theirs = queue.clone();
        let puts = async move { drop(theirs.put(2).await) };
        assert_eq!(kind_of(puts).await, Some(WaitKind::QueueSlot));
        let joins = async move { queue.join().await };
        assert_eq!(kind_of(joins).await, Some(WaitKind::QueueDone));
    });
}

/// N15: so do the structured forms.
#[test]
fn n15_every_way_to_wait_for_tasks_is_named() {
    fn never() -> JoinHandle<()> {
        rt::spawn(pending())
    }
    exact(async {
        let waits = async { drop(never().await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Task));
        let waits = async {
            let ends = rt::TaskGroup::scope(async |group| {
                group.spawn(pending::<()>());
                rt::ok(())
            });
            drop(ends.await);
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Group));
        let waits = async { drop(rt::join_all([pending::<()>()]).await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Group));
        let waits = async { drop(rt::wait([never()], rt::Until::AllCompleted).await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::AllTasks));
        let waits = async { drop(rt::wait([never()], rt::Until::FirstCompleted).await) };
        assert_eq!(kind_of(waits).await, Some(WaitKind::AnyTask));
        let waits = async {
            use rt::stream::StreamExt;
            drop(pin!(rt::as_completed([never()])).next().await);
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::AnyTask));
        let waits = async {
            let mut set = rt::TaskSet::new();
            set.spawn("it never ends", pending::<()>());
            set.next().await;
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::AnyTask));
        let waits = async { rt::race([pending::<()>()]).await };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Parts));
        let waits = async { rt::cancelled().await };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Request));
        let waits = async {
            rt::defer(pending::<()>());
        };
        assert_eq!(kind_of(waits).await, Some(WaitKind::Cleanup));
    });
}

/// N15: what is behind a time limit is told, and not the limit; alone a timer says when it is due.
#[test]
fn n15_a_timer_gives_way_to_what_it_limits() {
    exact(async {
        let hour = Duration::from_secs(3600);
        let limited = wait_of(async move { drop(rt::timeout(hour, Event::new().wait()).await) });
        let limited = limited.await.unwrap();
        assert_eq!((limited.kind, limited.n_others), (WaitKind::Event, 0));
        let sleeps = wait_of(rt::sleep(hour)).await.unwrap();
        assert_eq!((sleeps.kind, sleeps.due_in), (WaitKind::Timer, Some(hour)));
        assert_eq!(sleeps.to_string(), "a timer, due in 3600.0s");
    });
}

/// N15: a task that waits for several things says that there are more.
#[test]
fn n15_several_waits_are_counted() {
    exact(async {
        let waits = wait_of(async {
            let (first, second, third) = (Event::new(), Queue::<()>::unbounded(), Event::new());
            let _ = rt::join!(first.wait(), second.get(), third.wait());
        });
        let waiting = waits.await.unwrap();
        assert_eq!((waiting.kind, waiting.n_others), (WaitKind::Event, 2));
    });
}

/// N15: since when is told for the wait, however often the task was polled meanwhile.
#[test]
fn n15_a_wait_counts_from_its_beginning() {
    exact(async {
        let event = Arc::new(Event::new());
        let theirs = event.clone();
        let task = named("it", async move {
            let mut wait = pin!(theirs.wait());
            loop {
                let tick = rt::sleep(Duration::from_secs(1));
                rt::select! { () = wait.as_mut() => break, () = tick => {} }
            }
            theirs.clear();
            theirs.wait().await;
        });
        rt::sleep(Duration::from_millis(7500)).await;
        let long = |dump: &Dump| find(dump, "it").waiting_on.clone().unwrap().for_long;
        assert_eq!(long(&rt::dump()), Some(Duration::from_millis(7500)));
        assert!(find(&rt::dump(), "it").polls > 7);
        event.set();
        rt::sleep(Duration::from_secs(2)).await;
        assert_eq!(long(&rt::dump()), Some(Duration::from_secs(2)));
        task.cancel();
    });
}

/// N15: what a task waited for is forgotten when it waits for something that says nothing.
#[test]
fn n15_a_wait_that_is_over_is_not_told() {
    exact(async {
        let event = Arc::new(Event::new());
        let theirs = event.clone();
        let task = named("it", async move {
            theirs.wait().await;
            pending::<()>().await;
        });
        rt::test::quiescent().await;
        assert!(find(&rt::dump(), "it").waiting_on.is_some());
        event.set();
        rt::test::quiescent().await;
        assert_eq!(find(&rt::dump(), "it").waiting_on, None);
        task.cancel();
    });
}

/// N15: a descriptor says in which direction.
#[test]
fn n15_sockets_are_named() {
    let runtime = rt::Builder::new().workers(1).build().unwrap();
    runtime.block_on(async {
        let listener = rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let task = named("it", async move { drop(listener.accept().await) });
        rt::test::quiescent().await;
        let waiting = find(&rt::dump(), "it").waiting_on.clone().unwrap();
        assert_eq!(waiting.kind, WaitKind::Readable);
        task.cancel();
    });
}
