//! SIGINT reaches everyone who listens, and what is raised before the first poll counts.

use futures_lite::future::poll_once;
use rt_tasks_io::signal::ctrl_c;
use rt_tasks_runtime::{block_on, spawn};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::raise;

#[test]
fn every_listener_learns_of_a_signal_once() {
    block_on(async {
        let mut here = ctrl_c();
        assert!(poll_once(&mut here).await.is_none());
        let there = spawn(ctrl_c());
        let not_yet_polled = ctrl_c();
        // The spawned one listens since it was made, on this thread.
        raise(SIGINT).unwrap();
        here.await.unwrap();
        there.await.unwrap().unwrap();
        not_yet_polled.await.unwrap();
        assert!(poll_once(ctrl_c()).await.is_none(), "a signal of the past");
    });
}
