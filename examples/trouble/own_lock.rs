//! Wrong: a task takes a lock that it has already. `block_on` says so after a second; debug mode at once, and where.

use rt::sync::Mutex;

async fn total(prices: &Mutex<Vec<u32>>) -> u32 {
    prices.lock().await.iter().sum()
}

/// Adds a price, and prints the total.
pub(crate) async fn print_total() {
    let prices = Mutex::new(vec![1, 2]);
    let mut ours = prices.lock().await;
    ours.push(3);
    println!("{}", total(&prices).await);
}

#[rt::main]
async fn main() {
    print_total().await;
}
