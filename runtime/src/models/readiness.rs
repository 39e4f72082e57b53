//! Models of the readiness protocol in `reactor/slot.rs`: no edge is lost, whenever it comes.
//!
//! Loom looks for schedules around the last access to an object, and the load before an exchange hides the
//! accesses of the other thread from it. [`Socket::point`] gives it the point it would miss: between the
//! system call and what follows.

use std::sync::Arc as StdArc;
use std::task::{Context, Wake, Waker};

use crate::reactor::slot::{Direction, Edge, Slot};
use crate::shim::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::shim::{Arc, Mutex, lock, thread};

const GENERATIONS: u32 = u32::MAX;

/// A waker that remembers that it was called.
#[derive(Debug)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: StdArc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A socket: a flag under the lock the kernel holds, and the slot that stands for it.
struct Socket {
    kernel: Mutex<bool>,
    points: AtomicU32,
    slot: Slot,
    generation: u32,
}

impl Socket {
    fn new() -> Arc<Self> {
        let slot = Slot::new();
        let generation = slot.open(true, GENERATIONS);
        Arc::new(Self {
            kernel: Mutex::new(false),
            points: AtomicU32::new(0),
            slot,
            generation,
        })
    }

    /// Bytes arrive and the reactor dispatches the edge.
    fn deliver(&self) {
        *lock(&self.kernel) = true;
        self.point();
        if let Some(wakers) = self.slot.mark(self.generation, readable()) {
            wakers.wake();
        }
    }

    /// A place in the program at which loom tries both orders.
    fn point(&self) {
        self.points.fetch_add(1, Ordering::Relaxed);
    }

    /// The system call.
    fn read(&self) -> bool {
        std::mem::take(&mut lock(&self.kernel))
    }

    /// One poll of the reading task: whether it got the bytes.
    fn poll_read(&self, cx: &Context<'_>) -> bool {
        let mut seen = self.slot.look();
        loop {
            if seen.is_ready(Direction::Read) {
                if self.read() {
                    return true;
                }
                self.point();
                self.slot.clear(Direction::Read, seen);
            }
            match self.slot.register(Direction::Read, cx, 0, |_| ()) {
                Ok(()) => return false,
                Err(changed) => seen = changed,
            }
        }
    }

    /// The known-bad mutant: it clears what it sees *after* the system call.
    fn poll_read_clearing_the_present(&self, cx: &Context<'_>) -> bool {
        let mut seen = self.slot.look();
        loop {
            if seen.is_ready(Direction::Read) {
                if self.read() {
                    return true;
                }
                self.point();
                self.slot.clear(Direction::Read, self.slot.look());
            }
            match self.slot.register(Direction::Read, cx, 0, |_| ()) {
                Ok(()) => return false,
                Err(changed) => seen = changed,
            }
        }
    }
}

fn readable() -> Edge {
    Edge {
        readable: true,
        ..Edge::default()
    }
}

fn an_edge_arrives_while_a_task_reads(poll_read: fn(&Socket, &Context<'_>) -> bool) {
    loom::model(move || {
        let socket = Socket::new();
        let flag = StdArc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let remote = socket.clone();
        let reactor = thread::spawn(move || remote.deliver());
        let got = poll_read(&socket, &Context::from_waker(&waker));
        reactor.join().unwrap();
        let woken = flag.0.load(Ordering::SeqCst);
        assert!(
            got || woken,
            "the bytes are there and the task waits for ever"
        );
        if !got {
            assert!(
                poll_read(&socket, &Context::from_waker(&waker)),
                "woken for nothing"
            );
        }
    });
}

#[test]
fn an_edge_between_would_block_and_registering_is_not_lost() {
    an_edge_arrives_while_a_task_reads(Socket::poll_read);
}

#[test]
#[should_panic(expected = "the bytes are there and the task waits for ever")]
fn mutant_clearing_what_is_ready_now_loses_an_edge() {
    an_edge_arrives_while_a_task_reads(Socket::poll_read_clearing_the_present);
}

#[test]
fn closing_wakes_a_task_that_is_about_to_wait() {
    loom::model(|| {
        let socket = Socket::new();
        let flag = StdArc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let remote = socket.clone();
        let closer = thread::spawn(move || remote.slot.close().wake());
        socket.slot.clear(Direction::Read, socket.slot.look());
        let answer = socket
            .slot
            .register(Direction::Read, &Context::from_waker(&waker), 0, |_| ());
        closer.join().unwrap();
        let told = answer.is_err_and(|seen| seen.is_closed() || seen.is_ready(Direction::Read));
        assert!(
            told || flag.0.load(Ordering::SeqCst),
            "it waits in a closed reactor"
        );
    });
}

#[test]
fn an_event_caught_between_two_lives_of_a_slot_wakes_nobody() {
    loom::model(|| {
        let socket = Socket::new();
        socket.slot.clear(Direction::Read, socket.slot.look());
        let old = StdArc::new(Flag(AtomicBool::new(false)));
        let new = StdArc::new(Flag(AtomicBool::new(false)));
        let old_waker = Waker::from(old);
        let registered =
            socket
                .slot
                .register(Direction::Read, &Context::from_waker(&old_waker), 0, |_| ());
        assert!(registered.is_ok());
        let remote = socket.clone();
        let reactor = thread::spawn(move || remote.deliver());
        socket.slot.vacate();
        socket.slot.open(false, GENERATIONS);
        let new_waker = Waker::from(new.clone());
        let registered =
            socket
                .slot
                .register(Direction::Read, &Context::from_waker(&new_waker), 0, |_| ());
        reactor.join().unwrap();
        assert!(
            registered.is_ok(),
            "ready by an event of the socket before it"
        );
        assert!(
            !new.0.load(Ordering::SeqCst),
            "woken by an event of the socket before it"
        );
    });
}
