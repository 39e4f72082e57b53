//! Asking for memory before it is needed, so that it is in the cache by then.
//!
//! A server with a thousand connections touches each of them once in a few milliseconds, and by then what it knows of
//! them has left the cache. To fetch a line takes some 100 ns, and some of them stand in a row: the pointer is in the first
//! line, and what it points to is in the next. Whoever works off a list knows what comes next, and asks for that while it
//! still works on what is before.

/// The size of a cache line; where lines are longer, some are asked for twice.
pub(crate) const LINE: usize = 64;

/// Asks for so many lines from this address on. Any address will do, that of memory that is gone too: nothing is read.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8, n_lines: usize) {
    for line in 0..n_lines {
        prefetch_line(address.wrapping_add(line * LINE));
    }
}

#[inline(always)]
fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint to the processor, which has no other effect, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
