//! A clock that is cheap enough to look at several times per request.

use std::time::Duration;

/// Milliseconds since some moment before the process began; never 0.
pub(super) type Ticks = u64;

/// Added to every deadline: the coarse clock is behind by up to a tick of the kernel (10 ms at 100 Hz).
pub(super) const COARSENESS: Ticks = 10;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn now() -> Ticks {
    // A third of the cost of `Instant::now` (`clock_gettime(2)`: CLOCK_MONOTONIC_COARSE).
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000 + 1
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn now() -> Ticks {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// Rounded up; what overflows means "never".
pub(super) fn ticks(duration: Duration) -> Ticks {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(Ticks::MAX)
}

/// `from + wait`; what overflows means "never".
pub(super) fn after(from: Ticks, wait: Ticks) -> Ticks {
    from.saturating_add(wait).saturating_add(COARSENESS)
}
