//! The end that receives.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_channel::{RecvError, TryRecvError};
use futures_core::Stream;

use super::{Shared, State};
use crate::primitives::{Arc, MutexGuard, block_on};

/// Memory for more items than this is given back after a burst.
const KEPT_MAX: usize = 1024;

/// The end that receives: a stream, too.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    batch: Batch<T>,
}

/// What was in the queue when it was last looked at: taken over at once, so that the lock is not needed for each item.
struct Batch<T> {
    found: VecDeque<T>,
    /// There was but one: the next look will find none.
    was_single: bool,
    /// Of these so many have been handed out, and their places not been given back.
    used: usize,
    /// At so many they are: senders can go on while the rest is handed out.
    release_at: usize,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Receiver<T> {
        let batch = Batch { found: VecDeque::new(), was_single: true, used: 0, release_at: 0 };
        Receiver { shared, batch }
    }

    /// Waits for an item.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: an item has either been returned or stays.
    ///
    /// # Errors
    ///
    /// When all senders have gone, or the channel was closed, and all items have been received.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Receiver::recv) as a poll function.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        if !self.batch.found.is_empty() || !self.batch.was_single {
            match self.try_recv() {
                Ok(item) => return Poll::Ready(Ok(item)),
                Err(TryRecvError::Closed) => return Poll::Ready(Err(RecvError)),
                Err(TryRecvError::Empty) => {}
            }
        }
        // Cloned where no lock is held, and then looked at: an item may have come.
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if state.queue.is_empty() && state.senders > 0 && !state.is_closed {
            let former = state.waker.replace(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
        Poll::Ready(self.batch.take_over(&self.shared, state).map_err(|_| RecvError))
    }

    /// An item, if there is one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] as long as one may still come, else [`TryRecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.batch.next(&self.shared) {
            Some(item) => Ok(item),
            None => self.batch.take_over(&self.shared, self.shared.lock()),
        }
    }

    /// [`recv`](Receiver::recv) for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub fn recv_blocking(&mut self) -> Result<T, RecvError> {
        block_on(self.recv())
    }

    /// Lets nothing be sent any more. What was sent before can still be received.
    pub fn close(&mut self) {
        self.shared.close(self.shared.lock());
    }

    /// How many items wait to be received.
    pub fn len(&self) -> usize {
        self.batch.found.len() + self.shared.lock().queue.len()
    }

    /// Whether no item waits to be received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Batch<T> {
    /// The next of those that were taken over.
    fn next(&mut self, shared: &Shared<T>) -> Option<T> {
        if self.found.is_empty() {
            return None;
        }
        if shared.capacity != usize::MAX {
            self.used += 1;
            // Before the item is taken out: it stays if a sender's waker panics.
            if self.used >= self.release_at || self.found.len() == 1 {
                shared.release(mem::take(&mut self.used), shared.lock());
            }
        }
        self.found.pop_front()
    }

    /// All that is in the queue, and the first item of it.
    fn take_over(
        &mut self,
        shared: &Shared<T>,
        mut state: MutexGuard<'_, State<T>>,
    ) -> Result<T, TryRecvError> {
        if state.queue.is_empty() {
            let may_come = state.senders > 0 && !state.is_closed;
            return Err(if may_come { TryRecvError::Empty } else { TryRecvError::Closed });
        }
        // The queue gets the memory of the one before, unless that was a burst's.
        if self.found.capacity() > KEPT_MAX.max(4 * state.queue.len()) {
            self.found = VecDeque::new();
        }
        mem::swap(&mut state.queue, &mut self.found);
        self.was_single = self.found.len() == 1;
        if shared.capacity == usize::MAX {
            drop(state);
        } else {
            state.taken = self.found.len();
            self.release_at = (self.found.len() - 1).div_ceil(2);
            // The place of the first one comes back at once: with few places it is all there is.
            shared.release(1, state);
        }
        Ok(self.found.pop_front().expect("it is not empty"))
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx).map(Result::ok)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), None)
    }
}

// Items are moved out, never pinned.
impl<T> Unpin for Receiver<T> {}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let left = (mem::take(&mut state.queue), state.waker.take());
        // First those who wait, for an item's drop may panic.
        self.shared.close(state);
        drop(left);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}
