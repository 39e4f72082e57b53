//! What is left of programs and of the watching: nothing. Each test looks at a process of its own.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_lite::future::poll_once;
use rt_tasks_io::io::{AsyncReadExt, AsyncWriteExt};
use rt_tasks_io::process::{Command, Stdio};
use rt_tasks_io::signal::{SignalKind, unix};
use rt_tasks_runtime::{Builder, block_on, spawn, timeout};

use super::support::{alone, children, eventually, ms, n_open, n_threads};
use super::{piped, shell};

#[test]
fn a_program_that_nobody_waits_for_leaves_no_zombie() {
    alone(
        "left::a_program_that_nobody_waits_for_leaves_no_zombie",
        || {
            let n_threads_before = n_threads();
            // They read it, and end when it does.
            let (input, far) = UnixStream::pair().unwrap();
            let reading = || {
                let mut command = Command::new("cat");
                command.stdin(OwnedFd::from(input.try_clone().unwrap()));
                command.spawn().unwrap()
            };
            let runtime = Builder::current_thread().build().unwrap();
            runtime.block_on(async {
                for _ in 0..20 {
                    drop(reading());
                    drop(shell("exit 1").spawn().unwrap());
                    let mut waited = reading();
                    assert!(poll_once(waited.wait()).await.is_none());
                }
            });
            // The runtime goes first, the programs after it.
            drop(runtime);
            eventually("those that ended are waited for", || children().len() == 40);
            drop((input, far));
            eventually("all are waited for", || children().is_empty());
            eventually("and so is their thread", || n_threads() <= n_threads_before);
        },
    );
}

#[test]
fn kill_on_drop_kills_and_leaves_no_zombie() {
    alone("left::kill_on_drop_kills_and_leaves_no_zombie", || {
        block_on(async {
            let mut forever = shell("exec sleep 1000");
            forever.kill_on_drop(true);
            drop(forever.spawn().unwrap());
            eventually("it is killed when dropped", || children().is_empty());

            assert!(timeout(ms(20), forever.output()).await.is_err());
            eventually("with the future", || children().is_empty());

            let mut child = forever.spawn().unwrap();
            let task = spawn(async move { child.wait().await });
            rt_tasks_runtime::sleep(ms(5)).await;
            task.cancel();
            assert!(task.await.is_err());
            eventually("with the task", || children().is_empty());

            // What has ended is not sent anything; another one runs on.
            let survivor = shell("exec sleep 1000").spawn().unwrap();
            let mut through = shell("exit 0").kill_on_drop(true).spawn().unwrap();
            through.wait().await.unwrap();
            drop(through);
            let id = survivor.id();
            assert_eq!(children().len(), 1);
            drop(survivor);
            assert_eq!(children()[0].0, id, "only kill_on_drop kills");
            shell(&format!("kill -9 {id}")).status().await.unwrap();
            eventually("by somebody else", || children().is_empty());
        });
    });
}

#[test]
fn no_descriptor_is_left() {
    alone("left::no_descriptor_is_left", || {
        let runtime = Builder::new().workers(2).build().unwrap();
        let round = || {
            runtime.block_on(async {
                shell("echo hello").output().await.unwrap();
                piped("cat").communicate("input").await.unwrap();
                shell("/no/such/program").output().await.unwrap();
                assert!(Command::new("/no/such/program").spawn().is_err());
                let mut child = piped("exec sleep 1000");
                child.kill().await.unwrap();
                // It is killed in the middle of what it says and hears.
                let mut child = piped("echo begun; exec sleep 1000");
                let mut said = child.stdout.take().unwrap();
                let mut input = child.stdin.take().unwrap();
                said.read_exact(&mut [0; 6]).await.unwrap();
                let reading = spawn(async move { said.read(&mut [0; 8]).await });
                let writing = spawn(async move { input.write_all(&[0; 1 << 20]).await });
                child.start_kill().unwrap();
                assert_eq!(child.wait().await.unwrap().signal(), Some(9));
                assert_eq!(reading.await.unwrap().unwrap(), 0);
                let broken = writing.await.unwrap().unwrap_err();
                assert_eq!(broken.kind(), ErrorKind::BrokenPipe);
                drop(piped("exit 0"));
            });
            eventually("all are gone", || children().is_empty());
        };
        round();
        // The thread that waits for what was dropped has descriptors of its own, until it ends.
        eventually("its pipe is closed", || !has_thread("rt-reaper"));
        let before = n_open();
        for _ in 0..20 {
            round();
        }
        eventually("its pipe is closed", || !has_thread("rt-reaper"));
        assert_eq!(n_open(), before);
    });
}

/// Whether there is a thread whose name begins so.
fn has_thread(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .any(|other| other.starts_with(name))
}

