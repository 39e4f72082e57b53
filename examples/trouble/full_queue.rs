//! Wrong: those who take from a bounded queue put what they find into the same one. Once it is full all of them wait for a
//! slot, and nobody is left to take. Who took what is known in debug mode.

use std::time::Duration;

use rt::sync::Queue;

/// Visits a page, and each page that it leads to.
pub(crate) async fn visit_all() {
    let pages = Queue::bounded(2);
    for page in [1, 2] {
        pages.put(page).await.expect("nobody shuts it down");
    }
    for name in ["north", "south"] {
        let pages = pages.clone();
        rt::task::Builder::new().name(name).spawn(async move {
            while let Ok(page) = pages.take().await {
                rt::sleep(Duration::from_millis(10)).await;
                for found in 1..=3 {
                    let _ = pages.put(*page * 10 + found).await;
                }
            }
        });
    }
    pages.join().await;
}

#[rt::main(debug = true)]
async fn main() {
    visit_all().await;
}
