//! Wrong in one way: a task panics, and nobody looks at its result.
//!
//! `cargo run --example trouble_lost_panic`. Right: await the handle, or spawn it in a `TaskGroup`.

use std::time::Duration;

async fn parse(text: &str) -> u32 {
    text.parse().expect("it is a number")
}

pub(crate) async fn program() {
    drop(rt::task::Builder::new().name("parser").spawn(parse("x"))); // here
    rt::sleep(Duration::from_millis(50)).await;
    println!("all is well");
}

#[rt::main(debug = true)]
async fn main() {
    program().await;
}
