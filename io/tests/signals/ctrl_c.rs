//! `Builder::cancel_on_ctrl_c`: the first Ctrl-C cancels the body of `block_on`, the second one ends the process.
//!
//! Each test is a program in a process of its own, which says on its standard error output how far it is.

use std::hint;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rt_tasks_runtime::{Builder, Runtime, catch_cancel, defer, sleep, spawn};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::{raise, register};

use super::support::{is_inside, this_test};

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(1000);

/// No delay that a test asks for.
const NOT_YET: u64 = u64::MAX;

fn runtime() -> Runtime {
    let builder = Builder::new().workers(2).grace(FOR_EVER);
    builder.cancel_on_ctrl_c(true).build().unwrap()
}

/// A program under test.
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Program {
    fn start(test: &str) -> Self {
        let test = this_test(test);
        // Who was started in the background ignores SIGINT, and so would the program.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(test.get_program());
        command.args(test.get_args()).stdin(Stdio::null());
        let variables = test.get_envs();
        command.envs(variables.filter_map(|(key, value)| Some((key, value?))));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until the program says this.
    #[track_caller]
    fn says(&mut self, what: &str) {
        let mut others = Vec::new();
        for line in &mut self.lines {
            let line = line.unwrap();
            if line == what {
                return;
            }
            others.push(line);
        }
        panic!("it never said {what:?}: {others:?}");
    }

    fn press_ctrl_c(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end; what it still said.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        let rest = self.lines.map(Result::unwrap).collect();
        (self.child.wait().unwrap(), rest)
    }
}

#[test]
fn the_first_cancels_and_awaits_the_cleanup_of_everything() {
    let test = "ctrl_c::the_first_cancels_and_awaits_the_cleanup_of_everything";
    if is_inside() {
        return runtime().block_on(async {
            spawn(async {
                defer(async {
                    sleep(Duration::from_millis(20)).await;
                    eprintln!("task cleaned up");
                });
                sleep(FOR_EVER).await;
            });
            defer(async {
                sleep(Duration::from_millis(20)).await;
                eprintln!("body cleaned up");
            });
            sleep(Duration::from_millis(5)).await;
            print!("no line");
            eprintln!("ready");
            sleep(FOR_EVER).await;
        });
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    program.says("body cleaned up");
    program.says("task cleaned up");
    let (status, _) = program.end();
    assert_eq!(status.signal(), Some(2), "{status}");
}

#[test]
fn the_second_ends_the_process_in_the_middle_of_a_cleanup() {
    let test = "ctrl_c::the_second_ends_the_process_in_the_middle_of_a_cleanup";
    if is_inside() {
        return runtime().block_on(async {
            defer(async {
                eprintln!("cleaning up");
                sleep(FOR_EVER).await;
            });
            eprintln!("ready");
            sleep(FOR_EVER).await;
        });
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    program.says("cleaning up");
    program.press_ctrl_c();
    let (status, rest) = program.end();
    assert_eq!((status.signal(), rest.len()), (Some(2), 0), "{status}");
}

#[test]
fn the_second_works_where_no_thread_answers() {
    let test = "ctrl_c::the_second_works_where_no_thread_answers";
    if is_inside() {
        let builder = Builder::current_thread().cancel_on_ctrl_c(true);
        return builder.build().unwrap().block_on(async {
            let mut hears = rt_tasks_io::signal::unix(2).unwrap();
            thread::spawn(move || {
                futures_lite::future::block_on(hears.recv());
                eprintln!("the first has come");
            });
            eprintln!("ready");
            thread::sleep(FOR_EVER);
        });
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    program.says("the first has come");
    program.press_ctrl_c();
    assert_eq!(program.end().0.signal(), Some(2));
}

/// Who hears of the first may send the second while the handler of the first is still at work.
#[test]
fn a_second_that_follows_at_once_is_not_lost() {
    let test = "ctrl_c::a_second_that_follows_at_once_is_not_lost";
    if is_inside() {
        let builder = Builder::current_thread().cancel_on_ctrl_c(true);
        let runtime = builder.build().unwrap();
        runtime.block_on(async {});
        // It is there before the body, so it hears before an action that comes with the body.
        let mut hears = rt_tasks_io::signal::unix(2).unwrap();
        let is_first = AtomicBool::new(true);
        let slow_at_first = move || {
            let began = Instant::now();
            let is_first = is_first.swap(false, SeqCst);
            while is_first && began.elapsed() < Duration::from_millis(100) {
                hint::spin_loop();
            }
        };
        // SAFETY: it uses the clock and an atomic, and nothing else.
        unsafe { register(SIGINT, slow_at_first) }.unwrap();
        return runtime.block_on(async {
            thread::spawn(move || {
                futures_lite::future::block_on(hears.recv());
                raise(SIGINT).unwrap();
            });
            raise(SIGINT).unwrap();
            thread::sleep(Duration::from_secs(2));
            eprintln!("lost");
            process::exit(1);
        });
    }
    let (status, rest) = Program::start(test).end();
    assert_eq!(status.signal(), Some(2), "{status}: {rest:?}");
}

#[test]
fn a_body_that_catches_it_returns_and_then_it_has_its_usual_effect() {
    let test = "ctrl_c::a_body_that_catches_it_returns_and_then_it_has_its_usual_effect";
    if is_inside() {
        let runtime = runtime();
        for round in ["ready", "ready again"] {
            let ended = runtime.block_on(catch_cancel(async {
                eprintln!("{round}");
                sleep(FOR_EVER).await;
            }));
            assert_eq!(ended.unwrap_err().reason(), Some("Ctrl-C"));
            assert_eq!(runtime.block_on(async { 7 }), 7, "the runtime goes on");
        }
        eprintln!("outside");
        return thread::sleep(FOR_EVER);
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    program.says("ready again");
    program.press_ctrl_c();
    program.says("outside");
    program.press_ctrl_c();
    assert_eq!(program.end().0.signal(), Some(2));
}

/// Where a runtime begins or ends to listen, a press is heard by its body or has its usual effect.
#[test]
fn one_that_comes_as_a_body_begins_is_not_lost() {
    let test = "ctrl_c::one_that_comes_as_a_body_begins_is_not_lost";
    if is_inside() {
        let runtime = runtime();
        runtime.block_on(async {});
        let began = Arc::new(AtomicU64::new(NOT_YET));
        let theirs = began.clone();
        thread::spawn(move || {
            loop {
                let mut delay = NOT_YET;
                while delay == NOT_YET {
                    delay = theirs.swap(NOT_YET, SeqCst);
                    hint::spin_loop();
                }
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(delay) {
                    hint::spin_loop();
                }
                raise(SIGINT).unwrap();
            }
        });
        // Earlier each time, until it is too early and the process ends. Each process begins elsewhere.
        let latest = u64::from(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_nanos(),
        ) % 300;
        for delay in (0..=latest).rev().step_by(5) {
            began.store(delay, SeqCst);
            let body = catch_cancel(sleep(Duration::from_secs(20)));
            if runtime.block_on(body).is_ok() {
                eprintln!("lost after {delay} µs");
                process::exit(1);
            }
        }
        raise(SIGINT).unwrap();
    }
    for _ in 0..25 {
        let (status, rest) = Program::start(test).end();
        assert_eq!(status.signal(), Some(2), "{status}: {rest:?}");
    }
}

#[test]
fn by_default_it_ends_the_process_at_once() {
    let test = "ctrl_c::by_default_it_ends_the_process_at_once";
    if is_inside() {
        return Builder::new().build().unwrap().block_on(async {
            defer(async { eprintln!("cleaned up") });
            eprintln!("ready");
            sleep(FOR_EVER).await;
        });
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    let (status, rest) = program.end();
    assert_eq!((status.signal(), rest.len()), (Some(2), 0), "{status}");
}

#[test]
fn a_listener_that_stays_keeps_it_from_having_its_usual_effect() {
    let test = "ctrl_c::a_listener_that_stays_keeps_it_from_having_its_usual_effect";
    if is_inside() {
        let runtime = runtime();
        let mut before = rt_tasks_io::signal::unix(2).unwrap();
        runtime.block_on(async {});
        eprintln!("ready");
        futures_lite::future::block_on(before.recv());
        drop(before);
        runtime.block_on(async {});
        // Now it would end the process, but for who comes after.
        let mut after = rt_tasks_io::signal::unix(2).unwrap();
        eprintln!("ready again");
        futures_lite::future::block_on(after.recv());
        return;
    }
    let mut program = Program::start(test);
    program.says("ready");
    program.press_ctrl_c();
    program.says("ready again");
    program.press_ctrl_c();
    let (status, _) = program.end();
    assert!(status.success(), "{status}");
}
