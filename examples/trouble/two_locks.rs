//! Wrong: two tasks take the same two locks in two orders. `block_on` says so after a second, with the circle.

use std::sync::Arc;
use std::time::Duration;

use rt::sync::Mutex;

/// The transfer and the audit, at the same time.
pub(crate) async fn transfer_and_audit() {
    let (accounts, journal) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
    let forth = rt::task::Builder::new().name("transfer").spawn({
        let (accounts, journal) = (accounts.clone(), journal.clone());
        async move {
            let _accounts = accounts.lock().await;
            rt::sleep(Duration::from_millis(10)).await;
            let _journal = journal.lock().await;
        }
    });
    let back = rt::task::Builder::new().name("audit").spawn(async move {
        let _journal = journal.lock().await;
        rt::sleep(Duration::from_millis(10)).await;
        let _accounts = accounts.lock().await;
    });
    let _ = forth.await;
    let _ = back.await;
}

#[rt::main]
async fn main() {
    transfer_and_audit().await;
}
