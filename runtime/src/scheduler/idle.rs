//! Who is idle and who is searching: the words that pushers read and parkers write.
//!
//! # The parking problem
//!
//! A seat that finds no work goes to sleep; a pusher that makes work wakes a sleeper. Lost is the wake-up where
//! the seat looks, finds nothing, the pusher pushes, looks for sleepers, finds none, and then the seat sleeps.
//! Both sides therefore write first and look second, with a full fence between (mirror images):
//!
//! | pusher                                        | parker                                       |
//! |-----------------------------------------------|----------------------------------------------|
//! | 1. put the task into a queue                  | 1. stop searching, set the idle bit          |
//! | 2. `fence(SeqCst)`                            | 2. `fence(SeqCst)`                           |
//! | 3. nobody searching and a bit set: wake one   | 3. look at every queue again; work: get up   |
//!
//! Whichever fence comes first in their total order, the other side sees what was written before it. If the
//! pusher sees no bit, the parker sees the task; if the pusher sees somebody searching, that searcher has yet
//! to stop, and looks again after it has. So a searcher need not be woken for, and a burst of pushes wakes
//! one: the one woken wakes the next when it has found work (rejected: a wake-up for each push, which on two
//! cores makes spawn and join three times slower; a mutex around a list of sleepers, two more locked
//! operations per wake-up).
//!
//! A wake-up claims a bit: whoever clears it owns the duty to wake that seat, and the seat, finding its bit
//! gone, knows that a token for its parker is on its way.
//!
//! Local pushes skip the fence: their own worker is awake, and looks for sleepers again after its next pop. Not on
//! a seat whose poll is known to last: it pops nothing soon, so it takes all three steps, for a single task too.
//!
//! Some seats are spare (see [`spare`](super::spare)): they are closed, and count as nothing, until the monitor
//! opens one. A seat that closes has to look once more, like one that parks: with it the last one that was not
//! idle may have gone.
//!
//! # Invariants
//!
//! 1. A bit is set only by the holder of the seat, and cleared once: by the holder, or by the one who then
//!    wakes the holder.
//! 2. `n_searching` counts the seats that search, plus those claimed and not yet up.
//! 3. `opened` counts at least the seats that are open, and the bit of a closed seat is clear. Each opening makes it a
//!    value that it never had. So `all`, which sees the same value before and after the bits, is true only if every
//!    open seat is idle.
//!
//! # Memory ordering
//!
//! `idle`: the two fences of the table. The claim acquires what the holder did before it set the bit.

use crate::shim::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use crossbeam_utils::CachePadded;

const WORD: usize = u64::BITS as usize;

pub(crate) struct Idle {
    words: Box<[CachePadded<AtomicU64>]>,
    n_searching: CachePadded<AtomicUsize>,
    n_workers: usize,
    /// How many seats are open, in its lower half; in the upper one how often a seat was opened.
    opened: AtomicU64,
}

/// In the place of a seat: none.
pub(crate) const NO_SEAT: usize = usize::MAX;

/// One more opening in `opened`.
const OPENING: u64 = 1 << 32;

impl Idle {
    /// The workers' seats idle, none has been sat on yet; the spare ones closed.
    pub(crate) fn new(n_workers: usize, n_spares: usize) -> Self {
        let bits = |word: usize| match n_workers.saturating_sub(word * WORD) {
            left if left >= WORD => u64::MAX,
            left => (1 << left) - 1,
        };
        Self {
            words: (0..(n_workers + n_spares).div_ceil(WORD))
                .map(|word| CachePadded::new(AtomicU64::new(bits(word))))
                .collect(),
            n_searching: CachePadded::new(AtomicUsize::new(0)),
            n_workers,
            opened: AtomicU64::new(n_workers as u64),
        }
    }

    /// Whether a seat sleeps while nobody searches: the pusher's look, step 3.
    #[inline]
    pub(crate) fn wants_wake(&self) -> bool {
        self.n_searching.load(Ordering::Relaxed) == 0 && self.any()
    }

    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.words
            .iter()
            .any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// Whether every open seat is idle.
    ///
    /// A seat that was counted as idle may close before the open ones are counted, and stand for one that works. So
    /// this holds only if no seat was opened or closed meanwhile; whoever did that looks afterwards.
    pub(crate) fn all(&self) -> bool {
        // ORDERING(idle): Acquire, here and below, for what each of them queued before it went idle or closed.
        let opened = self.opened.load(Ordering::Acquire);
        let load = |word: &CachePadded<AtomicU64>| word.load(Ordering::Acquire);
        let n: u32 = self.words.iter().map(|word| load(word).count_ones()).sum();
        n == opened as u32 && self.opened.load(Ordering::Relaxed) == opened
    }

    /// How many seats are idle, as they were seen one after the other.
    pub(crate) fn n_idle(&self) -> usize {
        let load = |word: &CachePadded<AtomicU64>| word.load(Ordering::Relaxed);
        let n: u32 = self.words.iter().map(|word| load(word).count_ones()).sum();
        n as usize
    }

    /// Seats that are open: the workers' and those of spares.
    pub(crate) fn n_open(&self) -> usize {
        // ORDERING(idle): Acquire, for what a seat queued before it closed.
        self.opened.load(Ordering::Acquire) as u32 as usize
    }

    /// Opens a spare seat, held by whoever called this, who counts it as searching.
    pub(crate) fn open(&self) {
        self.opened.fetch_add(OPENING + 1, Ordering::Relaxed);
        self.count_claimed();
    }

