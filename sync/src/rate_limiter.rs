//! So many per so long.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Lets so many things happen in so long a time, evenly spread, after a burst.
///
/// It knows no timer, so that it works everywhere: what waits is handed the function that sleeps.
///
/// # Limits
///
/// At most `burst` at once. Times are kept in nanoseconds from the limiter's making: 584 years.
///
/// # Source
///
/// The generic cell rate algorithm, ITU-T I.371, as a virtual schedule: one atomic word says when the next thing would be due if all
/// were evenly spread.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use smolkit_runtime::Timer;
/// use smolkit_sync::RateLimiter;
///
/// # smolkit_runtime::block_on(async {
/// let hundred = NonZeroU32::new(100).unwrap();
/// // 100 a second, the first 3 at once.
/// let limiter = RateLimiter::new(hundred, Duration::from_secs(1), NonZeroU32::new(3).unwrap());
/// for _ in 0..5 {
///     limiter.acquire(|delay| async move { drop(Timer::after(delay).await) }).await;
/// }
/// assert!(limiter.try_acquire().is_err());
/// # });
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    start: Instant,
    interval_nanos: u64,
    /// How far the schedule may run ahead of the clock.
    tolerance_nanos: u64,
    /// When the next one is due by the schedule, since the start.
    due_nanos: AtomicU64,
}

impl RateLimiter {
    /// `count` in `period`, up to `burst` of them at once.
    ///
    /// # Panics
    ///
    /// If the time between two is less than a nanosecond.
    pub fn new(count: NonZeroU32, period: Duration, burst: NonZeroU32) -> RateLimiter {
        let interval_nanos = nanos(period) / u64::from(count.get());
        assert!(interval_nanos > 0, "{count} in {period:?} is more than one a nanosecond");
        RateLimiter {
            start: Instant::now(),
            interval_nanos,
            tolerance_nanos: interval_nanos.saturating_mul(u64::from(burst.get() - 1)),
            due_nanos: AtomicU64::new(0),
        }
    }

    /// Takes one if it may happen now.
    ///
    /// # Errors
    ///
    /// How long it would have to wait. Nothing is taken.
    pub fn try_acquire(&self) -> Result<(), Duration> {
        self.try_acquire_at(Instant::now())
    }

    /// The same, at a time that the caller says.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](RateLimiter::try_acquire).
    pub fn try_acquire_at(&self, now: Instant) -> Result<(), Duration> {
        let now_nanos = self.since_start(now);
        let taken = self.due_nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |due| {
            (self.delay_nanos(due, now_nanos) == 0).then(|| self.next(due, now_nanos))
        });
        taken.map(drop).map_err(|due| Duration::from_nanos(self.delay_nanos(due, now_nanos)))
    }

    /// Takes one in any case, and says how long to wait until it may happen.
    ///
    /// Those who come at the same time get places one after the other.
    pub fn reserve(&self) -> Duration {
        self.reserve_at(Instant::now())
    }

    /// The same, at a time that the caller says.
    pub fn reserve_at(&self, now: Instant) -> Duration {
        let now_nanos = self.since_start(now);
        let reserved = self.due_nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |due| {
            Some(self.next(due, now_nanos))
        });
        let (Ok(due) | Err(due)) = reserved;
        Duration::from_nanos(self.delay_nanos(due, now_nanos))
    }

    /// Waits until one may happen, with the caller's `sleep`. First come, first served.
    ///
    /// # Cancel safety
    ///
    /// The place in the schedule is used up, even if the future is dropped while it waits.
    pub async fn acquire<F: Future<Output = ()>>(&self, sleep: impl FnOnce(Duration) -> F) {
        let delay = self.reserve();
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }

    /// Waits until one may happen, on a thread that may block.
    pub fn acquire_blocking(&self) {
        thread::sleep(self.reserve());
    }

    fn since_start(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.start))
    }

    fn delay_nanos(&self, due: u64, now: u64) -> u64 {
        due.saturating_sub(self.tolerance_nanos).saturating_sub(now)
    }

    fn next(&self, due: u64, now: u64) -> u64 {
        due.max(now).saturating_add(self.interval_nanos)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
