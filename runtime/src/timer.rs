//! `Timer`: a future and a stream that wakes up at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::context;
use crate::reactor::Shard;
use crate::reactor::timers::TimerKey;

/// A future or a stream that yields at a deadline, or at regular ones.
///
/// Never early; a deadline that overflows the clock means "never". Time is the monotonic clock, which neither steps nor
/// counts while the machine is suspended.
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
    entry: Option<Entry>,
}

/// Where the timer waits.
struct Entry {
    shard: Arc<Shard>,
    key: TimerKey,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
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

    /// Makes this a timer that never fires.
    pub fn clear(&mut self) {
        self.reset(None, Duration::MAX);
    }

    fn new(when: Option<Instant>, period: Duration) -> Timer {
        Timer { when, period, entry: None }
    }

    fn reset(&mut self, when: Option<Instant>, period: Duration) {
        // Whoever waits for the old deadline is woken at the new one.
        let waker = self.leave();
        self.when = when;
        self.period = period;
        if let Some(waker) = waker {
            self.enter(&waker);
            if !self.is_driven() {
                waker.wake();
            }
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(when) = self.when else { return Poll::Pending };
        if Instant::now() >= when {
            self.leave();
            self.when = match self.period {
                Duration::MAX => None,
                period => when.checked_add(period),
            };
            return Poll::Ready(when);
        }
        context::expect_wake(cx.waker());
        let is_waiting = self.entry.as_ref().is_some_and(|entry| {
            !entry.shard.is_closed() && entry.shard.update_timer(entry.key, cx.waker())
        });
        if !is_waiting {
            self.entry = None;
            self.enter(cx.waker());
        }
        if !self.is_driven() {
            // No descriptor or no thread is to be had: the task looks again and again until there is one, or the time has come.
            std::thread::yield_now();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether somebody will wake us.
    fn is_driven(&self) -> bool {
        match (&self.entry, self.when) {
            (Some(entry), _) => !entry.shard.is_common() || context::ensure_driven().is_ok(),
            (None, when) => when.is_none(),
        }
    }

    fn enter(&mut self, waker: &std::task::Waker) {
        let Some(when) = self.when else { return };
        if let Ok(shard) = context::shard() {
            let key = shard.insert_timer(when, waker.clone());
            self.entry = Some(Entry { shard, key });
        }
    }

    fn leave(&mut self) -> Option<std::task::Waker> {
        let entry = self.entry.take()?;
        entry.shard.remove_timer(entry.key)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
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
