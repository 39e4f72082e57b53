//! The first program of the README.

use rt::{BoxError, TaskGroup};
use std::time::Duration;

async fn count(name: &'static str) -> Result<usize, BoxError> {
    rt::sleep(Duration::from_millis(10)).await;
    Ok(name.len())
}

#[rt::main]
async fn main() -> Result<(), BoxError> {
    let (a, b) =
        TaskGroup::scope(async |g| Ok((g.spawn(count("one")), g.spawn(count("three"))))).await?;
    println!("{} and {}", a.result(), b.result());
    Ok(())
}
