//! Who waits for whom: an edge is there while its wait lasts, and gone with it.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use rt::sync::Mutex;
use rt::{JoinHandle, TaskId};

use crate::support::exact;

fn never() -> JoinHandle<()> {
    rt::spawn(pending())
}

/// Whom the task of `body` waits for when all is quiet, in the order of their numbers.
async fn targets_of(body: impl Future<Output = ()> + Send + 'static) -> Vec<TaskId> {
    let task = rt::spawn(body);
    rt::test::quiescent().await;
    let targets = rt::dump().waits_for(task.id());
    for target in &targets {
        assert!(rt::dump().awaited_by(*target).contains(&task.id()));
    }
    task.cancel();
    let _ = task.await;
    rt::test::quiescent().await;
    for target in &targets {
        assert_eq!(rt::dump().awaited_by(*target), [], "an edge leaked");
    }
    targets
}

/// N15: awaiting a handle.
#[test]
fn n15_a_join_has_an_edge() {
    exact(async {
        let task = never();
        let id = task.id();
        assert_eq!(targets_of(async { drop(task.await) }).await, [id]);
    });
}

/// N15: awaiting a handle under a time limit, a shield, or a scope.
#[test]
fn n15_limits_and_shields_keep_the_edge() {
    exact(async {
        let task = never();
        let id = task.id();
        let limited = async { drop(rt::timeout(Duration::from_secs(60), task).await) };
        assert_eq!(targets_of(limited).await, [id]);
        let task = never();
        let id = task.id();
        let shielded = async { drop(rt::shield_within(Duration::ZERO, task).await) };
        assert_eq!(targets_of(shielded).await, [id]);
        let task = never();
        let id = task.id();
        let scoped = async { drop(rt::CancelScope::new().run(task).await) };
        assert_eq!(targets_of(scoped).await, [id]);
    });
}

/// N15: several handles, by each way to wait for several.
#[test]
fn n15_every_way_to_wait_for_several_handles_has_all_edges() {
    exact(async {
        let tasks = [never(), never(), never()];
        let ids = tasks.each_ref().map(JoinHandle::id);
        let waits = async { drop(rt::wait(tasks, rt::Until::AllCompleted).await) };
        assert_eq!(targets_of(waits).await, ids);

        let tasks = [never(), never()];
        let ids = tasks.each_ref().map(JoinHandle::id);
        let waits = async {
            use rt::stream::StreamExt;
            drop(rt::as_completed(tasks).next().await);
        };
        assert_eq!(targets_of(waits).await, ids);

        let [first, second] = [never(), never()];
        let ids = [first.id(), second.id()];
        let waits = async { drop(rt::join!(first, second)) };
        assert_eq!(targets_of(waits).await, ids);

        let [first, second] = [never(), never()];
        let ids = [first.id(), second.id()];
        let waits = async {
            rt::select! { _ = first => {}, _ = second => {} }
        };
        assert_eq!(targets_of(waits).await, ids);

        let tasks = [never(), never()];
        let ids = tasks.each_ref().map(JoinHandle::id);
        assert_eq!(targets_of(async { drop(rt::race(tasks).await) }).await, ids);
    });
}

/// N15: a group waits for its children, and for nobody else's.
#[test]
fn n15_a_group_has_an_edge_to_each_child() {
    exact(async {
        let stranger = never();
        let (tell, told) = std::sync::mpsc::channel();
        let waits = async move {
            let ends = rt::TaskGroup::scope(async |group| {
                let children = [group.spawn(pending::<()>()), group.spawn(pending::<()>())];
                tell.send(children.map(|child| child.id())).unwrap();
                never();
                rt::ok(())
            });
            drop(ends.await);
        };
        let targets = targets_of(waits).await;
        assert_eq!(targets, told.recv().unwrap());
        assert!(!targets.contains(&stranger.id()));
    });
}

/// N15: what gathers waits for what it spawned, and a set for its tasks.
#[test]
fn n15_gathered_tasks_and_those_of_a_set_have_edges() {
    exact(async {
        let waits = async { drop(rt::join_all([pending::<()>(), pending()]).await) };
        assert_eq!(targets_of(waits).await.len(), 2);
        let waits = async { drop(rt::gather([pending::<Result<(), ()>>()]).await) };
        assert_eq!(targets_of(waits).await.len(), 1);
        let waits = async {
            let mut set = rt::TaskSet::new();
            set.spawn(1, pending::<()>());
            set.spawn(2, pending::<()>());
            set.next().await;
        };
        assert_eq!(targets_of(waits).await.len(), 2);
    });
}

/// N15: a handle that was polled and is kept has no edge while its owner waits for something else.
#[test]
fn n15_a_handle_that_is_only_kept_has_no_edge() {
    exact(async {
        let mut task = never();
        let kept = async move {
            let _ = rt::timeout(Duration::from_millis(1), &mut task).await;
            rt::sync::Event::new().wait().await;
            drop(task);
        };
        let keeper = rt::spawn(kept);
        rt::sleep(Duration::from_secs(1)).await;
        assert_eq!(rt::dump().waits_for(keeper.id()), []);
        keeper.cancel();
    });
}

/// N15: a lock names who has it, also after it went from one to the next.
#[test]
fn n15_a_lock_leads_to_its_holder() {
    exact(async {
        let mutex = Arc::new(Mutex::new(()));
        let ours = mutex.lock().await;
        let hold = |mutex: Arc<Mutex<()>>| {
            rt::spawn(async move {
                let _held = mutex.lock().await;
                pending::<()>().await
            })
        };
        let [first, second, third] = [(); 3].map(|()| hold(mutex.clone()));
        rt::test::quiescent().await;
        let dump = rt::dump();
        let us = dump.callers()[0].id;
        for waiter in [&first, &second, &third] {
            assert_eq!(dump.waits_for(waiter.id()), [us]);
        }
        drop(ours);
        rt::test::quiescent().await;
        let dump = rt::dump();
        assert_eq!(dump.waits_for(first.id()), []);
        assert_eq!(dump.waits_for(second.id()), [first.id()]);
        assert_eq!(dump.waits_for(third.id()), [first.id()]);
        // The next in line gives up, so the one behind is next.
        second.cancel();
        first.cancel();
        rt::test::quiescent().await;
        assert_eq!(rt::dump().waits_for(third.id()), []);
        assert_eq!(rt::dump().awaited_by(third.id()), []);
        third.cancel();
    });
}

/// N15: the call of `block_on` waits like a task.
#[test]
fn n15_block_on_has_edges() {
    exact(async {
        let task = rt::spawn(async {
            rt::yield_now().await;
            let dump = rt::dump();
            let us = rt::task::current().unwrap().id();
            assert_eq!(dump.waits_for(dump.callers()[0].id), [us]);
            assert_eq!(dump.awaited_by(us), [dump.callers()[0].id]);
        });
        task.await.unwrap();
    });
}
