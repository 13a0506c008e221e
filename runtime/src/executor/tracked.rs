//! A spawned future, counted by its executor for as long as it lives, and listed from its first wait on.
//!
//! A task that waits in a queue or is being polled will be dropped by whoever has it. Only one that waits for a waker has to be on a
//! list, so that its executor can end it; most tasks that never wait are merely counted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::context;

/// Futures larger than this are moved to the heap before anything else is done with them.
pub(crate) const INLINE_BYTES_MAX: usize = 2048;

/// Spawns a future, or the box of a large one.
///
/// In a build without optimisation each move of a future takes its size of the stack, and each function that it is handed to by value is a move. So this is a
/// macro, and the public functions begin with it: three sizes in all, the caller's own included. It cannot be done with less than two.
macro_rules! spawn_boxed_if_large {
    ($future:ident => $spawn:expr) => {
        if size_of_val(&$future) > $crate::executor::tracked::INLINE_BYTES_MAX {
            let $future = ::std::boxed::Box::pin($future);
            $spawn
        } else {
            $spawn
        }
    };
}

pub(crate) use spawn_boxed_if_large;

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
        context::begin_poll(cx.waker());
        let polled = this.future.poll(cx);
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
