//! Wrong in one way: a task calls what blocks its thread.
//!
//! `cargo run --example trouble_blocking_call`. Debug mode names the task, and shows where its thread is, while it
//! still blocks. Right: `rt::sleep(…).await`, or `rt::spawn_blocking` for what has no async form.

use std::thread;
use std::time::Duration;

/// Reads a sensor, by a library that waits for the answer.
fn read_sensor() -> u32 {
    thread::sleep(Duration::from_millis(400));
    21
}

async fn measure() -> u32 {
    read_sensor()
}

pub(crate) async fn program() {
    let sensor = rt::task::Builder::new().name("sensor").spawn(measure()); // here
    println!("{:?} degrees", sensor.await);
}

#[rt::main(debug = true)]
async fn main() {
    program().await;
}
