//! Wrong in one way: a task calls what blocks its thread.
//!
//! `cargo run --example trouble_blocking_call`. Debug mode names the task, and shows where its thread is, while it
//! still blocks. Right: `rt::sleep(…).await`, or `rt::spawn_blocking` for what has no async form.

use std::thread;
use std::time::Duration;

/// Reads a sensor, by a library that waits for the answer, and asks again until the sensor is warm.
fn read_sensor(is_warm: impl Fn() -> bool) -> u32 {
    loop {
        thread::sleep(Duration::from_millis(400));
        if is_warm() {
            return 21;
        }
    }
}

async fn measure(is_warm: impl Fn() -> bool) -> u32 {
    read_sensor(is_warm)
}

pub(crate) async fn program(is_warm: impl Fn() -> bool + Send + 'static) {
    let sensor = rt::task::Builder::new().name("sensor");
    let sensor = sensor.spawn(measure(is_warm)); // here
    println!("{:?} degrees", sensor.await);
}

#[rt::main(debug = true)]
async fn main() {
    program(|| true).await;
}