    /// Closes a spare seat, which the caller holds and leaves empty. The caller looks afterwards whether
    /// all are idle now, and whether the others miss what this seat did for them.
    pub(crate) fn close(&self) {
        // ORDERING(idle): Release, what the seat queued, for whoever sees that it is closed.
        self.opened.fetch_sub(1, Ordering::Release);
        // ORDERING(idle): SeqCst, between the lower count and the look; mirrors the one in `park`: of a seat
        // that parks and one that closes, the later one sees that all are idle.
        fence(Ordering::SeqCst);
    }

    pub(crate) fn is_idle(&self, seat: usize) -> bool {
        self.words[seat / WORD].load(Ordering::Relaxed) & (1 << (seat % WORD)) != 0
    }

    /// The pusher's fence, step 2.
    #[inline]
    pub(crate) fn fence_after_push(&self) {
        // ORDERING(idle): SeqCst, between the push and the look; mirrors the one in `park`.
        fence(Ordering::SeqCst);
    }

    /// Claims a sleeping seat for a wake-up that nobody else is making, and counts it as searching.
    /// `prefer` (the seat whose sleeper is awake) is taken first, and `avoid` (the one that sleeps in the poller) only if
    /// no other sleeps.
    ///
    /// Whoever found nobody to wake has kept other pushers from looking meanwhile, though it will not search
    /// itself. So it looks once more after it has stopped counting: a seat that went to sleep in between may
    /// have missed what those pushers pushed.
    pub(crate) fn claim_for_wake(&self, prefer: usize, avoid: usize) -> Option<usize> {
        loop {
            if self
                .n_searching
                .compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
            {
                return None;
            }
            if let Some(seat) = self.claim_any(prefer, avoid) {
                return Some(seat);
            }
            self.stop_searching();
            // ORDERING(idle): SeqCst, between the lower count and the look; mirrors a pusher's fence: one that
            // saw our count is before this fence, so the bit it would have claimed is seen here.
            fence(Ordering::SeqCst);
            if !self.any() {
                return None;
            }
        }
    }

    fn claim_any(&self, prefer: usize, avoid: usize) -> Option<usize> {
        if prefer != NO_SEAT && self.is_idle(prefer) && self.claim(prefer) {
            return Some(prefer);
        }
        for accept_avoided in [false, true] {
            for (index, word) in self.words.iter().enumerate() {
                let mut bits = word.load(Ordering::Relaxed);
                if !accept_avoided && avoid / WORD == index {
                    bits &= !(1 << (avoid % WORD));
                }
                while bits != 0 {
                    let seat = index * WORD + bits.trailing_zeros() as usize;
                    if self.claim(seat) {
                        return Some(seat);
                    }
                    bits &= bits - 1;
                }
            }
        }
        None
    }

    /// Claims one sleeping seat by number; does not count it as searching.
    pub(crate) fn claim(&self, seat: usize) -> bool {
        let bit = 1 << (seat % WORD);
        // ORDERING(idle): Acquire, for what the holder did before it set the bit; Release, so that who finds
        // the bit gone sees what the claimer did before.
        self.words[seat / WORD].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Claims one sleeping seat by number for a wake-up, and counts it as searching: only once it is claimed,
    /// so that a failure never kept a pusher from waking somebody.
    pub(crate) fn claim_counted(&self, seat: usize) -> bool {
        let is_claimed = self.claim(seat);
        if is_claimed {
            self.count_claimed();
        }
        is_claimed
    }

    /// Counts a seat that was claimed and is about to be handed to its sleeper.
    pub(crate) fn count_claimed(&self) {
        self.n_searching.fetch_add(1, Ordering::Relaxed);
    }

    /// Steps 1 and 2 of the parker. The caller looks at every queue afterwards.
    pub(crate) fn park(&self, seat: usize) {
        let bit = 1 << (seat % WORD);
        // ORDERING(idle): Release, for whoever claims the seat.
        let before = self.words[seat / WORD].fetch_or(bit, Ordering::Release);
        debug_assert_eq!(before & bit, 0, "a seat is parked by its holder, once");
        // ORDERING(idle): SeqCst, between the bit and the look; mirrors the one in `fence_after_push`.
        fence(Ordering::SeqCst);
    }

    /// Undoes `claim_for_wake`: nobody could be woken.
    pub(crate) fn cancel_wake(&self, seat: usize) {
        self.stop_searching();
        self.park(seat);
    }

    /// Begins to search, unless as many as half of the workers do already.
    pub(crate) fn start_searching(&self) -> bool {
        if 2 * self.n_searching.load(Ordering::Relaxed) >= self.n_workers {
            return false;
        }
        self.n_searching.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Begins to search beside any number of others: for a seat that has seen work when it was about to park.
    pub(crate) fn search_regardless(&self) {
        self.n_searching.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends a search that found work; true if it was the last one: then the caller looks at every queue, and
    /// wakes the next seat if there is more.
    pub(crate) fn stop_searching_with_work(&self) -> bool {
        let is_last = self.stop_searching();
        if is_last {
            // ORDERING(idle): SeqCst, between the lower count and the look; mirrors the one in
            // `fence_after_push`: a pusher that saw us search is seen by us.
            fence(Ordering::SeqCst);
        }
        is_last
    }

    /// Ends a search; true if it was the last one. The caller goes on with `park`, which looks again.
    pub(crate) fn stop_searching(&self) -> bool {
        // ORDERING(idle): Release; a pusher that reads the lower count orders its push before our next look
        // by the fences of `park` and `fence_after_push`.
        self.n_searching.fetch_sub(1, Ordering::Release) == 1
    }
}
