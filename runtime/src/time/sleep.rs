//! Waiting for a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::wait::Wait;

/// Waits until `duration` has passed since this call.
///
/// Never ends early. `Duration::ZERO` has passed at once; a duration that overflows the clock, such as [`Duration::MAX`], never does.
///
/// # Cancel safety
///
/// Dropping the future cancels the wait and leaves nothing behind.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use smolkit_runtime::time::sleep;
///
/// let start = Instant::now();
/// smolkit_runtime::block_on(sleep(Duration::from_millis(2)));
/// assert!(start.elapsed() >= Duration::from_millis(2));
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::new(Instant::now().checked_add(duration))
}

/// Waits until `deadline`; does not wait at all if that has passed.
///
/// # Cancel safety
///
/// Dropping the future cancels the wait and leaves nothing behind.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use smolkit_runtime::time::sleep_until;
///
/// let deadline = Instant::now() + Duration::from_millis(2);
/// smolkit_runtime::block_on(sleep_until(deadline));
/// assert!(Instant::now() >= deadline);
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new(Some(deadline))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It is [`Unpin`], and can be used again: [`reset`](Sleep::reset) sets another deadline, before or after the present one has come, and
/// allocates nothing. Polled once more when its deadline has passed, it is ready again.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    /// `None`: never.
    deadline: Option<Instant>,
    wait: Wait,
}

impl Sleep {
    pub(super) fn new(deadline: Option<Instant>) -> Sleep {
        Sleep { deadline, wait: Wait::default() }
    }

    /// When this sleep ends; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Sleeps until `deadline` instead.
    ///
    /// A task that waits for this sleep already is woken at the new deadline; it need not poll again.
    ///
    /// # Examples
    ///
    /// An operation that may take as long as it likes, as long as something comes every now and then:
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use smolkit_runtime::time::sleep;
    /// use futures_lite::future;
    ///
    /// smolkit_runtime::block_on(async {
    ///     let mut silence = sleep(Duration::from_secs(60));
    ///     for _ in 0..3 {
    ///         let word = async { sleep(Duration::from_millis(1)).await; true };
    ///         let is_in_time = future::or(word, async { (&mut silence).await; false }).await;
    ///         assert!(is_in_time);
    ///         silence.reset(Instant::now() + Duration::from_secs(60));
    ///     }
    /// });
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.reset_to(Some(deadline));
    }

    /// Sleeps until `duration` has passed since this call instead; as [`reset`](Sleep::reset), and never if that overflows the clock.
    pub fn reset_after(&mut self, duration: Duration) {
        self.reset_to(Instant::now().checked_add(duration));
    }

    pub(super) fn reset_to(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.wait.reset(deadline);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        self.wait.poll_in_turn(deadline, cx)
    }
}
