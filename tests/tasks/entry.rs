//! `#[rt::main]` and `#[rt::test]` from outside: arguments, return types, and what is left when they return.

use std::error::Error;
use std::process::{ExitCode, Termination};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

#[rt::test]
async fn a_test_needs_no_arguments() {
    assert_eq!(rt::spawn(async { 7 }).await.unwrap(), 7);
}

#[rt::test(workers = 2, debug = true)]
async fn arguments_are_taken_together() {
    assert_eq!(rt::Handle::current().metrics().n_workers, 2);
}

const N_WORKERS: usize = 3;

#[rt::test(workers = N_WORKERS)]
async fn the_number_of_workers_may_be_an_expression() {
    assert_eq!(rt::Handle::current().metrics().n_workers, 3);
}

#[rt::test(current_thread)]
async fn on_one_thread_tasks_run_where_the_body_runs() {
    let here: ThreadId = thread::current().id();
    let there = rt::spawn_local(async { thread::current().id() }).await;
    assert_eq!(there.unwrap(), here);
}

/// S1-36, with the clock that jumps.
#[rt::test(virtual_time)]
async fn virtual_time_jumps_when_all_is_idle() {
    let (began, virtual_start) = (Instant::now(), rt::Instant::now());
    rt::sleep(Duration::from_secs(3600)).await;
    assert_eq!(virtual_start.elapsed(), Duration::from_secs(3600));
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "the real clock was waited for"
    );
}

#[rt::test]
async fn a_test_may_return_a_result() -> Result<(), Box<dyn Error>> {
    let number: i32 = "42".parse()?;
    assert_eq!(number, 42);
    Ok(())
}

#[rt::test]
#[should_panic(expected = "as wanted")]
async fn other_attributes_of_a_test_hold() {
    panic!("as wanted");
}

mod renamed {
    pub(crate) use rt as runtime;
}

#[rt::test(crate = "crate::entry::renamed::runtime")]
async fn the_crate_may_have_another_name() {
    assert!(rt::Handle::try_current().is_ok());
}

#[rt::main(workers = 1)]
async fn fails() -> Result<(), std::num::ParseIntError> {
    "no number".parse::<i32>()?;
    Ok(())
}

#[rt::main]
async fn exits() -> ExitCode {
    ExitCode::from(3)
}

#[rt::main]
async fn is_hidden() -> impl Termination {
    ExitCode::from(4)
}

#[test]
fn main_returns_what_its_body_returns() {
    assert!(fails().is_err());
    assert_eq!(exits(), ExitCode::from(3));
    assert_eq!(is_hidden().report(), ExitCode::from(4));
}

static IS_CLEAN: AtomicBool = AtomicBool::new(false);

#[rt::main(workers = 2)]
async fn leaves_a_task_behind() {
    let (sender, receiver) = rt::sync::oneshot::channel();
    rt::spawn(rt::finally(
        async move {
            let _ = sender.send(());
            std::future::pending::<()>().await;
        },
        async {
            rt::yield_now().await;
            IS_CLEAN.store(true, Ordering::SeqCst);
        },
    ));
    receiver.await.expect("the task runs");
}

#[test]
fn tasks_left_behind_are_cancelled_and_cleaned_up() {
    leaves_a_task_behind();
    assert!(
        IS_CLEAN.load(Ordering::SeqCst),
        "`main` returned before the cleanup was through"
    );
}
