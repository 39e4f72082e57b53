//! The primitives on executors of others: smol's, and Tokio's on one thread and on two.
//!
//! One program uses all of them. It is spawned in tasks, so that wake-ups go through each executor's own
//! wakers, from its threads and from a plain one.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;

use async_executor::Executor;
use futures_lite::StreamExt;
use futures_lite::future::{block_on, or, yield_now};
use rt_tasks_sync::{
    Barrier, Condvar, Event, Mutex, Notify, OnceCell, Queue, RwLock, Semaphore, broadcast, mpsc,
    oneshot, promise, watch,
};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What starts a task on the executor under test.
type Spawn = Arc<dyn Fn(Task) + Send + Sync>;

const TASKS: u32 = 8;
const ROUNDS: u32 = 50;

/// Runs the same body in several tasks, and waits for all.
async fn in_tasks<F>(spawn: &Spawn, body: impl Fn(u32) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (done, mut all_done) = mpsc::channel::<()>(1);
    for n in 0..TASKS {
        let (body, done) = (body(n), done.clone());
        spawn(Box::pin(async move {
            body.await;
            drop(done);
        }));
    }
    drop(done);
    assert_eq!(all_done.recv().await, None);
}

async fn locks(spawn: &Spawn) {
    let mutex = Arc::new((Mutex::new(0), Condvar::new()));
    let lock = Arc::new(RwLock::new(0));
    let permits = Arc::new(Semaphore::new(2));
    in_tasks(spawn, |n| {
        let (mutex, lock, permits) = (mutex.clone(), lock.clone(), permits.clone());
        async move {
            for _ in 0..ROUNDS {
                let _permit = permits.acquire().await.unwrap();
                let mut guard = lock.write().await;
                yield_now().await;
                *guard += 1;
                drop(guard);
                assert!(*lock.read().await > 0);
            }
            let (turn, changed) = &*mutex;
            let mut turn = changed
                .wait_while(turn.lock().await, |turn| *turn != n)
                .await;
            *turn += 1;
            changed.notify_all();
        }
    })
    .await;
    assert_eq!(*lock.read().await, TASKS * ROUNDS);
    assert_eq!(*mutex.0.lock().await, TASKS);
}

async fn meetings(spawn: &Spawn) {
    let event = Arc::new(Event::new());
    let barrier = Arc::new(Barrier::new(NonZeroUsize::new(TASKS as usize).unwrap()));
    let cell = Arc::new(OnceCell::new());
    let notify = Arc::new(Notify::new());
    let (promise, promised) = promise();
    let setter = std::thread::spawn({
        let event = event.clone();
        move || {
            event.set();
            promise.set(7);
        }
    });
    in_tasks(spawn, |_| {
        let (event, barrier) = (event.clone(), barrier.clone());
        let (cell, notify, promised) = (cell.clone(), notify.clone(), promised.clone());
        async move {
            event.wait().await;
            assert_eq!(promised.await, Ok(7));
            for _ in 0..ROUNDS {
                if barrier.wait().await.unwrap().is_leader() {
                    notify.notify_one();
                }
            }
            let made = cell.get_or_init(|| async {
                notify.notified().await;
                7
            });
            assert_eq!(made.await, &7);
        }
    })
    .await;
    setter.join().unwrap();
}

async fn channels(spawn: &Spawn) {
    let queue = Queue::bounded(2);
    let (news, _) = broadcast::channel(ROUNDS as usize);
    let (latest, watched) = watch::channel(0);
    let (answers, mut answered) = mpsc::channel(TASKS as usize);
    let teller = async {
        for n in 1..=ROUNDS {
            news.send(n).unwrap();
            latest.send(n).unwrap();
            yield_now().await;
        }
        for n in 0..TASKS {
            queue.put(n).await.unwrap();
        }
        let mut sum = 0;
        for _ in 0..TASKS {
            let answer: oneshot::Receiver<u32> = answered.next().await.unwrap();
            sum += answer.await.unwrap();
        }
        assert_eq!(sum, TASKS * (TASKS - 1) / 2 + TASKS * ROUNDS);
        std::future::pending().await
    };
    let listeners = in_tasks(spawn, |_| {
        let (queue, answers) = (queue.clone(), answers.clone());
        let (mut news, mut watched) = (news.subscribe(), watched.clone());
        async move {
            for n in 1..=ROUNDS {
                assert_eq!(news.recv().await, Ok(n));
            }
            let last = *watched.wait_for(|n| *n == ROUNDS).await.unwrap();
            let (answer, receiver) = oneshot::channel();
            answers.send(receiver).await.unwrap();
            answer.send(queue.get().await.unwrap() + last).unwrap();
        }
    });
    or(listeners, teller).await;
}

async fn everything(spawn: Spawn) {
    locks(&spawn).await;
    meetings(&spawn).await;
    channels(&spawn).await;
}

/// N12.
#[test]
fn n12_the_primitives_work_on_smols_executor() {
    let executor = Arc::new(Executor::new());
    let stop = Event::new();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| block_on(executor.run(stop.wait())));
        }
        let theirs = executor.clone();
        let spawn = move |task| theirs.spawn(task).detach();
        block_on(everything(Arc::new(spawn)));
        stop.set();
    });
}

/// N12.
#[test]
fn n12_the_primitives_work_on_tokios_runtimes() {
    let current_thread = tokio::runtime::Builder::new_current_thread().build();
    let two_threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    for runtime in [current_thread, two_threads] {
        let runtime = runtime.unwrap();
        let handle = runtime.handle().clone();
        let spawn = move |task| drop(handle.spawn(task));
        runtime.block_on(everything(Arc::new(spawn)));
    }
}
