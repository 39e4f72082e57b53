//! Models of the board of a `fork_join`: its end comes after every job, and a job runs once.
//!
//! The jobs write to a cell that loom watches, as they would to the caller's stack; the caller reads it after the
//! end, as it would return and take the stack away.

use crate::fork_join::{Board, Next};
use crate::shim::{Arc, UnsafeCell, thread};

/// A place on the stack of the caller.
struct Place(UnsafeCell<u32>);

// SAFETY: that the accesses are in order is what the models check.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

impl Place {
    fn add(&self) {
        // SAFETY: loom fails the model if anybody else is here.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    fn read(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|value| unsafe { *value })
    }
}

/// A job: the place that it writes to.
type Job = Arc<Place>;

type Run = fn(&Board<Job>, &Job);

/// As `run` does.
fn run(board: &Board<Job>, job: &Job) {
    job.add();
    board.finish();
}

/// The known-bad mutant: the job counts as ended when it begins.
fn finish_then_run(board: &Board<Job>, job: &Job) {
    board.finish();
    job.add();
}

fn end(board: &Board<Job>, run: Run) {
    loop {
        match board.next() {
            Next::Work(job) => run(board, &job),
            Next::Wait => assert!(board.wait_for_next(None)),
            Next::Over => return,
        }
    }
}

fn caller_and_helper(run: Run) {
    loom::model(move || {
        let board = Arc::new(Board::new());
        let places: Vec<Job> = (0..2)
            .map(|_| Arc::new(Place(UnsafeCell::new(0))))
            .collect();
        assert!(board.add(1, |_| places[0].clone()).wants_helper);
        let theirs = board.clone();
        let helper = thread::spawn(move || {
            while let Some(job) = theirs.take_or_leave() {
                run(&theirs, &job);
            }
        });
        board.add(1, |_| places[1].clone());
        end(&board, run);
        let n_runs: Vec<_> = places.iter().map(|place| place.read()).collect();
        assert_eq!(n_runs, [1, 1], "a job ran twice, or after the end");
        helper.join().unwrap();
    });
}

#[test]
fn the_end_comes_after_every_job() {
    caller_and_helper(run);
}

#[test]
#[should_panic]
fn mutant_counting_a_job_as_ended_before_it_ran() {
    caller_and_helper(finish_then_run);
}

#[test]
fn a_job_that_adds_a_job_is_waited_for_with_it() {
    loom::model(|| {
        let board = Arc::new(Board::new());
        let places: Vec<Job> = (0..2)
            .map(|_| Arc::new(Place(UnsafeCell::new(0))))
            .collect();
        board.add(1, |_| places[0].clone());
        let (theirs, second) = (board.clone(), places[1].clone());
        let helper = thread::spawn(move || {
            let Some(job) = theirs.take_or_leave() else {
                return false;
            };
            theirs.add(1, |_| second);
            run(&theirs, &job);
            true
        });
        end(&board, run);
        let n_runs: Vec<_> = places.iter().map(|place| place.read()).collect();
        let has_added = helper.join().unwrap();
        assert_eq!(
            n_runs,
            [1, u32::from(has_added)],
            "the end came before a job"
        );
    });
}

#[test]
fn a_join_runs_its_job_or_waits_for_it() {
    loom::model(|| {
        let board = Arc::new(Board::new());
        let place = Arc::new(Place(UnsafeCell::new(0)));
        let added = board.add(1, |_| place.clone());
        let (theirs, job) = (board.clone(), place.clone());
        let is_done = Arc::new(crate::shim::atomic::AtomicBool::new(false));
        let done = is_done.clone();
        let helper = thread::spawn(move || {
            if let Some(job) = theirs.take_or_leave() {
                job.add();
                done.store(true, crate::shim::atomic::Ordering::Relaxed);
                theirs.finish();
            }
        });
        match board.claim(added.number) {
            Some(job) => run(&board, &job),
            None => {
                let is_over = || is_done.load(crate::shim::atomic::Ordering::Relaxed);
                assert!(board.wait_for(None, is_over));
            }
        }
        end(&board, run);
        assert_eq!(job.read(), 1, "lost, or run twice");
        helper.join().unwrap();
    });
}
