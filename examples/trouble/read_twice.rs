//! Wrong: a task reads a lock that it reads already, and a writer has come in between: each waits for the other. Debug
//! mode knows who reads, and says so at once, and where.

use std::sync::Arc;
use std::time::Duration;

use rt::sync::RwLock;

/// A report and a change of prices, at the same time.
pub(crate) async fn report_and_change() {
    let prices = Arc::new(RwLock::new(vec![3, 5]));
    let theirs = prices.clone();
    let report = rt::task::Builder::new().name("report").spawn(async move {
        let all = theirs.read().await;
        rt::sleep(Duration::from_millis(20)).await;
        let again = theirs.read().await;
        println!("{} of {}", again[0], all.len());
    });
    let change = rt::task::Builder::new().name("change").spawn(async move {
        rt::sleep(Duration::from_millis(10)).await;
        prices.write().await[0] = 4;
    });
    let _ = report.await;
    let _ = change.await;
}

#[rt::main(debug = true)]
async fn main() {
    report_and_change().await;
}
