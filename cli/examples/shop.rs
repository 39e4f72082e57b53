//! A shop that is busy and has two troubles, to be looked at with the command `rt` for a minute:
//!
//! ```sh
//! RT_INSPECT=1 cargo run -p rt-tasks-cli --example shop
//! cargo run -p rt-tasks-cli -- ps
//! cargo run -p rt-tasks-cli -- top PID
//! ```
//!
//! `report` computes without an `.await`, and `refund` and `audit` take the same two locks in two orders.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rt::sync::{Mutex, Queue, Semaphore};

/// A task with a name, spawned by the line that calls this.
#[track_caller]
fn start(name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
    let name: String = name.into();
    rt::task::Builder::new().name(name).spawn(work);
}

/// Orders come in, in bursts, and are packed by four with two tables between them.
fn sell() {
    let orders: Queue<u32> = Queue::bounded(64);
    let tables = Arc::new(Semaphore::new(2));
    for worker in 1..=4 {
        let (orders, tables) = (orders.clone(), tables.clone());
        start(format!("packer-{worker}"), async move {
            while let Ok(order) = orders.get().await {
                let Ok(_table) = tables.acquire().await else {
                    return;
                };
                rt::sleep(Duration::from_micros(u64::from(200 + order % 7 * 100))).await;
            }
        });
    }
    start("orders", async move {
        for order in 0.. {
            if orders.put(order).await.is_err() {
                return;
            }
            if order % 400 == 0 {
                rt::sleep(Duration::from_millis(150)).await;
            }
        }
    });
}

/// A report that keeps its thread for four seconds at a time.
async fn report() {
    loop {
        rt::sleep(Duration::from_secs(1)).await;
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}

/// Two who take the same two locks in two orders.
fn keep_books() {
    let (till, journal) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let theirs = (till.clone(), journal.clone());
    start("refund", async move {
        let _till = till.lock().await;
        rt::sleep(Duration::from_millis(50)).await;
        let _journal = journal.lock().await;
    });
    start("audit", async move {
        let _journal = theirs.1.lock().await;
        rt::sleep(Duration::from_millis(50)).await;
        let _till = theirs.0.lock().await;
    });
}

#[rt::main(workers = 4)]
async fn main() {
    println!("rt top {}", std::process::id());
    sell();
    keep_books();
    start("report", report());
    start("heartbeat", async {
        let mut beat = rt::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
        }
    });
    rt::sleep(Duration::from_secs(60)).await;
}
