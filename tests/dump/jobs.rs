//! Who took jobs of a queue that are not done, and the circles that may come of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rt::sync::{Job, Mutex, Queue, oneshot};
use rt::{Dump, JoinHandle, TaskId};

use super::holders::{debugged, named, wait_of};
use crate::support::{exact, ms, poll_once};

/// The tasks of each circle, none of which is certain.
fn doubtful(dump: &Dump) -> Vec<Vec<TaskId>> {
    let cycles = dump.cycles();
    let ids = |cycle: &rt::Cycle| {
        let mut ids: Vec<_> = cycle.steps().iter().map(|step| step.id).collect();
        ids.sort_unstable();
        ids
    };
    assert!(!cycles.iter().any(rt::Cycle::is_certain), "{dump}");
    cycles.iter().map(ids).collect()
}

/// A queue of this capacity with as many items.
async fn full(capacity: usize) -> Queue<usize> {
    let queue = Queue::bounded(capacity);
    for item in 0..capacity {
        queue.put(item).await.unwrap();
    }
    queue
}

/// Has a task run on and on beside the rest.
fn somebody_runs() -> JoinHandle<()> {
    named("runs", async {
        loop {
            rt::sleep(ms(1)).await;
        }
    })
}

/// Waits as if something else had woken the task once: what it waits for has to be said again.
async fn polled_again<T>(future: impl Future<Output = T> + Send) -> T {
    let mut future = pin!(future);
    if let Poll::Ready(output) = poll_once(&mut future) {
        return output;
    }
    rt::yield_now().await;
    future.await
}

/// A task that takes a job of the queue and joins it meanwhile.
fn joins_inside(queue: &Queue<usize>) -> JoinHandle<()> {
    let queue = queue.clone();
    named("joins", async move {
        let _job = queue.take().await.unwrap();
        polled_again(queue.join()).await;
    })
}

/// N15: a task that joins the queue whose job it has is named while others run, and until it has gone.
#[test]
fn n15_a_join_inside_a_job_is_a_circle_in_debug_mode() {
    debugged(async {
        let queue = full(1).await;
        let joins = joins_inside(&queue);
        let runs = somebody_runs();
        rt::sleep(ms(20)).await;
        let dump = rt::dump();
        let id = joins.id();
        assert_eq!(doubtful(&dump), [[id]], "{dump}");
        let took = format!("the items of a queue to be done, with jobs that #{id} took");
        assert_eq!(wait_of(&dump, id), took);
        assert_eq!(dump.waits_for(id), [id]);
        let text = dump.cycles()[0].to_string();
        assert!(
            text.starts_with("deadlock, unless a job was handed on,"),
            "{text}"
        );
        let json = dump.to_json();
        assert!(json.contains(&format!("\"holders\":[{id}]")), "{json}");
        joins.cancel();
        joins.await.unwrap_err();
        // Dropped where it was taken: nobody has a job, and the record is still right.
        assert!(rt::dump().cycles().is_empty());
        queue.put(1).await.unwrap();
        let again = joins_inside(&queue);
        rt::sleep(ms(20)).await;
        assert_eq!(doubtful(&rt::dump()), [[again.id()]]);
        again.cancel();
        runs.cancel();
    });
}

/// N15: without debug mode nobody is known to have a job.
#[test]
fn n15_who_took_jobs_is_not_known_without_debug_mode() {
    exact(async {
        let queue = full(1).await;
        let joins = joins_inside(&queue);
        rt::sleep(ms(20)).await;
        let dump = rt::dump();
        assert!(dump.cycles().is_empty(), "{dump}");
        assert_eq!(
            wait_of(&dump, joins.id()),
            "the items of a queue to be done"
        );
        joins.cancel();
    });
}

/// N15: a job and a lock, each had by who waits for the other.
#[test]
fn n15_a_job_and_a_lock_in_two_orders_are_a_circle() {
    debugged(async {
        let (queue, mutex) = (full(1).await, Arc::new(Mutex::new(())));
        let (jobs, theirs) = (queue.clone(), mutex.clone());
        let works = named("works", async move {
            let _job = jobs.take().await.unwrap();
            rt::yield_now().await;
            let _locked = theirs.lock().await;
        });
        let waits = named("waits", async move {
            let _locked = mutex.lock().await;
            queue.join().await;
        });
        rt::sleep(ms(20)).await;
        let dump = rt::dump();
        assert_eq!(doubtful(&dump), [[works.id(), waits.id()]], "{dump}");
        waits.cancel();
        works.await.unwrap();
        assert!(rt::dump().cycles().is_empty());
    });
}

