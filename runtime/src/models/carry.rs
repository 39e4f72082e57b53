//! Models of the task in the monitor's hands, in `scheduler/monitor.rs`: whoever sees all seats idle and all queues
//! empty, and the monitor's hands too, may say that nothing is left to run.

use crate::shim::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::shim::{Arc, thread};

/// One seat with one task in its slot; numbers stand for tasks, zero for none.
struct Rig {
    slot: AtomicUsize,
    injector: AtomicUsize,
    is_idle: AtomicBool,
    is_carrying: AtomicBool,
}

impl Rig {
    /// As `Monitor::rescue_next`.
    fn rescue_next(&self) {
        self.is_carrying.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        match self.slot.swap(0, Ordering::Acquire) {
            0 => {}
            task => self.injector.store(task, Ordering::Relaxed),
        }
        self.is_carrying.store(false, Ordering::Release);
    }

    /// As a worker that looks for its next task, and parks.
    fn run_or_park(&self) {
        if self.slot.load(Ordering::Relaxed) != 0 && self.slot.swap(0, Ordering::Acquire) != 0 {
            return;
        }
        self.is_idle.store(true, Ordering::Release);
    }

    /// As `Monitor::is_carrying`.
    fn is_carrying(&self) -> bool {
        fence(Ordering::SeqCst);
        self.is_carrying.load(Ordering::Acquire)
    }

    /// The known-bad mutant: nothing keeps the load behind the look at the seats.
    fn is_carrying_without_a_fence(&self) -> bool {
        self.is_carrying.load(Ordering::Acquire)
    }
}

fn somebody_looks_whether_anything_is_left(is_carrying: fn(&Rig) -> bool) {
    loom::model(move || {
        let rig = Arc::new(Rig {
            slot: AtomicUsize::new(1),
            injector: AtomicUsize::new(0),
            is_idle: AtomicBool::new(false),
            is_carrying: AtomicBool::new(false),
        });
        let (watched, seat) = (rig.clone(), rig.clone());
        let monitor = thread::spawn(move || watched.rescue_next());
        let worker = thread::spawn(move || seat.run_or_park());
        if rig.is_idle.load(Ordering::Acquire) && !is_carrying(&rig) {
            let is_empty = rig.injector.load(Ordering::Relaxed) == 0;
            assert!(!is_empty, "a task was overlooked");
        }
        monitor.join().unwrap();
        worker.join().unwrap();
    });
}

#[test]
fn a_task_in_the_monitor_s_hands_is_seen() {
    somebody_looks_whether_anything_is_left(Rig::is_carrying);
}

#[test]
#[should_panic(expected = "a task was overlooked")]
fn mutant_looking_without_a_fence_overlooks_it() {
    somebody_looks_whether_anything_is_left(Rig::is_carrying_without_a_fence);
}

#[test]
#[should_panic(expected = "a task was overlooked")]
fn mutant_looking_at_the_queues_alone_overlooks_it() {
    somebody_looks_whether_anything_is_left(|_| false);
}