#[test]
fn no_more_descriptors_is_an_error_and_leaves_nothing() {
    alone(
        "left::no_more_descriptors_is_an_error_and_leaves_nothing",
        || {
            block_on(async {
                // Everything that is opened once.
                shell("true").output().await.unwrap();
                // Where a thread waits for it, that has a descriptor until it ends.
                eventually("nobody waits", || !has_thread("rt-child"));
                let before = n_open();
                // The limit is one of numbers, and what is open may have higher ones than this.
                let free = std::fs::File::open("/dev/null").unwrap();
                let lowest_free = free.as_raw_fd() as u64;
                drop(free);
                let mut refused = 0;
                // With one free descriptor more each time, spawning fails at another place.
                for n_free in 0..16 {
                    let limit = rustix::process::Rlimit {
                        current: Some(lowest_free + n_free),
                        maximum: rustix::process::getrlimit(rustix::process::Resource::Nofile)
                            .maximum,
                    };
                    let unlimited = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
                    let mut command = shell("exit 0");
                    command.stdin(Stdio::piped()).stdout(Stdio::piped());
                    let child = command.spawn();
                    rustix::process::setrlimit(rustix::process::Resource::Nofile, unlimited)
                        .unwrap();
                    match child {
                        Ok(mut child) => assert!(child.wait().await.unwrap().success()),
                        Err(error) => {
                            refused += 1;
                            assert!(
                                error.to_string().starts_with("cannot start sh: "),
                                "{error}"
                            );
                            // There is no kind for it, but its number.
                            let system = std::error::Error::source(&error).unwrap();
                            let system = system.downcast_ref::<std::io::Error>().unwrap();
                            let too_many = rustix::io::Errno::MFILE.raw_os_error();
                            assert_eq!(system.raw_os_error(), Some(too_many));
                        }
                    }
                    eventually("nobody is left", || children().is_empty());
                    eventually("nobody waits", || !has_thread("rt-child"));
                }
                assert!((1..16).contains(&refused), "{refused} were refused");
                eventually("nothing is left open", || n_open() <= before);
            });
        },
    );
}

#[test]
fn a_shutdown_does_not_wait_for_programs() {
    alone("left::a_shutdown_does_not_wait_for_programs", || {
        let runtime = Builder::new().workers(1).build().unwrap();
        let mut child = runtime.block_on(async {
            let mut command = shell("exec sleep 1000");
            command.kill_on_drop(true).spawn().unwrap()
        });
        let waiting = runtime.spawn(async move { child.wait().await });
        let began = std::time::Instant::now();
        let report = runtime.shutdown(Duration::from_secs(20));
        assert!(report.is_clean(), "{report}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(block_on(waiting).unwrap_err().is_cancelled());
        eventually("it was killed with its task", || children().is_empty());
    });
}

/// More polls than a program takes that ends by itself.
const MANY: usize = 10_000;

/// Wherever a future is given up, between any two steps of the program, its program is killed and waited for.
#[test]
fn what_is_given_up_at_any_step_leaves_no_program_and_no_descriptor() {
    alone(
        "left::what_is_given_up_at_any_step_leaves_no_program_and_no_descriptor",
        || {
            let runtime = Builder::new().workers(2).build().unwrap();
            let round = |n_polls: usize| {
                runtime.block_on(async {
                    // Those that are given up would never end by themselves.
                    let last = if n_polls < MANY { "1000" } else { "0" };
                    let script = format!("echo begun; cat; echo over >&2; exec sleep {last}");
                    let mut command = shell(&script);
                    command.kill_on_drop(true).stdin(Stdio::piped());
                    command.stdout(Stdio::piped()).stderr(Stdio::piped());
                    let mut output = command.spawn().unwrap().communicate("input");
                    for _ in 0..n_polls {
                        if poll_once(&mut output).await.is_some() {
                            return true;
                        }
                        // Polled again when something has happened, or has not.
                        rt_tasks_runtime::sleep(ms(1)).await;
                    }
                    false
                })
            };
            let all_are_gone = || {
                // In this order: who waits for them has begun by then, and has a name.
                eventually("all are gone", || children().is_empty());
                eventually("nobody waits for them", || !has_thread("rt-reaper"));
            };
            round(1);
            all_are_gone();
            let before = n_open();
            let mut n_through = 0;
            for n_polls in (0..20).chain([MANY; 3]) {
                n_through += usize::from(round(n_polls));
            }
            assert_eq!(n_through, 3);
            all_are_gone();
            assert_eq!(n_open(), before);
        },
    );
}

/// Whoever watches children by SIGCHLD is not disturbed: its handler stays, and it hears of programs that are waited for here.
#[test]
fn waiting_leaves_the_signal_of_ending_children_alone() {
    alone(
        "left::waiting_leaves_the_signal_of_ending_children_alone",
        || {
            block_on(async {
                shell("exit 0").status().await.unwrap();
                drop(shell("exit 0").kill_on_drop(true).spawn().unwrap());
                eventually("nobody is left", || children().is_empty());
                assert!(!is_caught(17), "SIGCHLD has its default effect");
                let mut ending = unix(SignalKind::CHILD).unwrap();
                assert!(is_caught(17));
                let status = shell("exit 3").status().await.unwrap();
                assert_eq!(status.code(), Some(3));
                timeout(Duration::from_secs(30), ending.recv())
                    .await
                    .expect("its listener hears of it");
            });
        },
    );
}

/// Whether this process has a handler for a signal.
fn is_caught(signal: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let caught = lines.find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    caught & (1 << (signal - 1)) != 0
}
