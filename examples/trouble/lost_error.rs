//! Wrong in one way: a task fails, and nobody looks at its result.
//!
//! `cargo run --example trouble_lost_error`. Right: await the handle, or spawn it in a `TaskGroup`, which keeps every
//! error.

use std::io;
use std::time::Duration;

async fn upload() -> io::Result<()> {
    rt::sleep(Duration::from_millis(10)).await;
    Err(io::Error::other("the disk is full"))
}

pub(crate) async fn program() {
    drop(rt::task::Builder::new().name("upload").spawn(upload())); // here
    rt::sleep(Duration::from_millis(50)).await;
    println!("all is well");
}

#[rt::main(debug = true)]
async fn main() {
    program().await;
}
