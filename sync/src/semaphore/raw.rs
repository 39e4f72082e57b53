//! Numbers of permits in one word, and those who wait for them: what a semaphore and a read-write lock do.
//!
//! # The protocol
//!
//! One word holds the number of free permits and some flags. With nobody waiting, taking permits is one
//! exchange on it and giving them back one addition.
//!
//! 1. Whoever finds too few permits takes the wait list's lock, sets `WAITERS`, and looks at the number
//!    once more, at the number from before that same operation.
//! 2. Whoever gives permits back adds them, and if `WAITERS` was set by then, takes the lock and serves
//!    the line.
//!
//! Both are read-modify-write operations on one word, so one comes first: either 1 sees the permits, or 2
//! sees the flag. While the flag is set permits are subtracted under the lock only.
//!
//! # Who has them
//!
//! Who takes all permits of a lock at once, to write, leaves its number in the word in place of theirs, under the flag
//! `WRITTEN`. So a deadlock of writers can be named. Giving back then adds what makes the word what it was.
//!
//! Who reads, and who has the permits of a semaphore, would have to be written down each time. That is done in debug
//! mode only. So the word begins as `NEW`, which bars the short way, and who comes first decides: in debug mode it
//! is `WATCHED` for good, permits are taken under the lock only, and the ledger has who took them; else the flag
//! goes, and nothing is left of all this. A permit that can be passed on is nobody's in the ledger: its new owner would
//! not be known. A task that begins to wait for what it has itself is told at once, see `own.rs`.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rt_tasks_runtime::const_unless_loom;
use rt_tasks_runtime::coop;
use rt_tasks_runtime::shim::atomic::AtomicU64;
use rt_tasks_runtime::shim::atomic::Ordering::{Acquire, Relaxed, Release};
use rt_tasks_runtime::wait::{self, Holder, Holders, Shares, WaitKind};

use super::claim::{self, ALL, Claim, ONE, Owner, UNLOCKED, WRITTEN, Wanted, has, writer};
use super::{Closed, TryAcquireError, own};
use crate::mutex::Place;
use crate::wait_list::{Left, Locked, WaitList, Waiter};

/// Nothing is handed out any more.
const CLOSED: u64 = 1;
/// Somebody may be waiting.
const WAITERS: u64 = 1 << 1;
/// Nobody has ever taken a permit: it is still open whether it is to be watched.
const NEW: u64 = 1 << 2;
/// The ledger has who took which permits.
const WATCHED: u64 = 1 << 3;

/// Permits are not taken by one exchange, however many there are.
const BARRED: u64 = CLOSED | WAITERS | NEW | WATCHED;
/// Whoever gives permits back has more to do.
const SLOW: u64 = WAITERS | WATCHED;

/// What is known of those who have permits.
pub(super) enum Ledger {
    Nothing,
    /// Who writes, from when somebody first had to wait.
    Writer(Holder),
    /// Who has what; of a watched word.
    Everyone(Record),
}

/// Who has which of so many permits.
pub(super) struct Record {
    pub(super) holders: Holders,
    pub(super) n_permits: usize,
}

pub(super) type Line<'a> = Locked<'a, Ledger, Claim, 1>;

/// Permits, and the line before them.
///
/// # Memory ordering
///
/// `permit`: what was done before a permit was given back is seen by the one who gets it next. Giving back
/// releases, taking acquires; through the line, the wait list orders the two.
pub(crate) struct RawSemaphore {
    /// What dumps say that waiters wait for.
    pub(super) kind: WaitKind,
    state: AtomicU64,
    line: WaitList<Ledger, Claim>,
}

impl RawSemaphore {
    /// The greatest number of permits there can be.
    pub(crate) const MAX_PERMITS: usize = claim::MAX_PERMITS;

