//! Wrong: who has a permit waits for a second one of the same semaphore, and so do all the others. Who has permits is
//! known in debug mode.

use std::sync::Arc;
use std::time::Duration;

use rt::sync::Semaphore;

/// Two downloads at a time, and each asks for a place for its own part.
pub(crate) async fn download_all() {
    let places = Arc::new(Semaphore::new(2));
    let downloads = ["maps", "music"].map(|name| {
        let places = places.clone();
        rt::task::Builder::new().name(name).spawn(async move {
            let _whole = places.acquire().await;
            rt::sleep(Duration::from_millis(10)).await;
            let _part = places.acquire().await;
        })
    });
    for download in downloads {
        let _ = download.await;
    }
}

#[rt::main(debug = true)]
async fn main() {
    download_all().await;
}
