//! Wrong in one way: a task is left behind, and the end of the program cuts it off.
//!
//! `cargo run --example trouble_leaked_task`. Right: a `TaskGroup`, which waits for its children, or a handle that is
//! cancelled and awaited before the end.

use std::time::Duration;

async fn keep_saving() {
    loop {
        rt::sleep(Duration::from_secs(3600)).await;
        println!("saved");
    }
}

pub(crate) async fn program() {
    drop(rt::task::Builder::new().name("saver").spawn(keep_saving())); // here
    rt::sleep(Duration::from_millis(20)).await;
    println!("all is well");
}

#[rt::main(debug = true)]
async fn main() {
    program().await;
}