    const_unless_loom! {
        /// Makes a line in which nobody waits for so many permits, at most `MAX_PERMITS`; dumps call what they stand
        /// for `kind`.
        pub(crate) const fn new(n_permits: usize, kind: WaitKind) -> Self {
            Self {
                kind,
                state: AtomicU64::new(n_permits as u64 * ONE + NEW),
                line: WaitList::new(Ledger::Nothing),
            }
        }
    }

    const_unless_loom! {
        /// Makes a read-write lock that is free.
        pub(crate) const fn new_lock() -> Self {
            Self::new(Self::MAX_PERMITS, WaitKind::RwLock)
        }
    }

    #[inline]
    pub(crate) fn available(&self) -> usize {
        // Relaxed: a snapshot, out of date when it is returned.
        match self.state.load(Relaxed) {
            state if state & WRITTEN != 0 => 0,
            state => (state / ONE) as usize,
        }
    }

    /// Whether somebody has all that a lock has.
    pub(crate) fn is_written(&self) -> bool {
        // Relaxed: as above.
        self.state.load(Relaxed) & WRITTEN != 0
    }

    pub(crate) fn n_waiting(&self) -> usize {
        self.line.lock().len(0)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: the flag carries no data.
        self.state.load(Relaxed) & CLOSED != 0
    }

    pub(crate) fn close(&self) {
        let mut line = self.line.lock();
        // Relaxed: the flag carries no data, and waiters are told under the lock.
        self.state.fetch_or(CLOSED, Relaxed);
        line.grant_all(0, Claim::REFUSED);
        // Relaxed: as above.
        self.state.fetch_and(!WAITERS, Relaxed);
    }

    /// Takes permits if so many are free and nobody waits.
    #[inline]
    pub(crate) fn try_take(
        &self,
        n_permits: usize,
        owner: Owner,
        at: Place,
    ) -> Result<(), TryAcquireError> {
        let wanted = Wanted::permits(n_permits, owner);
        if self.try_exchange(wanted) {
            return Ok(());
        }
        self.try_slowly(wanted, at)
    }

    /// Takes all that a lock has if it is free and nobody waits.
    #[inline]
    pub(crate) fn try_take_all(&self, at: Place) -> Result<(), TryAcquireError> {
        if self.try_exchange_all() {
            return Ok(());
        }
        self.try_slowly(ALL, at)
    }

