//! Giving up waiting for something.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::elapsed::Elapsed;
use super::wait::Wait;

/// Waits for `future`, but no longer than `duration`.
///
/// The time counts from the end of the first poll that finds the future not ready. One that is ready at once so costs neither a timer nor a look
/// at the clock, and is never too late, not even with a `duration` of zero. A duration that overflows the clock, such as [`Duration::MAX`], never passes.
///
/// The future is polled first each time: if it is done when the time is up, its output counts.
///
/// # Errors
///
/// [`Elapsed`] when the time is up. The future is then dropped together with the timeout;
/// time out `&mut future` (pinned) to go on with it.
///
/// # Cancel safety
///
/// That of `future`; nothing else is lost. A future that is not cancel safe loses what it was doing when the time is up.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use smolkit_runtime::time::{sleep, timeout};
///
/// smolkit_runtime::block_on(async {
///     let late = timeout(Duration::from_millis(1), sleep(Duration::from_secs(60)));
///     assert!(late.await.is_err());
///     let ready = timeout(Duration::from_millis(1), async { 7 });
///     assert_eq!(ready.await, Ok(7));
/// });
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Limit::For(duration))
}

/// Waits for `future`, but not after `deadline`.
///
/// As [`timeout`] otherwise: a future that is ready when it is polled is not too late, even if the deadline has passed.
///
/// # Errors
///
/// [`Elapsed`] when the deadline has come.
///
/// # Cancel safety
///
/// That of `future`; nothing else is lost.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::{Duration, Instant};
/// use smolkit_runtime::time::timeout_at;
///
/// let deadline = Instant::now() + Duration::from_millis(1);
/// let outcome = smolkit_runtime::block_on(timeout_at(deadline, pending::<()>()));
/// assert!(outcome.is_err() && Instant::now() >= deadline);
/// ```
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Limit::Until(Some(deadline)))
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limit: Limit,
        wait: Wait,
    }
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// Before the first poll.
    For(Duration),
    /// `None`: for ever.
    Until(Option<Instant>),
}

impl<F> Timeout<F> {
    fn new(future: F, limit: Limit) -> Timeout<F> {
        Timeout { future, limit, wait: Wait::default() }
    }

    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The future inside.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Takes the future out; the timeout is cancelled.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            this.wait.cancel();
            return Poll::Ready(Ok(output));
        }
        ready!(poll_limit(this.limit, this.wait, cx));
        Poll::Ready(Err(Elapsed::new()))
    }
}

/// Not inlined into the poll of every future, nor made anew for each type of them.
fn poll_limit(limit: &mut Limit, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<()> {
    match *limit {
        Limit::For(duration) => {
            let deadline = Instant::now().checked_add(duration);
            *limit = Limit::Until(deadline);
            if duration.is_zero() {
                return Poll::Ready(());
            }
            if deadline.is_some() {
                wait.begin(deadline, cx);
            }
            Poll::Pending
        }
        Limit::Until(None) => Poll::Pending,
        Limit::Until(deadline) => wait.poll_lazily(deadline, cx),
    }
}
