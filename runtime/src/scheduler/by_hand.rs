//! For tests: a runtime without threads, whose seats the test holds and works on by hand.

use std::sync::Arc;

use super::Shared;
use super::worker::Worker;
use crate::context::{self, Restore};
use crate::runtime::Builder;
use crate::shim::lock_std;

pub(super) struct ByHand {
    pub(super) shared: Arc<Shared>,
}

impl ByHand {
    pub(super) fn new(n_workers: usize) -> Self {
        let runtime = Builder::new().workers(n_workers).build().unwrap();
        let shared = runtime.handle().shared.clone();
        // Nobody shuts it down: who holds the seats would have to be told.
        std::mem::forget(runtime);
        // No other thread comes.
        shared.monitor.stay_away();
        lock_std(&shared.threads).started.fill(true);
        (0..n_workers).for_each(|seat| assert!(shared.idle.claim(seat)));
        Self { shared }
    }

    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(crate::spawn::spawn_on(&self.shared, future));
    }

    /// Runs `f` as the holder of a seat.
    pub(super) fn on<R>(&self, seat: usize, f: impl FnOnce(&Worker<'_>) -> R) -> R {
        context::with(|cx| {
            let seat = &self.shared.seats.homes()[seat];
            let _runtime = Restore::set(&cx.runtime, Arc::as_ptr(&self.shared));
            let _seat = Restore::set(&cx.seat, std::ptr::from_ref(seat));
            // SAFETY: this thread has claimed the seat.
            let worker = unsafe { Worker::guest(&self.shared, seat, seat.home()) };
            let answer = f(&worker);
            worker.rest();
            answer
        })
    }
}