    /// Takes permits if that can be done by one exchange.
    #[inline]
    fn try_exchange(&self, wanted: Wanted) -> bool {
        let units = wanted.units();
        // Relaxed: only the exchange below decides.
        let mut state = self.state.load(Relaxed);
        loop {
            if state & BARRED != 0 || !has(state, units) {
                return false;
            }
            let after = state - units;
            // ORDERING(permit): Acquire, for the addition in `give_back`. Relaxed on failure: we look
            // again.
            match self
                .state
                .compare_exchange_weak(state, after, Acquire, Relaxed)
            {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Takes all that a lock has if that can be done by one exchange.
    #[inline]
    fn try_exchange_all(&self) -> bool {
        let written = WRITTEN + wait::me() * ONE;
        // ORDERING(permit): Acquire, for the additions in `give_back` and `give_all_back`. Relaxed on failure: nothing
        // is read.
        self.state
            .compare_exchange(UNLOCKED, written, Acquire, Relaxed)
            .is_ok()
    }

    /// Takes what is wanted where one exchange has not done, without waiting.
    #[cold]
    fn try_slowly(&self, wanted: Wanted, at: Place) -> Result<(), TryAcquireError> {
        // Relaxed: only the exchange, or a look under the lock, decides.
        let state = self.state.load(Relaxed);
        if state & CLOSED != 0 {
            return Err(TryAcquireError::Closed);
        }
        if state & NEW != 0 {
            self.decide();
            let is_taken = match wanted {
                ALL => self.try_exchange_all(),
                _ => self.try_exchange(wanted),
            };
            return if is_taken {
                Ok(())
            } else {
                self.try_slowly(wanted, at)
            };
        }
        if state & WATCHED == 0 {
            return Err(TryAcquireError::NoPermits);
        }
        self.try_watched(Claim::of(wanted, at))
    }

    /// Decides whether the permits are watched, if nobody has.
    #[cold]
    fn decide(&self) {
        if wait::is_debugging() {
            self.watch();
        } else {
            // Relaxed: the flag carries no data.
            self.state.fetch_and(!NEW, Relaxed);
        }
    }

    /// Has the ledger say who takes permits, if nobody has ever taken one.
    pub(crate) fn watch(&self) {
        let mut line = self.line.lock();
        let watched = |state| (state & NEW != 0).then_some(state - NEW + WATCHED);
        // Relaxed: the flags carry no data, and the ledger is looked at under the lock.
        if let Ok(before) = self.state.fetch_update(Relaxed, Relaxed, watched) {
            *line = Ledger::Everyone(Record {
                holders: Holders::enter(),
                n_permits: (before / ONE) as usize,
            });
        }
    }

    /// Takes what is wanted and has it written down.
    fn try_watched(&self, claim: Claim) -> Result<(), TryAcquireError> {
        let mut line = self.line.lock();
        // Relaxed: others only add, while it is watched.
        let state = self.state.load(Relaxed);
        if state & CLOSED != 0 {
            return Err(TryAcquireError::Closed);
        }
        if state & WAITERS != 0 || !claim.wanted.fits(state) {
            return Err(TryAcquireError::NoPermits);
        }
        self.take(&mut line, claim);
        Ok(())
    }

    /// Takes what fits, under the lock, and notes whose it is now.
    fn take(&self, line: &mut Line<'_>, claim: Claim) {
        // ORDERING(permit): Acquire, for the additions in `give_back` and `give_all_back`; where it is a grant, that passes
        // it on.
        self.state.fetch_add(claim.difference(), Acquire);
        match &**line {
            Ledger::Nothing => {}
            Ledger::Writer(holder) => {
                // Relaxed: nobody else takes anything while the lock is held and the ledger is there.
                holder.set(writer(self.state.load(Relaxed)));
            }
            Ledger::Everyone(Record { holders, .. }) => {
                let (id, n_shares) = claim.share();
                holders.update(|shares| shares.take(id, n_shares, Some(claim.at)));
            }
        }
    }

    /// Gives back permits, which were taken as `owner` says.
    #[inline]
    pub(crate) fn give_back(&self, n_permits: usize, owner: Owner) {
        // ORDERING(permit): Release, for the exchange in `try_exchange` and for `take`.
        let before = self.state.fetch_add(n_permits as u64 * ONE, Release);
        if before & SLOW != 0 {
            self.settle(|shares| shares.give(giver(owner), n_permits));
        }
    }

    /// Gives back all that a lock has but for so many, which the writer goes on to read with.
    #[inline]
    pub(crate) fn give_all_back(&self, n_kept: usize, owner: Owner) {
        // Relaxed: the number in it is that of the last who took all, which is this one; it acquired that.
        let written = self.state.load(Relaxed) & !(ONE - 1);
        let difference = (UNLOCKED - n_kept as u64 * ONE).wrapping_sub(written);
        // ORDERING(permit): Release, as in `give_back`.
        let before = self.state.fetch_add(difference, Release);
        if before & SLOW != 0 {
            self.settle(|shares| {
                let since = shares.place_of(writer(written));
                shares.give(writer(written), 1);
                shares.take(giver(owner), n_kept, since);
            });
        }
    }

    /// What is left to do when something was given back: writes down by whom, and serves the line.
    #[cold]
    fn settle(&self, change: impl FnOnce(&mut Shares)) {
        let mut line = self.line.lock();
        match &*line {
            Ledger::Nothing => {}
            // Relaxed: while somebody waits it becomes written under the lock only.
            Ledger::Writer(holder) => holder.set(writer(self.state.load(Relaxed))),
            Ledger::Everyone(record) => record.holders.update(change),
        }
        self.serve(&mut line);
    }

    /// Permits that were given to `owner` never come back.
    pub(crate) fn forget(&self, n_permits: usize, owner: Owner) {
        self.open(|shares| shares.give(giver(owner), n_permits));
    }

    /// Permits come from elsewhere than from who took some.
    pub(crate) fn add(&self, n_permits: usize) {
        self.open(|_| {});
        // ORDERING(permit): Release, as in `give_back`.
        let before = self.state.fetch_add(n_permits as u64 * ONE, Release);
        if before & SLOW != 0 {
            self.settle(|_| {});
        }
    }

    /// From now on nobody can know who might end a wait.
    fn open(&self, change: impl FnOnce(&mut Shares)) {
        // Relaxed: the flags carry no data. If it is new it stays unwatched.
        let state = self.state.load(Relaxed);
        if state & NEW != 0 {
            // Relaxed: as above.
            self.state.fetch_and(!NEW, Relaxed);
        }
        if state & (NEW | WATCHED) != 0 {
            self.note(&self.line.lock(), |shares| {
                change(shares);
                shares.open();
            });
        }
    }

    /// Changes the ledger, if it has everyone.
    fn note(&self, line: &Line<'_>, change: impl FnOnce(&mut Shares)) {
        if let Ledger::Everyone(record) = &**line {
            record.holders.update(change);
        }
    }

    /// Notes who is first in line.
    fn note_front(&self, line: &Line<'_>) {
        self.note(line, |shares| {
            let front = line.front(0).map_or(0, |front| front.id);
            shares.line(front, self.available() > 0);
        });
    }

    /// Grants from the front of the line what the free permits suffice for.
    #[cold]
    fn serve(&self, line: &mut Line<'_>) {
        while let Some(claim) = line.front(0) {
            // Relaxed: others only add, while `WAITERS` is set; what they add they come and serve.
            if !claim.wanted.fits(self.state.load(Relaxed)) {
                self.note_front(line);
                return;
            }
            self.take(line, claim);
            line.grant(0, claim);
        }
        // Relaxed: the flag carries no data.
        self.state.fetch_and(!WAITERS, Relaxed);
    }

    /// Waits for permits.
    #[inline]
    pub(crate) fn poll_acquire(
        &self,
        n_permits: usize,
        owner: Owner,
        at: Place,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        ready!(coop::poll_proceed(cx));
        let wanted = Wanted::permits(n_permits, owner);
        if waiter.is_idle() && self.try_exchange(wanted) {
            return Poll::Ready(Ok(()));
        }
        self.poll_further(wanted, at, waiter, cx)
    }

    /// Waits for all that a lock has.
    #[inline]
    pub(crate) fn poll_acquire_all(
        &self,
        at: Place,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        ready!(coop::poll_proceed(cx));
        if waiter.is_idle() && self.try_exchange_all() {
            return Poll::Ready(Ok(()));
        }
        self.poll_further(ALL, at, waiter, cx)
    }

    #[inline]
    fn poll_line(
        &self,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        let polled = self
            .line
            .poll(waiter, cx)
            .map(|answer| match answer.is_refused() {
                true => Err(Closed(())),
                false => Ok(()),
            });
        if polled.is_pending() {
            self.wait_on();
        }
        polled
    }

    /// Says what the task still waits for, if the line does not.
    #[cold]
    fn wait_on(&self) {
        coop::restore();
        if let Some(number) = self.line.lock().number() {
            wait::goes_on(self.kind, number);
        }
    }

    /// Goes on waiting, or begins to where one exchange has not done. One call for both, so that what callers have of a
    /// poll is little enough for the compiler to put it there.
    #[inline(never)]
    fn poll_further(
        &self,
        wanted: Wanted,
        at: Place,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        if !waiter.is_idle() {
            return self.poll_line(waiter, cx);
        }
        // Relaxed: the flags carry no data.
        if self.state.load(Relaxed) & (NEW | WATCHED) != 0 && self.try_slowly(wanted, at).is_ok() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.poll_contended(wanted, at, waiter, cx);
        if polled.is_pending() {
            coop::restore();
        }
        polled
    }

    #[inline]
    fn poll_contended(
        &self,
        wanted: Wanted,
        at: Place,
        waiter: Pin<&Waiter<Claim>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        let waker = cx.waker().clone();
        let mut line = self.line.lock();
        // ORDERING(permit): Acquire: permits that came back meanwhile are taken right here.
        let before = self.state.fetch_or(WAITERS, Acquire);
        let claim = if wanted == ALL || before & WATCHED != 0 {
            Claim::of(wanted, at)
        } else {
            // Nobody asks.
            Claim { wanted, id: 0, at }
        };
        if before & CLOSED == 0 && (before & WAITERS != 0 || !wanted.fits(before)) {
            if self.kind == WaitKind::RwLock {
                self.enter_writer(&mut line, before);
            }
            match line.number() {
                Some(number) => {
                    wait::begins(self.kind, number);
                    line.enqueue(None, 0, waiter, claim, waker);
                }
                None => line.enqueue(self.kind, 0, waiter, claim, waker),
            }
            if before & WATCHED != 0 {
                self.stand_watched(line, claim, cx.waker());
            }
            return Poll::Pending;
        }
        // Nobody waits: `WAITERS` was not set, or the semaphore is closed, which emptied the line.
        let is_closed = before & CLOSED != 0;
        if !is_closed {
            self.take(&mut line, claim);
        }
        // After that, or others could take what was seen to be free.
        // Relaxed: the flag carries no data.
        self.state.fetch_and(!WAITERS, Relaxed);
        drop(line);
        Poll::Ready(if is_closed { Err(Closed(())) } else { Ok(()) })
    }

    /// Has the ledger say who is first in line, after `claim` was enqueued with this waker, and tells a task that waits
    /// for itself.
    #[cold]
    fn stand_watched(&self, line: Line<'_>, claim: Claim, waker: &Waker) {
        self.note_front(&line);
        let own = own::find(self, &line, claim);
        drop(line);
        if let Some((own, since)) = own {
            // Without the lock: it calls the user's code.
            own::tell(own, since, claim.at, waker);
        }
    }

    /// Has the ledger of a lock that is not watched say who writes.
    fn enter_writer(&self, line: &mut Line<'_>, state: u64) {
        match &**line {
            Ledger::Writer(holder) => holder.set(writer(state)),
            Ledger::Nothing => **line = Ledger::Writer(Holder::enter(writer(state))),
            Ledger::Everyone(_) => {}
        }
    }

    /// What a future does that is dropped before it returned its permits.
    #[inline]
    pub(crate) fn leave(&self, waiter: Pin<&Waiter<Claim>>) {
        if !waiter.is_idle() {
            self.leave_line(waiter);
        }
    }

    #[cold]
    fn leave_line(&self, waiter: Pin<&Waiter<Claim>>) {
        let mut line = self.line.lock();
        match line.leave(waiter) {
            Left::Granted(claim) if !claim.is_refused() => {
                drop(line);
                match claim.wanted {
                    ALL => self.give_all_back(0, Owner::Taker),
                    wanted => self.give_back(wanted.n_permits(), claim.owner()),
                }
            }
            // It may have been the front, and those behind it content with less.
            Left::Waiting => self.serve(&mut line),
            Left::Granted(_) | Left::Idle => {}
        }
    }
}

impl Ledger {
    /// What waiters give as their resource; none if nothing is known of it.
    fn number(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Writer(holder) => Some(holder.number()),
            Self::Everyone(record) => Some(record.holders.number()),
        }
    }
}

/// Whose the ledger says it was, that is given back here.
fn giver(owner: Owner) -> u64 {
    match owner {
        Owner::Taker => wait::me(),
        Owner::Anybody => 0,
    }
}
