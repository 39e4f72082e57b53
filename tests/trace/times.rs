//! How long polls take and tasks stand in a queue, as the metrics tell it.

use std::thread;
use std::time::Duration;

use rt::{Builder, Histogram};

const MILLISECOND: Duration = Duration::from_millis(1);

fn is_about(histogram: &Histogram, percent: f64, expected: Duration) -> bool {
    let told = histogram.percentile(percent);
    told >= expected && told < 8 * expected
}

/// Polls that block are seen, and weighed by their number.
#[test]
fn long_polls_are_measured() {
    let runtime = Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..40 {
            rt::spawn(async { thread::sleep(2 * MILLISECOND) })
                .await
                .unwrap();
        }
    });
    let metrics = runtime.metrics();
    assert!(
        is_about(&metrics.poll_time, 50.0, 2 * MILLISECOND),
        "{metrics:?}"
    );
    assert!(metrics.poll_time.max() >= 2 * MILLISECOND);
    let n_counted = metrics.poll_time.count();
    assert!((20..=metrics.n_polls).contains(&n_counted), "{metrics:?}");
}

/// A task that is woken stands in the queue behind polls that block.
#[test]
fn waiting_in_a_queue_is_measured() {
    let runtime = Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let tasks = (0..4).map(|_| {
            rt::spawn(async {
                for _ in 0..20 {
                    thread::sleep(MILLISECOND);
                    rt::yield_now().await;
                }
            })
        });
        rt::join_all(tasks.collect::<Vec<_>>()).await;
    });
    let metrics = runtime.metrics();
    let latency = &metrics.schedule_latency;
    // Three others run before it is its turn again.
    assert!(is_about(latency, 50.0, 3 * MILLISECOND), "{metrics:?}");
    assert!(latency.total() >= 20 * MILLISECOND, "{metrics:?}");
}

/// Wake-ups by others count like those of the task itself.
#[test]
fn wake_ups_are_measured() {
    let runtime = Builder::current_thread().build().unwrap();
    runtime.block_on(async {
        let notify = std::sync::Arc::new(rt::sync::Notify::new());
        let theirs = notify.clone();
        let woken = rt::spawn(async move {
            for _ in 0..20 {
                thread::sleep(MILLISECOND);
                theirs.notified().await;
            }
        });
        let blocks = rt::spawn(async move {
            while !woken.is_finished() {
                notify.notify_one();
                thread::sleep(4 * MILLISECOND);
                rt::yield_now().await;
            }
        });
        blocks.await.unwrap();
    });
    let latency = runtime.metrics().schedule_latency;
    assert!(latency.max() >= 4 * MILLISECOND, "{latency:?}");
}

/// With the recorder on each poll is measured, and each wake-up.
#[test]
fn everything_is_measured_where_it_is_recorded() {
    let runtime = Builder::current_thread()
        .flight_recorder(64)
        .build()
        .unwrap();
    runtime.block_on(async {
        rt::spawn(async {
            for _ in 0..99 {
                rt::yield_now().await;
            }
        })
        .await
        .unwrap();
    });
    let metrics = runtime.metrics();
    assert_eq!(metrics.n_polls, 100);
    assert_eq!(metrics.poll_time.count(), 100);
    assert_eq!(
        metrics.schedule_latency.count(),
        99,
        "the first was spawned"
    );
}

/// Where time stands still nothing takes any.
#[test]
fn virtual_time_is_not_measured() {
    let runtime = Builder::new().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        for _ in 0..1000 {
            rt::sleep(MILLISECOND).await;
            rt::spawn(async {}).await.unwrap();
        }
    });
    assert_eq!(runtime.metrics().poll_time.count(), 0);
}
