//! The end that sends.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use async_channel::{SendError, TrySendError};

use super::Shared;
use crate::primitives::{Arc, block_on};

/// The end that sends. Clones send to the same receiver.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// The first one, which is counted already.
    pub(super) fn new(shared: Arc<Shared<T>>) -> Sender<T> {
        Sender { shared }
    }

    /// Sends the item, and waits for room first if there is none.
    ///
    /// # Cancel safety
    ///
    /// The item is either sent, and the call returned, or dropped with the future. Where it must not be lost, wait with
    /// [`try_send`](Sender::try_send) in a loop of your own.
    ///
    /// # Errors
    ///
    /// Gives the item back if the receiver has gone or was closed.
    pub async fn send(&self, item: T) -> Result<(), SendError<T>> {
        match self.try_send(item) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(item)) => Err(SendError(item)),
            Err(TrySendError::Full(item)) => self.send_later(item).await,
        }
    }

    async fn send_later(&self, item: T) -> Result<(), SendError<T>> {
        let (mut waiting, mut item) = (Waiting { shared: &self.shared, place: None }, Some(item));
        poll_fn(|cx| waiting.poll(cx, &mut item)).await
    }

    /// Sends the item if there is room.
    ///
    /// # Errors
    ///
    /// Gives the item back if there is none, or if the receiver has gone or was closed.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.shared.push(item, self.shared.lock())
    }

    /// [`send`](Sender::send) for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn send_blocking(&self, item: T) -> Result<(), SendError<T>> {
        block_on(self.send(item))
    }

    /// Whether the receiver has gone or was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed
    }

    /// Waits until the receiver has gone or was closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) {
        self.shared.closed.until(|| self.is_closed()).await;
    }

    /// How many items it may hold. `None`: without limit.
    pub fn capacity(&self) -> Option<usize> {
        (self.shared.capacity != usize::MAX).then_some(self.shared.capacity)
    }

    /// Whether both send to the same receiver.
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// A sender that finds no room.
struct Waiting<'c, T> {
    shared: &'c Shared<T>,
    /// Its place among those who wait for room.
    place: Option<usize>,
}

impl<T> Waiting<'_, T> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        item: &mut Option<T>,
    ) -> Poll<Result<(), SendError<T>>> {
        let mut waker = None;
        loop {
            let mut state = self.shared.lock();
            if let Some(number) = self.place {
                match state.room.waker_of(number) {
                    // Not called: polled for another reason, maybe with another waker.
                    Some(Some(known)) if known.will_wake(cx.waker()) => return Poll::Pending,
                    Some(known) => {
                        if let Some(new) = waker.take() {
                            let former = known.replace(new);
                            drop(state);
                            drop(former);
                            return Poll::Pending;
                        }
                    }
                    None => {
                        state.room.arrive(number);
                        self.place = None;
                    }
                }
            }
            if self.place.is_none() {
                // Called, and still no room: somebody was faster, and this one waits again.
                if !state.is_closed && self.shared.is_full(&state) {
                    if waker.is_some() {
                        self.place = Some(state.room.enter(waker));
                        return Poll::Pending;
                    }
                } else {
                    let sent = self.shared.push(item.take().expect("it is sent once"), state);
                    return Poll::Ready(sent.map_err(|error| SendError(error.into_inner())));
                }
            }
            drop(state);
            // Cloned where no lock is held.
            waker = Some(cx.waker().clone());
        }
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let Some(number) = self.place else { return };
        let mut state = self.shared.lock();
        let (was_called, waker) = state.room.leave(number);
        let called = if was_called { state.room.call() } else { None };
        drop(state);
        drop(waker);
        if let Some((_, Some(waker))) = called {
            waker.wake();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.lock().senders += 1;
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        let waker = if state.senders == 0 { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
