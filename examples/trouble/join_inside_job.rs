//! Wrong: who works on an item of a queue waits until all items are done, and so for its own. Who took which is known in
//! debug mode.

use rt::sync::Queue;

/// Has the pages printed; after the last one all are to be counted.
pub(crate) async fn print_pages() {
    let queue = Queue::unbounded();
    for page in 1..=3 {
        queue.put(page).await.expect("nobody shuts it down");
    }
    let pages = queue.clone();
    let printer = rt::task::Builder::new().name("printer").spawn(async move {
        while let Ok(page) = pages.take().await {
            if *page == 3 {
                pages.join().await;
                println!("all pages are printed");
                pages.shutdown();
            }
        }
    });
    let _ = printer.await;
}

#[rt::main(debug = true)]
async fn main() {
    print_pages().await;
}
