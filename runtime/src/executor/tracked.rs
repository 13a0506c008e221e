//! A spawned future, counted by its executor for as long as it lives, and listed from its first wait on.
//!
//! A task that waits in a queue or is being polled will be dropped by whoever has it. Only one that waits for a waker has to be on a
//! list, so that its executor can end it; most tasks that never wait are merely counted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::context;

/// Futures larger than this are moved to the heap before anything else is done with them.
pub(super) const INLINE_BYTES_MAX: usize = 2048;

/// Where an executor finds one of its tasks. Dropped when the future is gone: the executor counts the task no longer.
pub(super) trait Place {
    fn is_listed(&self) -> bool;

    /// Lists the task, whose waker that is.
    fn list(&mut self, waker: &Waker);
}

pin_project_lite::pin_project! {
    pub(super) struct Tracked<F, P> {
        #[pin]
        future: F,
        // After the future: the executor counts none only when all futures are gone.
        place: P,
    }
}

impl<F, P> Tracked<F, P> {
    pub(super) fn new(future: F, place: P) -> Tracked<F, P> {
        Tracked { future, place }
    }
}

impl<F: Future, P: Place> Future for Tracked<F, P> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = context::poll_task(cx, |cx| this.future.poll(cx));
        if polled.is_pending() && !this.place.is_listed() {
            list(this.place, cx.waker());
        }
        polled
    }
}

#[cold]
fn list(place: &mut impl Place, waker: &Waker) {
    place.list(waker);
}
