//! So many per so long.

use std::future::Future;
use std::mem;
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
/// At most `burst` at once. Times are kept in nanoseconds from the limiter's making: 584 years. The time between two is rounded up to
/// whole nanoseconds, so that there are never more than was asked for.
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
/// // One an hour.
/// let limiter = RateLimiter::new(NonZeroU32::MIN, Duration::from_secs(3600), NonZeroU32::MIN);
/// limiter.try_acquire().unwrap();
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
        let (period_nanos, count_wide) = (nanos(period), u64::from(count.get()));
        assert!(period_nanos >= count_wide, "{count} in {period:?} is more than one a nanosecond");
        let interval_nanos = period_nanos.div_ceil(count_wide);
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
        Duration::from_nanos(self.delay_nanos(self.take(now_nanos), now_nanos))
    }

    /// Takes one, and gives when it was due by the schedule.
    fn take(&self, now_nanos: u64) -> u64 {
        let taken = self.due_nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |due| {
            Some(self.next(due, now_nanos))
        });
        let (Ok(due) | Err(due)) = taken;
        due
    }

    /// Waits until one may happen, with the caller's `sleep`. First come, first served.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it waits, its place in the schedule is given back as long as it is the last one. Else it is used up: those
    /// behind it have been told their times.
    pub async fn acquire<F: Future<Output = ()>>(&self, sleep: impl FnOnce(Duration) -> F) {
        let now_nanos = self.since_start(Instant::now());
        let due = self.take(now_nanos);
        let delay = Duration::from_nanos(self.delay_nanos(due, now_nanos));
        if !delay.is_zero() {
            let unused = Unused { limiter: self, due, next: self.next(due, now_nanos) };
            sleep(delay).await;
            mem::forget(unused);
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

/// A place in the schedule for which somebody waits: dropped, it is given back if it is the last one.
struct Unused<'l> {
    limiter: &'l RateLimiter,
    due: u64,
    next: u64,
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        // At the end of time the schedule stands still, and no place is another than the one before.
        if self.next < u64::MAX {
            // If this fails, others are behind it.
            let _ = self.limiter.due_nanos.compare_exchange(
                self.next,
                self.due,
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
