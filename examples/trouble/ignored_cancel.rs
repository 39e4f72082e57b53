//! Wrong in one way: a task is cancelled and goes on, because it never comes to an `.await`.
//!
//! `cargo run --example trouble_ignored_cancel`. Right: `rt::checkpoint().await` or `rt::yield_now().await` now and
//! then, or `rt::spawn_compute` and a flag.

use std::time::{Duration, Instant};

async fn search_for(is_found: impl Fn() -> bool) -> u64 {
    let mut n_tried = 0;
    while !is_found() {
        n_tried += 1;
    }
    n_tried
}

pub(crate) async fn program(is_found: impl Fn() -> bool + Send + 'static) {
    let search = rt::task::Builder::new().name("search");
    let search = search.spawn(search_for(is_found)); // here
    rt::sleep(Duration::from_millis(20)).await;
    search.cancel();
    println!("cancelled: {:?}", search.await);
}

#[rt::main(debug = true)]
async fn main() {
    // As a task, so that it goes on elsewhere while the main thread searches.
    let began = Instant::now();
    let is_found = move || began.elapsed() > Duration::from_millis(2500);
    rt::spawn(program(is_found)).await.unwrap();
}
