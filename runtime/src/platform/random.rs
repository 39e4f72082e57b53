//! Random numbers for choices that only have to be spread, and can be drawn again from their seed.

use std::cell::Cell;

/// A sequence of numbers: whom to rob first, whose turn it is.
///
/// Xorshift, 64 bits (Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003).
pub(crate) struct Random {
    state: Cell<u64>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        }
    }

    /// A number below `limit`.
    pub(crate) fn below(&self, limit: usize) -> usize {
        let mut x = self.state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.state.set(x);
        // The upper half scaled to the range: no division.
        (((x >> 32) * limit as u64) >> 32) as usize
    }
}
