//! Models of the injector: what is pushed while it closes comes out or is given back, and what is passed on is there
//! all the time.

use crate::scheduler::injector::Injector;
use crate::shim::{Arc, thread};

fn drain(injector: &Injector<u32>) -> usize {
    let mut n_taken = 0;
    while injector.pop_batch(0, usize::MAX, |_| n_taken += 1) > 0 {}
    n_taken + injector.pop_others(0, usize::MAX, drop)
}

fn pushes_meet_a_shutdown(shut_down: fn(&Injector<u32>) -> usize) {
    loom::model(move || {
        let injector = Arc::new(Injector::new(2, 0));
        let pushers: Vec<_> = (0..2)
            .map(|producer| {
                let injector = injector.clone();
                thread::spawn(move || injector.push(7, producer).is_err())
            })
            .collect();
        let n_taken = shut_down(&injector);
        let n_given_back = pushers.into_iter().map(|pusher| pusher.join().unwrap());
        let n_given_back = n_given_back.filter(|is_given_back| *is_given_back).count();
        assert_eq!(
            n_taken + n_given_back,
            2,
            "a task was lost in a closed injector"
        );
        assert!(injector.is_empty());
    });
}

#[test]
fn a_task_pushed_during_the_close_comes_out_or_is_given_back() {
    pushes_meet_a_shutdown(|injector| {
        injector.close();
        drain(injector)
    });
}

#[test]
#[should_panic(expected = "a task was lost in a closed injector")]
fn mutant_draining_before_the_close_loses_a_task() {
    pushes_meet_a_shutdown(|injector| {
        let n_taken = drain(injector);
        injector.close();
        n_taken
    });
}

#[test]
fn two_that_pop_take_each_task_once() {
    loom::model(|| {
        let injector = Arc::new(Injector::new(1, 0));
        injector.push(1, 0).unwrap();
        let theirs = injector.clone();
        let other = thread::spawn(move || theirs.pop_batch(0, 1, drop));
        injector.push(2, 0).unwrap();
        let ours = injector.pop_batch(0, 2, drop);
        let taken = ours + other.join().unwrap() + drain(&injector);
        assert_eq!(taken, 2, "lost, or taken twice");
        assert!(injector.is_empty());
    });
}

/// Somebody passes on what a seat was sent while a worker looks for something to do. Who finds nothing, and is told that
/// there is nothing, sleeps; the task must not be there then.
fn a_look_meets_a_task_that_is_passed_on(pass_on: fn(&Injector<u32>)) {
    loom::model(move || {
        let injector = Arc::new(Injector::new(1, 1));
        injector.push_home(&mut [7].into_iter(), 0);
        let theirs = injector.clone();
        let monitor = thread::spawn(move || pass_on(&theirs));
        let mut n_taken = injector.pop_batch(1, 1, drop);
        n_taken += injector.pop_others(1, 1, drop);
        let sleeps = n_taken == 0 && injector.is_empty();
        monitor.join().unwrap();
        assert!(!sleeps, "a task waits, and the worker sleeps");
        assert_eq!(n_taken + drain(&injector), 1, "lost, or taken twice");
    });
}

#[test]
fn a_task_that_is_passed_on_keeps_others_from_sleeping() {
    a_look_meets_a_task_that_is_passed_on(|injector| {
        injector.release_home(0);
    });
}

#[test]
#[should_panic(expected = "the worker sleeps")]
fn mutant_taking_before_passing_on_lets_others_sleep() {
    a_look_meets_a_task_that_is_passed_on(|injector| {
        let mut taken = None;
        injector.pop_others(0, 1, |task| taken = Some(task));
        taken
            .into_iter()
            .for_each(|task| injector.push(task, 0).unwrap());
    });
}

/// A task is sent to a seat while the runtime ends.
fn a_task_that_is_sent_meets_a_shutdown(shut_down: fn(&Injector<u32>) -> usize) {
    loom::model(move || {
        let injector = Arc::new(Injector::new(1, 1));
        let theirs = injector.clone();
        let sender = thread::spawn(move || {
            let mut tasks = [7].into_iter();
            theirs.push_home(&mut tasks, 0);
            tasks.len()
        });
        let n_taken = shut_down(&injector);
        let n_kept = sender.join().unwrap();
        assert_eq!(n_taken + n_kept, 1, "a task was lost in a closed injector");
    });
}

#[test]
fn a_task_sent_during_the_close_comes_out_or_stays_with_its_sender() {
    a_task_that_is_sent_meets_a_shutdown(|injector| {
        injector.close();
        drain(injector)
    });
}

#[test]
#[should_panic(expected = "a task was lost in a closed injector")]
fn mutant_draining_before_the_close_loses_a_task_that_is_sent() {
    a_task_that_is_sent_meets_a_shutdown(|injector| {
        let n_taken = drain(injector);
        injector.close();
        n_taken
    });
}
