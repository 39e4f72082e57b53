//! Staying awake for a moment before going to sleep, where the next work comes soon.
//!
//! To wake a thread takes the system tens of microseconds. Where work comes and goes with a thread that is none of the
//! workers, both of them would pay that in each round. A worker that looks at its own word for [`LIMIT`] instead, about
//! as long as the other one takes to wake up, is woken by one store; and when its answer is there soon, the other one
//! need not sleep either.
//!
//! It is the processor time of others, so it has to be earned. One number stands for the hope that it pays:
//!
//! - A sleep that was ended by work within [`SHORT`] adds one. A longer one takes all hope there is, so that a
//!   runtime with nothing to do stays awake once at most.
//! - Staying awake for nothing, because the work came later or because there was none, takes two.
//! - With less than two nobody stays awake. If that comes of staying awake for nothing, it takes [`REST`] more short
//!   sleeps until the next try. So what is lost where each sleep is just too long is about one part in a hundred.
//!
//! Who waits in the poller is in the same place: a client that asks again as soon as it has its answer comes back before
//! the system has put this thread to sleep and woken it. There the looks are system calls, the time is
//! [`POLLER_LIMIT`], and the hope is one of its own. But clients often run beside their server, and where processors
//! are scarce, a client cannot ask while somebody stays awake in its place. A thread that has been awake for longer than it
//! has run gave its processor to others, or blocked it. If that was for longer than a [`SHORT`] sleep since it last woke or
//! stayed awake in the poller, it takes [`COMPETITION_REST`] more short sleeps until the next try. To ask how long it has run
//! is a system call, so the first look comes before it: where the client is quick, its event is there already.
//!
//! One worker at a time stays awake on its word and one in the poller, and none where there is one processor, or where
//! time or the order of threads is not real. Nothing else changes: its idle bit is set as if it slept, and who has to
//! wake somebody takes the one on its word first and the one in the poller last. Nobody stays awake during a nap (see
//! [`restraint`](super::restraint)).
//!
//! The numbers are hints that several threads write, one after the other or at once. What they are worth the next moment
//! shows.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Duration;

use super::idle::NO_SEAT;
use crate::platform::{Nanos, Parker, Platform};
use crate::sys;

/// How long to stay awake on the own word.
pub(super) const LIMIT: Duration = Duration::from_micros(25);

/// How long to stay awake in the poller.
pub(super) const POLLER_LIMIT: Duration = Duration::from_micros(50);

/// A sleep that was hardly worth it.
const SHORT: Nanos = 100_000;

/// Short sleeps without trying, after staying awake has not paid.
const REST: i32 = 64;

/// Short sleeps in the poller without trying, after others have had the processor.
///
/// An HTTP server with 64 clients beside it on two processors sleeps 2,200 times a second. With [`REST`] it answered 0.976
/// of Tokio's requests, and 1.013 if nobody ever stayed awake.
const COMPETITION_REST: i32 = 1024;

/// The least hope with which somebody stays awake.
const ENOUGH: i32 = 2;

/// The most that short sleeps add up to.
const MOST: i32 = 8;

/// Who stays awake, and whether that pays.
pub(super) struct Spin {
    /// The seat whose sleeper is awake on its word.
    seat: AtomicUsize,
    on_word: Hope,
    in_poller: Hope,
}

impl Spin {
    pub(super) fn new(platform: &Platform, n_cores: usize) -> Self {
        let is_real = !platform.is_chaotic() && !platform.clock.is_virtual();
        let is_possible = is_real && n_cores > 1;
        Self {
            seat: AtomicUsize::new(NO_SEAT),
            on_word: Hope::new(is_possible),
            in_poller: Hope::new(is_possible),
        }
    }

    /// The seat to wake first: its sleeper is awake.
    pub(super) fn seat(&self) -> usize {
        self.seat.load(Ordering::Relaxed)
    }

    /// Stays awake for as long as it is worth it, or until there is a token. Returns for how long, if at all.
    pub(super) fn wait(&self, seat: usize, parker: &Parker) -> Option<Duration> {
        if !self.on_word.is_enough() {
            return None;
        }
        // Relaxed: it keeps others from doing the same, and guards nothing.
        self.seat
            .compare_exchange(NO_SEAT, seat, Ordering::Relaxed, Ordering::Relaxed)
            .ok()?;
        let passed = parker.wait_awake(LIMIT, || false);
        self.seat.store(NO_SEAT, Ordering::Relaxed);
        if !parker.has_token() {
            self.has_not_paid();
        }
        Some(passed)
    }

