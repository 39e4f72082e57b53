//! What somebody asks for of a word of permits, and what it is told.

use std::panic::Location;

use rt_tasks_runtime::wait;

use crate::mutex::Place;

/// One permit; the other flags of a word are below.
pub(super) const ONE: u64 = 1 << 4;
/// Somebody writes: its number stands where that of the permits is else. The highest bit, so that the word is less than
/// none, taken as a number with a sign.
pub(super) const WRITTEN: u64 = 1 << 63;

/// The greatest number of permits there can be.
pub(crate) const MAX_PERMITS: usize = usize::MAX >> 7;

/// What the word is of a lock that is free.
pub(super) const UNLOCKED: u64 = MAX_PERMITS as u64 * ONE;

/// Whether a word has so much that is free, in the same units.
#[inline]
pub(super) fn has(state: u64, wanted: u64) -> bool {
    state as i64 >= wanted as i64
}

/// Who has what was taken, as far as the ledger can know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The task that took it, until it gives it back.
    Taker,
    /// Whoever it was passed on to.
    Anybody,
}

/// What somebody asks for: so much of a word, and one of the flags below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(u64);

/// All that a lock has, to write.
pub(super) const ALL: Wanted = Wanted(UNLOCKED | 1);

/// Permits whose owner is anybody.
const ANYBODY: u64 = 1 << 1;

/// Nothing, and there will be nothing any more.
const REFUSED: Wanted = Wanted(1 << 2);

/// Who asks for what; while it is in line, and as the answer what it was granted.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    pub(super) wanted: Wanted,
    /// The number of the task that asks.
    pub(super) id: u64,
    /// Where it does.
    pub(super) at: Place,
}

/// Who writes; zero if nobody does, or that is no task.
pub(super) fn writer(state: u64) -> u64 {
    match state & WRITTEN {
        0 => 0,
        _ => (state - WRITTEN) / ONE,
    }
}

impl Wanted {
    /// So many permits; of more than there can be one more.
    #[inline]
    pub(super) fn permits(n_permits: usize, owner: Owner) -> Self {
        let units = n_permits.min(MAX_PERMITS + 1) as u64 * ONE;
        match owner {
            Owner::Taker => Self(units),
            Owner::Anybody => Self(units | ANYBODY),
        }
    }

    /// What it takes of a word, where it is not all.
    #[inline]
    pub(super) fn units(self) -> u64 {
        self.0 & !(ONE - 1)
    }

    #[inline]
    pub(super) fn n_permits(self) -> usize {
        (self.0 / ONE) as usize
    }

    /// Whether a word has enough that is free, whoever waits.
    #[inline]
    pub(super) fn fits(self, state: u64) -> bool {
        has(state, self.units())
    }
}

impl Claim {
    /// The answer to everyone when nothing is handed out any more.
    pub(super) const REFUSED: Self = Self {
        wanted: REFUSED,
        id: 0,
        at: Location::caller(),
    };

    #[inline]
    pub(super) fn of(wanted: Wanted, at: Place) -> Self {
        let id = wait::me();
        Self { wanted, id, at }
    }

    #[inline]
    pub(super) fn is_refused(self) -> bool {
        self.wanted == REFUSED
    }

    /// What to add to a word to which it fits.
    #[inline]
    pub(super) fn difference(self) -> u64 {
        match self.wanted {
            ALL => (WRITTEN + self.id * ONE).wrapping_sub(UNLOCKED),
            wanted => wanted.units().wrapping_neg(),
        }
    }

    /// Whose it is.
    pub(super) fn owner(self) -> Owner {
        match self.wanted {
            Wanted(wanted) if wanted & ANYBODY != 0 => Owner::Anybody,
            _ => Owner::Taker,
        }
    }

    /// Who it is for the ledger that has it, and how many parts.
    pub(super) fn share(self) -> (u64, usize) {
        match (self.wanted, self.owner()) {
            (ALL, _) => (self.id, 1),
            (wanted, Owner::Taker) => (self.id, wanted.n_permits()),
            (wanted, Owner::Anybody) => (0, wanted.n_permits()),
        }
    }
}
