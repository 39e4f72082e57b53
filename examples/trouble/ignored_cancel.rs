//! Wrong in one way: a task is cancelled and goes on, because it never comes to an `.await`.
//!
//! `cargo run --example trouble_ignored_cancel`. Right: `rt::checkpoint().await` or `rt::yield_now().await` now and
//! then, or `rt::spawn_compute` and a flag.

use std::time::{Duration, Instant};

async fn search() -> u64 {
    let began = Instant::now();
    let mut n_tried = 0;
    while began.elapsed() < Duration::from_millis(2500) {
        n_tried += 1;
    }
    n_tried
}

pub(crate) async fn program() {
    let search = rt::task::Builder::new().name("search").spawn(search()); // here
    rt::sleep(Duration::from_millis(20)).await;
    search.cancel();
    println!("cancelled: {:?}", search.await);
}

#[rt::main(debug = true)]
async fn main() {
    // As a task, so that it goes on elsewhere while the main thread searches.
    rt::spawn(program()).await.unwrap();
}
