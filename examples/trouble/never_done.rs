//! Wrong: a worker gets items from a queue and never says that it is done with them, so `join` waits for ever.
//! `block_on` says so after ten seconds, with what each task waits for.

use rt::sync::Queue;

/// Has the pages printed, and waits until all are.
pub(crate) async fn print_pages() {
    let queue = Queue::unbounded();
    for page in 1..=3 {
        queue.put(page).await.expect("nobody shuts it down");
    }
    let pages = queue.clone();
    let _worker = rt::task::Builder::new().name("worker").spawn(async move {
        while let Ok(page) = pages.get().await {
            println!("page {page}");
        }
    });
    queue.join().await;
}

#[rt::main]
async fn main() {
    print_pages().await;
}
