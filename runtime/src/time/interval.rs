//! Regular ticks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::sleep::Sleep;

/// Ticks every `period`; the first tick comes at once.
///
/// Ticks that were missed come in a [burst](MissedTickBehavior::Burst), unless you choose otherwise. A period that overflows the clock, such as
/// [`Duration::MAX`], means that there is no tick after the first.
///
/// # Panics
///
/// If `period` is zero: a loop over such ticks would never give way to anything else. [`yield_now`](futures_lite::future::yield_now) is
/// the way to run in every turn.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use smolkit_runtime::time::interval;
///
/// let start = Instant::now();
/// smolkit_runtime::block_on(async {
///     let mut ticks = interval(Duration::from_millis(2));
///     for _ in 0..3 {
///         ticks.tick().await;
///     }
/// });
/// // At once, after 2 ms, and after 4 ms.
/// assert!(start.elapsed() >= Duration::from_millis(4));
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and every `period` from then on.
///
/// # Panics
///
/// If `period` is zero, as [`interval`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use smolkit_runtime::time::interval_at;
///
/// let start = Instant::now() + Duration::from_millis(2);
/// let first = smolkit_runtime::block_on(interval_at(start, Duration::from_secs(1)).tick());
/// assert_eq!(first, start);
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(
        !period.is_zero(),
        "an interval's period cannot be zero: give one of a nanosecond or more"
    );
    Interval { next: Sleep::new(Some(start)), period, missed: MissedTickBehavior::default() }
}

/// What an [`Interval`] does about ticks that nobody was there to take.
///
/// With a period of 50 ms, when the task is kept busy from 50 to 175:
///
/// | | ticks are taken at |
/// |---|---|
/// | [`Burst`](MissedTickBehavior::Burst) | 0, 50, 175, 175, 200, 250 |
/// | [`Delay`](MissedTickBehavior::Delay) | 0, 50, 175, 225, 275 |
/// | [`Skip`](MissedTickBehavior::Skip) | 0, 50, 175, 200, 250 |
///
/// A process that was stopped for an hour is such a case too: for most periodic work other than counting, `Skip` or `Delay` is the better choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// They come at once, one after the other, until the schedule is caught up with: there are as many ticks as periods.
    #[default]
    Burst,
    /// One comes at once, and the schedule starts anew from there. What counts as missed is a tick that is taken late by more than
    /// 5 ms, or by a whole period if that is shorter; less is how late any wake-up may be, and does not shift the schedule.
    Delay,
    /// One comes at once, and the next one when the schedule has it.
    Skip,
}

/// A tick taken later than this is a missed one, for `Delay`.
const LATENESS_MAX: Duration = Duration::from_millis(5);

impl MissedTickBehavior {
    /// When the tick comes that follows the one of `due`; `None`: never.
    fn next(
        self,
        due: Instant,
        period: Duration,
        now: impl FnOnce() -> Instant,
    ) -> Option<Instant> {
        match self {
            MissedTickBehavior::Burst => due.checked_add(period),
            MissedTickBehavior::Delay => {
                let now = now();
                let is_late = now.saturating_duration_since(due) > LATENESS_MAX.min(period);
                if is_late { now } else { due }.checked_add(period)
            }
            MissedTickBehavior::Skip => {
                let late = now().saturating_duration_since(due);
                due.checked_add(late - remainder(late, period))?.checked_add(period)
            }
        }
    }
}

fn remainder(time: Duration, period: Duration) -> Duration {
    let nanos = time.as_nanos() % period.as_nanos();
    let (secs, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    // Less than `time`, so both fit.
    Duration::new(secs as u64, nanos as u32)
}

/// Ticks at regular times; made by [`interval`] and [`interval_at`].
///
/// It is a [`Stream`] too, which never ends.
#[derive(Debug)]
pub struct Interval {
    next: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick, and gives the time for which it was scheduled.
    ///
    /// # Cancel safety
    ///
    /// No tick is lost: one that has not been given out is given out by the next call.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Whether it is time for the next tick; if so, the time for which it was scheduled. If not, `cx` is woken when it is.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.next).poll(cx));
        let due = self.next.deadline().expect("a tick that never comes is not due");
        self.next.reset_to(self.missed.next(due, self.period, Instant::now));
        Poll::Ready(due)
    }

    /// Starts anew: the next tick comes one period from now.
    ///
    /// A task that waits for the next tick already is woken at the new time; so with the other `reset` methods.
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Starts anew: the next tick comes at once.
    pub fn reset_immediately(&mut self) {
        self.reset_at(Instant::now());
    }

    /// Starts anew: the next tick comes when `duration` has passed.
    pub fn reset_after(&mut self, duration: Duration) {
        self.next.reset_after(duration);
    }

    /// Starts anew: the next tick comes at `deadline`.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.next.reset(deadline);
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What happens to ticks that were missed.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Chooses what happens to ticks that were missed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use smolkit_runtime::time::{MissedTickBehavior, interval};
    ///
    /// let mut ticks = interval(Duration::from_secs(10));
    /// ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    /// assert_eq!(ticks.missed_tick_behavior(), MissedTickBehavior::Skip);
    /// ```
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}