/// N15: who has a job and goes on is waited for, and that is no circle.
#[test]
fn n15_a_job_whose_taker_goes_on_is_no_circle() {
    debugged(async {
        let queue = full(2).await;
        let worker = || {
            let queue = queue.clone();
            rt::spawn(async move {
                let _job = queue.take().await.unwrap();
                rt::sleep(ms(50)).await;
            })
        };
        let workers = [worker(), worker()];
        let theirs = queue.clone();
        let joins = named("joins", async move { theirs.join().await });
        rt::sleep(ms(20)).await;
        let dump = rt::dump();
        assert!(dump.cycles().is_empty(), "{dump}");
        assert_eq!(
            dump.waits_for(joins.id()),
            workers.each_ref().map(JoinHandle::id)
        );
        joins.await.unwrap();
    });
}

/// N15: who also waits for a moment, or for another thing, may be two parts of which one works on the job.
#[test]
fn n15_a_task_of_several_parts_is_not_blamed_for_its_job() {
    debugged(async {
        for is_timer in [true, false] {
            let queue = full(1).await;
            let (done, is_done) = oneshot::channel();
            let both = named("both", async move {
                let works = async {
                    let _job = queue.take().await.unwrap();
                    match is_timer {
                        true => rt::sleep(ms(50)).await,
                        false => is_done.await.unwrap(),
                    }
                };
                rt::join!(queue.join(), works);
            });
            rt::sleep(ms(20)).await;
            let dump = rt::dump();
            assert!(dump.cycles().is_empty(), "{dump}");
            let _ = done.send(());
            both.await.unwrap();
        }
    });
}

/// A task that takes two jobs, has `hand_on` see to each, and joins the queue.
fn hands_on(hand_on: fn(Job<usize>)) -> JoinHandle<()> {
    named("hands on", async move {
        let queue = full(2).await;
        hand_on(queue.take().await.unwrap());
        hand_on(queue.take().await.unwrap());
        queue.join().await;
    })
}

/// N15: nobody is blamed for a job that was given to a task of its own, nor once one came back from elsewhere.
#[test]
fn n15_jobs_that_were_handed_on_blame_nobody() {
    debugged(async {
        let to_child = hands_on(|job| {
            rt::spawn(async move {
                rt::sleep(ms(50)).await;
                drop(job);
            });
        });
        rt::sleep(ms(20)).await;
        assert!(rt::dump().cycles().is_empty(), "{}", rt::dump());
        to_child.await.unwrap();
        // The first one is done by a thread; the second one will be, nobody can see where.
        static LEFT: std::sync::Mutex<Option<Job<usize>>> = std::sync::Mutex::new(None);
        let to_thread = hands_on(|job| match *job {
            0 => std::thread::spawn(move || drop(job)).join().unwrap(),
            _ => *LEFT.lock().unwrap() = Some(job),
        });
        rt::sleep(ms(20)).await;
        assert!(rt::dump().cycles().is_empty(), "{}", rt::dump());
        drop(LEFT.lock().unwrap().take());
        to_thread.await.unwrap();
    });
}

/// N15: items that were taken without a job are nobody's.
#[test]
fn n15_items_without_a_job_blame_nobody() {
    debugged(async {
        let queue = full(1).await;
        let theirs = queue.clone();
        let waits = named("waits", async move {
            theirs.get().await.unwrap();
            theirs.join().await;
        });
        rt::sleep(ms(20)).await;
        let dump = rt::dump();
        assert!(dump.cycles().is_empty(), "{dump}");
        assert_eq!(
            wait_of(&dump, waits.id()),
            "the items of a queue to be done"
        );
        queue.task_done().unwrap();
        waits.await.unwrap();
    });
}

/// A task that takes an item, thinks for so long, and puts two.
fn puts_inside(queue: &Queue<usize>, millis: u64) -> JoinHandle<()> {
    let queue = queue.clone();
    named("puts", async move {
        let _job = queue.take().await.unwrap();
        rt::sleep(ms(millis)).await;
        for item in 0..2 {
            polled_again(queue.put(item)).await.unwrap();
        }
    })
}

/// N15: those who fill the queue they take from are named only when none of them is left to take.
#[test]
fn n15_slots_are_a_circle_only_where_every_taker_waits_for_one() {
    debugged(async {
        let queue = full(2).await;
        let (first, second) = (puts_inside(&queue, 10), puts_inside(&queue, 100));
        rt::sleep(ms(50)).await;
        // The first one has put its two, and is through.
        assert!(first.is_finished());
        let third = puts_inside(&queue, 10);
        rt::sleep(ms(20)).await;
        queue.try_put(7).ok();
        let dump = rt::dump();
        assert!(dump.cycles().is_empty(), "the second one sleeps: {dump}");
        rt::sleep(ms(100)).await;
        let dump = rt::dump();
        let ids = [second.id(), third.id()];
        assert_eq!(doubtful(&dump).concat(), ids, "{dump}");
        let [one, other] = ids;
        let took = format!("a free slot in a queue, with jobs that #{one} and #{other} took");
        assert_eq!(wait_of(&dump, third.id()), took);
        // Somebody else takes.
        for _ in 0..4 {
            queue.get().await.unwrap();
            rt::yield_now().await;
        }
        second.await.unwrap();
        third.await.unwrap();
    });
}
