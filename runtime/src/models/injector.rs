//! Models of the injector: what is pushed while it closes comes out or is given back.

use crate::scheduler::injector::Injector;
use crate::shim::{Arc, thread};

fn drain(injector: &Injector<u32>) -> usize {
    let mut n_taken = 0;
    while injector.pop_batch(0, usize::MAX, |_| n_taken += 1) > 0 {}
    n_taken
}

fn pushes_meet_a_shutdown(shut_down: fn(&Injector<u32>) -> usize) {
    loom::model(move || {
        let injector = Arc::new(Injector::new(2));
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
        let injector = Arc::new(Injector::new(1));
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
