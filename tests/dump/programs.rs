//! Programs in `examples/trouble`, each wrong in one way: what is told of them names the right task, place and reason.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rt::Builder;

use crate::support::must_end;
use crate::trouble::{
    full_queue, join_inside_job, never_done, no_permits, own_lock, read_twice, two_locks,
};

/// What is told of a program that can never end, and that all of it is there.
fn assert_told<F: Future<Output = ()> + 'static>(
    program: fn() -> F,
    parts: &'static [&'static str],
) {
    must_end("until it is told", move || {
        let runtime = Builder::new()
            .workers(2)
            .virtual_time(true)
            .debug(true)
            .on_unhandled(|_| {})
            .build()
            .unwrap();
        let hangs = AssertUnwindSafe(|| runtime.block_on(program()));
        let panic = catch_unwind(hangs).expect_err("it can never return");
        let text = panic.downcast_ref::<String>().unwrap();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    });
}

/// N15: two locks taken in two orders.
#[test]
fn n15_two_locks_are_told_with_their_circle() {
    assert_told(
        two_locks::transfer_and_audit,
        &[
            "can never return, because tasks wait for one another",
            "deadlock:",
            "`transfer` spawned at ",
            "`audit` spawned at ",
            "examples/trouble/two_locks.rs:11:",
            "examples/trouble/two_locks.rs:19:",
            "waits for a lock that #",
        ],
    );
}

/// N15: a lock taken twice.
#[test]
fn n15_a_lock_taken_twice_is_told() {
    assert_told(
        own_lock::print_total,
        &[
            "can never return",
            "waits for a lock that #",
            "deadlock:\n  block_on #",
        ],
    );
}

/// N15: items that are never done.
#[test]
fn n15_items_that_are_never_done_are_told() {
    assert_told(
        never_done::print_pages,
        &[
            "waits, and nothing goes on in its runtime",
            "waits for the items of a queue to be done",
            "`worker` at ",
            "examples/trouble/never_done.rs:13:",
            "waits for an item of a queue",
        ],
    );
}

/// N15: a lock that is read twice with a writer in between.
#[test]
fn n15_a_lock_read_twice_is_told_with_its_circle() {
    assert_told(
        read_twice::report_and_change,
        &[
            "can never return, because tasks wait for one another",
            "deadlock:",
            "`report` spawned at ",
            "`change` spawned at ",
            "examples/trouble/read_twice.rs:13:",
            "examples/trouble/read_twice.rs:19:",
            "waits for a read-write lock that #",
            " has, behind #",
        ],
    );
}

/// N15: permits whose holders wait for more of them.
#[test]
fn n15_permits_that_nobody_can_give_back_are_told() {
    assert_told(
        no_permits::download_all,
        &[
            "can never return, because tasks wait for one another",
            "deadlock:",
            "`maps` spawned at ",
            "examples/trouble/no_permits.rs:14:",
            "waits for a permit of a semaphore that #",
            " have, for ",
        ],
    );
}

/// N15: a worker that waits for all jobs while it has one.
#[test]
fn n15_a_join_inside_a_job_is_told_with_its_circle() {
    assert_told(
        join_inside_job::print_pages,
        &[
            "waits, and nothing goes on in its runtime",
            "deadlock, unless a job was handed on, or something else ends one of these waits:\n  task #",
            " `printer` spawned at ",
            "examples/trouble/join_inside_job.rs:13:",
            "waits for the items of a queue to be done, with jobs that #",
            " took, for ",
        ],
    );
}

/// N15: workers that put into the queue which they take from.
#[test]
fn n15_a_queue_that_its_takers_fill_is_told() {
    assert_told(
        full_queue::visit_all,
        &[
            "waits, and nothing goes on in its runtime",
            "deadlock, unless a job was handed on, or something else ends one of these waits:\n  task #",
            " `north` spawned at ",
            " `south` spawned at ",
            "examples/trouble/full_queue.rs:16:",
            "waits for a free slot in a queue, with jobs that #",
            " took, for ",
        ],
    );
}
