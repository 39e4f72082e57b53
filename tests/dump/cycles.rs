//! Circles of tasks that wait for one another are found, while others run.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use rt::sync::{Mutex, OnceCell, oneshot};
use rt::{Cycle, JoinHandle, TaskId};

use crate::support::exact;

fn ids(cycle: &Cycle) -> Vec<TaskId> {
    let mut ids: Vec<_> = cycle.steps().iter().map(|step| step.id).collect();
    ids.sort_unstable();
    ids
}

/// N15: two locks taken in two orders.
#[test]
fn n15_two_locks_in_two_orders_are_a_cycle() {
    exact(async {
        let locks = [(); 2].map(|()| Arc::new(Mutex::new(())));
        let take = |name: &str, first: Arc<Mutex<()>>, second: Arc<Mutex<()>>| {
            rt::task::Builder::new().name(name).spawn(async move {
                let _first = first.lock().await;
                rt::yield_now().await;
                let _second = second.lock().await;
            })
        };
        let ticks = rt::spawn(async {
            loop {
                rt::sleep(Duration::from_millis(1)).await;
            }
        });
        let forth = take("forth", locks[0].clone(), locks[1].clone());
        let back = take("back", locks[1].clone(), locks[0].clone());
        rt::sleep(Duration::from_secs(1)).await;
        let dump = rt::dump();
        let cycles = dump.cycles();
        assert_eq!(cycles.len(), 1, "{dump}");
        assert!(cycles[0].is_certain());
        assert_eq!(ids(&cycles[0]), [forth.id(), back.id()]);
        let text = cycles[0].to_string();
        for part in [
            format!("`forth` spawned at {}", file!()),
            format!("waits for a lock that #{} has, for 1.0s", back.id()),
        ] {
            assert!(text.contains(&part), "{part} is not in {text}");
        }
        assert!(dump.to_string().ends_with(&text));
        forth.cancel();
        back.await.unwrap();
        assert!(rt::dump().cycles().is_empty());
        ticks.cancel();
    });
}

/// N15: a lock that a task takes twice.
#[test]
fn n15_a_lock_taken_twice_is_a_cycle_of_one() {
    exact(async {
        let task = rt::spawn(async {
            let mutex = Mutex::new(());
            let _first = mutex.lock().await;
            let _second = mutex.lock().await;
        });
        rt::test::quiescent().await;
        let cycles = rt::dump().cycles();
        assert_eq!(cycles.iter().map(ids).collect::<Vec<_>>(), [[task.id()]]);
        task.cancel();
    });
}

/// N15: the function that makes a value wants it itself, or waits for one that does.
#[test]
fn n15_a_cell_leads_to_its_maker() {
    exact(async {
        let cell = Arc::new(OnceCell::<()>::new());
        let ours = cell.clone();
        let alone = rt::spawn(async move {
            ours.get_or_init(|| async {
                ours.get_or_init(|| async {}).await;
            })
            .await;
        });
        rt::test::quiescent().await;
        let dump = rt::dump();
        let cycles: Vec<_> = dump.cycles().iter().map(ids).collect();
        assert_eq!(cycles, [[alone.id()]], "{dump}");
        let told = format!("waits for a cell that #{} fills", alone.id());
        assert!(dump.to_string().contains(&told), "{dump}");

        let theirs = cell.clone();
        let next = rt::spawn(async move {
            theirs.get_or_init(pending).await;
        });
        rt::test::quiescent().await;
        assert_eq!(rt::dump().waits_for(next.id()), [alone.id()]);
        // Now it is the other's turn, who has not waited for anything of ours since.
        let last = rt::spawn(async move {
            cell.get_or_init(pending).await;
        });
        alone.cancel();
        rt::test::quiescent().await;
        assert_eq!(rt::dump().waits_for(last.id()), [next.id()]);
        assert!(rt::dump().cycles().is_empty());
        next.cancel();
        last.cancel();
    });
}

/// N15: a holder that joins a task that needs the lock.
#[test]
fn n15_joins_and_locks_make_a_cycle_together() {
    exact(async {
        let mutex = Arc::new(Mutex::new(()));
        let task = rt::spawn(async move {
            let _held = mutex.lock().await;
            let theirs = mutex.clone();
            rt::TaskGroup::scope(async |group| {
                group.spawn(async move { drop(theirs.lock().await) });
                rt::ok(())
            })
            .await
            .unwrap();
        });
        rt::test::quiescent().await;
        let cycles = rt::dump().cycles();
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].steps().len(), 2);
        assert!(ids(&cycles[0]).contains(&task.id()));
        task.cancel();
    });
}

/// N15: two tasks that join each other.
#[test]
fn n15_two_tasks_that_join_each_other_are_a_cycle() {
    exact(async {
        let (sender, receiver) = oneshot::channel::<JoinHandle<()>>();
        let first = rt::spawn(async move {
            let other = receiver.await.unwrap();
            let _ = other.await;
        });
        let (first_id, cancel) = (first.id(), first.cancel_handle());
        let second = rt::spawn(async move {
            let _ = first.await;
        });
        let second_id = second.id();
        assert!(sender.send(second).is_ok());
        rt::test::quiescent().await;
        let cycles = rt::dump().cycles();
        assert_eq!(
            cycles.iter().map(ids).collect::<Vec<_>>(),
            [[first_id, second_id]]
        );
        cancel.cancel();
    });
}

/// N15: a circle that another branch may break is no certain deadlock.
#[test]
fn n15_a_wait_with_another_way_out_is_not_certain() {
    exact(async {
        let task = rt::spawn(async {
            let mutex = Mutex::new(());
            let event = rt::sync::Event::new();
            let _first = mutex.lock().await;
            rt::select! { _ = mutex.lock() => {}, () = event.wait() => {} }
        });
        rt::test::quiescent().await;
        let cycles = rt::dump().cycles();
        // Which of the two is named first is drawn: of the event nobody knows who sets it.
        assert!(cycles.iter().all(|cycle| !cycle.is_certain()), "{cycles:?}");
        task.cancel();
    });
}

/// N15: waiting without a circle is none, however long the chain.
#[test]
fn n15_a_chain_of_joins_is_no_cycle() {
    exact(async {
        let end = rt::spawn(pending::<()>());
        let cancel = end.cancel_handle();
        let mut last = end;
        for _ in 0..20_000 {
            last = rt::spawn(async { drop(last.await) });
        }
        rt::test::quiescent().await;
        assert!(rt::dump().cycles().is_empty());
        cancel.cancel();
        last.await.unwrap();
    });
}
