//! Signals interrupt what a thread waits for in the system. Nobody here sees that, and no byte is lost.

use std::sync::mpsc;
use std::thread;

use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::net::UnixStream;
use rt_tasks_io::process::{Command, Stdio};
use rt_tasks_io::signal::{SignalKind, unix};
use rt_tasks_runtime::{Builder, sleep, spawn};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{alone, ms};

/// More than sockets and pipes hold.
const N: usize = 2_000_000;

/// Sends a signal to each thread of this process. The system takes the number of a thread as a wish.
fn interrupt_all() {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    for thread in threads {
        let name = thread.unwrap().file_name();
        let id = name.to_str().unwrap().parse().unwrap();
        // It may have ended.
        let _ = kill_process(Pid::from_raw(id).unwrap(), Signal::USR1);
    }
}

#[test]
fn a_storm_of_signals_interrupts_nothing() {
    alone("storm::a_storm_of_signals_interrupts_nothing", || {
        let mut signals = unix(SignalKind::USER_1).unwrap();
        let (stop, is_over) = mpsc::channel::<()>();
        let storm = thread::spawn(move || {
            while is_over.try_recv() == Err(mpsc::TryRecvError::Empty) {
                interrupt_all();
            }
        });
        let runtime = Builder::new().workers(2).build().unwrap();
        runtime.block_on(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            let mut child = Command::new("cat");
            child.stdin(Stdio::piped()).stdout(Stdio::piped());
            let through_child = child.spawn().unwrap().communicate(vec![7; N]);
            let writing = spawn(async move { near.write_all(&vec![7; N]).await });
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            writing.await.unwrap().unwrap();
            assert_eq!(read.len(), N);
            assert_eq!(through_child.await.unwrap().stdout.len(), N);
            // Nobody has anything to do but to wait, in the system.
            for _ in 0..20 {
                sleep(ms(1)).await;
            }
            signals.recv().await;
        });
        drop(stop);
        storm.join().unwrap();
    });
}
