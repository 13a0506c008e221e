//! A channel for one value.
//!
//! ```
//! use smolkit_sync::oneshot;
//!
//! # smolkit_runtime::block_on(async {
//! let (sender, receiver) = oneshot::channel();
//! smolkit_runtime::spawn(async move { sender.send("done") }).detach();
//! assert_eq!(receiver.await, Ok("done"));
//! # });
//! ```

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;

use crate::waiters::Waiters;

/// Makes a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { value: None, has_sender: true, has_receiver: true, waker: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), closed: Waiters::new() });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Senders that wait for the receiver to go.
    closed: Waiters,
}

struct State<T> {
    value: Option<T>,
    has_sender: bool,
    has_receiver: bool,
    /// The receiver's.
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No foreign code, which could panic, runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that sends.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver has gone or was closed. `Ok` does not mean that it will be received.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let mut state = self.shared.lock();
        if !state.has_receiver {
            return Err(SendError(value));
        }
        state.value = Some(value);
        // The drop of `self` wakes the receiver.
        Ok(())
    }

    /// Whether the receiver has gone or was closed, so that a value would be of no use.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock().has_receiver
    }

    /// Waits until the receiver has gone or was closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) {
        let place = self.shared.closed.enter();
        if !self.is_closed() {
            place.await;
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.has_sender = false;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish()
    }
}

/// The end that receives: a future.
///
/// # Cancel safety
///
/// A `&mut receiver` that is dropped loses nothing: await it again. The receiver itself, dropped, takes a value that was sent with it.
/// Polled again after the value has come, it says [`RecvError`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] as long as it may still come, else [`TryRecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.shared.lock();
        match state.value.take() {
            Some(value) => Ok(value),
            None if state.has_sender && state.has_receiver => Err(TryRecvError::Empty),
            None => Err(TryRecvError::Closed),
        }
    }

    /// Waits for the value on a thread that may block.
    ///
    /// # Errors
    ///
    /// When the sender has gone without sending.
    pub fn recv_blocking(self) -> Result<T, RecvError> {
        block_on(self)
    }

    /// Lets no value be sent any more. One that was sent before can still be received.
    pub fn close(&mut self) {
        self.shared.lock().has_receiver = false;
        self.shared.closed.wake_all();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if let Some(value) = state.value.take() {
            drop(state);
            return Poll::Ready(Ok(value));
        }
        if !state.has_sender || !state.has_receiver {
            drop(state);
            return Poll::Ready(Err(RecvError));
        }
        let former = state.waker.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.has_receiver = false;
        let (value, waker) = (state.value.take(), state.waker.take());
        drop(state);
        self.shared.closed.wake_all();
        drop((value, waker));
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// The receiver has gone; here is the value back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending on a oneshot channel whose receiver has gone")
    }
}

impl<T> Error for SendError<T> {}

/// The sender has gone without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("receiving on a oneshot channel whose sender has gone without sending")
    }
}

impl Error for RecvError {}

/// Why there is no value now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not come yet.
    Empty,
    /// It will not come, or has been received already.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "receiving on a oneshot channel that is empty",
            TryRecvError::Closed => "receiving on a oneshot channel that is empty and closed",
        })
    }
}

impl Error for TryRecvError {}
