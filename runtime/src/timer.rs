//! `Timer`: a future and a stream that wakes up at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::time::wait::Wait;

/// A future or a stream that yields at a deadline, or at regular ones.
///
/// Never early; a deadline that overflows the clock means "never". Time is the monotonic clock, which neither steps nor
/// counts while the machine is suspended; see [`time`](crate::time).
///
/// # Cancel safety
///
/// Dropping a timer cancels it and leaves nothing behind.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_runtime::{Timer, block_on};
///
/// block_on(async {
///     Timer::after(Duration::from_millis(1)).await;
/// });
/// ```
#[derive(Debug)]
pub struct Timer {
    /// `None`: never.
    when: Option<Instant>,
    period: Duration,
    wait: Wait,
}

impl Timer {
    /// A timer that never fires.
    pub fn never() -> Timer {
        Timer::new(None, Duration::MAX)
    }

    /// Fires once, when `duration` has passed.
    pub fn after(duration: Duration) -> Timer {
        Timer::new(Instant::now().checked_add(duration), Duration::MAX)
    }

    /// Fires once, at `instant`.
    pub fn at(instant: Instant) -> Timer {
        Timer::new(Some(instant), Duration::MAX)
    }

    /// Fires every `period`, the first time when one has passed.
    ///
    /// Ticks that were missed come at once, one by one. With a period of zero there is always one more to come: a loop over such a timer never waits, and only
    /// lets others have their turn.
    /// [`time::interval`](crate::time::interval) can do otherwise.
    pub fn interval(period: Duration) -> Timer {
        Timer::new(Instant::now().checked_add(period), period)
    }

    /// Fires at `start`, and every `period` from then on.
    pub fn interval_at(start: Instant, period: Duration) -> Timer {
        Timer::new(Some(start), period)
    }

    /// Whether this timer will fire some time.
    pub fn will_fire(&self) -> bool {
        self.when.is_some()
    }

    /// Makes this a timer that fires once, when `duration` has passed.
    ///
    /// A task that waits for it already goes on waiting, for the new deadline. (One that has polled a timer that never
    /// fires is not remembered, and has to poll again.) So do the other `set` methods.
    pub fn set_after(&mut self, duration: Duration) {
        self.reset(Instant::now().checked_add(duration), Duration::MAX);
    }

    /// Makes this a timer that fires once, at `instant`.
    pub fn set_at(&mut self, instant: Instant) {
        self.reset(Some(instant), Duration::MAX);
    }

    /// Makes this a timer that fires every `period`.
    pub fn set_interval(&mut self, period: Duration) {
        self.reset(Instant::now().checked_add(period), period);
    }

    /// Makes this a timer that fires at `start`, and every `period` from then on.
    pub fn set_interval_at(&mut self, start: Instant, period: Duration) {
        self.reset(Some(start), period);
    }

    /// Makes this a timer that never fires, until it is set again.
    pub fn clear(&mut self) {
        self.reset(None, Duration::MAX);
    }

    fn new(when: Option<Instant>, period: Duration) -> Timer {
        Timer { when, period, wait: Wait::default() }
    }

    fn reset(&mut self, when: Option<Instant>, period: Duration) {
        self.when = when;
        self.period = period;
        self.wait.reset(when);
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if self.when.is_none() && !self.wait.has_begun() {
            // As in smol: nothing is entered for a timer that never fires.
            return Poll::Pending;
        }
        ready!(self.wait.poll_in_turn(self.when, cx));
        let when = self.when.expect("a wait for nothing does not end");
        self.when = match self.period {
            Duration::MAX => None,
            period => when.checked_add(period),
        };
        Poll::Ready(when)
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.poll_deadline(cx)
    }
}

impl Stream for Timer {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_deadline(cx).map(Some)
    }
}
