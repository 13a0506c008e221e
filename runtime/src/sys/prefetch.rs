//! Calling for memory that will be needed soon.

/// Brings the first three lines of a task into the cache. A hint: the address may be any.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn prefetch(address: *const ()) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    const LINE_BYTES: usize = 64;
    for line in 0..3 {
        let address = address.wrapping_byte_add(line * LINE_BYTES).cast();
        // SAFETY: the instruction reads nothing, and faults for no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch(_address: *const ()) {}