    /// A sleep on the own word, awake or not, was over after so long.
    pub(super) fn slept(&self, passed: Nanos) {
        self.on_word.slept(passed);
    }

    /// Somebody stayed awake for nothing, or was woken for nothing.
    pub(super) fn has_not_paid(&self) {
        self.on_word.has_not_paid();
    }

    /// Whether it is worth it to stay awake in the poller, if nobody else wants the processor.
    pub(super) fn hopes_for_events(&self) -> bool {
        self.in_poller.is_enough()
    }

    /// Whether a thread, awake all the time between the two, ran for nearly all of it. Otherwise nobody tries for long.
    pub(super) fn is_undisturbed(&self, then: Option<Awoken>, now: Option<Awoken>) -> bool {
        let Some((then, now)) = then.zip(now) else {
            return false;
        };
        let is_alone = now.lost_since(then) < SHORT;
        if !is_alone {
            self.in_poller.rest(COMPETITION_REST);
        }
        is_alone
    }

    /// What to keep of waking in the poller; nothing where it is of no use.
    pub(super) fn awoken(&self, now: Nanos) -> Option<Awoken> {
        self.hopes_for_events().then(|| Awoken::still(now))?
    }

    /// Stays awake in the poller for as long as it is worth it, or until there is a token or `look` finds events.
    /// Returns for how long.
    pub(super) fn wait_for_events(
        &self,
        parker: &Parker,
        mut look: impl FnMut() -> bool,
    ) -> Duration {
        let mut has_found = false;
        let passed = parker.wait_awake(POLLER_LIMIT, || {
            has_found = look();
            has_found
        });
        if !has_found && !parker.has_token() {
            self.in_poller.has_not_paid();
        }
        passed
    }

    /// A sleep in the poller, awake or not, was over after so long.
    pub(super) fn slept_in_poller(&self, passed: Nanos) {
        self.in_poller.slept(passed);
    }
}

/// A moment at which a thread is awake, and how much processor time it has had by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awoken {
    at: Nanos,
    used: Duration,
}

impl Awoken {
    /// Now, if the system tells.
    pub(super) fn still(now: Nanos) -> Option<Self> {
        let used = sys::processor_time()?;
        Some(Self { at: now, used })
    }

    /// For how long the same thread, awake since then, had no processor.
    fn lost_since(self, then: Self) -> Nanos {
        let used = self.used.saturating_sub(then.used).as_nanos() as Nanos;
        self.at.saturating_sub(then.at).saturating_sub(used)
    }
}

/// The hope that it pays to stay awake.
struct Hope {
    number: AtomicI32,
    is_possible: bool,
}

impl Hope {
    fn new(is_possible: bool) -> Self {
        Self {
            number: AtomicI32::new(0),
            is_possible,
        }
    }

    fn is_enough(&self) -> bool {
        self.is_possible && self.number.load(Ordering::Relaxed) >= ENOUGH
    }

    fn slept(&self, passed: Nanos) {
        let number = self.number.load(Ordering::Relaxed);
        let number = match passed < SHORT {
            true => (number + 1).min(MOST),
            false => number.min(0),
        };
        self.number.store(number, Ordering::Relaxed);
    }

    fn has_not_paid(&self) {
        let number = self.number.load(Ordering::Relaxed) - 2;
        match number < ENOUGH {
            true => self.rest(REST),
            false => self.number.store(number, Ordering::Relaxed),
        }
    }

    fn rest(&self, n_sleeps: i32) {
        self.number.store(-n_sleeps, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAT: usize = 3;

    fn spin_on(n_cores: usize) -> (Spin, Parker) {
        let platform = Platform::new(false);
        (Spin::new(&platform, n_cores), platform.parker())
    }

    fn stays_awake(spin: &Spin, parker: &Parker) -> bool {
        spin.wait(SEAT, parker).is_some()
    }

    fn sleep_shortly(spin: &Spin, times: i32) {
        (0..times).for_each(|_| spin.slept(SHORT - 1));
    }

    #[test]
    fn staying_awake_is_earned_by_short_sleeps_and_lost_by_a_long_one() {
        let (spin, parker) = spin_on(2);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, ENOUGH - 1);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, MOST);
        assert!(stays_awake(&spin, &parker));
        spin.slept(SHORT);
        assert!(!stays_awake(&spin, &parker));
    }

    #[test]
    fn who_has_stayed_awake_for_nothing_rests() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, ENOUGH);
        assert!(stays_awake(&spin, &parker));
        sleep_shortly(&spin, REST);
        assert!(!stays_awake(&spin, &parker));
        sleep_shortly(&spin, ENOUGH);
        assert!(stays_awake(&spin, &parker));
    }

    #[test]
    fn staying_awake_until_there_is_a_token_has_paid() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, ENOUGH);
        for _ in 0..2 * REST {
            parker.unpark(None::<&crate::reactor::Reactor>);
            assert!(stays_awake(&spin, &parker));
            assert!(parker.take_token());
        }
        assert!(stays_awake(&spin, &parker));
    }

    #[test]
    fn one_stays_awake_at_a_time_and_is_known() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, MOST);
        assert_eq!(spin.seat(), NO_SEAT);
        spin.seat.store(SEAT + 1, Ordering::Relaxed);
        assert!(!stays_awake(&spin, &parker));
        assert_eq!(spin.seat(), SEAT + 1);
    }

    #[test]
    fn on_one_processor_nobody_stays_awake() {
        let (spin, parker) = spin_on(1);
        sleep_shortly(&spin, MOST);
        assert!(!stays_awake(&spin, &parker));
        sleep_in_poller(&spin, MOST);
        assert!(!hopes(&spin));
    }

    fn sleep_in_poller(spin: &Spin, times: i32) {
        (0..times).for_each(|_| spin.slept_in_poller(SHORT - 1));
    }

    /// Whether a thread hopes that woke just now.
    fn hopes(spin: &Spin) -> bool {
        const NOW: Nanos = 1_000_000;
        spin.hopes_for_events() && spin.is_undisturbed(spin.awoken(NOW), Awoken::still(NOW))
    }

    #[test]
    fn staying_awake_in_the_poller_is_earned_there() {
        let (spin, parker) = spin_on(2);
        sleep_shortly(&spin, MOST);
        assert!(!hopes(&spin));
        sleep_in_poller(&spin, ENOUGH);
        assert!(hopes(&spin));
        spin.slept_in_poller(SHORT);
        assert!(!hopes(&spin));
        assert!(stays_awake(&spin, &parker));
    }

    #[test]
    fn events_pay_for_staying_awake_in_the_poller() {
        let (spin, parker) = spin_on(2);
        sleep_in_poller(&spin, ENOUGH);
        for n_looks in [1, 3, 9] {
            let mut looks = 0;
            spin.wait_for_events(&parker, || {
                looks += 1;
                looks == n_looks
            });
            assert_eq!((looks, hopes(&spin)), (n_looks, true));
        }
        let passed = spin.wait_for_events(&parker, || false);
        assert!(passed >= POLLER_LIMIT);
        sleep_in_poller(&spin, REST);
        assert!(!hopes(&spin));
        sleep_in_poller(&spin, ENOUGH);
        assert!(hopes(&spin));
    }

    #[test]
    fn a_token_ends_staying_awake_in_the_poller_and_pays() {
        let (spin, parker) = spin_on(2);
        sleep_in_poller(&spin, ENOUGH);
        parker.unpark(None::<&crate::reactor::Reactor>);
        let mut looks = 0;
        spin.wait_for_events(&parker, || {
            looks += 1;
            false
        });
        assert_eq!((looks, hopes(&spin)), (1, true));
    }

    #[test]
    fn a_long_sleep_does_not_end_a_rest() {
        let (spin, parker) = spin_on(2);
        sleep_in_poller(&spin, ENOUGH);
        spin.wait_for_events(&parker, || false);
        spin.slept_in_poller(SHORT);
        sleep_in_poller(&spin, REST);
        assert!(!hopes(&spin));
    }

    #[test]
    fn who_had_to_wait_for_a_processor_rests() {
        let (spin, _) = spin_on(2);
        let clock = Platform::new(false).clock;
        sleep_in_poller(&spin, MOST);
        let awoken = spin.awoken(clock.now()).unwrap();
        std::thread::sleep(Duration::from_nanos(2 * SHORT));
        let later = Awoken::still(clock.now()).unwrap();
        assert!(later.lost_since(awoken) >= SHORT);
        assert!(!spin.is_undisturbed(Some(awoken), Some(later)));
        sleep_in_poller(&spin, COMPETITION_REST + ENOUGH - 1);
        assert!(!hopes(&spin));
        sleep_in_poller(&spin, 1);
        assert!(hopes(&spin));
    }

    #[test]
    fn who_slept_elsewhere_does_not_stay_awake_in_the_poller() {
        let (spin, _) = spin_on(2);
        sleep_in_poller(&spin, MOST);
        assert!(!spin.is_undisturbed(None, Awoken::still(0)));
        assert!(hopes(&spin));
    }
}
